"""The study of judges of graph networks: how well does a cheap figure order them, and what does it cost?

Protocol, written before any test figure of the table was read:

Question. A judge gives networks of NAS-Bench-Graph a figure. Its fidelity is Kendall's tau between its
figures and the table's, its price the seconds of the processor that it takes per network, on one
core. Wanted on Cora: tau >= 0.5 at <= 2 seconds.

Samples. `all`: 200 networks drawn without replacement from the 26,206 (`torch.randperm` of a
generator with seed 200 for Cora, 201 for Citeseer). `top`: 100 of the best tenth by the table's
validation accuracy (seeds 300 and 301). tau of `top` is what counts at the end of a search.

Tuning. Settings of all judges (width, epochs, rate, dropout, what is taken as the figure) are chosen
on Citeseer alone, on other samples (seeds 1 to 9) and other seeds of training (0 to 9), by tau with
the table's validation accuracy of Citeseer. Reported are seeds of training from 10 on. Nothing is
chosen by figures of Cora, so Cora tells what the settings are worth on a graph that was not seen.

Order. Reported first are taus with validation accuracies; the taus with test accuracies are
computed last, once, from the stored figures of the judges, and nothing is changed after.
A judge sees the training and the validation nodes and never the test nodes' classes.

Ceiling. The table holds means over three trainings. How well do its own validation accuracies
order its test accuracies (all networks, and both samples)? And how well does the benchmark's own
protocol, trained again by us with one seed (`alone`; 20 networks, for it takes two minutes a network)?

Intervals. 95 %, by drawing the networks of a sample again with replacement (1,000 times).

Amendment, when the first figures of judges against validation accuracies were known (ceilings were
computed too; no judge had been compared with test accuracies). The setting chosen on Citeseer
(width 16, rate 0.5, dropout 0.7, 60 epochs: tau 0.53 there) reached 0.31 on Cora, sample `first`
(seed 200), training seed 10. So a second round chose on Cora as well: 64 networks of seed 1, training
seed 0, validation accuracies only (width 32, rate 0.2, dropout 0.5, 80 epochs: tau 0.55 there, against
0.24 to 0.38 for five settings of width 16). It is reported on fresh networks, sample `all`: the first 200 in
the order of seed 7, training seed 10. Nothing else is changed.

What it does (each goes on where it was stopped; `--graphs cora` and `--seeds 10,11` say which):
`python nbs/studies/fidelity_graphs/run.py judges` writes judges.csv: a row per network, judge and seed,
with the judge's figures after so many epochs. `... taus` compares them with the table's validation
accuracies (taus.csv); `... taus --against test` is the last step. `... surrogate --minutes 25` writes
brief_GRAPH.csv: the brief scores of many networks in the order of seed 7, with training seed 10, and
the best accuracy after every few epochs.
"""

import argparse, os, sys, time
from pathlib import Path

os.environ.setdefault('OMP_NUM_THREADS', '1')
HERE = Path(__file__).resolve().parent
sys.path[:0] = [str(HERE.parents[2]), str(HERE.parent)]
from ledger import rows_of, write

ORDER = 7  # seed of the order in which the surrogate takes networks
SAMPLES = dict(
    cora=dict(first=200, all=ORDER, top=300), citeseer=dict(first=201, all=ORDER, top=301)
)  # seeds
SIZES = dict(first=200, all=200, top=100)
FIRST = dict(epochs=60, width=16, lr=0.5, dropout=0.7, every=5)  # what the first round chose
STEPS = 400  # of training of the shared weights
SURROGATE = 10  # seed of training
BLOCK = 32  # networks that are written at once


def drawn(table, n, seed, best=1.0) -> list:
    "Codes of n networks out of the best share by validation accuracy"
    import numpy as np
    import torch

    codes = np.array(list(table.at))
    codes = codes[table.valid >= np.quantile(table.valid, 1 - best)]
    order = torch.randperm(len(codes), generator=torch.Generator().manual_seed(seed))
    return codes[order[:n].numpy()].tolist()


def sample(name, which) -> list:
    "The codes of a sample"
    from dnas_nb.domains.graphspace import graph_table

    best = 0.1 if which == 'top' else 1.0
    return drawn(graph_table(name), SIZES[which], SAMPLES[name][which], best)


def by_brief(labelled, patterns, seed, **changes):
    "Figures after 5, 10, ... epochs: the best validation accuracy so far"
    import numpy as np
    from dnas_nb.domains.brief import BriefRecipe, brief_curves

    curves = brief_curves(patterns, labelled, BriefRecipe(**FIRST | changes), seed)
    return curves.epochs.tolist(), np.maximum.accumulate(curves.accuracy, 1)


