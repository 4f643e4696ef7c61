"Table files: written, read, found, and refused when they are not what they should be."
import json
import numpy as np
import pytest
from dnas_nb import tablefile as tf
from dnas_nb.bench import accuracies, index, load, query, rank, regret, splits
from dnas_nb.core import UserError
from dnas_nb.genotype import all_archs, from_ops, to_str
from dnas_nb.space import nb201

ABOUT = dict(name='mini', space='nb201', source='made up', licence='Apache-2.0') | tf.NB201_NAMES
CODES = np.array([[0]*6, [1]*6, [3]*6, [3, 3, 3, 3, 3, 0]], 'u1')
COLS = {'codes': CODES, 'row_of': np.array([0, 1, 2, 2]), 'digits/test/30/mean': np.array([10., 60., 95.], 'f4'), 'digits/params': np.array([1, 2, 3])}


def fails(f, *parts):
    "`f` raises a one-line `UserError` that holds all `parts`."
    with pytest.raises(UserError) as e: f()
    text = str(e.value)
    assert '\n' not in text and all(p in text for p in parts), text


@pytest.fixture
def folder(tmp_path, monkeypatch):
    monkeypatch.setenv('DNAS_DATA', str(tmp_path))
    monkeypatch.setattr(tf, 'package_tables', lambda: tmp_path/'inside')
    return tmp_path


def rewrite(path, columns, header):
    "A file in the format with whatever content."
    with open(path, 'wb') as f: np.savez_compressed(f, header=np.frombuffer(json.dumps(header).encode(), np.uint8), **columns)
    return path


def test_distinct_rows(folder):
    "Names of one function share a row, and a search asks by any of them."
    tf.write_table(folder/'mini.npz', COLS, ABOUT)
    t = load('mini')
    assert len(t) == 4 and t.row_of.tolist() == [0, 1, 2, 2]
    same = [from_ops(nb201(), c) for c in CODES[2:].tolist()]
    assert query(t, same[0]).equals(query(t, same[1])) and rank(t, same[1], 'digits').rank == 1 and regret(t, 0, 'digits') == 85
    assert splits(t).split.tolist() == ['test']


def test_package_wins(folder):
    "A table in the package is found first, and is listed."
    (folder/'inside').mkdir()
    tf.write_table(folder/'mini.npz', COLS, ABOUT)
    tf.write_table(folder/'inside'/'mini.npz', COLS | {'digits/test/30/mean': np.zeros(3)}, ABOUT)
    assert accuracies(load('mini'), 'digits').max() == 0 and 'mini' in tf.table_names()


def test_all_names_from_codes():
    "Codes give the strings of the genotypes."
    gs = list(all_archs(nb201()))[::97]
    codes = np.array([[tf.NB201_OPS.index(o) for *_, o in g.cells[0][1]] for g in gs])
    order = [(i, j) for i, j, _ in gs[0].cells[0][1]]
    assert order == [(0, 1), (0, 2), (1, 2), (0, 3), (1, 3), (2, 3)]
    assert tf.arch_names({'codes': codes}, tf.NB201_NAMES) == [to_str(g) for g in gs]
