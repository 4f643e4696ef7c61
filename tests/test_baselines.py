"Baselines and proxies: bad input is one line each, and searches that must agree do."

import json, sys
from pathlib import Path
import numpy as np
import pytest
import torch
from conftest import fails
import warm
from dnas_nb.bench.baselines import (
    SEARCHES,
    Meter,
    Seen,
    best_so_far,
    evolution,
    local_search,
    of_table,
    op_counts,
    outcome,
    race,
    random_search,
    training_seconds,
    trajectory,
)
from dnas_nb.bench.tables import load, make_table, random_best
from dnas_nb.core import UserError
from dnas_nb.genotype import all_archs, from_ops, to_str
from dnas_nb.bench.proxies import (
    PROXIES,
    fidelity,
    first_batch,
    live_archs,
    rank_by,
    scores,
    untrained,
)
from dnas_nb.space import nb201, toy
from dnas_nb.spaces import all_spaces

ROOT = Path(__file__).resolve().parent.parent
ARCHS = [to_str(g) for g in all_archs(toy())]
ACC = np.random.default_rng(0).normal(60, 5, (2, 27)).round(2)


@pytest.fixture(scope='module')
def table():
    return make_table(
        'invented', 'toy', ARCHS, {('d', s, 9, 'mean'): a for s, a in zip(('valid', 'test'), ACC)}
    )


@pytest.mark.parametrize('search', SEARCHES.values())
def test_never_chosen_by_test(table, search):
    "Another test column changes what is reported, not what is looked at"
    other = make_table(
        'other',
        'toy',
        ARCHS,
        {('d', s, 9, 'mean'): a for s, a in (('valid', ACC[0]), ('test', -ACC[1]))},
    )
    a, b = (search(of_table(t, 'd'), toy(), 40, seed=3) for t in (table, other))
    assert a.archs == b.archs and np.array_equal(a.test, -b.test) and len(a) == 40
    k = best_so_far(a.valid)
    assert (
        np.array_equal(a.valid[k], np.maximum.accumulate(a.valid))
        and trajectory(a).test.iloc[-1] == a.test[k[-1]]
    )


@pytest.mark.parametrize('search', SEARCHES.values())
def test_budgets(table, search):
    timed = of_table(table, 'd', each=10.0)
    assert len(search(timed, toy(), 7)) == 7
    assert len(search(timed, toy(), None, seconds=55.0)) == 5
    assert len(search(timed, toy(), 3, seconds=55.0)) == 3
    for bad in (0, -1, 2.5, True and '3'):
        fails(lambda: search(timed, toy(), bad), 'budget must be')
    fails(lambda: search(timed, toy(), None), 'a budget is needed')
    fails(lambda: search(timed, toy(), 3, seconds=0), 'above 0')
    fails(lambda: search(timed, toy(), 3, seconds=9.0), 'not enough')
    fails(lambda: search(of_table(table, 'd'), toy(), 3, seconds=9.0), 'each=')


@pytest.mark.parametrize('space', [s for s in all_spaces() if s not in ('graph',)])
@pytest.mark.parametrize('search', SEARCHES.values())
def test_every_space(space, search):
    "The searches know nothing of a particular space"
    s = all_spaces()[space]()
    t = search(lambda g: Seen(len(str(g)) % 7, 0.0, 1.0), s, 25, seed=1)
    assert (
        len(t) == 25
        and t.seconds[-1] == 25
        and t.archs == search(lambda g: float(len(str(g)) % 7), s, 25, seed=1).archs
    )


def test_wall_clock_when_nothing_is_known():
    m = Meter(lambda g: 1.0, 3)
    m('a')
    m('b')
    assert 0 < m.rows[0][3] < m.rows[1][3] < 1


def test_population():
    for p, s in ((2, 3), (0, 0), (3, 0), (2.5, 1)):
        fails(lambda: evolution(lambda g: 1.0, toy(), 5, population=p, sample=s), 'population')


def test_tables_without_what_is_needed(table):
    fails(lambda: of_table(table, 'e'), 'there are: d')
    fails(lambda: of_table(table, 'd', epochs=200), 'there are: 9')
    partly = make_table(
        'partly',
        'toy',
        ARCHS,
        {
            ('d', s, 9, 'mean'): np.where(np.arange(27) < 1, np.nan, ACC[0])
            for s in ('valid', 'test')
        },
    )
    fails(lambda: of_table(partly, 'd')(ARCHS[0]), 'was not measured')
    fails(lambda: of_table(table, 'd')(from_ops(nb201(), ['none'] * 6)), "of space 'nb201'")
    fails(lambda: random_search(lambda g: float('nan'), toy(), 5), 'not a number')
    assert training_seconds(table, 'd') is None


