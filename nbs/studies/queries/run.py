"""Query searches on sixteen tables: does the learned matrix of DANAS help at equal queries?

Protocol, written before any test figure of a reported table was read:

* A search sees validation accuracy alone. What is reported after n queries is the test accuracy of
  the cell that validates best among the first n (`test`), and its validation accuracy (`valid`);
  the area is the mean over n = 1 to 500 of either. Nothing is paid twice, by any search: a repeat
  gets its answer for nothing, and a search that repeats itself for ever (more than six times as
  many asks as queries) keeps what it has. On graphs two genotypes of one network are one cell.
* Tables: NAS-Bench-201 (three data sets, 200 epochs), NAS-Bench-Macro (the first run's figure
  stands for validation, the mean of the other two is reported), NATS-Bench size (three data sets;
  there is no validation figure, so the one test figure is compared and reported), NAS-Bench-Graph
  (nine graphs; proteins with five operations instead of nine).
* Searches: frozen, diagonal, full, placebo, pairs (`bench.queries`); random, evolution (ten
  members, three compete), local search (`bench.baselines`): 50 seeds, 500 queries. CMA-ES with the
  whole matrix and with a diagonal one (library cmaes, as Optuna's sampler uses it, on the logits,
  winner of each edge, its own defaults, step size 1) and TPE (library optuna, categorical, its own
  defaults): 20 seeds, 200 queries, since they are slow.
* Ours ask for ten cells at a time, and from 100 on for a tenth of what is known.
* Tuned by `tune` for every arm of ours alike, on NAS-Bench-201 ImageNet16-120 and the graphs photo
  and physics, seeds 1000 to 1003, 300 queries, by validation accuracy alone: nine settings of
  noise and heat for each arm, six for pairs, whose third number stays 0.1. A setting is judged by
  its mean area (each table from its random mean, 0, to its best, 1). The noise of frozen,
  diagonal, full and placebo is one, the best for the four together, so that they have the same
  mean and differ in the matrix and the heat, which is the best of each; pairs has its best
  setting. These three tables are reported too, with other seeds, and are marked as tuning tables;
  they are not counted in verdicts.
* Questions, in this order: full less diagonal, full less frozen, full less placebo, full less the
  best of random, evolution and local by mean area on that table; also pairs less full. Figures: the
  area of the validation curve (what the search sees and what it is asked for), and the area of the
  test curve. Differences are paired over seeds (frozen, diagonal, full, placebo and pairs begin
  with the same ten cells); intervals of 95 % by bootstrap, p by Wilcoxon's signed ranks, corrected
  by Holm over the tables. (2026-11-30, after the fact: of fewer than twenty seeds intervals are
  Student's t, which is stricter; verdicts rest on p.)

While the searches were designed, curves on the tuning tables were looked at (test figures of
ImageNet16-120 and photo among them), and validation curves of one seed on CIFAR-10 and Macro.

`python nbs/studies/queries/run.py tune` writes tune.csv; `... search` runs.csv, a row for each run
(areas, and accuracies after 10 to 500 queries). Both go on where they were stopped; `--tables`,
`--searches` and `--seeds 0:50` say what of it.
"""

import argparse, itertools, os, sys, time
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

os.environ.setdefault('OMP_NUM_THREADS', '1')
HERE = Path(__file__).resolve().parent
sys.path[:0] = [str(HERE.parents[2]), str(HERE.parent)]
import numpy as np
import torch
from ledger import rows_of, write

NB201 = 'cifar10', 'cifar100', 'imagenet16_120'
GRAPHS = 'cora', 'citeseer', 'pubmed', 'cs', 'physics', 'photo', 'computers', 'arxiv', 'proteins'
TABLES = [f'nb201/{d}' for d in NB201] + ['macro/cifar10'] + [f'size/{d}' for d in NB201]
TABLES += [f'graph/{g}' for g in GRAPHS]
TUNED_ON = 'nb201/imagenet16_120', 'graph/photo', 'graph/physics'
OURS = 'frozen', 'diagonal', 'full', 'placebo', 'pairs'
PLAIN = 'random', 'evolution', 'local'
SLOW = 'cma', 'cma-diagonal', 'tpe'
MARKS = 10, 20, 50, 100, 200, 500


