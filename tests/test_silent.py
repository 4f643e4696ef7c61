"""What was silently wrong: equal up to rounding, off by half a step, the other side of a picture, an
offset that is taken too late, a candidate that diverged."""

import math

import numpy as np
import pandas as pd
import torch
from dnas_nb.bench.certainty import believe
from conftest import fails
from torch import nn
from dnas_nb.budgets import price, with_limit, within
from dnas_nb.core import generator
from dnas_nb.cost import cost_of, cost_table, flops, uniform_cost
from dnas_nb.genotype import random_arch
from dnas_nb.importance import _unit as unit_of_options
from dnas_nb.methods import find_method
from dnas_nb.regularizer import _alignment_push, alignment
from dnas_nb.running.compare import compare, interval, pairs
from dnas_nb.samplers import OnEdges, Then, init_edges
from dnas_nb.distribution import relax_softmax
from dnas_nb.sgas import _unit as unit_of_edges
from dnas_nb.stopping import _eigen_ratio
from dnas_nb.space import SPACES, darts, nb201, toy
from dnas_nb.supernet import edge_weights
from dnas_nb.systems.svge import MapQueries, surrogate
from dnas_nb.tasks import regression
from dnas_nb.trace import Trace
from dnas_nb.zeroorder import _lowest, mgs_weights

torch.set_num_threads(1)


def test_what_is_equal_up_to_rounding_is_equal():
    "The share of what is not `none`, in spaces without it, is 1 but for the order of a sum"
    ones = torch.tensor([1.0, 1 - 6e-8, 1.0])
    assert unit_of_edges(ones).eq(1).all()
    assert unit_of_edges(torch.tensor([1e-4, 2e-4])).tolist() == [0, 1]
    live = torch.ones(2, 3, dtype=torch.bool)
    x = torch.tensor([[0.2, 0.2 + 1e-9, 0.2], [0.1, 0.2, 0.3]]).double()
    assert unit_of_options(x, live)[0].eq(0).all() and unit_of_options(x, live)[1, 2] == 1


def test_draws_of_a_belief_have_its_mean():
    rng = np.random.default_rng(0)
    truth = 1 / (1 + np.exp(-rng.normal(2.5, 0.5, (300, 1))))
    known = believe(rng.binomial(600, truth, (300, 3)), 600)
    gap = known.draws.mean(0) - known.mean
    assert abs(gap.mean()) < 0.03   # of a hundredth; by half a step of the grid it was 0.2


def test_prices_of_pictures_that_are_no_squares():
    "The cost of an architecture is that of its network, whichever side is longer"
    for H, W in ((64, 16), (16, 64)):
        p = price(toy(), 'macs', torch.zeros(1, 3, H, W))
        costs = cost_table('flops', toy(), size=(H, W))
        g = random_arch(toy(), generator('tall'))
        assert p.costs.base == costs.base and cost_of(p.costs, g, toy()) == cost_of(costs, g, toy())
    assert cost_table('flops', toy(), size=32).base == cost_table('flops', toy(), size=(32, 32)).base


def test_the_penalty_of_two_limits_is_that_of_the_tighter():
    x = torch.zeros(1, 3, 32, 32)
    limits = [dict(params=1e9, macs=1e7), dict(params=1e5, macs=1e12)]
    assert [within(darts(), x=x, **limit).tightest for limit in limits] == [1, 0]
    for limit in limits:
        method = with_limit(find_method('darts'), within(darts(), x=x, **limit))
        assert len(method.penalties) == 1


def test_equal_weights_are_those_of_options_that_exist():
    "A fresh search costs its target, also where some edges have fewer options"
    space = SPACES['s1']()
    costs = cost_table('params', space)
    for cell in space.cells:
        table = costs.table[cell.name]
        counts = torch.tensor([len(ops) for ops in cell.ops])
        want = (table.sum(1) / counts).sum().item()
        assert math.isclose(uniform_cost(table, costs.live[cell.name]), want)


def test_an_offset_is_taken_before_numbers_are_rounded():
    y = 1.7e9 + 60 * torch.rand(50, generator=generator('late'), dtype=torch.float64)
    task = regression.fit(y)
    units = ((y - y.mean()) / y.std(unbiased=False)).float()[:, None]
    assert task.loss(units, y) < 1e-6 and task.scores(units, y)['acc'] > 49.99


