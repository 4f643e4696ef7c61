"Build the documentation site from the notebooks, as they stand and without running them: `python tools/build_site.py [output folder]`."

import ast, gc, json, os, re, shutil, subprocess, sys, time
from configparser import ConfigParser
from pathlib import Path, PurePosixPath
from urllib.parse import quote

import site_pages
import site_project
from sphinx.cmd.build import main as sphinx

ROOT = Path(__file__).resolve().parent.parent
NBS = ROOT / 'nbs'
PARTS = {9: 'The pieces', 99: 'The search'}  # last chapter number -> heading of the part
DROP = {'hide', 'default_exp'}  # cells that a reader does not see
ROOMS = {
    'bench': 'Benchmarks',
    'reading': 'What a search learned',
    'running': 'Running it',
    'domains': 'Domains',
    'systems': 'Related systems',
}
GUIDES = 'guides', 'tutorials'  # folders, in this order
RESULTS = ('papers',)
LONG = 12  # lines of code that a page of results shows at once
FIRST = ('papers/verdicts.ipynb',)  # of its folder
METHODS = '18_methods.ipynb'  # the chapter of all rows
KATEX = Path('node_modules') / 'katex' / 'dist'  # style and fonts of the formulas

settings = ConfigParser(delimiters=['='])
settings.read(ROOT / 'settings.ini', encoding='utf-8')
settings = settings['DEFAULT']
BLOB = f'{settings["git_url"]}/blob/{settings["branch"]}'
AT_GITHUB = f'{settings["user"]}/{settings["repo"]}'
BRANCH = 'notebooks'  # where .github/workflows/site.yml puts the files for download: Colab opens notebooks of repositories
COLAB = f'https://colab.research.google.com/github/{AT_GITHUB}/blob/{BRANCH}'
BINDER = f'https://mybinder.org/v2/gh/{AT_GITHUB}/{settings["branch"]}?labpath=nbs%2F'
EXTRAS = '[export,study,motif,live]'  # as in environment.yml
BESIDE = re.compile(r"\.\./|studies/|Path\('\.'\)")  # of a notebook that reads what lies beside it in the repository
INSTALL = '''# the package, where it is not installed (Colab, a new environment)
from importlib.util import find_spec
if find_spec('dnas_nb') is None:
    %pip install -q "dnas_nb{extras} @ git+{url}"
'''
CLONE = '''# this notebook reads what lies beside it: the repository, where it is not here (Colab, a download)
from pathlib import Path
if not Path('{root}/settings.ini').exists():
    !git clone -q --depth 1 {url} repository
    %pip install -q "./repository{extras}"
    %cd repository/{folder}
'''


def source(cell):
    return ''.join(cell['source'])


def directives(src):
    return {k: v.strip() for k, v in re.findall(r'^#\|[ \t]*([\w-]+)[ \t]*:?(.*)$', src, re.M)}


def plain(src):
    return re.sub(r'^#\|.*\n?', '', src, flags=re.M).strip('\n')


def markdown(text):
    return dict(cell_type='markdown', metadata={}, source=text.strip('\n').splitlines(True))


def page(path: PurePosixPath) -> str:
    "Page of a notebook: its path without the number, as in the addresses that nbdev writes into `_modidx.py`."
    path = PurePosixPath(path)
    return str(path.with_name(re.sub(r'^\d+[a-zA-Z0-9]*_', '', path.stem.lower())))


