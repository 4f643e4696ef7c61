"""What a few evaluated cells say of all others: main effects, and a kernel for interactions"""

import numpy as np
from scipy.stats import norm, rankdata

RHOS, LAMS = (0.3, 0.5, 0.7), (0.01, 0.1, 0.3, 1.0)


def one_hots(cells, options):
    "(n, E*O)"
    return np.eye(options)[cells].reshape(len(cells), -1)


def kernel(a, b, rho):
    "(n, m): 1 for the same cell, times rho for every edge that differs"
    shared = np.ones((len(a), len(b)), dtype=np.float32)
    for x, y in zip(a.T, b.T):
        shared *= np.where(x[:, None] == y, np.float32(1), np.float32(rho))
    return shared


def additive(cells, y, every, options, lam=1.0):
    "Ridge regression on the choices, read at every cell"
    X, level = one_hots(cells, options), y.mean()
    w = np.linalg.solve(X.T @ X + lam * np.eye(X.shape[1]), X.T @ (y - level))
    return one_hots(every, options) @ w + level, X @ w + level


def interactions(cells, left, every):
    "Kernel regression of what is left; width and noise by leave-one-out error"
    best = None
    for rho in RHOS:
        w, U = np.linalg.eigh(kernel(cells, cells, rho).astype(float))
        seen = U.T @ left
        for lam in LAMS:
            d = 1 / (w + lam)
            a = U @ (d * seen)
            error = np.square(a / (U**2 @ d)).mean()
            if best is None or error < best[0]:
                best = error, rho, a
    _, rho, a = best
    return kernel(every, cells, rho) @ a


def clipped(y):
    "Poor cells are alike"
    return np.maximum(y, np.median(y))


def ranked(y):
    "Normal scores: the order counts, distances do not"
    return norm.ppf((rankdata(y) - 0.5) / len(y))


PREPARED = dict(clipped=clipped, ranked=ranked)


def models(cells, y, every, options, rng):
    "Two guesses of every cell: with interactions, and with those of shuffled evidence"
    main, at_cells = additive(cells, y, every, options)
    left = y - at_cells
    true = interactions(cells, left, every)
    shuffled = interactions(cells, rng.permutation(left), every)
    size = true.std() / (shuffled.std() + 1e-12)  # as strong as the true ones
    return main + true, main + size * shuffled
