"What `fuzz.py` feeds: for each reader good inputs, ways to damage them, and what was read as one comparable value."

import bz2, copy, csv, dataclasses, hashlib, io, json, math, pickle, re, shutil, struct, zipfile
from dataclasses import dataclass
from pathlib import Path
import numpy as np
import torch

# one value for what was read


def parts_of(v):
    "What decides a value, as something that has a repr"
    if isinstance(v, torch.Tensor):
        v = v.detach().numpy()
    if isinstance(v, np.ndarray):
        return v.dtype.str, v.shape, hashlib.sha256(np.ascontiguousarray(v).tobytes()).hexdigest()
    if hasattr(v, 'to_csv'):
        return v.to_csv()
    if isinstance(v, dict):
        return sorted((repr(k), parts_of(w)) for k, w in v.items())
    if isinstance(v, (list, tuple)):
        return [parts_of(w) for w in v]
    if isinstance(v, torch.nn.Module):
        return parts_of(v.state_dict())
    if dataclasses.is_dataclass(v):
        return parts_of({f.name: getattr(v, f.name) for f in dataclasses.fields(v)})
    return repr(v)


def digest(v) -> str:
    return hashlib.sha256(repr(parts_of(v)).encode()).hexdigest()[:16]


# damage


def numbers(rng):
    "Lengths and sizes that no honest file would state"
    return rng.choice(
        [
            0,
            1,
            255,
            256,
            65535,
            2**31 - 1,
            2**31,
            2**32 - 1,
            2**63 - 1,
            2**64 - 1,
            rng.getrandbits(64),
        ]
    )


def place_of(rng, n):
    "A place in a file, more often near its ends, where the lengths are"
    if n < 2:
        return 0
    return rng.choice(
        [rng.randrange(n), rng.randrange(min(n, 200)), max(0, n - 1 - rng.randrange(min(n, 200)))]
    )


def damaged(rng, data, others=()):
    "The bytes with one to three things wrong"
    data = bytearray(data)
    for _ in range(rng.choice([1, 1, 1, 2, 3])):
        data = bytearray(hurt(rng, data, others))
    return bytes(data)


def hurt(rng, b, others):
    "One thing wrong"
    n, i, w = len(b), place_of(rng, len(b)), rng.choice([1, 2, 4, 8])
    how = rng.randrange(10)
    if how == 0:  # bits
        for _ in range(rng.choice([1, 1, 2, 8])):
            if n:
                b[place_of(rng, n)] ^= 1 << rng.randrange(8)
    if how == 1 and n:
        b[i] = rng.choice([0, 1, 127, 128, 255, rng.randrange(256)])
    if how == 2:
        del b[i:]  # cut off
    if how == 3:
        del b[i : i + rng.choice([1, 2, 4, 8, 50, 1000])]
    if how == 4:
        b[i:i] = bytes(rng.randrange(256) for _ in range(rng.choice([1, 4, 40])))
    if how == 5:
        b[i:i] = b[place_of(rng, n) :][: rng.choice([1, 8, 100, 5000])]
    if how == 6:
        b[i : i + w] = (numbers(rng) % 256**w).to_bytes(w, rng.choice(['little', 'big']))
    if how == 7:
        b[i : i + rng.choice([4, 64, 1000])] = bytes(rng.choice([4, 64, 1000]))
    if how == 8 and others:  # the beginning of one, the end of another
        o = rng.choice(others)
        b = bytearray(bytes(b[:i]) + o[place_of(rng, len(o)) :])
    if how == 9:
        b = bytearray(bytes(b) + rng.choice([bytes(30), bytes(b), b'PK\5\6' + bytes(18), b'.']))
    return b


def repacked(rng, data):
    "An archive with one member damaged, renamed, gone or twice there, its checksums right again"
    with zipfile.ZipFile(io.BytesIO(data)) as z:
        members = [(i.filename, z.read(i)) for i in z.infolist()]
    k, out = rng.randrange(len(members)), io.BytesIO()
    name, content = members[k]
    how = rng.randrange(8)
    if how < 4:
        members[k] = name, damaged(rng, content, [c for _, c in members])
    if how == 4:
        members[k] = name, head_changed(rng, content)
    if how == 5:
        members[k] = (
            rng.choice(['x', '../x.npy', name.upper(), 'x' * 300, 'a\0b', name + '/']),
            content,
        )
    if how == 6:
        del members[k]
    if how == 7:
        members.append((rng.choice([name, name + '.npy', 'extra.npy']), content))
    with zipfile.ZipFile(
        out,
        'w',
        rng.choice(
            [zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED, zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA]
            if rng.random() < 0.2
            else [zipfile.ZIP_STORED]
        ),
    ) as z:
        for n, c in members:
            z.writestr(n, c)
    return out.getvalue()


def head_changed(rng, content):
    "An array with another type, shape or order in its header"
    if content[:6] != b'\x93NUMPY':
        return damaged(rng, content)
    n = int.from_bytes(content[8:10], 'little')
    kind = rng.choice(
        [
            "'|O'",
            "'<f8'",
            "'|V8'",
            "'<U1'",
            "'<U0'",
            "'<M8[s]'",
            "'<c16'",
            "'|b1'",
            "'|S3'",
            "'>i2'",
            "[('a', '<i4')]",
            "'<f2'",
            "3",
            "'" + 'f8,' * 50 + "'",
        ]
    )
    shape = rng.choice(
        [
            '()',
            '(0,)',
            '(1,)',
            f'({numbers(rng)},)',
            '(2, 3)',
            '(-1,)',
            f'({numbers(rng)}, {numbers(rng)})',
            '(1,)*70',
            'None',
            '(True,)',
            '(1.5,)',
            '(' + '1,' * 64 + ')',
        ]
    )
    old = content[10 : 10 + n].decode('latin1')
    new = "{'descr': %s, 'fortran_order': %s, 'shape': %s, }" % (
        kind,
        rng.choice(['False', 'True', '1', '[]']),
        shape,
    )
    if rng.random() < 0.5:  # one of the three only
        real = eval_header(old)
        real[rng.choice(['descr', 'shape'])] = 'HERE'
        new = repr(real).replace("'HERE'", kind if real['descr'] == 'HERE' else shape)
    new = new.encode()[:65000] + b'\n'
    return content[:8] + len(new).to_bytes(2, 'little') + new + content[10 + n :]


