"Downloads from a server that misbehaves, and the command `dnas_table`."

import contextlib, hashlib, http.server, os, socket, struct, sys, time
import numpy as np
import pytest
from conftest import ROOT, fails
import warm
from servers import serving as server
from dnas_nb.bench import tablefile as tf
from dnas_nb.running.cli import dnas_table
from dnas_nb.core import UserError
from dnas_nb.bench.fetch import address, download, fetch_table, file_name

DATA = np.random.default_rng(0).integers(0, 256, 200_000, dtype='u1').tobytes()
SHA = hashlib.sha256(DATA).hexdigest()
get = lambda url, path, sha=SHA, **kw: download(
    f'{url}/t.npz', path / 't.npz', sha, quiet=True, **dict(timeout=5, tries=3) | kw
)


class Handler(http.server.BaseHTTPRequestHandler):
    content, breaks, ranges, status, tag, asked, hang, length, wrong_start = (
        DATA,
        (),
        True,
        (),
        None,
        (),
        0,
        True,
        0,
    )
    headers_, code, location, dribble, secrets = {}, None, None, None, ()

    def log_message(self, *a):
        pass

    def drip(self, text):
        for b in text:
            try:
                self.wfile.write(bytes([b]))
                self.wfile.flush()
                time.sleep(0.05)
            except OSError:
                return

    def do_GET(self):
        s = type(self)
        asked, start = self.headers.get('Range'), 0
        s.asked.append(asked)
        s.secrets.append(self.headers.get('Authorization'))
        if s.dribble == 'status':
            return self.drip(b'HTTP/1.1 ' + b'2' * 500)
        if s.dribble == 'headers':
            return self.drip(b'HTTP/1.1 200 OK\r\nX: ' + b'x' * 500)
        if s.dribble == 'body':
            self.send_response(200)
            self.send_header('Content-Length', 500)
            self.end_headers()
            return self.drip(bytes(500))
        if s.status and (code := s.status.pop(0)) != 200:
            return self.send_error(code)
        if s.hang:
            time.sleep(s.hang)
        fresh = self.headers.get('If-Range') in (None, s.tag)
        if asked and s.ranges and fresh:
            start = int(asked[6:-1])
        if start >= len(s.content) > 0:
            return self.send_error(416)
        self.send_response(s.code or (206 if start else 200))
        if s.location:
            self.send_header('Location', s.location)
        for k, v in s.headers_.items():
            self.send_header(k, v)
        if s.tag:
            self.send_header('ETag', s.tag)
        if s.length:
            self.send_header('Content-Length', len(s.content) - start)
        if start:
            self.send_header(
                'Content-Range',
                f'bytes {start + s.wrong_start}-{len(s.content) - 1}/{len(s.content)}',
            )
        self.end_headers()
        self.wfile.write(
            s.content[start : start + s.breaks.pop(0)] if s.breaks else s.content[start:]
        )


@contextlib.contextmanager
def serving(**how):
    kind = type(
        'H',
        (Handler,),
        dict(asked=[], breaks=[], status=[], secrets=[])
        | {'headers_' if k == 'headers' else k: v for k, v in how.items()},
    )

    with server(kind) as (url, _):
        yield url, kind


def test_a_client_that_goes_away_is_not_told(capsys):
    "Its reset line once ended as a traceback in the streams of another test."
    with server(type('H', (Handler,), dict(asked=[], secrets=[], breaks=[], status=[]))) as (_, s):
        for request in (b'', b'GET / HTTP/1.1'):
            line = socket.create_connection(s.server_address)
            line.sendall(request)
            line.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack('ii', 1, 0))
            line.close()
        until = time.monotonic() + 60
        while len(s.gone) < 2 and time.monotonic() < until:
            time.sleep(0.01)
    assert len(s.gone) == 2 and capsys.readouterr() == ('', '')


def test_a_fault_of_a_server_is_told(capsys):
    def broken(*given):
        raise ValueError('a fault of the test')

    with server(broken) as (_, s):
        with socket.create_connection(s.server_address) as line:
            line.recv(1)  # the server closes it when all is said
    assert 'a fault of the test' in capsys.readouterr().err and s.gone == []


def left(path):
    return sorted(p.name for p in path.iterdir())


def test_plain(tmp_path):
    with serving() as (url, kind):
        assert get(url, tmp_path / 'deep').read_bytes() == DATA
    assert kind.asked == [None] and left(tmp_path / 'deep') == ['t.npz']


