"""What is trained on series, numbers, codes, several targets or floats is exported, asked and judged like pictures."""

import json
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from conftest import fails
from torch import nn
from torch.nn import functional as F

import dnas_nb as nas
from dnas_nb.running.cli import train_lines
from dnas_nb.running.evaluate import RECIPES, Recipe, Trained, _share_right, called, train_arch
from dnas_nb.running.export import export
from dnas_nb.running.predict import predict, write_predictions
from dnas_nb.running.retrain import retrain
from dnas_nb.dialects import parse
from dnas_nb.genotype import from_ops
from dnas_nb.loaders import from_dataset
from dnas_nb.sequences import from_arrays
from dnas_nb.sources import from_tensors
from dnas_nb.space import toy
from dnas_nb.tasks import task_by

torch.set_num_threads(1)
RNG = np.random.default_rng(0)
FEW = dict(epochs=1, batch=8, device='cpu')


def series_net():
    conv = nas.Mixed('a', k3=nn.Conv1d(2, 4, 3, padding=1), k5=nn.Conv1d(2, 4, 5, padding=2))
    return nn.Sequential(conv, nn.AdaptiveAvgPool1d(1), nn.Flatten(), nn.Linear(4, 3))


def numbers_net(outputs=2):
    return nn.Sequential(nas.Mixed('a', one=nn.Linear(7, 4), two=nn.Linear(7, 4)), nn.ReLU(), nn.Linear(4, outputs))


def codes_net():
    return nn.Sequential(nn.Embedding(5, 4), nn.Flatten(), nas.Mixed('a', one=nn.Linear(28, 2), two=nn.Linear(28, 2)))


def trained(build, data, out):
    space = nas.space_of(build)
    found = nas.search(split=data, space=space, method='darts', out=out / 's', report=False, **FEW)
    return retrain(found, space, split=data, out=out / 't', **FEW), space


CASES = dict(
    series=(series_net, lambda: (RNG.normal(size=(60, 2, 30)), RNG.integers(0, 3, 60)), {}),
    numbers=(numbers_net, lambda: (RNG.normal(size=(60, 7)), RNG.integers(0, 2, 60)), {}),
    targets=(numbers_net, lambda: (RNG.normal(size=(60, 7)), RNG.normal(size=(60, 2)) * 100), dict(task='regression')),
    codes=(codes_net, lambda: (RNG.integers(0, 5, (60, 7)), RNG.integers(0, 2, 60)), {}),
)


@pytest.mark.parametrize('kind', CASES)
def test_what_leaves_answers_as_the_training_judged(kind, tmp_path):
    build, made, more = CASES[kind]
    x, y = made()
    data = from_arrays(x, y, name=kind, **more)
    t, space = trained(build, data, tmp_path)
    with torch.no_grad():
        want = t.net.cpu().eval()(data.test.take()[0])
    asked = predict(t, data.test, space=space)
    answers = asked.filter(like='answer').to_numpy()
    if kind == 'targets':
        task = task_by(json.loads((tmp_path / 't' / 'run.json').read_text())['rule'])
        np.testing.assert_allclose(answers, task.decide(want).numpy(), rtol=1e-4, atol=1e-3)
    else:
        assert list(map(str, answers[:, 0])) == list(map(str, want.argmax(1).tolist()))
    about = export(t, tmp_path / 'e', ['pt2'], split=data, space=space)
    assert about['test_accuracy']['pt2'] == pytest.approx(t.test_acc, abs=1e-6)


def test_files_count_what_they_are_given(tmp_path):
    "Bytes, floats, and pictures that are normalised outside: always the accuracy of the training"
    x, y = RNG.integers(0, 256, (80, 1, 8, 8)).astype(np.uint8), RNG.integers(0, 2, 80)
    x[y == 1, :, :4] //= 4
    for kind, pictures in dict(bytes=x, floats=(x / 25.5).astype(np.float32)).items():
        data = from_tensors(torch.as_tensor(pictures), torch.as_tensor(y), name=kind)
        genotype = from_ops(toy(), ['nor_conv_3x3'] * 3)
        t = train_arch(genotype, toy(), data, Recipe(epochs=3, batch=16, C=4, n=1), tmp_path / kind)
        for net, how in ((t, {}), (t.net, {}) if kind == 'bytes' else (t.net, dict(normalise=data))):
            about = export(net, tmp_path / 'e', ['pt2'], split=data, **how)
            assert about['test_accuracy']['pt2'] == pytest.approx(t.test_acc), (kind, how)


def test_bytes_are_not_floats(tmp_path):
    "A model of floats from 0 to 1 answers bytes surely and wrongly"
    x, y = RNG.random((60, 1, 8, 8)).astype(np.float32), RNG.integers(0, 2, 60)
    data = from_tensors(torch.as_tensor(x), torch.as_tensor(y), name='floats')
    genotype = from_ops(toy(), ['nor_conv_3x3'] * 3)
    t = train_arch(genotype, toy(), data, Recipe(epochs=1, batch=16, C=2, n=1), tmp_path / 't')
    fails(lambda: predict(t, (x * 255).astype(np.uint8)), 'inputs are bytes')


