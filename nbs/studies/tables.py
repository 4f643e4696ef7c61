"""Complete tables as arrays, one axis per choice: what a distribution is fitted to, and what judges
it. Used by the studies that need every cell of a space.
"""

import itertools

import numpy as np

GRAPHS = ('cora', 'citeseer', 'pubmed', 'cs', 'physics', 'photo', 'computers', 'arxiv')
NB201 = ('cifar10', 'cifar100', 'imagenet16_120')


def graph_rows():
    "(9, 9, 9, 9, 9): link pattern and four operations -> row of the table, -1 for no network"
    from dnas_nb.core import UserError
    from dnas_nb.domains.graphspace import Pattern, graph_table

    table = graph_table('cora')
    rows = np.full((9,) * 5, -1)
    for at in itertools.product(range(9), repeat=5):
        code = int(''.join(map(str, at)))
        try:
            rows[at] = table.row(Pattern.at(code))
        except UserError:  # four skips
            continue
    return rows


def graph_grid(name, rows=None):
    "Validation and test accuracy in %, (9, 9, 9, 9, 9); four skips have the worst of all"
    from dnas_nb.domains.graphspace import graph_table

    rows = graph_rows() if rows is None else rows
    table = graph_table(name)
    return tuple(np.where(rows < 0, v.min(), v[rows]) for v in (table.valid, table.test))


def arrays(file, *names):
    "Some arrays of a file of the data folder"
    from dnas_nb.sources import find_data

    with np.load(find_data(file), allow_pickle=False) as z:
        return [z[name] for name in names]


def pair_of(name):
    "Two arrays: what is fitted, and what judges"
    from dnas_nb.bench.tables import load
    from dnas_nb.reading.interactions import grid

    if name in GRAPHS:
        return graph_grid(name)
    if name in NB201:
        table = load('nasbench201')
        return grid(table, name, 'valid'), grid(table, name, 'test')
    if name == 'digits':
        table = load('digits201')
        return grid(table, name, 'valid'), grid(table, name, 'test')
    if name == 'macro':  # one training fits, the mean of two others judges
        choices, runs = arrays('nas_bench_macro.npz', 'choices', 'test_acc')
        runs = runs[np.lexsort(choices.T[::-1])]
        shape = (3,) * 8
        return runs[:, 0].reshape(shape), runs[:, 1:].mean(1).reshape(shape)
    if name == 'size':  # there is one figure only: it fits and judges
        channels, test = arrays('nats_bench_sss.npz', 'channels', 'cifar10_test_90')
        y = test[np.lexsort(channels.T[::-1])].reshape((8,) * 5).astype(float)
        return y, y
    raise SystemExit(f'unknown table {name!r}')
