"""Every baseline at one budget, over several seeds, on a benchmark table: mean ± spread of the
accuracy that is reported.

`python nbs/studies/baselines/run.py` (NAS-Bench-201, CIFAR-10), `python
nbs/studies/baselines/run.py --table digits201 --dataset digits`;
`--save` writes nbs/studies/baselines/TABLE.json for notebook 26, `--proxies 0` leaves out the
networks that are never trained.
"""

import argparse, json, sys, time
from pathlib import Path
import numpy as np

ROOT = Path(__file__).resolve().parents[3]
if __name__ == '__main__':
    sys.path.insert(0, str(ROOT))
from dnas_nb.bench.baselines import SEARCHES, Seen, of_table, outcome, race, spend
from dnas_nb.bench.tables import accuracies, index, load
from dnas_nb.core import UserError, generator
from dnas_nb.sources import load_data
from dnas_nb.genotype import random_arch
from dnas_nb.bench.proxies import PROXIES, first_batch, kendall, untrained
from dnas_nb.spaces import all_spaces


def pool_scores(space, split, pool, batch, C, n):
    "Proxies of a pool of architectures: dict name -> (values, seconds of each)"
    xy = first_batch(split, batch)
    build, out = untrained(space, xy, C, n, classes=len(split.about.classes)), {}
    for name, proxy in PROXIES.items():
        values, took = [], []
        for g in pool:
            t0 = time.perf_counter()
            values.append(proxy(build(g), xy))
            took.append(time.perf_counter() - t0)
        out[name] = (np.array(values), np.array(took))
        print(f'  {name:10} {np.mean(took)*1000:.0f} ms each', file=sys.stderr, flush=True)
    return out


def by_pool(name, pool, values, took, judge):
    "A search that draws from the pool and compares by a proxy; what it reports is the table's"
    at = {g: k for k, g in enumerate(pool)}

    def accuracy(g):
        return Seen(float(values[at[g]]), judge(g).test, float(took[at[g]]))

    def walk(ask, space, gen):
        import torch

        for k in torch.randperm(len(pool), generator=gen).tolist():
            ask(pool[k])

    return lambda _, space, seed=0, budget=100, seconds=None: spend(
        walk, accuracy, space, budget, None, seed, name
    )


def main():
    p = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    p.add_argument('--table', default='nasbench201')
    p.add_argument('--dataset', default='cifar10')
    p.add_argument('--seeds', type=int, default=20)
    p.add_argument('--budget', type=int, default=100, help='evaluations')
    p.add_argument('--seconds', type=float, help='of training, where the table knows them')
    p.add_argument(
        '--epochs',
        type=int,
        help='of the training that is compared (the longest; NAS-Bench-201: 12)',
    )
    p.add_argument(
        '--proxies',
        type=int,
        default=400,
        help='architectures in the pool of the proxies; 0: no proxies',
    )
    p.add_argument(
        '--images', default=None, help='data set that the proxies look at (the one of the table)'
    )
    p.add_argument('--batch', type=int, default=32)
    p.add_argument('--channels', type=int, default=8)
    p.add_argument('--cells', type=int, default=1)
    p.add_argument('--save', action='store_true', help='write nbs/studies/baselines/TABLE.json')
    a = p.parse_args()
    table = load(a.table)
    space, epochs = all_spaces()[table.space](), a.epochs or (
        12 if a.table == 'nasbench201' else None
    )
    judge, test = of_table(table, a.dataset, epochs), accuracies(table, a.dataset)
    budget = dict(budget=a.budget, seconds=a.seconds)
    searches, tau = dict(SEARCHES), {}
    if a.proxies:
        try:
            split = load_data(a.images or a.dataset, 400)
        except UserError as e:
            raise UserError(
                f'the proxies look at pictures: {e}. Name others with --images digits, or --proxies 0'
            ) from None
        print(f'proxies look at {split}', file=sys.stderr)
        pool = list(
            dict.fromkeys(random_arch(space, generator('pool', k)) for k in range(a.proxies))
        )
        pool = [g for g in pool if test.iloc[index(table, g)] == test.iloc[index(table, g)]]
        truth = test.iloc[[index(table, g) for g in pool]].to_numpy()
        for name, (values, took) in pool_scores(
            space, split, pool, a.batch, a.channels, a.cells
        ).items():
            searches[name], tau[name] = by_pool(name, pool, values, took, judge), kendall(
                values, truth
            )
    out = outcome(race(searches, judge, space, a.seeds, **budget))
    out['regret'] = test.max() - out.test
    out['tau'] = [tau.get(n) for n in out.index]
    print(
        f'{a.table}, {a.dataset}: {a.seeds} seeds, {a.budget} evaluations'
        + (f' or {a.seconds:g} s' if a.seconds else '')
        + f', best test accuracy {test.max():.2f} %\n'
    )
    print(out.round(3).to_string())
    if a.save:
        rows = [
            dict(dataset=a.dataset, search=n, **{k: None if v != v else v for k, v in r.items()})
            for n, r in out.to_dict('index').items()
        ]
        about = dict(
            date=time.strftime('%Y-%m-%d'),
            table=a.table,
            dataset=a.dataset,
            seeds=a.seeds,
            **budget,
            compared_epochs=epochs,
            best=float(test.max()),
            proxies=(
                dict(
                    pool=len(pool),
                    data=split.about.name,
                    batch=a.batch,
                    channels=a.channels,
                    cells=a.cells,
                )
                if a.proxies
                else None
            ),
            rows=rows,
        )
        Path(__file__).with_name(f'{a.table}.json').write_text(json.dumps(about, indent=1) + '\n')


if __name__ == '__main__':
    try:
        main()
    except UserError as e:
        sys.exit(f'baselines: {e}')
