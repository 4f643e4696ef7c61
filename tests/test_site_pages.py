"How the pages of the site are made from notebooks: what stands where, what is folded, what opens elsewhere. No browser needed."

import ast, os, re, shutil, subprocess
from pathlib import PurePosixPath
import pytest
import build_site, site_pages
from conftest import ROOT
from dnas_nb.methods import FAMILIES

METHODS = [method.name for rows in FAMILIES.values() for method in rows]


@pytest.fixture(scope='module')
def site():
    return build_site.Site()


def converted(site, path):
    return [(c['cell_type'], build_site.source(c), c['metadata']) for c in site.convert(PurePosixPath(path))['cells']]


@pytest.mark.parametrize('path', ['guides/87_coming_from.ipynb', 'guides/80_own_pictures.ipynb', '11_dependence.ipynb', '00b_safe.ipynb'])
def test_below_title_and_subtitle_stands_where_a_page_opens(path, site):
    "Not below a table that their cell holds besides"
    cells = [text for _, text, _ in converted(site, path)]
    k = next(k for k, text in enumerate(cells) if text.startswith('<p class="where">'))
    above = '\n'.join(cells[:k]).strip()
    assert re.fullmatch(r'# .+\n+(>.*\n?)+', above), above


def test_results_come_before_their_code(site):
    "Long code of results is folded; a chapter's never is"
    tags = lambda path: {tag for kind, _, meta in converted(site, path) if kind == 'code' for tag in meta['tags']}
    assert 'hide-input' in tags('papers/verdicts.ipynb') and 'hide-input' in tags('tutorials/gallery.ipynb')
    assert 'hide-input' not in tags('11_dependence.ipynb')


def test_a_thumbnail_leads_to_the_page_of_its_method(site):
    here = PurePosixPath('tutorials/gallery.ipynb')
    html = '<a href="../18_methods.ipynb#darts+">x</a><a href="../papers/verdicts.ipynb">y</a><a href="../18_methods.ipynb">z</a>'
    links = re.findall(r'href="([^"]+)"', site.link_html(html, here))
    assert links == ['../methods/darts-plus.html', '../papers/verdicts.html', '../methods.html']
    stored = site.nbs[here]['cells']
    shown = ''.join(''.join(out['data'].get('text/html', '')) for c in stored for out in c.get('outputs', []) if 'data' in out)
    assert {f'../18_methods.ipynb#{name}' for name in METHODS} >= set(re.findall(r'\.\./18_methods[^"]*', shown))


def test_a_page_of_a_method_shows_its_short_search(site):
    "All methods that the gallery could run"
    found = site_pages.thumbnails(site)
    assert len(found) > 50 and set(found) <= set(METHODS)
    method = next(m for rows in FAMILIES.values() for m in rows if m.name == 'gdas')
    assert found['gdas'] in site_pages.method_page(site, method, 'the relaxation')


def test_a_page_of_a_method_says_what_was_found_about_it(site):
    "Its own claims, good and bad, and nobody else's"
    methods = {m.name: m for rows in FAMILIES.values() for m in rows}
    text = site_pages.method_page(site, methods['is-darts'], 'pruning')
    found = text.partition('## What was found here')[2]
    assert found.count('| IS-DARTS: ') == 3 and 'not reproduced' in found and '../information.html' in found
    assert 'OLES' not in found and not site_pages.found_here(site, methods['setn'])
    about = [len(site_pages.found_here(site, m)) for m in methods.values()]
    assert len(site_pages.verdicts(site)) >= 80 and sum(about) > 20


def test_names_of_the_door_lead_to_their_entries(site):
    here = PurePosixPath('guides/80_own_pictures.ipynb')
    assert 'href="../reference/index.html#dnas_nb.search"' in site.link_names('by `nas.search`', here)
    assert site.link_names('`nas.nothing`', here) == '`nas.nothing`'
    for word in '`darts`', '`study`', '`mean`':  # a method, an extra and a column before they are functions
        assert site.link_names(word, here) == word
    assert 'def-run' in site.link_names('`run`', PurePosixPath('running/40a_watch.ipynb'))  # imported there
    assert 'def-darts' in site.link_names('`darts`', PurePosixPath('03_space.ipynb'))


