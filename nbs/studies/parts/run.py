"""What the parts of confopt (2025) do here: each new row beside `random` and `darts`, on the embedded
digits benchmark.

Protocol, written before any figure was read. Space NAS-Bench-201, data digits, the preset of the
data but 4 epochs of search, so that all of it fits ten minutes of one core; seeds 0, 1, 2; every row
as it stands in 18_methods. Figure: mean test accuracy of the derived cell in the benchmark of all
15,625 cells (ten epochs, mean of its training seeds), its rank and its regret. Three seeds of so
short a search can show failure, not a ranking: rows are compared with `random` at the same epochs,
and all are published as they are. Machine: two cores, one process, other work beside it.

`python nbs/studies/parts/run.py` makes the runs that are missing and writes runs.csv.
"""

import datetime
import os
import sys
import tempfile
import time
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
SEEDS, EPOCHS = (0, 1, 2), 4


def one(method, seed) -> dict:
    from dnas_nb.running.experiment import run

    began = time.process_time()
    with tempfile.TemporaryDirectory() as home:
        done = run(
            Path(home) / 'run',
            method=method,
            space='nb201',
            data='digits',
            epochs=EPOCHS,
            seed=seed,
            device='cpu',
            report=False,
            tell=lambda line: None,
        )
    known = next(t for t in done.found['table'] if t['dataset'] == 'digits')
    return dict(
        method=method,
        seed=seed,
        test=round(known['test'], 3),
        rank=known['rank'],
        regret=round(known['regret'], 3),
        arch=done.found['arch'],
        cpu_seconds=round(time.process_time() - began, 1),
        date=datetime.date.today().isoformat(),
    )


def main():
    from ledger import rows_of, write

    path = HERE / 'runs.csv'
    there = {(row['method'], int(row['seed'])) for row in rows_of(path)}
    for seed in SEEDS:
        for method in ROWS:
            if (method, seed) not in there:
                write(path, [one(method, seed)])


if __name__ == '__main__':
    main()
