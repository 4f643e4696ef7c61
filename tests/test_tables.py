"Table files: written, read, found, and refused when they are not what they should be."

import json
import numpy as np
import pytest
from conftest import fails
from dnas_nb.bench import tablefile as tf
from dnas_nb.bench.tables import (
    accuracies,
    index,
    load,
    make_table,
    plot_best_of_n,
    plot_distribution,
    plot_valid_test,
    query,
    rank,
    regret,
    splits,
)
from dnas_nb.core import UserError
from dnas_nb.genotype import all_archs, from_ops, to_str
from dnas_nb.space import nb201, toy

ABOUT = dict(name='mini', space='nb201', source='made up', licence='Apache-2.0') | tf.NB201_NAMES
CODES = np.array([[0] * 6, [1] * 6, [3] * 6, [3, 3, 3, 3, 3, 0]], 'u1')
COLS = {
    'codes': CODES,
    'row_of': np.array([0, 1, 2, 2]),
    'digits/test/30/mean': np.array([10.0, 60.0, 95.0], 'f4'),
    'digits/params': np.array([1, 2, 3]),
}


@pytest.fixture
def folder(tmp_path, monkeypatch):
    monkeypatch.setenv('DNAS_DATA', str(tmp_path))
    monkeypatch.setattr(tf, 'package_tables', lambda: tmp_path / 'inside')
    return tmp_path


def rewrite(path, columns, header):
    "A file in the format with whatever content."
    with open(path, 'wb') as f:
        np.savez_compressed(
            f, header=np.frombuffer(json.dumps(header).encode(), np.uint8), **columns
        )
    return path


def test_distinct_rows(folder):
    "Names of one function share a row, and a search asks by any of them."
    tf.write_table(folder / 'mini.npz', COLS, ABOUT)
    t = load('mini')
    assert len(t) == 4 and t.row_of.tolist() == [0, 1, 2, 2]
    same = [from_ops(nb201(), c) for c in CODES[2:].tolist()]
    assert (
        query(t, same[0]).equals(query(t, same[1]))
        and rank(t, same[1], 'digits').rank == 1
        and regret(t, 0, 'digits') == 85
    )
    assert splits(t).split.tolist() == ['test']


def test_package_wins(folder):
    "A table in the package is found first, and is listed."
    (folder / 'inside').mkdir()
    tf.write_table(folder / 'mini.npz', COLS, ABOUT)
    tf.write_table(
        folder / 'inside' / 'mini.npz', COLS | {'digits/test/30/mean': np.zeros(3)}, ABOUT
    )
    assert accuracies(load('mini'), 'digits').max() == 0 and 'mini' in tf.table_names()


def test_all_names_from_codes():
    "Codes give the strings of the genotypes."
    gs = list(all_archs(nb201()))[::97]
    codes = np.array([[tf.NB201_OPS.index(o) for *_, o in g.cells[0][1]] for g in gs])
    order = [(i, j) for i, j, _ in gs[0].cells[0][1]]
    assert order == [(0, 1), (0, 2), (1, 2), (0, 3), (1, 3), (2, 3)]
    assert tf.arch_names({'codes': codes}, tf.NB201_NAMES) == [to_str(g) for g in gs]


def test_same_bytes(tmp_path):
    a = tf.write_table(tmp_path / 'a.npz', COLS, ABOUT).read_bytes()
    assert (
        tf.write_table(tmp_path / 'b.npz', dict(reversed(COLS.items())), ABOUT).read_bytes() != b''
        and tf.write_table(tmp_path / 'a.npz', COLS, ABOUT).read_bytes() == a
    )
    assert sorted(p.name for p in tmp_path.iterdir()) == ['a.npz', 'b.npz']


@pytest.mark.parametrize('dtype', ['?', 'i1', '<i8', '>i4', 'u2', 'f4', '>f8', 'U3'])
def test_types(tmp_path, dtype):
    a = np.array([0, 1, 1]).astype(dtype)
    got = tf.read_table(
        tf.write_table(tmp_path / 't.npz', {'arch': ['a', 'b', 'c'], 'd/x': a}, ABOUT)
    )[0]['d/x']
    assert got.dtype == a.dtype and (got == a).all()


