"What the found network answers on the validation part: kept by a run, drawn by its report, the same after a resume."

import json
from dataclasses import replace
import numpy as np
import pytest
import torch
from conftest import fails
from torch import nn
from dnas_nb.core import generator
from dnas_nb.data import About, Data, Part
from dnas_nb.modules import Mixed, space_of
from dnas_nb.reading.answers import Answers, confused, views
from dnas_nb.running.experiment import run
from dnas_nb.running.folder import account, save_arrays, stored_arrays
from dnas_nb.running.report import report
from dnas_nb.tasks import UNASKED, multilabel, regression, segmentation

torch.set_num_threads(1)
TINY = dict(method='darts', epochs=1, batch=16, device='cpu', warmup=0)


def pictures(label, task, classes, n=96):
    "Random pictures, labelled by a function of them"
    x = torch.rand((n, 1, 6, 6), generator=generator('answers'))
    parts = [Part(some, label(some)) for some in x.split(n // 3)]
    return Data(*parts, About('shapes', classes, (0.5,), (0.3,), task=task))


def flat(K):
    return lambda: nn.Sequential(
        nn.Flatten(), Mixed('act', relu=nn.ReLU(), tanh=nn.Tanh()), nn.Linear(36, K)
    )


def at_places():
    return nn.Sequential(
        Mixed('act', relu=nn.ReLU(), tanh=nn.Tanh()), nn.Conv2d(1, 2, 3, padding=1)
    )


def masks(x):
    y = (x[:, 0] > 0.5).long()
    y[:, 0] = UNASKED
    return y


TASKS = dict(
    classification=(
        pictures(lambda x: (x.mean((1, 2, 3)) > 0.5).long(), None, ('dark', 'light')),
        flat(2),
    ),
    multilabel=(
        pictures(lambda x: (x[:, 0, :2].mean(2) > 0.5).float(), multilabel, ('top', 'below')),
        flat(2),
    ),
    regression=(pictures(lambda x: 100 * x.mean((1, 2, 3)), regression, ('grey',)), flat(1)),
    segmentation=(pictures(masks, segmentation, ('ground', 'ink')), at_places),
)
SHOWN = dict(
    classification=['confusion.png', 'calibration.png'],
    multilabel=['labels.png', 'calibration.png'],
    regression=['targets.png'],
    segmentation=['masks.png', 'confusion.png'],
)


@pytest.mark.parametrize('name', TASKS)
def test_a_report_shows_what_fits_the_task(name, tmp_path):
    "And the answers are those whose accuracy on the validation part the run gives"
    data, net = TASKS[name]
    found = run(tmp_path / 'run', split=data, space=space_of(net, 'own'), **TINY)
    drawn = account(found.out)['drawn']
    assert [p for p in drawn if p in sum(SHOWN.values(), [])] == SHOWN[name]
    kept = stored_arrays(found.out, 'answers.npz')
    answers = Answers.of(kept, name, data.about.classes)
    assert len(answers) == len(data.valid)
    order = torch.from_numpy(kept['index'])
    assert torch.equal(data.valid.y[order], torch.from_numpy(kept['true']))
    if name == 'regression':
        variance = data.train.y.var(unbiased=False).item()
        right = 1 - np.mean((answers.said - answers.true) ** 2) / variance
    else:
        asked = answers.true != UNASKED
        right = (answers.said == answers.true)[asked].mean()
    assert abs(right - found.found['valid_acc']) < 1e-5
    page = (found.out / 'report.html').read_text()
    assert ('One by one' in page) and all(view.title in page for view in views(answers))


class Killed(BaseException):
    "What a process cannot catch"


def test_a_resumed_run_answers_and_draws_the_same(tmp_path):
    data, net = TASKS['classification']
    given = dict(split=data, space=space_of(net, 'own'), **TINY | dict(epochs=2))
    whole = run(tmp_path / 'whole' / 'run', **given)

    def kill(state, settings):
        if state.epoch == 1:
            raise Killed

    with pytest.raises(Killed):
        run(tmp_path / 'cut' / 'run', on_epoch=kill, **given)
    again = run(tmp_path / 'cut' / 'run', resume=True, **given)
    for name in ('answers.npz', 'confusion.png', 'calibration.png'):
        assert (whole.out / name).read_bytes() == (again.out / name).read_bytes(), name


def test_the_test_part_is_not_asked(tmp_path):
    data, net = TASKS['classification']
    found = run(tmp_path / 'run', split=data, space=space_of(net, 'own'), report=False, **TINY)
    other = Part(data.test.x, 1 - data.test.y)
    turned = run(
        tmp_path / 'turned',
        split=replace(data, test=other),
        space=space_of(net, 'own'),
        report=False,
        **TINY,
    )
    assert (found.out / 'answers.npz').read_bytes() == (turned.out / 'answers.npz').read_bytes()


def test_a_run_without_answers_or_with_others_still_says_so(tmp_path):
    data, net = TASKS['classification']
    found = run(tmp_path / 'run', split=data, space=space_of(net, 'own'), report=False, **TINY)
    (found.out / 'answers.npz').write_bytes(b'nothing')
    fails(lambda: report(found.out), 'answers.npz')
    save_arrays(found.out / 'answers.npz', dict(true=np.array([0, 5]), output=np.zeros((2, 2))))
    fails(lambda: report(found.out), 'answers.npz', 'changed or swapped', '--resume makes it again')
    run_json = json.loads((found.out / 'run.json').read_text())
    del run_json['files']['answers.npz']  # as an earlier version wrote it
    (found.out / 'run.json').write_text(json.dumps(run_json))
    fails(lambda: report(found.out), 'answers.npz', 'none of 2 classes')
    (found.out / 'answers.npz').unlink()
    assert 'Confusion of' not in report(found.out).read_text()


def test_a_task_of_ones_own_has_no_answers_to_show(tmp_path):
    data, net = TASKS['regression']

    def loss(output, y):
        return (output[:, 0] - y).square().mean()

    found = run(tmp_path / 'run', split=data, space=space_of(net, 'own'), task=loss, **TINY)
    assert not (found.out / 'answers.npz').exists()
    assert (found.out / 'report.html').exists()


def test_more_classes_than_a_picture_can_show_are_no_matrix():
    true = np.arange(300) % 150
    answers = Answers.of(dict(true=true, output=np.eye(150)[true]), 'classification', range(150))
    assert [view.name for view in views(answers)] == ['calibration']
    few = Answers.of(
        dict(true=true % 90, output=np.eye(90)[true % 90]), 'classification', range(90)
    )
    counts = confused(few.true, few.said, 90)
    assert counts.trace() == 300 and [view.name for view in views(few)] == [
        'confusion',
        'calibration',
    ]


def test_answers_that_were_deleted_are_made_again(tmp_path):
    "With the pictures of the report; without the data, the run is still read"
    data, net = TASKS['classification']
    given = dict(split=data, space=space_of(net, 'own'), **TINY)
    found = run(tmp_path / 'run', **given)
    before = {
        name: (found.out / name).read_bytes()
        for name in ('answers.npz', 'confusion.png', 'calibration.png')
    }
    for name in ('answers.npz', 'confusion.png'):
        (found.out / name).unlink()
    assert 'Confusion of' not in report(found.out).read_text()
    again = run(tmp_path / 'run', resume=True, **given)
    assert (
        again.genotype == found.genotype
        and 'Confusion of' in (found.out / 'report.html').read_text()
    )
    for name, was in before.items():
        assert (found.out / name).read_bytes() == was, name
    (found.out / 'answers.npz').write_bytes(b'other')
    fails(lambda: run(tmp_path / 'run', resume=True, **given), 'answers.npz')
