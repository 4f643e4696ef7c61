"Rules, loops and reports at their edges: what is not chosen, not counted, too short, equal or no number."

import math
from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest
import torch
from conftest import fails
from matplotlib.figure import Figure
from scipy.stats import entropy

import dnas_nb as nas
from dnas_nb.bilevel import (
    Calendar,
    Plan,
    _skips,
    by_mean,
    dists,
    evaluate,
    penalty_grads,
    search,
    start,
    watch,
)
from dnas_nb.core import UserError, generator
from dnas_nb.derive import Judge, best_of, by_perturbation, finalists, top_inputs
from dnas_nb.distribution import edge_entropy, relax_softmax
from dnas_nb.genotype import to_ops
from dnas_nb.methods import ROWS
from dnas_nb.regularizer import EntropyBits
from dnas_nb.running import referee, report
from dnas_nb.running.claims import newest
from dnas_nb.running.compare import compare, friedman, plot_cost, plot_critical, plot_runs
from dnas_nb.running.folder import csv_text
from dnas_nb.running.learned import _last_weights
from dnas_nb.running.referee import shared_judge, tuner
from dnas_nb.running.report import _collapsed
from dnas_nb.samplers import OnEdges, init_edges
from dnas_nb.sources import from_tensors
from dnas_nb.space import darts, nb201, toy
from dnas_nb.spaces import BUILT_IN
from dnas_nb.supernet import SuperNet, Theta


def favouring(space, wanted, weight=5.0):  # {cell: distribution}: softmaxes of these logits
    out = {}
    for c in space.groups:
        alpha = weight * c.where(wanted).float()
        out[c.name] = relax_softmax({'alpha': alpha}, 1.0, c.live)
    return out


def test_no_rectified_none_can_be_chosen():
    row, space = ROWS['fadarts'], ROWS['fadarts'].adapt(darts())
    normal = space['normal']
    assert normal.ops[0].count('none') == 1 and 'none_relu' not in normal.names
    assert normal.O == 2 * 8 - 1
    phi = {c.name: row.init(c, generator(0)) for c in space.groups}
    for p in phi.values():  # all want nothing, rectified
        p['op'][:, -1], p['act'][:, 1] = 5.0, 1.0
    D = {c.name: row.relax(phi[c.name], 1.0, c.live) for c in space.groups}
    op, act = phi['normal']['op'], phi['normal']['act']
    odds = (op[:, :, None] + act[:, None]).flatten(1)[:, :15].softmax(-1)
    assert torch.allclose(D['normal'].mean, odds)
    chosen = to_ops(by_mean(D, space), space)
    assert all(op is None or op.endswith('_relu') for c in chosen.values() for op in c)
    assert [sum(op is not None for op in c) for c in chosen.values()] == [8, 8]


def test_an_activation_follows_in_every_built_in_space():
    for name in 'macro', 'shuffle', 'size', 'nb101_1':
        space = ROWS['fadarts'].adapt(BUILT_IN[name]())
        net = SuperNet(space, 8, 1, 10).eval()
        theta = {c.name: c.live / c.live.sum(-1, keepdim=True) for c in space.groups}
        with torch.no_grad():
            assert net(torch.randn(2, 3, 32, 32), theta).shape == (2, 10)


def test_a_rectified_skip_is_a_skip():
    space = ROWS['fadarts'].adapt(toy())
    means = {'cell': space['cell'].where('skip_connect_relu').float()}
    assert _skips(space, means) == {'skip_share': 1.0}
    assert _collapsed({'cell': [(0, 1, 'skip_connect_relu')] * 3})


def weighted_edges(space, seed=0):  # {cell: distribution}: softmaxes beside weights of edges
    out = {}
    for c in space.groups:
        phi = init_edges(c, generator(seed))
        phi['beta'] = 3.0 * torch.arange(c.E)
        out[c.name] = OnEdges()(phi, 1.0, c.live)
    return out


