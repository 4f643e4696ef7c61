"A search on the embedded digits benchmark, judged by its table: what studies of rows have in common."

import datetime
import tempfile
import time
from pathlib import Path


def judged(method, seed, epochs) -> dict:
    "Space NAS-Bench-201, the preset of the digits but for the epochs; a row of figures"
    from dnas_nb.running.experiment import run

    began = time.process_time()
    with tempfile.TemporaryDirectory() as home:
        done = run(
            Path(home) / 'run',
            method=method,
            space='nb201',
            data='digits',
            epochs=epochs,
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


def make_missing(path, methods, seeds, epochs):
    "The runs that a file of figures lacks, written as they come"
    from ledger import rows_of, write

    there = {(row['method'], int(row['seed'])) for row in rows_of(path)}
    for seed in seeds:
        for method in methods:
            if (method, seed) not in there:
                write(path, [judged(method, seed, epochs)])
