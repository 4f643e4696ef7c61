"""Good first issues, from what the chapters say could go wrong: `python tools/first_issues.py`.

Each chapter names its risks and shows, mostly in the next cell, what happens. An issue is what is missing there:
a lesson (nothing asserts it), or a check with a mutation (it is asserted, but nobody has shown that the assertion can fail).
"""

import json, re
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
HERE = re.compile(r'\*\*What could go wrong:?\*\*[:.]?|^#+ What could go wrong', re.M)
ASSERTS = re.compile(r'\bassert\b|\btest_\w+\(|\bfails\(|\braises\(')


@dataclass(frozen=True)
class Issue:
    "One thing that a newcomer could do"

    notebook: str
    cell: str
    risk: str  # what the chapter says
    missing: str  # a lesson, or a check

    @property
    def task(self) -> str:
        if self.missing == 'lesson':
            return 'write a cell below that shows it and asserts what happens'
        return 'name its assertion `# check …` and add a mutation to tools/breaks.json that it catches'


def broken() -> set:
    "Names of the checks that some mutation breaks."
    entries = json.loads((ROOT / 'tools' / 'breaks.json').read_text(encoding='utf-8'))
    listed = [e['check'] for e in entries]
    return {name for names in listed for name in ([names] if isinstance(names, str) else names)}


def sections(cells):
    "(cell, text, code) of every place that says what could go wrong; code: the cells up to the next heading."
    for i, cell in enumerate(cells):
        text = ''.join(cell['source'])
        if cell['cell_type'] != 'markdown' or not (m := HERE.search(text)):
            continue
        said, code = text[m.end() :].strip(), []
        for after in cells[i + 1 :]:
            source = ''.join(after['source'])
            if after['cell_type'] == 'code':
                code.append(source)
            elif re.match(r'#+ ', source):
                break
            elif not code and not said:
                said = source.strip()
        yield cell, said, '\n'.join(code)


def first(text) -> str:
    "The first sentence; of a list, that of its first entry."
    text = re.split(r'^[-*] +', text, maxsplit=2, flags=re.M)
    text = text[1] if len(text) > 1 and not text[0].strip() else text[0]
    line = ' '.join(re.sub(r'\[([^\]]*)\]\([^)]*\)', r'\1', text).split())
    return re.split(r'(?<=[.:;]) +(?=[A-Z*])', line)[0].rstrip(':;')


def issues() -> list:
    "All of them, in reading order."
    out, proven = [], broken()
    for path in sorted((ROOT / 'nbs').rglob('*.ipynb')):
        place = path.relative_to(ROOT / 'nbs')
        if any(s[0] in '._' for s in place.parts) or place.parts[0] in ('guides', 'papers', 'tutorials'):
            continue  # limits of a claim are nothing that a cell could show; a guide shows its risks and asserts nothing
        cells = json.loads(path.read_text(encoding='utf-8'))['cells']
        for cell, said, code in sections(cells):
            if not ASSERTS.search(code):
                missing = 'lesson'
            elif not proven & set(re.findall(r'# check ([\w-]+)', code)):
                missing = 'check'
            else:
                continue
            out.append(Issue(place.as_posix(), cell.get('id', ''), first(said), missing))
    return out


def markdown(prefix='nbs/') -> str:
    "The list for people."
    lines = []
    for missing, title in dict(lesson='Nothing shows it yet', check='Nothing shows that the test can fail').items():
        chosen = [i for i in issues() if i.missing == missing]
        if chosen:
            lines.append(f'## {title} ({len(chosen)})\n\nFor each: {chosen[0].task}.\n')
            lines += [f'- [{i.notebook.removesuffix(".ipynb")}]({prefix}{i.notebook}): {i.risk}' for i in chosen]
            lines.append('')
    return '\n'.join(lines)


def page() -> str:
    "The list as a page of the site."
    return (
        '# First issues\n\n> What chapters say could go wrong, and nothing shows yet: small, self-contained, '
        'each in one notebook. Made by `python tools/first_issues.py`.\n\n' + markdown()
    )


if __name__ == '__main__':
    print(markdown())
