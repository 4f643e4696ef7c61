"""A trained network answers about raw pictures: the run and the graph give the same answers, whatever kind
of file a picture is; what cannot be read is listed; what is no model is one line."""

import json
import sys
import zipfile
from dataclasses import replace
from pathlib import Path
import numpy as np
import pandas as pd
import pytest
import warm
import torch
from PIL import Image
from dnas_nb.core import UserError
from dnas_nb.data import About, Data, Part, moments
from dnas_nb.dialects import parse
from dnas_nb.folders import read_picture
from dnas_nb.loaders import from_dataset
from dnas_nb.running.evaluate import RECIPES, train_arch
from dnas_nb.running.export import Intake, export
from dnas_nb.running.predict import Model, as_inputs, predict, prediction_page
from dnas_nb.sources import load_data
from dnas_nb.space import toy
from dnas_nb.tasks import multilabel, regression, task_by

CELL = parse('|nor_conv_3x3~0|+|skip_connect~0|nor_conv_3x3~1|', toy())
QUICK = replace(RECIPES['small'], epochs=1, batch=8, C=4)
COLOURS = dict(blue=(30, 40, 220), green=(30, 200, 60), red=(220, 40, 30))


def picture(colour, k):
    "Noise of a colour, every one of another size"
    g = np.random.default_rng(k)
    noise = g.integers(-30, 30, (40 + 3 * k, 50 + k, 3))
    return Image.fromarray((np.array(COLOURS[colour]) + noise).clip(0, 255).astype('u1'))


@pytest.fixture(scope='module')
def home(tmp_path_factory):
    "A folder of pictures, a network that was trained on it, its exports"
    home = tmp_path_factory.mktemp('home')
    for colour in COLOURS:
        (home / 'data' / colour).mkdir(parents=True)
        for k in range(12):
            picture(colour, k).save(home / 'data' / colour / f'{k}.png')
    data = load_data(str(home / 'data'), size=16)
    train_arch(CELL, toy(), data, QUICK, out=home / 'run', device='cpu')
    export(home / 'run', home / 'out', ('pt2', 'onnx'))
    return home


@pytest.fixture(scope='module')
def raw(home):
    "Pictures as they come: kinds of files, one broken, one text"
    raw = home / 'raw'
    raw.mkdir()
    for k, kind in enumerate(('RGB', 'L', 'RGBA', 'P', 'LA')):
        picture('red', 20 + k).convert(kind).save(raw / f'{kind}.png')
    picture('green', 30).save(raw / 'photo.jpg')
    turned = Image.Exif()
    turned[0x0112] = 6
    picture('blue', 31).save(raw / 'turned.jpg', exif=turned)
    (raw / 'broken.jpg').write_bytes((raw / 'photo.jpg').read_bytes()[:90])
    (raw / 'text.txt').write_text('no picture')
    return raw


def test_run_and_graph_say_the_same_of_raw_files(home, raw):
    said = [predict(run, raw) for run in (home / 'run', home / 'out' / 'net.onnx')]
    assert len(said[0]) == 7 and list(said[0].columns) == ['answer', 'p/blue', 'p/green', 'p/red']
    for other in said[1:]:
        assert (other.answer == said[0].answer).all() and (other.index == said[0].index).all()
        assert np.allclose(other.iloc[:, 1:], said[0].iloc[:, 1:], atol=1e-5)
    assert np.allclose(said[0].iloc[:, 1:].sum(axis=1), 1, atol=1e-5)
    ((path, why),) = said[0].attrs['skipped']
    assert path == str(raw / 'broken.jpg') and 'decoded' in why


def test_files_are_read_as_they_were_for_training(home):
    "The files of the test part get the answers of its tensors, and a batch changes nothing"
    data = load_data(str(home / 'data'), size=16)
    files = [home / 'data' / name for name in data.test.names]
    a, b, c = (
        predict(home / 'run', files),
        predict(home / 'run', files, batch=2),
        predict(home / 'run', data.test),
    )
    assert (
        np.allclose(a.iloc[:, 1:], c.iloc[:, 1:], atol=1e-6)
        and (a.answer.values == c.answer.values).all()
    )
    assert np.allclose(a.iloc[:, 1:], b.iloc[:, 1:], atol=1e-6)
    assert [str(f) for f in files] == list(a.index)