def test_a_file_that_answers_otherwise_is_not_left_behind(tmp_path):
    "And a batch norm of series without statistics is one as well"
    net = nn.Sequential(nn.Flatten(), nn.Linear(64, 4), nn.BatchNorm1d(4, track_running_stats=False))
    fails(lambda: export(net, tmp_path / 'a', ['pt2'], 8, ([0.0], [1.0])), 'normalises by the batch')

    class Relative(nn.Conv2d):
        def forward(self, x):
            found = super().forward(x).flatten(1)
            return found - found.mean(0)

    fails(lambda: export(Relative(1, 2, 8), tmp_path / 'b', ['pt2'], 8), 'differs by')
    assert not list((tmp_path / 'b').glob('net*')) and not (tmp_path / 'b' / 'export.json').exists()


@pytest.mark.parametrize(
    'net, how, says',
    [
        (nn.Sequential(nn.Flatten()), {}, 'does not show what it takes'),
        (nn.Sequential(nn.Conv2d(1, 1, 8), nn.Flatten(0)), {}, 'answers with a tensor (5,)'),
        (nn.Sequential(nn.Conv2d(1, 4, 8), nn.MaxPool2d(1, return_indices=True)), {}, 'answers with a tuple'),
        (nn.Conv2d(1, 1, 8), dict(normalise=([float('nan')], [1.0])), 'every mean must be a number'),
        (nn.Conv2d(1, 1, 8), dict(normalise=([0.0], [float('inf')])), 'every mean must be a number'),
        (nn.Conv2d(1, 1, 8), dict(formats=[]), 'one format at least'),
        (nn.Conv2d(1, 1, 8), dict(normalise=5), 'normalise wants (mean, std)'),
    ],
)
def test_what_cannot_leave_is_refused_in_a_line(net, how, says, tmp_path):
    fails(lambda: export(net, tmp_path / 'e', **dict(formats=['pt2'], size=8) | how), says)


def test_the_data_say_what_a_bare_network_takes(tmp_path):
    "Its first weights may be those of a layer behind a flattening"
    data = from_tensors(torch.randint(256, (40, 1, 8, 8), dtype=torch.uint8), torch.arange(40) % 2)
    net = nn.Sequential(nn.Flatten(), nn.Linear(64, 2))
    assert export(net, tmp_path / 'e', ['pt2'], normalise=data)['input'] == ['batch', 1, 8, 8]
    items = [(torch.randint(256, (1, 8, 8), dtype=torch.uint8), k % 2) for k in range(40)]
    read_later = from_dataset(items, classes=['a', 'b'], name='items')
    about = export(net, tmp_path / 'l', ['pt2'], normalise=read_later, split=read_later)
    assert about['pixels'] == 'uint8' and 0 <= about['test_accuracy']['pt2'] <= 1


def test_labels_say_what_a_retraining_is_for(tmp_path):
    x, y = RNG.integers(0, 256, (60, 1, 8, 8)).astype(np.uint8), RNG.integers(0, 2, (60, 3))
    data = from_arrays(x, y, name='labels', task='multilabel')
    t = retrain(from_ops(toy(), ['nor_conv_3x3'] * 3), toy(), split=data, out=tmp_path / 't', C=2, **FEW)
    assert json.loads((tmp_path / 't' / 'run.json').read_text())['rule']['task'] == 'multilabel'
    assert 0 <= t.test_acc <= 1


def test_a_task_that_decides_nothing_has_its_own_accuracy():
    "Its answers are the logits: compared with labels they failed, or counted none of them right"
    task = nas.Task.of(lambda output, y: F.cross_entropy(output, y, label_smoothing=0.1))
    output, y = torch.randn(10, 10), torch.arange(10)
    assert _share_right(output, y, task).item() == pytest.approx(-task.loss(output, y).item(), rel=1e-5)


def test_answers_are_written_with_all_their_digits(tmp_path):
    "60000.046875 was 60000 in the file; and a page of a model has a title"
    from PIL import Image
    from dnas_nb.running.export import Intake
    from dnas_nb.running.predict import Model
    from dnas_nb.tasks import regression

    Image.new('RGB', (8, 8)).save(tmp_path / 'a.png')
    model = Model(lambda x: torch.full((len(x), 1), 60000.046875), Intake(3, (8, 8), (0.5,) * 3, (1.0,) * 3, 'uint8'), regression)
    said, _ = write_predictions(model, [tmp_path / 'a.png'], page=tmp_path / 'p.html')
    assert '60000.046875' in said and 'Predictions' in (tmp_path / 'p.html').read_text()