def test_counts():
    X, names = op_counts(
        ['|none~0|+|none~0|skip_connect~1|', '|skip_connect~0|+|none~0|skip_connect~1|']
    )
    assert names == ['none', 'skip_connect'] and X.tolist() == [[2, 1], [1, 2]]


def test_race(table):
    trails = race(SEARCHES, of_table(table, 'd'), toy(), seeds=3, budget=10)
    out = outcome(trails)
    assert out.runs.tolist() == [3] * 3 and (out.worst <= out.test).all()
    law = random_best(table, 'd', 10).iloc[0]
    assert (
        abs(
            np.mean(
                [
                    trajectory(random_search(of_table(table, 'd'), toy(), 10, seed=s)).test.iloc[-1]
                    for s in range(300)
                ]
            )
            - law['mean']
        )
        < 4 * law.sd / 300**0.5
    )


def test_nasbench201():
    "On the real table: the closed form, and a time for every training"
    try:
        t = load('nasbench201')
    except UserError:
        pytest.skip('no data folder here')
    s = training_seconds(t, 'cifar10', 12)
    assert len(s) == 15625 and s.min() > 50 and not np.isnan(s).any()
    a = local_search(of_table(t, 'cifar10', 12), nb201(), 60, seed=0)
    assert a.valid.max() < 90 < a.test[best_so_far(a.valid)[-1]] and a.seconds[-1] > 5000


@pytest.fixture(scope='module')
def batch():
    from dnas_nb.sources import load_data

    return first_batch(load_data('digits', 200), 16)


@pytest.mark.parametrize('space', ['toy', 'nb201', 'darts', 'macro', 'size'])
def test_proxies_on_every_kind_of_cell(space, batch):
    "A number for any network, dead ones included; the network is left as it was; the random state too"
    if space not in all_spaces():
        pytest.skip('no such space here')
    from dnas_nb.core import generator
    from dnas_nb.genotype import random_arch

    s = all_spaces()[space]()
    build = untrained(s, batch, C=8, n=3 if s.cells[0].n_in > 1 else 1)
    for k in range(2):
        net = build(random_arch(s, generator('proxy', k)))
        before, rng = [v.clone() for v in net.state_dict().values()], torch.get_rng_state()
        for name, f in PROXIES.items():
            v = f(net, batch)
            assert isinstance(v, float) and v == v, name
        assert all(
            torch.equal(a, b) for a, b in zip(before, net.state_dict().values())
        ) and torch.equal(rng, torch.get_rng_state())


def test_dead_cells_come_last(batch):
    s = nb201()
    dead, alive = from_ops(s, ['none'] * 6), from_ops(s, ['nor_conv_3x3'] * 6)
    for name, f in PROXIES.items():
        assert rank_by(f, [dead, alive], untrained(s, batch), batch)[0] == alive, name


def test_synflow_of_deep_networks_is_finite(batch):
    g = from_ops(nb201(), ['nor_conv_3x3'] * 6)
    v = scores(PROXIES['synflow'], [g], untrained(nb201(), batch, C=8, n=5), batch)[0]
    assert np.isfinite(v) and v > 1e10


def test_fidelity_needs_the_table(table):
    from dnas_nb.sources import load_data

    digits = load_data('digits', 60)
    net = lambda x, theta, live=None: torch.zeros(len(x), 10)
    assert np.isnan(fidelity(net, toy(), digits.valid, table, list(all_archs(toy()))[:5], 'd').tau)
    fails(
        lambda: fidelity(net, nb201(), digits.valid, table, [from_ops(nb201(), ['none'] * 6)], 'd'),
        'of space',
    )
    assert len(live_archs(toy(), {'cell': torch.eye(3).bool()}, 9)) == 1


@pytest.mark.parametrize(
    'path', sorted((ROOT / 'nbs' / 'studies' / 'baselines').glob('*.json')), ids=lambda p: p.stem
)
def test_stored_results(path):
    "Twenty seeds each, no accuracy above the best there is"
    d = json.loads(path.read_text())
    assert d['seeds'] == 20 and d['date'] and {r['search'] for r in d['rows']} >= set(SEARCHES)
    assert all(
        r['runs'] == 20
        and r['worst'] <= r['test'] <= d['best']
        and abs(d['best'] - r['test'] - r['regret']) < 1e-6
        for r in d['rows']
    )


def test_command():
    "An unknown table is one line"
    p = warm.run(
        [
            sys.executable,
            str(ROOT / 'nbs' / 'studies' / 'baselines' / 'run.py'),
            '--table',
            'nasbench2001',
        ],
        capture_output=True,
        text=True,
    )
    assert (
        p.returncode == 1
        and len(p.stderr.strip().splitlines()) == 1
        and "did you mean 'nasbench201'" in p.stderr
    )