def test_a_set_that_is_read_when_needed_is_answered_in_its_order(tmp_path):
    "As many right answers as the training counted on the same part"
    whole = load_data('digits', images=60)
    items = list(zip(whole.test.x, whole.test.y.tolist()))
    data = from_dataset(items, classes='0123456789', name='items')
    trained = train_arch(CELL, toy(), data, QUICK, out=tmp_path / 'run', device='cpu')
    said = predict(tmp_path / 'run', data.test, batch=7)
    labels = [items[i][1] for i in data.test.at]
    assert len(said) == len(data.test)
    assert (said.iloc[:, 0].astype(int) == labels).mean() == pytest.approx(trained.test_acc)


def test_an_array_with_channels_last_is_the_same_picture(home):
    x = torch.stack([read_picture(home / 'data' / 'red' / f'{k}.png', 16) for k in range(3)])
    first, last = predict(home / 'run', x), predict(home / 'run', x.movedim(1, -1).numpy())
    assert first.equals(last)


def test_the_exports_carry_names_sizes_and_the_rule(home):
    takes = [Model.read(run).intake for run in (home / 'run', home / 'out' / 'net.onnx')]
    assert takes[0] == takes[1]
    assert (
        takes[0].classes == tuple(COLOURS)
        and takes[0].size == (16, 16)
        and takes[0].pixels == 'uint8'
    )
    assert takes[0].rule == dict(task='classification')
    assert json.loads((home / 'out' / 'export.json').read_text())['rule'] == dict(
        task='classification'
    )


def labelled(task, y, names, home):
    "A run of another task on noise"
    x = torch.from_numpy(np.random.default_rng(0).integers(0, 256, (60, 1, 6, 6)).astype('u1'))
    mean, std = moments(x[:20])
    parts = [Part(x[k : k + 20], y[k : k + 20]) for k in (0, 20, 40)]
    data = Data(*parts, About('noise', names, mean, std, task=task))
    train_arch(CELL, toy(), data, QUICK, out=home, device='cpu', task=task)
    return x


def test_a_regression_answers_in_its_units_also_from_the_file(tmp_path):
    y = 1000 + torch.randn(60, generator=torch.Generator().manual_seed(0))
    x = labelled(regression, y, ('metres',), tmp_path / 'run')
    export(tmp_path / 'run', tmp_path / 'out', ('onnx',))
    for run in (tmp_path / 'run', tmp_path / 'out' / 'net.onnx'):
        frame = predict(run, x)
        assert list(frame.columns) == ['answer'] and frame.answer.between(980, 1020).all()


def test_labels_are_listed_with_a_chance_each(tmp_path):
    y = torch.randint(2, (60, 3), generator=torch.Generator().manual_seed(0))
    x = labelled(multilabel, y, ('a', 'b', 'c'), tmp_path / 'run')
    frame = predict(tmp_path / 'run', x)
    assert list(frame.columns) == ['answer', 'p/a', 'p/b', 'p/c']
    for row in frame.to_dict('records'):
        assert row['answer'] == ', '.join(k for k in 'abc' if row[f'p/{k}'] > 0.5)


def test_a_run_from_before_rules_were_kept_still_answers(home, raw):
    path = home / 'run' / 'run.json'
    text = path.read_text()
    about = json.loads(text)
    del about['rule']
    path.write_text(json.dumps(about))
    try:
        assert len(predict(home / 'run', raw)) == 7
    finally:
        path.write_text(text)


def command(*words, cwd):
    "The command of that name in a process of its own"
    code = 'import sys; from dnas_nb.running.cli import dnas_predict; sys.argv[0] = "dnas_predict"; dnas_predict()'
    return warm.run(
        [sys.executable, '-c', code, *map(str, words)], cwd=cwd, capture_output=True, text=True
    )


