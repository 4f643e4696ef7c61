"The live view in a real JupyterLab: a search of five epochs, one picture that changes."

import json, os, re, socket, subprocess, sys, time
from types import SimpleNamespace
import pytest
from browser import Browser, chromium
from conftest import ROOT

CELLS = [
    '''import sys, torch
torch.set_num_threads(1)
from dnas_nb.running.experiment import run
from dnas_nb.running.live import Live''',
    '''live = Live()
r = run('watched', method='danas', data='digits', epochs=5, device='cpu', report=False, on_epoch=live)''',
    '''print(f'DRAWN {live.drawn} WATCHING {live.spent:.3f} s, {live.cost:.2%} of the search')''',
]


def notebook(path):
    "A notebook of those cells, never run."
    cells = [
        dict(
            cell_type='code',
            id=f'c{i}',
            metadata={},
            source=s.splitlines(True),
            execution_count=None,
            outputs=[],
        )
        for i, s in enumerate(CELLS)
    ]
    path.write_text(
        json.dumps(
            dict(
                cells=cells,
                metadata=dict(
                    kernelspec=dict(name='python3', display_name='Python 3', language='python')
                ),
                nbformat=4,
                nbformat_minor=5,
            )
        )
    )


def free_port():
    with socket.socket() as s:
        s.bind(('127.0.0.1', 0))
        return s.getsockname()[1]


@pytest.fixture
def lab(tmp_path):
    "The address of a JupyterLab of our own, its settings and files in a folder of the test."
    pytest.importorskip('jupyterlab')
    notebook(tmp_path / 'live.ipynb')
    port = free_port()
    home = {
        k: str(tmp_path / 'jupyter' / k)
        for k in (
            'JUPYTER_CONFIG_DIR',
            'JUPYTER_DATA_DIR',
            'JUPYTER_RUNTIME_DIR',
            'IPYTHONDIR',
            'JUPYTERLAB_SETTINGS_DIR',
            'JUPYTERLAB_WORKSPACES_DIR',
        )
    }
    env = {**os.environ, **home, 'PYTHONPATH': str(ROOT), 'OMP_NUM_THREADS': '1'}
    env.pop('MPLBACKEND', None)
    with open(tmp_path / 'lab.log', 'w') as log:
        server = subprocess.Popen(
            [
                sys.executable,
                '-m',
                'jupyterlab',
                '--no-browser',
                '--allow-root',
                '--expose-app-in-browser',
                '--ip=127.0.0.1',
                f'--port={port}',
                '--ServerApp.port_retries=0',
                '--IdentityProvider.token=',
                '--ServerApp.disable_check_xsrf=True',
                f'--ServerApp.root_dir={tmp_path}',
                '--LabApp.news_url=',
                '--LabApp.check_for_updates_class=jupyterlab.NeverCheckForUpdate',
            ],
            env=env,
            cwd=tmp_path,
            stdout=log,
            stderr=log,
        )
        end = time.time() + 120
        while time.time() < end and server.poll() is None:
            try:
                socket.create_connection(('127.0.0.1', port), 1).close()
                break
            except OSError:
                time.sleep(0.3)
        yield SimpleNamespace(url=f'http://127.0.0.1:{port}', folder=tmp_path)
        server.terminate()
        try:
            server.wait(30)
        except subprocess.TimeoutExpired:
            server.kill()
            server.wait()


PICTURE = '(() => { const i = document.querySelector(".jp-NotebookPanel .jp-OutputArea img"); return i && i.naturalWidth ? i.src : "" })()'
TEXT = '[...document.querySelectorAll(".jp-NotebookPanel .jp-OutputArea")].map(o => o.innerText).join(" ")'
SAVED = 'fetch("/api/contents/live.ipynb?content=1").then(r => r.text())'


@pytest.mark.skipif(
    chromium() is None,
    reason='no Chromium here (apt-get install chromium, or name one in CHROMIUM)',
)
@pytest.mark.xdist_group('site')
def test_five_epochs_in_jupyterlab(lab):
    "The picture appears, changes while the search runs, and stays one picture; no cell reports an error."
    tab = Browser(chromium())
    try:
        tab.goto(f'{lab.url}/lab/tree/live.ipynb')
        assert tab.wait(
            '!!window.jupyterapp && !!document.querySelector(".jp-NotebookPanel .jp-Cell")', 120
        ), 'JupyterLab did not open the notebook'
        assert tab.wait(
            '(() => { const p = window.jupyterapp.shell.currentWidget; return !!(p && p.context && p.context.sessionContext.session && p.context.sessionContext.session.kernel) })()',
            120,
        ), 'no kernel'
        tab.js('void window.jupyterapp.commands.execute("notebook:run-all-cells")')
        seen, end = [], time.time() + 300
        while (
            time.time() < end and 'WATCHING' not in (text := tab.js(TEXT)) and 'Error' not in text
        ):
            if (src := tab.js(PICTURE)) and src not in seen:
                seen.append(src)
            time.sleep(0.05)
        text = tab.js(TEXT)
        assert 'WATCHING' in text, f'the search did not finish:\n{text[-2000:]}'
        if (src := tab.js(PICTURE)) not in seen:
            seen.append(src)
        drawn = json.loads(re.search(r'DRAWN (\[.*?\])', text)[1])
        print(text.strip(), '| pictures seen in the browser:', len(seen))
        if shot := os.environ.get('DNAS_SCREENSHOT'):
            tab.screenshot(shot)
        assert drawn[0] == 1 and drawn[-1] == 5 and 2 <= len(seen) <= len(drawn)
        assert (
            tab.js('document.querySelectorAll(".jp-NotebookPanel .jp-OutputArea img").length') == 1
        )  # one picture, replaced
        assert (
            tab.js(
                'document.querySelectorAll(".jp-OutputArea-output[data-mime-type=\'application/vnd.jupyter.stderr\'], .jp-OutputArea-output[data-mime-type=\'application/vnd.jupyter.error\']").length'
            )
            == 0
        )
    finally:
        tab.close()