def test_cut_and_resumed(tmp_path):
    with serving(breaks=[70_000, 1_000], tag='"v1"') as (url, kind):
        assert get(url, tmp_path).read_bytes() == DATA
    assert kind.asked == [None, 'bytes=70000-', 'bytes=71000-'] and left(tmp_path) == ['t.npz']


def test_stays_cut_then_goes_on(tmp_path):
    with serving(breaks=[70_000, 0, 0]) as (url, kind):
        fails(lambda: get(url, tmp_path), '70,000 bytes are kept', 'the same call goes on')
        assert not (tmp_path / 't.npz').exists()
        assert get(url, tmp_path).read_bytes() == DATA and kind.asked[-1] == 'bytes=70000-'


def test_killed_then_goes_on(tmp_path):
    "What a process that was killed left behind is used."
    with serving() as (url, kind):
        (tmp_path / 't.npz.part').write_bytes(DATA[:50_000])
        (tmp_path / 't.npz.tag').write_text(f'{{"url": "{url}/t.npz", "tag": null}}')
        assert get(url, tmp_path).read_bytes() == DATA and kind.asked == ['bytes=50000-']


@pytest.mark.parametrize('note', ['', '{', '[]', '{"url": 3}'])
def test_damaged_note(tmp_path, note):
    with serving() as (url, kind):
        (tmp_path / 't.npz.part').write_bytes(b'rubbish')
        (tmp_path / 't.npz.tag').write_text(note)
        assert get(url, tmp_path).read_bytes() == DATA


def test_ignores_range(tmp_path):
    with serving(breaks=[70_000], ranges=False) as (url, kind):
        assert get(url, tmp_path).read_bytes() == DATA
    assert kind.asked == [None, 'bytes=70000-']


def test_part_of_another_place(tmp_path):
    "A 206 that starts elsewhere is not appended."
    with serving(breaks=[70_000], wrong_start=5) as (url, kind):
        fails(lambda: get(url, tmp_path), 'another part')
    assert left(tmp_path) == []


def test_changed_meanwhile(tmp_path):
    "Another version between two attempts: the new one arrives whole."
    with serving(content=b'old' * 50_000, breaks=[70_000, 0, 0], tag='"v1"') as (url, kind):
        fails(lambda: get(url, tmp_path), 'are kept')
        kind.content, kind.tag, kind.breaks = DATA, '"v2"', []
        assert get(url, tmp_path).read_bytes() == DATA


def test_longer_than_there_is(tmp_path):
    with serving() as (url, kind):
        (tmp_path / 't.npz.part').write_bytes(DATA + b'more')
        (tmp_path / 't.npz.tag').write_text(f'{{"url": "{url}/t.npz", "tag": null}}')
        assert get(url, tmp_path).read_bytes() == DATA and kind.asked == ['bytes=200004-', None]


def test_wrong_checksum(tmp_path):
    with serving(content=DATA[::-1]) as (url, _):
        fails(lambda: get(url, tmp_path), 'has the SHA-256', SHA[:12])
    assert left(tmp_path) == []


def test_wrong_checksum_keeps_the_old_file(tmp_path):
    (tmp_path / 't.npz').write_bytes(b'older')
    with serving(content=b'x') as (url, _):
        fails(lambda: get(url, tmp_path), 'SHA-256')
    assert (tmp_path / 't.npz').read_bytes() == b'older'


@pytest.mark.parametrize('code, asked', [(404, 1), (403, 1), (410, 1), (503, 3), (429, 3)])
def test_status(tmp_path, code, asked):
    with serving(status=[code] * 9) as (url, kind):
        fails(lambda: get(url, tmp_path), f'answers {code}')
    assert len(kind.asked) == asked and left(tmp_path) == []


def test_recovers(tmp_path):
    with serving(status=[503, 500]) as (url, _):
        assert get(url, tmp_path).read_bytes() == DATA


def test_mirrors(tmp_path):
    with (
        serving(status=[404] * 9) as (a, _),
        serving(content=b'x') as (b, _),
        serving() as (c, kind),
    ):
        assert get(a, tmp_path, mirrors=[f'{b}/', f'{c}/other.npz']).read_bytes() == DATA
    assert kind.asked == [None]


