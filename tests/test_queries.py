"Query searches: the belief is Bayes', nothing is paid twice, the budget is kept, and bad input is one line."
import itertools
import numpy as np
import pytest
import torch
from conftest import fails
from dnas_nb.bench.baselines import Seen, race, outcome, random_search
from dnas_nb.bench.queries import (FORMS, QUERIES, Queries, Rule, believed, from_row, live_of, once, pictured,
                                   query_search, savage)
from dnas_nb.core import generator
from dnas_nb.genotype import all_archs, to_ops
from dnas_nb.space import darts, nb201, toy
from dnas_nb.spaces import all_spaces

LIVE = torch.arange(4) < torch.tensor([4, 3, 4, 2])[:, None]


def cells_of(n, seed=0): return (torch.rand(n, 4, generator=generator('cells', seed))*LIVE.sum(1)).long()
def convs(g): return float(str(g).count('nor_conv_3x3'))


@pytest.mark.parametrize('values', [[3., 1., 2.], [5.], [1., 1., 1., 1.], list(range(50))])
def test_scores_go_by_rank(values):
    y, v = savage(values), torch.tensor(values, dtype=torch.float64)
    assert abs(y.sum()) < 1e-9 and torch.equal(y.argsort(descending=True), v.argsort(descending=True, stable=True))
    assert torch.equal(savage(v.exp()), y)


@pytest.mark.parametrize('noise', [.1, .3, 2.])
def test_belief_is_ridge_regression(noise):
    "scikit-learn's ridge has the same mean, its Gaussian process the same deviation of a cell's worth"
    from sklearn.gaussian_process import GaussianProcessRegressor
    from sklearn.gaussian_process.kernels import DotProduct
    from sklearn.linear_model import Ridge
    cells = cells_of(30)
    y, U = savage(torch.randn(30, generator=generator('y'))), pictured(cells, 4)
    b = believed(cells, y, LIVE, Rule(noise=noise))
    ridge = Ridge(alpha=noise, fit_intercept=False).fit(U, y)
    assert np.allclose(b.alpha.flatten(), ridge.coef_, atol=1e-10)
    kernel = DotProduct(sigma_0=0, sigma_0_bounds='fixed')
    gp = GaussianProcessRegressor(kernel, alpha=noise, optimizer=None).fit(U, y)
    new = pictured(cells_of(9, 1), 4)
    mean, sd = gp.predict(new, return_std=True)
    assert np.allclose(new @ b.alpha.flatten(), mean, atol=1e-8)
    assert np.allclose(((new @ b.factor.gram())*new).sum(1).sqrt(), sd, atol=1e-6)


def test_diagonal_is_the_closest_without_correlation():
    "Any other scale of one logit is further from the belief"
    cells = cells_of(12)
    full = believed(cells, savage(torch.arange(12.)), LIVE, Rule('full')).factor.gram()
    diagonal = believed(cells, savage(torch.arange(12.)), LIVE, Rule('diagonal')).factor.gram().diagonal()
    def apart(v): return (v*full.inverse().diagonal() - v.log()).sum()
    for j, by in itertools.product(range(16), (.8, 1.2)):
        other = diagonal.clone()
        other[j] *= by
        assert apart(other) > apart(diagonal)


def test_what_was_seen_together_is_confused():
    b = believed(torch.tensor([[1, 1, 1, 1]]), torch.tensor([1.]).double(), LIVE)
    C = b.factor.gram().view(4, 4, 4, 4)
    assert (C[0, 1, 1:, 1] < 0).all() and torch.equal(C[0, 0, 1:], torch.zeros(3, 4).double())


@pytest.mark.parametrize('form', FORMS)
@pytest.mark.parametrize('batch', [1, 7])
def test_nothing_is_asked_twice_and_every_cell_is_found(form, batch):
    search, n = Queries(LIVE, Rule(form), generator(form)), int(LIVE.sum(1).prod())
    for _ in range(200):   # the last ones are hard to find blindly
        cells = search.ask(batch)
        assert LIVE[torch.arange(4), cells].all()
        search.tell(cells, torch.randn(len(cells), generator=search.generator))
    assert len(set(map(tuple, search.cells.tolist()))) == len(search.cells) == n == 96


