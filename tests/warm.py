"""A Python process that need not import PyTorch and this package anew: it is forked from a server that has them.

So are those of notebooks. A module does no work when it is imported, which test_modules and test_sync
see to, so it makes no difference that all are there; where another copy of the package is meant, that
one is imported. test_wheel.py and test_cli.py start real interpreters. Where a system cannot fork, so
do all others."""

import gc, multiprocessing, os, runpy, subprocess, sys
from importlib.machinery import PathFinder
from pathlib import Path
from tempfile import TemporaryDirectory

HEAVY = ['torch', 'torch._dynamo', 'sklearn.datasets', 'scipy.stats', 'pandas', 'seaborn']
HEAVY += ['matplotlib.pyplot', 'nbdev.test', 'IPython']
PACKAGE = Path(__file__).resolve().parents[1] / 'dnas_nb'
CAN_FORK = 'forkserver' in multiprocessing.get_all_start_methods()


def modules() -> list:
    "Every module of the package, by name"
    files = [p.relative_to(PACKAGE.parent).with_suffix('') for p in PACKAGE.rglob('*.py')]
    named = ['.'.join(file.parts).removesuffix('.__init__') for file in files]
    return sorted(name for name in named if not name.endswith('__main__'))


def processes():
    "Makes a process: forked from a server that holds the heavy libraries, or spawned"
    if not CAN_FORK:
        return multiprocessing.get_context('spawn').Process
    context = multiprocessing.get_context('forkserver')
    context.set_forkserver_preload(HEAVY + modules())
    return context.Process


def moved_in(cwd, env, out, err):
    "First of all in a forked process: its folder, its environment, and where its words go"
    gc.freeze()  # what was imported before the fork is not searched for garbage again and again
    multiprocessing.set_start_method(None, force=True)  # the usual one, not that of this process
    os.environ.clear()
    os.environ.update(env)
    os.chdir(cwd)
    for standard, path in (1, out), (2, err):
        os.dup2(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND), standard)


class Started:
    "As `subprocess.Popen` with what it says captured, as far as tests use it"

    def __init__(self, command, cwd=None, env=None):
        self.command = [str(word) for word in command]
        self.folder = TemporaryDirectory()
        self.files = [Path(self.folder.name) / name for name in ('out', 'err')]
        where = str(cwd or os.getcwd()), dict(env or os.environ), *map(str, self.files)
        self.process = processes()(target=_interpreter, args=(self.command[1:], *where))
        self.process.start()

    def communicate(self, timeout=1800):
        "Both texts, once it has ended"
        self.process.join(timeout)
        if self.process.is_alive():
            self.kill()
            raise subprocess.TimeoutExpired(self.command, timeout)
        return [p.read_text(errors='replace') if p.exists() else '' for p in self.files]

    def kill(self):
        self.process.kill()

    @property
    def returncode(self):
        return self.process.exitcode


def start(command, cwd=None, env=None):
    "A process of `sys.executable` and -c, -m or a file, that goes on beside this one"
    if CAN_FORK:
        return Started(command, cwd, env)
    pipes = dict(stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    return subprocess.Popen(command, cwd=cwd, env=env, **pipes)


def run(command, cwd=None, env=None, timeout=1800, check=False, capture_output=True, text=True):
    "As `subprocess.run`, of `sys.executable` and -c, -m or a file; what it says is always captured, as text"
    process = start(command, cwd, env)
    try:
        said = process.communicate(timeout=timeout)
    except subprocess.TimeoutExpired:
        process.kill()
        raise
    done = subprocess.CompletedProcess(command, process.returncode, *said)
    if check:
        done.check_returncode()
    return done


def _interpreter(words, *where):
    "What `python` does with its words"
    moved_in(*where)
    alone = words[0] == '-I'
    words = words[alone:]
    path = [] if alone else [p for p in os.environ.get('PYTHONPATH', '').split(os.pathsep) if p]
    kind = words.pop(0) if words[0] in ('-c', '-m') else 'file'
    first = [] if alone else ['' if kind != 'file' else str(Path(words[0]).resolve().parent)]
    sys.path[:0] = [p for p in first + path if p not in sys.path]
    _only_the_package_that_is_meant()
    sys.argv = words if kind == 'file' else [kind, *words[1:]]
    if kind == '-c':
        exec(compile(words[0], '<string>', 'exec'), {'__name__': '__main__', '__builtins__': __builtins__})
    elif kind == '-m':
        runpy.run_module(words[0], run_name='__main__', alter_sys=True)
    else:
        runpy.run_path(words[0], run_name='__main__')


def _only_the_package_that_is_meant():
    "Forget the package that came with the server where the path leads to another"
    found = PathFinder.find_spec('dnas_nb', sys.path)
    if found is None or Path(found.origin or '').parent == PACKAGE:
        return
    for name in [name for name in sys.modules if name.split('.')[0] == 'dnas_nb']:
        del sys.modules[name]
