"The embedded benchmark: its trainer against ordinary modules, killed and resumed, and the table that ships."

import os, signal, subprocess, sys, time
import numpy as np
import pytest
import warm
import torch
import torch.nn.functional as F
from conftest import ROOT
from dnas_nb.bench import digits201 as d
from dnas_nb.bench.tables import accuracies, load, rank, regret, summary
from dnas_nb.core import UserError, seeded
from dnas_nb.data import normalise
from dnas_nb.sources import load_data
from dnas_nb.equality import canon
from dnas_nb.bench import measured
from dnas_nb.bench.certainty import believe
from dnas_nb.bench.digits201 import Setup, forms, logits, measure, network
from dnas_nb.bench.measured import finished, measurements, pack
from dnas_nb.genotype import all_archs, random_arch, to_ops, to_str
from dnas_nb.space import nb201
from dnas_nb.bench.tablefile import NB201_OPS, package_tables

TOOL = ROOT / 'tools' / 'make_digits201.py'
ENV = {**os.environ, 'PYTHONPATH': str(ROOT), 'OMP_NUM_THREADS': '1', 'PYTHONUNBUFFERED': '1'}
SHORT = Setup(epochs=1)
shipped = pytest.mark.skipif(
    not (package_tables() / 'digits201.npz').is_file(),
    reason='the table has not been made: tools/make_digits201.py',
)


@pytest.fixture(scope='module')
def data():
    return load_data('digits')


@pytest.fixture(autouse=True)
def one_thread():
    "Networks this small lose by sharing."
    n = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(n)


def started(row, seed, s):
    "Ordinary modules in float64 with the initial weights of a row."
    net, ops = network(forms().cells[row], s).double(), [forms().cells[row]]
    net.load_state_dict({k: v[0] for k, v in d._new_weights(ops, seed, s).items()}, strict=False)
    return net


def ordinary(row, seed, data):
    "Right answers of a form, trained and judged by modules, optimiser and loop of PyTorch alone."
    s = Setup()
    net = started(row, seed, s).train()
    opt = torch.optim.SGD(net.parameters(), s.lr, s.momentum, nesterov=True, weight_decay=s.wd)
    steps = len(data.train) // s.batch * s.epochs
    for k, (x, y) in enumerate(b for e in range(s.epochs) for b in d._pictures(data, seed, e, s)):
        opt.param_groups[0]['lr'] = s.lr * (1 + np.cos(np.pi * k / steps)) / 2
        opt.zero_grad()
        F.cross_entropy(net(x), y).backward()
        opt.step()
    for m in net.modules():
        if isinstance(m, torch.nn.BatchNorm2d):
            m.momentum = 1.0
    with torch.no_grad():
        net(normalise(data.train.x, data.about).double())  # the statistics of all training pictures
        net.eval()
        return [
            (net(normalise(p.x, data.about).double()).argmax(1) == p.y).sum().item()
            for p in (data.train, data.valid, data.test)
        ]


def test_ordinary_modules(data):
    "A row is what PyTorch's own modules give, to the last picture."
    assert measure([4800], 2, data)['right'][0].tolist() == ordinary(4800, 2, data)


def test_deeper_and_wider(data):
    "Other channels and cells per stage: the outputs of ordinary modules."
    s, ops = Setup(C=6, n=2), forms().cells[4800]
    x = normalise(data.train.x[:9], data.about).double()
    net = started(4800, 0, s)
    torch.testing.assert_close(logits(d._new_weights([ops], 0, s), d._jobs([ops]), x)[0].T, net(x))
    assert measured._cost_of(ops, s)[0] == sum(p.numel() for p in net.parameters())


def test_first_weights():
    "Those of PyTorch, but for the last bit where multiply and add are not fused."
    for row in range(0, 5044, 300):
        p = d._new_weights([forms().cells[row]], 1)
        with seeded('digits201', forms().texts[row], 1):
            net = network(forms().cells[row])
        for k, v in net.named_parameters():
            torch.testing.assert_close(p[k][0].float(), v.detach(), rtol=0, atol=6e-8)


