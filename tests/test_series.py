"Series: what is wrong with them is one line; padding counts for nothing; a shift is not seen before the test."

from dataclasses import replace
import numpy as np
import pytest
import torch
from conftest import fails
from dnas_nb.core import generator, seeded
from dnas_nb.domains.domain import find, train
from dnas_nb.domains.series import (
    SERIES,
    MaskedNorm,
    Sizes,
    heard,
    nearest,
    series_data,
    series_domain,
    series_ops,
    series_space,
    twin_series,
)
from dnas_nb.genotype import one_hot, random_arch
from dnas_nb.sequences import from_arrays, from_series
from dnas_nb.sources import find_data
from dnas_nb.supernet import Spec

torch.set_num_threads(1)
SHORT = from_series(
    list(np.random.default_rng(0).normal(size=(40, 2, 9))), [0, 1] * 20, name='short'
)
TABLE = from_arrays(np.random.default_rng(0).normal(size=(40, 5)), np.arange(40) % 2, name='table')


@pytest.mark.parametrize(
    'call, parts',
    [
        (lambda: series_space(SHORT, (3, 11)), ['short', '9 places', 'kernel of 11']),
        (lambda: series_space(SHORT, (4,)), ['odd numbers']),
        (lambda: series_space(SHORT, (7, 3)), ['that grow']),
        (lambda: series_space(SHORT, (3.0, 5.0)), ['odd numbers']),
        (lambda: series_space(TABLE), ['table', 'channels, length']),
        (lambda: series_space(twin_series(shortest=13), (3, 15)), ['13 places', 'kernel of 15']),
        (lambda: series_data('vowel'), ["did you mean 'vowels'"]),
        (lambda: nearest(SHORT, 'spectra'), ["view 'spectra'", "did you mean 'spectrum'"]),
        (lambda: from_series([np.ones(4), np.ones((2, 4))], [0, 1]), ['series 1 has 2 channels']),
    ],
)
def test_what_does_not_fit_is_one_line(call, parts):
    fails(call, *parts)


def test_a_missing_and_a_foreign_file_are_one_line(tmp_path, monkeypatch):
    monkeypatch.setenv('DNAS_DATA', str(tmp_path))
    monkeypatch.chdir(tmp_path)
    if find_data('cwru_bearing.npz') is None:  # no other folder holds it
        for name in ('gunpoint', 'vowels', 'bearing', 'bearing-size', 'bearing-load-2'):
            fails(lambda: series_data(name), 'is not here', 'DNAS_DATA')
    np.savez(tmp_path / 'ucr_gunpoint.npz', x_train=np.ones(3))
    fails(lambda: series_data('gunpoint'), 'ucr_gunpoint.npz', 'y_train')


def test_no_answer_moves_with_padding_in_any_network():
    data = twin_series(n=48, shortest=24)
    space, draw = series_space(data), generator('padding')
    with seeded('padding'):
        net = space.supernet(Spec(batch_stats=True)).eval()
    x, _ = data.train.take()
    other = x | dict(series=x['series'].masked_fill(~x['mask'][:, None], 1e3))
    for _ in range(10):
        theta = {'net': one_hot(random_arch(space, draw), space)['net']}
        torch.testing.assert_close(net(x, theta), net(other, theta), rtol=0, atol=1e-5)


def test_a_masked_norm_remembers_what_is_there_alone():
    x, mask = torch.randn(6, 3, 8), torch.arange(8) < torch.arange(3, 9)[:, None]
    norm, alone = MaskedNorm(3), torch.nn.BatchNorm1d(3)
    norm(x.masked_fill(~mask[:, None], 50.0), mask)
    there = x.transpose(1, 2)[mask]
    torch.testing.assert_close(norm.running_mean, 0.1 * there.mean(0))
    alone.load_state_dict(norm.state_dict())
    torch.testing.assert_close(
        norm.eval()(x, mask)[mask[:, None].expand_as(x)],
        alone.eval()(x)[mask[:, None].expand_as(x)],
    )


@pytest.mark.parametrize('length', [1, 2, 5, 16, 17])
def test_operations_take_series_of_any_length(length):
    for name, op in series_ops(4, (3, 7, 15)).items():
        y, mask = op((torch.rand(3, 4, length), None))
        assert y.shape == (3, 4, length) and mask is None, name


def test_another_housing_keeps_the_class_and_the_loudness():
    x = torch.randn(5, 1, 100)
    y = heard(x, 'a')
    assert torch.equal(y, heard(x, 'a')) and not torch.equal(y, heard(x, 'b'))
    torch.testing.assert_close(y.square().mean(2), torch.ones(5, 1))


@pytest.mark.parametrize('method', ['random', 'gdas', 'danas-prune'])
def test_the_domain_is_searched_and_trained_and_the_same_again(method):
    domain = series_domain('twin-unlike')
    domain = replace(
        domain,
        search=replace(domain.search, epochs=1, warmup=0, batch=28),
        alone=replace(domain.alone, epochs=1),
    )
    found = find(domain, method)
    assert find(domain, method).genotype == found.genotype
    assert 0 <= train(domain, found.genotype)['test'] <= 100


@pytest.mark.skipif(find_data('cwru_bearing.npz') is None, reason='no data folder')
def test_a_shift_of_size_keeps_the_other_size_for_the_test():
    pairs = [
        name for name in SERIES if name.count('-') == 2 and not name.startswith('bearing-load')
    ]
    assert len(pairs) == 6
    one, other = series_data('bearing-007-014'), series_data('bearing-014-007')
    assert not any(one.overlap().values())
    assert not set(one.test.digests) & (set(one.train.digests) | set(one.valid.digests))
    assert set(one.test.digests) & set(other.train.digests)  # what trains there, tests here
    assert Sizes.of(one).views[-1] == 'spectra'
