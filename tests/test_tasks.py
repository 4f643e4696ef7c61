"Tasks: what a network may be asked for, and what is said about labels that are for another one."

from dataclasses import replace
import numpy as np
import pytest
import torch
from conftest import fails
from dnas_nb.core import UserError, generator
from dnas_nb.data import About, Data, Part, Task, averages, classification
from dnas_nb.tasks import (
    TASKS,
    UNASKED,
    asked_at,
    multilabel,
    nodes,
    regression,
    segmentation,
    task_of,
    tokens,
)

N, K = 61, 3
G = generator('tasks')
OUTPUTS = dict(
    classification=torch.randn(N, K, generator=G),
    multilabel=torch.randn(N, K, generator=G),
    regression=torch.randn(N, K, generator=G),
    segmentation=torch.randn(N, K, 4, 5, generator=G),
    tokens=torch.randn(N, 7, K, generator=G),
    nodes=torch.randn(N, K, generator=G),
)
LABELS = dict(
    classification=torch.arange(N) % K,
    multilabel=torch.randint(2, (N, K), generator=G),
    regression=torch.randn(N, K, generator=G),
    segmentation=torch.randint(K, (N, 4, 5), generator=G),
    tokens=torch.randint(K, (N, 7), generator=G),
    nodes=torch.randint(K, (N,), generator=G),
)
every = pytest.mark.parametrize('name', TASKS)


def parts(y, x=None):
    "Three parts of random inputs with these labels."
    x = torch.randn(3, len(y), 2, 4, generator=generator('inputs')) if x is None else x
    return {name: Part(x[k], y) for k, name in enumerate(('train', 'valid', 'test'))}


@every
def test_scores_do_not_depend_on_the_order_and_add_up(name):
    task, z, y = TASKS[name], OUTPUTS[name], LABELS[name]
    found = [task.scores(z[p], y[p]) for p in (torch.randperm(N, generator=G) for _ in range(20))]
    if task is not classification:
        assert all(f == found[0] for f in found)
    for score, value in averages([task.scores(z, y)]).items():
        cut = averages([task.scores(z[:17], y[:17]), task.scores(z[17:], y[17:])])[score]
        assert cut == pytest.approx(value, abs=1e-5)


@every
def test_mean_score_is_the_loss(name):
    task, z, y = TASKS[name], OUTPUTS[name], LABELS[name]
    assert averages([task.scores(z, y)])['loss'] == pytest.approx(task.loss(z, y).item(), rel=1e-5)
    z = z.clone().requires_grad_()
    task.loss(z, y).backward()
    assert z.grad.isfinite().all() and z.grad.abs().sum() > 0


@every
@pytest.mark.parametrize('other', TASKS)
def test_labels_for_another_task_are_named(name, other):
    alike = dict(
        classification=['nodes'],
        nodes=['classification', 'tokens', 'multilabel'],
        tokens=['multilabel'],
    )
    same = name == other or other in alike.get(name, ())
    about = About('mine', ('a', 'b', 'c'), (0.0, 0.0), (1.0, 1.0), task=TASKS[name])

    def make():
        return Data(**parts(LABELS[other]), about=about)

    if same and not TASKS[name].places:
        assert make().train.about.task is TASKS[name]
    elif not same:
        fails(make, 'mine, train part', 'y must')


def test_labels_out_of_range_are_named():
    about = About('mine', ('a', 'b'), (0.0, 0.0), (1.0, 1.0))
    for name in 'classification', 'segmentation', 'tokens':
        fails(
            lambda: Data(**parts(LABELS[name]), about=replace(about, task=TASKS[name])),
            'labels run from 0 to 2',
            '2 classes',
        )
    fails(
        lambda: Data(**parts(torch.full((N, 2), 2)), about=replace(about, task=multilabel)),
        '0 and 1',
    )
    fails(
        lambda: Data(
            **parts(torch.full((N,), np.nan)), about=replace(about, classes=('y',), task=regression)
        ),
        'NaN',
    )
    fails(
        lambda: Data(**parts(torch.full((N, 7), UNASKED)), about=replace(about, task=tokens)),
        'no place has a label',
    )


