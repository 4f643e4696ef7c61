"""The runs behind nbs/tutorials/pruning_pays.ipynb: what a search costs per epoch while its space
shrinks.

`python nbs/studies/pruning/run.py` does what is missing (it can be stopped at any time) and writes
nbs/studies/pruning/runs.json;
`python nbs/studies/pruning/run.py --darts SEARCH TRAINING` notes what two run folders say: of
`dnas_search --data cifar10 --space darts --method drnas --channels 8 --cells 5 --images 2000
--epochs 10 --out SEARCH`
and of `dnas_train SEARCH --epochs 5 --out TRAINING`;
`python nbs/studies/pruning/run.py --steps` measures one step before and after a stage change and
prints its cost beside the FLOPs left.
"""

import os
import platform
import statistics
import sys
import tempfile
import time
from pathlib import Path

os.environ.setdefault('OMP_NUM_THREADS', '1')
ROOT = Path(__file__).resolve().parents[3]
sys.path.insert(0, str(ROOT))
RESULTS = Path(__file__).resolve().parent / 'runs.json'
SEEDS = (0,)  # one run of each: a picture of costs, not a ranking of methods
RUNS = {  # name -> settings; the rest is the preset of `dnas_search --data cifar10`
    'DrNAS': dict(method='drnas'),
    'progressive DrNAS': dict(method='drnas-progressive', channels=16, epochs=30),
    'DANAS': dict(method='danas'),
    'DANAS, dependency-aware pruning': dict(method='danas-prune'),
    'DANAS, pruning by marginals': dict(method='danas-prune-marginal'),
    'DANAS, correlation frozen, pruning': dict(method='danas-prune-frozen'),
}


def flops(net, theta, live, batch, size):
    """Of the convolutions and the classifier in one forward pass over `batch` images, two per
    multiply-add; the plain way, so that each operation is seen."""
    import torch
    from torch import nn
    from dnas_nb.fast import FastCell
    from dnas_nb.supernet import CellNet

    total, hooks = 0, []

    def see(m, i, o):
        nonlocal total
        total += (
            2 * o.numel() * m.weight[0].numel()
            if isinstance(m, nn.Conv2d)
            else 2 * m.weight.numel() * len(o)
        )

    cells = [m for m in net.modules() if type(m) is FastCell]
    for m in cells:
        m.__class__ = CellNet
    for m in net.modules():
        if isinstance(m, (nn.Conv2d, nn.Linear)):
            hooks.append(m.register_forward_hook(see))
    with torch.no_grad():
        net(torch.zeros(batch, 3, size, size), theta, live)
    for h in hooks:
        h.remove()
    for m in cells:
        m.__class__ = FastCell
    return total


def passes(net, phi, live, method, batch):
    "Both passes of a search step, as a function that changes nothing."
    import torch
    from dnas_nb.bilevel import Loss

    loss = Loss(net, method.relax, live, 1.0, (0,))
    frozen = {n: p.detach() for n, p in net.named_parameters()}

    def go():
        torch.autograd.grad(
            loss(frozen, phi, batch),
            [v for p in phi.values() for v in p.values() if v.requires_grad],
            allow_unused=True,
        )
        with torch.no_grad():
            theta = loss.sample(phi)
        torch.autograd.grad(loss.at(None, theta, batch), list(net.parameters()), allow_unused=True)

    return go


def beside(a, b, rounds=5):
    """Median ratio of the CPU seconds of `a` and `b`, called in turn: the machine's other work
    hits both."""

    def once(f):
        t = time.process_time()
        f()
        return time.process_time() - t

    a()
    b()
    return statistics.median(once(a) / once(b) for _ in range(rounds))


def watched(name, seed) -> dict:
    """One search; of every epoch the forward FLOPs, and the cost of a step divided by that of a
    step before the first epoch, measured beside it"""
    import torch
    from dnas_nb.running.experiment import run
    from dnas_nb.bilevel import dists
    from dnas_nb.methods import METHODS

    given, rows = {**RUNS[name], 'data': 'cifar10', 'seed': seed, 'device': 'cpu'}, []
    last, first = [time.process_time()], []

    def on_epoch(state, s):
        now, method = time.process_time(), METHODS[s.method]
        if not first:
            from copy import deepcopy

            batch = (
                torch.randn(s.batch, 3, s.size, s.size).contiguous(
                    memory_format=torch.channels_last
                ),
                torch.arange(s.batch) % 10,
            )
            first.append(
                (
                    deepcopy(state.net),
                    {
                        c: {
                            k: v.detach().clone().requires_grad_(v.requires_grad)
                            for k, v in p.items()
                        }
                        for c, p in state.phi.items()
                    },
                    {c: m.clone() for c, m in state.live.items()},
                    batch,
                )
            )
        net, phi, live, batch = first[0]
        step = beside(
            passes(state.net, state.phi, state.live, method, batch),
            passes(net, phi, live, method, batch),
        )
        theta = {c: d.mean for c, d in dists(state, METHODS[s.method]).items()}
        rows.append(
            dict(
                cpu=round(now - last[0], 3),
                step=round(step, 4),
                mflop=flops(state.net, theta, state.live, 1, s.size) / 1e6,
                live=sum(int(m.sum()) for m in state.live.values()),
                weights=sum(p.numel() for p in state.net.parameters()),
            )
        )
        last[0] = time.process_time()

    with tempfile.TemporaryDirectory() as d:
        r = run(d, on_epoch=on_epoch, report=False, **given)
    table = {
        t['dataset']: dict(test=round(t['test'], 2), rank=t['rank'], regret=round(t['regret'], 2))
        for t in r.found['table']
    }
    return dict(
        name=name,
        seed=seed,
        arch=r.found['arch'],
        table=table,
        epochs=rows,
        seconds=round(sum(e['cpu'] for e in rows)),
        valid_acc=r.found['valid_acc'],
        entropy=[round(h, 4) for h in r.trace.scalars['entropy']],
        date=time.strftime('%Y-%m-%d'),
        machine=f'{platform.machine()}, one core, torch {torch.__version__}',
    )


