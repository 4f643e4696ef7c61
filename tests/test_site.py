"The documentation site, as a reader's browser sees it."

import ast, json, os, re, subprocess, sys, zlib
from functools import partial
from html import unescape
from http.server import SimpleHTTPRequestHandler
from pathlib import Path, PurePosixPath
from statistics import median
from urllib.parse import quote, unquote
import pytest
from filelock import FileLock
from browser import Browser, chromium
from build_site import settings
from conftest import NBS, ROOT, notebooks
from dnas_nb.running.door import NAMES
from reading import exports
from servers import serving

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
    with serving(partial(Quiet, directory=str(folder))) as (url, _):
        yield url


@pytest.fixture
def tab():
    browser = Browser(chromium())
    yield browser
    browser.close()


def name(nb):
    return nb.stem.partition('_')[2] or nb.stem


def chapters():
    return [nb for nb in notebooks() if nb.parent == NBS and nb.stem != 'index']


IMAGES = '''Promise.all([...document.images].map(i => { i.loading = "eager"; return i.decode().catch(() => 0) }))
            .then(() => [...document.images].filter(i => i.offsetParent && !i.naturalWidth).map(i => i.src))'''


ROOT_OF_SITE = settings['doc_baseurl'] + '/'
KATEX = 'https://cdn.jsdelivr.net/npm/katex'  # where pages look for it that were built without it


def silent(tab):
    "Nothing complains; skipped where formulas' style is neither here (it comes by npm) nor within reach"
    if tab.errors and all(KATEX in e for e in tab.errors):
        pytest.skip("KaTeX's style was not installed, and its host cannot be reached")
    assert tab.errors == []


def check(tab, url, title):
    "The page shows its title, all images are there and the console is silent."
    tab.goto(url)
    assert title in tab.js('document.querySelector("h1").innerText')
    assert tab.js(IMAGES) == []
    silent(tab)


def test_index(tab, site):
    "The first page links to every chapter and shows a picture."
    check(tab, f'{site}/index.html', '')
    links = tab.js(
        '[...document.querySelectorAll(".sidebar-tree a")].map(a => a.getAttribute("href"))'
    )
    missing = [nb.name for nb in chapters() if f'{name(nb)}.html' not in links]
    assert not missing, f'no link to {missing}'


def pages(folder):
    "Every page: address from the root -> its text."
    return {
        p.relative_to(folder).as_posix(): p.read_text(encoding='utf-8')
        for p in sorted(folder.rglob('*.html'))
        if '_static' not in p.parts
    }


@pytest.fixture(scope='module')
def written(folder):
    return pages(folder)


def test_the_sidebar_knows_where_it_is(written):
    "It is made once for all pages: each is marked in its own, with what it stands below, and links from there."
    for page, parent, other in [
        ('dependence.html', 'parts/the-search.html', 'systems/pas.html'),
        ('systems/pas.html', '../parts/related-systems.html', '../dependence.html'),
    ]:
        assert '<a class="current reference internal" href="#">' in written[page]
        above = [tag for tag in re.findall(r'<li class="[^"]*current[^"]*"><a [^>]*>', written[page]) if parent in tag]
        assert len(above) == 1 and f'href="{other}"' in written[page]


def test_no_such_page(written):
    "What a wrong address shows: its style and its links are found from any folder, and it says where to go on."
    root = ROOT_OF_SITE
    links = re.findall(r'<(?:a|link|script) [^>]*(?:href|src)="([^"#]+)', written['404.html'])
    inside = [link for link in links if not re.match(r'\w+:', link)]
    assert len(inside) > 100 and all(link.startswith(root) for link in inside), inside
    assert {root + 'index.html', root + 'search.html'} <= set(inside)


@pytest.mark.parametrize('page', ['dependence', 'balenas', 'hypergrad'])
def test_chapter(page, tab, site):
    "A chapter loads, and its formulas are drawn."
    check(tab, f'{site}/{page}.html', '')
    drawn = 'document.querySelectorAll("div.math .katex-html, span.math .katex-html").length'
    assert tab.wait(drawn) > 10


def test_every_formula(written):
    "No formula of the book is malformed."
    wrong = {
        name: re.findall(r'class="katex-error" title="([^"]*)"', text)
        for name, text in written.items()
        if 'katex-error' in text
    }
    assert not wrong, f'formulas that KaTeX cannot read: {wrong}'


CUT = '''[...document.querySelectorAll("div[class*=highlight] pre")].filter(p => !p.closest(".cell_output")
            && p.scrollWidth > p.clientWidth + 1).map(p => p.innerText.split("\\n").sort((a, b) => b.length - a.length)[0])'''


