"Pages of the site that no notebook holds: what modules offer, one page per method, the parts of the book, what belongs to the project."

import ast, csv, inspect, io, re, textwrap, tokenize
from dataclasses import dataclass, fields
from functools import cache, partial
from importlib import import_module
from pathlib import Path
from urllib.parse import quote

ROOT = Path(__file__).resolve().parent.parent
STAR = {inspect.Parameter.VAR_POSITIONAL: '*', inspect.Parameter.VAR_KEYWORD: '**'}
EMPTY = inspect.Parameter.empty
DOORS = """
::::{grid} 1 2 2 2
:gutter: 2

:::{grid-item-card} Start
Something works in ten minutes.

[Install](#installing) · {guides} · [nothing installed: in a browser]({binder})
:::

:::{grid-item-card} Learn
From one edge to a whole search: each chapter an idea, by hand first.

{parts}
:::

:::{grid-item-card} Look up
What is it called, what does it take, what does it give?

[Methods](methods/index.md) · [names in Python](reference/index.md) · [every name](genindex)
:::

:::{grid-item-card} Results
What held when it was measured here, and what did not.

{results}
:::
::::
"""


def slug(name) -> str:
    "A name as part of an address: `darts+` is darts-plus."
    return re.sub(r'[^a-z0-9-]+', '-', str(name).lower().replace('+', '-plus')).strip('-')


def cell(text) -> str:
    "Text for a cell of a Markdown table."
    return str(text).replace('|', '\\|').replace('\n', ' ')


def table(header, rows) -> str:
    lines = [header, ['---'] * len(header), *rows]
    return '\n'.join('| ' + ' | '.join(map(cell, row)) + ' |' for row in lines)


def front(description='', orphan=False) -> str:
    "What a page says of itself to Sphinx: a description for search engines, and whether any list of contents holds it."
    said = f'myst:\n  html_meta:\n    description: {quoted(description)}\n' if description else ''
    return f'---\n{"orphan: true" if orphan else ""}\n{said}---\n\n'


def quoted(text) -> str:
    return "'" + ' '.join(bare(text).split()).replace("'", "''") + "'"


def bare(text) -> str:
    "Markdown without its marks."
    text = re.sub(r'!?\[([^\]]*)\]\([^)]*\)', r'\1', text)
    return re.sub(r'[*`]', '', text)


# ------------------------------------------------------------------------------------ modules


def short(value, limit=60) -> str:
    "A default as a signature shows it."
    name = getattr(value, '__name__', None) if callable(value) else None
    text = name or re.sub(r' at 0x[0-9a-f]+', '', repr(value))
    return text if len(text) <= limit else text[:limit] + '...'


def kind(annotation) -> str:
    if annotation in (EMPTY, None):
        return ''
    if isinstance(annotation, str):
        return annotation
    return getattr(annotation, '__name__', str(annotation))


def signature(o) -> inspect.Signature:
    try:
        return inspect.signature(o)
    except (TypeError, ValueError):
        return inspect.Signature()


def called(o, bound=False) -> str:
    "`(a, b=1, *, c)` as Sphinx reads it, defaults short, annotations left to the table."
    out, named = [], False
    for p in list(signature(o).parameters.values())[int(bound) :]:
        if p.kind is p.VAR_POSITIONAL:
            named = True
        if p.kind is p.KEYWORD_ONLY and not named:
            out.append('*')
            named = True
        out.append(STAR.get(p.kind, '') + p.name + ('' if p.default is EMPTY else f'={short(p.default)}'))
    return '(' + ', '.join(out) + ')'


def docments_of(o) -> dict:
    from fastcore.docments import docments

    try:
        docs = docments(o, full=True)
    except Exception:
        return {}
    told = star_comments(o)
    for name, comment in told.items():
        docs[name] = dict(docs.get(name) or {}, docment=comment)
    return docs


