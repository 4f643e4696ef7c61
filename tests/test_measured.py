"Tables, domains and readings: what they say where the easy case is left."

from dataclasses import replace
from functools import partial
import numpy as np
import pytest
import torch
from torch import nn
from conftest import fails
from dnas_nb.bench.baselines import _Trail as Trail
from dnas_nb.bench.baselines import evolution, of_table, outcome, race
from dnas_nb.bench.certainty import believe
from dnas_nb.bench.convert import figures
from dnas_nb.bench.digits201 import measure
from dnas_nb.bench.measured import open_forms
from dnas_nb.bench.proxies import PROXIES, fidelity, live_archs
from dnas_nb.bench.queries import Queries, once
from dnas_nb.bench.tables import Repeats, accuracies, certain, cost, make_table, oracle
from dnas_nb.bench.tables import plot_distribution, plot_valid_test, random_best, summary
from dnas_nb.bench.tables import with_costs, worth
from dnas_nb.bilevel import Plan, search, start
from dnas_nb.core import UserError, generator, seeded
from dnas_nb.dialects import parse
from dnas_nb.domains.brief import BriefJudge
from dnas_nb.domains.catalogue import CATALOGUE
from dnas_nb.domains.graphs import Labelled, twin_graph
from dnas_nb.domains.graphspace import Pattern
from dnas_nb.domains.modalities import pair_inputs, spectrogram
from dnas_nb.domains.series import SERIES, twin_series
from dnas_nb.domains.text import confusion, looked_at, plot_looks, text_data, text_space
from dnas_nb.genotype import all_archs, neighbours, one_hot, to_str
from dnas_nb.methods import find_method
from dnas_nb.reading.answers import Answers, confidence, confused, errors
from dnas_nb.reading.cards import against, all_cells, compatible, connected, transfer, wants
from dnas_nb.reading.landscape import eigen
from dnas_nb.reading.motifs import Motif, absent, rewired, seeds_needed, subgraphs
from dnas_nb.reading.wiring import probe_part
from dnas_nb.sources import load_data
from dnas_nb.space import Cell, darts, toy
from dnas_nb.supernet import Spec
from dnas_nb.tasks import UNASKED

EVERY = list(all_archs(toy()))
ARCHS, SOME = list(map(to_str, EVERY)), EVERY[:3]
CONVS = np.array([50.0 + 10 * a.count('nor_conv') for a in ARCHS])
THREE = torch.eye(3)
PARTS = {name: torch.arange(3) == k for k, name in enumerate(('train', 'valid', 'test'))}


def three(edges, y=(0, 1, 0), masks=PARTS):
    return Labelled.of(THREE, edges, y, masks, ('a', 'b'))


@pytest.mark.parametrize('edges', [[[0, 1], [2, 2]], [[0, 1, 2], [2, 2, 1]]])
def test_the_mean_over_neighbours_counts_those_that_nobody_speaks_to(edges):
    A = np.zeros((3, 3))
    A[edges[1], edges[0]] = 1
    found = three(edges).graph.matrix('mean').dense().numpy()
    for node in range(3):
        expected = A[node] / max(A[node].sum(), 1)
        assert found[node].tolist() == expected.tolist()


def test_a_graph_of_arrays_says_what_does_not_fit():
    fails(lambda: three([[0, 1], [1, 2], [2, 0]]), 'from and to, not (3, 2)')
    fails(lambda: three([[0.5, 1], [2, 2]]), 'links are whole numbers')
    fails(lambda: three([[0, 1], [2, 2]], y=(0, 1.5, 0)), 'classes are whole numbers')
    more = PARTS | dict(rest=torch.ones(3).bool())
    fails(lambda: three([[0, 1], [2, 2]], masks=more), 'no part is called rest')


def toy_table(**costs):
    "The 27 toy cells: more convolutions, more accuracy."
    known = {('d', part, 9, 'mean'): CONVS for part in ('valid', 'test')}
    paid = {('d', f'{name}_9_s'): np.full(27, value) for name, value in costs.items()}
    return make_table('invented', 'toy', ARCHS, known, paid)


