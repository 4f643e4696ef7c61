"Files that harm a reader that believes them: none runs, none crashes, none takes a gigabyte, and every refusal is one line."

import io, json, pickle, struct, zipfile, zlib
import numpy as np
import pytest
import torch
from conftest import fails
import fuzz, fuzz_inputs
from hostile_pickles import ask, text
from dnas_nb.core import UserError, seal
from dnas_nb.sources import from_tensors, load_data, webp
from dnas_nb.running.retrain import find_arch
from dnas_nb.safe import has_file, parse_json, read_arrays, read_json
from dnas_nb.unpickle import check_tensors

pytestmark = pytest.mark.xdist_group('hostile')


@pytest.fixture(scope='module')
def worker():
    "A process with every reader in it, that may take one gigabyte more than its libraries."
    if not has_file('/proc/self/clear_refs'):
        pytest.skip('this system does not say how much memory a process takes')
    with fuzz.Process() as p:
        p.start()
        yield p


@pytest.fixture
def refused(worker):
    "What a reader says when it refuses a file: in a line, without a crash, within a gigabyte and twenty seconds."

    def ask(reader, path):
        got = worker.ask(reader=reader, path=str(path))
        assert got['end'] == 'refused', got
        return got['said']

    return ask


@pytest.fixture
def cifar(tmp_path, monkeypatch):
    "An original CIFAR-10 folder whose first file is the given bytes."
    folder = tmp_path / 'cifar-10-batches-py'
    folder.mkdir()
    x, y = np.random.default_rng(0).integers(0, 256, (20, 3072), dtype='u1'), [
        k % 10 for k in range(20)
    ]
    for name in [f'data_batch_{k}' for k in range(1, 6)] + ['test_batch']:
        (folder / name).write_bytes(pickle.dumps({b'data': x, b'labels': y}, 2))
    (folder / 'batches.meta').write_bytes(
        pickle.dumps({b'label_names': [b'c%d' % k for k in range(10)]}, 2)
    )
    monkeypatch.setenv('DNAS_CIFAR', str(folder))
    monkeypatch.setenv('DNAS_DATA', str(tmp_path))

    def first(content):
        (folder / 'data_batch_1').write_bytes(content)
        return folder / 'data_batch_1'

    return first


# pickles: a state of a type that holds addresses, offsets outside of it, or asks for memory


def number(n):
    return b'\x8a\x08' + struct.pack('<q', n)


def array(code, state=b'', shape=b'K\x01', data=b'C\x08AAAAAAAA'):
    "A pickled batch whose pixels and labels are one array of that type, type state, shape and content."
    kind = ask('numpy', 'dtype') + b'(' + text(code) + b'\x89\x88tR' + state
    fresh = (
        ask('numpy.core.multiarray', '_reconstruct')
        + b'('
        + ask('numpy', 'ndarray')
        + b'K\x00\x85C\x01btR'
    )
    value = fresh + b'(K\x01' + shape + b'\x85' + kind + b'\x89' + data + b'tb'
    return b'\x80\x04}(C\x04data' + value + b'q\x09C\x06labelsh\x09u.'


def state(order='<', fields=b'NN', size=8, flags=0, sub=b'N'):
    "The state of a number type, with whatever fields, size and flags."
    return b'(K\x03' + text(order) + sub + fields + number(size) + number(1) + number(flags) + b'tb'


OBJECT = ask('numpy', 'dtype') + b'(' + text('O8') + b'\x89\x88tR'


def field(name, offset):
    return b'(' + text(name) + b't}' + text(name) + b'(' + OBJECT + number(offset) + b'ts'


