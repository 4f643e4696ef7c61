"Sphinx settings of the documentation site; tools/build_site.py prepares the pages and calls Sphinx."
from configparser import ConfigParser
from pathlib import Path

here = Path(__file__).resolve().parent
cfg = ConfigParser(delimiters=['='])
cfg.read(here.parent/'settings.ini', encoding='utf-8')
cfg = cfg['DEFAULT']

project, version, release = cfg['title'], cfg['version'], cfg['version']
author, copyright = cfg['author'], cfg['copyright']
extensions = ['myst_nb', 'sphinx.ext.mathjax', 'sphinx.ext.githubpages']

nb_execution_mode = 'off'  # outputs are those stored in the notebooks
nb_render_markdown_format = 'myst'  # tables in Markdown outputs
myst_enable_extensions = ['dollarmath', 'amsmath', 'attrs_inline']
myst_dmath_double_inline = True
myst_heading_anchors = 4
suppress_warnings = ['myst.header', 'mystnb.unknown_mime_type']

smartquotes = False  # quotes in explanations of code stay as they are

html_theme = 'furo'
html_title = cfg['title']
html_static_path = [str(here/'static')]
html_css_files = ['custom.css']
html_show_sphinx = False
html_copy_source = html_show_sourcelink = False
html_baseurl = cfg['doc_host'] + cfg['doc_baseurl'] + '/'
html_theme_options = dict(
    footer_icons=[], navigation_with_keys=True,
    light_css_variables={'color-brand-primary': '#205a8c', 'color-brand-content': '#205a8c'},
    dark_css_variables={'color-brand-primary': '#7db8e8', 'color-brand-content': '#7db8e8'},
)
pygments_style, pygments_dark_style = 'friendly', 'monokai'
