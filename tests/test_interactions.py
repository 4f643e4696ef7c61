"Interactions: the decomposition is exact, agreement keeps its promises, and bad input is one line."

import json
import numpy as np
import pytest
from conftest import fails
from dnas_nb.bench.tables import load, make_table
from dnas_nb.running.folder import save_arrays
from dnas_nb.running.learned import read_learned
from dnas_nb.reading.interactions import (
    Agreement,
    Effects,
    Learned,
    _partial,
    agreement,
    agreements,
    between,
    contrast,
    decompose,
    ideal,
    plot_agreements,
    pooled,
    ranks,
    rows_of,
    strongest_pairs,
    truth,
    verdicts,
)

RNG = np.random.default_rng(0)
LABELS, OPS, ARCHS = rows_of('toy')


def toy_table(y, name='invented', archs=ARCHS):
    return make_table(
        name, 'toy', archs, {('d', 'test', 1, 'mean'): y, ('d', 'valid', 1, 'mean'): y}
    )


def names(labels, ops):
    return tuple(f'{l} {o}' for l in labels for o in ops)


@pytest.fixture(scope='module')
def t():
    return truth(load('digits201'), 'digits', 'rank')


@pytest.mark.parametrize('E,O', [(1, 4), (2, 2), (3, 3), (4, 5), (6, 3)])
def test_least_squares_finds_the_same(E, O):
    "Dummy variables for every choice and every pair of choices: the projection is unique, however it is computed"
    Y = RNG.normal(size=(O,) * E)
    t, at = decompose(Y), np.indices(Y.shape).reshape(E, -1)
    one = [np.eye(O)[a] for a in at]
    X = np.column_stack(
        [
            np.ones(Y.size),
            *one,
            *(
                (one[e][:, :, None] * one[f][:, None]).reshape(Y.size, -1)
                for f in range(E)
                for e in range(f)
            ),
        ]
    )
    fit = X @ np.linalg.lstsq(X, Y.ravel(), rcond=None)[0]
    assert abs(t.rest.ravel() - (Y.ravel() - fit)).max() < 1e-9
    pairs = sum((t.pair[e, :, f] ** 2).mean() for f in range(E) for e in range(f))
    assert abs(((t.main**2).mean(1).sum() + pairs + t.rest.var()) / Y.var() - 1) < 1e-9
    assert np.allclose(
        t.shares[:2].sum(), ((t.main**2).mean(1).sum() + pairs) / Y.var(), atol=1e-9
    ) and np.isclose(t.shares.sum(), 1)


def test_main_effects_leave_pairs_alone():
    Y = RNG.normal(size=(3,) * 4)
    more = (
        Y
        + sum(RNG.normal(size=3).reshape([-1 if k == e else 1 for k in range(4)]) for e in range(4))
        + 7
    )
    assert np.allclose(decompose(Y).pair, decompose(more).pair) and np.allclose(
        decompose(Y).rest, decompose(more).rest
    )
    assert (decompose(np.ones((3, 3))).shares == 0).all()


def test_strongest_are_the_largest(t):
    s = strongest_pairs(t, 375)
    assert len(s) == 375 and (abs(s.effect).diff().dropna() <= 1e-12).all()
    assert np.allclose(
        sorted(s.effect),
        sorted(v for e in range(6) for f in range(e + 1, 6) for v in t.pair[e, :, f].ravel()),
    )


def test_partial_is_regression():
    "The partial correlation is that of the residuals after all other variables"
    X = RNG.normal(size=(400, 6)) @ RNG.normal(size=(6, 6))
    X = X - X.mean(0)
    others = np.delete(X, [1, 4], 1)
    a, b = (X[:, k] - others @ np.linalg.lstsq(others, X[:, k], rcond=None)[0] for k in (1, 4))
    assert abs(_partial(np.corrcoef(X.T), 0)[1, 4] - np.corrcoef(a, b)[0, 1]) < 1e-9