def test_the_command_writes_a_table_and_a_page(home, raw, tmp_path):
    done = command(home / 'run', raw, '--out', 'a.csv', '--page', 'a.html', cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    table, frame = pd.read_csv(tmp_path / 'a.csv', index_col='input'), predict(home / 'run', raw)
    assert (table.answer == frame.answer).all() and np.allclose(
        table.iloc[:, 1:], frame.iloc[:, 1:], atol=1e-5
    )
    page = (tmp_path / 'a.html').read_text()
    assert page.count('<figure>') == 7 and 'broken.jpg' in page and '<script' not in page
    assert (
        done.stderr.startswith('skipped ')
        and 'broken.jpg' in done.stderr
        and len(done.stderr.splitlines()) == 1
    )


def test_the_command_prints_what_it_does_not_write(home, raw, tmp_path):
    done = command(home / 'out' / 'net.onnx', raw / 'photo.jpg', raw / 'L.png', cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    head, *lines = done.stdout.splitlines()
    assert head == 'input,answer,p/blue,p/green,p/red' and len(lines) == 2
    assert not list(tmp_path.iterdir())
    done = command(home / 'run', raw / 'text.txt', raw / 'broken.jpg', cwd=tmp_path)
    assert done.returncode == 2 and done.stderr.startswith('dnas_predict: no picture could be read')
    assert len(done.stderr.splitlines()) == 1


def test_a_page_shows_names_as_text(home, tmp_path):
    odd = tmp_path / '<script>alert(1)<script>.png'
    picture('red', 3).save(odd)
    page = prediction_page(predict(home / 'run', odd), 'a & <b>')
    assert '<script' not in page and '&lt;script&gt;' in page and 'a &amp; &lt;b&gt;' in page


class Harm:
    "An instruction inside a pickle"

    def __init__(self, path):
        self.path = path

    def __reduce__(self):
        return Path.touch, (Path(self.path),)


def test_a_program_of_somebody_else_is_not_opened(home, tmp_path):
    "PyTorch unpickles parts of a .pt2 with all that they ask for, so opening one can do anything"
    evil = tmp_path / 'net.pt2'
    with zipfile.ZipFile(home / 'out' / 'net.pt2') as old, zipfile.ZipFile(evil, 'w') as new:
        for name in old.namelist():
            content = old.read(name)
            if name.endswith('sample_inputs/model.pt'):
                torch.save(
                    (((torch.zeros(1),), {}), Harm(tmp_path / 'harmed')), tmp_path / 'inputs'
                )
                content = (tmp_path / 'inputs').read_bytes()
            new.writestr(name, content)
    with pytest.raises(UserError, match='net.onnx') as e:
        predict(evil, torch.zeros(1, 3, 16, 16, dtype=torch.uint8))
    assert not (tmp_path / 'harmed').exists() and '\n' not in str(e.value)


@pytest.mark.parametrize(
    'name, content',
    [
        ('net.pt2', b'no program'),
        ('net.onnx', b'no graph'),
        ('net.pt2', b''),
        ('net.py', b'ABOUT = 1'),
    ],
)
def test_what_is_no_model_is_one_line(name, content, tmp_path):
    (tmp_path / name).write_bytes(content)
    with pytest.raises(UserError) as e:
        predict(tmp_path / name, torch.zeros(1, 3, 8, 8))
    assert '\n' not in str(e.value) and name in str(e.value)


@pytest.mark.parametrize(
    'told, says',
    [
        ({}, 'channels'),
        (dict(channels='3', size=[8, 8], input='x'), 'channels'),
        (dict(channels=3, size=8, input='x'), 'size'),
        (dict(channels=3, size=[8, 8], input='x', rule='argmax'), 'rule'),
    ],
)
def test_a_file_that_says_nonsense_about_itself(told, says):
    with pytest.raises(UserError, match=says):
        Intake.read(told, 'net.pt2')


@pytest.mark.parametrize(
    'rule', [dict(task=3), dict(task='clasification'), dict(task='regression', mean='1', std=[1.0])]
)
def test_a_rule_that_is_none(rule):
    with pytest.raises(UserError):
        task_by(rule)


@pytest.mark.parametrize(
    'x, says',
    [
        (torch.zeros(2, 3, 16, 15), 'takes'),
        (torch.zeros(2, 3, 16, 16), 'bytes'),
        ('abc', None),
        (object(), 'array'),
        (torch.full((1, 3, 16, 16), 256), '256'),
        (np.zeros((0, 3, 16, 16), 'u1'), 'empty'),
        ([['a']], 'array'),
        ([], None),
    ],
)
def test_inputs_that_are_none(home, x, says):
    with pytest.raises(UserError, match=says):
        predict(home / 'run', x)


def test_floats_from_0_to_1_are_bytes_divided():
    unit = Intake(1, (2, 2), (0.0,), (1.0,), 'unit')
    x = torch.tensor([[[[0, 51], [102, 255]]]], dtype=torch.uint8)
    assert as_inputs(x, unit).flatten().tolist() == pytest.approx([0, 0.2, 0.4, 1])
