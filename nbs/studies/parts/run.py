"""What the parts of confopt (2025) do here: each new row beside `random` and `darts`, on the embedded
digits benchmark.

Protocol, written before any figure was read. Space NAS-Bench-201, data digits, the preset of the
data but 4 epochs of search, so that all of it fits ten minutes of one core; seeds 0, 1, 2; every row
as it stands in 18_methods. Figure: mean test accuracy of the derived cell in the benchmark of all
15,625 cells (ten epochs, mean of its training seeds), its rank and its regret. Three seeds of so
short a search can show failure, not a ranking: rows are compared with `random` at the same epochs,
and all are published as they are. Machine: two cores, one process, other work beside it.

Added after the figures of those seeds were read and before any other was: ten fresh seeds, 3 to 12,
with nothing changed. They alone are judged: a row is ahead of `random` where Student's interval of the
paired differences (95 %) is above 0, and surely so where p holds after Holm's correction for ten rows.

`python nbs/studies/parts/run.py` makes the runs that are missing and writes runs.csv.
"""

import os
import sys
from pathlib import Path

os.environ.setdefault('OMP_NUM_THREADS', '1')
HERE = Path(__file__).resolve().parent
sys.path[:0] = [str(HERE.parents[2]), str(HERE.parent)]
ROWS = (
    'random',
    'darts',
    'gdas',
    'reinmax',
    'gdas-reinmax',
    'drnas-gdas',
    'attention',
    'pc-darts',
    'oles',
    'tangle',
    'darts-lora',
)
SEEDS, EPOCHS = range(13), 4


def main():
    from embedded import make_missing

    make_missing(HERE / 'runs.csv', ROWS, SEEDS, EPOCHS)


if __name__ == '__main__':
    main()
