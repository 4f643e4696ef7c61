"A search behind scikit-learn's interface: its own checks, and what they do not ask."

import gc
from dataclasses import dataclass
import pickle
import random
import numpy as np
import pytest
import torch
from conftest import fails
from sklearn.base import clone
from sklearn.datasets import load_diabetes, load_digits, load_iris, make_blobs
from sklearn.model_selection import cross_val_score
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.utils.estimator_checks import parametrize_with_checks
from torch import nn
from dnas_nb.data import Part, classification
from dnas_nb.modules import Mixed
from dnas_nb.running.estimator import SearchClassifier, SearchRegressor, array_space, divided
from dnas_nb.running.evaluate import recipe_of
from dnas_nb.running.folder import account
from dnas_nb.tasks import regression

torch.set_num_threads(1)


@pytest.fixture(autouse=True, scope='module')
def frozen():
    "A search collects garbage before it measures memory: half a second with all that the tests loaded"
    gc.collect()
    gc.freeze()
    yield
    gc.unfreeze()


@dataclass(frozen=True)
class Tiny:
    "Two options in one layer: what the checks of scikit-learn search, a hundred times. It has one name in every process"

    def __call__(self, shape, K):
        return nn.Sequential(
            nn.Linear(shape[0], 16), Mixed('act', relu=nn.ReLU(), tanh=nn.Tanh()), nn.Linear(16, K)
        )


TINY = dict(space=Tiny(), method='darts', epochs=1, train_epochs=12, random_state=0)


@parametrize_with_checks([SearchClassifier(**TINY), SearchRegressor(**TINY)])
def test_the_checks_of_scikit_learn_pass(estimator, check):
    "All of them: none is declared to fail"
    check(estimator)


@pytest.mark.parametrize('shape', [(7,), (2, 20), (1, 6, 6), (3, 1, 1)])
def test_every_shape_has_a_space_whose_architectures_are_plain(shape, tmp_path):
    X = np.random.default_rng(0).normal(size=(24, *shape))
    y = np.array(['no', 'yes'])[(X.reshape(24, -1).sum(1) > 0).astype(int)]
    net = SearchClassifier(epochs=1, train_epochs=1, batch=8, random_state=0).fit(X, y)
    assert all(type(m).__module__.startswith('torch.nn') for m in net.network_.modules())
    chances = net.predict_proba(X)
    assert chances.shape == (24, 2) and np.allclose(chances.sum(1), 1)
    assert set(net.predict(X)) <= {'no', 'yes'}
    again = pickle.loads(pickle.dumps(net))
    np.testing.assert_array_equal(again.predict_proba(X), chances)


def test_a_sample_is_answered_alone_as_among_others():
    "To twelve digits, also behind convolutions; single precision gives seven"
    X, y = load_digits(return_X_y=True)
    X = X[:60].reshape(-1, 1, 8, 8)
    net = SearchClassifier(epochs=1, train_epochs=2, random_state=0).fit(X, y[:60])
    alone = np.concatenate([net.predict_proba(X[i : i + 1]) for i in range(5)])
    np.testing.assert_allclose(alone, net.predict_proba(X)[:5], rtol=1e-12)


def test_bytes_are_pictures_and_cells_are_searched():
    X, y = load_digits(return_X_y=True)
    X = (X[:64] * 15).astype(np.uint8).reshape(-1, 1, 8, 8)
    net = SearchClassifier('toy', epochs=1, train_epochs=1, random_state=0).fit(X, y[:64])
    assert net.genotype_.space == 'toy' and net.predict(X).shape == (64,)
    assert net._about.mean[0] < 1  # bytes were divided by 255


def test_same_seed_same_answers_and_another_seed_another_network():
    X, y = load_iris(return_X_y=True)

    def chances(seed):
        return SearchClassifier(**TINY | dict(random_state=seed)).fit(X, y).predict_proba(X)

    np.testing.assert_array_equal(chances(3), chances(3))
    assert np.abs(chances(3) - chances(4)).max() > 1e-3
    drawn = chances(np.random.RandomState(3))
    np.testing.assert_array_equal(drawn, chances(np.random.RandomState(3)))


def test_what_was_random_outside_changes_nothing():
    X, y = load_iris(return_X_y=True)
    torch.manual_seed(0)
    one = SearchClassifier(**TINY).fit(X, y).predict_proba(X)
    torch.manual_seed(1)
    np.random.seed(1)
    np.testing.assert_array_equal(one, SearchClassifier(**TINY).fit(X, y).predict_proba(X))


def test_it_works_inside_pipelines_and_cross_validation():
    X, y = load_iris(return_X_y=True)
    scores = cross_val_score(make_pipeline(StandardScaler(), SearchClassifier(**TINY)), X, y, cv=3)
    assert len(scores) == 3 and min(scores) > 0
    assert clone(SearchClassifier(**TINY)).get_params() == SearchClassifier(**TINY).get_params()