@pytest.mark.parametrize('form', FORMS)
def test_same_seed_same_trail(form):
    one, again = (query_search(convs, nb201(), 40, seed=4, rule=Rule(form)) for _ in range(2))
    assert one.archs == again.archs and len(one) == 40 and one.name == form
    assert one.archs != query_search(convs, nb201(), 40, seed=5, rule=Rule(form)).archs


def test_without_heat_the_matrix_does_not_matter():
    "frozen, diagonal and full have one mean"
    cold = [query_search(convs, nb201(), 60, rule=Rule(form, heat=1e-9)).archs for form in ('frozen', 'diagonal', 'full')]
    assert len({a[:10] for a in cold}) <= 3
    cells = cells_of(20)
    y = savage(torch.arange(20.))
    means = [believed(cells, y, LIVE, Rule(form), generator(0)).alpha for form in FORMS[:4]]
    assert all(torch.equal(m, means[0]) for m in means)


def test_the_same_network_under_two_names_is_one():
    "Codes say which cells are one: here the last choice does nothing; option 0 of the first is no network"
    def code(cells): return torch.where(cells[:, 0] == 0, -1, (cells[:, :3]*torch.tensor([100, 10, 1])).sum(1))
    search = Queries(LIVE, Rule(), generator('code'), code)
    for _ in range(20):
        cells = search.ask(5)
        search.tell(cells, cells.sum(1))
    assert len(set(code(search.cells).tolist())) == len(search.cells) == 3*3*4 and (search.cells[:, 0] > 0).all()


@pytest.mark.parametrize('name', ['toy', 'nb201', 'macro', 'size'])
def test_columns_and_genotypes(name):
    space = all_spaces()[name]()
    live = live_of(space)
    cells = (torch.rand(5, len(live), generator=generator(name))*live.sum(1)).long()
    for cell in cells:
        ops = [op for ops in to_ops(from_row(space, cell), space).values() for op in ops]
        names = [options for group in space.groups for options in group.options]
        assert ops == [options[k] for options, k in zip(names, cell.tolist())]


def test_repeats_cost_nothing():
    trail = random_search(lambda g: Seen(convs(g), 0., 1.), toy(), 200, seed=1)
    free = once(trail)
    assert len(set(free.archs)) == len(free) == 27 and free.archs[0] == trail.archs[0]
    assert once(trail, 5).archs == free.archs[:5] and once(trail, key=convs).valid.tolist() == list(dict.fromkeys(trail.valid.tolist()))


def test_they_race():
    out = outcome(race(QUERIES, convs, nb201(), seeds=2, budget=30))
    assert list(out.index) == list(QUERIES) and (out.evaluations == 30).all() and (out.valid >= 5).all()


def test_refusals():
    fails(lambda: Rule('fulll'), "did you mean 'full'")
    fails(lambda: Rule(noise=0), 'noise should be above 0')
    fails(lambda: Rule(heat=float('nan')), 'heat should be above 0')
    fails(lambda: query_search(convs, nb201(), batch=0), 'batch should be a whole number')
    search = Queries(LIVE, Rule(), generator(0))
    fails(lambda: search.tell(search.ask(2), [1., float('nan')]), '2 cells need as many numbers')
    fails(lambda: search.tell(search.ask(2), [1.]), '2 cells need as many numbers')
    fails(lambda: query_search(convs, darts(), 5), 'leaves out some edges')


def test_stored_runs_are_whole():
    "A row for each run; what validates best gets better with queries; sixteen tables for every search"
    import pandas as pd
    from conftest import NBS
    runs = pd.read_csv(NBS/'studies'/'queries'/'runs.csv')
    assert not runs.duplicated(['table', 'search', 'seed']).any()
    valid = runs.filter(regex='^valid_').to_numpy()
    assert ((np.diff(valid) >= 0) | np.isnan(valid[:, 1:])).all()
    assert (runs.groupby('search').table.nunique() == 16).all() and set(FORMS) <= set(runs.search)
    size = runs[runs.table.str.startswith('size')]
    assert (size.valid_100 == size.test_100).all()


def test_live_options_may_stand_anywhere():
    "Uniform cells and those of a belief hold options that exist, not the first so many columns"
    gaps = torch.tensor([[False, True, True], [True, False, True]])
    search = Queries(gaps, Rule(), generator('gaps'))
    while len(cells := search.ask(2)):
        assert gaps[torch.arange(2), cells].all()
        search.tell(cells, cells.sum(-1))
    assert len(search.cells) == 4
