"Costs: counted, measured, fitted and expected, in every space and under every method."

import itertools
from dataclasses import replace
import pytest
import torch
from conftest import fails
from dnas_nb.core import UserError, generator
from dnas_nb.cost import (
    cost_of,
    cost_penalty,
    cost_table,
    expected_cost,
    flops,
    pareto,
    uniform_cost,
    uses,
    with_cost,
)
from dnas_nb.latency import Timing, fit_costs, latency, ms
from dnas_nb.bilevel import Plan, penalty_grads, start
from dnas_nb.distribution import relax_softmax
from dnas_nb.genotype import all_archs, one_hot, random_arch
from dnas_nb.methods import METHODS
from dnas_nb.space import SPACES, darts, nb201, toy
from dnas_nb.spaces import FURTHER
from dnas_nb.supernet import SuperNet, batch_stats, n_weights, subnet

TABLE = cost_table('params', toy(), 2, 1)


@pytest.mark.parametrize('name', [n for n in SPACES | FURTHER if n != 'shuffle'])
def test_tables_are_exact(name):
    "The sum over edges is what the network has, for a random architecture of every space."
    space, n = (SPACES | FURTHER)[name](), 3 if name in ('darts', 's1', 's2', 's3', 's4') else 1
    C = 8 if name == 'size' else 4
    g = random_arch(space, generator('exact', name))
    net = subnet(space, g, C, n)
    tables = [cost_table(k, space, C, n) for k in ('params', 'flops')]
    assert [cost_of(t, g, space) for t in tables] == [n_weights(net), flops(net, (1, 3, 32, 32))]


def test_second_head_costs_nothing():
    "It is used in training only."
    space = darts()
    a, b = (
        subnet(space, random_arch(space, generator(0)), 4, 3, auxiliary=aux).train()
        for aux in (False, True)
    )
    assert flops(a, (1, 3, 32, 32)) == flops(b, (1, 3, 32, 32)) and b.training and b.aux.training


def test_nothing_changes():
    "Counting and timing leave modes, statistics and weights as they were."
    net = subnet(toy(), random_arch(toy(), generator(1)), 4, 1).train()
    net.stem.eval()
    before = {k: v.clone() for k, v in net.state_dict().items()}
    flops(net, (2, 3, 16, 16))
    latency(net, torch.randn(2, 3, 16, 16), runs=2, warmup=1)
    assert (
        net.training
        and not net.stem.training
        and all(torch.equal(v, before[k]) for k, v in net.state_dict().items())
    )
    assert not any(m._forward_hooks or m._forward_pre_hooks for m in net.modules())


def test_uses_removes_its_hooks():
    net = SuperNet(toy(), 2, 1)
    uses(net, (1, 3, 8, 8))
    with pytest.raises(UserError):
        uses(net, (1, 3, 1, 1))
    assert not any(m._forward_pre_hooks for m in net.modules())


def test_timing():
    calls = []

    class Count(torch.nn.Module):
        def forward(self, x):
            calls.append(torch.get_num_threads())
            return x

    before = torch.get_num_threads()
    t = latency(Count(), torch.zeros(3, 1), runs=4, warmup=2, threads=2)
    assert (
        isinstance(t, Timing)
        and '2 threads' in repr(t)
        and repr(replace(t, threads=1)).endswith('1 thread, median of 4')
    )
    assert (
        calls == [2] * 6
        and torch.get_num_threads() == before
        and (t.runs, t.batch, t.threads) == (4, 3, 2)
    )

    class Broken(torch.nn.Module):
        def forward(self, x):
            raise RuntimeError

    with pytest.raises(RuntimeError):
        latency(Broken().train(), torch.zeros(1), threads=2)
    assert torch.get_num_threads() == before


def test_measured_table():
    t = cost_table(ms, toy(), 2, 1, size=8)
    assert (
        t.unit == 'ms'
        and t.base > 0
        and (t.table['cell'][:, 2] > 0).all()
        and not t.table['cell'][:, :2].any()
    )


def test_expectation_is_the_mean_over_all():
    space, D = toy(), relax_softmax(
        {'alpha': torch.randn(3, 3, generator=generator('a'))}, 0.0, None
    )
    chance = [D.mean[one_hot(g, space)['cell'] > 0].prod().item() for g in all_archs(space)]
    mean = sum(p * cost_of(TABLE, g, space) for p, g in zip(chance, all_archs(space)))
    assert abs(TABLE.base + expected_cost(D, TABLE.table['cell']).item() - mean) < 1e-3 * mean