def test_the_strongest_inputs_count_the_weights_of_edges():
    D, space = weighted_edges(darts()), darts()
    assert top_inputs()(D, space) == by_mean(D, space)
    normal = to_ops(top_inputs('ignored')(D, space), space)['normal']
    assert [op is not None for op in normal[-5:]] == [False] * 3 + [True] * 2  # the last node


def test_perturbation_asks_the_mixture_with_its_weights_of_edges():
    seen, D = [], weighted_edges(nb201())

    def at(theta):
        seen.append(theta.edges['cell'])
        return 0.5

    by_perturbation()(D, nb201(), Judge(at=at))
    assert len(seen) == 6 * 5
    assert all(torch.equal(edges, D['cell'].edges) for edges in seen)


def noise(n=24):  # data: images of noise, two classes
    g = np.random.default_rng(0)
    return from_tensors(g.integers(0, 255, (n, 8, 8, 3), dtype=np.uint8), np.arange(n) % 2)


def test_a_judge_hears_weights_of_edges(monkeypatch):
    space, part, losses = nb201(), noise().valid, []
    net, D = SuperNet(space, 4, 1, 2), weighted_edges(space)['cell']

    def noted(*given, **more):
        losses.append(evaluate(*given, **more)[0])
        return losses[-1], 0.0

    monkeypatch.setattr(referee, 'evaluate', noted)
    theta = Theta({'cell': D.mean}, edges={'cell': D.edges})
    for each in theta, {'cell': D.mean}:
        shared_judge(net, space, part).at(each)
    assert losses[0] == evaluate(net, theta, part)[0] != losses[1]


def test_tuning_hands_on_the_weights_of_edges():
    row, data, space = ROWS['pc-darts'], noise(), nb201()
    net = SuperNet(space, 4, 1, 2)
    state = start(net, row, Plan())
    decided = {'cell': torch.zeros(6, dtype=torch.bool)}
    theta = {c: D.mean for c, D in dists(state, row).items()}
    tuned = tuner(state, row, data, 6, 0.1)(theta, decided, steps=1)
    assert tuned.edges['cell'].shape == (6,)


def test_none_is_written_where_all_edges_stay():
    D, space = favouring(nb201(), 'none'), nb201()
    assert to_ops(top_inputs('chosen')(D, space), space)['cell'] == ['none'] * 6
    kept = favouring(darts(), 'none')
    assert set(to_ops(top_inputs('chosen')(kept, darts()), darts())['normal']) == {None}


def test_a_rule_without_candidates_and_an_odd_order_are_refused():
    D = favouring(nb201(), 'none')
    judge = Judge(at=lambda theta: 0.5)
    for order in ((('cell', 0),), tuple(('cell', e) for e in (0, 1, 2, 3, 4, 17)), (('nope', 0),)):
        with pytest.raises(UserError, match='order names each of the 6 edges of nb201 once'):
            by_perturbation(order)(D, nb201(), judge)
    backwards = tuple(('cell', e) for e in reversed(range(6)))
    assert by_perturbation(backwards)(D, nb201(), judge) == by_perturbation()(D, nb201(), judge)
    for rule in (lambda: best_of(0), lambda: finalists(k=0), lambda: finalists(n=0)):
        with pytest.raises(UserError, match='at least'):
            rule()


def test_steps_between_decisions_go_on_in_a_further_epoch(monkeypatch):
    row, data, space = ROWS['darts'], noise(), toy()
    tune = tuner(start(SuperNet(space, 4, 1, 2), row, Plan()), row, data, 4, 0.1)
    assert len(data.train) // 4 == 2
    monkeypatch.setattr(type(tune), '_step', lambda self, t, d, key, *rest: keys.append(key))
    theta, decided = {'cell': torch.ones(3, 3)}, {'cell': torch.zeros(3, dtype=torch.bool)}
    keys = []
    tune(theta, decided, steps=5)
    assert [key[2:] for key in keys] == [(0, 0), (0, 1), (1, 0), (1, 1), (2, 0)]
    keys.clear()
    tune(theta, decided, epochs=2)
    assert [key[2:] for key in keys] == [(0, 0), (0, 1), (1, 0), (1, 1)]


