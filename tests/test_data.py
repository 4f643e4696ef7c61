"Bad input to `dnas_nb.data` and `dnas_nb.sources`: each mistake is one line that says what to do, and no file can run code."

import io, os, pickle
import numpy as np
import pytest
import torch
from conftest import fails
from dnas_nb.core import UserError
from dnas_nb.data import augment, deal
from dnas_nb.safe import read_arrays
from dnas_nb.sources import find_data, from_tensors, load_data
from dnas_nb.unpickle import read_pickle

N = 60
X, Y = np.random.default_rng(0).integers(0, 256, (N, 3, 8, 8), dtype=np.uint8), np.arange(N) % 3


@pytest.fixture
def own(tmp_path):
    "Write a .npz and return its path."

    def write(name='own.npz', **arrays):
        np.savez(tmp_path / name, **arrays)
        return tmp_path / name

    return write


@pytest.fixture
def nowhere(tmp_path, monkeypatch):
    "A place from which no data can be found."
    (tmp_path / 'empty').mkdir()
    monkeypatch.chdir(tmp_path / 'empty')
    monkeypatch.setenv('DNAS_DATA', str(tmp_path / 'empty'))
    monkeypatch.delenv('DNAS_CIFAR', raising=False)
    return tmp_path / 'empty'


@pytest.mark.parametrize(
    'arrays, parts',
    [
        (dict(x=X), ['no array y']),
        (dict(y=Y), ['no array x']),
        (dict(x=X, y=Y[:-1]), ['60 images but 59 labels']),
        (dict(x=X, y=Y, class_names=['a', 'b']), ['labels run from 0 to 2', '2 classes']),
        (dict(x=X, y=Y - 1), ['labels run from -1']),
        (dict(x=X, y=Y * 10**9), ['largest label is 2000000000']),
        (dict(x=X, y=Y / 1.0), ['whole-number labels']),
        (dict(x=X, y=Y.astype(str)), ['numeric']),
        (dict(x=X, y=Y[:, None]), ['one int64 label per image']),
        (dict(x=X[:, 0, 0], y=Y), ['(60, 8)']),
        (dict(x=X[:0], y=Y[:0]), ['no images']),
        (dict(x=X[:, :, :0], y=Y), ['(60, 3, 0, 8)']),
        (dict(x=np.where(X > 250, np.nan, X), y=Y), ['NaN or infinite', 'fill them in']),
        (dict(x=np.where(X > 250, np.inf, X), y=Y), ['NaN or infinite', 'fill them in']),
        (dict(x=np.full_like(X, 1, dtype=np.float64) * 1e300, y=Y), ['NaN or infinite', 'fill them in']),
        (dict(x=X.astype(int) + 1, y=Y), ['0 to 255']),
        (dict(x=X.astype(complex), y=Y), ['real']),
        (dict(x=X, y=Y * 0), ['at least 2 classes']),
        (dict(x=X[:5], y=Y[:5]), ['it needs 4']),
        (dict(x=X, y=Y, class_names=['a', 'b', 'c', 'd']), ["class 'd' has 0 images"]),
        (dict(x=X, y=Y, x_test=X), ['x_test and y_test']),
        (dict(x=X, y=Y, x_test=X[:, :1] ^ 1, y_test=Y), ['test images are (1, 8, 8)']),
        (dict(x=X, y=Y, x_test=X, y_test=Y), ['0 images to search with']),
        (dict(x=X * 0, y=Y), ['images to search with']),
    ],
)
def test_npz_content(own, arrays, parts):
    fails(lambda: load_data(own(**arrays)), *parts)


