"The documentation site, as a reader's browser sees it."

import json, subprocess, sys, threading
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
import pytest
from filelock import FileLock
from browser import Browser, chromium
from conftest import NBS, ROOT, notebooks

pytestmark = [
    pytest.mark.xdist_group('site'),
    pytest.mark.skipif(
        chromium() is None,
        reason='no Chromium here (apt-get install chromium, or name one in CHROMIUM)',
    ),
]


class Quiet(SimpleHTTPRequestHandler):
    def log_message(self, *args):
        pass


@pytest.fixture(scope='session')
def folder(tmp_path_factory, worker_id):
    "The site, built once for all workers."
    home = tmp_path_factory.getbasetemp()
    home = home if worker_id == 'master' else home.parent
    out, said = home / 'site' / 'html', home / 'site.json'
    with FileLock(home / 'site.lock'):
        if not said.exists():
            done = subprocess.run(
                [sys.executable, ROOT / 'tools' / 'build_site.py', out],
                capture_output=True,
                text=True,
            )
            said.write_text(json.dumps([done.returncode, done.stdout, done.stderr]))
    code, printed, warned = json.loads(said.read_text())
    assert code == 0, f'make docs fails:\n{printed}\n{warned[-3000:]}'
    assert 'WARNING' not in warned, f'make docs warns:\n{warned[-3000:]}'
    return out


@pytest.fixture(scope='module')
def site(folder):
    server = ThreadingHTTPServer(('127.0.0.1', 0), partial(Quiet, directory=str(folder)))
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f'http://127.0.0.1:{server.server_port}'
    server.shutdown()


@pytest.fixture
def tab():
    browser = Browser(chromium())
    yield browser
    browser.close()


def name(nb):
    return nb.stem.partition('_')[2] or nb.stem


def chapters():
    return [nb for nb in notebooks() if nb.parent == NBS and nb.stem != 'index']


def has_math(nb):
    return any(
        '$$' in ''.join(c['source'])
        for c in json.loads(nb.read_text(encoding='utf-8'))['cells']
        if c['cell_type'] == 'markdown'
    )


IMAGES = '''Promise.all([...document.images].map(i => { i.loading = "eager"; return i.decode().catch(() => 0) }))
            .then(() => [...document.images].filter(i => i.offsetParent && !i.naturalWidth).map(i => i.src))'''


def check(tab, url, title):
    "The page shows its title, all images are there and the console is silent."
    tab.goto(url)
    assert title in tab.js('document.querySelector("h1").innerText')
    assert tab.js(IMAGES) == []
    assert tab.errors == []


def test_index(tab, site):
    "The first page links to every chapter and shows a picture."
    check(tab, f'{site}/index.html', '')
    links = tab.js(
        '[...document.querySelectorAll(".sidebar-tree a")].map(a => a.getAttribute("href"))'
    )
    missing = [nb.name for nb in chapters() if f'{name(nb)}.html' not in links]
    assert not missing, f'no link to {missing}'


@pytest.mark.parametrize('nb', [nb for nb in chapters() if has_math(nb)][:3], ids=lambda p: p.name)
def test_chapter(nb, tab, site, folder):
    "A chapter loads, and its formulas are drawn."
    title = (
        next(
            ''.join(c['source'])
            for c in json.loads(nb.read_text(encoding='utf-8'))['cells']
            if c['cell_type'] == 'markdown'
        )
        .lstrip('# ')
        .splitlines()[0]
    )
    check(tab, f'{site}/{name(nb)}.html', title)
    assert tab.js('document.querySelectorAll(".math").length') > 0
    if (
        folder / '_static' / 'mathjax'
    ).exists():  # fetched by npm; otherwise the page needs a network
        assert tab.wait('document.querySelectorAll("mjx-container svg").length')
        assert tab.js('document.querySelectorAll("mjx-merror").length') == 0
    assert tab.errors == []


CUT = '''[...document.querySelectorAll("div[class*=highlight] pre")].filter(p => !p.closest(".cell_output")
            && p.scrollWidth > p.clientWidth + 1).map(p => p.innerText.split("\\n").sort((a, b) => b.length - a.length)[0])'''


def test_every_formula_and_every_line(tab, site, folder):
    "No formula of the book is malformed, and no line of code is cut off at 1,280 pixels."
    drawn = (
        folder / '_static' / 'mathjax'
    ).exists()  # fetched by npm; otherwise the page needs a network
    wrong, cut = [], []
    for nb in chapters():
        tab.goto(f'{site}/{name(nb)}.html')
        cut += [f'{nb.name}: {line}' for line in tab.js(CUT)]
        if not drawn or not tab.js('document.querySelectorAll(".math").length'):
            continue
        tab.wait(
            'window.MathJax && MathJax.startup && MathJax.startup.promise && !!document.querySelector("mjx-container")'
        )
        bad = tab.js(
            'MathJax.startup.promise.then(() => [...document.querySelectorAll("mjx-container")].filter(m => m.querySelector("[data-mjx-error]")).length)'
        )
        if bad:
            wrong.append(f'{nb.name}: {bad}')
    assert tab.js('innerWidth') == 1280 and not cut, f'lines of code that are cut off: {cut}'
    assert not wrong, f'formulas that MathJax cannot read: {wrong}'
    if not drawn:
        pytest.skip('formulas were not looked at: MathJax was not fetched (no npm, or no network)')


def test_search(tab, site):
    "The search finds a word of the text."
    tab.goto(f'{site}/search.html?q=Dirichlet')
    found = tab.wait(
        '[...document.querySelectorAll("#search-results li a")].map(a => a.getAttribute("href")).join(" ")'
    )
    assert found and 'dirichlet.html' in found
    assert tab.errors == []
