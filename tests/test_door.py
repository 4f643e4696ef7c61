"The door: names lead somewhere, nothing heavy is loaded before it is used, and a module does not hide a name."

import subprocess
import sys
import pytest
import dnas_nb as nas
from dnas_nb.running.door import NAMES


def fresh(code):
    "What a process of its own prints"
    return subprocess.run(
        [sys.executable, '-c', code], capture_output=True, text=True, check=True
    ).stdout.strip()


def test_importing_loads_nothing_heavy():
    heavy = (
        "[m for m in ('torch', 'numpy', 'pandas', 'matplotlib', 'fastcore') if m in sys.modules]"
    )
    assert fresh(f'import sys, dnas_nb; dnas_nb.__version__, dir(dnas_nb); print({heavy})') == '[]'


@pytest.mark.parametrize('name', NAMES)
def test_every_name_leads_somewhere(name):
    assert callable(getattr(nas, name)) or len(getattr(nas, name))
    assert name in dir(nas)


def test_the_tab_key_shows_the_door_and_nothing_else():
    "As IPython completes `nas.`, after modules of the package were imported"
    code = (
        'from IPython.core.completer import provisionalcompleter\n'
        'from IPython.core.interactiveshell import InteractiveShell\n'
        'shell = InteractiveShell.instance()\n'
        'shell.run_cell("import dnas_nb as nas, dnas_nb.space, dnas_nb.running.door")\n'
        'with provisionalcompleter(): print(*[c.text for c in shell.Completer.completions("nas.", 4)])'
    )
    assert sorted(fresh(code).split()) == sorted(NAMES)


def test_no_module_hides_a_name():
    "After every module was imported the names still mean the same"
    code = (
        'import importlib, pkgutil, dnas_nb\n'
        'from dnas_nb.running.door import NAMES, lookup\n'
        'for m in pkgutil.walk_packages(dnas_nb.__path__, "dnas_nb."): importlib.import_module(m.name)\n'
        'print([n for n in NAMES if getattr(dnas_nb, n) is not lookup(n)])'
    )
    assert fresh(code) == '[]'


def test_a_wrong_name_says_which_was_meant():
    with pytest.raises(AttributeError, match="did you mean 'search'"):
        nas.serach
    with pytest.raises(AttributeError):
        nas.__wrapped__
    assert not hasattr(nas, 'nothing_like_it')
