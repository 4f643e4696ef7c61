"""Do the odds of the search in turns listen to weights that know nothing yet?

`python nbs/studies/d2gnas/warm.py` makes warm.csv and goes on where it was stopped. Protocol, written
before any test figure of it was read, after those of run.py were known:

- why: on its own space the search in turns ends behind random networks, most of all on Citeseer. The
  reason that was named and not tested: in the first round, which draws the set that all later paths
  come from, the odds listen to weights with ten steps behind them.
- graph: Citeseer, the split, width, training and judging of run.py `own`; seeds 0 to 4, all arms anew
  by one version of the code.
  - `turns`: as released, ten steps of the mixture before the first round.
  - `warm`: a hundred steps before it, everything else the same.
  - `uniform`: five networks drawn at random, and no search: what its last five compete with.
  - `random`: fourteen, the budget of `warm` in steps (900 of a search, five trainings of 100).
  Of each the best by validation.
- figure: test accuracy at the best validation accuracy, read once; and the mean of the validation
  accuracies of the networks that were trained: are the last five better than five at random?
- added later, before any figure of it was read: Cora (`--graph cora`), all else the same, judged by the
  same rule on its own.
- the reason holds if `warm` is ahead of `turns` by more than two points in the mean and on at least
  four of five seeds. It is the whole reason if `warm` is also not behind `random` in the mean.
"""

import argparse
import datetime
import os
import time

os.environ.setdefault('OMP_NUM_THREADS', '1')
from run import C, HERE, STEPS  # also finds the package
from ledger import rows_of, write

PATH = HERE / 'warm.csv'
WAYS = 'turns', 'warm', 'random'


def candidates(way, labelled, space, seed) -> list:
    from dnas_nb.core import generator
    from dnas_nb.genotype import random_arch
    from dnas_nb.systems.d2gnas import D2Plan, search_d2

    if way == 'random':
        g = generator('d2 warm', labelled.name, seed)
        return [random_arch(space, g) for _ in range(14)]
    plan = D2Plan(warm=100) if way == 'warm' else D2Plan()
    return search_d2(labelled, space, plan, seed=seed)[0]


def summed(graph, way, seed, found, got) -> dict:
    "The best by validation of what was trained"
    best = max(range(len(got)), key=lambda k: got[k]['valid'])
    mean = sum(k['valid'] for k in got) / len(got)
    row = dict(graph=graph, way=way, seed=seed)
    row |= {part: round(v, 2) for part, v in got[best].items()}
    return row | dict(mean_valid=round(mean, 2), trained=len(got), network=str(found[best]))


def main():
    p = argparse.ArgumentParser(description=__doc__.split('\n')[0])
    p.add_argument('--graph', default='citeseer')
    name = p.parse_args().graph
    from dnas_nb.domains.graphs import graph_data
    from dnas_nb.systems.d2gnas import d2_space, train_d2

    labelled = graph_data(name)
    space = d2_space(labelled, C)
    done = {(r['graph'], r['way'], r['seed']) for r in rows_of(PATH)}
    for seed in range(5):
        for way in WAYS:
            if (name, way, str(seed)) in done:
                continue
            start = time.process_time()
            found = candidates(way, labelled, space, seed)
            got = [train_d2(g, labelled, C, STEPS, seed=seed) for g in found]
            spent = dict(seconds=round(time.process_time() - start, 1))
            spent |= dict(date=str(datetime.date.today()))
            rows = [summed(name, way, seed, found, got) | spent]
            if way == 'random':  # the first five of them, for nothing
                few = summed(name, 'uniform', seed, found[:5], got[:5])
                rows.append(few | spent | dict(seconds=0.0))
            write(PATH, rows)


if __name__ == '__main__':
    main()
