"""What is the matrix of a finished search worth? Its samples, its readings and what it would keep,
with the matrix, without it, and with one that knows other edges.

Protocol, written before any test figure was read. Rows `danas` (the default of `make search`) and
`danas-gibbs`, NAS-Bench-201, digits, their presets, one core. A search ends with a normal over
logits: means, a correlation matrix, one width. Three arms of each finished search:

* learned: as it is;
* none: the same means and width, the matrix the identity;
* placebo: the same means and width, the matrix with its six edges in another order (five random
  orders, none of which leaves an edge in its place; figures are means of the five). It is as
  strong, and about other edges.

Judged by the test accuracy that version 2 of the embedded benchmark believes of a cell, in points:

1. Samples: the accuracy that 200,000 draws expect, at the entropy that the learned arm has and at
   5 nats; means are scaled by one factor to get there. Learned less none, learned less placebo.
2. Readings: one cell by conditioning edge by edge (`sequential`, the default's rule) and by the
   mode of the draws. Each less the cell of the largest mean weights, and less the same reading of
   the placebo.
3. Pruning: the mean of the 64 cells that remain when each edge keeps two options, by conditional
   means less by marginal means.

Seeds 200 to 229, used nowhere else. Paired differences: Student's interval below twenty seeds, BCa
from there (`running.compare.interval`); p by random signs, Holm's correction over all comparisons
of both rows. The draws as they come are described, not tested: their entropies differ. A difference
is shown where its interval lies above 0 and the corrected p is below 5 %.

Looked at before, on ten searches of `danas` with seeds 100 to 109 and by *validation* figures: at
5 nats learned and none level, at 7 nats learned behind; readings by the matrix ahead of the means
by 0.05 of the way from the mean cell to the ceiling, the mode of a placebo nearly as much. So the
question for these seeds is whether the readings gain, and whether it is *this* matrix.

`python nbs/studies/matrix/run.py` appends to runs.csv and goes on where it was stopped.
"""

import argparse
import os
import sys
import time
from functools import lru_cache
from pathlib import Path

os.environ.setdefault('OMP_NUM_THREADS', '1')
HERE = Path(__file__).resolve().parent
sys.path[:0] = [str(HERE.parents[2]), str(HERE.parent)]

import numpy as np
import torch
from ledger import add, rows_of

OUT = HERE / 'runs.csv'
ROWS, SEEDS = ('danas', 'danas-gibbs'), range(200, 230)
DRAWS, COOL, PLACEBOS, KEEP = 200_000, 5.0, 5, 2


@lru_cache
def worth():
    "(5,)*6: what version 2 believes of the test accuracy of every cell, in %"
    from default.run import figures
    from dnas_nb.bench.digits201 import forms

    known, _ = figures('test', 2)
    return known.reshape((5,) * forms().codes.shape[1])


def searched(name, seed):
    "The distribution that a search ends with, and the seconds of the processor"
    from dnas_nb.bilevel import dists, search
    from dnas_nb.running.experiment import prepare, settings
    from dnas_nb.sources import load_data

    s = settings(method=name, space='nb201', data='digits', seed=seed)
    job = prepare(s, load_data('digits', seed=seed), torch.device('cpu'))
    start = time.process_time()
    for state in search(job.begin(None), job.method, job.split.search, job.plan(s.batch)):
        pass
    return dists(state, job.method)['cell'], time.process_time() - start


def with_matrix(D, corr, scale=1.0):
    "The same means, scaled, and width, with another correlation matrix"
    from dnas_nb.dependence import CorrelatedNormal, Full

    factor = torch.linalg.cholesky(corr.double()).to(D.alpha.dtype)
    return CorrelatedNormal(scale * D.alpha, Full(factor, None, False), D.sigma)


def other_edges(corr, options, k):
    "The matrix with its edges in another order, none in its place"
    E = len(corr) // options
    generator = torch.Generator().manual_seed(k)
    order = torch.arange(E)
    while (order == torch.arange(E)).any():
        order = torch.randperm(E, generator=generator)
    at = (order[:, None] * options + torch.arange(options)).flatten()
    return corr[at][:, at]