@dataclass(frozen=True, eq=False)
class Grid:
    "A table as arrays"

    name: str
    rows: np.ndarray  # (K1, ..., KE) the row of every combination of options, -1: no network
    valid: np.ndarray  # (R,) %
    test: np.ndarray  # (R,) %

    @property
    def live(self):
        sizes = torch.tensor(self.rows.shape)
        return torch.arange(int(sizes.max())) < sizes[:, None]

    def row(self, cell) -> int:
        return int(self.rows[tuple(cell)])

    def code(self, cells):
        "(n,) rows of (n, E) cells"
        return torch.as_tensor(self.rows[tuple(cells.numpy().T)], dtype=torch.long)


@lru_cache
def graph_rows():
    "(9, 9, 9, 9, 2, 3, 4) rows of NAS-Bench-Graph for four operations and three links"
    from dnas_nb.core import UserError
    from dnas_nb.domains.graphspace import GRAPH_OPS, Pattern, graph_table

    table = graph_table('cora')
    rows = np.full((9,) * 4 + (2, 3, 4), -1, np.int32)
    for at in np.ndindex(rows.shape):
        pattern = Pattern((0, *at[4:]), tuple(GRAPH_OPS[o] for o in at[:4]))
        try:
            rows[at] = table.row(pattern)
        except UserError:  # four skips
            pass
    return rows


def of_graph(name):
    from dnas_nb.domains.graphspace import graph_table
    from dnas_nb.safe import read_arrays
    from dnas_nb.sources import find_data

    rows = graph_rows()
    if name != 'proteins':
        table = graph_table(name)
        return rows, table.valid, table.test
    z = read_arrays(find_data('nas_bench_graph.npz'))
    whole = {code: k for k, code in enumerate(z['id'].tolist())}
    here = np.full(len(whole) + 1, -1)
    for k, code in enumerate(z['proteins_id'].tolist()):
        here[whole[code]] = k
    rows = here[rows]  # -1 stays -1: the last entry
    used = [np.unique(np.nonzero(rows >= 0)[axis]) for axis in range(7)]
    rows = rows[np.ix_(*used)]
    valid, test, *_ = z['proteins'].T.astype(float)
    return rows, 100 * valid, 100 * test