def star_comments(o) -> dict:
    """What is said beside `*args` and `**given`, and of what is returned where they stand on lines of their own.

    `docments` takes the comment of a starred argument for that of the result."""
    f = o.__init__ if inspect.isclass(o) else o
    try:
        text = textwrap.dedent(inspect.getsource(f))
        defined = ast.parse(text).body[0]
    except (OSError, TypeError, SyntaxError, IndexError):
        return {}
    stars = [a for a in (defined.args.vararg, defined.args.kwarg) if a] if isinstance(defined, ast.FunctionDef) else []
    if not stars:
        return {}
    tokens = list(tokenize.generate_tokens(io.StringIO(text).readline))
    comments = {t.start[0]: t.string.lstrip('# ') for t in tokens if t.type == tokenize.COMMENT}
    end = head_end(tokens, defined)
    if stars[-1].lineno in (defined.lineno, end):
        return {}
    return {a.arg: comments.get(a.lineno) for a in stars} | {'return': comments.get(end)}


def head_end(tokens, defined) -> int:
    "The line on which the head of a function ends: that of its colon, outside of brackets."
    depth = 0
    for t in tokens:
        depth += (t.string in ('(', '[', '{')) - (t.string in (')', ']', '}')) if t.type == tokenize.OP else 0
        if t.start[0] >= defined.lineno and t.string == ':' and not depth:
            return t.start[0]
    return defined.lineno


def arguments(o) -> str:
    "Table of arguments: type, default, and the comment beside each (shapes stand there)."
    docs = docments_of(o)
    said = lambda name: (docs.get(name) or {}).get('docment') or ''
    sig = signature(o)
    rows = [
        (
            STAR.get(p.kind, '').replace('*', '\\*') + f'`{p.name}`',
            kind(p.annotation) and f'`{kind(p.annotation)}`',
            '' if p.default is EMPTY else f'`{short(p.default)}`',
            said(p.name),
        )
        for p in sig.parameters.values()
    ]
    result = kind(sig.return_annotation)
    if said('return') or result:
        rows.append(('returns', result and f'`{result}`', '', said('return')))
    keep = [i for i in range(4) if any(r[i] for r in rows)]  # no empty columns
    if not {1, 3} & set(keep):
        return ''
    header = 'argument', 'type', 'default', 'meaning'
    return table([header[i] for i in keep], [[r[i] for i in keep] for r in rows])


def doc_of(o) -> str:
    doc = o.__doc__ or ''
    if inspect.isclass(o) and doc.startswith(o.__name__ + '('):  # made by dataclass
        doc = ''
    return inspect.cleandoc(doc)


def directive(what, head, module, body, fence='````') -> str:
    return f'{fence}{{{what}}} {head}\n:module: {module}\n\n{body}\n{fence}'


def methods_of(cls, module) -> list:
    "Public methods that a class defines itself and says something about."
    out = []
    for name, f in vars(cls).items():
        held = f.fget if isinstance(f, property) else getattr(f, '__func__', f)
        if name.startswith('_') or not inspect.isfunction(held) or not held.__doc__:
            continue
        what, call = ('property', '') if isinstance(f, property) else ('method', called(held, bound=not isinstance(f, staticmethod)))
        out.append(directive(f'py:{what}', f'{cls.__name__}.{name}{call}', module, doc_of(held)))
    return out


@dataclass
class Known:
    "One public name of a module: the thing, and where it is taught and written."

    name: str
    thing: object
    module: str  # dnas_nb.space
    links: str  # Markdown: taught in ..., source

    @property
    def callable(self) -> bool:
        return inspect.isfunction(self.thing) or inspect.isclass(self.thing)

    @property
    def first(self) -> str:
        "What it is in a few words."
        if self.callable:
            return (doc_of(self.thing) or ' ').splitlines()[0]
        return f'value of type `{type(self.thing).__name__}`'

    def entry(self) -> str:
        "Signature, docstring, arguments, methods, links."
        if not self.callable:
            body = f'Value: `{short(self.thing, 200)}`'.replace('\n', ' ') + f'\n\n{self.links}'
            return directive('py:data', self.name, self.module, body)
        what = 'py:class' if inspect.isclass(self.thing) else 'py:function'
        inside = methods_of(self.thing, self.module) if inspect.isclass(self.thing) else []
        parts = [doc_of(self.thing), arguments(self.thing), self.links, *inside]
        body = '\n\n'.join(filter(None, parts))
        return directive(what, self.name + called(self.thing), self.module, body, '``````')


