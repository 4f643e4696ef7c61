"""How deep must a brief training be to judge a cell? `python nbs/studies/referee/run.py` trains
cells of NAS-Bench-201 as `climb`'s referee does, with one and with five cells per stage,
and writes nbs/studies/referee/cells.json. Resumable: what is there is kept. The cells were picked
by hand: the best of the table, convolutions everywhere, and skips too many.
"""

import argparse
import dataclasses
import os
import platform
import sys
import time
from pathlib import Path

os.environ.setdefault('OMP_NUM_THREADS', '1')
ROOT = Path(__file__).resolve().parents[3]
sys.path.insert(0, str(ROOT))
OUT = Path(__file__).resolve().parent / 'cells.json'
CELLS = '333s31 333133 313s11 333333 133s11 133133 330s33 1s3s31 303s03 3s3131 33ss33 s33s31 333s13 313333 33ps31 131p13 3s1s11 ss3331 3s3s11 1s1s11 311311 1s1p13 33ssss s3ssss'.split()
OPS = {
    '0': 'none',
    's': 'skip_connect',
    '1': 'nor_conv_1x1',
    '3': 'nor_conv_3x3',
    'p': 'avg_pool_3x3',
}


def name(cell):
    a, b, c, d, e, f = (OPS[k] for k in cell)
    return f'|{a}~0|+|{b}~0|{c}~1|+|{d}~0|{e}~1|{f}~2|'


def main(seed):
    from dnas_nb.safe import read_json
    import torch
    from dnas_nb.bench.tables import load, summary
    from dnas_nb.core import as_json, write_atomic
    from dnas_nb.sources import load_data
    from dnas_nb.running.referee import SHORT, trainer
    from dnas_nb.dialects import parse
    from dnas_nb.space import nb201

    torch.set_num_threads(1)
    done = (
        read_json(OUT, (dict, list), nan=True)
        if OUT.exists()
        else dict(
            seed=seed,
            date=time.strftime('%Y-%m-%d'),
            machine=platform.machine(),
            torch=torch.__version__,
            rows=[],
        )
    )
    have, split, space = (
        {(r['depth'], r['cell']) for r in done['rows']},
        load_data('cifar10', 10_000, 16, seed),
        nb201(),
    )
    table = load('nasbench201')

    def worth(g):
        return next(
            r
            for r in summary(table, g).to_dict('records')
            if r['dataset'] == 'cifar10' and r['epochs'] == 200
        )['valid']

    for depth in (5, 1):
        fresh = trainer(space, split, seed, dataclasses.replace(SHORT, n=depth))
        for cell in CELLS:
            if (depth, cell) in have:
                continue
            g, t = parse(name(cell), space), time.process_time()
            done['rows'].append(
                dict(
                    depth=depth,
                    cell=cell,
                    arch=name(cell),
                    accuracy=round(100 * fresh(g), 2),
                    seconds=round(time.process_time() - t, 1),
                    table_valid=round(float(worth(g)), 2),
                )
            )
            write_atomic(OUT, as_json(done))
            print(done['rows'][-1], flush=True)


if __name__ == '__main__':
    p = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    p.add_argument('--seed', type=int, default=100)
    main(p.parse_args().seed)
