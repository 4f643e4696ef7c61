"""The study of pruning as search: do learned switches find better widths than chance?

`python nbs/studies/pas/run.py` makes runs.csv and goes on where it was stopped. Protocol, written
before any test figure was read:

- CIFAR-10 at 16 x 16 pixels, 3,000 pictures train, the first 3,000 of the test part judge: far less
  than usual, for two busy cores. Network: widths 16 16 32 32 64, strides 1 1 2 1 2.
- one network is trained for 5 passes; from there, at a limit of 40 % of its multiply-adds, each way
  has 4 passes more, by the same rates:
  pas: switches learn for 2 passes, then the limit holds;
  magnitude: the channels with the smallest kernels (L1 of the merged kernel over the layer's mean)
  go at once; random: channels drawn at random go at once; uniform: the same share of every layer,
  the smallest kernels of it. `full`: nothing goes, 4 passes more.
- score: % right on the test pictures after the last pass, read once. Seeds 0 to 4.
- claim: pas beats random and uniform by more than one point each, in the mean over seeds and in at
  least four of five seeds.

Seconds are those of the processor, on one core of a two-core machine with other work on it.
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

PATH = HERE / 'runs.csv'
WAYS = 'full', 'pas', 'random', 'magnitude', 'uniform'
SHARE, BEFORE, AFTER = 0.4, 5, 4


def judged(net, part) -> float:
    from dnas_nb.running.evaluate import judge

    return round(100 * judge(net, part[:3000])[1], 2)


def numbers(net, way, seed):
    "What stands behind the switches, so that `keep_within` drops the right channels"
    import torch
    from dnas_nb.core import generator

    g = generator('pas study', seed)
    for block in net.blocks:
        n = len(block.gate.theta)
        size = block.merged()[0].abs().sum((1, 2, 3))
        if way == 'random':
            value = torch.rand(n, generator=g)
        elif way == 'magnitude':
            value = size / size.mean()
        else:
            value = size.argsort().argsort() / n  # rank within the layer
        block.gate.theta.data.copy_(0.6 + value)


def one(way, seed, data, start) -> dict:
    import copy
    from dnas_nb.systems.pas import keep_within, multiply_adds, train_gated

    net, begun = copy.deepcopy(start), time.process_time()
    limit = SHARE * multiply_adds(net).item()
    if way in ('random', 'magnitude', 'uniform'):
        numbers(net, way, seed)
        keep_within(net, limit)
    train_gated(net, data.train, limit if way == 'pas' else None, AFTER, lr=0.02, seed=seed + 100)
    widths = ' '.join(str(int(gate.on.sum())) for gate in net.gates)
    told = dict(test=judged(net, data.test), widths=widths, macs=int(multiply_adds(net).item()))
    return told | dict(seconds=round(time.process_time() - begun, 1))


def main():
    p = argparse.ArgumentParser(description=__doc__.split('\n')[0])
    p.add_argument('--seeds', default='0,1,2,3,4')
    a = p.parse_args()
    from dnas_nb.core import seeded
    from dnas_nb.sources import load_data
    from dnas_nb.systems.pas import GatedNet, train_gated

    done = {(r['seed'], r['way']) for r in rows_of(PATH)}
    for seed in map(int, a.seeds.split(',')):
        if all((str(seed), way) in done for way in WAYS):
            continue
        data = load_data('cifar10', images=6000, size=16, seed=seed)
        begun = time.process_time()
        with seeded('pas study', seed):
            start = GatedNet((3, 16, 16), 10)
        train_gated(start, data.train, None, BEFORE, seed=seed)
        spent = round(time.process_time() - begun, 1)
        for way in WAYS:
            if (str(seed), way) not in done:
                row = dict(seed=seed, way=way) | one(way, seed, data, start)
                add(PATH, row | dict(start_seconds=spent, date=str(datetime.date.today())))


if __name__ == '__main__':
    main()
