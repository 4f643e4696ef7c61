"""The study of the map of cells: can it be drawn back, and is it a good place to ask on?

`python nbs/studies/svge/run.py embed` trains the autoencoders (embed.csv) and surrogates on them
(surrogate.csv); `... search` asks on the maps (runs.csv). Both go on where they were stopped.
Protocol, written before any figure of a search was read:

* Spaces: the 15,625 cells of NAS-Bench-201 and the 26,206 networks of NAS-Bench-Graph. 2,000 of
  each are held out, the rest trains the autoencoder; no accuracy is used. Seeds 0, 1, 2.
* steps: 1,500. Added after the first figure: with them 97.15 % of the held-out graphs of
  NAS-Bench-Graph were right on seed 0 (that row is kept), so that space has 3,000.
  With 3,000 it was 99.15, 98.6 and 99.25 % (rule `either`: the released reading; rows kept). Decoding
  then takes, of the readings forward, backward and either, the one whose place is nearest to z (rule
  `nearest`); the autoencoders are the same, and the three of that space were measured again.
* embed: share of held-out graphs that are decoded as they were, and that are decoded as an
  architecture of their space; of 2,000 draws (normal, with mean and deviation of the training
  places) the share that is one, of these the share of different ones, and of those the share that
  was not trained on; of 500 middles between two held-out places the share that is one.
* surrogate: 400 training cells with their validation accuracy teach a perceptron, 2,000 held-out
  ones judge it: error (points) and rank correlation, on CIFAR-10 and Cora; the same perceptron on
  the places of an untrained encoder, and on operations as zeros and ones.
* search: tables of the study of queries: NAS-Bench-201 on CIFAR-10, CIFAR-100, ImageNet16-120,
  NAS-Bench-Graph on Cora and Citeseer. 200 queries, ten at a time, 20 seeds (the map is that of
  seed % 3). A search sees validation accuracy; reported is the test accuracy of the cell that
  validates best so far, after 50, 100 and 200. `svge` asks on the map; `untrained` on the places of
  an encoder that has learned nothing; `onehot` on operations (and links) as zeros and ones: the
  same process, the same rule, nothing tuned. Random, evolution, local search and the belief `full`
  are those of `studies/queries`, the same rule of paying, seeds 0 to 19 of it.
* claims: (1) reconstruction and validity of held-out graphs are at least 99 % in both spaces, on
  every seed. (2) After 100 queries `svge` has more validation accuracy, in the mean over seeds,
  than each of random, evolution and local search, on at least four of five tables. (3) The training
  helps: more than `untrained` and than `onehot` on at least four of five tables (same figure). Test
  accuracy is reported beside it.

Seconds are those of the processor, on one core of a shared CPU with other work on it.
"""

import argparse
import datetime
import os
import sys
import time
from pathlib import Path

os.environ.setdefault('OMP_NUM_THREADS', '1')
HERE = Path(__file__).resolve().parent
sys.path[:0] = [str(HERE.parents[2]), str(HERE.parent)]
import numpy as np
import torch
import torch.nn.functional as F
from ledger import add, rows_of
from tables import arrays

SPACES = dict(nb201=('cifar10', 'cifar100', 'imagenet16_120'), graph=('cora', 'citeseer'))
LENGTH = dict(nb201=1500, graph=3000)  # steps of the autoencoder
HELD, MARKS = 2000, (50, 100, 200)


def codes():
    return arrays('nas_bench_graph.npz', 'id')[0].tolist()


def dags_of(space):
    "All graphs of a space, how many kinds of nodes there are, and operations as zeros and ones"
    from dnas_nb.domains.graphspace import Pattern
    from dnas_nb.space import nb201
    from dnas_nb.systems.svge import cell_dags, pattern_dags

    if space == 'nb201':
        ops = torch.from_numpy(arrays('nasbench201.npz', 'ops')[0].astype(np.int64))
        return cell_dags(nb201()['cell'], ops), 7, F.one_hot(ops, 5).flatten(1).double()
    digits = torch.tensor([[int(d) for d in f'{code:05d}'] for code in codes()])
    return pattern_dags(map_codes(Pattern)), 11, F.one_hot(digits, 9).flatten(1).double()