def test_a_choice_pays_the_training_that_it_looks_at():
    trained = dict(
        epochs=9,
        eval_acc1es={'x-valid@8': 20.0, 'ori-test@8': 30.0},
        train_acc1es={8: 40.0},
        train_times={k: 2.0 for k in range(9)},
        params=1,
        flop=1,
        latency=[],
    )
    half = trained | dict(train_times={k: 1.0 for k in range(9)})
    results = {('cifar10', 777): trained, ('cifar10-valid', 777): half}
    found = figures({'9': dict(arch_str='a', all_results=results)}, 'a')
    assert found['cifar10/train_9_s'] == 18 and found['cifar10/half_train_9_s'] == 9
    for costs in (dict(train=9.0), dict(train=18.0, half_train=9.0)):
        paid = of_table(toy_table(**costs), 'd')(ARCHS[0]).seconds
        assert paid == pytest.approx(9.0)


def test_runs_of_a_race_stand_under_the_names_that_were_given():
    look = of_table(toy_table(), 'd')
    few = dict(few=partial(evolution, population=3), many=evolution)
    trails = race(few, look, toy(), seeds=2, budget=12)
    assert [t.name for t in trails] == ['few', 'few', 'many', 'many']
    assert outcome(trails).runs.to_dict() == dict(few=2, many=2)
    alone = evolution(look, toy(), 12, seed=1)     # a name changes no draw
    assert trails[3].archs == alone.archs


UNLIKE = Cell(
    'c', n_in=1, edges=((0, 1), (0, 2), (1, 2)), ops=(('none', 'a'), ('none', 'a'), ('a', 'none'))
)


def test_no_edge_is_known_by_its_name():
    assert absent(UNLIKE).tolist() == [0, 0, 1]
    rows = all_cells(UNLIKE)
    runs = [[UNLIKE.ops[e][o] == 'a' for e, o in enumerate(row)] for row in rows]
    assert connected(rows, UNLIKE).tolist() == [b or (a and c) for a, b, c in runs]


def test_edges_of_different_operations_are_not_wired_anew():
    rows = all_cells(UNLIKE)
    fails(lambda: rewired(rows, UNLIKE, np.random.default_rng(0)), 'offer different operations')
    fails(lambda: subgraphs(rows, UNLIKE, n=2), 'offer different operations')
    fails(lambda: subgraphs(rows.tolist(), UNLIKE, n=2), '(n, 3) operation numbers')


def test_sampled_cells_of_two_edges_are_counted():
    two = Cell('two', n_in=1, edges=((0, 1), (1, 2)), ops=(('none', 'a', 'b'),) * 2)
    rows = np.repeat([[0, 0], [1, 2], [1, 1], [2, 0]], [10, 20, 5, 5], 0)
    found = wants(rows, {'0→1': 'a'}, '1→2', two)
    assert found.before.to_dict() == dict(none=15 / 40, a=5 / 40, b=20 / 40)
    assert found.after.to_dict() == dict(none=0, a=5 / 25, b=20 / 25)
    Y = np.arange(9.0).reshape(3, 3)
    assert wants(Y, {'0→1': 'a'}, '1→2', two).after.to_dict() == dict(none=3, a=4, b=5)
    fails(lambda: wants(rows[:, :1], {'0→1': 'a'}, '1→2', two), 'cells are (n, 2)')


def test_constants_that_differ_are_infinitely_far_apart():
    assert against([1, 1], [2, 2])['cohen'] == -np.inf
    assert against([2, 2], [1, 1])['cohen'] == np.inf
    assert against([1, 1], [1, 1])['cohen'] == 0
    assert np.isnan(against([1], [1, 2])['cohen'])


def test_a_data_set_was_seen_if_its_whole_name_was_given():
    cells, table = np.ones((4, 3), int), toy_table()
    asked = dict(versus='random', n=4)
    assert not transfer(cells, table, seen='dd', **asked).seen.any()
    assert transfer(cells, table, seen='d', **asked).seen.all()
    assert len(transfer(cells, table, datasets='d', **asked)) == 1


def test_no_motif_is_used_where_none_is_asked_for():
    motif = Motif((((0, 1), 'a'),), 'set', 2.0)
    fixed, used, _ = compatible([motif], UNLIKE, top=0)
    assert (fixed, used) == ({}, [])
    assert compatible([motif], UNLIKE, top=1)[1] == [motif]


def test_pairs_need_two_edges_and_two_operations():
    fails(lambda: seeds_needed(6, 1), 'no pairs of choices')
    fails(lambda: seeds_needed(1, 5), 'no pairs of choices')


