"""Each notebook runs from top to bottom in a process of its own, and what it shows was really computed.

The processes are forked from one that has imported the heavy libraries already (not this package): a fresh
interpreter for each would spend a third of the whole time on `import torch`. Where there is no fork they are spawned.
"""

import json
import os

import pytest

import run_notebook
import warm
from conftest import NBS, ROOT, notebooks, skip_flags

LIMIT = 2400  # seconds for one notebook: four times what the slowest takes on a busy machine
HOME = dict(MPLBACKEND='agg', TQDM_DISABLE='1', PYTHONPATH=str(ROOT), PYTHONWARNINGS='ignore')


@pytest.fixture(scope='session')
def flags():
    return skip_flags()


@pytest.mark.parametrize('nb', notebooks(), ids=lambda p: str(p.relative_to(NBS)))
def test_notebook(nb, flags, record_property, tmp_path, monkeypatch):
    for key, value in HOME.items():
        monkeypatch.setenv(key, value)
    said, told = tmp_path / 'said.txt', tmp_path / 'told.json'
    process = warm.processes()(
        target=run_notebook.in_process, args=(nb, flags, NBS, dict(os.environ), said, told)
    )
    process.start()
    process.join(LIMIT)
    name = nb.relative_to(ROOT)
    if process.is_alive():
        process.kill()
        pytest.fail(f'{name} was not done after {LIMIT} s', pytrace=False)
    said = said.read_text(errors='replace')[-3000:] if said.exists() else ''
    if not told.exists():
        pytest.fail(
            f'{name}: the process ended with status {process.exitcode}\n{said}', pytrace=False
        )
    result = json.loads(told.read_text())
    record_property('cells run', result['ran'])
    for flag, n in result['skipped'].items():
        record_property(f'cells {flag}', n)
    if not result['ok']:
        pytest.fail(f'{name}, {result["failure"] or said}', pytrace=False)
    if result['empty']:
        pytest.fail(
            f'{name}: these cells show something when they run, but no output is stored; '
            f'run: make notebooks ARGS={name}\n  ' + '\n  '.join(result['empty']),
            pytrace=False,
        )