class Site:
    "All notebooks, and where each exported name is defined."

    def __init__(self):
        paths = sorted(
            p.relative_to(NBS)
            for p in NBS.rglob('*.ipynb')
            if not any(s[0] in '._' for s in p.relative_to(NBS).parts)
        )
        self.nbs = {
            PurePosixPath(p.as_posix()): json.loads((NBS / p).read_text(encoding='utf-8'))
            for p in paths
        }
        self.module, self.defined, self.broken = (
            {},
            {},
            [],
        )  # notebook -> module; name -> {notebook}
        extras = (key for key in settings if key.endswith('_requirements'))
        self.imported = {}  # notebook -> names that it takes from the package
        self.words = {key.removesuffix('_requirements') for key in extras} | set(site_pages.method_names())
        for path, nb in self.nbs.items():
            for cell in nb['cells']:
                if cell['cell_type'] != 'code':
                    continue
                d = directives(source(cell))
                if 'default_exp' in d:
                    self.module[path] = d['default_exp']
                if 'export' in d:
                    for name in names(source(cell)):
                        self.defined.setdefault(name, set()).add(path)

    def title(self, path):
        heads = [
            m[1]
            for c in self.nbs[path]['cells']
            if c['cell_type'] == 'markdown' and (m := re.search(r'^# (.+)$', source(c), re.M))
        ]
        number = re.match(r'\d+[a-z]?', path.name)
        return (
            f'{number[0]} · ' if number and (len(path.parts) == 1 or path.parts[0] in ROOMS) else ''
        ) + (heads[0] if heads else path.stem)

    page = staticmethod(page)
    blob, binder = BLOB, BINDER

    def subtitle(self, path) -> str:
        "The line below the title, which begins with `>`."
        texts = [source(c) for c in self.nbs[path]['cells'] if c['cell_type'] == 'markdown'][:2]
        found = re.search(r'^> (.+)$', '\n'.join(texts), re.M)
        return found[1].strip() if found else ''

    def group(self, folder) -> list:
        "The notebooks of a folder, those of `FIRST` before the others."
        paths = [p for p in self.nbs if len(p.parts) > 1 and p.parts[0] == folder]
        return sorted(paths, key=lambda p: (str(p) not in FIRST, p))

    def parts(self) -> dict:
        "Title of a part of the book -> its chapters."
        flat = [p for p in self.nbs if len(p.parts) == 1 and p.name != 'index.ipynb']
        out = {title: [] for title in PARTS.values()}
        for path in flat:
            number = re.match(r'\d+', path.name)
            last = int(number[0] if number else 99)
            out[next(title for limit, title in PARTS.items() if last <= limit)].append(path)
        out |= {title: self.group(folder) for folder, title in ROOMS.items()}
        return {title: paths for title, paths in out.items() if paths}

    def results(self) -> list:
        return [p for folder in RESULTS for p in self.group(folder)]

    def source_of(self, module, name) -> str:
        return f'{BLOB}/{file_of(module)}{first_line(module, name)}'

    def about_methods(self, up) -> list:
        "Links to what is said of all methods together."
        wanted = METHODS, '18a_released.ipynb', 'papers/verdicts.ipynb', 'tutorials/gallery.ipynb'
        paths = [p for p in self.nbs if str(p) in wanted]
        return [f'[{self.title(p)}]({up}/{page(p)}.ipynb)' for p in paths]

    def toctrees(self) -> list:
        "What the sidebar shows: guides, chapters by parts, reference, results, project."
        entry = lambda p: f'{self.title(p)} <{page(p)}>'
        sections = {
            'Guides': [entry(p) for folder in GUIDES for p in self.group(folder)],
            'Chapters': [f'parts/{site_pages.slug(title)}' for title in self.parts()],
            'Look up': ['methods/index', 'reference/index'],
            'Results': [entry(p) for p in self.results()],
            'Project': site_project.PAGES,
        }
        others = [
            p
            for p in self.nbs
            if len(p.parts) > 1 and p.parts[0] not in (*GUIDES, *ROOMS, *RESULTS)
        ]
        sections['Further'] = [entry(p) for p in others]
        return [
            '```{toctree}\n:hidden:\n:caption: ' + caption + '\n\n' + '\n'.join(entries) + '\n```'
            for caption, entries in sections.items()
            if entries
        ]

    def url(self, here, there) -> str:
        "Relative address of a page, without its ending."
        return os.path.relpath(page(there), PurePosixPath(page(here)).parent).replace(os.sep, '/')

    def link_notebooks(self, text, here):
        "Links between notebooks become links between pages; links to other files of the project go to the repository."

        def link(m):
            target, _, anchor = m[2].partition('#')
            path = PurePosixPath(os.path.normpath(here.parent / target).replace(os.sep, '/'))
            anchor = '#' + anchor if anchor else ''
            if path in self.nbs:
                return f'{m[1]}({self.url(here, path)}.ipynb{anchor})'
            outside = os.path.normpath(PurePosixPath('nbs') / path).replace(os.sep, '/')
            if (ROOT / outside).exists() and not outside.startswith('..'):
                return f'{m[1]}({BLOB}/{outside}{anchor})'
            self.broken.append(f'{here}: {m[2]}')
            return m[0]

        return re.sub(r'(\[[^\]]*\])\((?!\w+:|#)([^)\s]+)\)', link, text)

    def link_names(self, text, here):
        """A name in back-ticks that one chapter exports links to its definition; one of the door, `nas.search`, to its entry.

        Elsewhere than in its chapter a word that is also a method's or an extra's name, as `darts` or `study`, is left as it
        is, and so is a plain word, as `mean`, that the notebook does not use."""

        def link(m):
            places = self.defined.get(m[1].removesuffix('()'), set())
            if here not in places and not self.is_meant(m[1], here):
                return m[0]
            where = here if here in places else next(iter(places)) if len(places) == 1 else None
            if where is None:
                return m[0]
            href = (
                ('' if where == here else self.url(here, where) + '.html')
                + '#def-'
                + m[1].removesuffix('()')
            )
            return f'<a class="name" href="{href}"><code class="docutils literal">{m[1]}</code></a>'

        def at_the_door(m):
            up = '../' * (len(here.parts) - 1)
            if m[1] not in site_pages.door_names():
                return m[0]
            href = f'{up}reference/index.html#dnas_nb.{m[1]}'
            return f'<a class="name" href="{href}"><code class="docutils literal">nas.{m[1]}</code></a>'

        text = re.sub(r'(?<![\[`\w])`nas\.(\w+)`(?![`\]])', at_the_door, text)
        return re.sub(r'(?<![\[`\w])`([A-Za-z_]\w*(?:\(\))?)`(?![`\]])', link, text)

    def is_meant(self, word, here) -> bool:
        "Does a word in back-ticks mean the function of that name? A plain word does where the notebook takes it from the package"
        if word in self.words:
            return False
        if not re.fullmatch(r'[a-z]+', word):
            return True
        if here not in self.imported:
            code = '\n'.join(source(c) for c in self.nbs[here]['cells'] if c['cell_type'] == 'code')
            found = re.findall(r'^\s*from dnas_nb\S* import (\([^)]*\)|.+)', code, re.M)
            found += re.findall(r'\bnas\.(\w+)', code)
            self.imported[here] = set(re.findall(r'\w+', ' '.join(found)))
        return word in self.imported[here]

    def prose(self, text, here):
        "Both kinds of links, outside code blocks; headings keep their names unlinked."
        out = []
        for i, block in enumerate(re.split(r'(^```.*?^```[ \t]*$)', text, flags=re.M | re.S)):
            if i % 2 == 0:
                block = self.link_notebooks(block, here)
                block = ''.join(
                    s if re.match(r'\s{0,3}#{1,6} |    ', s) else self.link_names(s, here)
                    for s in block.splitlines(True)
                )
            out.append(block)
        return ''.join(out)

    def convert(self, path) -> dict:
        "A notebook for Sphinx: directives obeyed and removed, links rewritten, anchors, source links and reference added."
        cells, words = [], Words()
        for cell in self.nbs[path]['cells']:
            src, d = source(cell), directives(source(cell)) if cell['cell_type'] == 'code' else {}
            if d.keys() & DROP or not src.strip():
                continue
            if cell['cell_type'] == 'markdown':
                words.read(src)
                cells.append(markdown(self.prose(src, path)))
                continue
            if cell['cell_type'] != 'code':
                continue
            defs = names(src) if 'export' in d else []
            if defs:
                cells.append(markdown(self.anchor(path, defs)))
            tags = [
                t
                for t, on in dict(
                    export='export' in d,
                    **{
                        'hide-input': folded(path, src, d),
                        'remove-input': 'hide_input' in d or d.get('echo') == 'false',
                        'remove-output': 'hide_output' in d or d.get('output') == 'false',
                    },
                ).items()
                if on
            ]
            meta = dict(
                tags=tags,
                mystnb={'image': {'alt': d.get('fig-alt') or words.of_picture(plain(src))}},
            )
            outputs = [self.output(o, path) for o in cell['outputs']]
            cells.append(
                dict(cell, metadata=meta, outputs=outputs, source=plain(src).splitlines(True))
            )
        if path.name != 'index.ipynb':
            self.tell_where(cells, path)
        if path.name == 'index.ipynb':
            cells[1:2] = [markdown(site_pages.doors(self))]  # in the place of the links that the README has there
            cells.append(markdown('\n\n'.join(self.toctrees())))
        for i, c in enumerate(cells):
            c['id'] = f'cell-{i}'
        return dict(
            cells=cells,
            metadata=dict(
                myst=dict(html_meta=dict(description=self.description(path))),
                kernelspec=dict(display_name='python3', language='python', name='python3'),
                language_info=dict(name='python', pygments_lexer='ipython3'),
            ),
            nbformat=4,
            nbformat_minor=5,
        )

    def description(self, path) -> str:
        "What search engines show below the title."
        said = site_pages.bare(self.subtitle(path)).replace('$', '')
        return said or settings['description']

    def output(self, out, path):
        "Links inside outputs are rewritten like those in prose."
        data = dict(out.get('data', {}))
        if (text := data.get('text/markdown')) is not None:
            data['text/markdown'] = self.prose(self.link_methods(''.join(text), path), path)
        if (text := data.get('text/html')) is not None:
            data['text/html'] = self.link_html(''.join(text), path)
        return dict(out, data=data) if data else out

    def link_methods(self, text, here):
        "In a table of methods, whose heading says `--method`, each name leads to its page."
        if '`--method`' not in text:
            return text
        up, names = '../' * (len(here.parts) - 1), set(site_pages.method_names())

        def link(m):
            if m[1] not in names:
                return m[0]
            href = f'{up}methods/{site_pages.slug(m[1])}.html'
            return f'<a class="name" href="{href}"><code class="docutils literal">{m[1]}</code></a>'

        return re.sub(r'`([\w+-]+)`', link, text)

    def link_html(self, text, here):
        """Links to notebooks in HTML that a cell made: `../systems/61_pas.html` or `.ipynb` is a page here.

        `18_methods.ipynb#gdas` is a row of that chapter, which has a page of its own."""

        def link(m):
            target = PurePosixPath(os.path.normpath(here.parent / m[2]).replace(os.sep, '/'))
            there = target.with_suffix('.ipynb')
            if there.name == METHODS and m[3]:
                place = f'methods/{site_pages.slug(m[3][1:])}'
                return m[1] + os.path.relpath(place, here.parent).replace(os.sep, '/') + '.html'
            return f'{m[1]}{self.url(here, there)}.html{m[3] or ""}' if there in self.nbs else m[0]

        return re.sub(r'(\shref=["\'])(?!\w+:|#)([^"\'#?]+\.(?:html|ipynb))(#[^"\']*)?', link, text)

    def anchor(self, path, defs):
        url = (
            f'{BLOB}/{file_of(self.module[path])}' if path in self.module else f'{BLOB}/nbs/{path}'
        )
        line = first_line(self.module.get(path), defs[0])
        ids = ''.join(f'<span id="def-{n}"></span>' for n in defs)
        return (
            f'<div class="source">{ids}<a href="{url}{line}">source of {", ".join(defs)}</a></div>'
        )

    def tell_where(self, cells, path):
        "The line `where` below the title and its subtitle, above whatever else their cell says"
        heads = (i for i, c in enumerate(cells) if c['cell_type'] == 'markdown' and re.match(r'# ', source(c)))
        first = next(heads, None)
        if first is None:
            return
        head, rest = TITLE.match(source(cells[first])).groups()
        parts = [head, self.where(path), rest]
        if not rest.strip() and is_subtitle(cells, first):
            first += 1
            parts = [source(cells[first]), self.where(path)]
        cells[first : first + 1] = [markdown(text) for text in parts if text.strip()]

    def where(self, path):
        "The line below a title: where else this page is, and where it runs."
        links = []
        if path in self.module:
            up = '../' * (len(path.parts) - 1)
            href = f'{up}{site_pages.reference_page(self.module[path])}.html'
            links.append(f'reference <a href="{href}"><code>dnas_nb.{self.module[path]}</code></a>')
        download = '../' * (len(path.parts) - 1) + f'_notebooks/{page(path)}.ipynb'
        links += [
            f'<a href="{BLOB}/nbs/{path}">notebook on GitHub</a>',
            f'<a href="{download}" download title="for JupyterLab: its first cell brings what it needs">download</a>',
            f'<a href="{COLAB}/{page(path)}.ipynb">Colab</a>',
            f'<a href="{BINDER}{quote(str(path), safe="")}" title="JupyterLab in a browser, nothing to install">Binder</a>',
        ]
        return f'<p class="where">{" · ".join(links)}</p>'

    def download(self, path) -> dict:
        "The notebook as a file for elsewhere: its first cell brings the package, and the files beside it where it reads some."
        nb = self.nbs[path]
        code = '\n'.join(source(cell) for cell in nb['cells'] if cell['cell_type'] == 'code')
        folder = (PurePosixPath('nbs') / path).parent
        text = (CLONE if BESIDE.search(code) else INSTALL).strip().format(
            extras=EXTRAS, url=settings['git_url'], folder=folder, root='/'.join(['..'] * len(folder.parts))
        )
        first = dict(cell_type='code', id='install', metadata={}, outputs=[], execution_count=None)
        return dict(nb, cells=[dict(first, source=text.splitlines(True)), *nb['cells']])