def test_every_line(tab, site):
    "No line of code is cut off at 1,280 pixels."
    cut = []
    for nb in chapters():
        tab.goto(f'{site}/{name(nb)}.html')
        cut += [f'{nb.name}: {line}' for line in tab.js(CUT)]
    assert tab.js('innerWidth') == 1280 and not cut, f'lines of code that are cut off: {cut}'


def test_start_page_to_a_method_in_two_clicks(tab, site):
    tab.goto(f'{site}/index.html')
    click = 'document.querySelector(\'article a[href$="{}"]\').click()'
    for href in 'methods/index.html', 'p-darts.html':
        tab.js(click.format(href))
        tab.wait(f'location.href.endsWith("{href}") && document.readyState == "complete"')
    assert 'Progressive DARTS' in tab.js('document.querySelector("h1").innerText')


def found(tab, site, words):
    "Addresses that the search answers, best first."
    tab.goto(f'{site}/search.html?q={quote(words)}')
    tab.wait('document.querySelectorAll("#search-results li a").length')
    links = '[...document.querySelectorAll("#search-results li a")]'
    return tab.js(f'{links}.map(a => a.getAttribute("href").split(/[?#]/)[0])')


@pytest.mark.parametrize(
    'words, page',
    [
        ('Searching for A Robust Neural Architecture in Four GPU Hours', 'methods/gdas.html'),
        ('Perturbation-based Regularization', 'methods/sdarts-rs.html'),
        ('Bridging the Depth Gap', 'methods/p-darts.html'),
    ],
)
def test_a_method_by_its_paper(words, page, tab, site):
    assert page in found(tab, site, words)


def phone(tab, width=390):
    tab.call(
        'Emulation.setDeviceMetricsOverride',
        width=width,
        height=844,
        deviceScaleFactor=1,
        mobile=True,
    )


def test_a_phone_need_not_scroll_sideways(tab, site, written):
    "Twenty pages of all kinds, 390 pixels wide."
    chosen = ['index', 'methods/index', 'methods/p-darts', 'reference/index', 'reference/space']
    chosen += ['project/decisions', 'project/architecture', 'parts/the-pieces', 'papers/verdicts']
    formulas = sorted(written, key=lambda n: -written[n].count('katex-display'))
    wide = sorted(written, key=lambda n: -written[n].count('<table'))
    chosen += [n.removesuffix('.html') for n in [*formulas[:6], *wide[:8]]]
    chosen = list(dict.fromkeys(chosen))[:20]
    assert len(chosen) == 20
    phone(tab)
    sideways = []
    for page in chosen:
        tab.goto(f'{site}/{page}.html')
        if tab.js('document.documentElement.scrollWidth > innerWidth'):
            sideways.append(page)
    assert not sideways


OUT_OF_REACH = '''[...document.querySelectorAll(".cell_output, div.math, div.highlight pre")]
            .filter(b => b.scrollWidth > b.clientWidth + 1)'''


def test_what_scrolls_can_be_scrolled_with_the_keyboard(tab, site):
    phone(tab)
    tab.goto(f'{site}/systems/table.html')
    assert tab.js(f'{OUT_OF_REACH}.length') > 0
    assert tab.wait(f'{OUT_OF_REACH}.every(b => b.tabIndex == 0)')


LUMINANCE = '''(() => {
  const light = c => { const v = c.match(/[\\d.]+/g).slice(0, 3).map(x => x/255).map(x => x <= .03928 ? x/12.92 : ((x + .055)/1.055)**2.4);
                       return .2126*v[0] + .7152*v[1] + .0722*v[2] };
  const back = e => { for (; e; e = e.parentElement) { const c = getComputedStyle(e).backgroundColor; if (!/, 0\\)$|transparent/.test(c)) return c } return "rgb(255,255,255)" };
  const ratio = e => { const [a, b] = [light(getComputedStyle(e).color), light(back(e))].sort((x, y) => y - x); return (a + .05)/(b + .05) };
  return ["article p", "article a", "article h1", ".highlight pre", ".sidebar-tree a", ".sd-card-body"].map(s => document.querySelector(s)).filter(e => e).map(ratio)
})()'''


def test_dark_mode_is_readable(tab, site):
    "Text is light on dark, with a contrast of at least 4.5, and other than in the light."
    back = 'getComputedStyle(document.body).backgroundColor'
    for page in 'index', 'dependence', 'reference/space':
        seen = set()
        for scheme in 'light', 'dark':
            value = [dict(name='prefers-color-scheme', value=scheme)]
            tab.call('Emulation.setEmulatedMedia', features=value)
            tab.goto(f'{site}/{page}.html')
            assert min(tab.js(LUMINANCE)) >= 4.5, (page, scheme, tab.js(LUMINANCE))
            seen.add(tab.js(back))
        assert len(seen) == 2


