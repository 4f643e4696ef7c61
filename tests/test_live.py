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


WATCHED = [
    CELLS[0] + '\nfrom dnas_nb.running.watch import Panel\nwatch = Panel()',
    '''watch.start(out='held', method='danas', data='digits', epochs=30, channels=2, images=400,
            device='cpu')''',
]


def notebook(path, sources=CELLS):
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
        for i, s in enumerate(sources)
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


def run_all(tab, lab):
    "Open the notebook, wait for its kernel, run all cells"
    tab.goto(f'{lab.url}/lab/tree/live.ipynb')
    assert tab.wait(
        '!!window.jupyterapp && !!document.querySelector(".jp-NotebookPanel .jp-Cell")', 120
    ), 'JupyterLab did not open the notebook'
    assert tab.wait(
        '(() => { const p = window.jupyterapp.shell.currentWidget; return !!(p && p.context && p.context.sessionContext.session && p.context.sessionContext.session.kernel) })()',
        120,
    ), 'no kernel'
    tab.js('void window.jupyterapp.commands.execute("notebook:run-all-cells")')


needs_chromium = pytest.mark.skipif(
    chromium() is None,
    reason='no Chromium here (apt-get install chromium, or name one in CHROMIUM)',
)


@needs_chromium
@pytest.mark.xdist_group('site')
def test_five_epochs_in_jupyterlab(lab):
    "The picture appears, changes while the search runs, and stays one picture; no cell reports an error."
    tab = Browser(chromium())
    try:
        run_all(tab, lab)
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


def button(words):
    "Script: press the button with these words; true if it is there"
    return (
        '(() => { const b = [...document.querySelectorAll(".jp-OutputArea button")].find(b => '
        f'b.innerText.trim() == "{words}" && !b.disabled); if (b) b.click(); return !!b }})()'
    )


@needs_chromium
@pytest.mark.xdist_group('site')
def test_pause_and_stop_in_jupyterlab(lab):
    "No epoch passes during a pause, it goes on, stops after an epoch, and is resumed."
    pytest.importorskip('ipywidgets')
    notebook(lab.folder / 'live.ipynb', WATCHED)
    account = lab.folder / 'held' / 'run.json'

    def epoch():
        return json.loads(account.read_text())['epoch'] if account.exists() else 0

    tab = Browser(chromium())
    try:
        run_all(tab, lab)
        assert tab.wait(f'!!({TEXT}.includes("epochs so far"))', 240), tab.js(TEXT)
        assert tab.js(button('Pause'))
        assert tab.wait(f'!!({TEXT}.includes("Go on"))', 60), 'the kernel did not answer'
        time.sleep(3)
        held = epoch()
        time.sleep(3)
        assert epoch() == held > 0
        if shot := os.environ.get('DNAS_SCREENSHOT'):
            tab.screenshot(shot)
        assert tab.js(button('Go on'))
        end = time.time() + 60
        while epoch() == held and time.time() < end:
            time.sleep(0.2)
        assert epoch() > held
        assert tab.js(button('Stop'))
        assert tab.wait(f'!!({TEXT}.includes("stopped after epoch"))', 60), tab.js(TEXT)
        assert json.loads(account.read_text())['status'] == 'interrupted'
        assert tab.js(button('Resume'))
        assert tab.wait(f'!!({TEXT}.includes("held/report.html"))', 240), tab.js(TEXT)
        assert epoch() == 30
        link = tab.js('document.querySelector(".jp-OutputArea a").href')
        assert '/files/held/report.html' in link
    finally:
        tab.close()


@needs_chromium
@pytest.mark.xdist_group('site')
def test_a_guide_in_jupyterlab(lab):
    "All its cells, one after the other, as somebody who opens it runs them: no error, and its pictures"
    if 'guides' not in os.environ.get('DNAS_FLAGS', ''):
        pytest.skip('guides in JupyterLab: DNAS_FLAGS=guides')
    guide = json.loads((ROOT / 'nbs' / 'guides' / '81_own_network.ipynb').read_text(encoding='utf-8'))
    sources = [''.join(c['source']) for c in guide['cells'] if c['cell_type'] == 'code']
    notebook(lab.folder / 'live.ipynb', [*sources, "print('the END')"])
    tab = Browser(chromium())
    try:
        run_all(tab, lab)
        assert tab.wait(f'!!({TEXT}.match(/the END|Error/))', 300), tab.js(TEXT)[-2000:]
        tab.wait('!document.querySelector(".jp-mod-running")', 5)
        assert 'Error' not in tab.js(TEXT).partition('the END')[0] and 'the END' in tab.js(TEXT)
        shown = 'document.querySelectorAll(".jp-NotebookPanel .jp-OutputArea img").length'
        assert tab.js(shown) >= 2
        if shot := os.environ.get('DNAS_SCREENSHOT'):
            tab.screenshot(shot)
    finally:
        tab.close()
