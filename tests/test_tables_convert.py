"Pickles of others: 155 hostile files are refused and none is executed; official records are converted, with holes, in parallel, after a stop."

import bz2
import os
import pickle
from pathlib import Path
import numpy as np
import pytest
from conftest import fails
from hostile_pickles import calls, hostile, pickle_of_numbers, routes
from dnas_nb.bench import convert as cv
from dnas_nb.bench.tables import accuracies, cost, load, query
from dnas_nb.bench.convert import Converted, architectures, convert, unpack
from dnas_nb.core import UserError
from dnas_nb.sources import _data_dirs
from dnas_nb.unpickle import read_pickle

MARK = Path(os.environ.get('TMPDIR', '/tmp')) / f'dnas_nb-executed-{os.getpid()}'
HOSTILE = hostile(MARK)
OFFICIAL = next((d / 'nats_official' for d in _data_dirs() if (d / 'nats_official').is_dir()), None)
official = pytest.mark.skipif(OFFICIAL is None, reason='no data folder here, see DNAS_DATA')
TRAINED = dict(
    epochs=2,
    eval_acc1es={'x-valid@0': 10.0, 'x-valid@1': 20.0, 'x-test@1': 19.0},
    train_acc1es={0: 11.0, 1: 22.0},
    train_times={0: 3.0, 1: 4.0},
    params=0.0129,
    flop=5.5,
    latency=[],
)


def folder(path, n=25, **extra):
    "An official folder of `n` invented records."
    path.mkdir()
    archs = [f'8:{8*i}' for i in range(n)]
    put = lambda name, value: (path / f'{name}.pickle.pbz2').write_bytes(
        bz2.compress(pickle.dumps(value))
    )
    put('meta', dict(meta_archs=archs, total_archs=n))
    for i, a in enumerate(archs):
        put(
            f'{i:06d}',
            {
                '02': dict(
                    arch_str=a,
                    all_results={
                        ('cifar100', s): TRAINED
                        | dict(
                            params=i / 1e6, eval_acc1es={'x-valid@1': 1.0 * i, 'x-test@1': i + k}
                        )
                        for k, s in enumerate((777, 888))
                    },
                )
            },
        )
    return path


def test_enough():
    assert len(HOSTILE) >= 100


def test_harmless_pickle():
    "The good pickle that the hostile ones are cut from is read, and as Python reads it."
    data = pickle_of_numbers()
    assert read_pickle(data) == pickle.loads(data) == {'acc': [1.5 + k for k in range(20)]}


def test_calls_are_live(tmp_path):
    "Python's own unpickler executes at least five of the eight ways: what is refused below is no dummy."
    mark, executed = tmp_path / 'executed', []
    for how in routes('os', 'mkdir', 'x'):
        data = calls(mark)[f'os.mkdir {how}']
        try:
            pickle.loads(data)
        except (ValueError, TypeError, AttributeError, pickle.UnpicklingError):
            pass
        if mark.exists():
            mark.rmdir()
            executed.append(how)
    assert len(executed) >= 5, executed


@pytest.mark.parametrize('name', HOSTILE)
def test_hostile(name, tmp_path):
    (tmp_path / 'x').write_bytes(HOSTILE[name])
    fails(lambda: read_pickle(unpack(tmp_path / 'x')))
    assert not MARK.exists()


def test_every_cut():
    "No prefix of a good pickle is read, and no single flipped byte makes it fail otherwise than with one line."
    good = pickle.dumps({'a': [np.float64(1.5), (1, 2)], 'b': np.arange(3.0)}, 4)
    want = read_pickle(good)
    assert want['a'] == [1.5, (1, 2)] and want['b'].tolist() == [0, 1, 2]
    for i in range(len(good)):
        fails(lambda: read_pickle(good[:i]))
    rng = np.random.default_rng(0)
    for i in range(len(good)):
        bad = bytearray(good)
        bad[i] ^= 1 << rng.integers(8)
        try:
            read_pickle(bytes(bad))
        except UserError as e:
            assert '\n' not in str(e)