def test_company(data):
    "Who else is in the stack, and in which order, changes no bit."
    rows = [4321, 0, 2600, 17]
    together = measure(rows, 1, data, SHORT)
    turned = measure(rows[::-1], 1, data, SHORT)
    for k, r in enumerate(rows):
        alone = measure([r], 1, data, SHORT)
        for q in ('right', 'loss'):
            assert (alone[q][0] == together[q][k]).all() and (
                alone[q][0] == turned[q][-1 - k]
            ).all(), (r, q)
    assert not (together['loss'] == measure(rows, 2, data, SHORT)['loss']).all()


def test_another_processor(data):
    "Without vector instructions and fused multiply-adds, sums come out in another order and the figures do not change."
    code = (
        'from dnas_nb.bench.digits201 import Setup, measure; '
        'm = measure([4800, 2500], 1, s=Setup(epochs=3)); '
        'print(m["right"].tolist(), m["loss"].tolist())'
    )
    env = {**ENV, 'ATEN_CPU_CAPABILITY': 'default', 'MKL_CBWR': 'COMPATIBLE'}
    done = subprocess.run(
        [sys.executable, '-c', code],
        cwd=ROOT,
        env=env,
        capture_output=True,
        text=True,
        timeout=1200,
    )
    here = measure([4800, 2500], 1, data, Setup(epochs=3))
    assert done.stdout.strip() == f"{here['right'].tolist()} {here['loss'].tolist()}", done.stderr[
        -2000:
    ]


def test_any_string_of_a_form():
    "All 15,625 strings belong to the form whose text is theirs."
    codes, row, texts, cells = forms()
    space = nb201()
    for k, g in enumerate(all_archs(space)):
        assert texts[row[k]] == canon(g, space)
        assert [NB201_OPS[c] for c in codes[k]] == to_ops(g, space)['cell']
    assert len(set(texts)) == len(cells) == 5044


def test_jobs_cover_every_edge():
    "Each operation that is not `none` occurs once, on its own edge."
    ops = [
        to_ops(random_arch(nb201(), torch.Generator().manual_seed(k)), nb201())['cell']
        for k in range(9)
    ]
    seen = {
        (o, int(s), int(t))
        for i, job in enumerate(d._jobs(ops))
        for o, (src, dst, _) in job.items()
        for s, t in zip(src, dst)
    }
    assert seen == {
        (o, s * 9 + a, t * 9 + a)
        for a, c in enumerate(ops)
        for o, (s, t) in zip(c, nb201()['cell'].edges)
        if o != 'none'
    }


def test_killed_and_resumed(tmp_path):
    "SIGKILL in the middle; the same command does the rest, and the figures are those of an undisturbed run."
    command = [sys.executable, TOOL, '--first', '2', '--chunk', '1', '--folder', tmp_path]
    p = subprocess.Popen(
        command,
        cwd=ROOT,
        env=ENV,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    )
    for _ in range(6000):  # five minutes on a busy machine
        if any(tmp_path.glob('*.npz')) or p.poll() is not None:
            break
        time.sleep(0.05)
    os.killpg(p.pid, signal.SIGKILL)
    p.wait()
    before = {f: f.stat().st_mtime_ns for f in tmp_path.glob('*.npz')}
    assert len(before) == 1
    done = warm.run(command, cwd=ROOT, env=ENV, timeout=1200)
    assert done.returncode == 0, done.stderr[-2000:]
    assert all(
        f.stat().st_mtime_ns == t for f, t in before.items()
    ), 'finished rows were trained again'
    right, loss = finished(tmp_path)
    whole = measure([0, 1], 0)
    assert (right[0, :2] == whole['right']).all() and (loss[0, :2] == whole['loss']).all()


