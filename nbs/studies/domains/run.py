"""The study of domains: the same search and the same rows on graphs, series, texts, pairs and
transformers, against blind draws and a classical method.

`python nbs/studies/domains/run.py search` makes searches.csv, `... blind` blind.csv; both go on
where they were stopped. `--domains gunpoint,trec`, `--methods danas,darts` and `--seeds 0,1,2` say
what of it. Every network is trained alone by the recipe of its domain, and the test part is read
then, once. A network that two rows found with one seed is trained once. Seconds are those of the
processor, on one core.
"""

import argparse
import os
import sys
from pathlib import Path

os.environ.setdefault('OMP_NUM_THREADS', '1')
HERE = Path(__file__).resolve().parent
sys.path[:0] = [str(HERE.parents[2]), str(HERE.parent)]
from ledger import add, rows_of

METHODS = 'random,darts,drnas,gdas,beta,danas,danas-prune'
DOMAINS = 'cora,gunpoint,vowels,bearing-size,trec,digit-pairs,digits-former'


def trained_before(name, network, seed):
    "What the same training gave, or None: the same seed gives the same bits"
    for row in rows_of(HERE / 'searches.csv') + rows_of(HERE / 'blind.csv'):
        if (row['domain'], row['network'], row['seed']) == (name, network, str(seed)):
            return dict(test=row['test'], train_seconds=row['train_seconds'])
    return None


def alone(domain, genotype, seed) -> dict:
    "Test accuracy in % and the seconds that it took"
    from dnas_nb.domains.domain import train
    from dnas_nb.genotype import to_str

    known = trained_before(domain.name, to_str(genotype), seed)
    if known:
        return known
    got = train(domain, genotype, seed)
    return dict(test=round(got['test'], 2), train_seconds=got['seconds'])


def search(domain, methods, seeds):
    from dnas_nb.domains.domain import find
    from dnas_nb.genotype import to_str

    path = HERE / 'searches.csv'
    done = {(r['domain'], r['method'], r['seed']) for r in rows_of(path)}
    for seed in seeds:
        for method in methods:
            if (domain.name, method, str(seed)) in done:
                continue
            found = find(domain, method, seed)
            row = dict(domain=domain.name, method=method, seed=seed)
            row |= dict(network=to_str(found.genotype), valid_shared=round(found.valid, 2))
            add(path, row | dict(seconds=found.seconds) | alone(domain, found.genotype, seed))


def blindly(domain, seeds, n=5):
    from dnas_nb.domains.domain import blind
    from dnas_nb.genotype import to_str

    path = HERE / 'blind.csv'
    done = {(r['domain'], r['seed'], r['draw']) for r in rows_of(path)}
    for seed in seeds:
        for k, genotype in enumerate(blind(domain, n, seed)):
            if (domain.name, str(seed), str(k)) in done:
                continue
            row = dict(domain=domain.name, seed=seed, draw=k, network=to_str(genotype))
            add(path, row | alone(domain, genotype, seed))


def main():
    p = argparse.ArgumentParser(description=__doc__.split('\n')[0])
    p.add_argument('what', choices=('search', 'blind', 'all'))
    p.add_argument('--domains', default=DOMAINS)
    p.add_argument('--methods', default=METHODS)
    p.add_argument('--seeds', default='0,1,2')
    a = p.parse_args()
    from dnas_nb.domains.catalogue import domain

    methods, seeds = a.methods.split(','), [int(s) for s in a.seeds.split(',')]
    for name in a.domains.split(','):
        if a.what != 'search':
            blindly(domain(name), seeds)
        if a.what != 'blind':
            search(domain(name), methods, seeds)


if __name__ == '__main__':
    main()