TYPES = {
    'addresses as objects': array('O8', state('|', size=8, flags=0)),
    'void with an address inside': array('V8', state('|', field('f', 0), 8, 0)),
    'void with an address a billion bytes away': array('V8', state('|', field('f', 10**9), 8, 0)),
    'void with an address before its start': array('V8', state('|', field('f', -(10**9)), 8, 0)),
    'floats with an address inside': array('f8', state('|', field('f', 0), 8, 0)),
    'objects': array('O8'),
    'objects, flagged': array('O8', state('|', size=-1, flags=63)),
    'void with an object inside': array('V8', state('|', field('f', 0), 8, 63)),
    'void with an object a billion bytes away': array('V8', state('|', field('f', 10**9), 8, 63)),
    'void with an object before its start': array('V8', state('|', field('f', -8), 8, 63)),
    'numbers of eight gigabytes each': array('V8', state('|', size=1 << 33)),
    'floats flagged as objects': array('f8', state(flags=63)),
    'floats of another size': array('f8', state(size=1 << 33)),
    'floats with an object inside': array('f8', state('|', field('f', 0), 8, 63)),
    'sub-arrays': array('f8', state(sub=b'(' + OBJECT + b'K\x02t')),
    'a text type': array('U2'),
    'a time': array('M8[s]'),
    'no order': array('f8', b'(K\x03N' + b'NNN' + number(8) * 2 + number(0) + b'tb'),
}


@pytest.mark.parametrize('name', TYPES)
def test_type_with_objects(cifar, refused, name):
    "Before: a segmentation fault, or any address read as an object."
    said = refused('cifar batch', cifar(TYPES[name]))
    assert 'is not read' in said


MEMORY = {
    'an array of eight gigabytes': array('u1', shape=number(1 << 33), data=b'C\x00'),
    'an empty array asked for directly': b'\x80\x04}C\x04data'
    + ask('numpy', 'ndarray')
    + b'('
    + number(1 << 33)
    + b'\x85'
    + text('u1')
    + b'tRs.',
    'a reconstructed array of eight gigabytes': b'\x80\x04}C\x04data'
    + ask('numpy.core.multiarray', '_reconstruct')
    + b'('
    + ask('numpy', 'ndarray')
    + number(1 << 33)
    + b'\x85C\x01btRs.',
    'bytes of four gigabytes': b'\x80\x04B\xff\xff\xff\xff.',
    'text copied 100,000 times': b'\x80\x04'
    + text('x' * 100_000)
    + b'q\x00'
    + text('latin1')
    + b'q\x01'
    + ask('_codecs', 'encode')
    + b'q\x02]('
    + b'h\x02h\x00h\x01\x86R' * 100_000
    + b'e.',
}


@pytest.mark.parametrize('name', MEMORY)
def test_memory_on_request(cifar, refused, name):
    "Before: eight gigabytes for a file of a hundred bytes."
    said = refused('cifar batch', cifar(MEMORY[name]))
    assert 'is not read' in said or 'no file of CIFAR' in said or 'no batch' in said


def test_original_files_of_python_2(cifar):
    "CIFAR as it is published: text in one byte per letter, arrays of numpy 1."
    x, y = np.random.default_rng(1).integers(0, 256, (20, 3072), dtype='u1'), [
        k % 10 for k in range(20)
    ]
    kind = b'cnumpy\ndtype\nq\x08U\x02u1K\x00K\x01\x87Rq\x09(K\x03U\x01|NNNJ\xff\xff\xff\xffJ\xff\xff\xff\xffK\x00tb'
    fresh = b'cnumpy.core.multiarray\n_reconstruct\nq\x03cnumpy\nndarray\nq\x04K\x00\x85U\x01b\x87Rq\x05'
    data = (
        fresh
        + b'(K\x01M'
        + struct.pack('<H', 20)
        + b'M'
        + struct.pack('<H', 3072)
        + b'\x86'
        + kind
        + b'\x89T'
        + struct.pack('<I', x.size)
        + x.tobytes()
        + b'tb'
    )
    cifar(
        b'\x80\x02}q\x01(U\x0bbatch_labelq\x02U\x03oneU\x06labels]('
        + b''.join(b'K' + bytes([k]) for k in y)
        + b'eU\x04data'
        + data
        + b'u.'
    )
    split = load_data('cifar10')
    assert {a.tobytes() for a in x} <= {
        a.numpy().tobytes() for part in (split.train, split.valid) for a in part.x
    }


@pytest.mark.parametrize(
    'content', [[300], [-1], [True], [1.0], ['1'], 'ab', {}, None, [[1]]], ids=repr
)
def test_odd_labels(cifar, content):
    cifar(pickle.dumps({b'data': np.zeros((1, 3072), 'u1'), b'labels': content}, 4))
    fails(lambda: load_data('cifar10'), 'data_batch_1', 'unexpected content')