def test_npz_files(own, tmp_path):
    whole = own(x=X, y=Y).read_bytes()
    for name, content in {
        'cut': whole[: len(whole) // 2],
        'empty': b'',
        'text': b'hello',
        'flip': whole[:300] + bytes([whole[300] ^ 255]) + whole[301:],
        'tail': whole[:-10],
        'pickle': pickle.dumps({'x': 1}),
    }.items():
        (tmp_path / f'{name}.npz').write_bytes(content)
        fails(lambda: load_data(tmp_path / f'{name}.npz'), name)
    fails(lambda: load_data(tmp_path / 'none.npz'), 'no file')
    (tmp_path / 'folder.npz').mkdir()
    fails(lambda: load_data(tmp_path / 'folder.npz'), 'no file')
    np.save(tmp_path / 'array.npy', X)
    (tmp_path / 'array.npy').rename(tmp_path / 'array.npz')
    fails(lambda: load_data(tmp_path / 'array.npz'), 'no .npz archive')


def test_every_byte_flipped(own, tmp_path):
    "A file with one damaged byte is refused or read, never a traceback."
    whole, rng = own(x=X[:12], y=Y[:12]).read_bytes(), np.random.default_rng(1)
    for i in rng.integers(0, len(whole), 150):
        (tmp_path / 'bad.npz').write_bytes(whole[:i] + bytes([whole[i] ^ 0x55]) + whole[i + 1 :])
        try:
            load_data(tmp_path / 'bad.npz')
        except UserError as e:
            assert '\n' not in str(e)


class Trap:
    def __init__(self, path):
        self.path = path

    def __reduce__(self):
        return os.mkdir, (str(self.path),)


def test_pickled_npz(tmp_path):
    np.savez(
        tmp_path / 'bad.npz', x=np.array([Trap(tmp_path / 'trap')], dtype=object), y=np.array([0])
    )
    fails(lambda: load_data(tmp_path / 'bad.npz'), 'pickled objects')
    assert not (tmp_path / 'trap').exists()


@pytest.mark.parametrize(
    'kw, parts',
    [
        (dict(images=2), ['from 20']),
        (dict(images=5000), ['to 1253']),
        (dict(images=0), ['from 20']),
        (dict(images=-4), ['from 20']),
        (dict(images=100.0), ['100.0']),
        (dict(images='100'), ["'100'"]),
        (dict(size=0), ['1 to 1024']),
        (dict(size=-8), ['1 to 1024']),
        (dict(size=5000), ['1 to 1024']),
        (dict(size=8.0), ['8.0']),
        (dict(size='8'), ["'8'"]),
        (dict(name='digit'), ["did you mean 'digits'"]),
        (dict(name=''), ['unknown data set']),
        (dict(name='nowhere/x.npz'), ['no file']),
    ],
)
def test_options(kw, parts):
    fails(lambda: load_data(**kw), *parts)


@pytest.mark.parametrize('n, batch', [(10, 11), (10, 0), (10, -1), (10, 2.0), (0, 1)])
def test_batches(n, batch):
    fails(lambda: deal(n, batch), 'batch')


@pytest.mark.parametrize('kw', [dict(shift=8), dict(shift=-1), dict(cutout=-1), dict(cutout=17)])
def test_augment(kw):
    fails(lambda: augment(torch.zeros(2, 1, 8, 8), torch.Generator(), **kw), 'shift=')


def test_from_tensors():
    x, y = torch.tensor(X), torch.tensor(Y)
    fails(lambda: from_tensors(x, y, x_test=x), 'x_test and y_test')
    fails(lambda: from_tensors([[1, 2], [3]], y), 'numeric')
    for kind in (np.uint16, np.int32, np.float16, np.float64, bool):
        assert from_tensors((X > 99).astype(kind), Y).train.x.dtype == (
            torch.float32 if np.dtype(kind).kind == 'f' else torch.uint8
        )
    assert from_tensors(X[:, 0], Y).train.x.shape[1:] == (1, 8, 8)
    split = from_tensors(X, Y, X[:9], Y[:9])  # a test set that was also trained on
    assert split.about.dropped == 9 and len(split.test) == 9 and not any(split.overlap().values())


def strips(path, x, y, names):
    from PIL import Image

    buf = io.BytesIO()
    Image.fromarray(x.transpose(0, 2, 3, 1).reshape(-1, 32, 3)).save(
        buf, 'webp', lossless=True, exact=True
    )
    blob = np.frombuffer(buf.getvalue(), dtype=np.uint8)
    np.savez(
        path,
        blob=blob,
        offsets=np.array([0, len(blob)]),
        labels=y.astype(np.uint8),
        class_names=names,
    )


@pytest.fixture
def cifar(nowhere):
    "CIFAR-10 in miniature: 40 training images in five archives, 10 test images."
    x, y = (
        np.random.default_rng(2).integers(0, 256, (50, 3, 32, 32), dtype=np.uint8),
        np.arange(50) % 10,
    )
    names = [f'class{k}' for k in range(10)]
    for i in range(5):
        strips(
            nowhere / f'cifar10_train_{i + 1}.npz',
            x[8 * i : 8 * i + 8],
            y[8 * i : 8 * i + 8],
            names,
        )
    strips(nowhere / 'cifar10_test.npz', x[40:], y[40:], names)
    return nowhere, x, y


def test_archives(cifar):
    folder, x, y = cifar
    split = load_data('cifar10')
    assert (len(split.train), len(split.valid), len(split.test)) == (
        20,
        20,
        10,
    ) and split.about.classes[3] == 'class3'
    assert np.array_equal(split.test.x.numpy(), x[40:])
    z = dict(np.load(folder / 'cifar10_train_3.npz'))
    for change, part in (
        (dict(blob=z['blob'][:-40]), 'decoded'),
        (dict(labels=z['labels'][1:]), '7 labels'),
        (dict(offsets=z['offsets'][:1]), 'decoded'),
        (dict(labels=z['labels'] + 20), 'labels run from 0 to'),
    ):
        np.savez(folder / 'cifar10_train_3.npz', **{**z, **change})
        fails(lambda: load_data('cifar10'), part)
    np.savez(folder / 'cifar10_train_3.npz', **z)
    np.savez(folder / 'cifar10_nb201_split.npz', train=np.arange(20), valid=np.arange(20))
    fails(lambda: load_data('cifar10'), 'does not divide')
    (folder / 'cifar10_train_2.npz').unlink()
    fails(
        lambda: load_data('cifar10'), 'cifar10_train_2.npz', 'DNAS_DATA', 'DNAS_CIFAR', '.npz file'
    )


@pytest.mark.parametrize('protocol', [2, 4])
def test_original_folder(cifar, protocol, monkeypatch):
    folder, x, y = cifar
    expect = load_data('cifar10')
    for p in folder.glob('*.npz'):
        p.unlink()
    old = folder / 'cifar-10-batches-py'
    old.mkdir()
    dump = lambda name, d: (old / name).write_bytes(pickle.dumps(d, protocol))
    part = lambda s: {
        b'batch_label': b'one',
        b'labels': y[s].tolist(),
        b'data': x[s].reshape(-1, 3072),
        b'filenames': [b'a.png'] * len(y[s]),
    }
    for i in range(5):
        dump(f'data_batch_{i + 1}', part(slice(8 * i, 8 * i + 8)))
    dump('test_batch', part(slice(40, 50)))
    dump('batches.meta', {b'label_names': [f'class{k}'.encode() for k in range(10)]})
    got = load_data('cifar10')
    assert (
        torch.equal(got.train.x, expect.train.x)
        and torch.equal(got.valid.y, expect.valid.y)
        and got.about.classes == expect.about.classes
    )
    monkeypatch.setenv('DNAS_CIFAR', str(old))
    monkeypatch.chdir('/')
    assert torch.equal(load_data('cifar10').test.x, got.test.x)
    trap = folder / 'trap'
    for bad, text in (
        ({b'data': Trap(trap)}, 'asks for'),
        ({b'labels': [0]}, "b'data'"),
        ([1], 'list'),
        ({b'data': x[:8].reshape(8, -1), b'labels': [0]}, 'unexpected'),
        ({b'data': 3, b'labels': [0]}, 'unexpected'),
        ({b'data': x[:1].reshape(1, -1), b'labels': [{}]}, 'data_batch_1'),
    ):
        dump('data_batch_1', bad)
        fails(lambda: load_data('cifar10'), 'data_batch_1', text)
    assert not trap.exists()
    (old / 'data_batch_1').write_bytes(b'\x80\x02cos\nsystem\n(U\x05mkdirtR.')
    fails(lambda: load_data('cifar10'), 'os.system')
    assert not trap.exists()
    (old / 'data_batch_1').write_bytes((old / 'data_batch_2').read_bytes()[:500])
    fails(lambda: load_data('cifar10'), 'data_batch_1')


@pytest.mark.parametrize(
    'name',
    [
        'builtins eval',
        'builtins getattr',
        'os system',
        'numpy load',
        'numpy frombuffer',
        'numpy.core.multiarray fromfile',
        '_codecs decode',
        'codecs open',
    ],
)
def test_unpickler_refuses(name):
    module, attr = name.split()
    fails(lambda: read_pickle(b'\x80\x02' + f'c{module}\n{attr}\n.'.encode()), f'{module}.{attr}')


def test_data_folder(nowhere, monkeypatch):
    assert find_data('nasbench201.npz') is None
    fails(lambda: load_data('cifar100'), 'cifar100_train_half_1.npz', 'cifar-100-python')
    monkeypatch.setenv('DNAS_DATA', str(nowhere / 'missing'))
    fails(lambda: find_data('x.npz'), 'DNAS_DATA', 'no folder')


def test_read_arrays_closes(own):
    path = own(x=X, y=Y)
    assert set(read_arrays(path, ('x',), ('z',))) == {'x'}
    path.unlink()
