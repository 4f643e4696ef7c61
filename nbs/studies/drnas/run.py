"""The searches behind nbs/papers/drnas.ipynb: DrNAS on the digits, whole and progressive, and the
range of what it samples.

`python nbs/studies/drnas/run.py` makes the runs that are missing and writes
nbs/studies/drnas/runs.json after each.
"""

import os, platform, sys, tempfile, time
from pathlib import Path

os.environ.setdefault('OMP_NUM_THREADS', '1')
ROOT = Path(__file__).resolve().parents[3]
sys.path.insert(0, str(ROOT))
RESULTS = Path(__file__).resolve().parent / 'runs.json'
SEEDS = 0, 1, 2, 3, 4
ROWS = {
    'drnas': {},
    'drnas-progressive': dict(channels=16),
    'darts': {},
}  # progressive: a quarter, later half, of 16 channels


def one(method, seed) -> dict:
    from functools import partial
    from dnas_nb.sources import load_data
    from dnas_nb.running.experiment import run
    from dnas_nb.reading.landscape import eigen, probe, reach

    split, rows, t0 = load_data('digits', seed=seed), [], time.process_time()
    looks = (
        probe(rows, split, partial(reach, n=50), every=2)
        if method == 'drnas'
        else probe(rows, split, eigen, every=10) if method == 'darts' else None
    )
    if method == 'drnas':
        see = probe(eigs := [], split, eigen, every=10)

        def watch(state, s):
            looks(state, s)
            see(state, s)

    else:
        eigs, watch = rows, looks
    with tempfile.TemporaryDirectory() as d:
        r = run(
            d,
            split=split,
            on_epoch=watch,
            report=False,
            method=method,
            data='digits',
            seed=seed,
            device='cpu',
            **ROWS[method],
        )
    t = next(t for t in r.found['table'] if t['dataset'] == 'digits')
    return dict(
        method=method,
        seed=seed,
        arch=r.found['arch'],
        test=round(t['test'], 3),
        rank=int(t['rank']),
        search_seconds=r.seconds,
        seconds=round(time.process_time() - t0, 1),
        skips=[round(h, 3) for h in r.trace.scalars['skip_share']],
        reach=(
            [{k: round(float(v), 4) for k, v in x.items()} for x in rows]
            if method == 'drnas'
            else []
        ),
        eig=[(x['epoch'], float(x['eig'])) for x in eigs],
    )


def main():
    from dnas_nb.safe import read_json
    from dnas_nb.core import as_json, write_atomic

    rows = read_json(RESULTS, (dict, list), nan=True)['rows'] if RESULTS.exists() else []
    for seed in SEEDS:
        for m in ROWS:
            if any((r['method'], r['seed']) == (m, seed) for r in rows):
                continue
            rows.append(one(m, seed))
            print(m, seed, rows[-1]['test'], rows[-1]['seconds'], flush=True)
            write_atomic(
                RESULTS,
                as_json(
                    dict(
                        date=time.strftime('%Y-%m-%d'),
                        machine=f'{platform.machine()}, one core',
                        rows=rows,
                    )
                ),
            )


if __name__ == '__main__':
    main()