@lru_cache
def grid(name) -> Grid:
    "A table by name"
    from dnas_nb.bench.tables import accuracies, load
    from dnas_nb.safe import read_arrays
    from dnas_nb.sources import find_data

    kind, data = name.split('/')
    if kind == 'graph':
        return Grid(name, *of_graph(data))
    if kind == 'nb201':
        z = read_arrays(find_data('nasbench201.npz'))
        rows = np.full((5,) * 6, -1, np.int32)
        rows[tuple(z['ops'].T)] = np.arange(len(z['ops']))
        valid, test = z[f'{data}_valid_200'], z[f'{data}_test_200']
    elif kind == 'size':
        z = read_arrays(find_data('nats_bench_sss.npz'))
        rows = np.full((8,) * 5, -1, np.int32)
        rows[tuple((z['channels'] // 8 - 1).T)] = np.arange(len(z['channels']))
        valid = test = z[f'{data}_test_90']
    else:
        table = load('nas_bench_macro')
        rows = np.full((3,) * 8, -1, np.int32)
        for k, arch in enumerate(table.frame.index):
            rows[tuple(map(int, arch))] = k
        one, two, three = (accuracies(table, data, seeds=str(k)).to_numpy() for k in (1, 2, 3))
        valid, test = one, (two + three) / 2
    return Grid(name, rows, valid.astype(float), test.astype(float))


@dataclass(frozen=True)
class Unbuilt:
    "The plan of a space that no network is built of"

    def check(self, space):
        pass


class Spent(Exception):
    "The budget is used up"


class Ledger:
    "Answers, each paid once"

    def __init__(self, grid, budget):
        self.grid, self.budget = grid, budget
        self.order, self.asks, self.known = [], 0, set()

    def __call__(self, cell) -> float:
        row = self.grid.row(cell)
        self.asks += 1
        if self.asks > 6 * self.budget:
            raise Spent
        if row < 0:
            return float(self.grid.valid.min())
        if row not in self.known:
            if len(self.order) == self.budget:
                raise Spent
            self.known.add(row)
            self.order.append(row)
        return float(self.grid.valid[row])


def ours(grid, ledger, seed, rule):
    from dnas_nb.bench.queries import Queries
    from dnas_nb.core import generator

    search = Queries(grid.live, rule, generator('queries', seed), grid.code)
    while (left := ledger.budget - len(ledger.order)) > 0:
        cells = search.ask(min(left, max(10, len(ledger.order) // 10)))
        if not len(cells):
            return
        search.tell(cells, [ledger(cell) for cell in cells.tolist()])


def plain(grid, ledger, seed, name):
    "The package's baselines, on genotypes of a group with as many choices"
    from dnas_nb.bench.baselines import SEARCHES
    from dnas_nb.space import Choice, Group, Space

    choices = []
    for k, size in enumerate(grid.rows.shape):
        choices.append(Choice(f'c{k}', tuple(f'o{o}' for o in range(size))))
    space = Space('grid', (Group('net', tuple(choices)),), Unbuilt())

    def accuracy(g):
        return ledger([int(option[1:]) for _, option in g.groups[0][1]])

    SEARCHES[name](accuracy, space, budget=10**9, seed=seed)


def cma(grid, ledger, seed, name):
    from cmaes import CMA, SepCMA

    live = grid.live.numpy()
    kind = CMA if name == 'cma' else SepCMA
    search = kind(mean=np.zeros(live.sum()), sigma=1.0, seed=seed)
    while True:
        answers = []
        for _ in range(search.population_size):
            z = search.ask()
            logits = np.full(live.shape, -np.inf)
            logits[live] = z
            answers.append((z, -ledger(logits.argmax(1).tolist())))
        search.tell(answers)


def tpe(grid, ledger, seed):
    import optuna

    optuna.logging.set_verbosity(optuna.logging.ERROR)
    study = optuna.create_study(sampler=optuna.samplers.TPESampler(seed=seed), direction='maximize')
    while True:
        trial = study.ask()
        cell = []
        for k, size in enumerate(grid.rows.shape):
            cell.append(trial.suggest_categorical(f'c{k}', list(range(size))))
        study.tell(trial, ledger(cell))


def rules():
    "The rule of every arm, as tuned"
    from dnas_nb.bench.queries import Rule

    scores = {}
    for r in rows_of(HERE / 'tune.csv'):
        key = r['search'], float(r['noise']), float(r['heat'])
        scores.setdefault(key, []).append(float(r['score']))
    means = {key: np.mean(found) for key, found in scores.items()}
    same = OURS[:4]  # the forms with one mean have one noise

    def best(search, noise=None):
        own = [k for k in means if k[0] == search and noise in (None, k[1])]
        return max(own, key=means.get)

    noises = {noise for _, noise, _ in means}
    common = max(noises, key=lambda noise: sum(means[best(s, noise)] for s in same))
    return {s: Rule(*best(s, common if s in same else None)) for s in OURS}


def searched(table, search, seed, budget, rule=None):
    "(valid, test) after 1 to `budget` queries; the last one goes on where a search repeats itself"
    from dnas_nb.bench.baselines import best_so_far

    g, ledger = grid(table), Ledger(grid(table), budget)
    try:
        if search in OURS:
            ours(g, ledger, seed, rule)
        elif search in PLAIN:
            plain(g, ledger, seed, search)
        elif search == 'tpe':
            tpe(g, ledger, seed)
        else:
            cma(g, ledger, seed, search)
    except Spent:
        pass
    valid, test = g.valid[ledger.order], g.test[ledger.order]
    best = best_so_far(valid)
    best = np.append(best, np.full(budget - len(best), best[-1]))
    return valid[best], test[best]


def random_mean(g, budget, draws=400):
    "Mean area of the validation curve of uniform draws"
    rng = np.random.default_rng(0)
    there = np.unique(g.rows[g.rows >= 0])
    areas = []
    for _ in range(draws):
        drawn = rng.permutation(there)[:budget]
        areas.append(np.maximum.accumulate(g.valid[drawn]).mean())
    return np.mean(areas)


def tune(seeds, budget=300):
    from dnas_nb.bench.queries import Rule

    path = HERE / 'tune.csv'
    keys = 'table', 'search', 'noise', 'heat', 'seed'
    done = {tuple(r[k] for k in keys) for r in rows_of(path)}
    low = {t: random_mean(grid(t), budget) for t in TUNED_ON}
    heats = dict.fromkeys(('diagonal', 'full', 'placebo'), (0.25, 0.5, 1.0))
    heats |= dict(frozen=(0.03, 0.1, 0.3), pairs=(0.05, 0.1, 0.3))
    for seed, search in itertools.product(seeds, OURS):
        noises = (0.3, 1.0) if search == 'pairs' else (0.1, 0.3, 1.0)
        for noise, heat, table in itertools.product(noises, heats[search], TUNED_ON):
            if (table, search, str(noise), str(heat), str(seed)) in done:
                continue
            valid, _ = searched(table, search, seed, budget, Rule(search, noise, heat))
            score = (valid.mean() - low[table]) / (grid(table).valid.max() - low[table])
            row = dict(table=table, search=search, noise=noise, heat=heat, seed=seed)
            write(path, [row | dict(score=round(float(score), 5))])
        print('tune', seed, search, flush=True)


def search(tables, searches, seeds):
    path, tuned = HERE / 'runs.csv', rules()
    done = {(r['table'], r['search'], r['seed']) for r in rows_of(path)}
    for block in range(seeds[0], seeds[-1] + 1, 10):
        for table, name in itertools.product(tables, searches):
            start = time.process_time()
            for seed in range(block, min(block + 10, seeds[-1] + 1)):
                slow = name in SLOW
                if (table, name, str(seed)) in done or slow and seed >= 20:
                    continue
                budget = 200 if slow else 500
                valid, test = searched(table, name, seed, budget, tuned.get(name))
                save(path, table, name, seed, valid, test)
            print(table, name, block, round(time.process_time() - start, 1), flush=True)


def save(path, table, name, seed, valid, test):
    "One run: areas, and what there was at the marks; empty: not searched so far"
    row = dict(table=table, search=name, seed=seed)
    for label, curve in dict(valid=valid, test=test).items():
        row[f'area_{label}'] = f'{curve.mean():.3f}' if len(curve) >= MARKS[-1] else ''
    for n, (label, curve) in itertools.product(MARKS, dict(valid=valid, test=test).items()):
        row[f'{label}_{n}'] = f'{curve[n - 1]:.2f}' if len(curve) >= n else ''
    write(path, [row])


def main():
    p = argparse.ArgumentParser(description=__doc__.split('\n')[0])
    p.add_argument('what', choices=('tune', 'search'))
    p.add_argument('--tables', default=','.join(TABLES))
    p.add_argument('--searches', default=','.join(PLAIN + OURS))
    p.add_argument('--seeds', help='first:last, the last left out')
    a = p.parse_args()
    first, last = map(int, (a.seeds or ('1000:1004' if a.what == 'tune' else '0:50')).split(':'))
    seeds = list(range(first, last))
    if a.what == 'tune':
        tune(seeds)
    else:
        search(a.tables.split(','), a.searches.split(','), seeds)


if __name__ == '__main__':
    main()