def eval_header(text):
    import ast

    return ast.literal_eval(text.strip())


ODD = [
    None,
    True,
    False,
    0,
    -1,
    1,
    7,
    2**31,
    2**63,
    10**30,
    1.5,
    -0.0,
    1e308,
    float('nan'),
    float('inf'),
    '',
    'x',
    'x' * 300,
    'x' * 5000,
    '\0',
    'a\nb',
    '../../etc/passwd',
    '/',
    '\ud800',
    'ü',
    '1',
    'nan',
    [],
    {},
    [[]],
    [1, 'a', None],
    {'a': 1},
    {'': {}},
    [None] * 1000,
    '|none~0|',
    '0→1 none',
    "'; --",
    '{0.__class__}',
    '%s%n',
    '<script>',
]


def odd(rng):
    "A value that nobody expects"
    v = rng.choice(ODD)
    if rng.random() < 0.03:
        for _ in range(rng.choice([20, 40])):
            v = [v] if rng.random() < 0.5 else {'a': v}
    return v


def other_json(rng, value):
    "JSON with some nodes exchanged, gone, renamed or repeated"
    value = copy.deepcopy(value)
    for _ in range(rng.choice([1, 1, 2, 4])):
        value = one_node(rng, value)
    text = (
        json.dumps(value, ensure_ascii=rng.random() < 0.5)
        .encode('utf-8', 'surrogatepass')
        .decode('utf-8', 'replace')
    )
    how = rng.randrange(20)
    if how == 0:
        text = text.replace('{', '{"a": 1, "a": 2, ', 1)
    if how == 1:
        text = text.replace('1', '1' + '0' * rng.choice([20, 400, 5000]), 1)
    if how == 2:
        text = '\ufeff' + text
    if how == 3:
        text = text.replace('"', '"\\ud800', 1)
    if how == 4:
        text = text.replace(
            ':', ':' + rng.choice(['[', '{"a":']) * rng.choice([40, 900, 100_000]), 1
        )
    if how == 5:
        text += rng.choice([' ', '\n{}', ']', '\0', ','])
    return text


def one_node(rng, value):
    "One node changed"
    nodes, todo = [], [value]
    while todo:
        v = todo.pop()
        for k in (list(v) if isinstance(v, dict) else range(len(v)) if isinstance(v, list) else ()):
            nodes.append((v, k))
            todo.append(v[k])
    if not nodes or rng.random() < 0.03:
        return odd(rng)
    v, k = rng.choice(nodes)
    how = rng.randrange(6)
    if how == 0:
        del v[k]
    elif how == 1 and isinstance(v, dict):
        v[str(odd(rng))[:400]] = v.pop(k)
    elif how == 2 and isinstance(v, list):
        v.insert(0, v[k])
    elif how == 3:
        w, j = rng.choice(nodes)
        v[k] = copy.deepcopy(w[j]) if j in (w if isinstance(w, dict) else range(len(w))) else None
    else:
        v[k] = odd(rng)
    return value


def text_damaged(rng, text, words):
    "A text with letters or words exchanged, doubled, gone"
    for _ in range(rng.choice([1, 1, 2, 5])):
        i, j = sorted(rng.randrange(len(text) + 1) for _ in range(2)) if text else (0, 0)
        w = rng.choice(words)
        text = rng.choice(
            [
                text[:i],
                text[i:],
                text[:i] + w + text[i:],
                text[:i] + text[min(j, i + 8) :],
                text[:i] + w + text[j:],
                text * 2,
                w,
                text[:i] + text[i:j] * 2 + text[j:],
                text.replace(text[i : i + 1], w),
            ]
        )[:300_000]
    return text


# readers


@dataclass(frozen=True)
class Reader:
    "One reader of the package"

    seeds: object  # folder -> list of good inputs (paths)
    make: object  # (rng, seeds, folder) -> (input, is its content under a checksum?)
    read: object  # input -> what was read


def save(path, content):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(
        content if isinstance(content, bytes) else content.encode('utf-8', 'surrogatepass')
    )
    return path


def archives(name, packed_is_sealed=False):
    "How archives are damaged: as bytes, or repacked with right checksums"

    def make(rng, seeds, folder):
        all_ = [p.read_bytes() for p in seeds]
        data = rng.choice(all_)
        if rng.random() < 0.5:
            return save(folder / name, sealed_again(rng, damaged(rng, data, all_), data)), True
        return save(folder / name, sealed_again(rng, repacked(rng, data), data)), packed_is_sealed

    return make


def sealed_again(rng, data, before):
    "With a checksum that fits, where the file had one: whoever damages it on purpose can write that too"
    from dnas_nb.core import seal

    data, sealed = bytes(data), before[-71:-64] == b'sha256:'
    if not sealed or rng.random() < 0.2:
        return data
    if data[-71:-64] == b'sha256:':
        return data[:-64] + hashlib.sha256(data[:-64]).hexdigest().encode()
    try:
        return seal(data)
    except ValueError:
        return data


# data

X = np.random.default_rng(0).integers(0, 256, (24, 3, 6, 6), dtype='u1')
Y = np.arange(24) % 2


def npz_seeds(folder):
    np.savez(folder / 'a.npz', x=X, y=Y)
    np.savez_compressed(
        folder / 'b.npz', x=X[:, 0], y=Y, x_test=X[:8, 1], y_test=Y[:8], class_names=['cat', 'dög']
    )
    np.savez(folder / 'c.npz', x=X.transpose(0, 2, 3, 1) / np.float32(255), y=Y.astype('u2'))
    return [folder / f'{k}.npz' for k in 'abc']


def npz_read(path):
    from dnas_nb.sources import load_data, source_of

    load_data(path)  # divides by a key that holds the name of the file
    s = source_of(path)
    return s.classes, s.pool.x, s.pool.y, s.test and (s.test.x, s.test.y)


def strip(x, kind='WEBP'):
    from PIL import Image

    Image.fromarray(x.reshape(-1, 32, 3)).save(
        buf := io.BytesIO(), kind, **(dict(lossless=True, exact=True) if kind == 'WEBP' else {})
    )
    return buf.getvalue()


