"""Does pruning make shared weights better judges? The runs behind nbs/papers/fidelity.ipynb.

`python nbs/studies/fidelity/run.py` searches the digits with DANAS, pruned at half time and not,
for every seed: up to the cut both are the same run.
The cells that are judged are drawn once from what the pruned search kept, so both supernets are
asked about the same cells; the embedded benchmark says what each is worth.
`python nbs/studies/fidelity/run.py --study FOLDER` asks the finished supernets of a CIFAR-10 study
(methods danas and danas-prune, the same seeds) about cells of the space the latter kept;
NAS-Bench-201 answers.
Both write nbs/studies/fidelity/runs.json after every seed, and do only what is missing."""

import argparse, os, platform, sys, tempfile, time
from pathlib import Path

os.environ.setdefault('OMP_NUM_THREADS', '1')
ROOT = Path(__file__).resolve().parents[3]
sys.path.insert(0, str(ROOT))
RESULTS = Path(__file__).resolve().parent / 'runs.json'
SEEDS, CELLS, AT = (0, 1, 2, 3, 4), 150, (1, 2, 4, 6, 8, 10, 11, 12, 14, 16, 18, 20)
METHODS = 'danas', 'danas-prune'


def drawn(live, space, seed, n=CELLS) -> list:
    "Different cells, each allowed operation of an edge equally likely"
    import torch
    from dnas_nb.core import generator
    from dnas_nb.genotype import from_ops

    gen, out = generator(seed, 'fidelity'), {}
    for _ in range(100 * n):
        if len(out) == n:
            break
        out[
            from_ops(
                space,
                {c: torch.multinomial(m.double(), 1, generator=gen)[:, 0] for c, m in live.items()},
            )
        ] = None
    return list(out)


def judged(net, space, split, cells) -> list:
    "Accuracy of each cell with the weights of the supernet"
    from dnas_nb.running.referee import shared_judge

    accuracy = shared_judge(net, space, split.valid).shared
    return [accuracy(g) for g in cells]


def tau(a, b) -> float:
    from scipy.stats import kendalltau

    return round(float(kendalltau(a, b).statistic), 4)


def digits(seed) -> dict:
    "Both searches of one seed"
    from copy import deepcopy
    from dnas_nb.bench.tables import accuracies, index, load
    from dnas_nb.sources import load_data
    from dnas_nb.running.experiment import run
    from dnas_nb.space import nb201

    space, split, table, nets = nb201(), load_data('digits', seed=seed), load('digits201'), {}
    t0 = time.process_time()
    for m in METHODS:
        kept = nets[m] = {}

        def watch(state, s):
            if state.epoch in AT:
                kept[state.epoch] = deepcopy(state.net), {
                    c: v.clone() for c, v in state.live.items()
                }

        with tempfile.TemporaryDirectory() as d:
            run(
                d,
                split=split,
                on_epoch=watch,
                report=False,
                method=m,
                data='digits',
                seed=seed,
                device='cpu',
            )
    cells = drawn(nets['danas-prune'][AT[-1]][1], space, seed)
    everywhere = drawn(
        {c: v | True for c, v in nets['danas'][AT[-1]][1].items()}, space, ('all', seed)
    )
    worth = lambda gs: [float(accuracies(table, 'digits').iloc[index(table, g)]) for g in gs]
    row = dict(
        data='digits',
        seed=seed,
        cells=len(cells),
        at=list(AT),
        kept={c: v.int().tolist() for c, v in nets['danas-prune'][AT[-1]][1].items()},
    )
    row |= {
        m: [tau(judged(nets[m][e][0], space, split, cells), worth(cells)) for e in AT]
        for m in METHODS
    }
    row['all cells'] = [
        tau(judged(nets['danas'][e][0], space, split, everywhere), worth(everywhere)) for e in AT
    ]
    return row | dict(seconds=round(time.process_time() - t0))


def cifar10(study, seed) -> dict:
    "The finished supernets of one seed"
    import torch
    from dnas_nb.bench.tables import accuracies, index, load
    from dnas_nb.checkpoint import read
    from dnas_nb.sources import load_data
    from dnas_nb.running.experiment import Settings, prepare
    from dnas_nb.running.study import standing

    table, states, t0 = load('nasbench201'), {}, time.process_time()
    for name, r in standing(study).items():
        s = Settings(**r['settings'])
        if s.method in METHODS and s.seed == seed and r['status'] == 'finished':
            whole = read(Path(study) / name / 'last.pt')
            job = prepare(s, load_data(s.data, s.images, s.size, s.seed), torch.device('cpu'))
            space, split, states[s.method] = job.space, job.split, job.begin(whole)
    if len(states) < 2:
        return {}
    cells = drawn(states['danas-prune'].live, space, seed, 60)
    worth = [float(accuracies(table, 'cifar10').iloc[index(table, g)]) for g in cells]
    return dict(
        data='cifar10',
        seed=seed,
        cells=len(cells),
        **{m: tau(judged(states[m].net, space, split, cells), worth) for m in METHODS},
        spread=round(float(max(worth) - min(worth)), 2),
        seconds=round(time.process_time() - t0),
    )


def main():
    from dnas_nb.safe import read_json

    p = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    p.add_argument('--study', help='folder of a study; without, the digits are searched')
    study = p.parse_args().study
    from dnas_nb.core import as_json, write_atomic

    rows = read_json(RESULTS, (dict, list), nan=True)['rows'] if RESULTS.exists() else []
    import torch

    for seed in SEEDS:
        data = 'cifar10' if study else 'digits'
        if any((r['data'], r['seed']) == (data, seed) for r in rows):
            continue
        row = cifar10(study, seed) if study else digits(seed)
        if not row:
            print(f'seed {seed}: the study has not finished both searches')
            continue
        rows.append(row)
        print({k: v for k, v in row.items() if k != 'kept'}, flush=True)
        RESULTS.parent.mkdir(exist_ok=True)
        write_atomic(
            RESULTS,
            as_json(
                dict(
                    date=time.strftime('%Y-%m-%d'),
                    machine=f'{platform.machine()}, one core, torch {torch.__version__}',
                    rows=rows,
                )
            ),
        )


if __name__ == '__main__':
    main()
