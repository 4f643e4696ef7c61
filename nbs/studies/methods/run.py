"""The study behind nbs/papers/study.ipynb: which search finds the best cell in ten minutes of one
core?

`python nbs/studies/methods/run.py --out FOLDER` makes the runs that are missing (it can be stopped
at any time), then asks further rules of finished searches, as `AFTER` says, and writes
nbs/studies/methods/runs.csv (one row per run and rule), correlations.npz (learned correlations) and
curves.json (histories). `--workers 2` uses both cores, `--collect` only reads what is there,
`--after ROW` does only the further rule of that row, `--rows gdas,darts` only these rows, in whose
place the new figures are put.
"""

import argparse, json, os, sys, time
from pathlib import Path

os.environ.setdefault('OMP_NUM_THREADS', '1')
ROOT = Path(__file__).resolve().parents[3]
sys.path.insert(0, str(ROOT))
HERE = Path(__file__).resolve().parent
SEEDS = [0, 1, 2, 3, 4]
ROWS = (
    'danas',
    'danas-climb',
    'danas-climb-frozen',
    'danas-beta-prune',
    'danas-beta-frozen',
    'drnas',
    'darts',
    'beta',
    'random',
    'gdas',
    'gaussian',
)
PLAN = [dict(data='cifar10', seed=s, method=list(ROWS)) for s in SEEDS] + [
    dict(data='cifar10', method='drnas-progressive', channels=16, epochs=30, seed=SEEDS)
]  # partial channels: a quarter of 16
AFTER = {
    'danas-climb': ('large',),
    'danas-climb-frozen': ('large',),
    'danas-beta-prune': ('finalists',),
    'random': ('climb', 'large'),
}  # rules asked of finished searches, one after the other


def say(*what):
    print(*what, flush=True)


def ask(folder, settings, name) -> dict:
    """What the search in `folder` would have derived by the rule `name`: same draws, same
    referee, same bits"""
    from dnas_nb.safe import read_json
    import torch
    from dnas_nb.bilevel import dists
    from dnas_nb.checkpoint import read
    from dnas_nb.core import as_json, write_atomic
    from dnas_nb.sources import load_data
    from dnas_nb.derive import Judge, climb, enlarge, finalists
    from dnas_nb.running.evaluate import Recipe
    from dnas_nb.running.experiment import Settings, prepare
    from dnas_nb.running.referee import SHORT, trainer
    from dnas_nb.running.folder import account
    from dnas_nb.dialects import parse
    from dnas_nb.genotype import to_str

    path = folder / f'{name}.json'
    if path.exists():
        return read_json(path, (dict, list), nan=True)
    s, t0 = Settings(**settings), time.process_time()
    whole = read(folder / 'last.pt')
    job = prepare(s, load_data(s.data, s.images, s.size, s.seed), torch.device('cpu'))
    space, method, split, state = job.space, job.method, job.split, job.begin(whole)
    shallow = Recipe(
        epochs=6,
        batch=64,
        lr=0.1,
        nesterov=True,
        wd=5e-4,
        C=8,
        n=3,
        source='ours: the referee of the race, before depth was seen to matter',
    )
    own, known = (
        trainer(
            space,
            split,
            s.seed,
            shallow if name == 'finalists' else SHORT,
            0,
            tell=lambda line: say(f'  {line}'),
        ),
        {},
    )
    climbed = folder / 'climb.json'
    start = (
        read_json(climbed, (dict, list), nan=True)['arch']
        if name == 'large' and climbed.exists()
        else account(folder)['result']['arch']
    )
    if name == 'large' and climbed.exists():
        known.update(read_json(climbed, (dict, list), nan=True)['trained'])

    def fresh_acc(g):
        if to_str(g) not in known:
            known[to_str(g)] = own(g)
        return known[to_str(g)]

    def here(*_):
        return parse(start, space)

    rule = dict(
        finalists=lambda: finalists(first=here),
        climb=lambda: climb(first=here),
        large=lambda: enlarge(here),
    )[name]()
    g = rule(dists(state, method), space, Judge(trained=fresh_acc), s.seed)
    got = dict(arch=to_str(g), trained=known, seconds=round(time.process_time() - t0, 1))
    write_atomic(path, as_json(got))
    return got


def further(out, rows=tuple(AFTER)):
    "The further rules of all finished searches"
    from dnas_nb.running.study import standing

    for name, r in sorted(standing(out).items(), key=lambda kv: kv[1]['settings']['seed']):
        method = r['settings']['method']
        for rule in AFTER[method] if r['status'] == 'finished' and method in rows else ():
            if not (Path(out) / name / f'{rule}.json').exists():
                say(name, rule)
                say('  ', ask(Path(out) / name, r['settings'], rule)['arch'])


