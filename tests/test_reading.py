"How package and notebooks read: what would be cut off, what is said twice; and that the report counts what it says."

import json
import re
from html.parser import HTMLParser

import pytest
import reading
import symbols
from conftest import notebooks


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


class _Tables(HTMLParser):
    "The longest word of every cell of a table, row by row; long cells are broken between words"

    def __init__(self):
        super().__init__()
        self.rows, self.text = [], None

    def handle_starttag(self, tag, attrs):
        if tag == 'tr':
            self.rows.append([])
        if tag in ('td', 'th'):
            self.text, self.span = '', int(dict(attrs).get('colspan', 1))

    def handle_data(self, data):
        if self.text is not None:
            self.text += data

    def handle_endtag(self, tag):
        if tag in ('td', 'th') and self.text is not None:
            word = max(map(len, self.text.split()), default=0)
            self.rows[-1] += [word if self.span == 1 else 0] * self.span
            self.text = None

    def pixels(self):
        "About what JupyterLab needs: 6.6 a letter and 18 beside each column"
        columns = max(map(len, self.rows), default=0)
        padded = [[0] * (columns - len(row)) + row for row in self.rows]
        return sum(6.6 * max(words) + 18 for words in zip(*padded))


def pixels(html):
    tables = _Tables()
    tables.feed(re.sub(r'<style.*?</style>', '', html, flags=re.S))
    return tables.pixels()


def test_no_table_is_wider_than_the_page():
    "At 1,280 pixels JupyterLab leaves 1,112 for an output (measured, as were tables of known width)"
    wide = []
    for path in notebooks():
        for cell in json.loads(path.read_text())['cells']:
            for shown in cell.get('outputs', []):
                html = ''.join(shown.get('data', {}).get('text/html', ''))
                if '<table' in html and pixels(html) > 1100:
                    wide.append(f'{path.name}, cell {cell["id"]}: {pixels(html):.0f} pixels')
    assert not wide, '\n'.join(wide)
    row = '<tr>' + '<td>a word of eighteen</td>' * 20 + '</tr>'
    assert 1100 < pixels(f'<table>{row}</table>') < 1600


HEART = '02_ops 03_space 05_supernet 10_distribution 10a_dirichlet 11_dependence 12_hypergrad 13_bilevel'


@pytest.mark.parametrize('name', HEART.split())
def test_words_say_what_the_letters_of_a_formula_are(name, tmp_path):
    "Where each first stands; and the tool notices a letter that nobody explains"
    path = next(p for p in notebooks() if p.stem == name)
    rows = symbols.symbols(path)
    untold = [s.letter for s in rows if not s.told and s.letter not in symbols.USUAL]
    assert rows and not untold
    nb = dict(cells=[dict(cell_type='markdown', source='Then $$z = qy$$ follows, a sum of $y$.')])
    (tmp_path / 'x.ipynb').write_text(json.dumps(nb))
    found = symbols.symbols(tmp_path / 'x.ipynb')
    assert [(s.letter, s.told) for s in found] == [('z', False), ('q', False), ('y', False)]
