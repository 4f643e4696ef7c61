"""The runs behind nbs/tutorials/collapse_clinic.ipynb: one failing configuration, every cure, the
same seeds.

`python nbs/studies/clinic/run.py` does what is missing (it can be stopped at any time) and writes
nbs/studies/clinic/runs.csv;
`python nbs/studies/clinic/run.py CURE SEED` does one run in this process and prints its row;
`python nbs/studies/clinic/run.py again` goes on with again.csv. The rows of runs.csv were made on two
days and machines, and the patient, run again later, gave other cells. So again.csv repeats it with
ten seeds, and the cures with their three, on one machine by one state of the code, in the order of
`AGAIN`: as far as time allows, one process."""

import csv, json, os, platform, subprocess, sys, tempfile, time
from dataclasses import replace
from pathlib import Path

os.environ.setdefault('OMP_NUM_THREADS', '1')
ROOT = Path(__file__).resolve().parents[3]
RESULTS = Path(__file__).resolve().parent / 'runs.csv'
SEEDS = 0, 1, 2
AGAIN = (
    'early stop at two skips (DARTS+)',
    'beta-decay',
    'DANAS + beta-decay',
    'DANAS',
    'DrNAS',
    'partial channels (PC-DARTS)',
    'random',
    'GDAS',
    'weight-only warm-up',
    'amended gradient',
    'AER',
    'auxiliary skip (DARTS-)',
    'SDARTS-RS',
    'FairDARTS',
    'DARTS, second order',
    'alignment (Lambda-DARTS)',
    'SDARTS-ADV',
)
# 320 images for the weights and 320 for the architecture: few enough to be learned by heart, which
# is what makes skips pay
PATIENT = dict(
    data='cifar10',
    space='nb201',
    images=640,
    size=16,
    channels=8,
    cells=1,
    epochs=100,
    arch_lr=0.01,
    lr=0.1,
    batch=64,
    device='cpu',
)


def cures() -> dict:
    "Name -> (method, settings that differ from the patient's)"
    from dnas_nb.methods import METHODS

    m, darts = METHODS, METHODS['darts']

    def two_skips(trace):
        return trace.last['skip_share'] >= 2 / 6

    return {
        'DARTS': (darts, {}),
        'DrNAS': (m['drnas'], {}),
        'DANAS': (m['danas'], {}),
        'beta-decay': (m['beta'], {}),
        'early stop at two skips (DARTS+)': (replace(darts, stop=two_skips), {}),
        'DANAS + beta-decay': (
            replace(m['danas'], penalties=m['danas'].penalties + m['beta'].penalties),
            {},
        ),
        'SDARTS-RS': (m['sdarts-rs'], {}),
        'AER': (m['aer'], {}),
        'auxiliary skip (DARTS-)': (m['darts-minus'], {}),
        'partial channels (PC-DARTS)': (m['pc-darts'], dict(warmup=30)),
        'GDAS': (m['gdas'], {}),
        'random': (m['random'], {}),
        'FairDARTS': (m['fairdarts'], {}),
        'weight-only warm-up': (darts, dict(warmup=30)),
        'amended gradient': (m['amended'], {}),
        'DARTS, second order': (m['darts2'], {}),
        'alignment (Lambda-DARTS)': (m['lambda-darts'], {}),
        'SDARTS-ADV': (m['sdarts-adv'], {}),
    }


def top_eig(state, split, steps=5):
    """Largest eigenvalue, in size, of the Hessian of the validation loss in alpha at the mean
    architecture, by power iteration on Hessian-vector products"""
    import torch, torch.nn.functional as F
    from dnas_nb.core import generator
    from dnas_nb.reading.landscape import valid_batch

    a = state.phi['cell'].get('alpha')
    if a is None:
        return float('nan')
    x, y = valid_batch(split)
    a = a.detach().clone().requires_grad_()
    loss = F.cross_entropy(state.net(x, {'cell': a.softmax(-1)}), y)
    (g,) = torch.autograd.grad(loss, a, create_graph=True)
    v, value = torch.randn(a.shape, generator=generator('eig')), 0.0
    for _ in range(steps):
        v = v / v.norm()
        (h,) = torch.autograd.grad((g * v).sum(), a, retain_graph=True)
        value, v = (h * v).sum().item(), h
    return value


