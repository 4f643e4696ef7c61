"""Cells that halve the picture themselves: does a search find good ones on real data?

`python nbs/studies/suite/trans.py` makes trans.csv and goes on where it was stopped. Protocol, written
before any test figure of it was read (lengths were chosen by timing):

- why: the space of TransNAS-Bench-101 was built and checked, and never searched on pictures of the
  world.
- space: `transnas()`, 4,096 cells; one cell a module, so five cells, of which three halve; 8 channels.
- data: the digits, divided as in run.py: searches see one half (313 pictures train the weights, 313
  the architecture), what was found is trained on the other (627) and tested on 544.
- arms, seeds 0 to 4: `darts`, `danas`, by run.py's search of 10 passes in batches of 40; `random`, as
  in run.py: the same passes with shared weights, then the best of 16 drawn ones with these weights;
  `drawn`: two cells drawn evenly (another two for every seed), nothing chosen; and `plain`, a 3 x 3
  convolution on every edge.
- retraining: 6 passes in batches of 32, otherwise as in run.py: rates 0.1 and 0.025, and two
  seeds that are different ones for every seed of the search.
- score: % right on the test pictures after the last pass, read once; of a seed the mean of all its
  retrainings. A row of the file is a retraining.
- rule: an arm beats another if the mean difference over seeds has a 95 % interval (Student's t over
  seeds) above 0. Asked: `darts` and `danas` against `random` and against `drawn`.

Seconds are those of the processor, on one core of a two-core machine with other work on it.
"""

import argparse
import datetime
import os
import time
from itertools import product

os.environ.setdefault('OMP_NUM_THREADS', '1')
from run import HERE, RATES, found, halves, retrained, since  # also finds the package
from ledger import rows_of, write

PATH, SIZE, SEARCHED, TRAINED = HERE / 'trans.csv', (8, 1), 10, 6
ARMS = 'darts', 'danas', 'random', 'drawn', 'plain'


def candidates(arm, space, data, seed) -> list:
    from dnas_nb.core import generator
    from dnas_nb.genotype import from_ops, random_arch

    if arm == 'plain':
        return [from_ops(space, ['nor_conv_3x3'] * 6)]
    if arm == 'drawn':
        g = generator('transnas drawn', seed)
        return [random_arch(space, g) for _ in range(2)]
    return [found(arm, space, SIZE, data, seed, SEARCHED)]


def rows_for(arm, seed, space, first, second) -> list:
    from dnas_nb.genotype import to_str

    start, rows = time.process_time(), []
    cells = candidates(arm, space, first, seed)
    spent = since(start)
    seeds = 2 * seed, 2 * seed + 1
    for k, (rate, again) in product(range(len(cells)), product(RATES, seeds)):
        told = retrained(cells[k], space, SIZE, second, rate, again, TRAINED)
        known = dict(arm=arm, seed=seed, cell=k, rate=rate, again=again)
        last = dict(search_seconds=spent if not rows else 0.0, arch=to_str(cells[k]))
        rows.append(known | told | last | dict(date=str(datetime.date.today())))
    return rows


def main():
    p = argparse.ArgumentParser(description=__doc__.split('\n')[0])
    p.add_argument('--seeds', default='0,1,2,3,4')
    a = p.parse_args()
    from dnas_nb.suite import transnas

    space, (first, second) = transnas(), halves()
    done = {(r['arm'], r['seed']) for r in rows_of(PATH)}
    for seed, arm in product(map(int, a.seeds.split(',')), ARMS):
        if (arm, str(seed)) not in done:
            rows = rows_for(arm, seed, space, first, second)
            write(PATH, rows)  # all of an arm, or none
            print(seed, arm, rows[0]['search_seconds'], rows[0]['retrain_seconds'], flush=True)


if __name__ == '__main__':
    main()
