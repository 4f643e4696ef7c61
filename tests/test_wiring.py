"Wiring: costs are those of autograd and leave no trace, shapes obey their definitions, and bad histories are one line each."

import json, sys
from itertools import product
from pathlib import Path
import numpy as np
import pandas as pd
import pytest
import torch
import torch.nn.functional as F
from conftest import fails
import warm
from dnas_nb.bilevel import Plan, search, start
from dnas_nb.core import generator, seeded
from dnas_nb.sources import load_data
from dnas_nb.running.experiment import run
from dnas_nb.fast import fast
from dnas_nb.methods import find_method
from dnas_nb.space import darts, minimal, nb201, toy
from dnas_nb.supernet import SuperNet, Theta, batch_stats
from dnas_nb.reading.wiring import (
    CostTracker,
    calibration,
    distance,
    flips,
    longest,
    moves,
    plot_edges,
    plot_ops,
    settled,
    shape_by_epoch,
    table,
    used,
    wiring,
)
from dnas_nb.running.learned import read_history

ROOT = Path(__file__).resolve().parent.parent


def history(space, T=4, seed=0):
    g, out = generator('history', seed), {'epoch': range(1, T + 1)}
    for c in space.cells:
        P = torch.rand(T, c.E, c.O, generator=g).masked_fill(~c.live, 0)
        P = P / P.sum(-1, keepdim=True)
        out |= {
            f'p/{c.name}/{i}-{j}/{op}': P[:, e, o].tolist()
            for e, (i, j) in enumerate(c.edges)
            for o, op in enumerate(c.ops[e])
        }
    return pd.DataFrame(out)


@pytest.mark.parametrize('quick', [False, True])
@pytest.mark.parametrize('make', [toy, nb201, minimal])
def test_costs_are_the_gradient(make, quick):
    "Blocks add up to what autograd gives; the plain supernet and the fast one agree; none costs nothing"
    space = make()
    n = 2 if make is minimal else 1
    with seeded(0):
        net = batch_stats(SuperNet(space, 4, n, 3, 1)).double()
    if quick:
        fast(net)
    x, y = torch.randn(4, 1, 8, 8, generator=generator(1), dtype=torch.float64), torch.arange(4) % 3
    theta = {
        c.name: torch.rand(c.E, c.O, generator=generator(2), dtype=torch.float64).requires_grad_()
        for c in space.cells
    }
    with CostTracker(net) as costs:
        F.cross_entropy(net(x, theta), y).backward()
    for c in space.cells:
        mine = [v for b, (_, v) in costs.last.items() if b.split('@')[0] == c.name]
        assert len(mine) == net.names.count(c.name)
        torch.testing.assert_close(sum(mine), theta[c.name].grad, rtol=0, atol=1e-12)
    frame = table(costs, space)
    assert (
        (frame[frame.op == 'none'].cost == 0).all()
        and (frame.n == 1).all()
        and frame.sd.isna().all()
    )


def test_no_trace():
    "A watched search gives the bits of an unwatched one; the hook goes even when the search fails"
    digits, method, space = load_data('digits', images=100), find_method('dsnas'), minimal()

    def go(watch):
        with seeded('net'):
            net = fast(batch_stats(SuperNet(space, 4, 3, 10, 1)))
        state = start(net, method, Plan(arch_lr=0.1))

        def steps():
            for s in search(state, method, digits.search, Plan(2, 16)):
                pass

        if not watch:
            steps()
        else:
            with CostTracker(net):
                steps()
        return state

    a, b = go(False), go(True)
    assert (
        torch.equal(a.phi['normal']['alpha'], b.phi['normal']['alpha'])
        and not b.net._forward_pre_hooks
        and a.trace == b.trace
    )
    with pytest.raises(ZeroDivisionError):
        with CostTracker(a.net):
            1 / 0
    assert not a.net._forward_pre_hooks


def test_blocks_of_their_own():
    "An entry for one block is that block's; a pass without gradient is not counted"
    net, x = batch_stats(SuperNet(minimal(), 4, 2, 3, 1)), torch.randn(4, 1, 8, 8)
    a, b = (torch.rand(5, 8).requires_grad_() for _ in range(2))
    with CostTracker(net) as costs:
        with torch.no_grad():
            net(x, {'normal': a.detach()})
        assert not costs.stats
        net(x, theta=Theta({'normal': a}, blocks={1: b})).sum().backward()
    torch.testing.assert_close(costs.last['normal@0'][1].float(), a.grad)
    torch.testing.assert_close(costs.last['normal@1'][1].float(), b.grad)


def test_weights_of_whole_edges():
    "They multiply the same output: blocks are told apart, their costs add up to the gradient"
    net, x = batch_stats(SuperNet(minimal(), 4, 2, 3, 1)), torch.randn(4, 1, 8, 8)
    z, half = torch.rand(5, 8).requires_grad_(), torch.full((5,), 0.5)
    with CostTracker(net) as costs:
        net(x, Theta({'normal': z}, edges={'normal': half})).sum().backward()
    assert sorted(costs.last) == ['normal@0', 'normal@1']
    both = costs.last['normal@0'].cost + costs.last['normal@1'].cost
    torch.testing.assert_close(both.float(), z.grad)
    whole = z.grad.clone()
    with CostTracker(net):
        net(x, {'normal': z}).sum().backward()
    assert not torch.allclose(whole, z.grad - whole)