def webp_seeds(folder):
    x = np.random.default_rng(1).integers(0, 256, (5, 32, 32, 3), dtype='u1')
    blobs = [strip(x[:3]), strip(x[3:])]
    blob = np.frombuffer(b''.join(blobs), 'u1')
    np.savez(
        folder / 'a.npz',
        blob=blob,
        offsets=np.cumsum([0, *map(len, blobs)]),
        labels=np.arange(5, dtype='u1'),
        class_names=['a', 'b'],
    )
    np.savez(
        folder / 'b.npz',
        blob=np.frombuffer(strip(x[:1]), 'u1'),
        offsets=np.array([0, len(strip(x[:1]))]),
        labels=np.zeros(1, 'i8'),
    )
    return [folder / 'a.npz', folder / 'b.npz']


def webp_read(path):
    from dnas_nb.sources import webp

    return webp(path)


def picture_seeds(folder):
    x = np.random.default_rng(2).integers(0, 256, (1, 32, 32, 3), dtype='u1')
    return [
        save(folder / f'{k}.bin', strip(x, k))
        for k in ('WEBP', 'PNG', 'JPEG', 'GIF', 'BMP', 'TIFF', 'EPS')
    ]


def picture_make(rng, seeds, folder):
    all_ = [p.read_bytes() for p in seeds]
    return save(folder / 'picture', damaged(rng, rng.choice(all_), all_)), False


def picture_read(path):
    from dnas_nb.safe import picture

    data = path.read_bytes()
    return picture(data, ('WEBP',) if len(data) % 2 else ('PNG', 'JPEG'))


def old_pickle(x, y):
    "As Python 2 wrote CIFAR"
    number = lambda n: b'M' + struct.pack('<H', n)
    kind = b'cnumpy\ndtype\nq\x08U\x02u1K\x00K\x01\x87Rq\x09(K\x03U\x01|NNNJ\xff\xff\xff\xffJ\xff\xff\xff\xffK\x00tb'
    fresh = b'cnumpy.core.multiarray\n_reconstruct\nq\x03cnumpy\nndarray\nq\x04K\x00\x85U\x01b\x87Rq\x05'
    data = (
        fresh
        + b'(K\x01'
        + number(len(x))
        + number(3072)
        + b'\x86'
        + kind
        + b'\x89T'
        + struct.pack('<I', x.size)
        + x.tobytes()
        + b'tb'
    )
    return (
        b'\x80\x02}q\x01(U\x0bbatch_labelq\x02U\x03oneU\x06labels]('
        + b''.join(b'K' + bytes([k]) for k in y)
        + b'eU\x04data'
        + data
        + b'u.'
    )


def cifar_seeds(folder):
    x, y = np.random.default_rng(3).integers(0, 256, (3, 3072), dtype='u1'), [0, 1, 9]
    d = {b'batch_label': b'one', b'data': x, b'labels': y, b'filenames': [b'a.png'] * 3}
    return [
        save(folder / 'old', old_pickle(x, y)),
        save(folder / 'two', pickle.dumps(d, 2)),
        save(folder / 'four', pickle.dumps(d, 4)),
    ]


def pickles_make(rng, seeds, folder):
    all_ = [p.read_bytes() for p in seeds]
    data = program(rng) if rng.random() < 0.2 else damaged(rng, rng.choice(all_), all_)
    return save(folder / 'pickle', data), False


WORDS = [
    b'cnumpy\ndtype\n',
    b'cnumpy\nndarray\n',
    b'cnumpy.core.multiarray\n_reconstruct\n',
    b'cnumpy.core.multiarray\nscalar\n',
    b'ccollections\nOrderedDict\n',
    b'c_codecs\nencode\n',
    b'cos\nsystem\n',
    b'cbuiltins\nset\n',
    b'X\x02\x00\x00\x00O8',
    b'X\x02\x00\x00\x00f8',
    b'X\x06\x00\x00\x00latin1',
    b'C\x08AAAAAAAA',
    b'U\x04data',
    b'K\x00',
    b'K\x01',
    b'J\xff\xff\xff\xff',
    b'\x8a\x08' + b'\xff' * 7 + b'\x7f',
    b'N',
    b'\x88',
    b'\x89',
    b'G' + bytes(8),
]


def program(rng):
    "Instructions in no order"
    out = b'\x80' + bytes([rng.choice([2, 2, 3, 4, 5, 0, 9])])
    for _ in range(rng.choice([5, 20, 60, 400])):
        out += (
            rng.choice(WORDS)
            if rng.random() < 0.5
            else rng.choice(
                [
                    b'(',
                    b't',
                    b'R',
                    b'b',
                    b'}',
                    b']',
                    b')',
                    b'\x85',
                    b'\x86',
                    b'\x87',
                    b'a',
                    b'e',
                    b's',
                    b'u',
                    b'q\x00',
                    b'h\x00',
                    b'\x94',
                    b'\x93',
                    b'0',
                    b'2',
                    b'\x8f',
                    b'\x90',
                    b'\x91',
                    b'o',
                    b'i',
                    b'Q',
                    b'\x81',
                    b'\x82\x01',
                ]
            )
        )
    return out + rng.choice([b'.', b'.', b'', b'..'])


def cifar_read(path):
    from dnas_nb.sources import _read_batch

    return _read_batch(path, b'labels')


def names_seeds(folder):
    d = {
        b'num_cases_per_batch': 10000,
        b'label_names': [b'airplane', b'automobile', b'bird'],
        b'num_vis': 3072,
    }
    old = b'\x80\x02}q\x01(U\x0blabel_namesq\x02]q\x03(U\x08airplaneq\x04U\x04birdq\x05eu.'
    return [
        save(folder / 'old', old),
        save(folder / 'two', pickle.dumps(d, 2)),
        save(folder / 'four', pickle.dumps(d, 4)),
    ]


def names_read(path):
    from dnas_nb.sources import _read_names

    return _read_names(path, b'label_names')


def pickle_seeds(folder):
    values = [
        {'a': [1, 2.5, None, True, 'ü', b'\xff'], ('c', 7): {1: (2, 3)}},
        [np.float32(0.1), np.arange(6.0).reshape(2, 3)],
        {1, 2, 'x'},
    ]
    return [
        save(folder / f'{k}-{p}', pickle.dumps(v, p)) for k, v in enumerate(values) for p in (2, 4)
    ]


def pickle_read(path):
    from dnas_nb.unpickle import read_pickle

    return read_pickle(path.read_bytes())


# tables


