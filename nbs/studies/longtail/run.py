"""The study of long tails: does a fixed classifier help, and does a search beat chance?

`python nbs/studies/longtail/run.py` makes runs.csv and goes on where it was stopped. Protocol, written
before any test figure was read:

- CIFAR-100 at 16 x 16 pixels (250 training pictures a class), imbalance 100 and 50 of train + valid:
  about 5,400 and 6,200 pictures; classes in the order of their names. The test part, 10,000 pictures,
  is balanced. Where CIFAR-100 is not at hand: `--twin`, a synthetic stand-in of 20 classes, imbalance
  10 and 20, whose rows go to twin.csv.
- per imbalance and seed (0, 1, 2): first-order DARTS in the space of the chapter with a frame, 8
  channels, 2 epochs of batches of 64, architecture batches drawn evenly over the classes.
  Arms, each trained alike on train + valid (16 channels, 5 epochs, batch 64, rate 0.05 along a cosine,
  gradients clipped at norm 5): `found` (with the frame), `found, linear` (the same cell, a linear
  classifier), `random` (a uniform cell of the same space, with the frame; another one in each
  of the six), `plain, linear` (a residual cell of separable convolutions, linear classifier). A second
  random cell was dropped for the budget after the first of the six, before its figures were read.
- score: balanced accuracy on the test part after the last epoch, in %, read once; and that of the
  most frequent, middle and rarest third of the classes.
- claims: (1) the frame helps: `found` beats `found, linear` by more than one point in the mean over
  all six, and in two of three seeds at least at each imbalance. (2) the search helps: `found` beats
  `random` likewise.

Seconds are those of the processor, on one core of a shared CPU. Budget: 12 core-minutes.
"""

import argparse
import datetime
import os
import sys
import time
from pathlib import Path

os.environ.setdefault('OMP_NUM_THREADS', '1')
HERE = Path(__file__).resolve().parent
sys.path[:0] = [str(HERE.parents[2]), str(HERE.parent)]
from ledger import add, rows_of

ARMS = 'found', 'found, linear', 'random', 'plain, linear'
PLAIN = '|sep_conv_3x3~0|+|none~0|sep_conv_3x3~1|+|skip_connect~0|none~1|sep_conv_3x3~2|'


def since(start) -> float:
    return round(time.process_time() - start, 1)


def found_cell(data, seed):
    "The searched cell, and what it took"
    from dnas_nb.bilevel import Plan
    from dnas_nb.systems.longtail import framed, long_tail_space, search_tail

    start = time.process_time()
    plan = Plan(2, batch=64, lr=0.05, arch_lr=6e-3, seed=seed)
    genotype, _ = search_tail(data, framed()(long_tail_space()), plan)
    return genotype, since(start)


def one(arm, genotype, data, seed) -> dict:
    from dnas_nb.running.evaluate import Recipe, train_arch
    from dnas_nb.systems.longtail import framed, long_tail_space, thirds

    start = time.process_time()
    space = long_tail_space()
    if 'linear' not in arm:
        space = framed()(space)
    recipe = Recipe(epochs=5, batch=64, lr=0.05, C=16, n=1, clip=5.0)
    trained = train_arch(genotype, space, data, recipe, seed=seed, device='cpu')
    told = [round(100 * v, 2) for v in thirds(trained.net, data.test)]
    return dict(zip(('test', 'frequent', 'middle', 'rare'), told)) | dict(seconds=since(start))


def data_of(twin, rho, seed):
    from dnas_nb.sources import load_data
    from dnas_nb.systems.longtail import long_tail_twin, long_tailed

    whole = long_tail_twin(seed=seed) if twin else load_data('cifar100', size=16, seed=seed)
    return long_tailed(whole, rho, seed)


def main():
    p = argparse.ArgumentParser(description=__doc__.split('\n')[0])
    p.add_argument('--twin', action='store_true', help='a synthetic stand-in for CIFAR-100')
    p.add_argument('--seeds', default='0,1,2')
    a = p.parse_args()
    from dnas_nb.core import generator
    from dnas_nb.dialects import parse
    from dnas_nb.genotype import random_arch, to_str
    from dnas_nb.systems.longtail import long_tail_space

    path, space = HERE / ('twin.csv' if a.twin else 'runs.csv'), long_tail_space()
    done = {(r['rho'], r['seed']) for r in rows_of(path)}
    for seed in map(int, a.seeds.split(',')):
        for rho in (10, 20) if a.twin else (100, 50):
            if (str(rho), str(seed)) in done:
                continue
            data, rows = data_of(a.twin, rho, seed), []
            genotype, spent = found_cell(data, seed)
            for arm in ARMS:
                cell = genotype if 'found' in arm else parse(PLAIN, space)
                if 'random' in arm:
                    cell = random_arch(space, generator('long tail', 'random-1', rho, seed))
                told = one(arm, cell, data, seed)
                known = dict(rho=rho, seed=seed, arm=arm) | told
                date = str(datetime.date.today())
                rows.append(known | dict(search_seconds=spent, arch=to_str(cell), date=date))
            for row in rows:  # all arms of a seed, or none
                add(path, row)


if __name__ == '__main__':
    main()