def test_a_published_recipe_on_codes_says_that_there_are_no_pictures():
    "It unpacked three sizes of one"
    data = from_arrays(RNG.integers(0, 5, (60, 7)), RNG.integers(0, 2, 60), name='codes')
    assert 'no pictures' in called(RECIPES['nb201'], data)


@pytest.mark.parametrize('wrong', [dict(nesterov='no'), dict(bf16='yes'), dict(cutout=2.5), dict(momentum=1.5), dict(decay=0.0)])
def test_a_recipe_takes_no_nonsense(wrong):
    fails(lambda: Recipe(**wrong), f'recipe: {next(iter(wrong))}')


def test_a_training_counts_the_steps_that_it_makes():
    "The partial last batch is dropped: 41 pictures are 5 steps of 7, not 6"
    t = SimpleNamespace(recipe=Recipe(epochs=3, batch=7), images=41, weights=1, data='few', genotype=parse('|nor_conv_3x3~0|+|none~0|nor_conv_3x3~1|', toy()), test_acc=0.5, train_acc=0.5, seed=0, out='')
    assert '15 steps in all' in train_lines(t) and '--epochs 40' in train_lines(t)


def test_a_folder_of_pictures_that_has_gone_is_said_to_have_gone(tmp_path, monkeypatch):
    "A folder that is no more looks like a name, and the settings were said to differ"
    from PIL import Image

    monkeypatch.chdir(tmp_path)
    for k in range(60):
        path = tmp_path / 'photos' / 'ab'[k % 2] / f'{k}.png'
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(RNG.integers(0, 256, (8, 8, 3), dtype=np.uint8)).save(path)

    def stop(state, s):
        raise KeyboardInterrupt

    given = dict(data='photos', space='toy', size=8, method='darts', epochs=2, batch=8, channels=2, device='cpu', out='s')
    with pytest.raises(KeyboardInterrupt):
        nas.search(on_epoch=stop, **given)
    (tmp_path / 'photos').rename('elsewhere')
    fails(lambda: nas.search(resume=True, **given), 'its data are no longer at')


def test_a_loss_is_no_percentage():
    "A task of one's own is judged by minus its loss: 'test -235.96 %' said a finished training"
    t = SimpleNamespace(recipe=Recipe(), images=64, weights=1, data='few', genotype=parse('|nor_conv_3x3~0|+|none~0|nor_conv_3x3~1|', toy()), test_acc=-1.25, train_acc=-1.5, seed=0, out='')
    assert 'test -1.25, train -1.5,' in train_lines(t)
    whole = Trained(None, Recipe(), 0, 'few', 64, [dict(train_acc=0.5)], 1.25, -1.25, 1, None)
    assert 'test -1.25, train 0.5;' in repr(whole)


def test_a_cell_that_nothing_passes_is_said_to_be_dead():
    "Its accuracy is that of the commonest class, and its files agree to the last bit"
    dead = parse('|none~0|+|none~0|nor_conv_3x3~1|', toy())
    t = SimpleNamespace(recipe=Recipe(epochs=100, batch=8), images=64, weights=1, data='few', genotype=dead, test_acc=0.5, train_acc=0.5, seed=0, out='')
    assert 'no path leads through the cell' in train_lines(t)
    t.genotype = parse('|nor_conv_3x3~0|+|none~0|nor_conv_3x3~1|', toy())
    assert 'dead' not in train_lines(t)


def test_a_network_that_answers_alike_and_another_normalisation_are_noted(tmp_path, capsys):
    x, y = RNG.integers(0, 256, (60, 1, 8, 8)).astype(np.uint8), RNG.integers(0, 2, 60)
    data = from_tensors(torch.as_tensor(x), torch.as_tensor(y), name='bytes')
    t = train_arch(parse('|none~0|+|none~0|nor_conv_3x3~1|', toy()), toy(), data, Recipe(epochs=1, batch=16, C=2, n=1), tmp_path / 't')
    export(t, tmp_path / 'e', ['pt2'])
    assert 'answers every picture alike' in capsys.readouterr().err
    export(t, tmp_path / 'e', ['pt2'], normalise=([0.1], [0.9]))
    assert 'not those of the training' in capsys.readouterr().err


def test_labels_in_words_are_met_with_what_to_do(tmp_path):
    "numpy.str_ was the word for it"
    import pandas as pd

    x, words = RNG.integers(0, 256, (8, 1, 8, 8)).astype(np.uint8), np.array(['cat', 'dog'] * 4)
    for y in (words, list(words), pd.Series(words), words.astype(object)):
        fails(lambda: from_tensors(x, y), 'labels are texts: number the classes from 0')
        fails(lambda: from_arrays(x, y), 'labels are texts: number the classes from 0')
    np.savez(tmp_path / 'a.npz', x=x, y=words)
    fails(lambda: nas.search(data=tmp_path / 'a.npz', device='cpu'), 'labels are texts')
