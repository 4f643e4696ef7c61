"""Does what DrNAS samples narrow because it learned what to sample, or because weights learn?

The rule of nbs/papers/drnas.ipynb asks whether the range of 50 samples, judged by shared weights, is
smaller at the end than at its widest, and whether the worst sample has improved. Weights that are
trained make any sample better, so a control is missing; a reader said so when the figures were known.
Here it is, its rule written before it was run: the same search with an architecture that stays where
it began (step size 1e-9), the same 50 samples every second epoch, seeds 0 to 4, and the learning
search again beside it on the same machine. The claim is *reproduced* if in four of five seeds the old
rule holds **and** the range at the end is below that of the control; *not reproduced* if at most one
seed is below the control; otherwise *partly*.

`python nbs/studies/drnas/control.py` appends to control.csv and goes on where it was stopped.
"""

import os
import sys
import tempfile
from functools import partial
from pathlib import Path

os.environ.setdefault('OMP_NUM_THREADS', '1')
HERE = Path(__file__).resolve().parent
sys.path[:0] = [str(HERE.parents[2]), str(HERE.parent)]

import torch
from ledger import rows_of, write

OUT = HERE / 'control.csv'
ARMS = dict(learns={}, stays=dict(arch_lr=1e-9))


def one(arm, seed):
    "The samples of one search, a row for each second epoch"
    from dnas_nb.reading.landscape import probe, reach
    from dnas_nb.running.experiment import run
    from dnas_nb.sources import load_data

    split, rows = load_data('digits', seed=seed), []
    looks = probe(rows, split, partial(reach, n=50), every=2)
    given = dict(method='drnas', data='digits', seed=seed, device='cpu', report=False)
    with tempfile.TemporaryDirectory() as d:
        run(d, split=split, on_epoch=looks, **given, **ARMS[arm])
    for row in rows:
        figures = {k: round(float(row[k]), 4) for k in ('best', 'median', 'worst', 'of_mean')}
        yield dict(arm=arm, seed=seed, epoch=int(row['epoch'])) | figures


if __name__ == '__main__':
    torch.set_num_threads(1)
    done = {(r['arm'], r['seed']) for r in rows_of(OUT)}
    for seed in range(5):
        for arm in ARMS:
            if (arm, str(seed)) not in done:
                write(OUT, list(one(arm, seed)))
                print(arm, seed, flush=True)
