"Build the documentation site from the notebooks, as they stand and without running them: `python tools/build_site.py [output folder]`."

import ast, inspect, json, os, re, shutil, subprocess, sys, time
from configparser import ConfigParser
from importlib import import_module
from pathlib import Path, PurePosixPath

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
TITLES = {**ROOMS, 'tutorials': 'Tutorials', 'papers': 'Papers'}  # folder -> heading, in this order
MATHJAX = Path('node_modules') / 'mathjax' / 'es5' / 'tex-svg.js'

settings = ConfigParser(delimiters=['='])
settings.read(ROOT / 'settings.ini', encoding='utf-8')
settings = settings['DEFAULT']
BLOB = f'{settings["git_url"]}/blob/{settings["branch"]}'


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

    def toctrees(self) -> list:
        "One list of pages per part of the book, then one per folder."
        groups = {}
        for path in self.nbs:
            if path.name == 'index.ipynb':
                continue
            number = re.match(r'\d+', path.name)
            part = (
                TITLES.get(path.parts[0], path.parts[0].title())
                if len(path.parts) > 1
                else next(
                    t for last, t in PARTS.items() if int(number[0] if number else 99) <= last
                )
            )
            groups.setdefault(part, []).append(path)
        order = list(PARTS.values()) + list(TITLES.values())
        entry = lambda p: f'{self.title(p)} <{page(p)}>'
        return [
            '```{toctree}\n:hidden:\n:caption: '
            + part
            + '\n\n'
            + '\n'.join(map(entry, groups[part]))
            + '\n```'
            for part in sorted(groups, key=lambda p: order.index(p) if p in order else len(order))
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
        "A name in back-ticks that one chapter exports links to its definition."

        def link(m):
            places = self.defined.get(m[1].removesuffix('()'), set())
            where = here if here in places else next(iter(places)) if len(places) == 1 else None
            if where is None:
                return m[0]
            href = (
                ('' if where == here else self.url(here, where) + '.html')
                + '#def-'
                + m[1].removesuffix('()')
            )
            return f'<a class="name" href="{href}"><code class="docutils literal">{m[1]}</code></a>'

        return re.sub(r'(?<![\[`\w])`([A-Za-z_]\w*(?:\(\))?)`(?![`\]])', link, text)

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
        cells = []
        for cell in self.nbs[path]['cells']:
            src, d = source(cell), directives(source(cell)) if cell['cell_type'] == 'code' else {}
            if d.keys() & DROP or not src.strip():
                continue
            if cell['cell_type'] == 'markdown':
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
                        'remove-input': 'hide_input' in d or d.get('echo') == 'false',
                        'remove-output': 'hide_output' in d or d.get('output') == 'false',
                    },
                ).items()
                if on
            ]
            meta = dict(
                tags=tags,
                **({'mystnb': {'image': {'alt': d['fig-alt']}}} if 'fig-alt' in d else {}),
            )
            outputs = [self.output(o, path) for o in cell['outputs']]
            cells.append(
                dict(cell, metadata=meta, outputs=outputs, source=plain(src).splitlines(True))
            )
        first = next(
            (
                i
                for i, c in enumerate(cells)
                if c['cell_type'] == 'markdown' and re.match(r'# ', source(c))
            ),
            None,
        )
        if path.name != 'index.ipynb' and first is not None:
            cells.insert(first + 1 + is_subtitle(cells, first), markdown(self.where(path)))
        if path in self.module:
            cells += reference(self.module[path])
        if path.name == 'index.ipynb':
            cells.append(markdown('\n\n'.join(self.toctrees())))
        for i, c in enumerate(cells):
            c['id'] = f'cell-{i}'
        return dict(
            cells=cells,
            metadata=dict(
                kernelspec=dict(display_name='python3', language='python', name='python3'),
                language_info=dict(name='python', pygments_lexer='ipython3'),
            ),
            nbformat=4,
            nbformat_minor=5,
        )

    def output(self, out, path):
        "Links inside Markdown outputs are rewritten like those in prose."
        text = out.get('data', {}).get('text/markdown')
        if text is None:
            return out
        return dict(out, data={**out['data'], 'text/markdown': self.prose(''.join(text), path)})

    def anchor(self, path, defs):
        url = (
            f'{BLOB}/{file_of(self.module[path])}' if path in self.module else f'{BLOB}/nbs/{path}'
        )
        line = first_line(self.module.get(path), defs[0])
        ids = ''.join(f'<span id="def-{n}"></span>' for n in defs)
        return (
            f'<div class="source">{ids}<a href="{url}{line}">source of {", ".join(defs)}</a></div>'
        )

    def where(self, path):
        links = [f'<a href="{BLOB}/nbs/{path}">notebook</a>']
        if path in self.module:
            links += [
                f'<a href="{BLOB}/{file_of(self.module[path])}">module <code>dnas_nb.{self.module[path]}</code></a>',
                '<a href="#reference">reference</a>',
            ]
        return f'<p class="where">{" · ".join(links)}</p>'


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
            out += [t.id for t in node.targets if isinstance(t, ast.Name)]
    return [n for n in out if not n.startswith('_')]


def first_line(module, name) -> str:
    path = ROOT / file_of(module)
    m = (
        re.search(rf'^(def|class) {name}\b|^{name}\b.*=', path.read_text(encoding='utf-8'), re.M)
        if path.exists()
        else None
    )
    return f'#L{path.read_text(encoding="utf-8")[:m.start()].count(chr(10)) + 1}' if m else ''


