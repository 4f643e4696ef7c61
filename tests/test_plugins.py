"""Own operations, spaces and methods, each one cell of a notebook elsewhere: used by the commands, by the workers of a
study and by a resumed run. What is wrong with a plug-in is said in one line."""

import json
import re
import sys
from textwrap import dedent
import pandas as pd
import pytest
import warm
from conftest import fails
from dnas_nb import plugins

# A person's three tasks. Each is one cell in a notebook; together they are a file.
OPERATION = """
    from dnas_nb.ops import relu_conv_bn
    from dnas_nb.plugins import register

    def conv_5x5(C, stride, affine):
        "A larger convolution"
        return relu_conv_bn(C, C, 5, stride, affine)

    register(operation=conv_5x5)
    """
SPACE = """
    from dnas_nb.ops import OPS
    from dnas_nb.plugins import register
    from dnas_nb.space import Cell, Space, Stack

    def triangle(n):
        "Blocks of a network: n cells, then half the size, then n cells"
        return ('cell',)*n + ('/2',) + ('cell',)*n

    def wide():
        "Three edges, four operations, one of them our own"
        names = 'none', 'skip_connect', 'nor_conv_3x3', 'conv_5x5'
        cell = Cell('cell', 1, ((0, 1), (0, 2), (1, 2)), (names,)*3)
        return Space('wide', (cell,), Stack(OPS, triangle))

    register(space=wide)
    """
METHOD = """
    from dataclasses import replace
    from dnas_nb.methods import METHODS
    from dnas_nb.plugins import register

    def calm(distribution, progress):
        "Pull the weights of every edge together"
        return distribution.mean.var(-1).sum()

    register(method=replace(METHODS['darts'], name='calm', source='ours', penalties=(calm,)))
    """
SMALL = '--images 60 --batch 10 --channels 2 --threads 1'.split()


def write(path, *parts):
    path.write_text('\n'.join(map(dedent, parts)))
    return path


def call(command, *words, cwd):
    "One command in a process of its own."
    code = f"import sys; sys.argv[0] = {command!r}; from dnas_nb.running.cli import {command}; {command}()"
    return warm.run(
        [sys.executable, '-c', code, *map(str, words)], cwd=cwd, capture_output=True, text=True
    )


@pytest.fixture(scope='module')
def plugin(tmp_path_factory):
    return write(tmp_path_factory.mktemp('mine') / 'mine.py', OPERATION, SPACE, METHOD)


@pytest.fixture(scope='module')
def run(plugin):
    "A search of two epochs with all three, stopped after the first"
    out = plugin.parent / 'run'
    words = ['--plugin', plugin, '--method', 'calm', '--space', 'wide', '--out', out, *SMALL]
    done = call('dnas_search', *words, '--epochs', 2, cwd=plugin.parent)
    assert done.returncode == 0, done.stderr
    return out, words


def test_search_with_own_operation_space_and_method(run):
    out, _ = run
    about = json.loads((out / 'run.json').read_text())
    assert about['settings']['space'] == 'wide' and about['settings']['method'] == 'calm'
    assert about['own']['plugin'] == {'method': 'mine.py', 'space': 'mine.py'}
    assert (out / 'report.html').exists() and 'conv_5x5' in (
        out / 'history.csv'
    ).read_text().splitlines()[0]


def test_resume_needs_the_plugin_again(run, plugin):
    "Names only are stored: without the file a run is refused in one line, with it nothing is done twice"
    out, words = run
    without = call('dnas_search', *words[2:], '--epochs', 2, '--resume', cwd=plugin.parent)
    assert without.returncode != 0 and len(without.stderr.strip().splitlines()) == 1, without.stderr
    assert 'calm' in without.stderr
    before = (out / 'history.csv').read_bytes()
    again = call('dnas_search', *words, '--epochs', 2, '--resume', cwd=plugin.parent)
    assert again.returncode == 0 and (out / 'history.csv').read_bytes() == before, again.stderr