def test_mirror_after_a_cut(tmp_path):
    "The beginning from one server is not continued with another's."
    with serving(content=b'z' * 200_000, breaks=[70_000, 0, 0]) as (a, _), serving() as (b, kind):
        assert get(a, tmp_path, mirrors=f'{b}/').read_bytes() == DATA
    assert kind.asked == [None]


def test_silent_server(tmp_path):
    with serving(hang=2) as (url, _):
        fails(lambda: get(url, tmp_path, timeout=0.2, tries=1), 'timed out')


def test_nobody_there(tmp_path):
    with serving() as (url, _):
        pass
    fails(lambda: get(url, tmp_path, tries=1), 'was not downloaded')


def test_no_length(tmp_path):
    with serving(length=False) as (url, _):
        assert get(url, tmp_path).read_bytes() == DATA


def test_too_much(tmp_path):
    with serving() as (url, _):
        fails(lambda: get(url, tmp_path, limit=100_000), 'stopped')
    assert left(tmp_path) == []


@pytest.mark.parametrize('url', ['file:///etc/hostname', 'ftp://a/b', 't.npz', ''])
def test_no_address(tmp_path, url):
    fails(lambda: download(url, tmp_path / 't.npz', quiet=True), 'no http address')


def test_cannot_write(tmp_path):
    (tmp_path / 'f').write_text('')
    with serving() as (url, _):
        fails(lambda: get(url, tmp_path / 'f'), 'Choose another folder')


def test_already_here(tmp_path):
    (tmp_path / 't.npz').write_bytes(DATA)
    assert get('http://127.0.0.1:9', tmp_path).read_bytes() == DATA


@pytest.fixture(scope='module')
def mine(tmp_path_factory):
    folder = tmp_path_factory.mktemp('data')
    codes = np.array([[0, 0, 1, 1, 2, 2, 1, 0]], 'u1')
    header = dict(
        name='nas_bench_macro',
        space='macro',
        source='invented',
        licence='Apache-2.0',
        options=['0', '1', '2'],
        template='{}' * 8,
    )
    tf.write_table(
        folder / 'nas_bench_macro.npz',
        {'codes': codes, 'cifar10/test/full/mean': np.array([90.0])},
        header,
    )
    return folder


def test_list(mine, tmp_path):
    "The command itself, in a process of its own."
    (tmp_path / 'dnas_table').write_text(
        'from dnas_nb.running.cli import dnas_table\nif __name__ == "__main__": dnas_table()\n'
    )
    env = {**os.environ, 'DNAS_DATA': str(mine), 'PYTHONPATH': str(ROOT)}
    done = warm.run(
        [sys.executable, tmp_path / 'dnas_table', 'list', '--measure'],
        capture_output=True,
        text=True,
        env=env,
    )
    assert done.returncode == 0 and not done.stderr, done.stderr
    row = next(line for line in done.stdout.splitlines() if 'nas_bench_macro' in line)
    assert (
        str(mine) in row
        and ' of ' in done.stdout
        and done.stdout.splitlines()[0].split()[-2:] == ['seconds', 'MB']
    )


def test_verify(mine, capsys, monkeypatch):
    monkeypatch.setenv('DNAS_DATA', str(mine))
    for name in (None, 'nas_bench_macro', str(mine / 'nas_bench_macro.npz')):
        dnas_table('verify', name)
        assert (
            'nas_bench_macro: in order, 1 rows, 1 accuracies, 0 costs each'
            in capsys.readouterr().out
        )


@pytest.mark.parametrize(
    'given, part',
    [
        (dict(action='lisst'), "did you mean 'list'"),
        (dict(action='convert'), 'needs a name'),
        (dict(action='download', name='nas_bench_macro'), '--mirror'),
        (dict(action='verify', name='nasbench'), 'did you mean'),
        (
            dict(action='download', name='http://127.0.0.1:9/t.npz', out='{}/t.npz'),
            'was not downloaded',
        ),
        (dict(action='convert', name='{}'), 'no NATS-Bench folder'),
        (dict(action='verify', name='nasbench201'), 'DNAS_DATA'),
    ],
)
def test_mistakes(mine, capsys, monkeypatch, given, part):
    monkeypatch.setenv('DNAS_DATA', str(mine))
    with pytest.raises(SystemExit) as e:
        dnas_table(**{k: v.format(mine) for k, v in given.items()})
    out, err = capsys.readouterr()
    assert (
        e.value.code == 2
        and out == ''
        and part in err
        and err.count('\n') == 1
        and err.startswith('dnas_table: ')
    )


