"Pages about the project itself: how it is put together, what was decided, where to begin, what changed."

import os, re
from pathlib import Path, PurePosixPath

import architecture
import first_issues
from site_pages import front

ROOT = Path(__file__).resolve().parent.parent
DECISIONS = ROOT / 'docs' / 'decisions'
PAGES = [
    'Contributing <project/contributing>',
    'Architecture <project/architecture>',
    'Decisions <project/decisions>',
    'First issues <project/first_issues>',
    'Changelog <project/changelog>',
]
DRAWN = """# Architecture

> Parts, modules, and who imports whom, drawn from the imports by `python tools/architecture.py`.

![Left, the parts of the package with arrows from what imports to what is imported; right, a dot for every import between
modules in reading order, all of them below the diagonal](architecture.svg)

The notebooks of the course come first: *the pieces* are chapters 00 to 09, *the search* chapters 10 to 18. The rooms follow in
the order `bench`, `reading`, `running`, `domains`, `systems`. {modules} modules, {imports} imports between them, none from a later
chapter: a test holds that, so a module can be read with what comes before it and nothing else.

What travels through them is told in [CONTRIBUTING](contributing.md): data, a batch, a loss that asks a distribution for mixing
weights, a step, a state, a trace, a genotype, a network.
"""


def linked(text: str, site, here: str, base='') -> str:
    "Links of a file of the repository (in the folder `base` of it) become links between pages."

    def link(m):
        target, mark, anchor = m[2].partition('#')
        path = PurePosixPath(os.path.normpath(PurePosixPath(base) / target).replace(os.sep, '/'))
        notebook = PurePosixPath(*path.parts[1:]) if path.parts[:1] == ('nbs',) else None
        if notebook in site.nbs:
            page = f'{site.page(notebook)}.ipynb'
            return f'{m[1]}({os.path.relpath(page, PurePosixPath(here).parent)}{mark}{anchor})'
        if not (ROOT / path).exists():
            site.broken.append(f'{here}: {m[2]}')
        return f'{m[1]}({site.blob}/{path}{mark}{anchor})'

    return re.sub(r'(\[[^\]]*\])\((?!\w+:|#)([^)\s]+)\)', link, text)


def decisions(site, here) -> str:
    "All of them on one page, newest last."
    out = ['# Decisions\n\n> What was decided, why, what was tried or could have been, and what it costs: ten lines each.']
    for path in sorted(DECISIONS.glob('*.md')):
        text = path.read_text(encoding='utf-8').replace('# ', '## ', 1)
        out.append(linked(text, site, here, 'docs/decisions'))
    return '\n\n'.join(out)


def write(src: Path, site):
    "The pages, below the folder that Sphinx reads."
    folder = src / 'project'
    folder.mkdir(exist_ok=True)

    def put(name, text, description):
        text = front(description) + linked(text, site, f'project/{name}')
        (folder / f'{name}.md').write_text(text, encoding='utf-8')

    read = lambda file: (ROOT / file).read_text(encoding='utf-8')
    put('changelog', read('CHANGELOG.md'), 'What changed in dnas_nb, version by version.')
    put('contributing', read('CONTRIBUTING.md'), 'How to set up, change and test dnas_nb.')
    counts = dict(modules=len(architecture.modules()), imports=len(architecture.edges()))
    architecture.draw(folder / 'architecture.svg')
    said = 'The parts of dnas_nb and who imports whom.'
    (folder / 'architecture.md').write_text(front(said) + DRAWN.format(**counts), encoding='utf-8')
    said = 'What was decided in dnas_nb, why, and what was tried.'
    (folder / 'decisions.md').write_text(front(said) + decisions(site, 'project/decisions'), encoding='utf-8')
    put('first_issues', first_issues.page(), 'Small tasks for a first contribution to dnas_nb.')
