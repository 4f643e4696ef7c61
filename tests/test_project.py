"What contributors find: the picture of the imports, small tasks, decisions of ten lines, environments for elsewhere."

import json, re, subprocess, sys
import pytest
import warm
from conftest import NBS, ROOT
import architecture, first_issues


def test_the_architecture_has_no_import_from_a_later_chapter():
    order = {name: k for k, (_, name) in enumerate(architecture.modules())}
    edges = architecture.edges()
    assert len(order) > 100 and len(edges) > 500
    assert not [(a, b) for a, b in edges if order[b] >= order[a]]


def test_the_picture_is_drawn(tmp_path):
    done = warm.run([sys.executable, ROOT / 'tools' / 'architecture.py', tmp_path / 'a.svg'])
    assert done.returncode == 0 and 'modules' in done.stdout, done.stderr
    assert '<svg' in (tmp_path / 'a.svg').read_text(encoding='utf-8')


def notebook(*cells):
    "Cells of a notebook: a text that begins with # or * is prose."
    return [
        dict(cell_type='markdown' if text[0] in '#*' else 'code', id=str(k), source=[text])
        for k, text in enumerate(cells)
    ]


def test_an_issue_is_what_is_missing():
    risk = '**What could go wrong**: a list that is empty. It is refused.'
    cells = notebook(risk, 'show([])', '## Next')
    ((_, said, code),) = first_issues.sections(cells)
    assert first_issues.first(said) == 'a list that is empty.' and not first_issues.ASSERTS.search(code)
    assert first_issues.first('- **A**: one. Two.\n- **B**: three') == '**A**: one.'
    assert first_issues.first('An end.\n\n- of **all**') == 'An end.'
    ((_, _, code),) = first_issues.sections(notebook(risk, 'fails(lambda: show([]))'))
    assert first_issues.ASSERTS.search(code)


def test_every_issue_names_a_cell_that_is_there():
    found = first_issues.issues()
    assert {i.missing for i in found} == {'lesson', 'check'}
    for issue in found:
        cells = json.loads((NBS / issue.notebook).read_text(encoding='utf-8'))['cells']
        assert issue.risk and issue.cell in [c['id'] for c in cells]


@pytest.mark.parametrize('path', sorted((ROOT / 'docs' / 'decisions').glob('*.md')), ids=lambda p: p.stem)
def test_a_decision_says_what_and_why_and_what_else(path):
    text = path.read_text(encoding='utf-8')
    assert re.match(r'\d\d-[a-z-]+$', path.stem) and text.startswith('# ')
    for part in 'What', 'Why', 'Price':
        assert f'**{part}.**' in text
    assert '**Tried.**' in text or '**Otherwise.**' in text
    for target in re.findall(r'\]\((?!\w+:|#)([^)#]+)', text):
        assert (path.parent / target).exists(), target


def test_environments_ask_for_extras_that_exist():
    settings = (ROOT / 'settings.ini').read_text(encoding='utf-8')
    for name in 'environment.yml', '.binder/requirements.txt':
        (extras,) = re.findall(r'\.\[([\w,]+)\]', (ROOT / name).read_text(encoding='utf-8'))
        assert all(f'\n{extra}_requirements' in settings for extra in extras.split(','))


def test_tests_of_a_group_stay_together(tmp_path):
    "Or each worker builds the site and the environments for itself: pytest 9.2 and xdist 3.8 do not keep groups"
    (tmp_path / 'test_group.py').write_text(
        'import time, pytest\n'
        "pytestmark = pytest.mark.xdist_group('one')\n"
        "@pytest.mark.parametrize('k', range(6))\n"
        'def test_it(k, worker_id, record_property):\n'
        '    time.sleep(0.1)\n'
        "    print('made by', worker_id)\n"
    )
    line = '-m pytest -n 2 --dist loadgroup -rA -p no:cacheprovider test_group.py'
    done = subprocess.run(
        [sys.executable, *line.split()], cwd=tmp_path, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stdout
    made = re.findall(r'^made by (gw\d)', done.stdout, re.M)
    assert len(made) == 6 and len(set(made)) == 1, made
