"Cells for a GPU: which are made in which order, and what stays; the GPU is a fake that says it is there."

import json
import pytest
import run_notebooks
from conftest import ROOT, notebooks


def written(path, *sources):
    cells = [
        dict(cell_type='code', id=f'c{i}', metadata={}, source=s, outputs=[], execution_count=None)
        for i, s in enumerate(sources)
    ]
    kernel = dict(name='python3', display_name='python3', language='python')
    nb = dict(cells=cells, metadata=dict(kernelspec=kernel), nbformat=4, nbformat_minor=5)
    path.write_text(json.dumps(nb))
    return path


def shown(path):
    "The text below each cell"
    cells = json.loads(path.read_text())['cells']
    return [''.join(o['text'][0].strip() for o in cell['outputs']) for cell in cells]


@pytest.fixture
def gpu(monkeypatch):
    monkeypatch.setattr(run_notebooks, 'has_cuda', lambda: True)


def test_without_a_gpu_a_line_says_so(monkeypatch, capsys):
    monkeypatch.setattr(run_notebooks, 'has_cuda', lambda: False)
    assert run_notebooks.main(['--cuda']) == 1
    assert capsys.readouterr().out.count('\n') == 1


def test_only_outputs_of_gpu_cells_are_made(gpu, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    slow = "#| slow\nprint('slow')"
    training = "#| cuda\n#| slow\nprint('trained', x)"
    path = written(tmp_path / 'a.ipynb', "x = 3\nprint('plain')", slow, "#| cuda\nprint(x)", training)
    assert run_notebooks.main(['--cuda', str(path)]) == 0
    assert shown(path) == ['', '', '3', 'trained 3']
    assert run_notebooks.without_outputs([path]) == []


def test_trainings_are_left_alone_otherwise(gpu, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    path = written(tmp_path / 'a.ipynb', '#| cuda\nprint(1)', '#| cuda\n#| slow\nprint(2)', 'print(3)')
    assert run_notebooks.main([str(path)]) == 0
    assert shown(path) == ['1', '', '3']


def test_what_was_made_stays_when_a_later_cell_fails(gpu, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    path = written(tmp_path / 'a.ipynb', '#| cuda\nprint(1)', '#| cuda\nprint(nothing)')
    assert run_notebooks.main(['--cuda', str(path)]) == 1
    assert shown(path) == ['1', ''] and run_notebooks.without_outputs([path]) == [path]


def test_the_cheapest_come_first(tmp_path):
    long = written(tmp_path / 'a.ipynb', '#| cuda\n#| minutes: 40\nprint(1)')
    short = written(tmp_path / 'b.ipynb', '#| cuda\nprint(1)', '#| cuda\n#| minutes: 2.5\nprint(1)')
    none = written(tmp_path / 'c.ipynb', 'print(1)')
    assert run_notebooks.without_outputs([long, short, none]) == [short, long]
    assert run_notebooks.minutes(short) == 2.6


def test_trainings_of_the_project_say_what_they_take():
    "Each is slow, names its minutes and its run folder, and stands below a text that says whether it was run"
    found = 0
    for path in notebooks():
        cells = json.loads(path.read_text())['cells']
        for before, cell in zip(cells, cells[1:]):
            if not (run_notebooks.flagged(cell, 'cuda') and run_notebooks.flagged(cell, 'minutes')):
                continue
            found += 1
            source = ''.join(cell['source'])
            assert run_notebooks.flagged(cell, 'slow') and 'runs/cuda' in source, path.name
            said = 'has not been made yet on a GPU' in ''.join(before['source'])
            assert said != bool(cell['outputs']), path.name
    assert found >= 6


def test_a_styled_table_is_the_same_text_in_each_run():
    "pandas names it by chance; in an output it has the name of its cell"
    import pandas as pd

    def shown(k):
        return [dict(data={'text/html': pd.DataFrame(dict(a=[1])).style._repr_html_()})]

    first, second = (run_notebooks.named(shown(k), 'c0ffee') for k in range(2))
    assert first == second and 'T_c0ffee0_row0_col0' in ''.join(first[0]['data']['text/html'])
    assert shown(0) != shown(1)