# pictures inside an archive


def strip(tmp_path, data, labels=1, offsets=None):
    blob = np.frombuffer(data, 'u1')
    np.savez(
        tmp_path / 'strip.npz',
        blob=blob,
        offsets=np.array([0, len(blob)] if offsets is None else offsets),
        labels=np.zeros(labels, 'u1'),
    )
    return tmp_path / 'strip.npz'


def drawn(kind, H=32, W=32, **how):
    from PIL import Image

    Image.new('RGB', (W, H), (9, 8, 7)).save(buf := io.BytesIO(), kind, **how)
    return buf.getvalue()


EPS = b'%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 32 32\n%%EndComments\n(%s) (w) file closefile\nshowpage\n%%EOF\n'


@pytest.mark.parametrize(
    'kind',
    ['EPS', 'PNG', 'JPEG', 'GIF', 'BMP', 'TIFF', 'PPM', 'ICO', 'PCX', 'TGA', 'ICNS', 'JPEG2000'],
)
def test_other_pictures_in_an_archive(tmp_path, monkeypatch, kind):
    "Before: every format that Pillow knows was opened; an EPS starts Ghostscript, a program for programs."
    from PIL import EpsImagePlugin

    started = []
    monkeypatch.setattr(EpsImagePlugin, 'Ghostscript', lambda *a, **k: started.append(a) or 1 / 0)
    try:
        data = (
            EPS.replace(b'%s', str(tmp_path / 'written').encode())
            if kind == 'EPS'
            else drawn(kind, 128, 128) if kind == 'ICNS' else drawn(kind)
        )
    except (KeyError, OSError):
        pytest.skip(f'this Pillow does not write {kind}')
    fails(lambda: webp(strip(tmp_path, data)), 'cannot be decoded')
    assert not started and not (tmp_path / 'written').exists()


def test_eps_behind_the_first_bytes_of_webp(tmp_path, monkeypatch):
    from PIL import EpsImagePlugin

    started = []
    monkeypatch.setattr(EpsImagePlugin, 'Ghostscript', lambda *a, **k: started.append(a))
    good = drawn('WEBP', lossless=True)
    fails(lambda: webp(strip(tmp_path, good[:30] + EPS)), 'decoded')
    fails(lambda: webp(strip(tmp_path, b'\xc5\xd0\xd3\xc6' + EPS + good)), 'decoded')
    assert not started


@pytest.mark.parametrize(
    'W, H', [(16384, 16384), (32, 16384), (1, 1), (33, 32), (32, 33), (16384, 32)]
)
def test_picture_that_states_another_size(tmp_path, refused, W, H):
    "A header of thirty bytes may state 268 million pixels: the size is compared before a decoder is set up."
    good = drawn('WEBP', lossless=True)
    bits = (W - 1) | (H - 1) << 14 | int.from_bytes(good[21:25], 'little') >> 28 << 28
    path = strip(tmp_path, good[:21] + bits.to_bytes(4, 'little') + good[25:])
    said = refused('webp archive', path)
    assert 'decoded' in said or 'labels' in said


def test_many_empty_pictures(tmp_path, refused):
    "A file of 600 kB with 3 million pictures, all black: more than it may unpack to."
    tall = drawn('WEBP', H=16352, lossless=True)
    n = 3000
    path = tmp_path / 'strip.npz'
    np.savez_compressed(
        path,
        blob=np.frombuffer(tall * n, 'u1'),
        offsets=np.arange(n + 1) * len(tall),
        labels=np.zeros(n * 511, 'u1'),
    )
    said = refused('webp archive', path)
    assert 'would unpack' in said


@pytest.mark.parametrize(
    'offsets', [[0], [], [5, 0], [0, 10**9], [-5, 10], [[0, 9]], [0.0, 9.0], [0, 2**62]], ids=str
)
def test_offsets_of_an_archive(tmp_path, offsets):
    fails(lambda: webp(strip(tmp_path, drawn('WEBP'), offsets=offsets)), 'damaged')


# archives that unpack to more than they should