def test_a_table_of_methods_leads_to_their_pages(site):
    index = next(c for c in site.nbs[PurePosixPath('index.ipynb')]['cells'] if 'FAMILIES' in build_site.source(c))
    text = ''.join(site.output(index['outputs'][0], PurePosixPath('index.ipynb'))['data']['text/markdown'])
    assert [name for name in METHODS if f'href="methods/{site_pages.slug(name)}.html"' not in text] == []


@pytest.mark.parametrize(
    'path, wanted',
    [
        ('guides/80_own_pictures.ipynb', ['find_spec', 'dnas_nb[export,study,motif,live] @ git+']),
        ('papers/verdicts.ipynb', ["Path('../../settings.ini')", 'git clone', '%cd repository/nbs/papers']),
        ('11c_gibbs.ipynb', ["Path('../settings.ini')", '%cd repository/nbs']),
    ],
)
def test_a_downloaded_notebook_brings_what_it_needs(path, wanted, site):
    "The package; and the files beside it, where it reads some"
    from IPython.core.inputtransformer2 import TransformerManager

    first, *rest = site.download(PurePosixPath(path))['cells']
    text = build_site.source(first)
    assert all(word in text for word in wanted), text
    ast.parse(TransformerManager().transform_cell(text))
    assert rest == site.nbs[PurePosixPath(path)]['cells']


@pytest.mark.skipif(shutil.which('git') is None, reason='no git here')
def test_the_branch_that_colab_reads_is_pushed(tmp_path, site):
    "The step of the workflow, towards a repository of our own"
    yaml = pytest.importorskip('yaml')
    workflow = ROOT / '.github' / 'workflows' / 'site.yml'
    if not workflow.exists():
        pytest.skip('no workflows here')
    steps = yaml.safe_load(workflow.read_text())['jobs']['site']['steps']
    step = next(s for s in steps if s.get('working-directory') == '_docs/_notebooks')
    (tmp_path / 'here' / 'guides').mkdir(parents=True)
    (tmp_path / 'here' / 'guides' / 'own_pictures.ipynb').write_text('{}')
    git = lambda *words: subprocess.run(['git', *words], check=True, capture_output=True, text=True, cwd=tmp_path).stdout
    git('init', '-q', '--bare', 'there')
    env = os.environ | dict(REMOTE=str(tmp_path / 'there'), HOME=str(tmp_path))
    for _ in range(2):  # the second replaces the first
        shutil.rmtree(tmp_path / 'here' / '.git', ignore_errors=True)
        subprocess.run(['sh', '-ec', step['run']], cwd=tmp_path / 'here', env=env, check=True)
    there = git('-C', 'there', 'ls-tree', '-r', '--name-only', build_site.BRANCH)
    where = site.where(PurePosixPath('guides/80_own_pictures.ipynb'))
    assert there.split() == ['guides/own_pictures.ipynb'] and f'/blob/{build_site.BRANCH}/{there.strip()}"' in where


def test_what_is_said_of_starred_arguments_is_not_said_of_the_result():
    from dnas_nb.running.experiment import run
    from dnas_nb.running.watch import Panel

    docs = site_pages.docments_of(run)
    assert docs['given']['docment'].startswith('fields of `Settings`') and not docs['return']['docment']
    assert 'arguments of `Live`' in site_pages.arguments(Panel)

    def both(
        a,  # one
        *more,  # others, as in f(1: 2)
        **given,  # by name
    ) -> list:  # of all
        pass

    docs = site_pages.docments_of(both)
    assert [docs[name]['docment'] for name in ('a', 'more', 'given', 'return')] == ['one', 'others, as in f(1: 2)', 'by name', 'of all']
    assert '(png)' in next(text for text in site_pages.methods_of(Panel, 'dnas_nb.running.watch') if '.keep' in text)


def test_the_first_page_has_four_doors_in_the_place_of_the_links_of_the_readme(site):
    cells = [text for _, text, _ in converted(site, 'index.ipynb')]
    assert 'Something works in ten minutes' in cells[1] and 'labpath=nbs%2Fguides%2F80_own_pictures.ipynb' in cells[1]
    links = '[Documentation](' + build_site.settings['doc_host'] + build_site.settings['doc_baseurl']
    assert not any(links in text for text in cells) and links in (ROOT / 'README.md').read_text(encoding='utf-8')