@pytest.mark.parametrize(
    'columns, part',
    [
        ({}, 'arch'),
        ({'d/x': [1]}, 'arch'),
        ({'arch': ['a'], 'd/x': [1, 2]}, 'one length'),
        ({'arch': ['a'], 'd/x': [{}]}, 'numbers or text'),
        ({'arch': ['a'], 'd/x': 1}, 'numbers or text'),
        ({'arch': ['a'], 'header': [1]}, 'cannot be called'),
        ({'arch': ['a'], '../x': [1]}, 'cannot be called'),
        ({'arch': ['a'], '': [1]}, 'cannot be called'),
        ({'arch': ['a', 'b'], 'row_of': [0], 'd/x': [1]}, 'row_of'),
        ({'arch': ['a', 'b'], 'row_of': [0, 1], 'd/x': [1]}, 'outside'),
        ({'arch': ['a', 'b'], 'row_of': [0.0, 0.0], 'd/x': [1]}, 'whole numbers'),
        ({'arch': ['a', 'b'], 'row_of': [0, -1], 'd/x': [1]}, 'outside'),
    ],
)
def test_bad_columns(tmp_path, columns, part):
    fails(lambda: tf.write_table(tmp_path / 't.npz', columns, ABOUT), part)
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize('key', tf._NEEDS)
def test_header_must_say(tmp_path, key):
    fails(lambda: tf.write_table(tmp_path / 't.npz', COLS, ABOUT | {key: ''}), key)


@pytest.mark.parametrize(
    'change, part',
    [
        (
            lambda c, h: c.update({'digits/test/30/mean': c['digits/test/30/mean'] + 1e-5}),
            'digits/test/30/mean not as written',
        ),
        (
            lambda c, h: c.update({'digits/params': c['digits/params'].astype('i4')}),
            'checksum mismatch',
        ),
        (lambda c, h: c.pop('digits/params'), 'no array digits/params'),
        (lambda c, h: h.update(licence='mine'), 'header was changed'),
        (lambda c, h: h.update(options=['a'] * 5), 'header was changed'),
        (lambda c, h: h.pop('sha256'), 'header was changed'),
        (lambda c, h: h.update(format='dnas_nb table 2'), "'dnas_nb table 2'"),
        (lambda c, h: h.pop('columns'), 'damaged'),
        (lambda c, h: h.update(columns=3), 'damaged'),
    ],
)
def test_changed(folder, change, part):
    c, h = tf.read_table(tf.write_table(folder / 'mini.npz', COLS, ABOUT))
    c = dict(c)
    change(c, h)
    rewrite(folder / 'mini.npz', c, h)
    fails(lambda: load('mini'), part)


def test_any_byte(folder):
    "Cut off anywhere, or one byte flipped: refused in one line, or (the archive's unused fields) the same content."
    path = tf.write_table(folder / 'mini.npz', COLS, ABOUT)
    good, want = path.read_bytes(), tf.read_table(path)[1]['sha256']
    for i in range(0, len(good), 7):
        path.write_bytes(good[:i])
        fails(lambda: tf.read_table(path))
        path.write_bytes(good[:i] + bytes([good[i] ^ 0x55]) + good[i + 1 :])
        try:
            assert tf.read_table(path)[1]['sha256'] == want
        except UserError as e:
            assert '\n' not in str(e)


def test_wrong_benchmark(folder):
    tf.write_table(folder / 'nasbench201.npz', COLS, ABOUT)
    fails(lambda: load('nasbench201'), "holds the table 'mini', not 'nasbench201'")
    np.savez(folder / 'nas_bench_macro.npz', choices=np.zeros((1, 8)))
    fails(lambda: load('nas_bench_macro'), 'another benchmark', 'SHA-256')


def test_objects_are_not_read(folder):
    "A pickle inside the archive is not opened."
    np.savez(folder / 'mini.npz', header=np.array([{}], object))
    fails(lambda: load('mini'), 'pickled objects')


def test_bomb(folder):
    import zipfile

    with zipfile.ZipFile(folder / 'mini.npz', 'w', zipfile.ZIP_DEFLATED) as z:
        with z.open('header.npy', 'w', force_zip64=True) as f:
            [f.write(bytes(1 << 20)) for _ in range(300)]
    fails(lambda: load('mini'), 'would unpack to 300 MB')


def test_outside(folder):
    tf.write_table(folder / 'mini.npz', COLS, ABOUT)
    t = load('mini')
    arch = to_str(from_ops(nb201(), ['avg_pool_3x3'] * 6))
    for f in (index, query):
        fails(lambda: f(t, arch), 'does not hold the architecture', arch)
    fails(lambda: accuracies(t, 'digits', 'valid'), 'there are: test')
    fails(lambda: accuracies(t, 'digits', 'test', 200), 'there are: 30')


