"Arrays of any shape, series and texts: nothing of the test part is known to the training part; what does not fit is named."

import numpy as np
import pytest
import torch
from conftest import fails
from dnas_nb.genotype import random_arch
from dnas_nb.core import generator
from dnas_nb.modules import Mixed, space_of
from dnas_nb.running.evaluate import Recipe, train_arch
from dnas_nb.sequences import PADDING, UNKNOWN, encode, from_arrays, from_series, from_texts

N = 60
RNG = np.random.default_rng(0)
Y = np.arange(N) % 3
WAVES = [RNG.normal(size=(2, 4 + i % 5)) for i in range(N)]
TEXTS = [f'word{i} and word{i % 7} or w{i*i % 11}' for i in range(N)]


@pytest.mark.parametrize(
    'x',
    [
        RNG.normal(size=(N, 5)),
        RNG.normal(size=(N, 3, 8)),
        RNG.normal(size=(N, 2, 3, 4, 5)),
        dict(a=RNG.normal(size=(N, 4)), b=RNG.integers(0, 256, (N, 1, 5, 5), dtype='u1')),
        (RNG.normal(size=(N, 4)), np.arange(N)),
    ],
)
def test_any_shape_is_divided(x):
    data = from_arrays(x, Y)
    assert [len(p) for p in data.parts.values()] == [21, 21, 18] and not any(
        data.overlap().values()
    )
    again = from_arrays(x, Y)
    assert again.about.fingerprint == data.about.fingerprint
    x, y = data.train.take(torch.arange(4))
    assert len(y) == 4


def test_every_task_is_divided():
    x = RNG.normal(size=(N, 3, 4, 4))
    for task, y in dict(
        regression=RNG.normal(size=N),
        multilabel=RNG.integers(0, 2, (N, 4)),
        segmentation=RNG.integers(0, 3, (N, 4, 4)),
    ).items():
        data = from_arrays(x, y, task=task)
        assert data.about.task.name == task and sum(map(len, data.parts.values())) == N

    def mine(output, y):
        return output.mean()

    assert from_arrays(x, dict(a=Y), classes=['a'], task=mine).about.task.name == 'mine'


@pytest.mark.parametrize(
    'given, parts',
    [
        (dict(y=Y[:-1]), ['60 images but 59 labels']),
        (dict(y=Y / 1.0), ['one int64 label']),
        (dict(y=list('abc') * 20), ['numeric']),
        (dict(y=Y, task='regresion'), ["did you mean 'regression'"]),
        (dict(y=Y, task='regression'), ['regression', 'floating-point']),
        (dict(y=Y, x_test=np.zeros((3, 5))), ['x_test and y_test']),
        (dict(y=Y, x=np.full((N, 5), np.nan)), ['NaN']),
        (dict(y=Y, x=dict(a=np.zeros((N, 2)), b=np.zeros((N - 1, 2)))), ['different lengths']),
        (dict(y=Y, x=[[1, 2], [3]]), ['numeric']),
        (dict(y=Y, x=3), ['arrays']),
        (dict(y=Y * 10**6), ['the largest label is 2000000'.replace('2000000', '2,000,000')]),
    ],
)
def test_arrays_that_do_not_fit(given, parts):
    fails(lambda: from_arrays(**(dict(x=RNG.normal(size=(N, 5))) | given)), *parts)


def test_series_know_nothing_of_the_test_part():
    far = [w + 1000 for w in WAVES]
    near, other = (from_series(WAVES, Y, t, Y) for t in ([w + 1 for w in WAVES], far))
    assert near.about.mean == other.about.mean and near.about.std == other.about.std
    x, y = near.train.take()
    there = x['series'].transpose(1, 2)[x['mask']].double()
    assert (
        there.mean(0).abs().max() < 1e-5 and (there.std(0, unbiased=False) - 1).abs().max() < 1e-5
    )
    assert x['series'].transpose(1, 2)[~x['mask']].abs().max() < 1e-5
    assert from_series([w[:, :4] for w in WAVES], Y).about.shape == (
        2,
        4,
    )  # of one length: a tensor


@pytest.mark.parametrize(
    'bad, parts',
    [
        ([], ['series 3 is']),
        (np.zeros((2, 0)), ['series 3 is (2, 0)']),
        (np.zeros((3, 5)), ['series 3 has 3 channels', 'has 2']),
        (np.zeros((1, 2, 3)), ['series 3 is (1, 2, 3)']),
        ('text', ['series 3 holds no numbers']),
        (np.full((2, 4), np.inf), ['NaN or infinite', 'fill them in']),
    ],
)
def test_series_that_do_not_fit(bad, parts):
    fails(lambda: from_series([*WAVES[:3], bad, *WAVES[4:]], Y), *parts)


def test_a_vocabulary_is_of_the_training_part():
    data = from_texts(TEXTS, Y, length=5)
    words = data.about.words
    seen = set(data.train.x['tokens'].unique().tolist())
    assert seen - {PADDING, UNKNOWN} == set(range(2, len(words) + 2)) and UNKNOWN not in seen
    assert (data.test.x['tokens'] == UNKNOWN).any() and data.about.shape == dict(
        tokens=(5,), mask=(5,)
    )
    few = from_texts(TEXTS, Y, most=14, length=5)
    assert (
        len(few.about.words) == 14
        and few.about.words[:2] == ('and', 'or')
        and int(few.train.x['tokens'].max()) == 15
    )
    assert (
        not any(few.overlap().values()) and few.about.dropped > 0
    )  # texts that are now alike are left out
    fails(lambda: from_texts(TEXTS, Y, most=1, length=2), 'raise most= or length=')
    got = encode(['Word1 AND zebra'], words, 5)
    assert got['mask'].tolist() == [[True] * 3 + [False] * 2] and got['tokens'][0, 2] == UNKNOWN


def test_the_vocabulary_does_not_know_the_test_texts():
    one, two = (
        from_texts(TEXTS, Y, [t + f' {w}' for t in TEXTS], Y) for w in ('elephants', 'xylophones')
    )
    assert one.about.words == two.about.words and torch.equal(
        one.train.x['tokens'], two.train.x['tokens']
    )


@pytest.mark.parametrize(
    'bad, parts',
    [
        ('', ['text 3 is empty']),
        ('  \n', ['text 3 is empty']),
        (None, ['text 3 is None']),
        (b'x', ['text 3']),
    ],
)
def test_texts_that_do_not_fit(bad, parts):
    fails(lambda: from_texts([*TEXTS[:3], bad, *TEXTS[4:]], Y), *parts)
    fails(lambda: from_texts([], []), 'no texts')


class Mean(torch.nn.Module):
    "A network of series of unlike length: what is there, on the mean"

    def __init__(self):
        super().__init__()
        self.first = Mixed(
            'first',
            plain=torch.nn.Linear(2, 4),
            bent=torch.nn.Sequential(torch.nn.Linear(2, 4), torch.nn.ReLU()),
        )
        self.out = torch.nn.Linear(4, 3)

    def forward(self, x):
        there = x['mask'].float()[:, None]
        return self.out(self.first((x['series'] * there).sum(2) / there.sum(2)))


def test_a_network_for_a_nest_is_trained_alone():
    data, space = from_series(WAVES, Y), space_of(Mean)
    arch = random_arch(space, generator('nest'))
    done = train_arch(arch, space, data, Recipe(epochs=2, batch=8, lr=0.01), device='cpu')
    assert 0 <= done.test_acc <= 1 and len(done.history) == 2
