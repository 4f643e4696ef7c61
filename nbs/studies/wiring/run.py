"""The runs behind nbs/papers/wiring.ipynb: which edges small searches keep, at one level and at
two.

`python nbs/studies/wiring/run.py` does what is missing (it can be stopped at any time) and writes
nbs/studies/wiring/runs.json, run by run;
Several processes share the work;
`python nbs/studies/wiring/run.py NAME SEED` does one run again and prints it. Some runs need
CIFAR-10, see DNAS_DATA.
"""

import contextlib, getpass, json, os, platform, sys, tempfile, time
from functools import partial
from pathlib import Path
from filelock import FileLock, Timeout

os.environ.setdefault('OMP_NUM_THREADS', '1')
ROOT = Path(__file__).resolve().parents[3]
sys.path.insert(0, str(ROOT))
RESULTS = Path(__file__).resolve().parent / 'runs.json'
SEEDS = 0, 1, 2
COMMON = dict(
    space='minimal', channels=8, cells=2, batch=32, images=640, lr=0.05, arch_lr=0.02
)  # 320 images train, 320 judge
RUNS = {  # name -> what differs; level 1: costs on training images, level 2: on the others; probe: images per split and epoch
    'DSNAS, one level': dict(method='dsnas', level=1, epochs=60, data='cifar10', size=8, probe=160),
    'DSNAS, two levels': dict(
        method='dsnas', level=2, epochs=60, data='cifar10', size=8, probe=160
    ),
    'DARTS, two levels': dict(method='darts', level=2, epochs=40, data='cifar10', size=8, probe=96),
    'DARTS, one level': dict(method='darts', level=1, epochs=40, data='cifar10', size=8, probe=96),
    'DSNAS on digits, one level': dict(
        method='dsnas', level=1, epochs=20, data='digits', size=None, probe=160
    ),
    'DSNAS on digits, two levels': dict(
        method='dsnas', level=2, epochs=20, data='digits', size=None, probe=160
    ),
    'SNAS, one level': dict(method='snas', level=1, epochs=10, data='cifar10', size=8, probe=96),
    'DrNAS, two levels': dict(method='drnas', level=2, epochs=10, data='cifar10', size=8, probe=96),
    'DANAS, two levels': dict(method='danas', level=2, epochs=12, data='cifar10', size=8, probe=96),
}


def row_of(method, level):
    """The method with its architecture gradient at one level (training images) or at two (first
    order)"""
    from dataclasses import replace
    from dnas_nb.hypergrad import first_order, single_level
    from dnas_nb.methods import find_method
    from dnas_nb.score import score_function

    if method == 'dsnas':
        grad = partial(score_function, clamp=5.0, on='train' if level == 1 else 'valid')
    else:
        grad = single_level if level == 1 else first_order
    return replace(find_method(method), grad=grad)


def short(v, digits=4):
    return (
        [short(x, digits) for x in v]
        if isinstance(v, (list, tuple))
        else round(v, digits) if v == v else None
    )


def look(state, method, split, cell, n, progress):
    "Calibration on both halves, and what each edge of each block adds to the total cost"
    from dnas_nb.reading.wiring import probe_part

    out = {}
    for part in ('train', 'valid'):
        r, costs = probe_part(state, method, split, part, COMMON['batch'], n, progress)
        out |= {f'{part}_{k}': short(v) for k, v in r.items()}
        out[f'{part}_cost'] = [
            short((m.share / m.n.max()).sum(-1).tolist()) for m in costs.stats.values()
        ]  # (blocks, edges)
    return out


