"""The study of DARTS-Bench-Suite: does a ranking of methods hold from space to space, and from one
setting of the retraining to the next?

`python nbs/studies/suite/run.py` makes runs.csv and goes on where it was stopped.

PROTOCOL, written before any test figure of a search was read (the lengths were chosen by timing, and
by the test figures of ten random architectures, which are none of the rows):

- spaces: the nine of `dnas_nb.suite`, wide, deep and single with all operations, without the skip, and
  with a skip of its own beside every edge. The skeletons are smaller: wide 6 channels and 3 cells
  (suite: 18 and 4), deep 4 channels and 5 cells (7 and 18), single 12 channels (26).
- data: the digits at 8 x 8 pixels, always divided in the same way (seed 0). As in the suite, a search
  sees one half of the pictures that are not for the test, halved once more (313 train weights, 313 the
  architecture), and what was found is trained on the other half (627) and tested on 544.
- methods: darts, drnas, gdas, danas, and `random`, the baseline: the same passes with shared weights
  and no learning of the architecture, then the best of 16 architectures drawn evenly, each in its own
  network with inherited weights on the 313 validation pictures. That is the only choice that
  validation makes beside moving the architecture; no search, setting or seed is chosen by it.
- search: 2 passes in batches of 40 (16 steps), rate 0.05 of the weights along a cosine, 0.05 of the
  architecture, first order, the same for all methods; seeds 0, 1, 2. The suite: 100 passes (GDAS 300),
  and of three searches the one with the lowest validation loss.
- retraining, of every search: 3 passes in batches of 32, gradients clipped at norm 5, weight decay
  3e-4, rate 0.1 or 0.025 (two of the three of the suite), seeds 0 and 1; its width and depth are those
  of the search. The suite: 300 passes, nine settings, one seed.
- score: % right on the test pictures after the last pass, read once. A row of the file is a
  retraining; the four of a search are written together.
- order: seed 0 of all 45 pairs of method and space, then seed 1, then seed 2. Where the time does not
  suffice, whole seeds count, and the rest is run later by the same version of the code.

Asked, of the scores:

- shares of variance, by an exact balanced decomposition: space, method, setting, their interactions,
  and within them search seed and retraining seed. Beside the suite: method 4.6, setting 38.6, space
  30.2 %.
- rank correlation (Kendall's tau) of the five methods between pairs of spaces and between the two
  settings, with an interval by drawing search seeds again; beside the suite's median 0.33 (best of the
  settings) and 0.19 (their mean). And the same between two searches with different seeds in one space:
  what a ranking repeats of itself there is the most that another space can repeat.
- a ranking holds if the lower end of the 95 % interval of the median tau between spaces is above 0
  and the median is at least 0.5; it does not hold if the median is below 0.33; else it is open.
- a method beats `random` if the mean difference, paired by space and seed, over all nine spaces, has
  an interval (by drawing spaces again) above 0. (2026-11-30, after the fact: by Student's t, which is
  stricter; of nine values a bootstrap covers too rarely.)

Seconds are those of the processor, on one core of a two-core machine with other work on it.
"""

import argparse
import datetime
import os
import sys
import time
from itertools import product
from pathlib import Path

os.environ.setdefault('OMP_NUM_THREADS', '1')
HERE = Path(__file__).resolve().parent
sys.path[:0] = [str(HERE.parents[2]), str(HERE.parent)]
from ledger import rows_of, write

PATH = HERE / 'runs.csv'
METHODS = 'darts', 'drnas', 'gdas', 'danas', 'random'
SIZES = dict(wide=(6, 3), deep=(4, 5), single=(12, 1))  # channels, cells
SETS = 'regular', 'noskip', 'allskip'
RATES, AGAIN, DRAWN = (0.1, 0.025), (0, 1), 16


def since(start) -> float:
    return round(time.process_time() - start, 2)


def halves() -> tuple:
    "The pictures of the searches, and those of the retrainings"
    from dataclasses import replace
    from dnas_nb.sources import load_data

    data = load_data('digits', seed=0)
    n, m = len(data.train) // 2, len(data.valid) // 2
    first = replace(data, train=data.train[:n], valid=data.valid[:m])
    return first, replace(data, train=data.train[n:], valid=data.valid[m:])


def found(method, space, size, data, seed, passes=2, batch=40):
    "The architecture that a search ends with"
    from dnas_nb.bilevel import Plan, dists, evaluate, search, start
    from dnas_nb.core import seeded
    from dnas_nb.derive import Judge, best_of
    from dnas_nb.fast import fast
    from dnas_nb.methods import METHODS as KNOWN
    from dnas_nb.supernet import Spec

    row, (C, n) = KNOWN[method], size
    plan = Plan(passes, batch=batch, lr=0.05, arch_lr=0.05, seed=seed)
    with seeded('suite study', seed):
        net = fast(space.supernet(Spec(C, n, 10, 1, batch_stats=True)), False)
    state = start(net, row, plan)
    for state in search(state, row, data.search, plan):
        pass

    def inherited(g) -> float:  # in its own network: kept skips leave with their edges
        return evaluate(space.extract(g, state.net), None, data.valid, most=None)[1]

    rule = best_of(DRAWN) if method == 'random' else row.derive
    return rule(dists(state, row), space, Judge(shared=inherited), seed)


def retrained(genotype, space, size, data, rate, again, passes=3) -> dict:
    from dnas_nb.running.evaluate import Recipe, train_arch

    start = time.process_time()
    C, n = size
    recipe = Recipe(epochs=passes, batch=32, lr=rate, C=C, n=n, clip=5.0)
    trained = train_arch(genotype, space, data, recipe, seed=again, device='cpu')
    test = round(100 * trained.test_acc, 3)
    return dict(test=test, weights=trained.weights, retrain_seconds=since(start))


def rows_for(method, skeleton, ops, seed, first, second) -> list:
    "A search and its retrainings"
    from dnas_nb.genotype import to_str
    from dnas_nb.suite import suite

    start, size = time.process_time(), SIZES[skeleton]
    space, _ = suite(skeleton, ops)
    genotype, rows = found(method, space, size, first, seed), []
    spent = since(start)
    for rate, again in product(RATES, AGAIN):
        told = retrained(genotype, space, size, second, rate, again)
        known = dict(skeleton=skeleton, ops=ops, method=method, seed=seed, rate=rate, again=again)
        # the search is counted once
        last = dict(search_seconds=spent if not rows else 0.0, arch=to_str(genotype))
        rows.append(known | told | last | dict(date=str(datetime.date.today())))
    return rows


def main():
    p = argparse.ArgumentParser(description=__doc__.split('\n')[0])
    p.add_argument('--seeds', default='0,1,2')
    a = p.parse_args()
    import torch

    torch.set_num_threads(1)
    first, second = halves()
    done = {(r['skeleton'], r['ops'], r['method'], r['seed']) for r in rows_of(PATH)}
    for seed in map(int, a.seeds.split(',')):
        for ops, skeleton, method in product(SETS, SIZES, METHODS):
            if (skeleton, ops, method, str(seed)) not in done:
                rows = rows_for(method, skeleton, ops, seed, first, second)
                write(PATH, rows)  # all of a search, or none
                tests = [row['test'] for row in rows]
                print(seed, skeleton, ops, method, rows[0]['search_seconds'], *tests, flush=True)


if __name__ == '__main__':
    main()