def map_codes(Pattern):
    return [Pattern.at(code) for code in codes()]


def names_of(space, dags):
    "What each graph is called in its space, None where it is not in it"
    from dnas_nb.space import nb201
    from dnas_nb.systems.svge import dag_cells, dag_patterns

    if space == 'graph':
        return [p and str(p) for p in dag_patterns(dags)]
    columns, fine = dag_cells(nb201()['cell'], dags)
    return [str(c) if ok else None for c, ok in zip(columns.tolist(), fine.tolist())]


def accuracies(table):
    "Validation and test accuracy of all rows, %"
    space, data = table.split('/')
    if space == 'graph':
        from dnas_nb.domains.graphspace import graph_table

        known = graph_table(data)
        return known.valid, known.test
    return [a.astype(float) for a in
            arrays('nasbench201.npz', f'{data}_valid_200', f'{data}_test_200')]


def parted(n, seed):
    "Rows to learn from, and rows held out"
    from dnas_nb.core import generator

    order = torch.randperm(n, generator=generator('svge held', seed))
    return order[HELD:], order[:HELD]


@torch.no_grad()
def places_of(net, dags):
    return torch.cat([net.encode(dags[k])[0] for k in torch.arange(len(dags)).split(2000)])


def trained(space, seed, dags, kinds):
    "The autoencoder, and seconds: from its file where there is one"
    from dnas_nb.core import seeded
    from dnas_nb.systems.svge import Svge, train_svge

    start = time.process_time()
    learned = dags[parted(len(dags), seed)[0]]
    net = train_svge(learned, kinds, LENGTH[space], seed=seed)
    spent = time.process_time() - start
    with seeded('svge', seed):
        fresh = Svge(kinds, dags.kinds.shape[1])
    kept = dict(svge=places_of(net, dags), untrained=places_of(fresh, dags))
    (HERE / 'runs').mkdir(exist_ok=True)
    np.savez(HERE / 'runs' / f'{space}-{seed}.npz', **{k: v.numpy() for k, v in kept.items()})
    return net, spent


def share(some) -> float:
    some = list(some)
    return round(100 * sum(some) / max(1, len(some)), 2)


def measured(space, seed, net, dags):
    "How well graphs are drawn back, and what lies elsewhere on the map"
    from dnas_nb.core import generator

    g = generator('svge draws', seed)
    train, held = parted(len(dags), seed)
    places = places_of(net, dags)
    decoded = net.decode(places[held])
    names = names_of(space, decoded)
    row = dict(right=share(decoded.same(dags[held]).tolist()))
    row |= dict(valid=share(n is not None for n in names))
    normal = torch.randn(HELD, places.shape[1], generator=g)
    drawn = places[train].mean(0) + places[train].std(0) * normal
    drawn = [n for n in names_of(space, net.decode(drawn)) if n]
    known = set(names_of(space, dags[train]))
    row |= dict(drawn_valid=round(100 * len(drawn) / HELD, 2))
    row |= dict(drawn_different=round(100 * len(set(drawn)) / max(1, len(drawn)), 2))
    row |= dict(drawn_new=share(n not in known for n in set(drawn)))
    middle = (places[held[:500]] + places[held[500:1000]]) / 2
    between = names_of(space, net.decode(middle))
    return row | dict(between_valid=share(n is not None for n in between))


def features(space, seed, onehot):
    with np.load(HERE / 'runs' / f'{space}-{seed}.npz', allow_pickle=False) as z:
        found = {k: torch.from_numpy(z[k]).double() for k in ('svge', 'untrained')}
    return found | dict(onehot=onehot)


