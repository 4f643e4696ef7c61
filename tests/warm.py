"""A Python process that need not import PyTorch anew: it is forked from a server that has it, as those of notebooks are.

Nothing of this package is in the server, so a command meets the same modules as in an interpreter of its own;
test_wheel.py and test_cli.py start real ones. Where a system cannot fork, so do all others."""

import gc, multiprocessing, os, runpy, subprocess, sys
from pathlib import Path
from tempfile import TemporaryDirectory

HEAVY = ['torch', 'torch._dynamo', 'sklearn.datasets', 'scipy.stats', 'pandas', 'seaborn']
HEAVY += ['matplotlib.pyplot', 'nbdev.test', 'IPython']
CAN_FORK = 'forkserver' in multiprocessing.get_all_start_methods()


def processes():
    "Makes a process: forked from a server that holds the heavy libraries, or spawned"
    if not CAN_FORK:
        return multiprocessing.get_context('spawn').Process
    context = multiprocessing.get_context('forkserver')
    context.set_forkserver_preload(HEAVY)
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


def run(command, cwd=None, env=None, timeout=1800, check=False, capture_output=True, text=True):
    "As `subprocess.run`, of `sys.executable` and -c, -m or a file; what it says is always captured, as text"
    command = [str(word) for word in command]
    if not CAN_FORK:
        return subprocess.run(
            command, cwd=cwd, env=env, timeout=timeout, check=check, capture_output=True, text=True
        )
    with TemporaryDirectory() as folder:
        out, err = Path(folder) / 'out', Path(folder) / 'err'
        where = str(cwd or os.getcwd()), dict(env or os.environ), str(out), str(err)
        process = processes()(target=_interpreter, args=(command[1:], *where))
        process.start()
        process.join(timeout)
        if process.is_alive():
            process.kill()
            raise subprocess.TimeoutExpired(command, timeout)
        said = (p.read_text(errors='replace') if p.exists() else '' for p in (out, err))
        done = subprocess.CompletedProcess(command, process.exitcode, *said)
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
    sys.argv = words if kind == 'file' else [kind, *words[1:]]
    if kind == '-c':
        exec(compile(words[0], '<string>', 'exec'), {'__name__': '__main__', '__builtins__': __builtins__})
    elif kind == '-m':
        runpy.run_module(words[0], run_name='__main__', alter_sys=True)
    else:
        runpy.run_path(words[0], run_name='__main__')