def test_killed_run_resumes_to_the_same_bits(run, plugin, tmp_path):
    "Stopped after one of two epochs"
    out, words = run
    words = [*words[:6], '--out', tmp_path / 'cut', *SMALL]
    stop = (
        'import sys; sys.argv[0] = "dnas_search"\n'
        'from dnas_nb.running.cli import dnas_search, _Bar\n'
        'def leave(*a): raise KeyboardInterrupt\n_Bar.__call__ = leave\ndnas_search()'
    )
    cut = warm.run(
        [sys.executable, '-c', stop, *map(str, words), '--epochs', '2'],
        cwd=plugin.parent,
        capture_output=True,
        text=True,
    )
    assert cut.returncode == 130, cut.stderr
    done = call('dnas_search', *words, '--epochs', 2, '--resume', cwd=plugin.parent)
    assert done.returncode == 0, done.stderr
    columns = [
        k for k in pd.read_csv(out / 'history.csv').columns if not re.search('second|peak', k)
    ]
    a, b = (pd.read_csv(p / 'history.csv')[columns] for p in (out, tmp_path / 'cut'))
    pd.testing.assert_frame_equal(a, b, check_exact=True)


def test_found_cell_is_trained_alone(run, plugin, tmp_path):
    out, _ = run
    words = [out, '--epochs', 1, '--images', 60, '--batch', 20, '--out', tmp_path / 'alone']
    done = call('dnas_train', *words, '--plugin', plugin, cwd=plugin.parent)
    assert done.returncode == 0, done.stderr


def test_study_on_two_workers(plugin, tmp_path):
    words = ['--methods', 'calm,darts', '--seeds', '0,1', '--space', 'wide', '--epochs', 1, *SMALL]
    done = call(
        'dnas_study',
        *words,
        '--workers',
        2,
        '--out',
        tmp_path / 'study',
        '--plugin',
        plugin,
        cwd=tmp_path,
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.count('finished') >= 4 or 'calm' in done.stdout


@pytest.mark.parametrize(
    'text, words',
    [
        (
            "from dnas_nb.plugins import register\nregister(method='darts')",
            ('line 2', 'a method is a Method'),
        ),
        ('import nowhere_to_be_found', ('line 1', 'ModuleNotFoundError')),
        ('def f(:', ('line 1', 'SyntaxError')),
        ('x = 1', ('registers nothing',)),
        (
            "from dnas_nb.plugins import register\nregister(operation=lambda C, s, a: None)",
            ('without a name',),
        ),
        (
            "from dnas_nb.plugins import register\ndef none(C, s, a): pass\nregister(operation=none)",
            ('is taken, by the package',),
        ),
        (
            "from dnas_nb.plugins import register\ndef toy(): pass\nregister(space=toy)",
            ('makes no Space',),
        ),
    ],
)
def test_a_plugin_that_cannot_work_is_one_line(tmp_path, text, words):
    path = tmp_path / 'wrong.py'
    path.write_text(text)
    before = {kind: dict(plugins._table(kind)) for kind in plugins._CHECKS}
    fails(lambda: plugins.load_plugin(path), 'wrong.py', *words)
    assert before == {kind: dict(plugins._table(kind)) for kind in plugins._CHECKS}


def test_two_plugins_with_one_name(tmp_path, monkeypatch):
    monkeypatch.setattr(plugins, '_LOADED', {})
    (tmp_path / 'other').mkdir()
    first, second = (
        write(p / 'same.py', OPERATION.replace('conv_5x5', name))
        for p, name in ((tmp_path, 'conv_a'), (tmp_path / 'other', 'conv_b'))
    )
    plugins.load_plugin(first)
    try:
        fails(lambda: plugins.load_plugin(second), 'have one name')
    finally:
        plugins._forget(str(first))


def test_command_says_what_is_wrong_with_a_plugin(tmp_path):
    for text, word in (('import nowhere_at_all', 'nowhere_at_all'), ('x = 1', 'registers nothing')):
        (tmp_path / 'bad.py').write_text(text)
        done = call('dnas_search', '--plugin', 'bad.py', cwd=tmp_path)
        assert done.returncode == 2 and len(done.stderr.strip().splitlines()) == 1, done.stderr
        assert word in done.stderr and not (tmp_path / 'runs').exists()
    done = call('dnas_study', '--plugin', 'nothing.py', '--methods', 'darts', cwd=tmp_path)
    assert done.returncode == 2 and 'there is no plug-in' in done.stderr


@pytest.mark.parametrize('part, space', [('suite', 'single'), ('domains', 'gunpoint')])
def test_a_run_whose_space_waits_in_a_part_of_the_package(part, space, tmp_path):
    "Whoever reads the run without it is told which part to load"
    code = (
        'from dnas_nb.core import UserError\n'
        'from dnas_nb.running.identity import space_named\n'
        f'try: space_named({space!r}, "a run")\n'
        'except UserError as e: print(e)'
    )
    told = warm.run([sys.executable, '-c', code], capture_output=True, text=True, timeout=600)
    assert f'--plugin {part}' in told.stdout, told.stdout + told.stderr