TITLE = re.compile(r'(# [^\n]+\s*(?:^>[^\n]*\n?)*)(.*)', re.M | re.S)  # with the lines that begin with >, and what follows
TITLED = re.compile(r"""(?:set_title|suptitle|[(,]\s*title)\s*[=(]\s*[rf]?(['"])([^'"{}\\]+?)\1""")


class Words:
    "The words around a picture: heading, and what was said last. Its alternative text is made of them."

    def __init__(self):
        self.heading, self.said = '', ''

    def read(self, text):
        "One cell of prose."
        for head in re.findall(r'^#+ (.+)$', text, re.M):
            self.heading, self.said = clean(head), ''
        text = re.sub(r'^(#+ .*|>.*|\|.*)$', '', re.sub(r'^```.*?^```', '', text, flags=re.M | re.S), flags=re.M)
        blocks = [b for b in re.split(r'\n\s*\n', text) if b.strip()]
        if blocks:
            self.said = clean(blocks[-1])

    def of_picture(self, code) -> str:
        "Titles of the figure, what its cell is called, what was said before it."
        titles = list(dict.fromkeys(clean(m[2]) for m in TITLED.finditer(code)))
        comment = re.match(r'\s*(?:# check [\w-]+: |# )(.+)', code)
        doc = re.search(r'^def \w+\(.*\n\s+"([^"]+)"', code, re.M)
        sentences = re.split(r'(?<=[.:?!]) +(?=[A-Z\W])', self.said)
        parts = [
            '; '.join(titles),
            clean(comment[1]) if comment else clean(doc[1]) if doc else '',
            sentences[-1] if sentences[-1].endswith(':') else sentences[0],
        ]
        about = next((p for p in parts if len(p) > 12), '') or self.said
        text = f'{self.heading}: {about}' if about else f'Picture: {self.heading}'
        return shortened(text.rstrip(':;. '))