def test_dead_columns_cost_nothing():
    "Operations that were pruned, or do not exist on an edge, enter neither the price nor its gradient."
    alpha, live = torch.zeros(3, 3, requires_grad=True), torch.tensor([[True, True, False]] * 3)
    D = relax_softmax({'alpha': alpha}, 0.0, live)
    assert expected_cost(D, TABLE.table['cell']).item() == 0
    odd = torch.full((2, 2), 4.0)
    odd[1, 1] = 1e9
    assert uniform_cost(odd, torch.tensor([[True, True], [True, False]])) == 8


@pytest.mark.parametrize('name', [m for m in METHODS if METHODS[m].grad])
def test_every_method_at_a_price(name):
    "The price reaches the logits of every row, and nothing moves the prices themselves."
    space, part = METHODS[name].adapt(toy()), METHODS[name].partial
    m = with_cost(METHODS[name], cost_table('params', space, 8, 1), 3.0)
    state = start(batch_stats(SuperNet(space, 8, 1, partial=part)), m, Plan(lr=0.05))
    plain = start(batch_stats(SuperNet(space, 8, 1, partial=part)), METHODS[name], Plan(lr=0.05))
    before, after = (
        (penalty_grads(a, b, 0.5) or {}).get('cell', {})
        for a, b in ((METHODS[name], plain), (m, state))
    )
    push = {
        k: (g - before.get(k, 0)).abs().max()
        for k, g in after.items()
        if k not in ('price', 'frame')
    }
    assert max(push.values()) > 1e-3 and not state.phi['cell']['price'].requires_grad
    assert not after['price'].any() and not after['frame'].any()


def test_coefficient_over_time():
    m = with_cost(METHODS['darts'], TABLE, lambda progress: 2 * progress, target=1e3)
    D = m.relax(m.init(toy().cells[0], generator(0)), 0.0, None)
    a, b = (m.penalties[-1](D, t) for t in (0.25, 0.5))
    assert torch.isclose(2 * a, b) and a != 0 and m.penalties[-1](D, 0.0) == 0


def test_search_and_resume_keep_the_prices(tmp_path):
    from dnas_nb.bilevel import search
    from dnas_nb.checkpoint import fill, read, save
    from dnas_nb.sources import load_data

    m, split = with_cost(METHODS['drnas'], TABLE, 2.0), load_data('digits', images=80)
    fresh = lambda: start(batch_stats(SuperNet(toy(), 2, 1, in_ch=1)), m, Plan(lr=0.05))
    state = fresh()
    for state in search(state, m, split.search, Plan(1, 16, lr=0.05)):
        save(state, tmp_path / 'last.pt')
    again = fill(fresh(), read(tmp_path / 'last.pt'))
    assert torch.equal(again.phi['cell']['price'], m.init(toy().cells[0], generator(9))['price'])


def test_pareto_by_definition():
    g = generator('pareto')
    for n, k in itertools.product((1, 5, 40), (3, 1000)):
        cost, score = (torch.randint(k, (n,), generator=g) for _ in range(2))
        slow = [
            not any(((cost <= a) & (score >= b) & ((cost < a) | (score > b))).tolist())
            for a, b in zip(cost, score)
        ]
        assert pareto(cost, score).tolist() == slow
    assert pareto([], []).tolist() == [] and not pareto([float('nan')], [1.0]).any()


def test_mistakes():
    fails(lambda: cost_table('latency', toy()), "unknown cost 'latency'", 'params')
    for target in (0, -1.0, float('nan'), float('inf')):
        fails(lambda: with_cost(METHODS['darts'], TABLE, target=target), 'above 0')
    fails(lambda: cost_penalty(TABLE.table['cell'], form='lin'), "'linear'")
    fails(lambda: with_cost(METHODS['random'], TABLE), 'does not train')
    fails(lambda: fit_costs(torch.zeros(2, 14), [1.0, 2.0], darts()), 'one cell')
    fails(lambda: fit_costs(torch.zeros(1, 6), [float('nan')], nb201()), 'none of the values')
    for k in ('runs', 'threads'):
        fails(lambda: latency(torch.nn.Identity(), torch.zeros(1), **{k: 0}), k)
