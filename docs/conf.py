"Sphinx settings of the documentation site; tools/build_site.py prepares the pages and calls Sphinx."
import re, shutil, socket, time
from configparser import ConfigParser
from pathlib import Path
from subprocess import PIPE, Popen

import sphinxcontrib.katex as katex
from sphinx.environment.adapters.toctree import global_toctree_for_doc
from sphinx.util.osutil import relative_uri

here = Path(__file__).resolve().parent
cfg = ConfigParser(delimiters=['='])
cfg.read(here.parent/'settings.ini', encoding='utf-8')
cfg = cfg['DEFAULT']

project, version, release = cfg['title'], cfg['version'], cfg['version']
author, copyright = cfg['author'], cfg['copyright']
extensions = ['myst_nb', 'sphinxcontrib.katex', 'sphinx.ext.githubpages', 'sphinx_copybutton', 'sphinx_design', 'notfound.extension']

nb_execution_mode = 'off'  # outputs are those stored in the notebooks
nb_code_prompt_show, nb_code_prompt_hide = 'Show the code', 'Hide the code'
nb_render_markdown_format = 'myst'  # tables in Markdown outputs
myst_enable_extensions = ['dollarmath', 'amsmath', 'attrs_inline', 'colon_fence']
myst_dmath_double_inline = True
myst_heading_anchors = 4
suppress_warnings = ['myst.header', 'mystnb.unknown_mime_type']
add_module_names = False  # in the heading of an entry: the page says which module
python_use_unqualified_type_names = True

smartquotes = False  # quotes in explanations of code stay as they are
katex_prerender = shutil.which('node') is not None  # formulas are drawn once, here; otherwise by the reader's browser
katex.STARTUP_TIMEOUT = katex.RENDER_TIMEOUT = 120.0  # seconds: a machine may be busy


def patient(rundir, timeout):
    """Start the program that draws formulas: its Unix socket is there a moment before anybody listens.

    By a network socket, as where there are none of Unix, each formula waits 40 ms for an acknowledgement."""
    address, end = str(rundir/'katex.sock'), time.monotonic() + timeout
    words = katex.KaTeXServer.build_command(socket=address)
    process = Popen(words, stdin=PIPE, stdout=PIPE, cwd=rundir)
    while True:
        sock = socket.socket(socket.AF_UNIX)
        try:
            sock.connect(address)
            return process, sock
        except (FileNotFoundError, ConnectionRefusedError):
            sock.close()
            if time.monotonic() > end:
                raise
            time.sleep(.001)


katex.KaTeXServer.start_server_process = patient
copybutton_selector = 'div.cell_input div.highlight pre, div[class*=highlight-sh] pre, div[class*=highlight-python] pre'

html_theme = 'furo'
html_title = cfg['title']
html_static_path = [str(here/'static')]
html_css_files = ['custom.css']
html_js_files = ['custom.js']
html_show_sphinx = False
html_copy_source = html_show_sourcelink = False
html_baseurl = cfg['doc_host'] + cfg['doc_baseurl'] + '/'
notfound_urls_prefix = cfg['doc_baseurl'] + '/'  # this page is shown at any address, so its own are whole
notfound_context = dict(title='No such page', body=f'''<h1>No such page</h1>
<p>Chapters are renumbered and renamed at times. <a href="{notfound_urls_prefix}search.html">Search</a> for a word of it, look
into the sidebar, or begin <a href="{notfound_urls_prefix}index.html">at the beginning</a>.</p>''')
html_theme_options = dict(
    footer_icons=[], navigation_with_keys=True,
    light_css_variables={'color-brand-primary': '#205a8c', 'color-brand-content': '#205a8c', 'color-code-background': '#f5f7f9'},
    dark_css_variables={'color-brand-primary': '#7db8e8', 'color-brand-content': '#7db8e8'},
)
pygments_style, pygments_dark_style = 'a11y-high-contrast-light', 'a11y-high-contrast-dark'  # of furo's own requirement


def level_captions(app, page, template, context, doctree):
    "The captions of the sidebar are headings; a screen reader wants to know of which level."
    if tree := context.get('furo_navigation_tree'):
        context['furo_navigation_tree'] = tree.replace('role="heading"', 'role="heading" aria-level="2"')


ENTRY = re.compile(r'<li class="(?P<level>[^"]*)"><a class="reference internal" href="(?P<to>[^"]*)"')
sidebars = {}  # what is asked of the sidebar's tree -> the tree, as the first page shows it


def one_sidebar(app, page, template, context, doctree):
    """The sidebar's tree is made once; here it gets addresses as seen from this page, and its marks.

    Sphinx makes it anew for each page and copies every heading of every page for it: a third of all time."""
    builder, above = app.builder, [page]
    while parent := builder.relations.get(above[-1], [None])[0]:
        above.append(parent)
    here, *parents = map(builder.get_target_uri, above)

    def entry(m):
        level, to = m['level'], m['to']
        if to == here:
            return f'<li class="{level} current"><a class="current reference internal" href="#"'
        mark = ' current' if to in parents else ''
        return f'<li class="{level}{mark}"><a class="reference internal" href="{relative_uri(here, to)}"'

    def tree(**wanted):
        key = tuple(wanted.items())
        if key not in sidebars:
            first = global_toctree_for_doc(app.env, app.config.root_doc, builder, tags=builder.tags, **wanted)
            sidebars[key] = builder.render_partial(first)['fragment']
        return ENTRY.sub(entry, sidebars[key])

    context['toctree'] = tree


def setup(app):
    app.connect('html-page-context', one_sidebar, priority=100)  # before the theme asks for the tree
    app.connect('html-page-context', level_captions, priority=900)  # after the theme has made the tree