def test_a_part_may_be_a_nest():
    x = torch.randn(3, N, 2, 4, generator=generator('inputs'))
    nest = [dict(sound=t, more=(t[:, 0], torch.arange(N) + k)) for k, t in enumerate(x)]
    about = About('nest', ('a', 'b', 'c'), None, None)
    data = Data(
        **{p: Part(n, LABELS['classification']) for p, n in zip(('train', 'valid', 'test'), nest)},
        about=about,
    )
    assert data.about.shape == dict(sound=(2, 4), more=((4,), ()))
    got, y = data.train.take(torch.tensor([3, 1]))
    assert torch.equal(got['more'][1], torch.tensor([3, 1])) and torch.equal(
        got['sound'], x[0][[3, 1]]
    )
    turned = data.train[torch.randperm(N, generator=G)]
    for p, q in zip(data.train.judging(20), turned.judging(20)):
        assert torch.equal(data.train.take(p)[0]['sound'], turned.take(q)[0]['sound'])
    other = dict(nest[1], more=(nest[1]['more'][0], torch.arange(N - 1)))
    fails(lambda: replace(data, valid=Part(other, data.valid.y)), 'different lengths')
    fails(lambda: replace(data, valid=Part(nest[0], data.valid.y)), 'shared', 'train ∩ valid')


def test_units_are_those_of_the_training_targets():
    y = torch.tensor([[100.0, 1.0], [300.0, 1.0]])
    task = regression.fitted(Part(torch.zeros(2, 1), y))
    assert torch.equal(
        task.decide(torch.tensor([[0.0, 0.0], [1.0, 2.0]])),
        torch.tensor([[200.0, 1.0], [300.0, 3.0]]),
    )
    assert (
        task.fitted(Part(torch.zeros(2, 1), y / 100)).decide(torch.zeros(1, 2))[0, 0] == 2
    )  # fitted anew
    assert classification.fitted(None) is classification
    for bad in torch.zeros(2, 1), torch.zeros(2, 3), torch.zeros(2):
        fails(lambda: task.loss(bad, y), 'the network answers')


def test_places_that_are_not_asked_for_do_not_count():
    z, y = OUTPUTS['segmentation'], LABELS['segmentation']
    mask = torch.rand(y.shape, generator=G) < 0.5
    void = asked_at(y, mask)
    assert segmentation.scores(z, void)['n'] == int(mask.sum())
    other = torch.where(mask[:, None], z, z + 5 * torch.randn(z.shape, generator=G))
    assert segmentation.scores(z, void) == segmentation.scores(other, void)
    assert (
        segmentation.loss(z, torch.full_like(y, UNASKED)).item() == 0
    )  # a batch without labels is no NaN


def test_own_losses():
    z, y = torch.ones(4, 1, requires_grad=True), torch.zeros(4)

    def mine(output, y):
        return (output[:, 0] - y).abs().mean()

    assert Task.of(mine).name == 'mine' and Task.of(mine).scores(z, y) == dict(
        n=4, loss=4.0, acc=-4.0
    )
    assert task_of('nodes') is nodes and Task.of(nodes) is nodes
    fails(lambda: Task.of(lambda output, y: (output[:, 0] - y)).loss(z, y), 'must give one number')
    fails(lambda: Task.of(lambda output, y: 3.0).loss(z, y), 'must give one number')
    fails(lambda: Task.of(lambda output, y: output.detach().mean()).loss(z, y), 'no gradient')
    fails(lambda: Task.of(3), 'loss(output, y)')
    with torch.no_grad():
        assert Task.of(mine).loss(z, y).item() == 1.0
    assert issubclass(UserError, ValueError)