@pytest.mark.parametrize(
    'page', ['index', 'methods/p-darts', 'reference/space', 'balenas', 'guides/own_pictures']
)
def test_nothing_stands_in_the_way_of_a_screen_reader(page, tab, site):
    "axe-core finds nothing serious."
    axe = pytest.importorskip('axe_core_python')
    tab.goto(f'{site}/{page}.html')
    tab.js((Path(axe.__file__).parent / 'axe.min.js').read_text(encoding='utf-8') + '; 0')
    bad = tab.js(
        'axe.run({resultTypes: ["violations"]}).then(r => r.violations.filter(v => /serious|critical/.test(v.impact))'
        '.map(v => v.id + ": " + v.nodes.length + " " + v.nodes.slice(0, 3).map(n => n.target + " " + n.html.slice(0, 120)).join(" | ")))'
    )
    assert not bad, '\n'.join(bad)


def test_every_link_leads_somewhere(written, folder):
    "Pages, files and places in pages: what is linked inside the site is there."
    ids = {name: set(re.findall(r'\sid="([^"]+)"', text)) for name, text in written.items()}
    wrong = set()
    for page, text in written.items():
        for href in set(re.findall(r'<(?:a|img|link|script)\b[^>]*?\s(?:href|src)="([^"]+)"', text)):
            path, _, anchor = unescape(href).partition('#')
            if re.match(r'\w+:|//', path):
                continue
            path = unquote(path.partition('?')[0])
            target = os.path.normpath(PurePosixPath(page).parent / path) if path else page
            if path.startswith(ROOT_OF_SITE):  # on the page of no address
                target = path.removeprefix(ROOT_OF_SITE)
            if not (folder / target).exists():
                wrong.add(f'{page}: {href}')
            elif anchor and target in ids and unquote(anchor) not in ids[target]:
                wrong.add(f'{page}: {href} (no such place)')
    assert not wrong, sorted(wrong)[:20]


def test_every_picture_says_what_it_shows(written):
    wrong = []
    for page, text in written.items():
        for image in re.findall(r'<img\b[^>]*>', text):
            alt = re.search(r'\salt="([^"]*)"', image)
            if not alt or len(alt[1]) < 8 or re.search(r'[0-9a-f]{32}|\.(png|svg)$', alt[1]):
                wrong.append(f'{page}: {image[:120]}')
    assert not wrong, wrong[:5]


def test_every_page_describes_itself(written):
    quiet = {'404.html', 'genindex.html', 'search.html', 'py-modindex.html'}
    wrong = [n for n, text in written.items() if not re.search(r'<meta content="[^"]{8,}" name="description"', text)]
    assert not set(wrong) - quiet


def test_the_inventory_holds_every_public_name(folder):
    "What other projects link to, by name."
    head, body = (folder / 'objects.inv').read_bytes().split(b'zlib.\n', 1)
    names = {line.split()[0] for line in zlib.decompress(body).decode().splitlines()}
    public = {f'dnas_nb.{name}' for name in NAMES}
    for path in (ROOT / 'dnas_nb').rglob('[a-z]*.py'):
        module = '.'.join(path.relative_to(ROOT).with_suffix('').parts)
        tree = ast.parse(path.read_text(encoding='utf-8'))
        public |= {f'{module}.{name}' for name in exports(tree)}
    assert len(public) > 900 and not public - names, sorted(public - names)[:10]


def weight(folder, page, text):
    "Bytes of a page with all that it loads; of fonts, a share that a chapter uses."
    loaded = {page}
    for src in re.findall(r'<(?:img|script|link)\b[^>]*?\s(?:src|href)="([^"#]+)"', text):
        if not re.match(r'\w+:|//', src):
            loaded.add(os.path.normpath(PurePosixPath(page).parent / src.partition('?')[0]))
    files = [folder / name for name in loaded if not name.endswith(('objects.inv', '.html')) or name == page]
    fonts = 90_000 if 'class="katex' in text else 0
    return sum(f.stat().st_size for f in files if f.is_file()) + fonts


def test_pages_are_light(folder, written):
    "Half a megabyte in the median, of chapters, guides and papers as of all pages; nothing is loaded from elsewhere."
    chapter = [n for n in written if not n.startswith(('reference', 'methods/', 'project', 'parts'))]
    for chosen in written, chapter:
        assert median(weight(folder, n, written[n]) for n in chosen) <= 500_000
    if (folder / '_static' / 'katex').exists():
        outside = [n for n, text in written.items() if re.search(r'<(?:script|link rel="stylesheet")[^>]*(?:src|href)="https?:', text)]
        assert not outside


def test_search(tab, site):
    "The search finds a word of the text."
    tab.goto(f'{site}/search.html?q=Dirichlet')
    found = tab.wait(
        '[...document.querySelectorAll("#search-results li a")].map(a => a.getAttribute("href")).join(" ")'
    )
    assert found and 'dirichlet.html' in found
    silent(tab)