def one(name, seed) -> dict:
    "One search"
    import torch
    from dnas_nb import bilevel
    from dnas_nb.core import seeded
    from dnas_nb.sources import load_data
    from dnas_nb.fast import fast
    from dnas_nb.spaces import all_spaces
    from dnas_nb.supernet import SuperNet, batch_stats

    torch.set_num_threads(1)
    s = {**COMMON, **RUNS[name]}
    space, method, t0 = (
        all_spaces()[s['space']](),
        row_of(s['method'], s['level']),
        time.process_time(),
    )
    cell, split = space.cells[0], load_data(s['data'], s['images'], s['size'], seed)
    with seeded(seed, 'net'):
        net = fast(
            batch_stats(SuperNet(space, s['channels'], s['cells'], 10, split.train.x.shape[1]))
        )
    plan = bilevel.Plan(
        s['epochs'], s['batch'], lr=s['lr'], arch_lr=s['arch_lr'], seed=seed
    )
    state = bilevel.start(net, method, plan)
    rows, weights = [], []

    def note(progress):
        P = bilevel.dists(state, method, progress)[cell.name].mean
        rows.append(look(state, method, split, cell, s['probe'], progress))
        weights.append(P)

    bilevel.watch = (
        lambda *_: ({}, {})
    )  # the accuracy of the whole mixture is not asked for, and costs more than an epoch of DSNAS
    note(0.0)
    for state in bilevel.search(state, method, split.search, plan):
        note(state.epoch / s['epochs'])
    P = torch.stack(weights)
    out = dict(
        name=name,
        seed=seed,
        settings=s,
        minutes=round((time.process_time() - t0) / 60, 3),
        date=time.strftime('%Y-%m-%d'),
        machine=f'{platform.machine()}, one core, torch {torch.__version__}',
        none=short(P[..., 0].tolist()),
        lead=P.argmax(-1).tolist(),
        **{k: [r[k] for r in rows] for k in rows[0]},
    )
    return out | (dict(P=short(P.tolist(), 3)) if seed == 0 else {})


def compact(r) -> dict:
    """What the notebook needs of a run: costs of the half that the architecture learns from, as
    [direct edges, intermediate edge] of the last cell and the total of the first"""
    if 'cost' in r:
        return r
    part, drop = 'train' if r['settings']['level'] == 1 else 'valid', (
        '_cost',
        '_entropy',
        'gap_right',
        'gap_wrong',
    )
    cost = [short([sum(last[:4]), last[4], sum(first)], 3) for first, *_, last in r[f'{part}_cost']]
    return {
        k: short(v, 3) if k in ('none', 'P') or k.startswith(('train', 'valid')) else v
        for k, v in r.items()
        if not k.endswith(drop)
    } | dict(cost=cost)


@contextlib.contextmanager
def stored():
    "The list of runs, held while it changes; written back atomically"
    from dnas_nb.safe import read_json
    from dnas_nb.core import write_atomic

    with FileLock(Path(tempfile.gettempdir()) / f'wiring-runs-{getpass.getuser()}.lock'):
        runs = read_json(RESULTS, (dict, list), nan=True) if RESULTS.exists() else []
        before = len(runs)
        yield runs
        if len(runs) > before or any('cost' not in r for r in runs):
            runs[:] = map(compact, runs)
            runs.sort(key=lambda r: (list(RUNS).index(r['name']), r['seed']))
            write_atomic(
                RESULTS,
                '[\n'
                + ',\n'.join(json.dumps(r, separators=(',', ':'), ensure_ascii=False) for r in runs)
                + '\n]\n',
            )


def main():
    from dnas_nb.core import UserError, choose

    try:
        if len(sys.argv) == 3:
            choose(sys.argv[1], RUNS, 'run')
            print(json.dumps(compact(one(sys.argv[1], int(sys.argv[2])))))
            return
        for name, seed in (
            (name, seed)
            for part in (list(RUNS)[:4], list(RUNS)[4:])
            for seed in SEEDS
            for name in part
        ):
            mine = FileLock(
                Path(tempfile.gettempdir())
                / f'wiring-run-{getpass.getuser()}-{list(RUNS).index(name)}-{seed}.lock'
            )
            try:
                held = mine.acquire(timeout=0)
            except Timeout:
                continue  # another process has it
            with held:
                with stored() as runs:
                    done = any((r['name'], r['seed']) == (name, seed) for r in runs)
                if done:
                    continue
                r = one(name, seed)
                with stored() as runs:
                    runs.append(r)
                print(
                    f"{name}, seed {seed}: {5 - r['lead'][-1].count(0)} edges, none {r['none'][-1]}, {r['minutes']} min",
                    flush=True,
                )
    except (UserError, ValueError) as e:
        sys.exit(str(e).splitlines()[0])


if __name__ == '__main__':
    main()
