"""Why do learned switches end behind random channels: a layer that gets too narrow, too little
time, or weights that learn worse while their channels come and go?

`python nbs/studies/pas/reason.py` makes reason.csv and goes on where it was stopped. Protocol,
written before any figure of it was read, after those of run.py were known (there pas is behind
random by five points, nearly all of it in seed 3, whose last layer kept 1 of 64 channels):

- data, network, limit, rates and start of run.py; seeds 0 to 9, all arms anew by one version of
  the code. Seeds 0 to 4 are those of run.py.
- four passes after the start, as in run.py: `random`; `pas`, whose switches learn for two of them;
  `wide`, the same with a quarter of every layer's channels that stays on (`least`); `pas-again`
  and `wide-again`: the channels that pas or wide found, taken by the network of the start, which
  then has all four passes with fixed channels: the choice alone, without what learning it cost.
- eight passes after the start: `random-8`; `pas-8`, whose switches learn for six of them;
  `wide-8`.
- score: % right on the test pictures after the last pass, read once.
- a narrow layer is a reason if `wide` is ahead of `pas` by more than one point in the mean, and
  the whole reason if `wide` is then not behind `random` in the mean.
- time is a reason if `pas-8` comes closer to `random-8` than `pas` to `random` by more than one
  point in the mean, and the whole one if it is not behind; the same is asked of `wide`, where a
  narrow layer cannot hide it.
- the price of learning is a reason if `wide-again` is ahead of `wide` by more than one point in
  the mean, and the whole one if it is not behind `random`. If it is behind, the choice itself is
  worse than chance.

Seconds are those of the processor, on one core of a two-core machine with other work on it.
"""

import argparse
import copy
import datetime
import os
import time

os.environ.setdefault('OMP_NUM_THREADS', '1')
from run import BEFORE, HERE, SHARE, judged, numbers  # also finds the package
from ledger import add, rows_of

PATH, LEAST, RATE = HERE / 'reason.csv', 0.25, 0.02
WAYS = 'random', 'pas', 'pas-again', 'wide', 'wide-again', 'random-8', 'pas-8', 'wide-8'


def adopt(net, other):
    "The channels of another network, in a network with weights of its own"
    for mine, found in zip(net.gates, other.gates):
        mine.theta.data.copy_(found.on.to(mine.theta))


def trained(way, seed, data, start, found):
    "The network of the start after its passes; `found` keeps it for the arms after it"
    from dnas_nb.systems.pas import keep_within, multiply_adds, train_gated

    net = copy.deepcopy(start)
    limit = SHARE * multiply_adds(net).item()
    kind, _, rest = way.partition('-')
    epochs = 8 if rest == '8' else 4
    learns = kind != 'random' and rest != 'again'
    if kind == 'random':
        numbers(net, 'random', seed)
        keep_within(net, limit)
    elif rest == 'again':
        adopt(net, found[kind])
    train_gated(
        net,
        data.train,
        limit if learns else None,
        epochs,
        share=(epochs - 2) / epochs,
        lr=RATE,
        seed=seed + 100,
        least=LEAST if kind == 'wide' else 0.0,
    )
    found[way] = net
    return net


def one(way, seed, data, start, found) -> dict:
    from dnas_nb.systems.pas import multiply_adds

    begun = time.process_time()
    net = trained(way, seed, data, start, found)
    widths = ' '.join(str(int(gate.on.sum())) for gate in net.gates)
    told = dict(test=judged(net, data.test), widths=widths, macs=int(multiply_adds(net).item()))
    return told | dict(seconds=round(time.process_time() - begun, 1))


def main():
    p = argparse.ArgumentParser(description=__doc__.split('\n')[0])
    p.add_argument('--seeds', default='0,1,2,3,4,5,6,7,8,9')
    a = p.parse_args()
    from dnas_nb.core import seeded
    from dnas_nb.sources import load_data
    from dnas_nb.systems.pas import GatedNet, train_gated

    done = {(r['seed'], r['way']) for r in rows_of(PATH)}
    for seed in map(int, a.seeds.split(',')):
        if all((str(seed), way) in done for way in WAYS):
            continue
        data, found = load_data('cifar10', images=6000, size=16, seed=seed), {}
        with seeded('pas study', seed):
            start = GatedNet((3, 16, 16), 10)
        train_gated(start, data.train, None, BEFORE, seed=seed)
        for way in WAYS:
            if (str(seed), way) in done:
                if way in ('pas', 'wide'):  # the arm after it needs what it found
                    trained(way, seed, data, start, found)
                continue
            row = dict(seed=seed, way=way) | one(way, seed, data, start, found)
            add(PATH, row | dict(date=str(datetime.date.today())))


if __name__ == '__main__':
    main()