def folded(path, src, said) -> bool:
    "Is code shown only to those who ask? Where the result is the subject: told by `code-fold`, and long code of results"
    long = path.parts[0] in RESULTS and len(plain(src).splitlines()) > LONG
    return said.get('code-fold', str(long)).lower() == 'true'


def clean(text) -> str:
    "A line of Markdown as it is read aloud."
    return ' '.join(site_pages.bare(text).replace('$', '').split())


def shortened(text, limit=180) -> str:
    return text if len(text) <= limit else text[:limit].rpartition(' ')[0] + ' …'


def is_subtitle(cells, i) -> bool:
    "Does the cell after the title hold only the subtitle?"
    return (
        i + 1 < len(cells)
        and cells[i + 1]['cell_type'] == 'markdown'
        and source(cells[i + 1]).startswith('> ')
    )


def file_of(module) -> str:
    "File of a module of the package, from the project's root."
    return f'dnas_nb/{str(module).replace(".", "/")}.py'


def names(src) -> list:
    "Public names that an exported cell defines."
    try:
        body = ast.parse(plain(src)).body
    except SyntaxError:
        return []
    out = []
    for node in body:
        if isinstance(node, (ast.FunctionDef, ast.ClassDef)):
            out.append(node.name)
        if isinstance(node, ast.Assign):
            held = [n for target in node.targets for n in ast.walk(target)]  # also `A, B = …`
            out += [n.id for n in held if isinstance(n, ast.Name) and isinstance(n.ctx, ast.Store)]
    return [n for n in out if not n.startswith('_')]