def test_agreement_is_symmetric_in_names(t):
    "Renaming edges and operations on both sides changes nothing; renaming on one side is what chance looks like"
    C, (e, o) = ideal(
        ranks(truth(load('digits201'), 'digits').rest), names(t.labels, t.ops), steps=5
    ).corr, (RNG.permutation(6), RNG.permutation(5))
    at = (e[:, None] * 5 + o).ravel()
    moved = decompose(np.zeros((5,) * 6), t.labels, t.ops)
    moved = Effects(
        'moved',
        t.labels,
        t.ops,
        t.mean,
        t.main[e][:, o],
        t.pair[e][:, o][:, :, e][:, :, :, o],
        t.rest,
        t.shares,
    )
    a, b = agreement(C, t, n=99), agreement(C[at][:, at], moved, n=99)
    assert abs(a.rho - b.rho) < 1e-9 and abs(a.r2 - b.r2) < 1e-9


def test_noise_stays_in_the_band(t):
    ps = [agreement(np.corrcoef(RNG.normal(size=(30, 80))), t, n=199, seed=k).p for k in range(60)]
    assert np.mean(np.array(ps) < 0.05) < 0.15 and 0.3 < np.mean(ps) < 0.7


def test_more_steps_more_sight(t):
    "An ideal search agrees, beyond chance and with the right signs; its matrix at the start does not exist"
    a = agreement(ideal(ranks(decompose_source()), names(t.labels, t.ops), steps=60), t)
    assert a.rho > a.high and a.signs >= 8 and 'explains' in str(a)
    fails(
        lambda: agreement(ideal(decompose_source(), names(t.labels, t.ops), steps=0), t),
        'is the identity',
    )


def decompose_source():
    from dnas_nb.reading.interactions import grid

    return grid(load('digits201'), 'digits')


def test_pruned_logits_take_no_part(t):
    C = np.corrcoef(RNG.normal(size=(30, 80)))
    C[5:9] = C[:, 5:9] = 0
    C[range(5, 9), range(5, 9)] = 1  # edge 1 is decided: one operation is left
    live = Learned(C, names(t.labels, t.ops)).live
    assert live.sum() == 26 and np.isnan(contrast(C, live)[1]).all()
    a = agreement(C, t, n=50)
    assert a.of == 10 * 25 and np.isfinite(a.rho)


def test_tables_of_another_kind(t):
    y = RNG.normal(60, 5, 27)
    fails(lambda: truth(toy_table(y[:26], archs=ARCHS[:26]), 'd'), 'lacks 1 of 27')
    fails(lambda: truth(toy_table(np.where(np.arange(27) == 3, np.nan, y)), 'd'), 'lacks 1 of 27')
    fails(lambda: truth(toy_table(y), 'e'), "unknown data set")
    fails(lambda: truth(toy_table(y), 'd', 'square'), 'unknown transform')
    fails(lambda: rows_of('darts'), 'no full grid')
    fails(lambda: rows_of('macro3'), 'unknown space')
    small = truth(toy_table(y), 'd')
    fails(lambda: agreement(small, t), 'different spaces', "0→1 none")
    fails(lambda: agreement(np.eye(9) + 0.1, t), 'different spaces')
    fails(lambda: agreement(Learned(np.eye(30) + 0.1, ('a b',) * 30), t), 'different spaces')
    fails(lambda: agreement(np.full((30, 30), np.inf), t), 'not finite')
    fails(
        lambda: agreement(np.corrcoef(RNG.normal(size=(30, 80))), t, 'rank'), "unknown kind 'rank'"
    )
    assert truth(toy_table(y[::-1], archs=ARCHS[::-1]), 'd').mean == pytest.approx(
        small.mean
    ) and np.allclose(truth(toy_table(y[::-1], archs=ARCHS[::-1]), 'd').pair, small.pair)


def fake(out, C=None, status='finished', method='danas', cells=('cell',), **more):
    out.mkdir(exist_ok=True)
    (out / 'run.json').write_text(
        json.dumps(dict(status=status, method=method, settings=dict(method=method, seed=0, **more)))
    )
    if C is not None:
        save_arrays(
            out / 'arrays.npz',
            {
                **{f'corr/{c}': C for c in cells},
                **{f'labels/{c}': np.array(names(LABELS, OPS)) for c in cells},
            },
        )
    return out


