"""The study of a transformer of which all 81 sub-networks are trained alone.

`python nbs/studies/transformers/run.py alone` trains every sub-network of 'digits-former'
(alone.csv); `... search` runs rows of methods (searches.csv) and judges all sub-networks with the
shared weights of each search (shared.csv). What is found: without a limit (none), within half of
the parameters of the largest by a rule at the end (rule), and with `--pull` by a penalty on the
way (pull). All go on where they were stopped; `--methods danas,darts` and `--seeds 0,1,2` say what
of it.
Seconds are those of the processor, on one core.
"""

import argparse, itertools, os, sys, time
from pathlib import Path

os.environ.setdefault('OMP_NUM_THREADS', '1')
HERE = Path(__file__).resolve().parent
sys.path[:0] = [str(HERE.parents[2]), str(HERE.parent)]
from ledger import add, rows_of

METHODS = 'random,darts,drnas,gdas,beta,danas,danas-prune'


def alone(seeds):
    from dnas_nb.budgets import macs
    from dnas_nb.domains.transformers import former_data, former_space, train_former
    from dnas_nb.genotype import all_archs

    data, space, path = former_data(), former_space(), HERE / 'alone.csv'
    x, _ = data.valid[:8].take()
    done = {(row['network'], row['seed']) for row in rows_of(path)}
    for seed in seeds:
        for genotype in all_archs(space):
            if (str(genotype), str(seed)) in done:
                continue
            start = time.process_time()
            got = train_former(genotype, seed, space, data)
            seconds = round(time.process_time() - start, 2)
            row = dict(network=str(genotype), seed=seed)
            row |= dict(valid=round(got['valid'], 3), test=round(got['test'], 3))
            row |= dict(params=got['params'], macs=round(macs(got['net'], x)))
            add(path, row | dict(seconds=seconds))


def kept(found):
    "What is found within half of the parameters; nothing where pruning left only dearer ones"
    from dnas_nb.core import UserError

    try:
        return found.within(.5)
    except UserError:
        return ''


def search(methods, seeds, limits):
    from dnas_nb.domains.transformers import former_domain, search_former
    from dnas_nb.genotype import all_archs

    domain, path, shared_path = former_domain(), HERE / 'searches.csv', HERE / 'shared.csv'
    done = {(row['method'], row['limit'], row['seed']) for row in rows_of(path)}
    for pulled, seed, method in itertools.product(limits, seeds, methods):
        if (method, 'pull' if pulled else 'none', str(seed)) in done:
            continue
        if pulled and method == 'random':
            continue   # nothing that a penalty could move
        start = time.process_time()
        found = search_former(domain, method, seed, .5 if pulled else None)
        took = {'pull': found.genotype}
        if not pulled:
            took = {'none': found.genotype, 'rule': kept(found)}
        seconds = round(time.process_time() - start, 1)
        if not pulled:
            row = dict(method=method, seed=seed)
            for genotype in all_archs(domain.space):
                row[str(genotype)] = round(100*found.shared(genotype), 2)
            add(shared_path, row)
        for limit, genotype in reversed(took.items()):
            row = dict(method=method, limit=limit, seed=seed)
            add(path, row | dict(network=str(genotype), seconds=seconds))


def main():
    p = argparse.ArgumentParser(description=__doc__.split('\n')[0])
    p.add_argument('what', choices=('alone', 'search'))
    p.add_argument('--methods', default=METHODS)
    p.add_argument('--seeds', default='0,1,2')
    p.add_argument('--pull', action='store_true', help='with a penalty, too')
    a = p.parse_args()
    import torch
    torch.set_num_threads(1)
    seeds = [int(s) for s in a.seeds.split(',')]
    if a.what == 'alone':
        alone(seeds)
    else:
        search(a.methods.split(','), seeds, (False, True) if a.pull else (False,))


if __name__ == '__main__':
    main()
