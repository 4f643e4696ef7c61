"A fresh environment that holds the built wheel, for the tests of what a user gets; see test_wheel.py."

import os, re, shutil, subprocess, sys, tarfile
from configparser import ConfigParser
from importlib import metadata
from pathlib import Path
import pytest

ROOT = Path(__file__).resolve().parent.parent
LAST_PYTHON = 3, 11  # for which the oldest releases have wheels
WHOLE = 'wheel' in os.environ.get('DNAS_FLAGS', '')
NO_INDEX = 'NewConnectionError|ConnectTimeout|ReadTimeout|name resolution|ProxyError|Network is unreachable|Connection refused'
config = ConfigParser(delimiters=['='])
config.read(ROOT / 'settings.ini', encoding='utf-8')
NEEDS = dict(
    re.fullmatch(r'([\w-]+)>=([\d.]+)', r).groups()
    for r in config['DEFAULT']['requirements'].split()
)


def run(*cmd, cwd, **env):
    "The finished process; no path of this repository and no thread but one."
    clean = {
        k: v for k, v in os.environ.items() if k not in ('PYTHONPATH', 'DNAS_DATA', 'DNAS_FLAGS')
    }
    clean |= dict(OMP_NUM_THREADS='1', MPLBACKEND='agg', TQDM_DISABLE='1')
    return subprocess.run(
        [str(c) for c in cmd],
        cwd=cwd,
        env=clean | env,
        capture_output=True,
        text=True,
        timeout=1800,
    )


def told(done) -> str:
    return f'{done.args} ended with {done.returncode}\n{done.stdout[-3000:]}\n{done.stderr[-3000:]}'


def sources(copy):
    "A copy of what belongs to the project, without what was built from it."
    ignore = shutil.ignore_patterns(
        '.git',
        '.venv',
        '.github',
        '_docs',
        '_proc',
        'runs',
        'build',
        'dist',
        'node_modules',
        '*.egg-info',
        '__pycache__',
        '.ipynb_checkpoints',
        '.pytest_cache',
        '.hypothesis',
    )
    shutil.copytree(ROOT, copy, ignore=ignore)
    return copy


@pytest.fixture(scope='session')
def built(tmp_path_factory):
    "The sdist, and the wheel that was built from it."
    here = tmp_path_factory.mktemp('built')
    done = run(
        sys.executable,
        '-m',
        'build',
        '--no-isolation',
        '--outdir',
        here / 'dist',
        sources(here / 'src'),
        cwd=here,
    )
    assert done.returncode == 0, told(done)
    return next((here / 'dist').glob('*.tar.gz')), next((here / 'dist').glob('*.whl'))


@pytest.fixture(scope='session')
def unpacked(built, tmp_path_factory):
    here = tmp_path_factory.mktemp('sdist')
    with tarfile.open(built[0]) as t:
        t.extractall(here)
    return next(here.iterdir())


def shared(folder):
    "Fill a folder with links to PyTorch and to those of its needs that are none of ours."
    todo, names = ['torch'], set()
    while todo:
        name = re.sub('[-_.]+', '-', todo.pop()).lower()
        if name in names or name in NEEDS and name != 'torch':
            continue
        try:
            wants = metadata.requires(name) or []
        except metadata.PackageNotFoundError:
            continue
        if name == 'torch' or re.match('nvidia|cuda|triton|pytorch', name):
            names.add(name)
        todo += [re.match(r'[\w.-]+', w)[0] for w in wants if 'extra ==' not in w]
    for dist in map(metadata.distribution, names):
        for top in {f.parts[0] for f in dist.files} - {'..', 'bin', '__pycache__'}:
            if not (folder / top).exists():
                (folder / top).symlink_to(dist.locate_file(top))


HIDE = '''
import os, sys
if os.environ.get('DNAS_HIDE'):
    import psutil   # its own half for Linux needs them; the one for Windows does not
    for name in os.environ['DNAS_HIDE'].split(): sys.modules[name] = None
'''


@pytest.fixture(scope='session')
def environment(built, tmp_path_factory):
    "A function: kind -> folder of a virtual environment that holds the wheel. Made once each."
    made = {}

    def make(kind):
        if kind in made:
            return made[kind]
        if kind == 'oldest' and not WHOLE:
            pytest.skip('the oldest releases of the requirements: DNAS_FLAGS=wheel')
        if kind == 'oldest' and sys.version_info[:2] > LAST_PYTHON:
            pytest.skip(
                f'the oldest releases have no wheels for Python {sys.version_info[0]}.{sys.version_info[1]}'
            )
        here = tmp_path_factory.mktemp(kind)
        assert (
            run(sys.executable, '-m', 'venv', '--without-pip', here / 'venv', cwd=here).returncode
            == 0
        )
        python = here / 'venv' / ('Scripts/python.exe' if os.name == 'nt' else 'bin/python')
        site = Path(
            run(
                python, '-c', 'import sysconfig; print(sysconfig.get_path("purelib"))', cwd=here
            ).stdout.strip()
        )
        (here / 'torch').mkdir()
        shared(here / 'torch')
        (site / 'torch.pth').write_text(f'{here/"torch"}\n')
        (site / 'sitecustomize.py').write_text(HIDE)
        pins = here / 'pins.txt'
        pins.write_text(
            ''.join(f'{name}=={v}\n' for name, v in NEEDS.items() if name != 'torch')
            if kind == 'oldest'
            else ''
        )
        pip = [
            sys.executable,
            '-m',
            'pip',
            '--python',
            python,
            'install',
            '-q',
            '--no-compile',
            '--no-input',
            '--disable-pip-version-check',
        ]
        done = run(*pip, '-c', pins, built[1], cwd=here)
        if done.returncode and re.search(NO_INDEX, done.stderr):
            made[kind] = None
            pytest.skip('no package index can be reached')
        assert done.returncode == 0, told(done)
        made[kind] = here
        return here

    return make