def test_rewritten(mine, tmp_path, capsys, monkeypatch):
    "A table that is here becomes a table file that says the same."
    monkeypatch.setenv('DNAS_DATA', str(mine))
    dnas_table('convert', 'nas_bench_macro', out=str(tmp_path / 't.npz'))
    (a, h), (b, k) = (tf.read_table(p) for p in (mine / 'nas_bench_macro.npz', tmp_path / 't.npz'))
    assert h['columns'] == k['columns'] and h['licence'] == k['licence']


def test_download_by_name(mine, tmp_path, monkeypatch):
    "A published table from a mirror must be that table."
    with serving() as (url, _):
        fails(lambda: fetch_table('nas_bench_macro', f'{url}/', tmp_path), 'SHA-256')
    with serving() as (url, kind):
        assert fetch_table(f'{url}/x.npz', None, tmp_path, SHA).name == 'x.npz'
    with serving() as (url, kind):
        fails(lambda: fetch_table(f'{url}/y.npz', None, tmp_path), 'is no table')
    content = (mine / 'nas_bench_macro.npz').read_bytes()
    with serving(content=content) as (url, kind):
        assert fetch_table(f'{url}/z.npz', None, tmp_path).name == 'z.npz'
    with serving(content=content) as (url, kind):
        fails(lambda: fetch_table('nas_bench_macro', f'{url}/', tmp_path), 'SHA-256')


@pytest.mark.parametrize(
    'name, parts',
    [
        ('nasbench201', ['NATS-tss-v1_0-3ffb9-simple', 'dnas_table convert']),
        ('nats_bench_size', ['NATS-sss-v1_0-50262-simple']),
        ('nas_bench_graph', ['nas-bench-graph 1.4.0']),
    ],
)
def test_where_a_table_comes_from(name, parts):
    fails(lambda: fetch_table(name, None, None), '--mirror', *parts)


def test_every_published_table_states_its_checksum():
    for p in tf.PUBLISHED.values():
        assert len(bytes.fromhex(p.sha256)) == 32
        path = tf.find_data(p.file)
        if path is not None:
            assert tf.known_arrays(path, p.sha256, p.name)


# lines and addresses that are not to be trusted


@pytest.mark.parametrize('encoding', ['gzip', 'deflate', 'br', 'x-gzip', 'identity, gzip'])
def test_packed_body(tmp_path, encoding):
    with serving(headers={'Content-Encoding': encoding}) as (url, _):
        fails(lambda: get(url, tmp_path, sha=None), 'packs the file')
    assert left(tmp_path) == []


@pytest.mark.parametrize('sha', [None, SHA])
def test_empty_body(tmp_path, sha):
    with serving(content=b'') as (url, _):
        fails(lambda: get(url, tmp_path, sha=sha), 'sends nothing')
    with serving(content=b'', length=False) as (url, _):
        fails(lambda: get(url, tmp_path, sha=sha), 'sends nothing' if sha else 'does not say')
    with serving(code=204, content=b'') as (url, _):
        fails(lambda: get(url, tmp_path, sha=sha), 'answers 204')
    assert left(tmp_path) == []


def test_no_length_and_no_checksum(tmp_path):
    "Nobody could tell whether the line was cut."
    with serving(length=False) as (url, _):
        fails(lambda: get(url, tmp_path, sha=None), 'give its sha256')


def test_part_that_was_not_asked_for(tmp_path):
    with serving(code=206) as (url, _):
        fails(lambda: get(url, tmp_path, sha=None), 'another part')


def test_stated_length_beyond_the_limit(tmp_path):
    "Nothing is read of it."
    with serving(headers={'Content-Length': str(1 << 40)}, length=False) as (url, _):
        fails(lambda: get(url, tmp_path), 'more than 2048 MB')


@pytest.mark.parametrize('what', ['body', 'headers', 'status'])
def test_dribbling_server(tmp_path, what):
    "A byte now and then keeps every other clock from running out."
    with serving(dribble=what) as (url, _):
        fails(lambda: get(url, tmp_path, timeout=5, total=1, tries=3), 'takes too long')