def path_trained(labelled, seed):
    "A supernet whose steps train one network each, drawn evenly"
    import torch
    from dnas_nb.core import generator, seeded
    from dnas_nb.domains.graphspace import graph_space
    from dnas_nb.genotype import one_hot, random_arch
    from dnas_nb.supernet import Spec
    from dnas_nb.tasks import nodes

    space, g = graph_space(labelled), generator('paths', seed)
    x, y = labelled.data.train.take()
    with seeded('shared paths', seed):
        net = space.supernet(Spec(batch_stats=True)).train()
        opt = torch.optim.SGD(net.parameters(), 0.1, weight_decay=5e-4)
        for _ in range(STEPS):
            theta = one_hot(random_arch(space, g), space)
            loss = nodes.loss(net(x, theta), y)
            opt.zero_grad()
            loss.backward()
            opt.step()
    return net.module


def by_shared(labelled, patterns, seed, how):
    "Validation accuracy with shared weights; batch norms use the statistics of the network itself"
    import numpy as np
    import torch
    from dnas_nb.domains.graphspace import plain_net, search_graph

    if how == 'paths':
        shared = path_trained(labelled, seed)
    else:
        shared = search_graph(labelled, 'danas', epochs=100, seed=seed).state.net.module
    mask, found = labelled.masks['valid'], []
    for pattern in patterns:
        net = plain_net(shared, pattern).train()
        net.dropout = 0.0
        with torch.no_grad():
            output = net(labelled.graph.batch, mask)[0]
        right = output.argmax(1) == labelled.y[mask]
        found.append(100 * right.double().mean().item())
    return [STEPS if how == 'paths' else 100], np.array(found)[:, None]


def by_first(labelled, patterns, seed):
    "The number of parameters: what costs nothing"
    import numpy as np
    from dnas_nb.domains.brief import brief_net

    counts = [sum(p.numel() for p in brief_net(q, labelled).parameters()) for q in patterns]
    return [0], np.array(counts)[:, None]


def judges():
    "Name -> (labelled, patterns, seed) -> epochs, figures (N, epochs)"
    from functools import partial

    return {
        'brief 16': by_brief,
        'brief 8': partial(by_brief, width=8),
        'fast': partial(by_brief, lr=1.0),
        'paths': partial(by_shared, how='paths'),
        'mixture': partial(by_shared, how='mixture'),
        'parameters': by_first,
    }


def judge(graphs, samples, seeds, names):
    from dnas_nb.domains.graphs import graph_data
    from dnas_nb.domains.graphspace import Pattern

    path, known = HERE / 'judges.csv', judges()
    done = {(r['graph'], r['sample'], r['judge'], r['seed']) for r in rows_of(path)}
    for name in graphs:
        for seed in seeds:
            for which in samples:
                for who in names:
                    if (name, which, who, str(seed)) in done:
                        continue
                    codes, labelled = sample(name, which), graph_data(name)
                    patterns = [Pattern.at(code) for code in codes]
                    start = time.process_time()
                    epochs, figures = known[who](labelled, patterns, seed)
                    seconds = round((time.process_time() - start) / len(codes), 3)
                    rows = []
                    for code, row in zip(codes, figures):
                        told = ' '.join(f'{value:.1f}' for value in row)
                        head = dict(graph=name, sample=which, judge=who, seed=seed, code=code)
                        every = ' '.join(map(str, epochs))
                        rows.append(head | dict(seconds=seconds, epochs=every, figures=told))
                    write(path, rows)
                    print(name, which, who, seed, f'{seconds} s a network', flush=True)


def interval(figures, truth, draws=1000) -> tuple:
    "tau and its 95 % interval"
    import numpy as np
    from scipy.stats import kendalltau

    rng, n = np.random.default_rng(0), len(truth)
    taus = []
    for _ in range(draws):
        k = rng.integers(0, n, n)
        taus.append(kendalltau(figures[k], truth[k]).statistic)
    low, high = np.quantile(taus, [0.025, 0.975])
    return kendalltau(figures, truth).statistic, low, high


def taus(against):
    "Every judge, after so many epochs, alone and averaged over its seeds"
    import numpy as np
    from dnas_nb.domains.graphspace import graph_table

    path, groups = HERE / 'taus.csv', {}
    kept = [r for r in rows_of(path) if r['against'] != against]
    for r in rows_of(HERE / 'judges.csv') + by_surrogate():
        key = r['graph'], r['sample'], r['judge']
        groups.setdefault(key, {}).setdefault(int(r['seed']), []).append(r)
    found = []
    for (name, which, who), by_seed in groups.items():
        table = graph_table(name)
        first = next(iter(by_seed.values()))
        rows = [table.at[int(r['code'])] for r in first]
        truth = getattr(table, against)[rows]
        epochs = [int(e) for e in first[0]['epochs'].split()]
        seconds = np.mean([float(r['seconds']) for part in by_seed.values() for r in part])
        stack = []
        for part in by_seed.values():
            stack.append([[float(v) for v in r['figures'].split()] for r in part])
        stack = np.array(stack)  # (seeds, networks, looks)
        for count in sorted({1, len(stack)}):
            looks = list(enumerate(epochs))
            for look, epoch in looks if against == 'valid' else looks[-1:]:
                if count == 1:  # the mean of the single seeds' taus; the interval of the first
                    each = [interval(f[:, look], truth, 1)[0] for f in stack]
                    _, low, high = interval(stack[0][:, look], truth)
                    tau = float(np.mean(each))
                else:
                    tau, low, high = interval(stack[:, :, look].mean(0), truth)
                spent = seconds * count * epoch / max(1, epochs[-1])
                row = dict(graph=name, sample=which, judge=who, seeds=count, epochs=epoch)
                row |= dict(networks=len(truth), seconds=round(spent, 3), against=against)
                row |= dict(tau=round(tau, 3))
                found.append(row | dict(low=round(low, 3), high=round(high, 3)))
    path.unlink(missing_ok=True)
    write(path, kept + found)


