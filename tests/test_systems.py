"Related systems at their edges: what comes in comes out again, nothing is asked twice, sets shrink."

import pytest
import torch
from torch import nn
from conftest import fails
from dnas_nb.bilevel import Plan
from dnas_nb.channels import by_channels, measured
from dnas_nb.core import generator, seeded
from dnas_nb.data import Data, Part, tensors_in
from dnas_nb.domains.graphs import graph_data
from dnas_nb.domains.graphspace import Pattern, graph_space
from dnas_nb.genotype import from_ops
from dnas_nb.importance import leaving, witnessed
from dnas_nb.modules import Mixed, space_of
from dnas_nb.sources import find_data
from dnas_nb.space import nb201, toy
from dnas_nb.supernet import Spec
from dnas_nb.systems.adaptation import SHIFTS, shift_parts, two_domains
from dnas_nb.systems.d2gnas import (
    D2Plan,
    d2_space,
    draw_path,
    is_network,
    learn_odds,
    search_d2,
    train_d2,
)
from dnas_nb.systems.longtail import (
    dot_regression,
    framed,
    long_tail_space,
    long_tail_twin,
    long_tailed,
    search_tail,
    thirds,
)
from dnas_nb.systems.svge import (
    Dags,
    MapQueries,
    Svge,
    cell_dags,
    dag_cells,
    dag_patterns,
    pattern_dags,
    surrogate,
    train_svge,
)


@pytest.mark.parametrize('space', [toy(), nb201()], ids=['toy', 'nb201'])
def test_every_cell_comes_back(space):
    cell = space['cell']
    columns = torch.cartesian_prod(*[torch.arange(int(n)) for n in cell.live.sum(1)])
    dags = cell_dags(cell, columns)
    back, fine = dag_cells(cell, dags)
    assert fine.all() and torch.equal(back, columns)
    assert not dags.links.tril().any()
    for broken in (Dags(dags.kinds.roll(1, 1), dags.links), Dags(dags.kinds, dags.links.mT)):
        assert not dag_cells(cell, broken)[1].any()


def test_graph_networks_come_back():
    found = [Pattern.at(code) for code in range(0, 88888, 1111) if '9' not in f'{code:05d}']
    assert dag_patterns(pattern_dags(found)) == found


def test_an_untrained_map_draws_graphs():
    dags = cell_dags(toy()['cell'], torch.zeros(3, 3).long())
    with seeded('untrained'):
        net = Svge(5, 5, C=4, Z=3)
    drawn = net.decode(100 * torch.randn(50, 3, generator=generator('far')))
    assert not drawn.links.tril().any()
    last = (drawn.kinds >= 0).sum(1, keepdim=True) - 1
    assert (drawn.kinds[:, 0] == 0).all() and (drawn.kinds.gather(1, last) == 1).all()
    one, two = (train_svge(dags, 5, steps=2, C=4, Z=3, seed=7) for _ in range(2))
    assert torch.equal(one.encode(dags)[0], two.encode(dags)[0])


def test_scores_that_are_all_equal():
    places = torch.randn(30, 4, generator=generator('equal')).double()
    guess = surrogate(places, places[:, 0], epochs=2)
    assert guess(places).isfinite().all()
    search = MapQueries(places, generator('equal'), room=25)
    while rows := search.ask(7):
        search.tell(rows, [1.0] * len(rows))
    assert len(set(search.rows)) == 25


def test_paths_outside_the_set_are_not_drawn():
    live = torch.ones(2, 3, dtype=torch.bool)
    sure = torch.tensor([[90.0, 0, 0], [90.0, 0, 0]])
    with seeded('outside'):
        path, theta = draw_path(sure, live, {(1, 2)})
        assert path == (1, 2) and theta.tolist() == [[0, 1, 0], [0, 0, 1]]
        alpha = torch.rand(2, 3).requires_grad_()
        seen = learn_odds(alpha, live, lambda theta: theta.square().sum(), 9, {(1, 2), (0, 0)})
    assert seen <= {(1, 2), (0, 0)}
    fails(lambda: draw_path(sure, live, set()), 'no path left')
    fails(lambda: draw_path(sure, live, fits=lambda path: False), 'is a network')


def test_turns_on_both_spaces():
    twin, plan = graph_data('twin'), D2Plan(warm=1, draws=(4, 3), steps=2, keep=2)
    own = d2_space(twin, 8)
    found, (first, second) = search_d2(twin, own, plan)
    assert 1 <= len(found) <= 2 and 1 <= second <= first <= 4
    assert train_d2(found[0], twin, 8, steps=2)['valid'] >= 0
    known = graph_space(twin, width=4)
    fits = is_network(known)
    found, _ = search_d2(twin, known, plan, fits=fits)
    assert all(Pattern.of(g).leaves for g in found)
    words = {c.place: 'skip' if 'skip' in c.options else c.options[0] for c in known['net'].choices}
    skips = from_ops(known, list(words.values()))
    assert not Pattern.of(skips).leaves


def test_a_long_tail_is_searched_without_its_test_part():
    tail = long_tailed(long_tail_twin(K=4, n=20), 3)
    space, plan = framed()(long_tail_space()), Plan(1, batch=8)
    found = [search_tail(tail, space, plan, C=4, even=even)[0] for even in (True, True, False)]
    assert found[0] == found[1]
    blank = Data(tail.train, tail.valid, tail.test[torch.arange(20)], tail.about)
    assert search_tail(blank, space, plan, C=4)[0] == found[0]
    with seeded('tail'):
        net = space.network(found[0], Spec(4, 1, 4, 3, True))
    whole, *parts = thirds(net, tail.test)
    assert 0 <= min(parts) <= whole <= max(parts) <= 1
    assert not list(net.head[-1].parameters())
    y = torch.arange(3)
    assert dot_regression(16 * torch.eye(4)[:3], y) == 0
    assert dot_regression(torch.zeros(3, 4), y) == 0.5


def test_what_rows_know_of_edges_and_gates():
    fails(lambda: by_channels(space_of(lambda: Mixed('m', a=nn.Identity(), b=nn.Tanh()))), 'cells')
    assert repr(witnessed()) == 'witnessed(decay=0.9)' and leaving().history == 3
    assert measured().eps == 0.1


@pytest.mark.parametrize('name', ['twin', *SHIFTS[1::3]])
def test_no_label_of_the_target_is_in_what_trains_or_chooses(name):
    "Other labels of the target, and the parts of every shift that a search and a training see are the same bits."
    if name != 'twin' and find_data('cwru_bearing.npz') is None:
        pytest.skip('no data folder here, see DNAS_DATA')
    here, there, classes = shift_parts(name)
    other = [Part(part.x, (part.y + 1) % len(classes)) for part in there]
    seen, changed = (two_domains(here[:2], target, classes) for target in (there, other))
    for part in ('train', 'valid'):
        known, told = getattr(seen, part), getattr(changed, part)
        assert torch.equal(known.y, told.y)
        for x, y in zip(tensors_in(known.x), tensors_in(told.x), strict=True):
            assert torch.equal(x, y)
    assert not torch.equal(seen.test.y, changed.test.y)
