"""What a user gets: the wheel alone, in a fresh environment outside of the repository, and the sdist.

An environment is made with pip, with the newest release of every requirement; with `DNAS_FLAGS=wheel` (weekly) another, with the
oldest that settings.ini states. Only PyTorch is not installed again: both see the one of the development environment (5 GB for a GPU) and what
nobody but it needs. All five commands run in both, each once with `--help` and once for real.

Without a package index these tests are skipped, and so are the oldest releases where Python is newer than they are.
The tests inside the sdist: by default those of `QUICK`; `DNAS_FLAGS=sdist` runs all but this file (ten minutes).
Without Unix's modules: a search and a table; `DNAS_FLAGS=wheel` runs all five commands.
"""

import ast, json, os, re, subprocess, sys, zipfile
from pathlib import Path

import pytest

from conftest import ROOT
from dnas_nb.running import cli
from dnas_nb.command import arguments
from wheels import NEEDS, WHOLE, config, run, told

KINDS = 'newest', 'oldest'
QUICK = ['tests/test_sync.py::test_package_matches_notebooks', 'tests/test_baselines.py']
SMALL = '--space toy --images 160 --epochs 1 --channels 2 --batch 32 --device cpu'.split()


def grouped(kinds):
    "One xdist group per environment, so that each is made by one worker only."
    return pytest.mark.parametrize(
        'kind', [pytest.param(k, marks=pytest.mark.xdist_group(f'wheel-{k}')) for k in kinds]
    )


def versions(here) -> dict:
    "What the environment holds, by name."
    code = f'import json, dnas_nb; from importlib.metadata import version as v; print(json.dumps(dict(file=dnas_nb.__file__, **{{n: v(n) for n in {list(NEEDS)}}})))'
    done = run(here / 'venv' / 'bin' / 'python', '-c', code, cwd=here)
    assert done.returncode == 0, told(done)
    return json.loads(done.stdout)


SIX = 'dnas_search', 'dnas_train', 'dnas_export', 'dnas_predict', 'dnas_table', 'dnas_study'


def picture_file(path):
    "A grey square as a PNG."
    from PIL import Image

    Image.new('L', (8, 8), 128).save(path)


def six_commands(here, only=SIX, **env) -> dict:
    "Every command, for real, one after the other's result; name -> what it printed."
    said = {}

    def go(name, *words):
        if name not in only:
            return
        done = run(here / 'venv' / 'bin' / name, *words, cwd=here, **env)
        assert done.returncode == 0 and 'Traceback' not in done.stderr, told(done)
        said[name] = done.stdout

    out = here / ('hidden' if env else 'plain')
    go('dnas_search', *SMALL, '--out', out / 'run')
    go(
        'dnas_train',
        out / 'run',
        '--epochs',
        '1',
        '--channels',
        '2',
        '--images',
        '160',
        '--device',
        'cpu',
        '--out',
        out / 'net',
    )
    go('dnas_export', out / 'net', '--formats', 'pt2,py')
    picture_file(here / '0.png')
    go('dnas_predict', out / 'net', here / '0.png')
    go('dnas_table', 'verify', 'digits201')
    go(
        'dnas_study',
        *SMALL,
        '--methods',
        'darts,random',
        '--seeds',
        '0',
        '--workers',
        '1',
        '--out',
        out / 'study',
    )
    assert (out / 'run' / 'report.html').stat().st_size
    if only != SIX:
        return said
    for file in (
        'run/history.csv',
        'net/last.pt',
        'net/export/net.pt2',
        'net/export/net.py',
        'study/results.csv',
    ):
        assert (out / file).stat().st_size, file
    study = json.loads((out / 'study' / 'study.json').read_text(encoding='utf-8'))
    assert [r['status'] for r in study.values()] == ['finished'] * 2
    return said


def stated() -> dict:
    return {k: v for k, v in NEEDS.items() if k != 'torch'}


def same(a, b):
    return a.removesuffix('.0').removesuffix('.0') == b.removesuffix('.0').removesuffix('.0')


EXTRAS = re.findall(r'^(\w+)_requirements', '\n'.join(config['DEFAULT']), re.M)  # and what development needs
EXTRAS.remove('dev')


def test_every_requirement_states_its_oldest_release():
    names = [re.match(r'[\w-]+', r)[0] for r in config['DEFAULT']['requirements'].split()]
    assert names == list(NEEDS) and len(set(names)) == len(names)