def ceiling():
    "How well the table's validation accuracies order its test accuracies: ceiling.csv"
    from scipy.stats import kendalltau
    from dnas_nb.domains.graphspace import graph_table

    found = []
    for name in SAMPLES:
        table = graph_table(name)
        whole = kendalltau(table.valid, table.test).statistic
        found.append(dict(graph=name, sample='every', tau=round(whole, 3), low='', high=''))
        for which in SIZES:
            rows = [table.at[code] for code in sample(name, which)]
            tau, low, high = interval(table.valid[rows], table.test[rows])
            row = dict(graph=name, sample=which, tau=round(tau, 3))
            found.append(row | dict(low=round(low, 3), high=round(high, 3)))
    (HERE / 'ceiling.csv').unlink(missing_ok=True)
    write(HERE / 'ceiling.csv', found)


def surrogate(graphs, minutes):
    "Brief scores of networks in a random order, as many as the minutes of the processor allow"
    import numpy as np
    from dnas_nb.domains.brief import brief_curves
    from dnas_nb.domains.graphs import graph_data
    from dnas_nb.domains.graphspace import Pattern, graph_table

    for name in graphs:
        path, labelled = HERE / f'brief_{name}.csv', graph_data(name)
        done = {int(r['code']) for r in rows_of(path)}
        order = [code for code in drawn(graph_table(name), 10**6, ORDER) if code not in done]
        begun = time.process_time()
        while order and time.process_time() - begun < 60 * minutes:
            codes, order = order[:BLOCK], order[BLOCK:]
            start = time.process_time()
            curves = brief_curves([Pattern.at(c) for c in codes], labelled, seed=SURROGATE)
            seconds = round((time.process_time() - start) / len(codes), 3)
            best, rows = np.maximum.accumulate(curves.accuracy, 1), []
            for code, row in zip(codes, best):
                told = ' '.join(f'{value:.1f}' for value in row)
                rows.append(dict(code=code, score=f'{row[-1]:.1f}', seconds=seconds, looks=told))
            write(path, rows)
            print(name, len(done) + len(rows), f'{seconds} s a network', flush=True)
            done |= set(codes)


def by_surrogate() -> list:
    "Rows as in judges.csv: the first networks of the surrogate, and all of them"
    from dnas_nb.domains.brief import BriefRecipe

    found, step = [], BriefRecipe().every
    for name in SAMPLES:
        rows = rows_of(HERE / f'brief_{name}.csv')
        more = rows if len(rows) > SIZES['all'] else []
        for which, some in (('all', rows[: SIZES['all']]), ('surrogate', more)):
            for r in some:
                every = range(step, step * len(r['looks'].split()) + 1, step)
                head = dict(graph=name, sample=which, judge='brief', seed=SURROGATE, code=r['code'])
                head |= dict(seconds=r['seconds'], epochs=' '.join(map(str, every)))
                found.append(head | dict(figures=r['looks']))
    return found


def main():
    p = argparse.ArgumentParser(description=__doc__.split('\n')[0])
    p.add_argument('what', choices=('judges', 'taus', 'ceiling', 'surrogate'))
    p.add_argument('--graphs', default='cora,citeseer')
    p.add_argument('--samples', default='all,top')
    p.add_argument('--judges', default='brief 16,paths,mixture,parameters')
    p.add_argument('--seeds', default='10,11,12')
    p.add_argument('--against', default='valid', choices=('valid', 'test'))
    p.add_argument('--minutes', type=float, default=25)
    a = p.parse_args()
    graphs = a.graphs.split(',')
    if a.what == 'judges':
        names = a.judges.split(',')
        judge(graphs, a.samples.split(','), [int(s) for s in a.seeds.split(',')], names)
    elif a.what == 'taus':
        taus(a.against)
    elif a.what == 'ceiling':
        ceiling()
    else:
        surrogate(graphs, a.minutes)


if __name__ == '__main__':
    main()
