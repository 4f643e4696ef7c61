"Every acceptance check is somewhere in the notebooks, and a mutation is ready that breaks it. Nothing is executed: `make checks` measures."

import json
import re
from collections import Counter
import pytest
from conftest import ROOT
import checks


@pytest.fixture(scope='module')
def where():
    return checks.found()


def test_none_missing(where):
    "Every id is in a notebook or honestly in a later chapter, not both."
    there = {checks.demanded(x) for f in where for x in f['labels']}
    missing = [k for k in checks.CHECKS if k not in there and k not in checks.LATER]
    assert not missing, f'no notebook holds the checks {missing}'
    done = sorted(there & checks.LATER.keys())
    assert not done, f'{done} are in the notebooks: remove them from LATER in tools/checks.py'
    assert checks.LATER.keys() <= checks.CHECKS.keys()


def test_none_skipped(where):
    "No check hides in a cell that a flag skips, and each one computes `err`."
    for f in where:
        src = checks.code(checks.chapter(f['nb']))[f['cell']][1]
        assert not checks.SKIP.search(
            src
        ), f'{f["nb"]}: the check {f["labels"]} is in a cell that is skipped'
        assert re.search(
            r'\berr\b.*=', src
        ), f'{f["nb"]}: the check {f["labels"]} does not compute err'


def test_labels_once(where):
    "A label names one stretch of one notebook."
    twice = [
        k for k, n in Counter((f['nb'], x) for f in where for x in f['labels']).items() if n > 1
    ]
    assert (
        not twice
    ), f'these labels are used twice: {twice}; add a note, such as "sdarts-box (adversarial)"'


def test_none_besides(where):
    "Every check of a notebook is on the list, so that it is measured, broken and counted."
    besides = sorted({x for f in where for x in f['labels'] if not checks.demanded(x)})
    assert not besides, f'not in CHECKS of tools/checks.py: {besides}'


def test_each_can_be_broken(where):
    "Every check has a mutation, and every mutation has its check."
    labels = {(f['nb'], x) for f in where for x in f['labels']}
    aimed = {(b['at'], x) for b in checks.breaks() for x in b['check']}
    unbroken = sorted(labels - aimed)
    assert not unbroken, f'no mutation in tools/breaks.json for {unbroken}'
    named = {checks.demanded(x) for _, x in aimed}
    assert checks.CHECKS.keys() <= named, sorted(checks.CHECKS.keys() - named)
    assert not aimed - labels, f'tools/breaks.json aims at {sorted(aimed - labels)}: no such check'


@pytest.mark.parametrize('b', checks.breaks(), ids=lambda b: f'{b["check"][0]}: {b["broken"]}')
def test_mutation_applies(b):
    "The text to be broken occurs exactly once, in its notebook and, where a later chapter imports it, in its module."
    texts = {b['file']: '\n'.join(src for _, src in checks.code(checks.chapter(b['file'])))}
    if b['at'] != b['file']:
        texts |= {str(m := checks.module_of(b['file'])): (ROOT / m).read_text(encoding='utf-8')}
    for name, text in texts.items():
        assert (
            text.count(b['find']) == 1
        ), f'{name}: {b["find"]!r} occurs {text.count(b["find"])} times'
    assert b['find'] != b['replace']


def test_what_was_measured_is_kept():
    "docs/checks.txt names every check, measured and broken; its date and its figures are those of its day."
    text = (ROOT / 'docs' / 'checks.txt').read_text(encoding='utf-8')
    measured, broken = text.split('Broken on purpose')
    for part, how in ((measured, 'measured'), (broken, 'broken')):
        named = {checks.demanded(line.split('  ')[0]) for line in part.splitlines()}
        lacking = sorted(checks.CHECKS.keys() - named)
        assert not lacking, f'{lacking} not {how} in docs/checks.txt: make checks ARGS=--save'
    bad = [line for line in text.splitlines() if line.startswith(('BAD', 'MISSING', 'NEVER'))]
    assert not bad, bad


def test_listens():
    "Errors, tolerances and failures are heard; a cell without ears has no assertions left."
    src = '# check one-thing (a), another-thing: text\nerr = [.5, -2.]\nassert max(err) < 1 and err[0] > 0\ntest_eq(err[0], .25)\n# check third\nassert err[1] <= -1'
    ear = checks.Ear()
    checks.run_cell(src, 'cell', {}, ear)
    assert [(h[0], *h[2:]) for h in ear.heard] == [
        (['one-thing (a)', 'another-thing'], 0.5, 1.0, True),
        (['one-thing (a)', 'another-thing'], None, None, True),
        (['one-thing (a)', 'another-thing'], 0.25, 0.0, False),
        (['third'], 0.0, 1.0, True),
    ]
    assert checks.headline(ear.heard[:2])[2:4] == (0.5, 1.0)
    ns = {}
    checks.run_cell('assert False\ntest_eq(1, 2)\nx = 1', 'cell', ns, deaf=True)
    assert ns['x'] == 1


def test_checks_that_prose_names_exist():
    "Chapters say which check proves a sentence"
    gone = []
    for path in (ROOT / 'nbs').rglob('*.ipynb'):
        for cell in json.loads(path.read_text(encoding='utf-8'))['cells']:
            if cell['cell_type'] == 'markdown':
                text = ''.join(cell['source'])
                named = re.findall(r'\bcheck `([\w-]+)`', text)
                gone += [f'{path.name}: {n}' for n in named if n not in checks.CHECKS]
                gone += [f'{path.name}: {n}' for n in re.findall(r'\bcheck (?:E\.)?\d+\S*', text)]
    assert not gone, gone
