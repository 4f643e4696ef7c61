"""What runs without the modules that only Unix has: `resource`, `fcntl`, `pwd`, `grp`, `termios`.

Here they are hidden from a fresh process. psutil is imported first: its half for Linux needs `resource`, the one for Windows
does not. What Windows itself would say cannot be tried here; .github/workflows has a job for that.
"""

import errno, json, os, subprocess, sys, types

import pytest

from conftest import ROOT

HIDDEN = 'resource', 'fcntl', 'pwd', 'grp', 'termios'
HIDE = f'''
import importlib, json, pkgutil, sys
import psutil
class Hidden:
    "A finder that finds none of them"
    def find_spec(self, name, path=None, target=None):
        if name in {HIDDEN!r}: raise ModuleNotFoundError(f'No module named {{name!r}}', name=name)
sys.meta_path.insert(0, Hidden())
for name in {HIDDEN!r}: sys.modules.pop(name, None)
'''


def fresh(code):
    "What the code prints at its end, as JSON, in a process without these modules."
    done = subprocess.run(
        [sys.executable, '-W', 'ignore', '-c', HIDE + code],
        capture_output=True,
        text=True,
        env={**os.environ, 'PYTHONPATH': str(ROOT), 'MPLBACKEND': 'agg'},
    )
    assert done.returncode == 0, done.stderr[-3000:]
    return json.loads(done.stdout.splitlines()[-1])


def test_hidden_modules_are_hidden():
    code = '''
found = []
for name in ('resource', 'fcntl'):
    try: found.append(importlib.import_module(name).__name__)
    except ModuleNotFoundError: pass
print(json.dumps(found))
'''
    assert fresh(code) == []


def test_modules_import_and_a_search_runs(tmp_path):
    "Every module; then a search with its report, a lock that holds, and a peak that is a number."
    code = f'''
import dnas_nb
names = [m.name for m in pkgutil.walk_packages(dnas_nb.__path__, 'dnas_nb.')]
for name in names: importlib.import_module(name)
from dnas_nb.core import UserError, peak_mem
from dnas_nb.running.experiment import run
from dnas_nb.running.folder import lock
r = run({str(tmp_path/'r')!r}, space='toy', images=80, epochs=1, batch=16, channels=2, device='cpu')
held, second = lock(r.out), 'none'
try: lock(r.out)
except UserError as e: second = str(e)
held.close(); lock(r.out).close()
print(json.dumps([names, (r.out/'report.html').exists(), second, peak_mem()]))
'''
    names, report, second, peak = fresh(code)
    assert {'core', 'cli', 'study', 'fetch'} <= {n.rpartition('.')[2] for n in names} and report
    assert 'in use by another run' in second and peak > 50


def test_peak_is_at_least_what_is_held(monkeypatch):
    "By `resource`, and by psutil alone."
    import psutil
    from dnas_nb import core

    now = psutil.Process().memory_info().rss / 2**20
    assert core.peak_mem() >= now - 1
    monkeypatch.setitem(sys.modules, 'resource', None)
    assert core._unix_peak() == 0 and core.peak_mem() >= now - 20
    monkeypatch.setattr(
        psutil.Process,
        'memory_info',
        lambda self: types.SimpleNamespace(rss=2**20, peak_wset=7 * 2**20),
    )  # as on Windows
    assert core.peak_mem() == 7


def test_the_set_up_waits_with_the_lock_of_windows(monkeypatch, tmp_path):
    "`msvcrt` gives up after ten seconds: it is asked again, unless it fails for another reason."
    import setup_env

    asked = []

    def locking(fd, mode, n):
        asked.append((mode, n))
        if len(asked) < 3:
            raise OSError(errno.EDEADLOCK, 'busy')

    monkeypatch.setitem(sys.modules, 'fcntl', None)
    monkeypatch.setitem(sys.modules, 'msvcrt', types.SimpleNamespace(locking=locking, LK_LOCK=1))
    with open(tmp_path / 'lock', 'w') as f:
        setup_env.wait_for(f)
    assert asked == [(1, 1)] * 3

    def broken(fd, mode, n):
        raise OSError(errno.EACCES, 'refused')

    monkeypatch.setitem(sys.modules, 'msvcrt', types.SimpleNamespace(locking=broken, LK_LOCK=1))
    with open(tmp_path / 'lock', 'w') as f, pytest.raises(OSError, match='refused'):
        setup_env.wait_for(f)