def known(site, path) -> list:
    "Every public name of a notebook's module."
    module = site.module[path]
    try:
        mod = import_module(f'dnas_nb.{module}')
    except Exception as e:
        print(f'[site] dnas_nb.{module} does not import ({e}): no page for it')
        return []
    out = []
    for name in getattr(mod, '__all__', []):
        anchor = f'#def-{name}' if path in site.defined.get(name, ()) else ''
        taught = f'<a href="../{site.page(path)}.html{anchor}">taught in {site.title(path)}</a>'
        source = f'<a href="{site.source_of(module, name)}">source</a>'
        links = f'<span class="taught">{taught} · {source}</span>'
        out.append(Known(name, getattr(mod, name, None), f'dnas_nb.{module}', links))
    return out


def module_page(site, path) -> str:
    "The page of one module."
    things, module = known(site, path), site.module[path]
    subtitle = site.subtitle(path)
    rows = [[f'{{py:obj}}`{t.name} <{t.module}.{t.name}>`', t.first] for t in things]
    return (
        front(f'Reference of dnas_nb.{module}: {subtitle}', orphan=True)
        + f'# dnas_nb.{module}\n\n> {subtitle}\n\n'
        + f'[Look up](index.md) › [{site.title(path)}](../{site.page(path)}.ipynb) teaches it.\n\n'
        + table(['name', 'what it is'], rows)
        + '\n\n'
        + '\n\n'.join(t.entry() for t in things)
        + '\n'
    )


def reference_page(module) -> str:
    return f'reference/{module}'


def door_names() -> list:
    from dnas_nb.running.door import NAMES

    return list(NAMES)


def door_entries() -> str:
    "The names at the door, as they are called there."
    from dnas_nb.running.door import NAMES, lookup

    out = []
    for name, (module, inside) in NAMES.items():
        thing = lookup(name)
        full = f'dnas_nb.{module}.{inside}'
        what = 'class' if inspect.isclass(thing) else 'function' if inspect.isfunction(thing) else 'data'
        head = name + (called(thing) if what != 'data' else '')
        said = doc_of(thing).partition('\n')[0] if what != 'data' else ''
        body = f'{said}\n\n{{py:obj}}`{full}` says more.'
        out.append(directive(f'py:{what}', head, 'dnas_nb', body.strip()))
    return '\n\n'.join(out)


def reference_index(site) -> str:
    "The door and the list of modules."
    rows = [
        [f'[`dnas_nb.{m}`]({m}.md)', f'[{site.title(p)}](../{site.page(p)}.ipynb)', site.subtitle(p)]
        for p, m in site.module.items()
    ]
    return (
        front('Every public name of dnas_nb: the door, then module by module.')
        + '# Names in Python\n\n> The door first, then every module, each name with signature, '
        'shapes, source, and the cell where it is taught.\n\n'
        'Other projects link here: `objects.inv` holds all names ([index of every name](genindex)).\n\n'
        '## The door\n\n`import dnas_nb as nas`, then `nas.search` and so on.\n\n'
        + door_entries()
        + '\n\n## Modules\n\n'
        + table(['module', 'chapter', 'what it is about'], rows)
        + '\n'
    )


# ------------------------------------------------------------------------------------ methods


def method_names() -> list:
    from dnas_nb.methods import FAMILIES

    return [method.name for rows in FAMILIES.values() for method in rows]


def papers() -> list:
    with open(ROOT / 'docs' / 'papers.csv', encoding='utf-8', newline='') as f:
        return [dict(row, methods=row['methods'].split()) for row in csv.DictReader(f)]


def of_method(name) -> list:
    "The papers of a method: its own first, then those that it borrows from."
    found = [p for p in papers() if name in p['methods']]
    return sorted(found, key=lambda p: p['methods'].index(name))


def cited(paper) -> str:
    title = f'*{paper["title"]}*'
    return f'[{title}]({paper["link"]})' if paper['link'] else title


def definitions(value) -> list:
    "Functions and classes of the package of which the value of a slot consists."
    if isinstance(value, (tuple, list)):
        return [d for v in value for d in definitions(v)]
    if isinstance(value, partial):
        return definitions(value.func) + [d for v in value.keywords.values() for d in definitions(v)]
    if inspect.isfunction(value) or inspect.isclass(value):
        return [value]
    inside = [d for v in getattr(value, '__dict__', {}).values() for d in definitions(v)]
    return [type(value), *inside]