def test_runs(tmp_path):
    C = np.corrcoef(RNG.normal(size=(9, 40)))
    r = read_learned(fake(tmp_path / 'a', C))
    assert np.array_equal(r.corr, C) and r.weights is None and r.about['folder'].endswith('a')
    fails(lambda: read_learned(fake(tmp_path / 'b', None, method='gdas')), "'gdas' learns none")
    fails(lambda: read_learned(fake(tmp_path / 'c', None, 'running')), 'has not finished')
    fails(lambda: read_learned(tmp_path / 'd'), 'no run folder')
    fails(
        lambda: read_learned(fake(tmp_path / 'e', C, cells=('normal', 'reduce'))),
        "name one, cell='normal'",
    )
    assert len(read_learned(tmp_path / 'e', 'reduce').corr) == 9
    fails(lambda: read_learned(tmp_path / 'e', 'redux'), "did you mean 'reduce'")
    whole = (tmp_path / 'a' / 'arrays.npz').read_bytes()
    for bad in (b'PK nothing', b'PK\x03\x04nothing', b'', whole[: len(whole) // 2]):
        (tmp_path / 'a' / 'arrays.npz').write_bytes(bad)
        fails(lambda: read_learned(tmp_path / 'a'), 'arrays.npz has no checksum')
    save_arrays(tmp_path / 'c' / 'arrays.npz', dict(other=C))
    fails(lambda: read_learned(tmp_path / 'c'), 'holds no correlation')
    save_arrays(tmp_path / 'c' / 'arrays.npz', {'corr/cell': C})
    fails(lambda: read_learned(tmp_path / 'c'), 'labels')


def test_real_run(tmp_path):
    "What a search writes is what is read"
    from dnas_nb.running.experiment import run

    run(
        tmp_path / 'r',
        method='danas',
        space='toy',
        data='digits',
        epochs=1,
        images=200,
        channels=2,
        report=False,
    )
    r = read_learned(tmp_path / 'r')
    assert (
        r.labels == names(LABELS, OPS)
        and np.allclose(r.weights.sum(1), 1, atol=1e-3)
        and r.about['epochs'] == 1
    )
    assert np.isfinite(agreement(r, truth(toy_table(RNG.normal(60, 5, 27)), 'd'), n=50).rho)


def test_many_runs():
    t = truth(toy_table(RNG.normal(60, 5, 27)), 'd')
    runs = [
        Learned(
            np.corrcoef(RNG.normal(size=(9, 40))), names(LABELS, OPS), about=dict(method=m, seed=s)
        )
        for m in 'ab'
        for s in range(3)
    ]
    f, v = agreements(runs, dict(one=t, two=t), n=50), verdicts(runs, dict(one=t), n=50)
    assert isinstance(agreement(runs[0], t, n=9), Agreement)
    assert len(plot_agreements(f[f.kind == 'corr']).lines) == 2
    assert len(f) == 6 * 2 * 2 and {
        'method',
        'seed',
        'truth',
        'kind',
        'rho',
        'low',
        'high',
        'p',
    } <= set(f)
    one = f[(f.truth == 'one') & (f.kind == 'partial')].groupby('method').rho.mean()
    assert np.allclose(v.set_index('method').rho, one) and (v.seeds == 3).all()
    fails(
        lambda: verdicts(runs[:5], dict(one=t), n=50),
        "{'method': 'b'} has 2 runs of 2 seeds: 3 seeds are needed",
    )
    fails(lambda: verdicts(runs[:2] * 2, dict(one=t), n=50), '4 runs of 2 seeds')
    fails(lambda: pooled([]), 'there are none')
    fails(lambda: pooled([runs[0], Learned(np.eye(30), ('x',) * 30)]), 'different spaces')
    assert between(dict(a=t, b=t), 50).loc['a', 'b'] == pytest.approx(1)