def table_seeds(folder):
    from dnas_nb.bench import tablefile as tf

    about = dict(name='mini', space='nb201', source='made up', licence='none') | tf.NB201_NAMES
    codes = np.array([[0] * 6, [1] * 6, [3] * 6, [3, 3, 3, 3, 3, 0]], 'u1')
    tf.write_table(
        folder / 'a.npz',
        {
            'codes': codes,
            'row_of': np.array([0, 1, 2, 2]),
            'digits/test/30/mean': np.array([10.0, 60.0, 95.0], 'f4'),
            'digits/params': np.array([1, 2, 3]),
        },
        about,
    )
    tf.write_table(
        folder / 'b.npz',
        {'arch': ['8:8', '8:16'], 'x/valid/2/1': [1.0, 2.0]},
        about | dict(name='other', space='size'),
    )
    return [folder / 'a.npz', folder / 'b.npz']


def tables_make(rng, seeds, folder):
    if rng.random() < 0.6:
        return archives('table.npz', True)(rng, seeds, folder)
    from dnas_nb.bench import tablefile as tf

    columns, header = tf.read_table(
        rng.choice(seeds)
    )  # a header that says something else, sealed again or not
    text = (
        other_json(rng, header)
        if rng.random() < 0.7
        else other_json(rng, resealed(rng, columns, header))
    )
    with open(folder / 'table.npz', 'wb') as f:
        np.savez(f, header=np.frombuffer(text.encode('utf-8', 'surrogatepass'), 'u1'), **columns)
    return folder / 'table.npz', False


def resealed(rng, columns, header):
    from dnas_nb.bench import tablefile as tf

    header = dict(header)
    header[rng.choice([*header, 'more'])] = rng.choice(
        [v for v in ODD if not isinstance(v, float) or math.isfinite(v)]
    )
    try:
        return tf._sealed(columns, header)
    except (TypeError, ValueError, UnicodeEncodeError):
        return header


def table_read(path):
    from dnas_nb.bench.fetch import verify
    from dnas_nb.bench.tablefile import has_header, read_table

    has_header(path)
    said = verify(str(path))
    return said, read_table(path)


def published_seeds(folder):
    from dnas_nb.bench.tablefile import PUBLISHED, find_data

    path = find_data(PUBLISHED['nas_bench_macro'].file)
    return [] if path is None else [Path(shutil.copy(path, folder / path.name))]


def published_read(path):
    from dnas_nb.bench.tablefile import open_table

    return open_table('nas_bench_macro', path)


# official records


def record(arch, a=20.0):
    trained = dict(
        epochs=2,
        eval_acc1es={'x-valid@0': 10.0, 'x-valid@1': a, 'x-test@1': 19.0},
        train_acc1es={0: 11.0, 1: 22.0},
        train_times={0: 3.0, 1: 4.0},
        params=0.0129,
        flop=5.5,
        latency=[0.1],
    )
    return {'02': dict(arch_str=arch, all_results={('cifar100', s): trained for s in (777, 888)})}


def nats_seeds(folder):
    return [
        save(folder / f'{k}.pickle.pbz2', bz2.compress(pickle.dumps(record('8:8', 20.0 + k), p)))
        for k, p in enumerate((2, 4))
    ]


def bz2_damaged(rng, seeds):
    "(bytes, under a checksum?)"
    all_ = [p.read_bytes() for p in seeds]
    data, how = rng.choice(all_), rng.random()
    if how < 0.3:
        return damaged(rng, data, all_), True
    if how < 0.35:
        return data * rng.choice([2, 100, 3000]), False
    if how < 0.4:
        return bz2.compress(bytes(40_000_000)), False
    plain = [bz2.decompress(d) for d in all_]
    if how < 0.6:
        value = pickle.loads(rng.choice(plain))
        for _ in range(rng.choice([1, 2])):
            value = one_node(rng, value)
        try:
            return bz2.compress(pickle.dumps(value, 4)), False
        except RecursionError:
            return data, True
    return bz2.compress(damaged(rng, rng.choice(plain), plain)), False


def nats_make(rng, seeds, folder):
    data, checked = bz2_damaged(rng, seeds)
    return save(folder / '000000.pickle.pbz2', data), checked


def nats_read(path):
    from dnas_nb.bench.convert import figures, unpack
    from dnas_nb.unpickle import read_pickle

    return figures(read_pickle(unpack(path)), '8:8')


def natsfolder_seeds(folder):
    archs = ['8:8', '8:16', '8:24']
    files = [
        save(
            folder / 'meta.pickle.pbz2',
            bz2.compress(pickle.dumps(dict(meta_archs=archs, total_archs=3), 4)),
        )
    ]
    return files + [
        save(folder / f'{k:06d}.pickle.pbz2', bz2.compress(pickle.dumps(record(a), 4)))
        for k, a in enumerate(archs)
    ]


def natsfolder_make(rng, seeds, folder):
    (folder / 'f').mkdir()
    for p in seeds:
        shutil.copy(p, folder / 'f')
    victim = rng.choice(seeds)
    data, _ = bz2_damaged(rng, [victim])
    save(folder / 'f' / victim.name, data)
    return folder / 'f', False


def natsfolder_read(path):
    from dnas_nb.bench.convert import convert
    from dnas_nb.bench.tablefile import read_table

    done = convert(path, path.parent / 't.npz', workers=1, chunk=2, quiet=True)
    return done.missing, sorted(done.refused), read_table(done.path)[0]


def chunk_seeds(folder):
    from dnas_nb.bench.convert import do_chunk

    records = folder / 'f'
    records.mkdir()
    natsfolder_seeds(records)
    return [do_chunk(records, range(3), ['8:8', '8:16', '8:24'], folder / 'c.json')]


def texts_make(name, checked=False):
    "JSON files, as bytes or by their nodes"

    def make(rng, seeds, folder):
        data = rng.choice(seeds).read_bytes()
        if rng.random() < 0.4:
            return save(folder / name, damaged(rng, data)), checked
        return save(folder / name, other_json(rng, json.loads(data))), checked

    return make


def chunk_make(rng, seeds, folder):
    "As bytes, or by the nodes of its first line, the checksum below it right again"
    data = rng.choice(seeds).read_bytes()
    if rng.random() < 0.4:
        return save(folder / 'c.json', damaged(rng, data)), True
    text = other_json(rng, json.loads(data.splitlines()[0]))
    text = text if isinstance(text, bytes) else text.encode('utf-8', 'surrogatepass')
    return (
        save(folder / 'c.json', text + b'\n' + hashlib.sha256(text).hexdigest().encode() + b'\n'),
        False,
    )


