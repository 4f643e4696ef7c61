"""Would a third level find better captioners if it were heard?

`python nbs/studies/iuc/balance.py` makes balance.csv and goes on where it was stopped. Protocol,
written before any test figure of it was read, after those of run.py were known:

- why: with lambda = 1 the learner's part of the gradient has 0.006 of the length of the captioner's
  own, so three levels find what two find. That was measured after one search; whether it is why the
  third level does not help is asked here.
- `balanced`: three levels as in run.py with lambda = 0.006, which makes both parts about equally long;
  `two-level`, without a learner; `random-best`, the best of five random captioners on the validation
  mosaics. All three anew, by one version of the code: seeds 0 to 4, searches and trainings of run.py.
- score: % of tokens right on the test mosaics after the last pass, read once.
- the reason holds if `balanced` finds another captioner than `two-level` on at least four of five
  seeds and is ahead of it by more than one point in the mean and on at least three seeds. If it finds
  others and they are no better, then loudness is not what the third level lacks.
"""

import datetime
import os

os.environ.setdefault('OMP_NUM_THREADS', '1')
from run import HERE, captioner, judged, since  # also finds the package
from ledger import add, rows_of

PATH = HERE / 'balance.csv'
WAYS, LOUD = ('balanced', 'two-level', 'random-best'), 0.006


def found(way, data, others, seed):
    "A genotype, and the seconds that it took to find it"
    import time
    from dnas_nb.systems.iuc import ThreeLevels, search_captions

    if way != 'balanced':
        return captioner(way, data, others, seed)
    start = time.process_time()
    grad = ThreeLevels(others, LOUD, seed=seed)
    return search_captions(data, grad, seed)[0], since(start)


def main():
    from dnas_nb.genotype import to_str
    from dnas_nb.systems.iuc import caption_data

    done = {(r['seed'], r['way']) for r in rows_of(PATH)}
    for seed in range(5):
        data, others = caption_data(seed=seed)
        for way in WAYS:
            if (str(seed), way) in done:
                continue
            genotype, spent = found(way, data, others, seed)
            row = dict(seed=seed, way=way) | judged(genotype, data, seed)
            row |= dict(search_seconds=spent, captioner=to_str(genotype))
            add(PATH, row | dict(date=str(datetime.date.today())))


if __name__ == '__main__':
    main()