def zeros(path, megabytes, members=('x', 'y')):
    "An archive of zeros, a thousandth of what it unpacks to: one packed megabyte, again and again."
    pack = zlib.compressobj(9, zlib.DEFLATED, -15)
    block, million, out, listing = (
        pack.compress(bytes(1 << 20)) + pack.flush(zlib.Z_FULL_FLUSH),
        bytes(1 << 20),
        [],
        [],
    )
    for name in members:
        head = io.BytesIO()
        np.lib.format.write_array_header_1_0(
            head, dict(descr='|u1', fortran_order=False, shape=(megabytes << 20,))
        )
        first, crc = zlib.compressobj(9, zlib.DEFLATED, -15), zlib.crc32(head.getvalue())
        data = (
            first.compress(head.getvalue())
            + first.flush(zlib.Z_FULL_FLUSH)
            + block * megabytes
            + b'\3\0'
        )
        for _ in range(megabytes):
            crc = zlib.crc32(million, crc)
        common = struct.pack(
            '<5H3L2H',
            20,
            0,
            8,
            0,
            33,
            crc,
            len(data),
            len(head.getvalue()) + (megabytes << 20),
            len(name) + 4,
            0,
        )
        listing.append(
            b'PK\1\2'
            + struct.pack('<H', 20)
            + common
            + struct.pack('<3H2L', 0, 0, 0, 0, sum(map(len, out)))
            + f'{name}.npy'.encode()
        )
        out.append(b'PK\3\4' + common + f'{name}.npy'.encode() + data)
    body, end = b''.join(out), b''.join(listing)
    path.write_bytes(
        body
        + end
        + b'PK\5\6'
        + struct.pack('<4H2LH', 0, 0, len(listing), len(listing), len(end), len(body), 0)
    )
    return path


def test_the_bomb_is_one(tmp_path):
    "Other readers of archives do unpack it."
    with np.load(zeros(tmp_path / 'small.npz', 3)) as z:
        assert z['x'].shape == (3 << 20,) and not z['y'].any()


def test_zip_bomb(tmp_path, refused):
    "12 MB that unpack to 2.8 GB."
    path = zeros(tmp_path / 'bomb.npz', 1400)
    assert path.stat().st_size < 12 << 20
    said = refused('npz', path)
    assert 'would unpack to 2,800 MB' in said and '10 times its own size' in said


@pytest.mark.parametrize(
    'reader, name',
    [
        ('table', 'table.npz'),
        ('arrays.npz', 'arrays.npz'),
        ('digits chunk', '1-0000-02.npz'),
        ('checkpoint, search', 'last.pt'),
        ('checkpoint, training', 'last.pt'),
    ],
)
def test_zip_bomb_elsewhere(tmp_path, refused, reader, name):
    path = zeros(tmp_path / name, 400, ('header', 'arch'))
    if reader != 'table':
        path.write_bytes(seal(path.read_bytes()))  # with a checksum that fits
    assert 'would unpack' in refused(
        reader, path if reader in ('table', 'digits chunk') else tmp_path
    )


def forged(path, head, body=b'', name='x.npy', **how):
    with zipfile.ZipFile(path, 'w', **how) as z:
        z.writestr(name, np.lib.format.magic(1, 0) + struct.pack('<H', len(head)) + head + body)
    return path


@pytest.mark.parametrize(
    'head',
    [
        b"{'descr': '<f8', 'fortran_order': False, 'shape': (1073741824,), }\n",
        b"{'descr': '<f8', 'fortran_order': False, 'shape': (9223372036854775807, 9223372036854775807), }\n",
        b"{'descr': '<U1073741824', 'fortran_order': False, 'shape': (1,), }\n",
        b"{'descr': '|O', 'fortran_order': False, 'shape': (1,), }\n",
        b"{'descr': [('a', '|O')], 'fortran_order': False, 'shape': (1,), }\n",
        b"{'descr': '<f8', 'fortran_order': False, 'shape': (-1,), }\n",
        b"{'descr': '<f8', 'fortran_order': False, 'shape': (True,), }\n",
        b"{'descr': '<f8', 'shape': (1,), }\n",
        b"((((((((((" * 500,
        b"__import__('os').system('x')\n",
        b'',
        b'\xff\xfe',
    ],
)
def test_forged_header_of_an_array(tmp_path, refused, head):
    assert 'f.npz' in refused('npz', forged(tmp_path / 'f.npz', head, bytes(8)))