def test_sent_on(tmp_path):
    "A few times, to an address that may be read, and never with the body of the answer that sends on."
    with serving() as (to, kind), serving(location=f'{to}/t.npz', code=302) as (url, _):
        assert get(url, tmp_path).read_bytes() == DATA
    assert kind.asked == [None]
    with serving(code=301) as (url, kind):
        kind.location = f'{url}/t.npz'
        fails(lambda: get(url, tmp_path / 'b', tries=1), 'on and on')
    assert len(kind.asked) == 6
    for to in (
        'file:///etc/passwd',
        'ftp://a.org/t',
        'http://a.org/t.npz',
        'https://[::1/t',
        'https://a b/',
        'gopher://a',
        'https://me:secret@a.org:port/',
    ):
        with serving(location=to, code=302) as (url, _):
            fails(lambda: get(url, tmp_path / 'c', tries=1), 'http')


def test_from_https_only_https_follows(tmp_path, monkeypatch):
    "Also not to this machine, where http is allowed otherwise."
    fails(lambda: address('http://127.0.0.1/t.npz', before='https://a.org/t.npz'), 'not https')
    fails(lambda: download('http://example.org/t.npz', tmp_path / 't.npz', quiet=True), 'not https')


ODD = [
    'https://[::1',
    'https://[]/t',
    'https://a.org:port/t',
    'https://a.org:99999999/t',
    'https://:80/t',
    'https://a.org/\0',
    'https://a b.org/t',
    'https://a.org/t\nHost: b',
    'https://ü.org/t',
    'https://' + 'a' * 5000,
    'https:///t',
    'https:t',
    'http:',
    '//a.org/t',
    'https://a.org/\ud800',
    'data:text/plain,x',
    'HTTPS',
    'https://me:secret@a.org:port/t',
    'https://me:secret@[::1',
    'file://me:secret@a.org/t',
    None,
    3,
    b'https://a.org/t',
]


@pytest.mark.parametrize('url', ODD, ids=lambda u: ascii(u)[:30])
def test_odd_addresses(tmp_path, url):
    for f in (
        lambda: download(url, tmp_path / 't.npz', quiet=True),
        lambda: download(
            'https://127.0.0.1:9/t.npz', tmp_path / 't.npz', mirrors=[url], quiet=True
        ),
        lambda: fetch_table(url, None, tmp_path),
    ):
        with pytest.raises(UserError) as e:
            f()
        assert (
            str(e.value).isprintable() and len(str(e.value)) < 700 and 'secret' not in str(e.value)
        )
    assert left(tmp_path) == []


def test_passwords_are_used_and_not_told(tmp_path):
    "They reach their server, and no message, no file and no other server."
    with serving() as (to, other), serving(status=[503] * 9) as (url, kind):
        mine = url.replace('//', '//me:se%20cret@')
        fails(lambda: get(mine, tmp_path, tries=1), 'answers 503')
        assert kind.secrets == ['Basic bWU6c2UgY3JldA==']
        kind.status = []
        kind.breaks = [1000]
        with pytest.raises(UserError) as e:
            get(mine + '/x?token=se%20cret', tmp_path, tries=1)
        assert 'se%20cret' not in str(e.value) and 'cret' not in str(e.value)
        assert not any(b'cret' in p.read_bytes() for p in tmp_path.iterdir())
        kind.location, kind.code, kind.secrets = f'{to}/t.npz', 302, []
        assert get(mine, tmp_path / 'b').read_bytes() == DATA and other.secrets == [None]


@pytest.mark.parametrize('sha', ['', 'abc', 'g' * 64, 'A' * 63, 3, 'a' * 65])
def test_odd_checksum(tmp_path, sha):
    fails(lambda: get('https://127.0.0.1:9', tmp_path, sha=sha), '64 hexadecimal digits')


@pytest.mark.parametrize('name', ['x' * 300, 'a\0b'])
def test_odd_file(tmp_path, name):
    with pytest.raises(UserError) as e:
        download('https://127.0.0.1:9/t.npz', tmp_path / name, quiet=True)
    assert str(e.value).isprintable() and 'cannot write' in str(e.value)


@pytest.mark.parametrize(
    'path, name',
    [
        ('/t.npz', 't.npz'),
        ('/..', 'table.npz'),
        ('/', 'table.npz'),
        ('/' + 'x' * 300, 'table.npz'),
        ('/a%00b', 'table.npz'),
        ('/.hidden', 'table.npz'),
        ('/a;b', 'table.npz'),
    ],
)
def test_name_of_a_download(path, name):
    assert file_name('https://a.org' + path) == name