def test_weights_of_edges_whose_nodes_are_far_apart():
    far = torch.tensor([0.0, 0.0, 120.0, 121.0], requires_grad=True)
    nodes = torch.tensor([2, 2, 3, 3])
    w = edge_weights(far, nodes)
    want = torch.cat([far[:2].softmax(0), far[2:].softmax(0)])
    torch.testing.assert_close(w, want)
    (g,), (h,) = (torch.autograd.grad(v @ torch.arange(4.0), far, retain_graph=True) for v in (w, want))
    torch.testing.assert_close(g, h)


def test_composed_samplers_keep_the_weights_of_edges():
    phi = init_edges(nb201().cells[0], generator('edges'))
    D = Then(OnEdges(), relax_softmax)(phi)
    assert D.edges.equal(OnEdges()(phi).edges) and Then(relax_softmax, relax_softmax)(phi).edges is None


def test_a_candidate_that_diverged_is_not_taken():
    w = mgs_weights(torch.tensor([0.1, math.nan, 0.2]), torch.zeros(3), 0.1)
    assert w[1] == 0 and math.isclose(w.sum().item(), 1, rel_tol=1e-6)
    moves = [torch.tensor([float(k)]) for k in range(3)]
    values = math.nan, 3.0, 2.0
    assert _lowest(moves, lambda d: torch.tensor(values[int(d)])) is moves[2]


def test_less_is_better_of_errors_and_one_value_has_no_interval():
    f = pd.DataFrame(dict(method=list('aabb'), seed=[0, 1, 0, 1], test_error=[9.0, 8.0, 2.0, 1.0]))
    table = compare(f, 'test_error')
    assert table.index[0] == 'b' and table.worst['b'] == 2
    assert all(map(math.isnan, interval([3.0])))


def test_answers_on_a_map_may_come_in_any_order_and_one_by_one():
    "The same answers are the same belief, while it is fitted anew; one answer, or equal ones, are an answer too"
    places = torch.randn(60, 3, generator=generator('map'))
    asked = []
    for turned in (False, True):
        search = MapQueries(places, generator('asks'))
        for _ in range(4):
            rows = search.ask(5)
            rows = rows[::-1] if turned else rows
            search.tell(rows, [-float(places[row].square().sum()) for row in rows])
        asked.append(search.rows)
    assert [set(asked[0][k : k + 5]) for k in range(0, 20, 5)] == [
        set(asked[1][k : k + 5]) for k in range(0, 20, 5)
    ]
    search = MapQueries(places, generator('asks'))
    search.tell(search.ask(1), [1.0])
    assert search.ask(1) and search.process.mean(torch.zeros(1).double()).isfinite().all()
    for some in (places[:4], places[:1]):
        assert surrogate(some, torch.ones(len(some)), epochs=1)(places).isfinite().all()


def test_edges_of_functions():
    "One layer, no gap, one group, a convolution along one axis"
    G = torch.randn(1, 5, generator=generator('one layer'))
    assert abs(alignment(G)) < 1e-6 and _alignment_push(G).abs().max() < 1e-6
    assert _eigen_ratio((1.0, 2.0, 4.0), window=2, gap=0) == 1
    assert _eigen_ratio((1.0, 2.0, 4.0), window=2, gap=1) == 2
    assert flops(nn.Conv1d(3, 4, 5, bias=False), (2, 3, 9)) == 5 * 4 * 15
    one = pd.DataFrame(dict(method=['a', 'a'], seed=[0, 1], test_acc=[0.5, 0.6]))
    fails(lambda: pairs(one), 'at least 2 groups')


def test_a_number_that_is_noted_late_stands_at_its_epoch():
    "It was moved to the first one"
    trace = Trace().then(dict(loss=2.0), {}).then(dict(loss=1.0), {}).noted(eigenvalue=5.0)
    trace = trace.then(dict(loss=0.5), {}).noted(eigenvalue=6.0)
    rows = trace.rows()
    assert math.isnan(rows[0]['eigenvalue']) and [r['eigenvalue'] for r in rows[1:]] == [5.0, 6.0]
    assert trace.upto(2).rows()[1] == dict(loss=1.0, eigenvalue=5.0)
    every = Trace().then(dict(loss=2.0), {}).noted(a=1.0).then(dict(loss=1.0), {}).noted(a=2.0)
    assert every.scalars == dict(loss=(2.0, 1.0), a=(1.0, 2.0))
