"""What a network is asked for travels from the call to the loss, the folder and the retraining."""

import json
from dataclasses import replace
import pytest
import torch.nn.functional as F
from dnas_nb.core import UserError
from dnas_nb.data import Task, classification
from dnas_nb.plugins import register
from dnas_nb.tasks import TASKS
from dnas_nb.running.experiment import run
from dnas_nb.running.retrain import retrain

SMALL = dict(
    method='darts',
    space='toy',
    data='digits',
    images=96,
    batch=16,
    channels=2,
    report=False,
    device='cpu',
)


def squared(output, y, smoothing=0.0):
    return F.mse_loss(output.float().softmax(-1), F.one_hot(y, output.shape[-1]).float())


def scored(output, y):
    right = classification.scores(output, y)
    return right | dict(loss=len(y) * squared(output, y).item())


@pytest.fixture
def brier():
    before = dict(TASKS)
    yield Task('brier', squared, scored, classification.decide)
    TASKS.clear()
    TASKS.update(before)


def test_the_task_decides_the_loss_and_is_stored_by_name(brier, tmp_path):
    plain = run(out=tmp_path / 'plain', epochs=1, **SMALL)
    own = run(out=tmp_path / 'own', epochs=1, task=brier, **SMALL)
    losses = [r.trace.rows()[0]['train_loss'] for r in (plain, own)]
    assert losses[1] < 0.2 < losses[0]  # a squared distance of ten probabilities, and a log-loss
    assert own.trace.rows()[0]['valid_loss'] < 0.2
    stored = [json.loads((tmp_path / k / 'run.json').read_text()) for k in ('plain', 'own')]
    assert [s['settings']['task'] for s in stored] == ['classification', 'brier']
    assert stored[0]['own'] == {} and stored[1]['own']['task']['name'] == 'brier'


def test_a_resumed_run_asks_for_a_task_that_it_does_not_know(brier, tmp_path):
    def stop(state, settings):
        if state.epoch == 1:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        run(out=tmp_path, epochs=2, task=brier, on_epoch=stop, **SMALL)
    del TASKS['brier']
    with pytest.raises(
        UserError, match='task .brier. was given by the caller: give the value again'
    ):
        run(out=tmp_path, epochs=2, resume=True, task='brier', **SMALL)
    with pytest.raises(UserError, match='had other parts'):
        run(
            out=tmp_path,
            epochs=2,
            resume=True,
            task=replace(brier, loss=classification.loss),
            **SMALL,
        )
    TASKS.pop('brier', None)
    assert (
        run(out=tmp_path, epochs=2, resume=True, task=brier, **SMALL).trace.rows()[-1]['epoch'] == 2
    )


def test_a_retraining_goes_on_with_the_task_of_its_search(brier, tmp_path):
    run(out=tmp_path / 's', epochs=1, task=brier, **SMALL)
    t = retrain(tmp_path / 's', out=tmp_path / 'r', epochs=1, C=2, batch=16, device='cpu')
    assert t.test_loss < 0.2
    assert json.loads((tmp_path / 'r' / 'run.json').read_text())['settings']['task'] == 'brier'
    assert (
        retrain(
            tmp_path / 's',
            out=tmp_path / 'c',
            task='classification',
            epochs=1,
            C=2,
            batch=16,
            device='cpu',
        ).test_loss
        > 0.2
    )


def test_a_task_has_a_name_of_its_own(brier):
    with pytest.raises(UserError, match='one of the package with other parts'):
        run(task=replace(brier, name='classification'), **SMALL)
    with pytest.raises(UserError, match='unknown task'):
        run(task='clasification', **SMALL)
    with pytest.raises(UserError, match='task must be a Task'):
        register(task=3)
    assert register(task=brier).kind == 'task' and TASKS['brier'] is brier
