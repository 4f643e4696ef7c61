"""Is a release ready? `python tools/release.py [--tag v0.2.0]` prints its notes, or says in one line each what is missing.

One version in settings.ini, CITATION.cff, the package and the heading of CHANGELOG.md; a tag must be that version,
and then the heading carries the date of the release.
"""

import argparse, re, sys
from configparser import ConfigParser
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
HEADING = re.compile(r'^## (\S+) \((unreleased|\d{4}-\d\d-\d\d)\)$', re.M)


def read(root, name) -> str:
    return (root / name).read_text(encoding='utf-8')


def versions(root: Path) -> dict:
    "Where a version is stated -> what is stated there."
    settings = ConfigParser(delimiters=['='])
    settings.read(root / 'settings.ini', encoding='utf-8')
    found = dict(
        CITATION=re.search(r'^version: (\S+)$', read(root, 'CITATION.cff'), re.M),
        package=re.search(r'^__version__ = "(.+)"$', read(root, 'dnas_nb/__init__.py'), re.M),
        CHANGELOG=HEADING.search(read(root, 'CHANGELOG.md')),
    )
    stated = {place: m[1] if m else 'nothing' for place, m in found.items()}
    return dict(settings=settings['DEFAULT']['version']) | stated


def notes(root: Path, version: str) -> tuple:
    "Date, or 'unreleased', and text of the section of a version; ('', '') where there is none."
    text = read(root, 'CHANGELOG.md')
    heads = list(HEADING.finditer(text))
    for head, after in zip(heads, [*heads[1:], None]):
        if head[1] == version:
            return head[2], text[head.end() : after and after.start()].strip()
    return '', ''


def faults(root: Path, tag=None) -> list:
    "What stands in the way of a release."
    stated = versions(root)
    version = stated['settings']
    out = [
        f'{place} states {v}, settings.ini {version}' for place, v in stated.items() if v != version
    ]
    date, text = notes(root, version)
    if not text:
        out.append(f'CHANGELOG.md has no section "## {version} (unreleased)" with something in it')
    if tag and tag != f'v{version}':
        out.append(f'the tag is {tag}, the version {version}')
    if tag and date == 'unreleased':
        out.append(f'CHANGELOG.md: the heading of {version} has no date yet')
    return out


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument('--tag', help='of the release: v0.2.0')
    tag = parser.parse_args().tag
    if found := faults(ROOT, tag):
        sys.exit('\n'.join(found))
    print(notes(ROOT, versions(ROOT)['settings'])[1])


if __name__ == '__main__':
    main()
