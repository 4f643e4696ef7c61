"""Does a learned correlation pay at equal entropy? Learned, frozen and placebo on the same evidence.

`python nbs/studies/dependence/run.py --evidence table` appends to runs.csv and goes on where it was
stopped (`--graphs cora --seeds 0,1,2` says what of it).

Protocol, written before a test figure of Cora or Citeseer was read by it:

* Evidence of one seed: 1,000 cells drawn uniformly from the 59,049 of NAS-Bench-Graph's grid, each
  with one figure. `table`: the benchmark's validation accuracy; `brief`: the validation score of
  a brief training of ours, drawn from the cells whose networks the study of judges has trained
  (nbs/studies/fidelity_graphs/brief_GRAPH.csv, a uniform sample of the networks), with replacement,
  because few more than 1,000 are trained: without, the seeds would be nearly one. `shared`:
  validation accuracy with shared weights, 400 steps of single paths drawn evenly, trained anew for
  every seed (training seed 100 + seed; the judge `paths` of nbs/studies/fidelity_graphs, settings
  unchanged). Its Kendall tau with the table on the same cells is written to fidelity.csv.
* Figures below the median are raised to it. A ridge regression on single choices and a kernel
  regression of what it leaves guess every cell.
* frozen: independent edges, the best of twenty starts, fitted to the guess. learned: the correlated
  normal, fitted to the same guess. placebo: the correlated normal, fitted to a guess whose
  interactions come from shuffled evidence and are scaled to the same spread.
* All at 7, 5 and 3 nats; 5 is the headline. Judged by the mean test accuracy that the distribution
  expects (what samples estimate), by that of the set that pruning keeps (three options of each
  choice, with and without conditioning on the sure ones), and by the likeliest cell.
* Seeds 0 to 29. The design (kernel, median, 1,000 cells) was chosen on photo and pubmed, seeds 1000
  to 1002.

Amendment, written when the figures of that design were known, test figures too, before any of the
next was computed. On Cora, with the table as evidence, independent edges expect 76.9 to 78.1 in
*validation*, all cells in the mean 76.8: raising the poor half to the median hides which cells fail,
and the lead of the learned arm was one over a fit that had found next to nothing. A second design
(`--design ranked`, the default now; the first is `clipped`) takes normal scores of the ranks instead.
It was chosen on photo, pubmed, physics and computers, seeds 1000 and 1001, by the validation accuracy
that Gibbs' distribution and independent edges fitted to the guess expect at 5 nats, in standard
deviations of the table above all cells: raw 1.03 and 1.01, clipped at the median 1.22 and 1.09,
ranked 1.22 and 1.09, log of the distance from the best 1.23 and 1.09; the worst case of independent
edges is best for ranked. All else is as before, seeds too, and both designs are reported.
"""

import argparse
import sys
from functools import lru_cache
from pathlib import Path

import numpy as np
import torch

HERE = Path(__file__).resolve().parent
sys.path[:0] = [str(HERE.parents[2]), str(HERE.parent), str(HERE)]
from ledger import add, rows_of, write

OUT = HERE / 'runs.csv'
LEVELS = (7.0, 5.0, 3.0)
N, OPTIONS, KEEP = 1000, 9, 3


def mean_of_kept(scores, test):
    "Mean test accuracy of all cells whose options are kept"
    from dnas_nb.prune import keep_top

    kept = keep_top(scores, torch.ones_like(scores, dtype=torch.bool), KEEP)
    at = np.ix_(*(row.nonzero()[:, 0].tolist() for row in kept))
    return test[at].mean()


def of_normal(fit, test):
    "Mean test accuracy of the kept set: by marginal and by conditional means"
    from dnas_nb.dependence import CorrelatedNormal, relax_danas
    from dnas_nb.prune import conditional

    D = relax_danas({k: fit.phi[k] for k in ('alpha', 'z')})
    width = fit.scale * float(fit.phi['width'].exp())
    D = CorrelatedNormal(width * D.alpha, D.factor, width)
    return [mean_of_kept(conditional(kappa)(D), test) for kappa in (0.0, 1.0)]


def arms(guesses):
    "name -> level -> (probabilities, rows or fit)"
    from dnas_nb.gibbs import cell_probabilities, cool, mean_field, normal

    guess, shuffled = guesses
    frozen = {h: mean_field(guess, h, starts=20, steps=200) for h in LEVELS}
    out = dict(frozen={h: (cell_probabilities(t[None]), t) for h, t in frozen.items()})
    for name, table in dict(learned=guess, placebo=shuffled).items():
        fits = cool(normal, table, LEVELS, steps=60, samples=1024)
        out[name] = {h: (fit.p, fit) for h, fit in fits.items()}
    return out