def test_imports_are_requirements():
    "Whatever the package imports is the standard library, a requirement, or an extra; and every requirement is imported."
    extra = {
        re.match(r'[\w-]+', r)[0].replace('-', '_')
        for k in EXTRAS
        for r in config['DEFAULT'][f'{k}_requirements'].split()
    }
    known = {'scikit_learn': 'sklearn', 'pillow': 'PIL'}
    ours = (
        {known.get(n := k.replace('-', '_'), n) for k in NEEDS} | extra | {'dnas_nb', 'IPython'}
    )  # IPython: `live` is for those who sit in Jupyter
    found = set()
    for path in (ROOT / 'dnas_nb').rglob('*.py'):
        for node in ast.walk(ast.parse(path.read_text(encoding='utf-8'))):
            if isinstance(node, ast.Import):
                found |= {a.name.partition('.')[0] for a in node.names}
            if isinstance(node, ast.ImportFrom) and not node.level:
                found.add(node.module.partition('.')[0])
    assert not found - ours - set(sys.stdlib_module_names)
    assert (
        not {known.get(n := k.replace('-', '_'), n) for k in NEEDS} - found
    )  # and nothing is asked for in vain


@grouped(['newest'])
def test_wheel_holds_the_package_and_nothing_else(built, kind):
    with zipfile.ZipFile(built[1]) as z:
        names = z.namelist()
    assert {n.partition('/')[0] for n in names} == {
        'dnas_nb',
        next(n.partition('/')[0] for n in names if n.endswith('METADATA')),
    }
    want = {
        p.relative_to(ROOT).as_posix()
        for p in (ROOT / 'dnas_nb').rglob('*')
        if p.is_file() and '__pycache__' not in p.parts
    }
    assert want <= set(names)


@grouped(['newest'])
def test_an_index_would_take_them(built, kind):
    "Metadata and long description, as PyPI checks and renders them."
    done = run(sys.executable, '-m', 'twine', 'check', '--strict', *built, cwd=built[0].parent)
    assert done.returncode == 0 and done.stdout.count('PASSED') == 2, told(done)


@grouped(['newest'])
def test_sdist_holds_the_project(unpacked, kind):
    "Every file that git knows, apart from git's and GitHub's own."
    listed = subprocess.run(['git', 'ls-files'], cwd=ROOT, capture_output=True, text=True)
    if listed.returncode:
        pytest.skip('no git repository here')
    want = {
        p for p in listed.stdout.splitlines() if not p.startswith('.git') and (ROOT / p).exists()
    }
    assert not {p for p in want if not (unpacked / p).exists()}


@grouped(KINDS)
def test_environment_holds_what_is_stated(environment, kind):
    "The wheel is what runs; the oldest are those of settings.ini; the newest include a fastcore that development does not have."
    here = environment(kind)
    got = versions(here)
    assert str(here / 'venv') in got['file']
    if kind == 'oldest':
        assert all(same(got[k], v) for k, v in stated().items()), (got, stated())
    else:
        assert int(got['fastcore'].partition('.')[0]) >= 2


@grouped(KINDS)
def test_help_of_every_command(environment, kind):
    here = environment(kind)
    for f in (getattr(cli, name) for name in SIX):
        done = run(here / 'venv' / 'bin' / f.__name__, '--help', cwd=here)
        assert (
            done.returncode == 0
            and not done.stderr
            and done.stdout.startswith(f'usage: {f.__name__}')
        ), told(done)
        assert all((a.name.upper() if a.word else a.option) in done.stdout for a in arguments(f))


@grouped(KINDS)
def test_six_commands(environment, kind):
    said = six_commands(environment(kind))
    for name, part in dict(
        dnas_search='report ',
        dnas_train='alone ',
        dnas_export='difference',
        dnas_predict='input,answer',
        dnas_table='in order',
        dnas_study='mean over seeds',
    ).items():
        assert part in said[name]


@grouped(['newest'])
def test_six_commands_without_the_modules_of_unix(environment, kind):
    "As on Windows: no `resource`, no `fcntl`; the same architecture is found. A search and a table here, all six with DNAS_FLAGS=wheel."
    here = environment(kind)
    only = SIX if WHOLE else ('dnas_search', 'dnas_table')
    six_commands(here, only, DNAS_HIDE='resource fcntl pwd grp termios')
    found = [
        (here / d / 'run' / 'genotype.json').read_text(encoding='utf-8')
        for d in ('plain', 'hidden')
        if (here / d).exists()
    ]
    assert len(set(found)) == 1


@grouped(['newest'])
def test_the_tests_of_the_sdist(unpacked, kind):
    "They run from the unpacked archive and see its package. Skipped there: this file; without DNAS_FLAGS=sdist all but `QUICK`."
    whole = 'sdist' in os.environ.get('DNAS_FLAGS', '')
    what = ['tests', '--ignore', 'tests/test_wheel.py', '-n', '2'] if whole else [*QUICK, '-n', '0']
    done = run(
        sys.executable,
        '-m',
        'pytest',
        *what,
        '-p',
        'no:cacheprovider',
        cwd=unpacked,
        PYTHONPATH=str(unpacked),
        DNAS_DATA=os.environ.get('DNAS_DATA', ''),
    )
    assert done.returncode == 0, told(done)
    seen = run(
        sys.executable,
        '-c',
        'import dnas_nb; print(dnas_nb.__file__)',
        cwd=unpacked,
        PYTHONPATH=str(unpacked),
    ).stdout
    assert Path(seen.strip()).parent == unpacked / 'dnas_nb'