def taught(site, value) -> str:
    "Links to the chapters that teach what a slot holds."
    places = {m: p for p, m in site.module.items()}
    out = {}
    for thing in definitions(value):
        path = places.get(getattr(thing, '__module__', '').removeprefix('dnas_nb.'))
        if path is None:
            continue
        anchor = f'#def-{thing.__name__}' if path in site.defined.get(thing.__name__, ()) else ''
        href = f'../{site.page(path)}.html{anchor}'
        out.setdefault(path, f'<a href="{href}">{site.title(path)}</a>')
    return ', '.join(out.values())


THUMBNAIL = re.compile(r'(<tr><td>(?:<a [^>]*>)?([\w+-]+)<.*?)</tr>', re.S)


@cache
def thumbnails(site) -> dict:
    "Name of a method -> `<img>` of its short search, as the gallery has stored it."
    nb = next((nb for path, nb in site.nbs.items() if path.name == 'gallery.ipynb'), dict(cells=[]))
    outputs = [out for cell in nb['cells'] for out in cell.get('outputs', [])]
    stored = ''.join(''.join(out.get('data', {}).get('text/html', '')) for out in outputs)
    rows = ((name, re.search(r'<img[^>]*>', row)) for row, name in THUMBNAIL.findall(stored))
    return {name: image[0] for name, image in rows if image}


def short_search(site, method) -> list:
    "What the gallery shows of a method, and what that is worth."
    image = thumbnails(site).get(method.name)
    if image is None:
        return []
    return [
        '## A short search',
        f'<a class="thumbnail" href="../tutorials/gallery.html">{image}</a>',
        'One seed, eight epochs, the 27 cells of the toy space: the shares of the operations on its three edges over time '
        '(grey is no operation, orange a skip, blue the convolution), the cell that was found, and the correlation where one '
        'is learned. It shows what the method does, not how good it is. [All methods](../tutorials/gallery.ipynb)',
    ]


@cache
def verdicts(site) -> list:
    "(path of a notebook, claim, verdict): what the last cells `VERDICTS` of notebooks have stored"
    out = []
    for path, nb in site.nbs.items():
        for cell in nb['cells']:
            if cell['cell_type'] != 'code' or ''.join(cell['source']).split('\n')[-1].strip() != 'VERDICTS':
                continue
            for shown in cell['outputs']:
                rows = ast.literal_eval(''.join(shown['data']['text/plain']))
                out += [(path, row['claim'], row['verdict']) for row in rows]
    return out


def found_here(site, method) -> list:
    "What was concluded about the papers of a method: claims that begin with the name of one."
    called = {p['called'].split(' (')[0].casefold() for p in of_method(method.name)}
    rows = []
    for path, claim, verdict in verdicts(site):
        whose, _, what = claim.partition(': ')
        if what and whose.casefold() in called:
            where = f'<a href="../{site.page(path)}.html">{site.title(path)}</a>'
            rows.append([f'{whose}: {what}', verdict.partition(': ')[0], where])
    if not rows:
        return []
    text = 'Each claim was tested at the scale of one machine, by a rule that its chapter states.'
    return [f'## What was found here\n\n{text}\n\n' + table(['claim', 'verdict', 'in'], rows)]


SLOTS = dict(
    init='how the architecture starts',
    relax='from logits to mixing weights',
    grad='the architecture gradient',
    arch_opt='how the architecture moves',
    penalties='added to the loss of the architecture',
    every='weight steps for each architecture step',
    inner='weight steps inside an estimate',
    calendar='when what happens',
    perturb='of the weight step',
    w_relax='mixing weights of the weight step',
    w_extra='added to the gradient of the weights',
    stages='what is pruned or grown',
    stop='when the search ends early',
    derive='how the cell is chosen',
    adapt='how the space is changed first',
    partial='one of so many channels passes the operations',
    buffers='entries that are no parameters',
)


def changed(site, method) -> list:
    "Rows of a table: the slots in which a method differs from first-order DARTS."
    from dnas_nb.bilevel import Method
    from dnas_nb.methods import slot_name

    rows = []
    for f in fields(Method):
        value = getattr(method, f.name)
        if f.name not in SLOTS or repr(value) == repr(f.default):
            continue
        rows.append([f'`{f.name}`', SLOTS[f.name], f'`{slot_name(value)}`', taught(site, value)])
    return rows