@pytest.mark.parametrize('packing', [zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA])
def test_packings_without_a_limit(tmp_path, packing):
    "A block of bz2 or lzma grows without a bound that zipfile would keep; numpy writes neither."
    path = forged(
        tmp_path / 'f.npz',
        b"{'descr': '|u1', 'fortran_order': False, 'shape': (50000000,), }\n",
        bytes(50_000_000),
        compression=packing,
    )
    fails(lambda: read_arrays(path, ['x']), 'packed in another way')


def test_member_named_twice(tmp_path):
    with zipfile.ZipFile(tmp_path / 'f.npz', 'w') as z:
        for v in (1.0, 2.0):
            np.save(buf := io.BytesIO(), np.array([v]))
            with pytest.warns(UserWarning) if v == 2 else pytest.MonkeyPatch.context():
                z.writestr('x.npy', buf.getvalue())
    fails(lambda: read_arrays(tmp_path / 'f.npz', ['x']), 'twice')


def test_endless_list_of_members(tmp_path):
    "The list of members is bounded before it is read."
    end = b'PK\5\6' + struct.pack('<4H2LH', 0, 0, 65535, 65535, 1 << 30, 0, 0)
    (tmp_path / 'f.npz').write_bytes(bytes(100) + end)
    fails(lambda: read_arrays(tmp_path / 'f.npz', ['x']), 'too many members')


def test_more_pictures_than_memory(tmp_path, refused):
    "67 million pictures of one pixel in 65 kB; classes without end; whole numbers that grow eightfold."
    n = 60_000_000
    np.savez_compressed(tmp_path / 'many.npz', x=np.zeros((n, 1, 1, 1), 'u1'), y=np.zeros(1, 'u1'))
    said = refused('npz', tmp_path / 'many.npz')
    assert 'labels' in said
    np.savez_compressed(
        tmp_path / 'names.npz',
        x=np.zeros((8, 2, 2), 'u1'),
        y=np.arange(8) % 2,
        class_names=np.zeros(15_000_000, 'U1'),
    )
    said = refused('npz', tmp_path / 'names.npz')
    assert 'class names' in said
    np.savez_compressed(
        tmp_path / 'whole.npz',
        x=np.full((30_000_000, 1, 1, 1), 300, 'u2'),
        y=np.zeros(4_000_000, 'u1'),
    )
    said = refused('npz', tmp_path / 'whole.npz')
    assert '0 to 255' in said


def test_too_many_to_divide():
    x = np.zeros((1_600_000, 1, 1, 1), 'u1')
    fails(lambda: from_tensors(x, np.arange(len(x)) % 2), '1,600,000 images')
    fails(lambda: from_tensors(x[:100_000], np.arange(100_000) % 20_000), '20,000 classes')


# names and texts


@pytest.mark.parametrize(
    'name',
    ['x' * 300 + '.npz', 'a\0b.npz', 'a\nb.npz', 'x' * 5000 + '.npz', '\ud800.npz', '.npz'],
    ids=['300', 'nul', 'line', '5000', 'half', 'dot'],
)
def test_odd_file_names(name):
    with pytest.raises(UserError) as e:
        load_data(name)
    assert str(e.value).isprintable() and len(str(e.value)) < 400


TEXTS = {
    'deep': '[' * 100_000,
    'deep objects': '{"a":' * 100_000,
    'closed': '{"a": ' + '[' * 900 + ']' * 900 + '}',
    'twice': '{"a": 1, "a": 2}',
    'digits': '{"a": ' + '1' * 5000 + '}',
    'infinite': '{"a": 1e999}',
    'NaN': '{"a": NaN}',
    'half a character': '{"a": "\\ud800"}',
    'NUL': '{"a": "\0"}',
    'cut': '{"a": [1, ',
    'a list': '[1]',
    'a number': '3',
    'nothing': '',
    'quotes': '"' * 200_000,
    'escapes': '"' + '\\"' * 200_000,
}


@pytest.mark.parametrize('name', TEXTS)
def test_odd_json(name):
    with pytest.raises(UserError) as e:
        parse_json(TEXTS[name])
    assert str(e.value).isprintable() and len(str(e.value)) < 200


