"""A caller's part whose code has changed is another part; a plug-in that is loaded anew leaves what is the package's."""

import importlib
import json
import os
import subprocess
import sys
from dataclasses import dataclass, replace
from functools import partial

import pytest
from conftest import fails
from torch import nn

import dnas_nb as nas
from dnas_nb import plugins
from dnas_nb.methods import METHODS, ROWS
from dnas_nb.plugins import load_plugin, register
from dnas_nb.running.identity import code_mark, does_the_same
from dnas_nb.running.study import study
from dnas_nb.space import toy
from dnas_nb.spaces import FURTHER

SMALL = dict(space='toy', data='digits', images=160, size=8, epochs=2, channels=2, cells=1, batch=20)
TEXT = '''from dataclasses import replace
from dnas_nb.methods import METHODS
from dnas_nb.plugins import register
{constant}

def helper(x):
    return {scale}*x

def sure(distribution, progress):  {comment}
    return FACTOR*helper(distribution.mean.square().sum())

register(method=replace(METHODS['darts'], name='sure-darts', penalties=(sure,)))
'''


@pytest.fixture(autouse=True)
def tables():
    "As they were, afterwards"
    kept = [(t, dict(t)) for t in (METHODS, FURTHER, plugins._ENTRIES, plugins._LOADED)]
    yield
    for table, before in kept:
        table.clear()
        table.update(before)


def written(path, constant='FACTOR = 1.', scale=1, comment=''):
    path.write_text(TEXT.format(constant=constant, scale=scale, comment=comment))
    load_plugin(path)




def test_a_mark_changes_with_bodies_constants_settings_and_what_is_enclosed():
    def made(k):
        def f(x):
            return k*x

        return f

    def minus(x):
        return -x

    def plus(x):
        return +x

    class Layer(nn.Module):
        def forward(self, x):
            return x

    class Other(nn.Module):
        def forward(self, x):
            return 2*x

    @dataclass(frozen=True)
    class Setting:
        size: float

        def __call__(self, x):
            return self.size*x

    several = [made(1.0), made(2.0), minus, plus, partial(made, 1.0), partial(made, k=2.0)]
    several += [Layer, Other, Setting(1.0), Setting(2.0), [minus, plus], [plus, minus]]
    assert len({code_mark(f) for f in several}) == len(several)
    assert code_mark(made(1.0)) == code_mark(made(1.0)) and code_mark(Layer()) == code_mark(Layer())
    assert code_mark(Setting(1.0)) == code_mark(Setting(1.0))


def test_a_mark_is_the_same_in_another_process_and_knows_no_comments(tmp_path, monkeypatch):
    "Sets of names lie in another order there"
    code = 'def f(x):\n    {}\n    return x in {{"a", "b", "c", "dd", "eee"}} or g(x)\n\ndef g(x): return x\n'
    (tmp_path / 'marked.py').write_text(code.format('"said"'))
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.setattr(sys, 'dont_write_bytecode', True)
    here = code_mark(importlib.import_module('marked').f)
    (tmp_path / 'marked.py').write_text(code.format('# said otherwise'))
    line = 'import marked; from dnas_nb.running.identity import code_mark; print(code_mark(marked.f))'
    done = subprocess.run(
        [sys.executable, '-B', '-c', f'import sys; sys.path.insert(0, {str(tmp_path)!r}); {line}'],
        capture_output=True,
        text=True,
        check=True,
        env=os.environ | dict(PYTHONHASHSEED='7'),
    )
    assert done.stdout.strip() == here


@pytest.mark.parametrize('change', [dict(scale=-9), dict(constant='FACTOR = 2.')])
def test_a_part_that_changed_between_a_search_and_its_continuation_is_refused(tmp_path, change):
    def stop(state, s):
        raise KeyboardInterrupt

    def go(**more):
        return nas.search(method='sure-darts', out=tmp_path / 'run', device='cpu', report=False, **SMALL, **more)

    written(tmp_path / 'mine.py')
    with pytest.raises(KeyboardInterrupt):
        go(on_epoch=stop)
    written(tmp_path / 'mine.py', **change)
    fails(lambda: go(resume=True), 'its code has changed')
    written(tmp_path / 'mine.py', comment='# said otherwise')
    assert go(resume=True).genotype