def chunk_read(path):
    from dnas_nb.bench.convert import _read_part, gathered

    if _read_part(path) is None:
        from dnas_nb.core import UserError

        raise UserError('a chunk that is made again')
    return gathered([path], 3)


def digits_seeds(folder):
    one = dict(
        rows=np.array([0, 5], 'i2'),
        seed=np.array(1, 'i2'),
        right=np.ones((2, 3), 'i2'),
        loss=np.ones((2, 3), 'i4'),
    )
    from dnas_nb.bench.measured import save_chunk

    save_chunk(folder, one)
    return [folder / '1-0000-02.npz']


def digits_read(path):
    from dnas_nb.bench.measured import finished

    return finished(path.parent)


# genotypes


def genotypes():
    from dnas_nb.dialects import GENOTYPES, published, to_darts
    from dnas_nb.genotype import to_str
    from dnas_nb.core import generator
    from dnas_nb.genotype import random_arch
    from dnas_nb.spaces import all_spaces

    some = {
        s: random_arch(all_spaces()[s](), generator('fuzz', s))
        for s in ('nb201', 'toy', 'darts', 's2', 'size', 'macro')
    }
    return some, [
        *map(to_str, some.values()),
        *(v[0] for v in GENOTYPES.values()),
        to_darts(published('DRNAS')),
        'DARTS_V2',
    ]


def genotype_seeds(folder):
    from dnas_nb.genotype import to_json

    return [save(folder / f'{s}.json', to_json(g)) for s, g in genotypes()[0].items()]


def genotype_read(path):
    from dnas_nb.running.retrain import find_arch
    from dnas_nb.genotype import draw, from_json
    from dnas_nb.safe import read_text

    found = find_arch(str(path))
    g, space = found.genotype, found.space
    return from_json(read_text(path)), g


def arch_seeds(folder):
    return [save(folder / f'{k}.txt', t) for k, t in enumerate(genotypes()[1])]


PIECES = [
    '|',
    '~',
    '+',
    '||',
    '|+|',
    'none',
    'skip_connect',
    'nor_conv_3x3',
    '~0|',
    '~9',
    '~-1',
    '0',
    '99999',
    ' ',
    '\n',
    '\0',
    '\ud800',
    'ü',
    '(',
    ')',
    '[',
    ']',
    '[[' * 9,
    "('sep_conv_3x3', 0)",
    'range(',
    'range(2, 6)',
    'range(0, 9999999)',
    'Genotype',
    'Genotype(',
    'normal=',
    'reduce=[]',
    '_concat=',
    ',',
    '=',
    "'",
    '"',
    'x' * 300,
    '[' + '(' * 5000,
    '²',
    '~²|',
    '1e9',
    'normal=|',
    '/etc/passwd',
    '..',
    'a\0b',
    'x' * 2000,
]


def arch_make(rng, seeds, folder):
    text = rng.choice(seeds).read_text()
    if rng.random() < 0.3:  # another operation or another input, in its place
        words = list(re.finditer(r'[a-z_]+_[a-z0-9_]*|none|[0-9]+', text))
        for m in [rng.choice(words)] * bool(words):
            text = text[: m.start()] + rng.choice(words)[0] + text[m.end() :]
    elif rng.random() < 0.3:
        text = ''.join(rng.choice(PIECES) for _ in range(rng.choice([1, 3, 30, 2000])))
    else:
        text = text_damaged(rng, text, PIECES)
    return (text, rng.choice(['nb201', 'darts', 'toy', 's3', 'size', 'macro', None])), False


def arch_read(given):
    from dnas_nb.bench.tables import index, make_table
    from dnas_nb.running.retrain import find_arch
    from dnas_nb.dialects import parse, parse_darts
    from dnas_nb.spaces import all_spaces
    from dnas_nb.core import UserError

    if isinstance(given, Path):
        return given.read_text()
    text, space = given
    said = []
    for f in (
        lambda: find_arch(text, space),
        lambda: parse(text, all_spaces()[space or 'nb201']()),
        lambda: parse_darts(text, all_spaces()[space or 'darts']()),
        lambda: index(make_table('t', 'nb201', ['a'], {('d', 'test', 1, '1'): [1.0]}), text),
    ):
        try:
            said.append(f())
        except UserError as e:
            last = e
            tidy(e)
    if not said:
        raise last
    return repr(said)


def tidy(e):
    "Raise what is wrong with the message of a `UserError`"
    text = str(e)
    if not text.isprintable():
        raise AssertionError(f'a message with odd characters: {text[:100]!r}')
    if len(text) > 1200:
        raise AssertionError(f'a message of {len(text)} characters: {text[:100]!r}')


# run folders


def run_seeds(folder):
    "A finished search and a finished retraining, tiny"
    from dnas_nb.running.experiment import run
    from dnas_nb.running.retrain import retrain

    if not (folder / 'search' / 'genotype.json').exists():
        run(
            folder / 'search',
            method='danas',
            space='toy',
            images=96,
            epochs=2,
            channels=2,
            batch=32,
            device='cpu',
            report=False,
        )
    if not (folder / 'training' / 'genotype.json').exists():
        retrain(
            str(folder / 'search'), out=folder / 'training', epochs=1, images=96, C=2, device='cpu'
        )
    return folder


def in_run(file, which='search'):
    "The seeds of one file of a run"

    def seeds(folder):
        if not (home := folder.parent / 'run').exists():
            home.mkdir()
        return [run_seeds(home) / which / file]

    return seeds


def run_make(file, damage):
    "A copy of the run folder with one file damaged; its checkpoint left out where it is not needed"

    def make(rng, seeds, folder):
        source, out = seeds[0].parent, folder / 'run'
        out.mkdir()
        for p in source.iterdir():
            if p.is_file() and (p.name != 'last.pt' or p.name == file):
                shutil.copy(p, out)
        _, checked = damage(rng, [seeds[0]], folder)
        shutil.move(folder / file, out / file)
        if file != 'run.json' and rng.random() < 0.8:  # the run noted the digest of what was there
            about = json.loads((out / 'run.json').read_text())
            save(out / 'run.json', json.dumps(about | dict(files={})))
        return out, checked

    return make