def test_different_cells_of_a_large_space_have_different_numbers():
    live = torch.ones(40, 8, dtype=torch.bool)
    asking = Queries(live, generator=generator('large'))
    cells = asking.uniform(2000)
    cells[1000:] = cells[:1000]
    cells[1000:, -1] = (cells[:1000, -1] + 1) % 8      # one choice differs, the last
    codes = asking.code(cells)
    assert codes.unique().numel() == 2000 and codes.min() >= 0
    asking.tell(cells[990:1010], cells[990:1010, 0])
    assert len(asking.ask(2)) == 2


@pytest.mark.parametrize('E, O', [(6, 5), (21, 8)])
def test_cells_of_small_spaces_are_numbered_by_their_digits(E, O):
    live = torch.ones(E, O, dtype=torch.bool)
    cells = torch.full((1, E), O - 1)
    cells = torch.cat([cells, torch.eye(E).long()])
    expected = [O**E - 1, *(O**k for k in range(E))]
    assert Queries(live).code(cells).tolist() == expected


def test_what_is_asked_again_costs_nothing():
    clock = np.array([1.0, 3, 7, 15])
    trail = Trail('t', 0, ('a', 'a', 'b', 'a'), *np.ones((2, 4)), clock)
    assert once(trail).seconds.tolist() == [1, 5]
    assert once(trail, 1).seconds.tolist() == [1]
    known = np.array([0.1, 0.3, 0.7])
    alone = Trail('t', 0, (0, 1, 2), *np.ones((2, 3)), known)
    assert once(alone).seconds.tolist() == known.tolist()      # no bit moves


def small_table(**columns):
    "Four cells; columns by split_epochs, all of them means on `d`."
    labelled = {}
    for name, values in columns.items():
        split, epochs = name.split('_')
        epochs = int(epochs) if epochs.isdecimal() else epochs
        labelled['d', split, epochs, 'mean'] = np.array(values, float)
    return make_table('small', 'toy', ARCHS[:4], labelled)


def test_the_longest_training_may_be_a_word():
    table = small_table(test_full=[1, 2, 3, 4], test_12=[4, 3, 2, 1])
    assert accuracies(table, 'd').tolist() == [1, 2, 3, 4]
    assert accuracies(table, 'd', epochs=12).tolist() == [4, 3, 2, 1]


def test_both_accuracies_of_a_row_are_of_equally_long_trainings():
    table = small_table(test_200=[1, 2, 3, 4], valid_12=[7, 8, 9, 10], test_12=[5, 6, 7, 8])
    assert summary(table, 0).valid.isna().all()
    row = summary(table, 0, epochs=12).iloc[0]
    assert (row.valid, row.test) == (7, 5)
    untested = summary(small_table(valid_12=[7, 8, 9, 10]), 1).iloc[0]
    assert untested.valid == 8 and 'test' not in untested


def test_a_title_counts_what_was_measured():
    table = small_table(test_9=[90, 84, np.nan, np.nan])
    title = plot_distribution(table, 'd').get_title()
    assert title == '50% of 2 architectures lie within 5 points of the best'
    both = small_table(test_9=[1, 2, np.nan, 3], valid_9=[1, 2, 3, np.nan])
    assert plot_valid_test(both, 'd').get_title().startswith('2 architectures')


def test_the_worth_of_a_cell_is_no_draw_too_many():
    table = small_table(test_9=[1, 2, 3, 4])
    found = [worth(table, 3, 'd', chance=1 - 0.75**k) for k in range(1, 30)]
    assert found == list(range(1, 30))
    assert worth(table, 3, 'd', chance=1 - 0.75**3 + 1e-6) == 4


def test_a_table_in_which_nothing_was_measured_has_no_best():
    table = small_table(test_9=[np.nan] * 4, valid_9=[1, 2, 3, 4])
    fails(lambda: oracle(table, 'd'), 'no architecture of small was measured')
    fails(lambda: random_best(table, 'd', 3), 'no architecture of small was measured')


def test_of_a_cost_that_two_tables_have_the_first_counts():
    first = toy_table(train=9.0)
    both = with_costs(first, toy_table(train=18.0, other=1.0))
    assert cost(both, 0).train_9_s.tolist() == [9] and cost(both, 0).other_9_s.tolist() == [1]
    named = replace(first, costs=first.costs.set_axis(range(27)))
    fails(lambda: with_costs(first, named), 'name their architectures differently')