def one(name, seed) -> dict:
    "One run: the cell, its table figures, and the signs over time"
    import torch
    from dnas_nb.running import experiment
    from dnas_nb.sources import load_data
    from dnas_nb.methods import METHODS

    method, more = cures()[name]
    given = {**PATIENT, **more, 'seed': seed}
    METHODS['clinic'] = method  # settings name a method; this process runs one
    split, eigs = load_data(given['data'], given['images'], given['size'], seed), []

    def watch(state, s):
        if state.epoch % 20 == 0:
            eigs.append((state.epoch, top_eig(state, split)))

    t0 = time.process_time()
    with tempfile.TemporaryDirectory() as d:
        r = experiment.run(d, split=split, on_epoch=watch, report=False, method='clinic', **given)
    row = dict(
        cure=name,
        seed=seed,
        arch=r.found['arch'],
        epochs=len(r.trace),
        seconds=round(time.process_time() - t0),
        valid_acc=round(r.found['valid_acc'], 4),
    )
    row |= {f"{t['dataset']}": round(t['test'], 2) for t in r.found['table']} | {
        f"rank_{t['dataset']}": t['rank'] for t in r.found['table']
    }
    return row | dict(
        entropy=' '.join(f'{h:.3f}' for h in r.trace.scalars['entropy']),
        skips=' '.join(f'{h:.2f}' for h in r.trace.scalars['skip_share']),
        eig=' '.join(f'{e}:{v:.4g}' for e, v in eigs),
        date=time.strftime('%Y-%m-%d'),
        machine=f'{platform.machine()}, one core, torch {torch.__version__}',
    )


def done() -> list:
    return list(csv.DictReader(open(RESULTS))) if RESULTS.exists() else []


def main(workers=2):
    from concurrent.futures import ThreadPoolExecutor

    sys.path.insert(0, str(ROOT))
    rows = done()
    names = list(cures())
    missing = [
        (c, s)
        for part in (names[:4], names[4:12], names[12:])
        for s in SEEDS
        for c in part
        if (c, str(s)) not in {(r['cure'], r['seed']) for r in rows}
    ]

    def job(todo):
        p = subprocess.run(
            [sys.executable, __file__, todo[0], str(todo[1])], capture_output=True, text=True
        )
        return todo, (
            json.loads(p.stdout.splitlines()[-1])
            if p.returncode == 0
            else p.stderr.strip().splitlines()[-1:]
        )

    from dnas_nb.core import write_atomic
    from dnas_nb.running.folder import csv_text

    with ThreadPoolExecutor(workers) as pool:
        for (c, s), got in pool.map(job, missing):
            print(
                f'{len(rows)}/{len(SEEDS)*len(cures())} {c} {s}:',
                got if isinstance(got, list) else (got['arch'], got['cifar10'], got['seconds']),
                flush=True,
            )
            if isinstance(got, dict):
                rows.append(got)
                write_atomic(RESULTS, csv_text(rows))


def again():
    "The patient with ten seeds, then the cures, one after the other"
    sys.path[:0] = [str(ROOT), str(ROOT / 'nbs' / 'studies')]
    import torch
    from ledger import add, rows_of

    torch.set_num_threads(1)
    out = RESULTS.with_name('again.csv')
    known = {(r['cure'], r['seed']) for r in rows_of(out)}
    wanted = [('DARTS', s) for s in range(10)] + [(c, s) for c in AGAIN for s in SEEDS]
    for cure, seed in wanted:
        if (cure, str(seed)) not in known:
            row = one(cure, seed)
            add(out, {k: row[k] for k in ('cure', 'seed', 'cifar10', 'arch', 'seconds', 'date')})


if __name__ == '__main__':
    if sys.argv[1:] == ['again']:
        again()
    elif len(sys.argv) == 3:
        print(json.dumps(one(sys.argv[1], int(sys.argv[2]))))
    else:
        main(*map(int, sys.argv[1:]))