def test_byte_order_mark(tmp_path):
    (tmp_path / 'a.json').write_bytes('\ufeff{"a": 1}'.encode())
    assert read_json(tmp_path / 'a.json') == {'a': 1}


def test_too_long_a_text(tmp_path):
    (tmp_path / 'a.json').write_bytes(b' ' * (17 << 20))
    fails(lambda: read_json(tmp_path / 'a.json'), 'larger than 16 MB')


# checkpoints


def weights(path, f=lambda data: data, **how):
    "A checkpoint with its pickle changed and its checksums right"
    torch.save(
        dict(net={'w': torch.arange(6.0)}, phi={}, w_opt={}, epoch=1, history=[{}], live={}),
        buf := io.BytesIO(),
    )
    with zipfile.ZipFile(buf) as a, zipfile.ZipFile(path, 'w', **how) as b:
        for i in a.infolist():
            b.writestr(i.filename, f(a.read(i)) if i.filename.endswith('data.pkl') else a.read(i))
    return path


CHANGES = {
    'a storage beyond its bytes': lambda b: b.replace(b'K\x06tq', b'J\x00\x00\x00\x40tq', 1),
    'a tensor beyond its storage': lambda b: b.replace(b'K\x06\x85', b'J\x00\x00\x00\x40\x85', 1),
    'a tensor from nothing': lambda b: b.replace(b'K\x01\x85', b'K\x00\x85', 1).replace(
        b'K\x06\x85', b'J\x00\x00\x00\x40\x85', 1
    ),
    'another builder': lambda b: b.replace(b'_rebuild_tensor_v2', b'_rebuild_sparse_tensor'),
    'a tensor without storage': lambda b: b.replace(
        b'_rebuild_tensor_v2', b'_rebuild_meta_tensor_no_storage'
    ),
    'a call': lambda b: b.replace(b'collections\nOrderedDict', b'os\nsystem'),
    'another storage': lambda b: b.replace(b'FloatStorage', b'DoubleStorage'),
}


@pytest.mark.parametrize('name', CHANGES)
def test_checkpoint_that_lies(tmp_path, refused, name):
    "What a checksum cannot see, because whoever changed the file wrote it anew."
    assert (
        weights(tmp_path / 'good.pt').read_bytes()
        != weights(tmp_path / 'last.pt', CHANGES[name]).read_bytes()
    )
    check_tensors(tmp_path / 'good.pt')
    fails(lambda: check_tensors(tmp_path / 'last.pt'), 'is not read')
    (tmp_path / 'last.pt').write_bytes(seal((tmp_path / 'last.pt').read_bytes()))
    assert 'is not a readable checkpoint' in refused('checkpoint, search', tmp_path)


def test_checkpoint_of_old_pytorch(tmp_path, refused):
    "The format before archives takes its sizes from the pickle alone."
    torch.save(
        dict(net={'w': torch.zeros(3)}), tmp_path / 'last.pt', _use_new_zipfile_serialization=False
    )
    refused('checkpoint, search', tmp_path)


# run folders


@pytest.mark.parametrize(
    'settings',
    [
        dict(method='danas'),
        dict(method='danas', space=5),
        dict(method='danas', space='toy', preset='x'),
        dict(method=[]),
        dict(space='toy'),
    ],
)
def test_settings_that_say_half(tmp_path, settings):
    "A run.json whose settings lack a part: the cell is found, or the answer is one line"
    (tmp_path / 'run.json').write_text(json.dumps(dict(settings=settings)))
    (tmp_path / 'genotype.json').write_text(
        json.dumps(
            dict(space='toy', cells=dict(cell=[[0, 1, 'none'], [0, 2, 'none'], [1, 2, 'none']]))
        )
    )
    try:
        assert find_arch(tmp_path).space.name == 'toy'
    except UserError as e:
        assert '\n' not in str(e)


# all of them at once


def test_reduced_campaign(worker):
    "A few hundred cases of `make fuzz`, every reader in turn."
    counts, _, found = fuzz.campaign(20 * len(fuzz_inputs.READERS), seed='test', worker=worker)
    assert len(counts) >= len(fuzz_inputs.READERS) - 1 and not found, '\n'.join(map(str, found))