@pytest.mark.parametrize(
    'calendar, epochs, least',
    [
        (Calendar(wait=15), 15, 16),
        (Calendar(2, 10), 21, 22),
        (Calendar(3, 10, restart=True), 32, 33),
    ],
)
def test_a_part_in_which_the_architecture_never_learns_is_refused(calendar, epochs, least):
    net, row = SuperNet(toy(), 4, 1, 2), replace(ROWS['darts'], calendar=calendar)
    with pytest.raises(UserError, match=f'never learns, ask for at least {least} epochs'):
        start(net, row, Plan(epochs))
    start(net, row, Plan(least))
    start(net, replace(row, grad=None), Plan(epochs))  # nothing that could learn
    for part in range(calendar.parts):  # some epoch of each part is left at `least`
        own = range(part * least // calendar.parts, (part + 1) * least // calendar.parts)
        assert not all(calendar.waits(e, least) for e in own)


def test_shares_leave_an_epoch_in_every_length_of_the_rows():
    for row in ROWS.values():
        for epochs in range(1, 80):
            row.calendar.must_learn(epochs)
    with pytest.raises(UserError, match='wait 90%: in a search of 3 epochs'):
        Calendar(wait=0.9).must_learn(3)


@pytest.mark.parametrize(
    'given', [dict(wait=math.nan), dict(wait=True), dict(parts=2.5), dict(parts=True)]
)
def test_a_calendar_takes_whole_parts_and_a_share(given):
    with pytest.raises(UserError):
        Calendar(**given)


def test_the_entropy_of_switches_is_below_its_bound():
    row, space, data = ROWS['fairdarts'], nb201(), noise()
    state = start(SuperNet(space, 4, 1, 2), row, Plan())
    state.phi['cell']['alpha'].data[:] = torch.tensor([2.0, 2.0, -1.0, 0.5, 0.0])
    noted, means = watch(state, row, data, 0.0)
    rows = means['cell'] / means['cell'].sum(-1, keepdims=True)
    assert noted['entropy'] == pytest.approx(entropy(rows, axis=-1).mean(), abs=1e-6)
    assert noted['entropy'] < math.log(5)
    one = replace(row, relax=relax_softmax)  # what sums to 1 keeps its bits
    noted, means = watch(state, one, data, 0.0)
    mean = one.relax(state.phi['cell'], 0.0, state.live['cell']).mean.detach()
    assert noted['entropy'] == edge_entropy(mean).mean().item()


def test_a_constant_is_a_penalty_without_a_gradient():
    state = start(SuperNet(toy(), 4, 1, 2), ROWS['darts'], Plan())

    def zero(D, progress):
        return 0.0

    def one(D, progress):
        return torch.tensor(1.0)

    def squares(D, progress):
        return D.alpha.pow(2).sum() / 2

    for constants in (zero,), (one,), (zero, one):
        assert penalty_grads(replace(ROWS['darts'], penalties=constants), state, 0.0) is None
    both = penalty_grads(replace(ROWS['darts'], penalties=(one, squares)), state, 0.0)
    assert torch.equal(both['cell']['alpha'], state.phi['cell']['alpha'])


def test_a_loss_that_is_no_number_is_named_before_the_architecture_moves():
    space, row, data = toy(), ROWS['darts'], noise()
    state = start(SuperNet(space, 4, 1, 2), row, Plan())
    was = state.phi['cell']['alpha'].detach().clone()
    with torch.no_grad():
        state.net.stem[0].weight.fill_(math.nan)
    with pytest.raises(UserError, match='^epoch 1, step 1: the gradient of the validation loss'):
        next(search(state, row, data, Plan(2, batch=6)))
    assert torch.equal(state.phi['cell']['alpha'], was)


def test_no_images_judge_nothing():
    net, part = SuperNet(toy(), 4, 1, 2), noise().valid
    theta = {'cell': torch.full((3, 3), 1 / 3)}
    for nobody in dict(images=part[torch.arange(0)]), dict(images=part, most=0):
        with pytest.raises(UserError, match='no images to judge by'):
            evaluate(net, theta, **nobody)


def test_an_edge_without_other_options_counts_no_bits():
    live = torch.tensor([[True, False, False], [True, True, True]])
    alpha = torch.zeros(2, 3, dtype=torch.float64, requires_grad=True)
    bits = EntropyBits(drop=(0,))(relax_softmax({'alpha': alpha}, live=live))
    assert bits.item() == pytest.approx((0 + math.log2(2)) / 2, abs=1e-8)
    assert torch.autograd.grad(bits, alpha)[0].isfinite().all()


def test_the_auxiliary_skip_leaves_with_its_column():
    row, cell = ROWS['darts-minus'], nb201()['cell']
    live = cell.live.clone()
    live[2, 1] = False
    phi = row.init(cell, generator(0))
    assert row.relax(phi, 0.0, live).rsample()[2, 1] == 0
    assert (row.relax(phi, 0.0, live).rsample()[[0, 1, 3, 4, 5], 1] > 1).all()


def test_floats_of_numpy_are_written_as_numbers():
    row = dict(epoch=np.int64(1), loss=np.float64(0.1) + 0.2, acc=0.66)
    assert csv_text([row]) == 'epoch,loss,acc\n1,0.30000000000000004,0.66\n'


def test_weights_of_unequal_edges_are_not_reshaped(tmp_path):
    edges = {'0→1': ['a', 'b'], '0→2': ['a', 'b', 'c', 'd']}
    row = {f'p/cell/{e.replace("→", "-")}/{op}': 0.25 for e, ops in edges.items() for op in ops}
    (tmp_path / 'history.csv').write_text(csv_text([dict(epoch=1, **row)]))
    assert _last_weights(tmp_path, 'cell', edges) is None
    even = {'0→1': ['a', 'b'], '0→2': ['c', 'd']}
    assert _last_weights(tmp_path, 'cell', even).tolist() == [[0.25, 0.25], [0.25, 0.25]]


def test_a_claim_is_numbered_in_digits_alone(tmp_path):
    for name in 'run.2', 'run.1', 'run.²', 'x.②':
        (tmp_path / name).mkdir()
    assert newest(tmp_path) == {'run': 2}


def a_frame(**columns):  # two epochs of a cell with an edge of two options and one of three
    P = {'p/cell/0-1/a': 0.5, 'p/cell/0-1/b': 0.5}
    P |= {f'p/cell/0-2/{op}': 1 / 3 for op in ('c', 'd', 'e')}
    rows = [dict(epoch=e, train_loss=1.0, entropy=0.8, **P) for e in (1, 2)]
    return pd.DataFrame([{**row, **columns} for row in rows])


def test_the_bound_of_the_entropy_is_that_of_the_edges():
    frame = a_frame()
    has = SimpleNamespace(run={}, frame=frame, corr={})
    drawn = []
    with pytest.MonkeyPatch.context() as m:
        m.setattr(report, '_balance_picture', lambda frame, n: drawn.append(n))
        report._run_pictures(has, report.probabilities(frame))
        report._run_pictures(has, {})
    assert np.log(drawn[0]) == pytest.approx((math.log(2) + math.log(3)) / 2)
    assert drawn[1] == 0


def test_an_epoch_outside_the_search_has_no_column():
    moves = report.probabilities(a_frame())['cell']
    image = report._strips(moves, [0, 1], 3)
    assert (image[:18, 0] < 1).any() and (image[:, 1:] == 1).all()
    assert (report._strips(moves, [3, 4], 3)[:, :2] == 1).all()


def test_a_cell_begins_where_its_space_says():
    few = [(0, 3, 'sep_conv_3x3'), (1, 3, 'skip_connect'), (2, 4, 'skip_connect')]
    assert report._ends_of(few, 'normal', 'darts') == (2, 'concat')
    chain = [(0, 1, 'stage'), (1, 2, '8')]
    assert report._ends_of(chain, 'chain', 'size') == (1, 'last')
    for unknown in None, 'of mine', ['darts']:
        assert report._ends_of(few, 'normal', unknown) == (3, 'concat')


def test_a_loss_is_a_cross_entropy_where_it_is_one():
    for task, unit in dict(classification='cross-entropy', regression='loss of the task').items():
        assert report._curves_picture(a_frame(), task).axes[0].get_ylabel() == unit


def results(**groups):  # a study's rows: method -> its values, a seed each
    rows = [dict(method=m, seed=k, x=v) for m, values in groups.items() for k, v in enumerate(values)]
    return pd.DataFrame(rows)


def test_columns_in_which_less_is_better():
    words = 'mse rmse mae nll error_rate memory memory_gb flops_g gflops params_m hours test_err'
    f = results(a=[1.0, 2.0], b=[3.0, 5.0])
    for name in words.split():
        table = compare(f.rename(columns={'x': name}), name)
        assert (table.index[0], table.worst['a']) == ('a', 2.0), name
    for name in 'test_acc', 'auc', 'psnr', 'f1', 'map':
        assert compare(f.rename(columns={'x': name}), name).index[0] == 'b', name


def test_a_caller_says_whether_less_is_better():
    f = results(a=[1.0, 2.0, 1.0], b=[3.0, 5.0, 2.0], c=[4.0, 6.0, 7.0])
    for lower, first in ((True, 'a'), (False, 'c'), (None, 'c')):
        assert compare(f, 'x', lower=lower).index[0] == first
        assert friedman(f, 'x', lower=lower)[1].index[0] == first
        ranks = plot_critical(f, 'x', ax=Figure().subplots(), lower=lower)
        assert ranks.texts[0].get_text().split()[0] == first


@pytest.mark.filterwarnings('error')
def test_where_nothing_differs_p_is_one():
    p, ranks, apart = friedman(results(a=[1.0, 2.0], b=[1.0, 2.0], c=[1.0, 2.0]), 'x')
    assert p == 1.0 and set(ranks) == {2.0} and apart.to_numpy().min() == 1.0


def test_values_that_are_no_numbers_are_refused():
    f = results(a=['cpu', 'cuda'], b=['cpu', 'cpu'])
    with pytest.raises(UserError, match="column 'x' holds no numbers"):
        compare(f, 'x')


def test_runs_are_drawn_by_several_columns():
    f = results(a=[1.0, 2.0], b=[3.0, 5.0]).assign(size=8)
    ax = plot_runs(f, 'x', by=['method', 'size'], ax=Figure().subplots())
    assert [t.get_text() for t in ax.get_yticklabels()] == ['a 8', 'b 8']


def test_a_group_without_a_cost_is_named():
    f = results(a=[1.0, 2.0], b=[3.0, 5.0], c=[1.0, 1.0])
    f['cost'] = f.x.where(f.method != 'a')
    with pytest.raises(UserError, match='^a: no run has cost'):
        plot_cost(f, 'x', 'cost')


def test_a_search_too_short_for_its_calendar_leaves_no_folder_behind(tmp_path):
    given = dict(method='pc-darts', preset='paper', space='darts', images=200, channels=4, cells=3)
    fails(lambda: nas.search(epochs=10, out=tmp_path / 'run', device='cpu', **given), 'at least 16 epochs')
    assert not (tmp_path / 'run' / 'run.json').exists()
