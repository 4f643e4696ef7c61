"The six commands as a terminal meets them: spelling, help, and values that cannot work. One line, exit code 2, nothing started."

import contextlib, io, os, subprocess, sys

import pytest

import dnas_nb
from conftest import ROOT
from dnas_nb import command
from dnas_nb.running.cli import (
    dnas_export,
    dnas_predict,
    dnas_search,
    dnas_study,
    dnas_table,
    dnas_train,
)

COMMANDS = [dnas_search, dnas_train, dnas_export, dnas_predict, dnas_table, dnas_study]
LONG = 'x' * 300
by_command = pytest.mark.parametrize('f', COMMANDS, ids=lambda f: f.__name__)


def ends(f, *words, **given):
    "Exit code and lines on standard error: of a line in the terminal, or of a call in Python."
    err, out, code = io.StringIO(), io.StringIO(), None
    with contextlib.redirect_stderr(err), contextlib.redirect_stdout(out):
        try:
            f(**(given or command.from_line(f, list(words))))
        except SystemExit as e:
            code = e.code
    return code, [line for line in err.getvalue().replace('\r', '\n').splitlines() if line.strip()]


def refused(f, *words, says=(), **given):
    "Exit code 2 and one short line that begins with the command's name and holds every word of `says`."
    code, lines = ends(f, *words, **given)
    assert code == 2, (code, lines)
    assert (
        len(lines) == 1 and lines[0].startswith(f'{f.__name__}: ') and 'Traceback' not in lines[0]
    ), lines
    assert len(max(lines[0].split(), key=len)) <= 101, lines
    for word in says:
        assert word in lines[0], (word, lines[0])


@by_command
def test_help_has_every_argument_with_its_comment(f):
    out = io.StringIO()
    with contextlib.redirect_stdout(out), pytest.raises(SystemExit) as e:
        command.from_line(f, ['--help'])
    text = ' '.join(out.getvalue().split())
    assert e.value.code == 0
    for a in command.arguments(f):
        assert a.help, f'{f.__name__}: {a.name} has no comment'
        assert (a.name.upper() if a.word else a.option) in text and '_' not in a.option
        assert a.help.split('. ')[0].replace('-', '')[:40] in text.replace('-', '')


def test_help_and_version_do_not_wait_for_torch():
    code = '''
import sys
from dnas_nb.running import cli
for name in ("dnas_search", "dnas_train", "dnas_export", "dnas_predict", "dnas_table", "dnas_study"):
    for word in ("--help", "--version", "--no-such-option"):
        sys.argv = ["/somewhere/" + name, word]
        try: getattr(cli, name)()
        except SystemExit as e: assert e.code == (2 if "no" in word else 0), (name, word, e.code)
        else: raise AssertionError(name)
print(sorted({"torch", "numpy", "pandas", "matplotlib", "fastcore", "sklearn"} & set(sys.modules)), file=sys.stderr)
'''
    done = subprocess.run(
        [sys.executable, '-c', code],
        capture_output=True,
        text=True,
        env={**os.environ, 'PYTHONPATH': str(ROOT)},
    )
    assert done.returncode == 0 and done.stderr.splitlines()[-1] == '[]', done.stderr
    assert done.stdout.count('usage:') == 6 and done.stdout.count(f' {dnas_nb.__version__}\n') == 6


def test_dashes_and_underscores_are_one_spelling():
    both = [
        command.from_line(dnas_search, [o + v])
        for o in ('--arch-lr', '--arch_lr')
        for v in ('=0.5',)
    ]
    both += [command.from_line(dnas_search, [o, '0.5']) for o in ('--arch-lr', '--arch_lr')]
    assert all(b == both[0] and b['arch_lr'] == 0.5 for b in both)
    given = command.from_line(dnas_train, ['my_run_of_today', '--out', 'a_b'])
    assert (
        given['arch'] == 'my_run_of_today' and given['out'] == 'a_b'
    )  # only options are respelled


def test_options_given_to_another_program_are_not_ignored(monkeypatch, capsys):
    "A script that calls a command without arguments does not start a search with other settings than it was asked for"
    for word in ('--epochs=1', '--arch_lr'):
        monkeypatch.setattr(sys, 'argv', ['mine.py', word, '1'])
        with pytest.raises(SystemExit) as e:
            dnas_search()
        said = capsys.readouterr().err.strip().splitlines()
        assert e.value.code == 2 and len(said) == 1 and 'mine.py' in said[0] and word in said[0]