def guessed(space, seed, onehot):
    "A surrogate on every kind of features"
    from dnas_nb.systems.svge import surrogate

    path, data = HERE / 'surrogate.csv', SPACES[space][0]
    train, held = parted(len(onehot), seed)
    valid = torch.from_numpy(accuracies(f'{space}/{data}')[0]).double()
    for name, x in features(space, seed, onehot).items():
        some = train[:400]
        error = surrogate(x[some], valid[some], seed=seed)(x[held]) - valid[held]
        ranks = torch.stack([valid[held], valid[held] + error]).argsort(1).argsort(1).double()
        row = dict(table=f'{space}/{data}', features=name, steps=LENGTH[space], seed=seed)
        row |= dict(error=round(error.square().mean().sqrt().item(), 3))
        add(path, row | dict(rank_correlation=round(torch.corrcoef(ranks)[0, 1].item(), 3)))


def surrogates_done(space, seed):
    asked = f'{space}/{SPACES[space][0]}', str(LENGTH[space]), str(seed)
    rows = rows_of(HERE / 'surrogate.csv')
    return asked in {(r['table'], r['steps'], r['seed']) for r in rows}


def embed(spaces, seeds):
    path = HERE / 'embed.csv'
    done = {(r['space'], r['steps'], r['rule'], r['seed']) for r in rows_of(path)}
    for space in spaces:
        dags, kinds, onehot = dags_of(space)
        for seed in seeds:
            key = space, str(LENGTH[space]), 'nearest', str(seed)
            if key in done and (HERE / 'runs' / f'{space}-{seed}.npz').exists():
                continue
            net, spent = trained(space, seed, dags, kinds)
            if key in done:
                continue
            row = dict(space=space, steps=LENGTH[space], rule='nearest', seed=seed)
            row |= measured(space, seed, net, dags)
            if not surrogates_done(space, seed):
                guessed(space, seed, onehot)
            add(path, row | dict(train_seconds=round(spent, 1), date=str(datetime.date.today())))


def asked(x, valid, table, seed) -> list:
    "The rows that a search asks for, in order"
    from dnas_nb.core import generator
    from dnas_nb.systems.svge import MapQueries

    search = MapQueries(x, generator('map', table, seed), room=MARKS[-1])
    while rows := search.ask():
        search.tell(rows, valid[rows])
    return search.rows


def search(spaces, seeds):
    path = HERE / 'runs.csv'
    done = {(r['table'], r['search'], r['seed']) for r in rows_of(path)}
    for space in spaces:
        onehot = dags_of(space)[2]
        for seed in seeds:
            found = features(space, seed % 3, onehot)
            for data in SPACES[space]:
                table = f'{space}/{data}'
                valid, test = accuracies(table)
                for name, x in found.items():
                    if (table, name, str(seed)) in done:
                        continue
                    start = time.process_time()
                    rows = np.array(asked(x, valid, table, seed))
                    row = dict(table=table, search=name, seed=seed)
                    for n in MARKS:
                        best = rows[valid[rows[:n]].argmax()]
                        row[f'valid_{n}'] = round(valid[best], 2)
                        row[f'test_{n}'] = round(test[best], 2)
                    row |= dict(seconds=round(time.process_time() - start, 2))
                    add(path, row | dict(date=str(datetime.date.today())))


def main():
    p = argparse.ArgumentParser(description=__doc__.split('\n')[0])
    p.add_argument('what', choices=('embed', 'search'))
    p.add_argument('--spaces', default=','.join(SPACES))
    p.add_argument('--seeds', default=None, help='first:last, the last left out')
    a = p.parse_args()
    first, last = map(int, (a.seeds or dict(embed='0:3', search='0:20')[a.what]).split(':'))
    run = dict(embed=embed, search=search)[a.what]
    run(a.spaces.split(','), range(first, last))


if __name__ == '__main__':
    main()
