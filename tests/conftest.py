"What every test shares: the notebooks, their flags, and the count of skipped cells at the end of the run."

import gc, importlib.util, os, subprocess, sys
from collections import Counter
from pathlib import Path
import pytest
from dnas_nb.core import UserError
from dot import DOT
from wheels import built, environment, unpacked  # noqa: F401, fixtures of two files

ROOT = Path(__file__).resolve().parent.parent
NBS = ROOT / 'nbs'
ROOMS = (
    'bench reading running domains systems'.split()
)  # sub-packages of the same names, in reading order
sys.path.insert(0, str(ROOT / 'tools'))


def room(path) -> int:
    "Which room of the house a notebook stands in: the course, then the folders in `ROOMS`, then all others."
    first = path.relative_to(NBS).parts[0]
    if first == path.name:
        return -1
    return ROOMS.index(first) if first in ROOMS else len(ROOMS)


def notebooks() -> list:
    "Every notebook of the project, in reading order."
    found = [
        p for p in NBS.rglob('*.ipynb') if not any(s[0] in '._' for s in p.relative_to(NBS).parts)
    ]
    return sorted(found, key=lambda p: (room(p), p))


def has_gpu() -> bool:
    try:
        return (
            'GPU'
            in subprocess.run(
                ['nvidia-smi', '-L'], capture_output=True, text=True, timeout=20
            ).stdout
        )
    except (OSError, subprocess.TimeoutExpired):
        return False


def module_from(path):
    "A module from a file that is not on the path."
    spec = importlib.util.spec_from_file_location(path.parent.name, path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def fails(f, *parts):
    "`f` raises a one-line `UserError` that holds all `parts`."
    with pytest.raises(UserError) as e:
        f()
    text = str(e.value)
    assert '\n' not in text and all(p in text for p in parts), text


def skip_flags() -> list:
    "The flags whose cells are skipped here: DNAS_FLAGS names those to run all the same, e.g. DNAS_FLAGS=slow."
    data = Path(os.environ.get('DNAS_DATA') or ROOT.parent / 'shared' / 'data')
    skip = {'slow': True, 'cuda': not has_gpu(), 'data': not data.is_dir()}
    force = os.environ.get('DNAS_FLAGS', '').replace(',', ' ').split()
    return [flag for flag, on in skip.items() if on and flag not in force]


@pytest.fixture(autouse=True)
def figures_without_pixels(request, monkeypatch):
    "Reports of searches in tests: each figure is made, its pixels are not, but for `@pytest.mark.pixels`"
    if 'pixels' not in request.keywords:
        monkeypatch.setattr('dnas_nb.running.report._png', lambda fig, dpi=140: DOT)


def pytest_configure(config):
    config.addinivalue_line('markers', 'pixels: reports show real pictures')


def pytest_collection_modifyitems(items):
    "The longest come first, so that no worker is left with one at the end."
    long = ['test_wheel', 'test_guides', 'test_site', 'test_notebooks', 'test_live', 'test_resume', 'test_cli']
    items.sort(key=lambda item: long.index(item.path.stem) if item.path.stem in long else len(long))


def pytest_collection_finish():
    "Modules are not garbage: a search for it, which each forecast of memory makes, leaves them out"
    gc.freeze()


def pytest_terminal_summary(terminalreporter):
    "Cells run and skipped, per flag, over all notebooks and workers."
    count, hint = Counter(slow=0, cuda=0, data=0), {
        'slow': 'DNAS_FLAGS=slow runs them',
        'cuda': 'no GPU here',
        'data': 'no data folder here, see DNAS_DATA',
    }
    for report in terminalreporter.stats.get('passed', []) + terminalreporter.stats.get(
        'failed', []
    ):
        if report.when == 'call':
            count.update({k[6:]: n for k, n in report.user_properties if k.startswith('cells ')})
    if ran := count.pop('run', 0):
        skipped = [
            f'{n} {flag}' + (f' ({hint[flag]})' if n and flag in hint else '')
            for flag, n in count.items()
        ]
        terminalreporter.write_line(f'\nnotebook cells: {ran} run; skipped: {", ".join(skipped)}')
    if not hasattr(terminalreporter.config, 'workerinput'):
        show_reading(terminalreporter)


def show_reading(terminalreporter):
    "How package and notebooks read, in figures, where the whole suite ran."
    if len(terminalreporter.stats.get('passed', [])) < 500:
        return
    from reading import module_table, notebook_table, read_package, summary

    modules = read_package()
    for text in module_table(modules), notebook_table(), summary(modules):
        terminalreporter.write_line('\n' + text)