def stages():
    """Stage changes as (label, space, K, operations per edge or None); the operations that stay
    are drawn."""
    return [
        ('nb201, C=16, N=1', 'nb201', 16, 1, [(4, None), (4, 3), (2, 3), (1, None), (1, 3)]),
        ('darts, C=16, 5 cells', 'darts', 16, 5, [(4, None), (4, 4), (2, 4), (2, 2)]),
    ]


def steps(rounds=5, draws=3):
    "Cost of a search step beside its FLOPs, for each stage."
    import torch
    from dnas_nb.bilevel import Step, arch_step, start, weight_step
    from dnas_nb.core import generator
    from dnas_nb.fast import fast
    from dnas_nb.methods import find_method
    from dnas_nb.prune import keep_top, set_live, strip
    from dnas_nb.spaces import all_spaces
    from dnas_nb.supernet import SuperNet

    torch.set_num_threads(1)
    method, out = find_method('drnas'), []
    for label, name, C, n, plan in stages():
        B, size = (64, 32) if name == 'nb201' else (16, 32)
        batch = (
            torch.randn(B, 3, size, size).contiguous(memory_format=torch.channels_last),
            torch.arange(B) % 10,
        )
        for K, keep in plan:
            costs, gf = [], []
            for draw in range(draws if keep else 1):
                space = all_spaces()[name]()
                net = SuperNet(space, C, n, partial=K, batch_stats=True)
                state = start(fast(net), method)
                if keep:
                    state = set_live(
                        state,
                        {
                            c.name: keep_top(
                                torch.rand(c.E, c.O, generator=generator('stage', draw, c.name)),
                                c.live,
                                keep,
                            )
                            for c in space.cells
                        },
                    )
                    state = strip(state, method, 1.0)
                what = Step(batch, batch, progress=0.5)
                loss = state.loss(what, 'step', method.relax)

                def step():
                    arch_step(state, method, loss, what)
                    weight_step(state, method, loss, what)

                step()
                seen = []
                for _ in range(rounds):
                    t = time.process_time()
                    step()
                    seen.append(time.process_time() - t)
                costs.append(statistics.median(seen))
                gf.append(
                    5
                    * flops(
                        state.net,
                        {
                            c.name: m.float()
                            for c, m in ((c, state.live[c.name]) for c in space.cells)
                        },
                        state.live,
                        B,
                        size,
                    )
                    / 1e9
                )
            out.append(
                dict(
                    stage=label,
                    K=K,
                    ops=keep or space.cells[0].O,
                    gflop=statistics.mean(gf),
                    cpu=statistics.mean(costs),
                )
            )
            first = next(o for o in out if o['stage'] == label)
            print(
                f"{label:22} K={K} {out[-1]['ops']} operations an edge: {out[-1]['gflop']:7.2f} GFLOP {out[-1]['gflop']/first['gflop']:6.2f}x   {out[-1]['cpu']:6.3f} CPU s {out[-1]['cpu']/first['cpu']:6.2f}x",
                flush=True,
            )
    return out


def darts(search, training) -> dict:
    "What two run folders say, in one record"
    from dnas_nb.running.folder import account

    a, b = (account(f) for f in (search, training))
    s, r = a['settings'], b['result']
    return {
        'search': f"{s['method']}, {s['space']}, C={s['channels']}, {s['cells']} cells, {s['images']} images of {s['size']}×{s['size']}, {s['epochs']} epochs, seed {s['seed']}",
        'found': a['result']['arch'],
        'minutes of the search': round(a['seconds'] / 60, 1),
        'MB predicted': a['predicted_mb'],
        'MB at the peak': a['peak_mb'],
        'accuracy with shared weights, discretised': a['result']['test_acc'],
        'epochs of training alone': b['epoch'],
        **{f'{k}, alone': v for k, v in r.items() if isinstance(v, (int, float))},
        'date': a['started'][:10],
        'machine': f"{platform.machine()}, one core shared with other work, torch {a['versions']['torch']}",
    }


def main():
    from dnas_nb.safe import read_json
    from dnas_nb.core import as_json, write_atomic

    data = (
        read_json(RESULTS, (dict, list), nan=True) if RESULTS.exists() else dict(runs=[], steps=[])
    )
    if '--darts' in sys.argv:
        data['darts'] = darts(*sys.argv[2:4])
        write_atomic(RESULTS, as_json(data))
        return
    if '--steps' in sys.argv:
        data['steps'] = steps()
        data['steps_date'] = time.strftime('%Y-%m-%d')
        write_atomic(RESULTS, as_json(data))
        return
    for seed in SEEDS:
        for name in RUNS:
            if any((r['name'], r['seed']) == (name, seed) for r in data['runs']):
                continue
            r = watched(name, seed)
            data = read_json(RESULTS, (dict, list), nan=True) if RESULTS.exists() else data
            data['runs'].append(r)
            write_atomic(RESULTS, as_json(data))
            print(
                len(data['runs']),
                name,
                seed,
                r['arch'],
                r['table']['cifar10'],
                r['seconds'],
                's',
                flush=True,
            )


if __name__ == '__main__':
    main()