def test_noise():
    "Random bytes never get past a `UserError`."
    rng = np.random.default_rng(1)
    for _ in range(2000):
        data = b'\x80\x04' + bytes(
            rng.choice(
                list(
                    b'(])}.0K\x01N\x85\x86\x87tauesq\x00h\x00\x94\x93Rb\x8f\x90\x88X\x01\x00\x00\x00a'
                ),
                40,
            ).tolist()
        )
        try:
            read_pickle(data)
        except UserError as e:
            assert '\n' not in str(e)


@pytest.mark.parametrize('protocol', [2, 3, 4, 5])
@pytest.mark.parametrize(
    'value',
    [
        None,
        True,
        0,
        -1,
        2**40,
        1.5,
        '',
        'ü',
        b'\xff',
        [],
        (),
        {},
        {(1, 'a'): [2]},
        {1, 2},
        [1] * 2000,
        np.float32(0.1),
        np.int64(-3),
        np.bool_(True),
    ],
    ids=lambda v: f'{type(v).__name__}',
)
def test_plain_values(value, protocol):
    assert read_pickle(pickle.dumps(value, protocol)) == value


@pytest.mark.parametrize('protocol', [2, 4])
@pytest.mark.parametrize(
    'a',
    [
        np.arange(6, dtype='>f8').reshape(2, 3),
        np.asfortranarray(np.ones((2, 3), 'f4')),
        np.array([True]),
        np.zeros((0, 3)),
        np.array(2.0),
    ],
    ids=str,
)
def test_arrays(a, protocol):
    got = read_pickle(pickle.dumps(a, protocol))
    assert got.shape == a.shape and got.dtype == a.dtype and (got == a).all()


def test_objects_in_arrays():
    fails(lambda: read_pickle(pickle.dumps(np.array([{}], object))), "'O8'")


def test_holes(tmp_path):
    f = folder(tmp_path / 'f')
    (f / '000003.pickle.pbz2').unlink()
    (f / '000004.pickle.pbz2').write_bytes(HOSTILE['os.system by GLOBAL'])
    (f / '000006.pickle.pbz2').write_bytes(
        (f / '000007.pickle.pbz2').read_bytes()
    )  # a record under another's number
    done = convert(f, tmp_path / 't.npz', workers=1, chunk=4, quiet=True)
    assert type(done) is Converted and architectures(f)[24] == '8:192'
    assert (
        (done.rows, done.missing, sorted(done.refused)) == (22, [3], [4, 6])
        and 'os.system' in done.refused[4]
        and "'8:56'" in done.refused[6]
    )
    t = load('t', tmp_path)
    assert (
        t.provenance['missing'] == [3]
        and accuracies(t, 'cifar100').isna().sum() == 3
        and not MARK.exists()
    )
    assert (
        query(t, '8:64').set_index(['split', 'seeds']).accuracy['test', 'mean'] == 8.5
        and cost(t, '8:64').params[0] == 8
    )
    fails(lambda: convert(f, tmp_path / 't.npz', workers=0), 'workers')


def test_parallel_and_resumed(tmp_path, monkeypatch):
    "Two processes, a conversion stopped half-way and one in a piece write the same bytes."
    f = folder(tmp_path / 'f')
    plain = convert(f, tmp_path / 'a' / 't.npz', workers=1, chunk=5, quiet=True).path.read_bytes()
    assert (
        convert(f, tmp_path / 'b' / 't.npz', workers=2, chunk=3, quiet=True).path.read_bytes()
        == plain
    )
    real, calls = cv.convert_chunk, []

    def dies(folder, numbers, archs):
        calls.append(numbers[0])
        if len(calls) == 3:
            raise KeyboardInterrupt
        return real(folder, numbers, archs)

    monkeypatch.setattr(cv, 'convert_chunk', dies)
    with pytest.raises(KeyboardInterrupt):
        convert(f, tmp_path / 'c' / 't.npz', workers=1, chunk=5, quiet=True)
    assert (
        not (tmp_path / 'c' / 't.npz').exists()
        and len(list((tmp_path / 'c' / 't.parts').iterdir())) == 2
    )
    assert (
        convert(f, tmp_path / 'c' / 't.npz', workers=1, chunk=5, quiet=True).path.read_bytes()
        == plain
    )
    assert calls == [0, 5, 10, 10, 15, 20] and not (tmp_path / 'c' / 't.parts').exists()