def first_line(module, name) -> str:
    path = ROOT / file_of(module)
    m = (
        re.search(rf'^(def|class) {name}\b|^{name}\b.*=', path.read_text(encoding='utf-8'), re.M)
        if path.exists()
        else None
    )
    return f'#L{path.read_text(encoding="utf-8")[:m.start()].count(chr(10)) + 1}' if m else ''


def katex() -> bool:
    "Style and fonts of the formulas beside the pages; without npm the pages load them from their usual address."
    if not (ROOT / KATEX).exists() and (npm := shutil.which('npm')):
        from sphinxcontrib.katex import katex_version

        print('[site] fetching the fonts of formulas with npm (once)', flush=True)
        words = 'install --no-save --no-package-lock --no-audit --no-fund --silent --prefix'.split()
        try:
            cmd = [npm, *words, str(ROOT), f'katex@{katex_version}']
            subprocess.run(cmd, cwd=ROOT, capture_output=True, timeout=180)
        except (OSError, subprocess.TimeoutExpired):
            pass
    if not (ROOT / KATEX).exists():
        print('[site] fonts of formulas could not be fetched with npm: pages will load them')
    return (ROOT / KATEX).exists()


def copy_katex(folder):
    "What pages need of KaTeX: its style, and the fonts in the format that all browsers read."
    shutil.copytree(ROOT / KATEX / 'fonts', folder / 'fonts', ignore=lambda d, names: [n for n in names if not n.endswith('.woff2')])
    shutil.copy(ROOT / KATEX / 'katex.min.css', folder)