@pytest.mark.parametrize(
    'options, template', [(None, None), (['a'], '{}' * 6), (['a'] * 4, '{}' * 5), (['a'] * 4, '')]
)
def test_bad_names(folder, options, template):
    tf.write_table(folder / 'mini.npz', COLS, ABOUT | dict(options=options, template=template))
    fails(lambda: load('mini'), 'code')


def test_names_are_not_formats():
    "A template cannot reach into objects."
    assert tf.arch_names(
        {'codes': np.array([[0]])}, dict(options=['{0.__class__}'], template='{}!{0.x}')
    ) == ['{0.__class__}!{0.x}']


def test_names_file_missing(folder):
    (folder / tf.PUBLISHED['hw_nas_bench_201'].file).write_bytes(b'x')
    fails(lambda: load('hw_nas_bench_201'), 'SHA-256')


@pytest.mark.parametrize('name', ['../x', 'a/b/../c', '', 'x\n', 3, None])
def test_odd_name(name):
    fails(lambda: load(name), 'unknown benchmark table')


def test_size_and_macro_names():
    "A genotype finds its row in the notation of its benchmark, and a row name is an architecture."
    from dnas_nb.bench.tables import make_table, row_name
    from dnas_nb.genotype import random_arch
    from dnas_nb.spaces import macro, size
    from dnas_nb.core import generator

    for space, pattern in ((size(), r'(\d+:){4}\d+'), (macro(), '[012]{8}')):
        g = random_arch(space, generator('names'))
        t = make_table('t', space.name, [row_name(g)], {('d', 'test', 1, '1'): [1.0]})
        assert index(t, g) == index(t, to_str(g)) == index(t, row_name(g)) == 0
        fails(lambda: index(t, random_arch(space, generator('other'))), 'does not hold')
        fails(lambda: index(t, '9' * 8), 'rows such as')


published = pytest.mark.skipif(
    any(tf.find_data(p.file) is None for p in tf.PUBLISHED.values()),
    reason='no data folder here, see DNAS_DATA',
)


@published
@pytest.mark.parametrize('name', tf.PUBLISHED)
def test_published(name, tmp_path):
    "Every published table loads, has its rows, and says the same after it was written in our format."
    t, p = load(name), tf.PUBLISHED[name]
    assert (
        len(t) == p.rows
        and t.frame.index.is_unique
        and t.space == p.space
        and t.provenance['licence']
    )
    columns, header = tf.open_table(name)
    again = load(
        name,
        tf.write_table(
            tmp_path / f'{name}.npz', columns, {k: v for k, v in header.items() if k != 'sha256'}
        ),
    )
    assert again.frame.equals(t.frame) and again.costs.equals(t.costs) and again.units == t.units
    for d, split, *_ in t.frame.columns:
        assert rank(t, int(np.nanargmax(accuracies(t, d, split))), d, split).rank == 1


@published
@pytest.mark.parametrize(
    'name, has',
    [
        ('nats_bench_size', 'test'),
        ('nas_bench_macro', 'test'),
        ('accel_nasbench', 'valid, valid_top5'),
    ],
)
def test_lacking_split(name, has):
    fails(
        lambda: accuracies(load(name), load(name).frame.columns[0][0], 'train'), f'there are: {has}'
    )


@published
def test_order_is_the_genotypes():
    "Operations and names of NAS-Bench-201 agree with the strings in its file; the hardware tables have the same rows."
    z = tf.read_arrays(tf.find_data('nasbench201.npz'), ('arch_str',))
    t = load('nasbench201')
    assert (
        t.frame.index.tolist()
        == z['arch_str'].tolist()
        == load('hw_nas_bench_201').frame.index.tolist()
        == load('nb201_latency_help').frame.index.tolist()
    )


def test_pictures_of_a_small_table():
    "Every architecture is drawn, and what is marked."
    archs = [to_str(g) for g in all_archs(toy())]
    points = [50.0 + 10 * a.count('nor_conv') for a in archs]
    tiny = make_table(
        'invented',
        'toy',
        archs,
        {('squares', part, 9, 'mean'): points for part in ('test', 'valid')},
    )
    ax = plot_distribution(tiny, 'squares', 13)
    assert sum(p.get_height() for p in ax.patches) == 27 and len(ax.lines) == 1
    assert len(plot_valid_test(tiny, 'squares', {'a cell': 13}).collections) == 2
    assert len(plot_best_of_n(tiny, 'squares', [1, 2, 4, 8, 16], mark={'a cell': 13}).lines) == 3
