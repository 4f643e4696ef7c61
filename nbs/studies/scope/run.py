"""The study of the moving scope: is a search in windows that move better than one in fixed ones?

`python nbs/studies/scope/run.py` makes runs.csv and goes on where it was stopped. Protocol, written
before any test figure was read:

- digits (8 x 8, all pictures) and CIFAR-10 at 16 x 16 pixels (1,000 pictures for search; the first
  3,000 of the test part judge). Chains of up to four blocks, 8 channels, kernels 1 3 5 7,
  expansions 1 to 6: 4 (24)^4 chains.
- searches, 16 epochs each: `moving`: windows of 3 that move or close every 2 epochs, down to 2;
  `fixed`: the same windows, which never move; `full`: all options. All by two paths for the
  architecture and one for the weights.
- beside them `random-1`, `random-2`: drawn at random; `plain`: all four blocks with kernel 3 and
  expansion 6, as in MobileNetV2 (plain baseline); `largest`: four blocks, kernel 7, expansion 6.
- every chain is trained from scratch for 10 passes over all search pictures (AdamW 0.01, cosine).
  A search costs about as much as two trainings: moving is compared with the mean of two random
  chains.
- score: % right on the test pictures after the last pass, read once. Seeds 0, 1, 2.
- claims: (1) moving beats fixed, and (2) moving beats the mean of the random chains, by more than
  one point in the mean over seeds on both data.

Seconds are those of the processor, on one core of a two-core machine with other work on it.
"""

import argparse
import datetime
import os
import sys
import time
from dataclasses import replace
from pathlib import Path

os.environ.setdefault('OMP_NUM_THREADS', '1')
HERE = Path(__file__).resolve().parent
sys.path[:0] = [str(HERE.parents[2]), str(HERE.parent)]
from ledger import add, rows_of

PATH = HERE / 'runs.csv'
SEARCHES = 'moving', 'fixed', 'full'
WAYS = *SEARCHES, 'random-1', 'random-2', 'plain', 'largest'


def since(start) -> float:
    return round(time.process_time() - start, 1)


def chain(way, space, data, seed):
    "A genotype, and what was noted of its search"
    from dnas_nb.bilevel import Plan
    from dnas_nb.core import generator
    from dnas_nb.genotype import from_ops, random_arch
    from dnas_nb.systems.scope import adapting, search_scope, travelled

    start, noted = time.process_time(), dict(switches='', search_seconds=0.0)
    if way in SEARCHES:
        size = None if way == 'full' else 3
        stage = adapting(2) if way == 'moving' else None
        plan = Plan(epochs=16, batch=64, lr=0.01, arch_lr=0.05, opt='adamw', wd=0.01)
        genotype, _, path = search_scope(space, data, size, stage, plan, seed)
        switches = int(travelled(path)['switches'].sum())
        return genotype, dict(switches=switches, search_seconds=since(start))
    if way in ('plain', 'largest'):
        wanted = dict(d='4', e='6', k='3' if way == 'plain' else '7')
        names = [wanted[choice.place[0]] for choice in space.groups[0].choices]
        return from_ops(space, names), noted
    return random_arch(space, generator('scope', way, seed)), noted


def judged(genotype, space, data, seed) -> dict:
    from dnas_nb.running.evaluate import Recipe, train_arch

    start, recipe = time.process_time(), Recipe(epochs=10, lr=0.01, opt='adamw', wd=0.01)
    data = replace(data, test=data.test[:3000])
    trained = train_arch(genotype, space, data, recipe, seed=seed, device='cpu')
    return dict(test=round(100 * trained.test_acc, 2), train_seconds=since(start))


def main():
    p = argparse.ArgumentParser(description=__doc__.split('\n')[0])
    p.add_argument('--seeds', default='0,1,2')
    a = p.parse_args()
    from dnas_nb.genotype import to_str
    from dnas_nb.sources import load_data
    from dnas_nb.systems.scope import chain_space

    done = {(r['data'], r['seed'], r['way']) for r in rows_of(PATH)}
    for name, size in (('digits', {}), ('cifar10', dict(images=1000, size=16))):
        for seed in map(int, a.seeds.split(',')):
            data = load_data(name, seed=seed, **size)
            space = chain_space(data)
            for way in WAYS:
                if (name, str(seed), way) in done:
                    continue
                genotype, noted = chain(way, space, data, seed)
                row = dict(data=name, seed=seed, way=way) | judged(genotype, space, data, seed)
                row |= noted | dict(chain=to_str(genotype), date=str(datetime.date.today()))
                add(PATH, row)


if __name__ == '__main__':
    main()