def test_dead_worker(tmp_path, monkeypatch):
    f = folder(tmp_path / 'f')
    monkeypatch.setattr(cv, 'do_chunk', lambda *job: os._exit(3))
    fails(
        lambda: convert(f, tmp_path / 't.npz', workers=2, chunk=5, quiet=True),
        'a process died',
        'run it again',
    )
    monkeypatch.undo()
    assert convert(f, tmp_path / 't.npz', workers=1, chunk=5, quiet=True).rows == 25


@pytest.mark.parametrize('text', ['', '{}', '[1]', '{"stamp": 3'])
def test_damaged_part(tmp_path, text):
    f = folder(tmp_path / 'f', 5)
    part = tmp_path / 't.parts' / '000000-000100.json'
    part.parent.mkdir()
    part.write_text(text)
    assert convert(f, tmp_path / 't.npz', workers=1, quiet=True).rows == 5


@pytest.mark.parametrize(
    'meta, part',
    [
        (None, 'no meta.pickle.pbz2'),
        ([1], 'lists no architectures'),
        ({'meta_archs': []}, 'lists no'),
        ({'meta_archs': [1]}, 'lists no'),
    ],
)
def test_bad_meta(tmp_path, meta, part):
    if meta is not None:
        (tmp_path / 'meta.pickle.pbz2').write_bytes(bz2.compress(pickle.dumps(meta)))
    fails(lambda: convert(tmp_path, tmp_path / 't.npz', workers=1, quiet=True), part)


def test_hostile_meta(tmp_path):
    (tmp_path / 'meta.pickle.pbz2').write_bytes(HOSTILE['builtins.exec by GLOBAL'])
    fails(lambda: convert(tmp_path, tmp_path / 't.npz', workers=1, quiet=True), 'builtins.exec')
    assert not MARK.exists()


@official
@pytest.mark.parametrize(
    'name, table',
    [
        ('NATS-tss-v1_0-3ffb9-simple', 'nasbench201'),
        ('NATS-sss-v1_0-50262-simple', 'nats_bench_size'),
    ],
)
def test_official_sample(tmp_path, name, table):
    "The published record, converted, equals the row that was collected elsewhere."
    done = convert(OFFICIAL / name, tmp_path / 't.npz', workers=1, chunk=4000, quiet=True)
    assert (
        done.rows == 1
        and len(done.missing) == {'nasbench201': 15624, 'nats_bench_size': 32767}[table]
    )
    ours, theirs = load(table), load('t', tmp_path)
    assert ours.frame.index.equals(theirs.frame.index) and ours.space == theirs.space
    compared = 0
    for label in ours.frame.columns:
        d, split, epochs, seeds = label
        if split == 'train' or seeds == '1' and epochs != 90:
            continue
        mine = theirs.frame[d, split, epochs, 'mean'].iloc[0]
        assert abs(mine - ours.frame[label].iloc[0]) < 1e-4, label
        compared += 1
    assert compared == (12 if table == 'nasbench201' else 3)
    for q in [c for c in ours.costs.columns if c[1] in ('params', 'mflops')]:
        assert abs(theirs.costs[q].iloc[0] - ours.costs[q].iloc[0]) < 1e-4