def history_make(rng, seeds, folder):
    rows = list(csv.reader(io.StringIO(seeds[0].read_text())))
    if rng.random() < 0.4:
        return save(folder / 'history.csv', damaged(rng, seeds[0].read_bytes())), False
    for _ in range(rng.choice([1, 2, 5])):
        i = rng.randrange(len(rows))
        j = rng.randrange(len(rows[i]) or 1)
        how = rng.randrange(6)
        if how == 0:
            del rows[i][j : j + 1]
        elif how == 1:
            rows.insert(i, list(rows[i]))
        elif how == 2:
            rows[i].insert(j, str(odd(rng)))
        elif how == 3 and len(rows) > 1:
            del rows[i]
        elif rows[i]:
            rows[i][j : j + 1] = [
                rng.choice(
                    [
                        'nan',
                        'inf',
                        '-1',
                        '1e999',
                        '9' * 400,
                        'x',
                        '',
                        '"',
                        'p/cell/0-1/none',
                        'p/x',
                        'p/cell/a-b/c',
                        'epoch',
                        '1.5',
                        'True',
                        '1+2j',
                        '2020-01-01',
                        '\0',
                        'x' * 300,
                        ',' * 30_000,
                    ]
                )
            ]
    out = io.StringIO()
    csv.writer(out).writerows(rows)
    return save(folder / 'history.csv', out.getvalue()), False


def account_read(out):
    from dnas_nb.running import report
    from dnas_nb.running.retrain import find_arch
    from dnas_nb.running.folder import account, free_folder, to_continue
    from dnas_nb.running.report import found, history, read_run
    from dnas_nb.running.study import _row_of

    about = account(out)
    run, frame, cells = read_run(out), history(out), found(out)
    pages = [
        report._headline(run, cells, frame),
        report._banner(run, frame),
        report._tiles(run, frame),
        report._conditions(run),
        report._epochs(run),
    ]
    _row_of(out.parent, out.name, dict(settings={}, status='finished', error=''))
    free_folder(out, {})
    find_arch(str(out))
    try:
        to_continue(
            out,
            True,
            about.get('settings') or {},
            lambda p: dict(settings=about.get('settings') or {}, history=[0] * 10**6),
        )
    except Exception as e:
        from dnas_nb.core import UserError

        if not isinstance(e, UserError):
            raise
    return about, [str(p) for p in pages]


def history_read(out):
    from dnas_nb.running import report
    from dnas_nb.running.report import history, leaders, probabilities
    from dnas_nb.spaces import all_spaces
    from dnas_nb.reading.wiring import shape_by_epoch
    from dnas_nb.running.learned import _last_weights, read_history

    frame = history(out)
    moves = probabilities(frame)
    said = [report._headline({}, {}, frame), report._say_curves(frame)]
    said += [leaders(m) for m in moves.values()]
    _last_weights(out, 'cell', {'0→1': ['none', 'skip_connect']})
    h = read_history(out)
    return said, h, shape_by_epoch(h, all_spaces()['toy']())


def arrays_read(out):
    from dnas_nb.running.folder import stored_arrays
    from dnas_nb.running.learned import read_learned
    from dnas_nb.running.report import correlations, strongest

    kept = stored_arrays(out)
    for C, labels in correlations(out).values():
        strongest(C, labels)
    learned = read_learned(out)
    return kept, learned.corr, learned.labels, learned.weights


def search_read(out):
    from dnas_nb.checkpoint import read
    from dnas_nb.running.experiment import prepare, settings
    from dnas_nb.sources import load_data

    whole = read(out / 'last.pt')
    s = settings(method='danas', space='toy', images=96, epochs=2, channels=2, batch=32)
    global SPLIT
    SPLIT = globals().get('SPLIT') or load_data('digits', 96)
    prepare(s, SPLIT, torch.device('cpu')).begin(whole)
    return (
        {k: v for k, v in whole.items() if k not in ('w_opt', 'a_opt')},
        whole['w_opt'],
        whole['a_opt'],
    )


def training_read(out):
    from dnas_nb.running.evaluate import load_arch
    from dnas_nb.unpickle import load_tensors

    whole = load_tensors(
        out / 'last.pt', ('net', 'history', 'genotype', 'settings', 'test'), 'a retraining'
    )
    return whole, load_arch(out)


# studies and plans


def study_seeds(folder):
    from dataclasses import asdict
    from dnas_nb.running.experiment import settings

    rows = {
        f'{m}-toy-s{k}': dict(
            settings=asdict(settings(method=m, space='toy', seed=k)), status=s, error=''
        )
        for m in ('darts', 'danas')
        for k, s in ((0, 'finished'), (1, 'failed'))
    }
    return [save(folder / 'study.json', json.dumps(rows))]


def study_read(path):
    from dnas_nb.running.study import frame, shown, standing

    rows, f = standing(path.parent), frame(path.parent)
    return rows, f, shown(f)


def end_seeds(folder):
    return [save(folder / 'end.json', json.dumps(dict(status='failed', error='no memory')))]


def end_read(path):
    from dnas_nb.running.claims import ended

    return ended(path.parent)


def fleet_seeds(folder):
    from dnas_nb.running.folder import versions

    return [save(folder / 'fleet.json', json.dumps(dict(patience=60.0, versions=versions())))]


def fleet_read(path):
    from dnas_nb.running.fleet import _agreed, _same_versions

    about = _agreed(path.parent)
    _same_versions(path.parent, about)
    return about


def plan_seeds(folder):
    return [
        save(
            folder / 'a.toml',
            'space = "toy"\nmethod = ["darts", "danas"]\nseed = [0, 1]\nepochs = 2\nlr = 0.05\n',
        ),
        save(
            folder / 'b.toml',
            'space = "toy"\nseed = [0, 1]\n[[runs]]\nmethod = "darts"\n[[runs]]\nmethod = "gdas"\nimages = 500\n',
        ),
        save(
            folder / 'c.json',
            json.dumps(
                dict(
                    space='toy', method=['darts', 'danas'], seed=[0, 1], epochs=2, precision='fp32'
                )
            ),
        ),
        save(
            folder / 'd.json',
            json.dumps([dict(method='darts'), dict(method='random', seed=[1, 2])]),
        ),
    ]


