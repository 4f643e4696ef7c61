"""What dependence is worth, exactly: expected accuracy against entropy on complete tables.

`python nbs/studies/gibbs/run.py` writes curves.csv and goes on where it was stopped; `--tables
cora,cifar10` says what of it, `--shares` writes how each table's variance is split (shares.csv). Each family is fitted to the validation figures of a table at a given
entropy; both the fitted and the test expectation are written. Where a table has no validation
figures, one training fits and others judge (macro), or one figure does both (size). Everything is
decided here, before a test figure is read, but for the 600 steps a level of the field of pairs, which
were 150 until its validation figures showed that they were too few: 40 starts of independent edges,
150 steps a level of the normal, one seed.
"""

import argparse
import sys
import time
from pathlib import Path

import torch

HERE = Path(__file__).resolve().parent
sys.path[:0] = [str(HERE.parents[2]), str(HERE.parent)]
from ledger import add, rows_of, write

TABLES = (
    'cora,citeseer,cifar10,cifar100,imagenet16_120,macro,size,digits,photo,physics,'
    'pubmed,cs,computers,arxiv'
)
LEVELS = (8.0, 7.0, 6.0, 5.0, 4.0, 3.0, 2.0)
OUT = HERE / 'curves.csv'


def rows(table, family, both, levels, seconds):
    "One row for every level: what the distribution expects on both arrays"
    for level, p in levels.items():
        values = [float((p.double() * torch.as_tensor(y)).sum()) for y in both]
        fitted, judged = (round(v, 4) for v in values)
        yield dict(table=table, family=family, nats=level, fitted=fitted, judged=judged,
                   seconds=seconds)


def made(family, Y):
    "Level -> probabilities"
    from dnas_nb.gibbs import cell_probabilities, cool, field, gibbs, mean_field, normal

    if family == 'gibbs':
        return {h: gibbs(Y, h)[0] for h in LEVELS}
    if family == 'independent':
        return {h: cell_probabilities(mean_field(Y, h)[None]) for h in LEVELS}
    kind, steps = dict(normal=(normal, 150), field=(field, 600))[family]
    return {h: fit.p for h, fit in cool(kind, Y, LEVELS, steps=steps).items()}


def shares(tables):
    "How much of the variance of what is fitted is owed to 1, 2, more choices; its spread in points"
    from dnas_nb.reading.interactions import decompose
    from tables import pair_of

    path = HERE / 'shares.csv'
    path.unlink(missing_ok=True)
    for name in tables:
        Y = pair_of(name)[0]
        one, two, *more = decompose(Y).shares
        values = dict(spread=Y.std(), single=one, pairs=two, more=sum(more))
        add(path, dict(table=name) | {k: round(float(v), 4) for k, v in values.items()})


def main():
    p = argparse.ArgumentParser(description=__doc__.split('\n')[0])
    p.add_argument('--tables', default=TABLES)
    p.add_argument('--shares', action='store_true')
    a = p.parse_args()
    from tables import pair_of

    torch.set_num_threads(1)
    if a.shares:
        return shares(a.tables.split(','))
    for name in a.tables.split(','):
        done = [r['family'] for r in rows_of(OUT) if r['table'] == name]
        todo = [f for f in ('gibbs', 'independent', 'field', 'normal') if f not in done]
        if not todo:
            continue
        both = pair_of(name)
        for family in todo:
            start = time.process_time()
            levels = made(family, torch.as_tensor(both[0]))
            seconds = round(time.process_time() - start, 1)
            write(OUT, list(rows(name, family, both, levels, seconds)))
            print(name, family, f'{seconds} s', flush=True)


if __name__ == '__main__':
    main()
