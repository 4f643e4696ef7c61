"How package and notebooks read: what would be cut off, what is said twice; and that the report counts what it says."

import pytest
import reading


@pytest.fixture(scope='module')
def modules():
    return reading.read_package()


def test_no_line_is_cut_off_and_every_name_has_one_owner(modules):
    found = reading.faults(modules)
    assert not found, '\n'.join(found[:20])


def test_code_is_unfolded(modules):
    "In the mean over the package; a single numeric function may be denser."
    lines, names = sum(m.lines for m in modules), sum(len(m.public) for m in modules)
    assert sum(m.nodes for m in modules) / sum(m.body_lines for m in modules) <= 14
    assert 1000 * sum(m.semicolons for m in modules) / lines <= 2
    assert 1000 * sum(m.lambdas for m in modules) / lines <= 6
    assert names / len(modules) <= 14 and sum(m.alone for m in modules) / names <= 0.2


def test_the_report_counts(tmp_path, monkeypatch):
    "A module with one of each."
    monkeypatch.setattr(reading, 'ROOT', tmp_path)
    for folder in 'dnas_nb', 'nbs':
        (tmp_path / folder).mkdir()
    path = tmp_path / 'dnas_nb' / 'odd.py'
    path.write_text('''__all__ = ['f']
from dnas_nb.core import brief
def f(x):
    "Said"
    a = 1; b = [[y for y in range(3)] for _ in x]
    return (lambda: a)  #''' + 'x' * 100 + '\n')
    m = reading.read_module(path)
    assert (m.name, m.public, m.semicolons, m.lambdas, m.nested, m.wide) == (
        'odd',
        ['f'],
        1,
        1,
        1,
        [6],
    )
    assert (
        m.imports == [('core', 'brief')] and m.body_lines == 2 and m.functions['f'] == m.nodes > 20
    )
    other = reading.Module('other', public=['f', 'g'])
    assert reading.exported_twice([m, other]) == {'f': ['odd', 'other']}
    assert reading.faults([m, other]) == [
        'dnas_nb.odd, line 6: over 100 columns',
        'f is exported by odd, other',
    ]