def test_calibration():
    "Parts add up; nan where there is nothing to average"
    y = torch.arange(6) % 3
    sure = calibration(50 * F.one_hot(y, 3).double(), y)
    assert sure['acc'] == 1 and abs(sure['gap']) < 1e-9 and np.isnan(sure['gap_wrong'])
    flat = calibration(torch.zeros(6, 3), y)
    assert abs(flat['gap']) < 1e-12 and abs(flat['ce'] - np.log(3)) < 1e-12


@pytest.mark.parametrize('make', [toy, minimal, darts])
def test_shapes(make):
    "Depth of the full cell; dropped edges as None; used edges are edges; skips free never deeper"
    for c in make().cells:
        full = [[o for o in ops if o not in ('none', 'skip_connect')][0] for ops in c.ops]
        assert longest(full, c) == c.n_nodes - c.n_in and used(full, c) == list(range(c.E))
        assert wiring([None] * c.E, c)['used'] == longest(['none'] * c.E, c) == 0
        for s in range(20):
            pick = [
                ops[int(torch.randint(len(ops), (), generator=generator(s, e)))]
                for e, ops in enumerate(c.ops)
            ]
            r = wiring(pick, c)
            assert (
                r['depth_ops'] <= r['depth'] <= r['used'] <= r['edges'] <= c.E
                and r['width'] <= c.n_nodes - c.n_in
            )
        fails(lambda: wiring(full[1:], c), f'{c.E} edges')


def test_dead_ends_do_not_count():
    c = toy()['cell']
    assert used(['nor_conv_3x3', 'none', 'none'], c) == [] and used(
        ['none', 'skip_connect', 'nor_conv_3x3'], c
    ) == [1]
    assert all(bool(used(o, c)) == (longest(o, c) > 0) for o in product(*c.ops))


def test_histories(tmp_path):
    "What cannot be read is one line; what was cut short is used"
    frame, path = history(minimal()), tmp_path / 'history.csv'
    fails(lambda: read_history(tmp_path), 'no history')
    for text, word in (
        ('', 'not the history'),
        ('epoch,loss\n1,2\n', 'no probabilities'),
        ('\x00\xff', 'is damaged'),
        (','.join(frame) + '\n', 'no finished epoch'),
    ):
        path.write_text(text)
        fails(lambda: read_history(tmp_path), word)
    frame.to_csv(path, index=False)
    assert read_history(path).attrs['note'] == '' and len(read_history(tmp_path)) == 4
    for about in (
        '[]',
        '{"status": ',
        json.dumps(dict(status='finished', settings=dict(epochs=9))),
    ):
        (tmp_path / 'run.json').write_text(about)
        assert read_history(tmp_path).attrs['note'] == ''
    (tmp_path / 'run.json').write_text(json.dumps(dict(status='running', settings=dict(epochs=9))))
    out = shape_by_epoch(read_history(tmp_path), minimal())
    assert out.attrs['note'] == '4 of 9 epochs, the run did not finish' and len(out) == 4
    fails(lambda: shape_by_epoch(frame, nb201()), "not of space 'nb201'", 'p/cell')
    fails(
        lambda: moves(frame.assign(**{'p/normal/2-3/loud': 0.0}), minimal()),
        'a column p/normal/2-3/loud',
    )


def test_two_cells():
    "Spaces with several cells, and histories of one epoch"
    out = shape_by_epoch(history(darts()), darts())
    assert out.cell.tolist() == ['normal'] * 4 + ['reduce'] * 4 and out.edges.between(0, 14).all()
    one = history(toy(), 1)
    P = moves(one, toy())['cell']
    assert len(shape_by_epoch(one.drop(columns='epoch'), toy())) == 1
    assert flips(P).tolist() == settled(P).tolist() == [0] * 3 and distance(P, P).tolist() == [0.0]
    assert plot_edges(P, toy()['cell']) and len(plot_ops(P, toy()['cell'])) == 3


def test_a_real_run(tmp_path):
    "What a search writes is what is read"
    r = run(
        tmp_path,
        method='dsnas',
        space='toy',
        data='digits',
        images=100,
        epochs=2,
        channels=4,
        report=False,
    )
    out = shape_by_epoch(read_history(tmp_path), toy())
    assert out.epoch.tolist() == [1, 2] and out.attrs['note'] == '' and len(r.trace) == 2
    fails(lambda: shape_by_epoch(read_history(tmp_path), minimal()), "not of space 'minimal'")


def test_stored_runs():
    "Three seeds each, their cost and date, no probability outside [0, 1]"
    runs = json.loads((ROOT / 'nbs' / 'studies' / 'wiring' / 'runs.json').read_text())
    seeds = pd.DataFrame(runs).groupby('name').seed.agg(list)
    assert (seeds.map(sorted).map(len) >= 3).all() and sum(r['minutes'] for r in runs) <= 15
    for r in runs:
        none = np.array(r['none'])
        assert (
            r['date']
            and none.shape == (r['settings']['epochs'] + 1, 5)
            and 0 <= none.min() <= none.max() <= 1
        )


def test_command():
    p = warm.run(
        [sys.executable, str(ROOT / 'nbs' / 'studies' / 'wiring' / 'run.py'), 'DSNAS', '0'],
        capture_output=True,
        text=True,
    )
    assert (
        p.returncode == 1 and len(p.stderr.strip().splitlines()) == 1 and 'did you mean' in p.stderr
    )