def collect(out, only=()):
    "What is finished, written beside the notebook; of some rows only, the others stay"
    from dnas_nb.safe import read_json
    import pandas as pd
    from dnas_nb.bench.tables import load, summary
    from dnas_nb.core import write_atomic
    from dnas_nb.running.folder import account, save_arrays
    from dnas_nb.dialects import parse
    from dnas_nb.running.learned import read_learned
    from dnas_nb.space import nb201
    from dnas_nb.running.study import standing

    table, rows, arrays, curves = load('nasbench201'), [], {}, {}

    def judged(arch):
        f = summary(table, parse(arch, nb201()))
        return {
            f"{t['dataset']}_{k}": t[k]
            for t in f.to_dict('records')
            if t['epochs'] == 200
            for k in ('valid', 'test', 'rank', 'regret')
        }

    for name, r in standing(out).items():
        if r['status'] != 'finished':
            continue
        about, m, seed = account(Path(out) / name), r['settings']['method'], r['settings']['seed']
        about_rules, cpu = about['result'], sum(about['epoch_seconds'])
        derive = about.get('derive_seconds', 0)
        same = dict(
            method=m,
            seed=seed,
            epochs=r['settings']['epochs'],
            channels=r['settings']['channels'],
            search_seconds=cpu,
            valid_acc=about_rules['valid_acc'],
            version=about['versions'].get('dnas_nb', ''),
        )
        rows.append(
            dict(
                same,
                rule='own',
                arch=about_rules['arch'],
                race_seconds=derive,
                **judged(about_rules['arch']),
            )
        )
        for rule, arch in about_rules['other_rules'].items():
            if len(about_rules['other_rules']) > 1:
                rows.append(dict(same, rule=rule, arch=arch, race_seconds=0.0, **judged(arch)))
        spent = derive
        for rule in (
            'finalists',
            'climb',
            'large',
        ):  # what the climb trained its successor has for nothing
            if (f := Path(out) / name / f'{rule}.json').exists():
                got = read_json(f, (dict, list), nan=True)
                spent += got['seconds']
                rows.append(
                    dict(
                        same,
                        rule=rule,
                        arch=got['arch'],
                        race_seconds=round(spent, 1),
                        **judged(got['arch']),
                    )
                )
        if (Path(out) / name / 'arrays.npz').exists():
            learned = read_learned(Path(out) / name)
            arrays |= {
                f'{m}/{seed}': learned.corr.astype('f4'),
                f'weights/{m}/{seed}': learned.weights.astype('f4'),
            }
        h = pd.read_csv(Path(out) / name / 'history.csv')
        curves[f'{m}/{seed}'] = {
            k: [round(float(v), 4) for v in h[k]] for k in ('valid_acc', 'entropy', 'skip_share')
        }
    if not rows:
        sys.exit(f'{out} holds no finished run: nothing was written')
    table = pd.DataFrame(rows).round(4)
    if only:
        kept = pd.read_csv(HERE / 'runs.csv')
        table = pd.concat([kept[~kept.method.isin(only)], table[table.method.isin(only)]])
        curves = {
            k: v for k, v in read_json(HERE / 'curves.json').items() if k.split('/')[0] not in only
        } | curves
    write_atomic(
        HERE / 'runs.csv', table.sort_values(['rule', 'method', 'seed']).to_csv(index=False)
    )
    if arrays and not only:
        save_arrays(HERE / 'correlations.npz', arrays)
    write_atomic(HERE / 'curves.json', json.dumps(curves))
    say(f'{len(rows)} rows, {len(arrays)//2} correlations')


def main():
    p = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    p.add_argument('--out', default='studies/paper', help='folder of the runs')
    p.add_argument('--workers', type=int, default=1)
    p.add_argument('--collect', action='store_true')
    p.add_argument('--after', choices=AFTER)
    p.add_argument('--rows', default='', help='some rows of the study, with commas')
    a = p.parse_args()
    some = tuple(filter(None, a.rows.split(',')))
    if not (a.collect or a.after):
        from dnas_nb.running.study import study

        plan = [
            dict(p, method=m)
            for p in PLAN
            for m in (p['method'] if isinstance(p['method'], list) else [p['method']])
            if not some or m in some
        ]
        study(
            plan,
            a.out,
            workers=a.workers,
            device='cpu',
            retry=True,
            on_run=lambda name, status, error, done, of: say(
                f'{done}/{of} {name} {status} {error}'
            ),
        )
    if not a.collect:
        further(a.out, (a.after,) if a.after else tuple(r for r in AFTER if not some or r in some))
    collect(a.out, some)


if __name__ == '__main__':
    main()
