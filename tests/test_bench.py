"Bad input to `dnas_nb.bench.tables`: wrong files, unknown architectures and labels are one line each."

import numpy as np
import pytest
from conftest import fails
from dnas_nb.bench.tables import (
    accuracies,
    cost,
    index,
    load,
    make_table,
    oracle,
    query,
    random_best,
    rank,
    regret,
    summary,
    worth,
)
from dnas_nb.genotype import all_archs, from_ops, to_str
from dnas_nb.space import nb201, toy
from dnas_nb.bench.tablefile import PUBLISHED

ARCHS = [to_str(g) for g in all_archs(toy())]
ACC = np.random.default_rng(0).normal(60, 5, (2, 27)).round(1)


@pytest.fixture(scope='module')
def table():
    return make_table(
        'invented', 'toy', ARCHS, {('d', s, 9, 'mean'): a for s, a in zip(('valid', 'test'), ACC)}
    )


@pytest.fixture
def nowhere(tmp_path, monkeypatch):
    monkeypatch.setenv('DNAS_DATA', str(tmp_path))
    return tmp_path


def test_missing_file(nowhere):
    fails(load, 'nasbench201.npz', 'DNAS_DATA', 'A search runs without it')
    fails(lambda: load(path=nowhere), str(nowhere))
    fails(lambda: load(path=nowhere / 'x.npz'), 'x.npz')
    fails(lambda: load('nasbench301'), "did you mean 'nasbench201'")


@pytest.mark.parametrize('content', [b'', b'PK\x03\x04 cut off', b'{"a": 1}', bytes(1_110_393)])
def test_wrong_content(nowhere, content):
    (nowhere / PUBLISHED['nasbench201'].file).write_bytes(content)
    fails(load, 'not the nasbench201 table', 'SHA-256', 'copy it again')


def test_another_archive(nowhere):
    np.savez(nowhere / 'nasbench201.npz', arch_str=np.array(['a']))
    fails(load, 'another benchmark')


@pytest.mark.parametrize(
    'arch, part',
    [
        (-1, 'rows 0 to 26'),
        (27, 'rows 0 to 26'),
        ('', 'at character 1'),
        ('|none~0|', 'at character'),
        (None, 'at character 1'),
        (2.5, 'at character 1'),
        (ARCHS[0].replace('none', 'nine'), "did you mean 'none'"),
        (ARCHS[0] + '+', 'expected the end'),
        (from_ops(nb201(), ['none'] * 6), "of space 'nb201'"),
    ],
)
def test_unknown_arch(table, arch, part):
    for f in (index, query, cost, summary):
        fails(lambda: f(table, arch), part)
    for f in (rank, regret, worth):
        fails(lambda: f(table, arch, 'd'), part)


@pytest.mark.parametrize(
    'kw, part',
    [
        (dict(dataset='cifar10'), 'there are: d'),
        (dict(dataset='d', split='tset'), "did you mean 'test'"),
        (dict(dataset='d', epochs=200), 'there are: 9'),
        (dict(dataset='d', seeds='1'), 'there are: mean'),
    ],
)
def test_unknown_label(table, kw, part):
    fails(lambda: accuracies(table, **kw), part)


@pytest.mark.parametrize('n', [0, -1, 2.5, [1, 0], 'ten'])
def test_draws(table, n):
    fails(lambda: random_best(table, 'd', n), 'whole numbers')


@pytest.mark.parametrize('chance', [0, 1, -1, 2])
def test_chance(table, chance):
    fails(lambda: worth(table, 0, 'd', chance), 'between 0 and 1')


def test_twice():
    fails(
        lambda: make_table('t', 'toy', [ARCHS[0]] * 2, {('d', 'test', 9, 'mean'): [1.0, 2.0]}),
        'listed twice',
    )


def test_all_rows(table):
    "Rank, regret and oracle agree on every architecture."
    best = oracle(table, 'd')
    assert [rank(table, i, 'd').rank for i in best['index']][0] == 1
    for i, a in enumerate(ARCHS):
        r = rank(table, a, 'd')
        assert (
            index(table, a) == i
            and r.rank + r.tied <= r.of
            and (regret(table, a, 'd') == 0) == (r.rank == 1)
        )
    assert cost(table, 0).empty


def test_no_valid_split():
    "A table without validation accuracies still has ranks."
    t = make_table(
        't', 'toy', ARCHS, {('d', 'test', 90, '1'): ACC[0], ('d', 'test', 90, 'mean'): ACC[0]}
    )
    assert np.isnan(summary(t, 0).valid[0]) and rank(t, 0, 'd').of == 27
    fails(lambda: oracle(t, 'd'), 'split of t')