@pytest.mark.parametrize(
    'f, words, says',
    [
        (dnas_search, ['--epohcs', '3'], ['--epohcs', 'did you mean --epochs?']),
        (dnas_search, ['-lr', '1'], ['-lr', 'did you mean --lr?']),
        (dnas_search, ['--epoch', '3'], ['did you mean --epochs?']),
        (dnas_search, ['danas'], ["'danas'"]),
        (dnas_search, ['--epochs'], ['--epochs']),
        (dnas_search, ['--epochs', 'three'], ['--epochs', "'three'"]),
        (dnas_search, ['--epochs', '1.5'], ["'1.5'"]),
        (dnas_search, ['--epochs', '9' * 5000], ['--epochs']),
        (dnas_search, ['--lr', 'nan'], ['--lr', "'nan'"]),
        (dnas_search, ['--arch-lr', '-inf'], []),
        (dnas_search, ['--arch-lr=inf'], ['--arch-lr', "'inf'"]),
        (dnas_search, ['--resume=yes'], ['--resume']),
        (dnas_search, ['--' + LONG], ['unknown option']),
        (dnas_search, ['--method', 'drnass'], ["'drnas'"]),
        (dnas_train, [], ['ARCH']),
        (dnas_train, ['DARTS_V2', 'x'], ["'x'"]),
        (dnas_train, ['--no-such', 'DARTS_V2'], ['--no-such']),
        (dnas_train, ['DARTS_V2', '--preset', 'smal'], ["'small'"]),
        (dnas_export, [], ['RUN']),
        (dnas_export, ['r', '--fromats', 'py'], ['did you mean --formats?']),
        (dnas_export, ['r', '--size', 'big'], ['--size']),
        (dnas_predict, [], ['RUN']),
        (dnas_predict, ['r'], ['FILES']),
        (dnas_predict, ['r', 'a.png', '--pgae', 'p'], ['did you mean --page?']),
        (dnas_table, ['verfy'], ["'verify'"]),
        (dnas_table, ['list', 'a', 'b'], ["'b'"]),
        (dnas_table, ['--mesure'], ['--measure']),
        (dnas_study, ['--method', 'darts'], ['did you mean --methods?']),
        (dnas_study, ['a.toml', 'b.toml'], ['b.toml']),
        (dnas_study, ['--methods', 'darts', '--backend', 'rai'], ["'ray'"]),
    ],
)
def test_a_wrong_option_choice_or_value_is_one_line_with_the_nearest(f, words, says):
    refused(f, *words, says=says)


TEXTS = [(f, a) for f in COMMANDS for a in command.arguments(f) if a.kind is str]
NUMBERS = [(f, a) for f in COMMANDS for a in command.arguments(f) if a.kind in (int, float)]
NEEDED = {
    dnas_search: dict(space='toy', images=40, epochs=1, device='cpu'),
    dnas_train: dict(
        arch='|none~0|+|none~0|none~1|', space='toy', images=40, epochs=1, device='cpu'
    ),
    dnas_export: dict(run='nowhere'),
    dnas_predict: dict(run='nowhere', files=['a.png']),
    dnas_table: dict(),
    dnas_study: dict(methods='darts', space='toy', images=40, epochs=1, device='cpu'),
}


@pytest.mark.parametrize('f, a', TEXTS, ids=lambda v: getattr(v, '__name__', None) or v.name)
def test_texts_that_are_none(f, a, tmp_path, monkeypatch):
    "Empty, blank, with a NUL, undecodable."
    monkeypatch.chdir(tmp_path)
    for bad in ('', '  ', 'a\0b', 'a\udcffb'):
        refused(f, **{**NEEDED[f], a.name: bad}, says=[a.name.upper() if a.word else a.option])
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize('f, a', TEXTS, ids=lambda v: getattr(v, '__name__', None) or v.name)
def test_texts_of_300_characters(f, a, tmp_path, monkeypatch):
    "Names, paths, addresses: refused with what was given cut short, or the option does not matter here."
    monkeypatch.chdir(tmp_path)
    more = (
        dict(action='download', name='http://127.0.0.1:9/t.npz')
        if f is dnas_table and a.name not in ('action', 'name')
        else dict(action='verify') if f is dnas_table and a.name == 'name' else {}
    )
    for bad in (LONG, f'{LONG}.npz', f'{LONG}/{LONG}', 'a\nb' * 100):
        refused(f, **{**NEEDED[f], **more, a.name: bad})
    assert not list(tmp_path.rglob('run.json'))


@pytest.mark.parametrize('f, a', NUMBERS, ids=lambda v: getattr(v, '__name__', None) or v.name)
def test_numbers_that_cannot_work(f, a, tmp_path, monkeypatch):
    "Beyond what any machine holds, below what there is, and no numbers at all: before anything is built or written."
    monkeypatch.chdir(tmp_path)
    more = dict(action='convert', name=str(tmp_path)) if f is dnas_table else {}
    if f is dnas_export:
        more = dict(run=str(trained(tmp_path.parent)), formats='py', out='out')
    bad = [-1, 10**9, 10**30] if a.kind is int else [-1.0, float('nan'), float('inf')]
    if a.name not in ('seed', 'warmup', 'lr', 'arch_lr', 'mixup'):
        bad.append(0)
    if a.name == 'seed':
        bad = []  # any whole number is a seed
    for v in bad:
        refused(f, **{**NEEDED[f], **more, a.name: v})
    assert not list(tmp_path.rglob('*.json'))


def trained(folder):
    "A tiny retraining, made once."
    out = folder / 'trained'
    if not (out / 'run.json').exists():
        ends(dnas_train, **{**NEEDED[dnas_train], 'out': str(out), 'batch': 16, 'channels': 2})
    return out
