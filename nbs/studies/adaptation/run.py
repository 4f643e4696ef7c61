"""The study of domain adaptation: does a search that looks at unlabelled windows of the target find
networks that answer better there?

`python nbs/studies/adaptation/run.py` makes runs.csv and goes on where it was stopped; `--shifts`
and `--seeds` say what of it. Protocol, written before any figure of a target's test part was read:

- shifts: load 0 to load 1, 2, 3 (nine faults); size 0.007 to 0.014, 0.007 to 0.021 and 0.014 to
  0.021 inch (three kinds, all loads). Seeds 0 to 4, all shifts of one seed before the next. All
  settings are the defaults of the module, chosen on the twin.
- ways: source, mmd, adversarial. For each: a network searched that way (DANAS) and trained that
  way; a network by hand (`HAND`), trained that way; two random networks, trained that way. Of the
  two random ones that counts whose validation loss is smaller (cross-entropy of the source, plus
  the MMD of both domains where the way knows the target). Search and training together cost about
  as much as four trainings or more, so the search has the larger budget. `statistics` for the
  network by hand alone: what batch norms that see the target do without any pull.
- score: % right on the target's test part after the last epoch, read once per network.
- nearest: one nearest neighbour of log spectra among the source's train and valid windows.
- claims: (1) with the network by hand, mmd beats source by more than 2 points in the mean over
  shifts, and in at least four of six shifts; the same for adversarial. (2) searched beats the
  chosen random network by more than 2 points in the mean over shifts, way by way.
  (3) the best way and network beats the nearest neighbour in at least four of six shifts.

Networks, trainings and searches were halved for time before any verdict, when six rows of load 1
had been seen (not kept). Seconds are those of the processor, on one core of a two-core machine with
other work on it.
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

SHIFTS = 'load-1,size-007-021,load-2,size-007-014,load-3,size-014-021'
WAYS = 'source', 'mmd', 'adversarial'
HAND = 'front=spectrum depth=2 op1=conv7 shortcut=on op2=conv7 op3=conv7 end=mean hidden=64'
PATH = HERE / 'runs.csv'


def valid_loss(net, part, how) -> float:
    "What can be known without labels of the target"
    import torch
    from dnas_nb.data import classification
    from dnas_nb.systems.adaptation import answers, mmd

    loss = classification.loss(answers(net, part), part.y)
    if how != 'source':
        x, _ = part.take(torch.arange(len(part))[:256])
        with torch.no_grad():
            loss = loss + mmd(net.features(x['source']), net.features(x['target']))
    return round(loss.item(), 4)


def trained(data, genotype, how, seed) -> dict:
    from dnas_nb.genotype import to_str
    from dnas_nb.systems.adaptation import answers, train_shift

    start = time.process_time()
    net = train_shift(data, genotype, how, seed)
    right = (answers(net, data.test).argmax(1) == data.test.y).double().mean()
    told = dict(test=round(100 * right.item(), 2), valid_loss=valid_loss(net, data.valid, how))
    return dict(network=to_str(genotype), **told, train_seconds=since(start))


def since(start) -> float:
    return round(time.process_time() - start, 1)


def neighbour(name, seed) -> dict:
    from dnas_nb.data import About, Data, Part, moments
    from dnas_nb.domains.series import nearest
    from dnas_nb.systems.adaptation import shift_parts

    here, there, classes = shift_parts(name, seed)
    data = Data(*here[:2], there[2], About(name, tuple(classes), *moments(here[0].x)))
    return dict(network='', test=round(nearest(data, 'spectrum'), 2), valid_loss='')


def one(data, what, how, seed) -> dict:
    "A row: what was trained, and what it is worth"
    from dnas_nb.core import generator
    from dnas_nb.dialects import parse
    from dnas_nb.genotype import random_arch
    from dnas_nb.systems.adaptation import search_shift, shift_space

    space, spent = shift_space(data, how), 0.0
    if what == 'searched':
        start = time.process_time()
        genotype, _ = search_shift(data, how, seed=seed)
        spent = since(start)
    elif what == 'hand':
        genotype = parse(HAND, space)
    else:
        genotype = random_arch(space, generator('adaptation', what, seed))
    return trained(data, genotype, how, seed) | dict(search_seconds=spent)


def main():
    p = argparse.ArgumentParser(description=__doc__.split('\n')[0])
    p.add_argument('--shifts', default=SHIFTS)
    p.add_argument('--seeds', default='0,1,2,3,4')
    a = p.parse_args()
    import torch._dynamo  # loaded by the first optimiser: not part of any run
    from dnas_nb.systems.adaptation import shift_data

    done = {(r['shift'], r['seed'], r['what'], r['how']) for r in rows_of(PATH)}
    todo = [(what, how) for how in WAYS for what in ('hand', 'searched', 'random-1', 'random-2')]
    for seed in map(int, a.seeds.split(',')):
        for name in a.shifts.split(','):
            data = shift_data(name, seed)
            for what, how in [('nearest', ''), ('hand', 'statistics'), *todo]:
                if (name, str(seed), what, how) in done:
                    continue
                got = neighbour(name, seed) if not how else one(data, what, how, seed)
                row = dict(shift=name, seed=seed, what=what, how=how, test=got.pop('test'))
                times = dict(search_seconds=0.0, train_seconds=0.0) | got
                add(PATH, row | times | dict(date=str(datetime.date.today())))


if __name__ == '__main__':
    main()