def reference(module) -> list:
    "Signature, docstring and table of arguments of every public function and class of a module."
    try:
        mod = import_module(f'dnas_nb.{module}')
    except Exception as e:
        print(f'[site] dnas_nb.{module} does not import ({e}): no reference for it')
        return []
    things = [getattr(mod, n, None) for n in getattr(mod, '__all__', [])]
    cells = [entry(o) for o in things if inspect.isfunction(o) or inspect.isclass(o)]
    return [markdown('## Reference')] + [markdown(c) for c in cells] if cells else []


def short(value, limit=60) -> str:
    text = (
        getattr(value, '__name__', None)
        if callable(value)
        else re.sub(r' at 0x[0-9a-f]+', '', repr(value))
    )
    return text if len(text or '') <= limit else text[:limit] + '...'


def entry(o) -> str:
    from fastcore.docments import docments

    empty = inspect.Parameter.empty
    try:
        sig = inspect.signature(o)
    except (TypeError, ValueError):
        sig = inspect.Signature()
    kind = lambda a: (
        '' if a in (empty, None) else a if isinstance(a, str) else getattr(a, '__name__', str(a))
    )
    try:
        docs = docments(o, full=True)
    except Exception:
        docs = {}
    doc_of = lambda k: (docs.get(k) or {}).get('docment') or ''
    star = {inspect.Parameter.VAR_POSITIONAL: '*', inspect.Parameter.VAR_KEYWORD: '**'}
    args = [
        star.get(p.kind, '') + p.name + ('' if p.default is empty else f'={short(p.default)}')
        for p in sig.parameters.values()
    ]
    result = kind(sig.return_annotation)
    call = f'{o.__name__}({", ".join(args)})'
    if len(call) > 80:
        call = f'{o.__name__}(\n    ' + ',\n    '.join(args) + ',\n)'
    call += f' -> {result}' if result else ''
    doc = (
        (o.__doc__ or '')
        if not (inspect.isclass(o) and (o.__doc__ or '').startswith(o.__name__ + '('))
        else ''
    )
    lines = [f'### {o.__name__}', f'```python\n{call}\n```', inspect.cleandoc(doc)]
    cell = lambda s: str(s).replace('|', '\\|').replace('\n', ' ')
    rows = [
        (
            star.get(p.kind, '').replace('*', '\\*') + f'`{p.name}`',
            kind(p.annotation),
            '' if p.default is empty else f'`{short(p.default)}`',
            doc_of(p.name),
        )
        for p in sig.parameters.values()
    ]
    if doc_of('return'):
        rows.append(('returns', result, '', doc_of('return')))
    keep = [i for i in range(4) if any(r[i] for r in rows)]  # no empty columns
    if {1, 3} & set(keep):
        table = [['argument', 'type', 'default', 'meaning'], ['---'] * 4, *rows]
        lines.append('\n'.join('| ' + ' | '.join(cell(r[i]) for i in keep) + ' |' for r in table))
    return '\n\n'.join(s for s in lines if s)


def mathjax() -> bool:
    "MathJax beside the pages, so that they need no network; without npm the pages load it from its usual address."
    if not (ROOT / MATHJAX).exists() and (npm := shutil.which('npm')):
        print('[site] fetching MathJax with npm (once)', flush=True)
        cmd = [
            npm,
            'install',
            '--prefix',
            str(ROOT),
            '--no-save',
            '--no-package-lock',
            '--no-audit',
            '--no-fund',
            '--silent',
            'mathjax@3',
        ]
        try:
            subprocess.run(cmd, cwd=ROOT, capture_output=True, timeout=180)
        except (OSError, subprocess.TimeoutExpired):
            pass
    if not (ROOT / MATHJAX).exists():
        print(
            '[site] MathJax could not be fetched with npm: formulas will need a network connection'
        )
    return (ROOT / MATHJAX).exists()


def build(out: Path) -> int:
    from tempfile import TemporaryDirectory

    sys.path.insert(0, str(ROOT))
    t0, site = time.monotonic(), Site()
    with TemporaryDirectory() as tmp:
        src = Path(tmp) / 'src'
        for path in site.nbs:
            p = src / f'{page(path)}.ipynb'
            p.parent.mkdir(parents=True, exist_ok=True)
            p.write_text(json.dumps(site.convert(path)), encoding='utf-8')
        if not (src / 'index.ipynb').exists():
            (src / 'index.md').write_text(
                f'# {settings["title"]}\n\n' + '\n\n'.join(site.toctrees()), encoding='utf-8'
            )
        for b in site.broken:
            print(f'[site] broken link in nbs/{b}')
        opts = []
        if mathjax():
            (src / '_mathjax' / 'mathjax').mkdir(parents=True)
            shutil.copy(ROOT / MATHJAX, src / '_mathjax' / 'mathjax')
            opts = [
                '-D',
                f'html_static_path={ROOT/"docs"/"static"},{src/"_mathjax"}',
                '-D',
                'mathjax_path=mathjax/tex-svg.js',
            ]
        cmd = [
            sys.executable,
            '-m',
            'sphinx',
            '-q',
            '-b',
            'html',
            '-j',
            '2',
            '-c',
            str(ROOT / 'docs'),
            '-d',
            f'{tmp}/doctrees',
            *opts,
            str(src),
            f'{tmp}/html',
        ]
        if status := subprocess.call(cmd):
            return status
        shutil.rmtree(f'{tmp}/html/_sources', ignore_errors=True)
        if out.exists():
            shutil.rmtree(out)
        shutil.move(f'{tmp}/html', out)
    print(
        f'[site] {len(site.nbs)} pages in {time.monotonic() - t0:.0f} s: open {os.path.relpath(out)}/index.html'
    )
    return int(bool(site.broken))


if __name__ == '__main__':
    sys.exit(build(Path(sys.argv[1] if len(sys.argv) > 1 else ROOT / '_docs').resolve()))
