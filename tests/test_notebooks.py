"Each notebook runs from top to bottom in a fresh process, and what it shows was really computed."
import json, os, subprocess, sys
import pytest
from conftest import NBS, ROOT, notebooks, skip_flags

LIMIT = 2400  # seconds for one notebook: four times what the slowest takes on a busy machine


@pytest.fixture(scope='session')
def flags(): return skip_flags()


@pytest.mark.parametrize('nb', notebooks(), ids=lambda p: str(p.relative_to(NBS)))
def test_notebook(nb, flags, record_property):
    env = {**os.environ, 'MPLBACKEND': 'agg', 'TQDM_DISABLE': '1', 'PYTHONPATH': str(ROOT), 'PYTHONWARNINGS': 'ignore'}
    done = subprocess.run([sys.executable, ROOT/'tests'/'run_notebook.py', nb, *flags], cwd=NBS, env=env, capture_output=True, text=True, timeout=LIMIT)
    name = nb.relative_to(ROOT)
    try: result = json.loads(done.stdout.strip().rpartition('\n')[2])
    except ValueError: pytest.fail(f'{name}: the process ended with status {done.returncode}\n{done.stdout[-1500:]}\n{done.stderr[-3000:]}', pytrace=False)
    record_property('cells run', result['ran'])
    for flag, n in result['skipped'].items(): record_property(f'cells {flag}', n)
    if not result['ok']: pytest.fail(f'{name}, {result["failure"] or done.stderr[-3000:]}', pytrace=False)
    if result['empty']:
        pytest.fail(f'{name}: these cells show something when they run, but no output is stored; run: make notebooks ARGS={name}\n  '
                    + '\n  '.join(result['empty']), pytrace=False)