def test_how_sure_a_rank_is_is_known_of_whole_tables():
    right = np.array([[80, 70]] * 27) + np.arange(27)[:, None]
    table = replace(toy_table(), repeats={'d': Repeats(right, 120)})
    assert certain(table, 26, 'd').of == 27
    fails(lambda: certain(replace(table, frame=table.frame.iloc[5:]), 0, 'd'), '22 of its 27')


def test_loud_floats_and_pictures_with_gaps_are_refused():
    tone = torch.sin(torch.arange(800.0))
    fails(lambda: spectrogram(1e4 * tone), 'clip has floats up to 1e+04', 'divide')
    samples = (2**14 * tone).short()
    assert spectrogram(samples).equal(spectrogram(samples / 2**15))
    assert spectrogram(1.5 * tone).isfinite().all()
    holes = np.full((1, 8, 8), np.nan)
    fails(lambda: pair_inputs([tone], holes), 'images contain NaN')


def test_a_twin_series_is_longer_than_its_bend():
    fails(lambda: twin_series(shortest=12), 'shortest must be a whole number of at least 13')
    fails(lambda: twin_series(length=12), 'length must be a whole number of at least 13')
    fails(lambda: twin_series(length=20, shortest=30), 'from 13 to 20')
    assert twin_series(shortest=13).train.x['mask'].sum(1).min() >= 13


def test_a_look_at_a_network_leaves_it_as_it_was():
    words = text_data('grammar')
    space = text_space(words, C=16, widths=(4, 8), rows=32)
    which = 'width=8 pairs=on layers=1 first=skip second=skip each=off whole=attention'
    net = space.network(parse(which, space))
    few = words.test[:3].x
    net.drop.eval()                                       # one module of it is not learning
    shares = looked_at(net, few)
    counts = confusion(net, words.test)
    assert net.training and net.layers.training and not net.drop.training
    assert counts.sum() == len(words.test)
    long = [['word'] * 99, ['one', 'two'], ['three']]
    ax = plot_looks(long, shares)
    assert len(ax.texts) == shares.shape[1] + 3


def test_more_right_answers_than_pictures_are_a_mistake():
    right = np.array([[80, 70], [90, 85], [60, 121]])
    fails(lambda: believe(right, 120), '121 right answers of 120 pictures')
    assert believe(right, 121).mean.shape == (3,)


@pytest.mark.parametrize('code', [90000, 98888, 100000, -1, 10009])
def test_a_code_that_names_no_network_is_refused(code):
    fails(lambda: Pattern.at(code), f'no network has the code {code}')
    fails(lambda: BriefJudge(twin_graph())([code]), f'no network has the code {code}')


@pytest.mark.parametrize('row', ['abc,1', '10000,abc', '10000.7,3', '99999,5', ',5', '10000,101'])
def test_a_damaged_row_of_scores_is_named(row, tmp_path):
    path = tmp_path / 'known.csv'
    path.write_text(f'code,score\n10000,50\n{row}\n')
    judge = BriefJudge(twin_graph())
    with pytest.raises(UserError):
        judge.learn(path)
    assert not judge.known
    path.write_text('code,score\n10000,50\n12345,60.5\n')
    assert judge.learn(path) == 2 and judge.known == {10000: 50, 12345: 60.5}


def test_few_forms_are_all_among_the_best():
    right = np.full((2, 4, 3), 60)
    right[:, :, 2] += 3 * np.arange(4)
    right[1, 2:] = -1                       # two of the four were trained once
    assert sorted(open_forms(right, 120, top=100, enough=0)) == [2, 3]
    fails(lambda: measure([], 0), 'no forms')


def test_every_series_has_a_name_in_the_catalogue():
    assert set(SERIES) <= set(CATALOGUE)


class Row(nn.Module):
    "Pictures as rows: one convolution along them, a norm, and a sum of each row."

    def __init__(self):
        super().__init__()
        self.conv = nn.Conv1d(8, 6, 3, padding=1, bias=False)
        self.norm = nn.BatchNorm1d(6)
        self.out = nn.Linear(6, 4, bias=False)

    def forward(self, x):
        return self.out(self.norm(self.conv(x[:, 0])).relu().mean(-1))


