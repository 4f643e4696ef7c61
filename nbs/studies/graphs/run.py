"""The study of graph networks: does our training reach the table, and what do searches find in it?

`python nbs/studies/graphs/run.py alone` trains ten networks, drawn once, as the benchmark does
(alone.csv); `... search` runs rows of methods (searches.csv). Both go on where they were stopped;
`--graphs cora`, `--methods danas,darts`, `--seeds 0,1,2`, `--epochs 60` and `--loud` say which.
Seconds are those of the processor, on one core.
"""

import argparse, os, sys, time
from pathlib import Path

os.environ.setdefault('OMP_NUM_THREADS', '1')
HERE = Path(__file__).resolve().parent
sys.path[:0] = [str(HERE.parents[2]), str(HERE.parent)]
from ledger import add, rows_of

METHODS = 'random,darts,drnas,gdas,beta,danas,danas-prune'


def drawn(table, n=10):
    "Networks of the table, the same ones every time"
    import torch
    from dnas_nb.domains.graphspace import Pattern

    codes = list(table.at)
    places = torch.randint(len(codes), (n,), generator=torch.Generator().manual_seed(14))
    return [Pattern.at(codes[k]) for k in places.tolist()]


def alone(graphs, seeds):
    from dnas_nb.domains.graphs import graph_data
    from dnas_nb.domains.graphspace import graph_table, train_alone

    path = HERE / 'alone.csv'
    done = {(r['graph'], r['network'], r['seed']) for r in rows_of(path)}
    for seed in seeds:
        for name in graphs:
            labelled, table = graph_data(name), graph_table(name)
            for pattern in drawn(table):
                if (name, str(pattern), str(seed)) in done:
                    continue
                start = time.process_time()
                got = train_alone(pattern, labelled, seed=seed)
                known = table.judged(pattern)
                row = dict(graph=name, network=str(pattern), seed=seed)
                row |= dict(valid=round(got['valid'], 2), test=round(got['test'], 2))
                row |= dict(table_valid=round(known['valid'], 2))
                row |= dict(table_test=round(known['test'], 2), best_epoch=got['epoch'])
                add(path, row | dict(seconds=round(time.process_time() - start, 1)))


def search(graphs, methods, seeds, epochs, level):
    from dnas_nb.domains.graphs import graph_data
    from dnas_nb.domains.graphspace import graph_table, search_graph

    path = HERE / 'searches.csv'
    same = ('graph', 'method', 'seed', 'epochs', 'level')
    done = {tuple(r[k] for k in same) for r in rows_of(path)}
    for seed in seeds:
        for name in graphs:
            labelled, table = graph_data(name), graph_table(name)
            for method in methods:
                if (name, method, str(seed), str(epochs), str(level)) in done:
                    continue
                start = time.process_time()
                found = search_graph(labelled, method, epochs, seed, level=level)
                spent = round(time.process_time() - start, 1)
                known = {k: round(v, 2) for k, v in table.judged(found.pattern).items()}
                row = dict(graph=name, method=method, seed=seed, epochs=epochs, level=level)
                add(path, row | dict(network=str(found.pattern)) | known | dict(seconds=spent))


def main():
    p = argparse.ArgumentParser(description=__doc__.split('\n')[0])
    p.add_argument('what', choices=('alone', 'search'))
    p.add_argument('--graphs', default='cora,citeseer')
    p.add_argument('--methods', default=METHODS)
    p.add_argument('--seeds', default='0,1,2')
    p.add_argument('--epochs', type=int, default=60)
    p.add_argument('--loud', action='store_true', help='leave outputs at their scale')
    a = p.parse_args()
    graphs, seeds = a.graphs.split(','), [int(s) for s in a.seeds.split(',')]
    if a.what == 'alone':
        alone(graphs, seeds)
    else:
        search(graphs, a.methods.split(','), seeds, a.epochs, not a.loud)


if __name__ == '__main__':
    main()
