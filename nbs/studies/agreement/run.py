"""How much of the true interactions a real search sees, by setting: DANAS on the digits against the
embedded benchmark.

`python nbs/studies/agreement/run.py [part of parts]` makes the searches that are missing (0 2 and 1
2 share them between two cores) and writes nbs/studies/agreement/partPART.json after each.
"""

import itertools, os, platform, sys, tempfile, time
from pathlib import Path

os.environ.setdefault('OMP_NUM_THREADS', '1')
ROOT = Path(__file__).resolve().parents[3]
sys.path.insert(0, str(ROOT))
SEEDS, SIGMAS, LAMBDAS, EPOCHS = (0, 1, 2), (0.3, 1.0, 2.0), (1e-3, 1e-1), (10, 20)


def one(sigma, lam, epochs, seed, T) -> dict:
    from dataclasses import replace
    from functools import partial
    from dnas_nb import methods
    from dnas_nb.running.experiment import run
    from dnas_nb.reading.interactions import agreement
    from dnas_nb.running.learned import read_learned
    from dnas_nb.regularizer import Weighted, kl_corr, kl_mean

    row, t0 = methods.METHODS['danas'], time.process_time()
    methods.METHODS['setting'] = replace(
        row,
        relax=partial(row.relax, sigma=sigma),
        penalties=(Weighted(kl_mean, lam), Weighted(kl_corr, 1e-4)),
    )  # settings name a method
    with tempfile.TemporaryDirectory() as d:
        r = run(
            d, report=False, method='setting', data='digits', epochs=epochs, seed=seed, device='cpu'
        )
        a = agreement(read_learned(d), T, n=500)
    test = next(t['test'] for t in r.found['table'] if t['dataset'] == 'digits')
    return dict(
        sigma=sigma,
        lambda_mu=lam,
        epochs=epochs,
        seed=seed,
        rho=round(a.rho, 4),
        low=round(a.low, 4),
        high=round(a.high, 4),
        p=round(a.p, 4),
        test=round(float(test), 3),
        seconds=round(time.process_time() - t0, 1),
    )


def main():
    from dnas_nb.safe import read_json
    from dnas_nb.bench.tables import load
    from dnas_nb.core import as_json, write_atomic
    from dnas_nb.reading.interactions import truth

    part, parts = (int(sys.argv[1]), int(sys.argv[2])) if len(sys.argv) == 3 else (0, 1)
    T, path = (
        truth(load('digits201'), 'digits', 'rank'),
        Path(__file__).resolve().parent / f'part{part}.json',
    )
    rows = read_json(path, (dict, list), nan=True)['rows'] if path.exists() else []
    for k, (seed, epochs, sigma, lam) in enumerate(
        itertools.product(SEEDS, EPOCHS[::-1], SIGMAS, LAMBDAS)
    ):
        if k % parts != part or any(
            (r['sigma'], r['lambda_mu'], r['epochs'], r['seed']) == (sigma, lam, epochs, seed)
            for r in rows
        ):
            continue
        rows.append(one(sigma, lam, epochs, seed, T))
        print(rows[-1], flush=True)
        write_atomic(
            path,
            as_json(
                dict(
                    date=time.strftime('%Y-%m-%d'),
                    machine=f'{platform.machine()}, one core',
                    rows=rows,
                )
            ),
        )


if __name__ == '__main__':
    main()