def build(out: Path) -> int:
    from tempfile import TemporaryDirectory

    sys.path.insert(0, str(ROOT))  # the package of this checkout
    t0, site = time.monotonic(), Site()
    with TemporaryDirectory() as tmp:
        src = Path(tmp) / 'src'
        for path in site.nbs:
            p = src / f'{page(path)}.ipynb'
            p.parent.mkdir(parents=True, exist_ok=True)
            p.write_text(json.dumps(site.convert(path)), encoding='utf-8')
        site_pages.write(src, site)
        site_project.write(src, site)
        for b in site.broken:
            print(f'[site] broken link in nbs/{b}')
        opts = []
        if katex():
            copy_katex(src / '_katex' / 'katex')
            opts = [
                '-D',
                f'html_static_path={ROOT/"docs"/"static"},{src/"_katex"}',
                '-D',
                'katex_css_path=katex/katex.min.css',
            ]
        opts += ['-q', '-b', 'html', '-c', str(ROOT / 'docs'), '-d', f'{tmp}/doctrees']
        gc.disable()  # all pages are kept to the end: looking for garbage among them is a fifth of the time
        if status := sphinx([*opts, str(src), f'{tmp}/html']):
            return status
        shutil.rmtree(f'{tmp}/html/_sources', ignore_errors=True)
        for path in site.nbs:
            file = Path(f'{tmp}/html/_notebooks/{page(path)}.ipynb')
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_text(json.dumps(site.download(path)), encoding='utf-8')
        if out.exists():
            shutil.rmtree(out)
        shutil.move(f'{tmp}/html', out)
    print(
        f'[site] {len(site.nbs)} pages in {time.monotonic() - t0:.0f} s: open {os.path.relpath(out)}/index.html'
    )
    return int(bool(site.broken))


if __name__ == '__main__':
    sys.exit(build(Path(sys.argv[1] if len(sys.argv) > 1 else ROOT / '_docs').resolve()))
