"""Is a short search why four rows of run.py lie below `random`? The same with five times as many epochs.

Protocol, written before a figure of it was read: `attention`, `reinmax`, `gdas-reinmax`, `pc-darts`
and `random`, everything as in run.py but 20 epochs in place of 4; seeds 3 to 7, which have the short
runs already. The length is the reason of a row if its lead over `random` rises by more than two
points in the mean and on at least four of five seeds. Whether a row is then ahead of `random` is said
by Student's interval. Machine: one core each for two processes.

`python nbs/studies/parts/longer.py` makes the runs that are missing and writes longer.csv
(`--rows random,reinmax` some of them).
"""

import argparse
import sys
from pathlib import Path

HERE = Path(__file__).resolve().parent
sys.path[:0] = [str(HERE.parents[2]), str(HERE.parent)]
ROWS = 'random,attention,reinmax,gdas-reinmax,pc-darts'
SEEDS, EPOCHS = range(3, 8), 20


def main():
    from embedded import make_missing

    p = argparse.ArgumentParser(description=__doc__.split('\n')[0])
    p.add_argument('--rows', default=ROWS)
    make_missing(HERE / 'longer.csv', p.parse_args().rows.split(','), SEEDS, EPOCHS)


if __name__ == '__main__':
    main()