def evidence(kind, graph, valid, seed, rng):
    "Cells (n, 5) and their figures"
    every = np.array(list(np.ndindex(*valid.shape)))
    known = np.arange(valid.size)
    if kind == 'brief':
        known = np.flatnonzero(~np.isnan(brief(graph)))
    if len(known) < N:
        raise SystemExit(f'{kind} evidence of {graph}: {len(known)} cells, {N} are needed')
    at = rng.choice(known, N, replace=kind == 'brief')
    figures = dict(
        table=lambda: valid.ravel()[at],
        brief=lambda: brief(graph).ravel()[at],
        shared=lambda: shared(graph, at, valid, seed),
    )
    return every[at], figures[kind]()


def shared(graph, at, valid, seed):
    "Accuracies with shared weights; four skips, which are no network, have the worst"
    from scipy.stats import kendalltau
    from dnas_nb.domains.graphs import graph_data
    from dnas_nb.domains.graphspace import Pattern
    from fidelity_graphs.run import by_shared
    from tables import graph_rows

    rows = graph_rows()
    every = list(np.ndindex(*valid.shape))
    is_net = rows.ravel()[at] >= 0
    codes = [int(''.join(map(str, every[k]))) for k in at[is_net]]
    patterns = [Pattern.at(code) for code in codes]
    _, found = by_shared(graph_data(graph), patterns, 100 + seed, 'paths')
    figures = np.full(len(at), found.min())
    figures[is_net] = found[:, 0]
    tau = kendalltau(figures, valid.ravel()[at]).statistic
    add(HERE / 'fidelity.csv', dict(graph=graph, seed=seed, tau=round(float(tau), 4)))
    return figures


@lru_cache
def brief(graph):
    "Scores of brief trainings, NaN where there was none"
    import pandas as pd
    from dnas_nb.domains.graphspace import graph_table
    from tables import graph_rows

    table, rows = graph_table(graph), graph_rows()
    frame = pd.read_csv(HERE.parent / 'fidelity_graphs' / f'brief_{graph}.csv').dropna()
    scores = np.full(len(table), np.nan)
    scores[[table.at[code] for code in frame.code]] = frame.score
    return np.where(rows < 0, np.nan, scores[rows])


def rows(graph, kind, design, seed, valid, test):
    from evidence import PREPARED, models

    rng = np.random.default_rng(seed)
    cells, figures = evidence(kind, graph, valid, seed, rng)
    every = np.array(list(np.ndindex(*valid.shape)))
    guesses = models(cells, PREPARED[design](figures), every, OPTIONS, rng)
    guesses = [torch.as_tensor(g.reshape(valid.shape)) for g in guesses]
    for arm, levels in arms(guesses).items():
        for level, (p, held) in levels.items():
            p = p.double().numpy()
            kept = 2 * [mean_of_kept(held, test)] if arm == 'frozen' else of_normal(held, test)
            likeliest = np.unravel_index(p.argmax(), p.shape)
            figures = ((p * valid).sum(), (p * test).sum(), *kept, test[likeliest])
            yield graph, kind, design, seed, arm, level, *(round(float(v), 4) for v in figures)


HEAD = 'graph,evidence,design,seed,arm,nats,valid,test,kept,kept_conditional,likeliest'.split(',')


def main():
    p = argparse.ArgumentParser(description=__doc__.split('\n')[0])
    p.add_argument('--evidence', default='table')
    p.add_argument('--design', default='ranked', choices=('ranked', 'clipped'))
    p.add_argument('--graphs', default='cora,citeseer')
    p.add_argument('--seeds', default=','.join(map(str, range(30))))
    a = p.parse_args()
    from tables import graph_grid, graph_rows

    torch.set_num_threads(1)
    at = graph_rows()
    known = {(r['graph'], r['evidence'], r['design'], r['seed']) for r in rows_of(OUT)}
    for seed in a.seeds.split(','):
        for graph in a.graphs.split(','):
            if (graph, a.evidence, a.design, seed) in known:
                continue
            valid, test = graph_grid(graph, at)
            made = rows(graph, a.evidence, a.design, int(seed), valid, test)
            write(OUT, [dict(zip(HEAD, row)) for row in made])
            print(graph, a.evidence, a.design, seed, flush=True)


if __name__ == '__main__':
    main()
