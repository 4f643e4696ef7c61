"Pickles and archives that no reader may accept, as bytes by name: each harms a reader that believes it."

import bz2, struct


def text(s) -> bytes:
    "An instruction that pushes a text."
    data = s.encode()
    return b'X' + struct.pack('<I', len(data)) + data


def ask(module, attr) -> bytes:
    "An instruction that asks for a name of a module."
    return f'c{module}\n{attr}\n'.encode()


def whole(body) -> bytes:
    "A pickle of protocol 4 around its instructions."
    return b'\x80\x04' + body + b'.'


def wholes(bodies) -> dict:
    return {name: whole(body) for name, body in bodies.items()}


# calls


def calls(mark) -> dict:
    "Pickles that call something; afterwards the path `mark` exists if anything was executed."
    shell = f'touch {mark}'
    code = f'open({str(mark)!r}, "w").close()'
    folder = str(mark)
    goals = {
        'os.system': shell,
        'posix.system': shell,
        'subprocess.getoutput': shell,
        'os.popen': shell,
        'builtins.exec': code,
        'builtins.eval': code,
        'os.mkdir': folder,
        'os.makedirs': folder,
    }
    out = {}
    for goal, arg in goals.items():
        module, attr = goal.split('.')
        for how, body in routes(module, attr, arg).items():
            out[f'{goal} {how}'] = whole(body)
    return out


def routes(module, attr, arg) -> dict:
    "Eight ways to call a function of a module with one text."
    name = ask(module, attr)
    arg = text(arg)
    args = b'(' + arg + b't'
    return {
        'by GLOBAL': name + args + b'R',
        'by STACK_GLOBAL': text(module) + text(attr) + b'\x93' + args + b'R',
        'by INST': b'(' + arg + f'i{module}\n{attr}\n'.encode(),
        'by OBJ': b'(' + name + arg + b'o',
        'by NEWOBJ': name + args + b'\x81',
        'as a dictionary value': b'}' + text('acc') + name + args + b'Rs',
        'from the memo': name + b'q\x070h\x07' + args + b'R',
        'after 10,000 numbers': b']' + b'K\x01a' * 10_000 + name + args + b'R',
    }


# admitted names in bad ways

DTYPE = ask('numpy', 'dtype')
NDARRAY = ask('numpy', 'ndarray')
ARRAY = ask('numpy.core.multiarray', '_reconstruct')
SCALAR = ask('numpy.core.multiarray', 'scalar')
DICT = ask('collections', 'OrderedDict')
EIGHT = b'C\x08AAAAAAAA'
ONE = b'K\x01'
FRESH = ARRAY + b'(' + NDARRAY + b'K\x00\x85C\x01btR'  # an array that waits for its content


def kind(code) -> bytes:
    "A number type."
    return DTYPE + b'(' + text(code) + b'\x89\x88tR'


def content(shape, code, data=EIGHT) -> bytes:
    "The content of an array: its length, type and bytes."
    return b'(K\x01' + shape + b'\x85' + kind(code) + b'\x89' + data + b'tb'


def abuses() -> dict:
    "Pickles that ask for admitted names in bad ways."
    return wholes(odd_arrays() | odd_names() | asks())


def odd_arrays() -> dict:
    "Bodies: arrays, numbers and types that are none."
    return {
        'object scalar': SCALAR + b'(' + kind('O8') + EIGHT + b'tR',
        'object array': FRESH + content(ONE, 'O8'),
        'object array from a list': FRESH + content(ONE, 'O8', b']K\x01a'),
        'record type': DTYPE + b'(]' + text('f8') + b'a\x89\x88tR',
        'text type': kind('U9'),
        'void type': kind('V16'),
        'time type': kind('M8[D]'),
        'a type as value': kind('f8'),
        'scalar too short': SCALAR + b'(' + kind('f8') + b'C\x04AAAAtR',
        'scalar without a type': SCALAR + b'(' + text('f8') + EIGHT + b'tR',
        'array never filled': FRESH,
        'array of another class': ARRAY + b'(' + DICT + b'K\x00\x85C\x01btR',
        'array larger than its bytes': FRESH + content(b'\x8a\x06' + b'\xff' * 5 + b'\x7f', 'f8'),
        'array of negative size': FRESH + content(b'J\xff\xff\xff\xff', 'f8'),
        'array filled twice': FRESH + content(ONE, 'f8') + content(ONE, 'f8'),
        'ndarray called': NDARRAY + ONE + b'\x85R',
    }


def odd_names() -> dict:
    "Bodies: names used as something else."
    encode = ask('_codecs', 'encode')
    lookup = ask('_codecs', 'lookup')
    return {
        'a name as value': DICT,
        'dictionary from a name': DICT + DICT + b'\x85R',
        'dictionary with state': DICT + b')R}' + text('__class__') + text('x') + b'sb',
        'call without a tuple': DICT + b']R',
        'attribute of a name': ask('collections', 'OrderedDict.__init__.__globals__'),
        'module through a name': ask('collections', 'abc.sys.modules'),
        'name made of numbers': b'K\x01K\x02\x93',
        'codec with code': encode + b'(' + text('x') + text('rot13') + b'tR',
        'lookup of codecs': lookup + text('zip') + b'\x85R',
        'call of text': text('os.system') + text('ls') + b'\x85R',
    }