TOML = [
    '[',
    ']',
    '[[',
    ']]',
    '[a.b.c]',
    'a.' * 50,
    '"""',
    "'''",
    '\\u0000',
    '\\ud800',
    '= ',
    '\n',
    '{',
    '}',
    '[[' * 200,
    '{a=' * 50,
    '1_000',
    '0xff',
    '9' * 30,
    '9' * 5000,
    'inf',
    'nan',
    '-1',
    '1e400',
    '2020-01-01',
    'true',
    'seed = ',
    'method = ',
    'data = "x.npz"',
    'data = "' + 'x' * 300 + '.npz"',
    'data = "a\\u0000.npz"',
    '[]',
    '[[]]',
    '[1, "a"]',
    'space = 3',
    'epochs = 1e9',
    '# ',
    '\ufeff',
    '\0',
    '"',
    'runs = 3',
    'runs = [1]',
    '[runs]',
    'threads = 0',
    'channels = 1000000',
    'cells = 100000',
    'seed = [' + '1, ' * 2000 + ']',
    'lr = "x"',
    'warmup = "3"',
    'batch = true',
    'size = [8, 16]',
]


def plan_make(rng, seeds, folder):
    path = rng.choice(seeds)
    if path.suffix == '.json':
        return texts_make('plan.json')(rng, [path], folder)
    if rng.random() < 0.3:
        return save(folder / 'plan.toml', damaged(rng, path.read_bytes())), False
    text = path.read_text()
    if rng.random() < 0.3:
        text += f'{rng.choice(["seed", "method", "lr", "space", "data", "epochs", "images", "more"])} = {json.dumps(odd(rng))}\n'
    return save(folder / 'plan.toml', text_damaged(rng, text, TOML)), False


def plan_read(path):
    from dnas_nb.running.study import plan, read_plan

    return plan(read_plan(path))


# values of the command line, arrays, addresses

FIELDS = [
    'method',
    'space',
    'data',
    'epochs',
    'warmup',
    'channels',
    'cells',
    'size',
    'images',
    'batch',
    'lr',
    'arch_lr',
    'seed',
    'precision',
    'threads',
]
GIVEN = [
    0,
    -1,
    1,
    3,
    10**6,
    10**9,
    2**63,
    10**30,
    1e9,
    -0.5,
    0.05,
    float('nan'),
    float('inf'),
    True,
    '3',
    '',
    'x',
    'x' * 300,
    'x' * 5000,
    'a\0b',
    'a\nb',
    '\ud800',
    [],
    [1],
    {},
    (),
    None,
    'digits',
    'toy',
    'darts',
    'danas',
    'fp32',
    '/',
    '..',
    'mine.npz',
    '../' * 40 + 'x.npz',
    'cuda:99999',
    b'x',
    1 + 2j,
    np.float32(1),
    np.int64(3),
    range(3),
]


def values_make(rng, seeds, folder):
    fields = {rng.choice(FIELDS): rng.choice(GIVEN) for _ in range(rng.choice([1, 1, 2, 4]))}
    return (
        fields,
        rng.choice(GIVEN),
        text_damaged(rng, '0,1,2', [',', '-', '1', ' ', 'x', '9' * 5000, '\0', '²', '1.5', '']),
    ), False


def values_read(given):
    "Each value goes to every function that takes a word of the command line"
    from dnas_nb.bench.tables import load
    from dnas_nb.core import UserError, device
    from dnas_nb.data import deal
    from dnas_nb.sources import load_data
    from dnas_nb.running.experiment import settings
    from dnas_nb.running.retrain import find_arch
    from dnas_nb.bench.fetch import fetch_table, hexadecimal, verify
    from dnas_nb.methods import find_method
    from dnas_nb.running.study import frame, plan
    import dnas_nb.running.cli as cli

    if isinstance(given, Path):
        return given.read_text()
    fields, value, seeds = given
    word = value if isinstance(value, str) else str(value)
    small = lambda **kw: load_data('digits', **{**dict(images=60), **kw})
    calls = [
        lambda: settings(**fields),
        lambda: plan(fields),
        lambda: plan([fields]),
        lambda: find_arch(value),
        lambda: device(value),
        lambda: find_method(value),
        lambda: load(word),
        lambda: frame(word),
        lambda: hexadecimal(value),
        lambda: load_data(word) if word not in ('digits',) else 0,
        lambda: deal(10, value),
        lambda: small(images=value),
        lambda: verify(word),
        lambda: fetch_table(word, None, None),
    ]
    if hasattr(cli, 'whole_numbers'):
        calls.append(lambda: cli.whole_numbers(seeds))
    done = 0
    for f in calls:
        try:
            f()
            done += 1
        except UserError as e:
            tidy(e)
            last = e
    if not done:
        raise last
    return done


def none(folder):
    return [save(folder / 'nothing', 'nothing')]


KINDS = [
    'u1',
    'i1',
    'u2',
    'i2',
    'u4',
    'i4',
    'u8',
    'i8',
    'f2',
    'f4',
    'f8',
    'c8',
    'c16',
    '?',
    'O',
    'U3',
    'S3',
    'M8[s]',
    'm8[s]',
    'i4,f8',
    '>f4',
    '>i4',
    'f8',
]


def array(rng, n, labels=False):
    "An array of `n` pictures or labels, in some shape and type"
    if rng.random() < 0.2:
        n = rng.choice([0, 1, 2, 13])
    shape = (n,) if labels else (n, 3, 4, 4)
    if rng.random() < 0.25:
        shape = (
            rng.choice([(n, 1), ()])
            if labels
            else rng.choice(
                [
                    (n, 4, 4),
                    (n, 4, 4, 3),
                    (n, 1, 1, 1),
                    (n,),
                    (),
                    (n, 0, 4, 4),
                    (n, 2, 2, 2, 2),
                    (n, 32, 32, 13),
                    (n, 9, 128),
                    (1, n),
                    (n, 3, 1, 4),
                ]
            )
        )
    usual = ['i8', 'u1', 'i4'] if labels else ['u1', 'f4', 'i8', 'f8']
    kind = rng.choice(usual if rng.random() < 0.8 else KINDS)
    base = np.random.default_rng(rng.randrange(9)).integers(0, rng.choice([2, 3, 256, 256]), shape)
    if labels and rng.random() < 0.8:
        base = np.arange(max(base.size, 1)) % 2
    try:
        a = base.astype(kind)
    except (ValueError, TypeError):
        a = base
    how = rng.randrange(30)
    if how == 0 and a.dtype.kind == 'f' and a.size:
        a.flat[0] = rng.choice([np.nan, np.inf, -np.inf])
    if how == 1 and a.dtype.kind in 'iu' and a.size:
        a.flat[0] = np.iinfo(a.dtype).max
    if how == 2 and a.dtype.kind == 'i' and a.size:
        a.flat[0] = -1
    if how == 3:
        a = a.tolist()
    if how == 4:
        a = rng.choice(ODD)
    if how == 6 and isinstance(a, np.ndarray) and a.ndim and len(a):
        a = np.broadcast_to(a[:1], a.shape)
    if how == 5 and isinstance(a, np.ndarray) and a.ndim:
        a = a[::-1]
    if how == 7 and isinstance(a, np.ndarray) and a.dtype.kind in 'uif' and a.dtype.isnative:
        a = torch.from_numpy(np.ascontiguousarray(a))
        a = rng.choice(
            [
                a,
                a.to_sparse() if a.ndim and a.dtype == torch.float32 else a,
                a.to('meta'),
                a.float().requires_grad_(),
                a.to(torch.bfloat16),
                a.bool(),
                a.unsqueeze(0).expand(3, *a.shape),
            ]
        )
    return a