def method_page(site, method, family) -> str:
    "The page of one method."
    own = of_method(method.name)
    names = ', '.join(dict.fromkeys(p['called'] for p in own))
    first = bool(own) and own[0]['methods'][0] == method.name  # of the methods that its paper stands behind
    title = own[0]['called'] if first else method.name
    lines = [
        front(f'{method.name}: {own[0]["title"] if own else method.source}', orphan=True)
        + f'# {title}\n\n[Methods](index.md) › {family}',
        '> ' + (' · '.join(map(cited, own)) if own else method.source),
        table(['name here', f'`{method.name}`'], [['Source', method.source], ['Here', method.whose], ['Papers speak of', names or method.name]]),
        f'```sh\ndnas_search --method {method.name}\n```',
        f"```python\nimport dnas_nb as nas\n\nresult = nas.search(method='{method.name}', space='nb201', data='digits')\n```",
        '## What it changes\n\nEverything else is first-order DARTS.',
    ]
    rows = changed(site, method)
    lines.append(
        table(['slot', 'which is', 'holds', 'taught in'], rows) if rows else 'Nothing: it *is* that.'
    )
    lines += short_search(site, method)
    lines += found_here(site, method)
    lines.append('## Further\n\n' + ' · '.join(site.about_methods('..')))
    return '\n\n'.join(lines) + '\n'


def method_index(site, families) -> str:
    out = [
        front('Every method of dnas_nb by the name of its paper, and what it changes in the loop.')
        + '# Methods\n\n> Every method by its name here and by that of its paper: what it changes, where that is '
        'taught, and how to run it.\n\n'
        + ' · '.join(site.about_methods('..'))
    ]
    for title, rows in families.items():
        entries = []
        for m in rows:
            own = of_method(m.name)
            paper = f'{own[0]["called"]}: {cited(own[0])}' if own else m.source
            entries.append([f'[{m.name}]({slug(m.name)}.md)', paper, m.whose])
        out.append(f'## {title[0].upper() + title[1:]}\n\n' + table(['method', 'paper', 'whose'], entries))
    return '\n\n'.join(out) + '\n'


# ------------------------------------------------------------------------------------ parts, start, project


def part_page(site, title, paths) -> str:
    "One part of the book: its chapters, each with its subtitle."
    rows = [[f'[{site.title(p)}](../{site.page(p)}.ipynb)', site.subtitle(p)] for p in paths]
    entries = '\n'.join(f'{site.title(p)} </{site.page(p)}>' for p in paths)
    return (
        front(f'{title}: chapters of dnas_nb')
        + f'# {title}\n\n'
        + table(['chapter', 'what it is about'], rows)
        + f'\n\n```{{toctree}}\n:hidden:\n\n{entries}\n```\n'
    )


def doors(site) -> str:
    "The four doors of the start page."
    guides = ' · '.join(f'[{site.title(p)}]({site.page(p)}.ipynb)' for p in site.group('guides')[:3])
    parts = ' · '.join(f'[{title}](parts/{slug(title)}.md)' for title in site.parts())
    results = ' · '.join(f'[{site.title(p)}]({site.page(p)}.ipynb)' for p in site.results()[:4])
    first = next(iter(site.group('guides')), 'index.ipynb')
    text = DOORS.replace('{guides}', guides or '[two commands](#two-commands)')
    text = text.replace('{binder}', site.binder + quote(str(first), safe=''))
    return text.replace('{parts}', parts).replace('{results}', results)


def write(src: Path, site):
    "All of them, below the folder that Sphinx reads."
    from dnas_nb.methods import FAMILIES

    def put(name, text):
        path = src / f'{name}.md'
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding='utf-8')

    for path, module in site.module.items():
        put(reference_page(module), module_page(site, path))
    put('reference/index', reference_index(site))
    put('methods/index', method_index(site, FAMILIES))
    for family, rows in FAMILIES.items():
        for method in rows:
            put(f'methods/{slug(method.name)}', method_page(site, method, family))
    for title, paths in site.parts().items():
        put(f'parts/{slug(title)}', part_page(site, title, paths))