def asks() -> dict:
    "Bodies: what needs the reader's help."
    return {
        'extension 1': b'\x82\x01',
        'extension 2': b'\x83\x01\x00',
        'extension 4': b'\x84\x01\x00\x00\x00',
        'persistent id': b'Pos.system\n',
        'binary persistent id': text('storage') + b'Q',
        'buffer': b'\x97',
        'read-only buffer': b'\x97\x98',
        'object with keywords': DICT + b')}\x92',
        'byte array': b'\x96\x01' + bytes(7) + b'A',
    }


# memory and stack

DEEP = 30_000
EXABYTE = b'\xff' * 7 + b'\x0f'


def strains() -> dict:
    "Pickles that try the reader's memory or its stack."
    return wholes(brackets() | lengths() | slips()) | cuts(pickle_of_numbers())


def brackets() -> dict:
    "Bodies: values deep inside values, and values that contain themselves."
    doubled = b''
    for k in range(60):
        at = bytes([k])
        doubled += b'q' + at + b'h' + at + b'\x86'
    return {
        'deep tuples': b')' + b'\x85' * DEEP,
        'deep lists': b']' * DEEP + b'a' * (DEEP - 1),
        'deep dictionaries': (b'}' + text('k')) * 1000 + b'N' + b's' * 1000,
        'deep key': b'}' + b')' + b'\x85' * DEEP + b'Ns',
        'marks without end': b'(' * DEEP,
        'tuple of tuples of tuples': b')' + doubled,
        'list of itself': b']q\x00h\x00a',
        'dictionary of itself': b'}q\x00' + text('k') + b'h\x00s',
        'tuple in its own list': b']q\x00h\x00\x85a',
        'a million items': b']' + b'Na' * 500_000,
    }


def lengths() -> dict:
    "Bodies: numbers and lengths that are not true."
    return {
        'memo never written': b'h\x05',
        'memo at four billion': b'Nr\xff\xff\xff\xffj\x07\x00\x00\x00',
        'text of four gigabytes': b'X\xff\xff\xff\xffab',
        'text of an exabyte': b'\x8d' + EXABYTE + b'ab',
        'bytes of an exabyte': b'\x8e' + EXABYTE + b'ab',
        'bytes of four gigabytes': b'B\xff\xff\xff\xffab',
        'number of two gigabytes': b'\x8b\xff\xff\xff\x7fab',
        'number of 2,000 bits': b'\x8a\xff' + b'\x7f' * 255,
        'number of negative length': b'\x8b\xff\xff\xff\xff',
        'million digits': b'I' + b'9' * 1_000_000 + b'\n',
        'frame of an exabyte': b'\x95' + EXABYTE + b'N',
        'byte array of an exabyte': b'\x96' + EXABYTE,
    }


def slips() -> dict:
    "Bodies: malformed pickles."
    return {
        'empty stack': b'',
        'two values': b'NN',
        'pop too much': b'00',
        'append to a number': b'K\x01Na',
        'append without a list': b'Na',
        'items without a mark': b']Ne',
        'odd items': b'}(NNNu',
        'list as key': b'}]Ns',
        'dictionary as key': b'}}Ns',
        'set of lists': b'\x8f(]\x90',
        'frozen set': b'(N\x91',
        'duplicate': b'N2',
        'unknown instruction': b'\xff',
        'text that is no UTF-8': b'X\x02\x00\x00\x00\xff\xfe',
    }


def cuts(good) -> dict:
    "A good pickle, cut off or going on."
    out = {}
    for i in (0, 1, 2, 5, 20, 60, len(good) - 1):
        out[f'cut off at {i} of {len(good)}'] = good[:i]
    return out | {
        'more after the end': good + b'N.',
        'two pickles': good * 2,
        'protocol 0': b'(lp0\nI1\na.',
        'protocol 9': b'\x80\x09N.',
        'no stop': good[:-1] + b'N',
    }


def pickle_of_numbers() -> bytes:
    "A harmless pickle, written by hand: {'acc': [1.5, 2.5, ...]}."
    numbers = b''
    for k in range(20):
        numbers += b'G' + struct.pack('>d', 1.5 + k)
    return whole(b'}' + text('acc') + b'](' + numbers + b'es')


# files


def bombs() -> dict:
    "Archives that unpack to too much, and files that are no archives."
    zeros = bz2.compress(bytes(40_000_000))
    return {
        'bomb of 40 MB': zeros,
        'bomb of a gigabyte': zeros * 25,
        'bomb in a bomb': bz2.compress(zeros * 1000),
        'cut archive': zeros[:30],
        'no archive': b'not bz2',
        'empty file': b'',
        'gzip': bytes.fromhex('1f8b0800') + bytes(20),
        'noise at the end': bz2.compress(pickle_of_numbers()) + b'BZh9' + b'x' * 40,
    }


def hostile(mark) -> dict:
    "Files named .pbz2 that no reader may accept: every family above, packed, and the bombs."
    packed = {}
    for name, data in (calls(mark) | abuses() | strains()).items():
        packed[name] = bz2.compress(data, 1)
    return packed | bombs()