def test_proxies_see_convolutions_and_norms_of_any_dimension():
    g = generator('row')
    x, y = torch.randn(8, 1, 8, 8, generator=g), torch.arange(8) % 4
    with seeded('row'):
        net = Row()
    loss = nn.functional.cross_entropy(net(x), y)
    grads = torch.autograd.grad(loss, [net.conv.weight, net.out.weight])
    layers = net.conv.weight, net.out.weight
    expected = sum((w * d).abs().sum().item() for w, d in zip(layers, grads))
    assert PROXIES['snip'](net, (x, y)) == pytest.approx(expected, rel=1e-5)
    # without the norm each of two layers holds the whole flow
    ones = nn.functional.conv1d(torch.ones(1, 8, 8), net.conv.weight.abs(), padding=1)
    flow = (net.out.weight.abs() @ ones.mean(-1).T).sum().item()
    net.norm.running_mean.fill_(3)
    assert PROXIES['synflow'](net, (x, y)) == pytest.approx(2 * flow, rel=1e-5)


def test_living_cells_keep_as_many_inputs_as_their_space():
    space = darts()
    live = {cell.name: cell.live.clone() for cell in space.cells}
    live['normal'][:, 4:] = False
    for g in live_archs(space, live, 20):
        assert all(len(rows) == 8 for _, rows in g.groups)
        for cell in space.cells:
            there = one_hot(g, space)[cell.name].bool()
            assert (there <= live[cell.name]).all() and len(neighbours(g, space)) > 0
    live['normal'][:] = False
    fails(lambda: live_archs(space, live, 1), "cell 'normal', node 2")


def searched(method):
    "The end of a short search with running statistics."
    row, data = find_method(method), load_data('digits', images=200)
    with seeded('mended'):
        net = toy().supernet(Spec(C=4, n=1, in_ch=1, batch_stats=False))
    plan = Plan(epochs=1, batch=16)
    state = start(net, row, plan)
    for state in search(state, row, data.search, plan):
        pass
    return state, row, data


def test_what_looks_at_a_supernet_leaves_its_statistics():
    state, row, data = searched('darts')
    kept = {name: v.clone() for name, v in state.net.state_dict().items()}
    assert any('running_mean' in name for name in kept)
    probe_part(state, row, data.search, most=64)
    fidelity(state.net, toy(), data.valid, toy_table(), SOME, 'd', most=64)
    assert state.net.training
    assert all(kept[name].equal(v) for name, v in state.net.state_dict().items())


def test_weights_that_are_constants_have_no_curvature():
    state, row, data = searched('random')
    assert eigen(state, row, data.search) == dict(eig=0)


def answered(task, true, output, names):
    return Answers.of(dict(true=np.array(true), output=np.array(output)), task, names)


@pytest.mark.parametrize('said', [[2, 1], [9, 1], [-1, 1], [0.5, 1]])
def test_an_answer_outside_the_classes_counts_for_none(said):
    fails(lambda: confused([0, 1], said, 2), 'whole numbers from 0 to 1')
    fails(lambda: confused(said, [0, 1], 2), 'whole numbers from 0 to 1')
    fails(lambda: answered('segmentation', [[0, 1]], [said], 'ab'), 'an answer is none of 2')
    fails(lambda: answered('segmentation', [said], [[0, 1]], 'ab'), 'a label is none of 2')
    apart = answered('segmentation', [[UNASKED, 1]], [said], 'ab')     # nobody asked for it
    assert confused(apart.true, apart.said, 2).tolist() == [[0, 0], [0, 1]]


def test_a_regression_has_a_name_for_each_number():
    columns = np.arange(10.0).reshape(5, 2)
    for names in ('a', 'abc'):
        fails(lambda: answered('regression', columns, columns, names), f'{len(names)} names')
    rows = errors(answered('regression', columns, columns + 1, 'ab'))
    assert [row['mean error'] for row in rows] == [1, 1]
    assert len(errors(answered('regression', columns[:, 0], columns[:, :1], 'a'))) == 1


def test_what_nobody_asked_for_is_neither_right_nor_wrong():
    logits = [[5.0, 0], [5, 0], [0, 5]]
    found = confidence(answered('classification', [0, UNASKED, 1], logits, 'ab'))
    assert found.count.tolist() == [2] and found.right.tolist() == [1]