def tensors_make(rng, seeds, folder):
    n, k = rng.choice([2, 12, 24, 40]), rng.choice([4, 9])
    more = dict(x_test=array(rng, k), y_test=array(rng, k, True)) if rng.random() < 0.3 else {}
    more |= {
        k: rng.choice(v)
        for k, v in dict(
            classes=[None, ['a', 'b'], [], 'ab', [1, 2, 3], {}, 3, ['x' * 300] * 2],
            images=[None, 4, 8, 0, -1, '4', 1.5, 10**9],
            size=[None, 4, 2, 0, 2000, '8', 1e9, True],
            seed=[0, 'a', None, -1, 2**70],
            name=['tensors', 'x' * 300, 'a\nb', '\0', 3, None],
            flip=[False, 3, 'x'],
            shift=[0, 2, -1, 99, 'x'],
        ).items()
        if rng.random() < 0.06
    }
    return (array(rng, n), array(rng, n, True), more), False


def tensors_read(given):
    from dnas_nb.sources import from_tensors

    if isinstance(given, Path):
        return given.read_text()
    x, y, more = given
    s = from_tensors(x, y, **more)
    return s.about.classes, [v for p in (s.train, s.valid, s.test) for v in (p.x, p.y)]


URL = [
    'https://a.org/t.npz',
    'http://127.0.0.1:9/t.npz',
    'https://me:secret@a.org/t.npz',
    'https://a.org:8443/x/',
    'https://[::1]/t.npz',
    'https://a.org/t.npz?key=secret#x',
]
URLS = [
    ':',
    '/',
    '//',
    '@',
    '[',
    ']',
    '::',
    '?',
    '#',
    '%',
    '%00',
    '%zz',
    '\0',
    '\n',
    ' ',
    '\t',
    'ü',
    '\ud800',
    'a' * 300,
    '.',
    '..',
    '\\',
    'http:',
    'https:',
    'file:',
    'HTTP',
    '99999',
    ':99999',
    ':-1',
    ':x',
    '//me:secret@',
    '<',
    '"',
    '{',
    '1.2.3.4',
    '[::',
    '@' * 20,
    'secret@',
]


def address_make(rng, seeds, folder):
    text = (
        ''.join(rng.choice(URLS) for _ in range(rng.randrange(8)))
        if rng.random() < 0.2
        else text_damaged(rng, rng.choice(URL), URLS)
    )
    return rng.choice([text, text, text, text, text, rng.choice(GIVEN)]), False


def address_read(url):
    from dnas_nb.core import UserError
    from dnas_nb.bench.fetch import address, addresses, file_name, redacted, same_place

    if isinstance(url, Path):
        return url.read_text()
    if isinstance(url, str) and url.count('@') and not url.isspace() and 'secret@' in redacted(url):
        raise AssertionError(f'a password is told: {redacted(url)[:100]}')
    try:
        parts, names = address(url), [file_name(url), *addresses(url, ['https://b.org/'])]
    except UserError as e:
        if '@' in str(url) and 'secret@' in str(e):
            raise AssertionError('a password is told') from None
        raise
    return redacted(url), same_place(url), names[0]


READERS = {
    'npz': Reader(npz_seeds, archives('mine.npz'), npz_read),
    'webp archive': Reader(webp_seeds, archives('strips.npz'), webp_read),
    'picture': Reader(picture_seeds, picture_make, picture_read),
    'cifar batch': Reader(cifar_seeds, pickles_make, cifar_read),
    'cifar names': Reader(names_seeds, pickles_make, names_read),
    'pickle': Reader(pickle_seeds, pickles_make, pickle_read),
    'table': Reader(table_seeds, tables_make, table_read),
    'published table': Reader(
        published_seeds, archives('nas_bench_macro.npz', True), published_read
    ),
    'nats record': Reader(nats_seeds, nats_make, nats_read),
    'nats folder': Reader(natsfolder_seeds, natsfolder_make, natsfolder_read),
    'conversion chunk': Reader(chunk_seeds, chunk_make, chunk_read),
    'digits chunk': Reader(digits_seeds, archives('1-0000-02.npz'), digits_read),
    'genotype file': Reader(genotype_seeds, texts_make('genotype.json'), genotype_read),
    'genotype text': Reader(arch_seeds, arch_make, arch_read),
    'run.json': Reader(
        in_run('run.json'), run_make('run.json', texts_make('run.json')), account_read
    ),
    'history.csv': Reader(
        in_run('history.csv'), run_make('history.csv', history_make), history_read
    ),
    'arrays.npz': Reader(
        in_run('arrays.npz'), run_make('arrays.npz', archives('arrays.npz')), arrays_read
    ),
    'checkpoint, search': Reader(
        in_run('last.pt'), run_make('last.pt', archives('last.pt')), search_read
    ),
    'checkpoint, training': Reader(
        in_run('last.pt', 'training'), run_make('last.pt', archives('last.pt')), training_read
    ),
    'study.json': Reader(study_seeds, texts_make('study.json'), study_read),
    'end.json': Reader(end_seeds, texts_make('end.json'), end_read),
    'fleet.json': Reader(fleet_seeds, texts_make('fleet.json'), fleet_read),
    'plan': Reader(plan_seeds, plan_make, plan_read),
    'command values': Reader(none, values_make, values_read),
    'arrays given': Reader(none, tensors_make, tensors_read),
    'address': Reader(none, address_make, address_read),
}