def test_bad_input(tmp_path):
    "One line that says what is wrong."
    with pytest.raises(UserError, match='numbered 0 to 5043'):
        measure([-1], 0)
    done = warm.run(
        [sys.executable, TOOL, '--row', '99999'],
        cwd=ROOT,
        env=ENV,
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert (
        done.returncode and done.stderr.count('\n') == 1 and 'there is no form 99999' in done.stderr
    )
    (tmp_path / '0-0000-16.npz').write_bytes(b'half a chunk')
    with pytest.raises(UserError, match='0-0000-16'):
        finished(tmp_path)


def test_empty_table(tmp_path):
    "A table without rows says so instead of ranking."
    t = load('digits201', pack(tmp_path / 'none', tmp_path / 'digits201.npz'))
    assert accuracies(t, 'digits').isna().all() and t.costs['digits', 'seeds'].max() == 0
    with pytest.raises(UserError, match='was not measured'):
        rank(t, 5, 'digits')


@shipped
@pytest.mark.parametrize('name', ['digits201', 'digits201_2'])
def test_shipped_table_is_the_known_one(name):
    "Read at once, as its checksum is known, it says the same as when all is checked."
    from dnas_nb.bench import tablefile as tf

    path = package_tables() / f'{name}.npz'
    columns, header = tf._read_shipped(name, path)
    checked, same = tf.read_table(path, name=name)
    assert header == same and list(columns) == list(checked)
    for name, a in columns.items():
        assert a.dtype == checked[name].dtype and (a == checked[name]).all()


@shipped
def test_version_2_is_complete_and_keeps_version_1():
    "No form that may be among the best hundred is known worse than it should be"
    old, _, header = measurements()
    right, loss, about = measurements(version=2)
    assert (package_tables() / 'digits201_2.npz').stat().st_size <= 1_000_000
    assert about['missing'] == '' and (right[:, :3] == np.where(old < 0, right[:, :3], old)).all()
    assert ((right < 0) == (loss < 0)).all()
    belief = believe(right[:, :, 2], header['sizes'][2])
    best = np.argsort(-belief.mean)[:100]
    known = (belief.error[best] < 0.31) | (right[best, -1, 0] >= 0)
    assert known.all()


@shipped
def test_shipped_table():
    "Small, complete, and usable like any other."
    right, loss, header = measurements()
    assert (package_tables() / 'digits201.npz').stat().st_size <= 1_000_000
    assert (right[:, 0] >= 0).all() and (loss[:, 0] >= 0).all(), 'seed 0 of every form'
    for part, n in enumerate(header['sizes']):
        assert right[:, :, part].max() <= n
    some = measured._best_and_random(right[:, 0, 1])
    assert (right[some] >= 0).all(), 'every seed for the best 500 and for 500 random forms'
    t = load('digits201')
    best = accuracies(t, 'digits').idxmax()
    assert rank(t, best, 'digits').rank == 1 and regret(t, best, 'digits') == 0
    assert summary(t, best).dataset.tolist() == ['digits'] and not t.frame.isna().any(axis=None)
    assert t.frame.index.tolist() == [to_str(g) for g in all_archs(nb201())]


@shipped
def test_row_again():
    "The command trains a row again and finds the stored one, bit for bit."
    done = warm.run(
        [sys.executable, TOOL, '--row', '1234'],
        cwd=ROOT,
        env=ENV,
        capture_output=True,
        text=True,
        timeout=1200,
    )
    assert done.returncode == 0 and 'equal to the table, bit for bit' in done.stdout, (
        done.stdout + done.stderr
    )


def test_version_2_goes_on_from_its_table(tmp_path):
    "Version 1 and more seeds; what is packed is known without its chunks, and is not asked for again."
    right, loss = measured.all_trainings(tmp_path / 'none', tmp_path / 'none.npz')
    old, _, header = measurements()
    assert right.shape == (measured.MOST, 5044, 3)
    assert (right[:3] == old.swapaxes(0, 1)).all() and (right[3:] < 0).all()
    seed, rows = measured.more(right, header['sizes'][2])[0]
    assert (right[seed, rows] < 0).all() and (right[:seed, rows] >= 0).all()
    asked = measured.open_forms(right, header['sizes'][2], among=[7, 4000])
    assert sorted(asked) == [7, 4000] and not {7, 4000} <= set(rows)
    out = dict(
        rows=np.array(rows),
        seed=np.array(seed),
        right=np.full((len(rows), 3), 500),
        loss=np.ones((len(rows), 3), int),
    )
    measured.save_chunk(tmp_path / 'chunks', out)
    path = pack(tmp_path / 'chunks', tmp_path / 'digits201_2.npz', 2)
    assert measurements(path, 2)[2]['missing'].endswith('± 0.3 points')
    again, _ = measured.all_trainings(tmp_path / 'none', path)
    assert (again[seed, rows] == 500).all() and (again[:3] == np.maximum(right[:3], again[:3])).all()
    t = load('digits201_2', path)
    assert not accuracies(t, 'digits', 'valid', seeds='likely').isna().any()
    assert len(t.repeats) == 1 and len(load('digits201').frame.columns) == 6