def test_a_regressor_answers_in_the_units_of_its_targets():
    X, y = load_diabetes(return_X_y=True)
    both = np.stack([y, 1000 - 3 * y], 1)
    net = SearchRegressor(**TINY).fit(X[:200], both[:200])
    said = net.predict(X[:200])
    assert said.shape == (200, 2)
    assert abs(said[:, 1].mean() - both[:200, 1].mean()) < 100


@pytest.mark.parametrize('seed', range(3))
def test_steep_targets_do_not_end_a_regression(seed):
    "Some seeds ended in an infinite loss: the gradients of the short recipe had no bound"
    Z = np.random.default_rng(0).normal(size=(120, 2))
    net = SearchRegressor(**dict(TINY, space=None, train_epochs=30, random_state=seed))
    assert np.isfinite(net.fit(Z, 10 * Z[:, 0]).predict(Z)).all()
    assert recipe_of('small', regression).clip == 5 and not recipe_of('small', classification).clip


def test_the_same_numbers_get_the_same_answers_in_any_dtype():
    "Bytes that `fit` saw are bytes as floats and lists too; what cannot be bytes is refused"
    X, y = load_digits(return_X_y=True)
    few, rest = X[:60].astype(np.uint8), X[60:90]
    net = SearchClassifier(**TINY).fit(few, y[:60])
    for same in (rest, rest.tolist(), rest.astype(int)):
        np.testing.assert_array_equal(net.predict_proba(rest.astype(np.uint8)), net.predict_proba(same))
    fails(lambda: net.predict(rest / 16), 'samples of fit were bytes', '0 to 255')
    floats = SearchClassifier(**TINY).fit(X[:60], y[:60])
    np.testing.assert_array_equal(floats.predict_proba(rest), floats.predict_proba(rest.astype(np.uint8)))


def test_numbers_that_32_bits_cannot_tell_apart_are_refused():
    Z = np.random.default_rng(0).uniform(0, 60, size=(60, 1))
    fails(lambda: SearchRegressor(**TINY).fit(Z, 1.7e9 + Z[:, 0]), 'y: numbers around', 'offset')
    fails(lambda: SearchRegressor(**TINY).fit(1.7e9 + Z, Z[:, 0]), 'X: numbers around', 'offset')
    assert SearchRegressor(**TINY).fit(1e5 + Z, Z[:, 0])


def test_fit_draws_nothing_from_the_generators_of_others():
    X, y = load_iris(return_X_y=True)
    before = torch.get_rng_state(), np.random.get_state()[1].copy(), random.getstate()
    SearchClassifier(**dict(TINY, space=None)).fit(X, y)
    after = torch.get_rng_state(), np.random.get_state()[1], random.getstate()
    assert before[0].equal(after[0]) and (before[1] == after[1]).all() and before[2] == after[2]


def test_copies_are_searched_once_and_trained_twice():
    x = torch.arange(12.0).reshape(6, 2)
    y = torch.tensor([0, 1, 0, 1, 0, 1])
    data = divided(Part(torch.cat([x, x]), torch.cat([y, y])), 'ab', classification)
    assert sum(len(part) for part in data.parts.values()) == 6
    assert not any(data.overlap().values())


def test_the_run_stays_where_out_says_and_nowhere_otherwise(tmp_path, monkeypatch):
    X, y = make_blobs(40, random_state=0)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv('TMPDIR', str(tmp_path))
    SearchClassifier(**TINY).fit(X, y)
    assert list(tmp_path.iterdir()) == []
    kept = SearchClassifier(**TINY, out=tmp_path / 'run').fit(X, y)
    assert kept.out_ == tmp_path / 'run' and account(kept.out_)['status'] == 'finished'
    assert (kept.out_ / 'report.html').exists()
    assert account(kept.out_)['result']['arch'] == kept.found_['arch']
    fails(lambda: SearchClassifier(**TINY, out=tmp_path / 'run').fit(X, y), 'finished run')


def test_what_cannot_be_is_one_line():
    X, y = make_blobs(40, random_state=0)

    def fit(X=X, y=y, kind=SearchClassifier, **more):
        return lambda: kind(**TINY | more).fit(X, y)

    fails(fit(X[:3], y[:3]), 'n_samples=3', '4 at least')
    fails(fit(np.repeat(X[:2], 5, 0), [0, 1] * 5), '2 of them different')
    fails(fit(y=np.zeros(40)), '1 class')
    fails(fit(space=None, X=X[:, :, None, None, None]), 'give space=')
    fails(fit(train_epochs=0), 'train_epochs')
    fails(fit(recipe='slow'), 'recipe')
    fails(fit(recipe=3), 'recipe')
    fails(fit(method='dart'), "'darts'")
    fails(fit(space='nb20'), "'nb201'")
    fails(fit(batch=0), 'batch')
    net = SearchClassifier(**TINY | dict(space=None)).fit(
        np.zeros((20, 2, 6)) + np.arange(20)[:, None, None], [0, 1] * 10
    )
    fails(lambda: net.predict(np.zeros((1, 2, 7))), '(2, 7)', '(2, 6)')