def probabilities(D):
    "Of every cell, as counted in draws"
    winners = D.rsample_logits((DRAWS,), generator=torch.Generator().manual_seed(0)).argmax(-1)
    E, O = D.alpha.shape
    names = (winners * O ** torch.arange(E - 1, -1, -1)).sum(-1)
    return np.bincount(names.numpy(), minlength=O**E) / DRAWS


def entropy(p):
    "In nats, with the correction of Miller and Madow"
    p = p[p > 0]
    return -(p * np.log(p)).sum() + (len(p) - 1) / (2 * DRAWS)


def at_entropy(D, corr, nats):
    "Probabilities when the means are scaled so that the entropy is that"
    low, high = 0.05, 100.0
    for _ in range(14):
        middle = (low * high) ** 0.5
        p = probabilities(with_matrix(D, corr, middle))
        if entropy(p) > nats:
            low = middle
        else:
            high = middle
    return p


def expected(D, corr, levels):
    "Accuracies that the draws expect at these entropies"
    return [at_entropy(D, corr, nats) @ worth().ravel() for nats in levels]


def of_readings(D, corr):
    "Accuracies of the cells by conditioning, and by the mode"
    from dnas_nb.conditioning import sequential

    own = with_matrix(D, corr)
    mode = np.unravel_index(probabilities(own).argmax(), worth().shape)
    return [worth()[tuple(sequential(own).tolist())], worth()[mode]]


def kept(D, kappa):
    "Mean accuracy of what remains when every edge keeps its best options"
    from dnas_nb.prune import conditional, keep_top

    mask = keep_top(conditional(kappa)(D), torch.ones_like(D.alpha, dtype=torch.bool), KEEP)
    return worth()[np.ix_(*(row.nonzero()[:, 0].tolist() for row in mask))].mean()


def one(name, seed):
    D, seconds = searched(name, seed)
    corr, O = D.corr.detach(), D.alpha.shape[1]
    eye = torch.eye(len(corr))
    row = dict(row=name, seed=seed, sigma=D.sigma, strength=(corr - eye).square().mean().sqrt())
    as_is = {'learned': probabilities(D), 'none': probabilities(with_matrix(D, eye))}
    for arm, p in as_is.items():
        row |= {f'{arm}_entropy': entropy(p), f'{arm}_as_is': p @ worth().ravel()}
    levels = row['learned_entropy'], COOL
    shuffled = [other_edges(corr, O, k) for k in range(PLACEBOS)]
    row['learned_own'], row['learned_5'] = row['learned_as_is'], expected(D, corr, [COOL])[0]
    row['none_own'], row['none_5'] = expected(D, eye, levels)
    drawn = np.mean([expected(D, other, levels) for other in shuffled], 0)
    row['placebo_own'], row['placebo_5'] = drawn
    row['mean'] = worth()[tuple(D.mean.argmax(-1).tolist())]
    row['sequence'], row['mode'] = of_readings(D, corr)
    read = np.mean([of_readings(D, other) for other in shuffled], 0)
    row['placebo_sequence'], row['placebo_mode'] = read
    row['kept'], row['kept_conditional'] = kept(D, 0.0), kept(D, 1.0)
    row['seconds'] = seconds
    add(OUT, {k: v if k in ('row', 'seed') else round(float(v), 4) for k, v in row.items()})


def main():
    p = argparse.ArgumentParser(description=__doc__.split('\n')[0])
    p.add_argument('--rows', default=','.join(ROWS))
    p.add_argument('--seeds', default=','.join(map(str, SEEDS)))
    a = p.parse_args()
    torch.set_num_threads(1)
    done = {(r['row'], r['seed']) for r in rows_of(OUT)}
    for seed in a.seeds.split(','):
        for name in a.rows.split(','):
            if (name, seed) not in done:
                one(name, int(seed))


if __name__ == '__main__':
    main()
