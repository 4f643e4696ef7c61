"""Ten fresh seeds of the row that the study of methods chose: what does a search of ten minutes find?

`python nbs/studies/fresh/run.py --out FOLDER` makes the runs that are missing and appends to
runs.csv; it can be stopped at any time (`--data cifar10`, `--rows danas-large`, `--seeds 300,301`).
Seconds are those of one core.

Protocol, written before a figure of these seeds was read:

* Row: `danas-large` (search with learned correlation, then the climb and the enlarging among brief
  trainings), the row of NAS-Bench-201 with the best validation accuracy in nbs/studies/methods
  (seeds 0 to 4; 91.4, its frozen twin 91.5, level). Settings as the row has them; nothing is tuned.
* Beside it, with the same rules after its search: `random` (climb, then large).
* Data to search on: CIFAR-10, then CIFAR-100, as they lie in the package's data folder. Seeds 300 to
  309, each once. The table of NAS-Bench-201 (200 epochs) says what the found cells are worth.
* Aims: on CIFAR-10 a mean of at least 94.0 and a worst of at least 93.5; searched on CIFAR-100, means
  of at least 72.0 there and 46.0 on ImageNet16-120. At most 600 seconds of one core each.
* The difference from `random` is judged seed by seed, interval of the mean by bootstrap.
  (2026-11-30, after the fact: for fewer than twenty seeds by Student's t, which is stricter.)
"""

import argparse, importlib.util, os, sys
from pathlib import Path

os.environ.setdefault('OMP_NUM_THREADS', '1')
HERE = Path(__file__).resolve().parent
sys.path[:0] = [str(HERE.parents[2]), str(HERE.parent)]
from ledger import add, rows_of

AFTER = {'danas-large': (), 'random': ('climb', 'large')}


def rules():
    "The study of methods, whose further rules are asked of a finished search"
    spec = importlib.util.spec_from_file_location('methods', HERE.parent/'methods'/'run.py')
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def judged(table, arch):
    "Test accuracy and rank of a cell, 200 epochs, for each data set of the table"
    from dnas_nb.bench.tables import summary
    from dnas_nb.dialects import parse
    from dnas_nb.space import nb201

    known = summary(table, parse(arch, nb201())).to_dict('records')
    last = [t for t in known if t['epochs'] == 200]
    return {f"{t['dataset']}_{k}": t[k] for t in last for k in ('valid', 'test', 'rank')}


def found(out, data, method, seed):
    "(rule, cell, seconds of one core) of a search and of each further rule asked of it"
    from dnas_nb.running.experiment import run
    from dnas_nb.running.folder import account

    folder = Path(out)/f'{data}_{method}_{seed}'
    run(
        method=method,
        space='nb201',
        data=data,
        seed=seed,
        device='cpu',
        out=folder,
        resume=folder.exists(),
    )
    about = account(folder)
    spent = sum(about['epoch_seconds']) + about.get('derive_seconds', 0)
    yield 'own', about['result']['arch'], spent
    for rule in AFTER[method]:
        got = rules().ask(folder, about['settings'], rule)
        spent += got['seconds']
        yield rule, got['arch'], spent


def main():
    p = argparse.ArgumentParser(description=__doc__.split('\n')[0])
    p.add_argument('--out', required=True, help='folder of the runs')
    p.add_argument('--data', default='cifar10,cifar100')
    p.add_argument('--rows', default='danas-large,random')
    p.add_argument('--seeds', default=','.join(map(str, range(300, 310))))
    a = p.parse_args()
    from dnas_nb.bench.tables import load

    path, table = HERE/'runs.csv', load('nasbench201')
    for method in a.rows.split(','):
        for data in a.data.split(','):
            for seed in a.seeds.split(','):
                done = {(r['data'], r['method'], r['seed']) for r in rows_of(path)}
                if (data, method, seed) in done:
                    continue
                for rule, arch, spent in list(found(a.out, data, method, int(seed))):
                    row = dict(data=data, method=method, seed=seed, rule=rule)
                    row |= dict(seconds=round(spent, 1), arch=arch)
                    add(path, row | {k: round(v, 2) for k, v in judged(table, arch).items()})


if __name__ == '__main__':
    main()