def test_a_study_does_not_join_two_methods_of_one_name(tmp_path):
    written(tmp_path / 'mine.py')
    what = SMALL | dict(method='sure-darts', epochs=1)
    study(what | dict(seed=[0]), tmp_path / 'study', workers=1, device='cpu')
    written(tmp_path / 'mine.py', scale=999)
    fails(lambda: study(what | dict(seed=[0, 1]), tmp_path / 'study', workers=1, device='cpu'), 'its code has changed')


def test_a_run_of_an_earlier_version_goes_on(tmp_path):
    "It has no mark, or one of another Python"
    written(tmp_path / 'mine.py')
    for own in ({}, dict(code={'method': '3.0:0123456789abcdef'}), dict(code='x'), None):
        (tmp_path / 'run.json').write_text(json.dumps(dict(own=own)))
        does_the_same(tmp_path, method='sure-darts')


def test_a_value_is_known_by_the_name_that_it_is_registered_with():
    "A run asks the value: by another name its parts were not compared"
    register(method=replace(METHODS['darts'], name='inner'), name='outer')
    register(space=toy(), name='my-toy')
    assert METHODS['outer'].name == 'outer' and FURTHER['my-toy']().name == 'my-toy'


def test_a_plug_in_that_was_mended_is_loaded_again(tmp_path):
    path = tmp_path / 'mine.py'
    written(path)
    text = path.read_text()
    path.write_text(text + '1/0\n')
    fails(lambda: load_plugin(path), 'ZeroDivisionError')
    path.write_text(text)
    load_plugin(path)
    assert 'sure-darts' in METHODS


def test_a_plug_in_that_fails_takes_nothing_of_the_package_along(tmp_path):
    (tmp_path / 'mine.py').write_text(
        "from dnas_nb.plugins import register\nfrom dnas_nb.methods import METHODS\nregister(method=METHODS['darts'])\n1/0\n"
    )
    fails(lambda: load_plugin(tmp_path / 'mine.py'), 'ZeroDivisionError')
    assert METHODS['darts'] is ROWS['darts']


def test_an_operation_that_changes_the_shape_is_refused_when_it_is_registered():
    "In a search it ended in a traceback; what takes no pictures is not tried"

    def shrink(C, stride, affine):
        return nn.Conv2d(C, C, 3)

    def for_series(C, stride, affine):
        return nn.Conv1d(C, C, 3)

    fails(lambda: register(operation=shrink), "operation 'shrink' with stride 1 makes (2, 4, 6, 6)")
    assert plugins._operation(for_series) is for_series


def test_a_retraining_goes_on_with_the_task_that_it_began_with(tmp_path):
    def stop(row, recipe):
        raise KeyboardInterrupt

    def go(smoothing, **more):
        def mine(output, y):
            return nn.functional.cross_entropy(output, y, label_smoothing=smoothing)

        task = nas.Task.of(mine)
        given = dict(space='toy', images=40, epochs=2, batch=10, device='cpu', out=tmp_path / 't')
        return nas.retrain('|nor_conv_3x3~0|+|nor_conv_3x3~0|nor_conv_3x3~1|', task=task, **given, **more)

    with pytest.raises(KeyboardInterrupt):
        go(0.1, on_epoch=stop)
    fails(lambda: go(0.4, resume=True), 'its code has changed')
    assert go(0.1, resume=True).history


def test_a_plug_in_is_its_text_and_not_what_python_kept_of_it(tmp_path, monkeypatch):
    "An edit within a second that keeps the size was not seen: the code of before ran"
    monkeypatch.setattr(sys, 'dont_write_bytecode', False)
    path = tmp_path / 'mine.py'
    written(path, scale=1)
    before, second = code_mark(METHODS['sure-darts']), path.stat().st_mtime
    path.write_text(TEXT.format(constant='FACTOR = 1.', scale=9, comment=''))
    os.utime(path, (second, second))
    load_plugin(path)
    assert code_mark(METHODS['sure-darts']) != before and not (tmp_path / '__pycache__').exists()
