"Killed, cut off, out of disk, damaged, swapped: what is resumed is the undisturbed run to the bit, or one line says why not."

import contextlib
import json
import os
import random
import shutil
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
import torch
import warm
from conftest import fails

from dnas_nb import checkpoint, core
from dnas_nb.running import evaluate
from dnas_nb.running import experiment
from dnas_nb.running import folder
from dnas_nb.running import report
from dnas_nb.running import retrain as retraining
from dnas_nb.bilevel import search
from dnas_nb.checkpoint import read, save
from dnas_nb.core import UserError, write_atomic
from dnas_nb.sources import load_data
from dnas_nb.running.evaluate import load_arch
from dnas_nb.running.experiment import prepare, run, settings
from dnas_nb.running.retrain import find_arch, retrain
from dnas_nb.running.folder import account, lock, stored_arrays
from dnas_nb.methods import METHODS
from dnas_nb.growing import blueprint, reshape

TINY = dict(space='toy', images=80, batch=20, channels=4, epochs=3, device='cpu')
STOPS = dict(TINY, method='darts+', arch_lr=0.05, epochs=9)  # after its third epoch
CELL = '|nor_conv_3x3~0|+|none~0|none~1|+|skip_connect~0|none~1|nor_conv_1x1~2|'
ALONE = dict(epochs=3, images=80, C=4, device='cpu')
CLOCKS = {'started', 'epoch_seconds', 'seconds', 'derive_seconds', 'peak_mb', 'predicted_mb'}
torch.set_num_threads(1)


class Killed(BaseException):
    "What a process cannot catch"


def killing(real, at, then=Killed):
    "`write_atomic`, but the process ends before the `at`th write of that name: (name, n)"
    left = [at[1]]

    def write(path, data):
        if Path(path).name == at[0]:
            left[0] -= 1
            if not left[0]:
                raise then
        return real(path, data)

    return write


@contextlib.contextmanager
def killed_before(monkeypatch, name, n=1):
    "Inside the block the process is killed before the `n`th time that a file of that name is written"
    with monkeypatch.context() as m:
        dying = killing(core.write_atomic, (name, n))
        for module in (core, folder, checkpoint, evaluate, experiment, report):
            if hasattr(module, 'write_atomic'):
                m.setattr(module, 'write_atomic', dying)
        m.setattr(folder.Keeper, 'watching', contextlib.nullcontext)  # nobody hears a SIGKILL
        with pytest.raises(Killed):
            yield


def same(a, b):
    "Equal values, tensors to the bit"
    if torch.is_tensor(a):
        return torch.is_tensor(b) and a.dtype == b.dtype and torch.equal(a, b)
    if isinstance(a, dict):
        return a.keys() == b.keys() and all(same(a[k], b[k]) for k in a)
    if isinstance(a, (list, tuple)):
        return len(a) == len(b) and all(map(same, a, b))
    return a == b


def saved(out):
    "The checkpoint without clocks"
    whole = torch.load(out / 'last.pt', weights_only=True)
    return {k: v for k, v in whole.items() if k not in CLOCKS}


def told(out):
    "run.json without clocks"
    about = {k: v for k, v in account(out).items() if k not in CLOCKS}
    about.get('result', {}).pop('memory', None)
    return about


def assert_same_end(a, b, *names):
    "Two folders hold the same run"
    for name in ('history.csv', 'genotype.json', *names):
        assert (a / name).read_bytes() == (b / name).read_bytes(), name
    assert told(a) == told(b)
    assert same(saved(a), saved(b))
    assert {p.name for p in a.iterdir()} == {p.name for p in b.iterdir()}


@pytest.fixture(scope='module')
def found(tmp_path_factory):
    "A search that nobody disturbed, with its report"
    return run(tmp_path_factory.mktemp('found') / 'r', **TINY).out


@pytest.fixture(scope='module')
def trained(tmp_path_factory):
    "A retraining that nobody disturbed"
    return retrain(CELL, out=tmp_path_factory.mktemp('trained') / 'r', **ALONE).out


@pytest.fixture
def copied(found, tmp_path):
    return Path(shutil.copytree(found, tmp_path / 'copied'))


@pytest.fixture
def copied_training(trained, tmp_path):
    return Path(shutil.copytree(trained, tmp_path / 'copied-training'))


def unfinished(out):
    "As if the run had been killed before it was finished"
    about = account(out)
    for k in ('files', 'result', 'drawn'):
        about.pop(k, None)
    (out / 'run.json').write_text(json.dumps({**about, 'status': 'running'}))


# 1. a stop, and whatever else a method might remember


def test_stop_is_asked_before_first_epoch(tmp_path):
    straight = run(tmp_path / 'straight', report=False, **STOPS)
    assert 1 < len(straight.trace) < 9, 'this search no longer stops early: choose another arch_lr'

    def kill(state, s):
        if state.epoch == len(straight.trace):
            raise Killed

    with pytest.raises(Killed):
        run(tmp_path / 'cut', report=False, on_epoch=kill, **STOPS)
    run(tmp_path / 'cut', resume=True, report=False, **STOPS)
    assert_same_end(tmp_path / 'straight', tmp_path / 'cut')


MORE = [
    ('darts-lora', 'nb201', 4),
    ('tangle', 'nb201', 2),
    ('danas-prune', 'nb201', 3),
    ('danas-beta-prune', 'nb201', 3),
    ('sgas', 'nb201', 11),
    ('p-darts', 'nb201', 3),
    ('drnas-progressive', 'nb201', 3),
    ('danas-prune', 's3', 2),
]
ADAMW = [
    (method, 'nb201', 3, 'adamw')
    for method in ('danas-prune', 'drnas-progressive', 'darts2', 'darts-pt')
]


@pytest.mark.parametrize(
    'method,space,epochs,opt',
    [*((m, 'toy', 3, 'sgd') for m in METHODS), *((*row, 'sgd') for row in MORE), *ADAMW],
)
def test_every_method_goes_on_to_the_bit(tmp_path, method, space, epochs, opt):
    "A search that is killed after every epoch, its state only in a file, is the undisturbed one"
    s = settings(
        method=method,
        space=space,
        images=20,
        batch=10,
        channels=4,
        epochs=epochs,
        cells=3 if space == 's3' else 1,
        opt=opt,
    )
    split, dev = load_data('digits', s.images, s.size, s.seed), torch.device('cpu')

    def going(whole):
        job = prepare(s, split, dev)
        for state in search(job.begin(whole), job.method, split.search, job.plan(s.batch)):
            save(state, tmp_path / 'last.pt', plan=blueprint(state.net))
            yield state

    for _ in going(None):
        pass
    straight, whole = read(tmp_path / 'last.pt'), None
    for _ in range(epochs + 1):
        if next(going(whole), None) is None:
            break
        whole = read(tmp_path / 'last.pt')
    assert same(straight, whole)


@pytest.mark.parametrize(
    'damage', [dict(held={}), dict(held={'cell/0': 3}), dict(spec=dict(C='x')), dict(drop='much')]
)
def test_a_network_that_cannot_be_built_again_is_one_line(damage):
    "A checkpoint whose plan is not what was written"
    s = settings(method='darts', space='toy', images=20, batch=10, channels=4, epochs=1)
    state = prepare(s, load_data('digits', s.images, s.size, s.seed), torch.device('cpu')).fresh()
    fails(lambda: reshape(state, dict(plan=blueprint(state.net) | damage)), 'cannot be built')


def test_other_threads_are_other_bits(copied_training, monkeypatch):
    "Sums in another order: a retraining refuses to go on with another number of threads, as a search does"
    unfinished(copied_training)
    fails(
        lambda: retrain(CELL, out=copied_training, resume=True, threads=2, **ALONE),
        'threads: 1 there, 2 now',
    )


# 2. the checkpoint is the truth


@pytest.mark.parametrize('name,n', [('history.csv', 1), ('history.csv', 3), ('run.json', 5)])
def test_history_is_written_from_the_checkpoint(tmp_path, monkeypatch, found, name, n):
    with killed_before(monkeypatch, name, n):
        run(tmp_path / 'r', report=False, **TINY)
    assert (
        len(torch.load(tmp_path / 'r' / 'last.pt', weights_only=True)['history'])
        > account(tmp_path / 'r')['epoch']
    )
    run(tmp_path / 'r', resume=True, **TINY)
    assert_same_end(found, tmp_path / 'r')
    about = account(tmp_path / 'r')
    assert len(about['epoch_seconds']) == about['epoch'] == 3 and about['peak_mb'] > 0


def test_retraining_with_adamw_goes_on_to_the_bit(tmp_path):
    how = dict(ALONE, opt='adamw', lr=2e-3, wd=0.01)

    def go(out, **more):
        return retrain(CELL, out=out, **how, **more)

    def kill(row, recipe):
        if row['epoch'] == 2:
            raise Killed

    go(tmp_path / 'straight')
    with pytest.raises(Killed):
        go(tmp_path / 'cut', on_epoch=kill)
    go(tmp_path / 'cut', resume=True)
    assert_same_end(tmp_path / 'straight', tmp_path / 'cut')


@pytest.mark.parametrize(
    'name,n', [('genotype.json', 1), ('history.csv', 3), ('run.json', 4), ('run.json', 5)]
)
def test_retraining_killed_between_its_files(tmp_path, monkeypatch, trained, name, n):
    with killed_before(monkeypatch, name, n):
        retrain(CELL, out=tmp_path / 'r', **ALONE)
    assert account(tmp_path / 'r').get('status') != 'finished'
    retrain(CELL, out=tmp_path / 'r', resume=True, **ALONE)
    assert_same_end(trained, tmp_path / 'r')


def test_no_rows_of_a_deleted_checkpoint(copied):
    "Started again after its checkpoint was deleted, a run does not show the rows that it had"
    unfinished(copied)
    (copied / 'last.pt').unlink()
    seen = []

    def look(state, s):
        seen.append(len((copied / 'history.csv').read_text().splitlines()) - 1)

    run(copied, resume=True, on_epoch=look, report=False, **TINY)
    assert seen == [1, 2, 3]


# 3. a finished run once more


@pytest.mark.pixels
@pytest.mark.parametrize(
    'name', ['report.html', 'curves.png', 'arrays.npz', 'genotype.json', 'history.csv']
)
def test_finished_run_writes_what_is_missing(copied, found, name):
    (copied / name).unlink()
    result = run(copied, resume=True, **TINY)
    assert_same_end(found, copied, *([name] if name.endswith('png') else []))
    assert result.found == account(found)['result'] and len(result.trace) == 3


@pytest.mark.pixels
def test_report_cut_off_is_drawn_on_resume(tmp_path, monkeypatch, found, capsys):
    from dnas_nb.running.cli import dnas_search

    with killed_before(monkeypatch, 'curves.png'):
        run(tmp_path / 'r', **TINY)
    assert not (tmp_path / 'r' / 'report.html').exists()
    dnas_search(**TINY, out=str(tmp_path / 'r'), resume=True)
    assert_same_end(found, tmp_path / 'r', 'curves.png')
    assert 'report ' in capsys.readouterr().out


def test_finished_run_is_left_alone(copied):
    "Nothing is missing, nothing is written"
    before = {p.name: p.stat().st_mtime_ns for p in copied.iterdir() if p.name != '.lock'}
    run(copied, resume=True, **TINY)
    assert before == {p.name: p.stat().st_mtime_ns for p in copied.iterdir() if p.name != '.lock'}
    fails(lambda: run(copied, **TINY), 'holds a finished run')


def test_finished_run_without_checkpoint_is_not_trained_again(copied, tmp_path, trained):
    (copied / 'last.pt').unlink()
    fails(lambda: run(copied, resume=True, **TINY), 'without its last.pt')
    alone = Path(shutil.copytree(trained, tmp_path / 'alone'))
    (alone / 'last.pt').unlink()
    fails(lambda: retrain(CELL, out=alone, resume=True, **ALONE), 'without its last.pt')


@pytest.mark.parametrize('name', ['genotype.json', 'history.csv'])
def test_finished_retraining_writes_what_is_missing(copied_training, trained, name):
    (copied_training / name).unlink()
    retrain(CELL, out=copied_training, resume=True, **ALONE)
    assert_same_end(trained, copied_training)


# 4. damaged, swapped, older


def flipped(data, k):
    return data[:k] + bytes([data[k] ^ (1 << k % 8)]) + data[k + 1 :]


def damages(data, n, seed=0):
    "`n` versions of a file: a flipped bit, or an end that is cut off"
    rng = random.Random(seed)
    for k in range(n):
        yield flipped(data, rng.randrange(len(data))) if k % 4 else data[: rng.randrange(len(data))]


def test_damaged_checkpoints_are_refused(copied, copied_training):
    "Of 200 flipped bits and cuts none is read"
    for out, reader in (
        (copied, lambda p: read(p)),
        (copied_training, lambda p: load_arch(p.parent)),
    ):
        data = (out / 'last.pt').read_bytes()
        for bad in damages(data, 100):
            (out / 'last.pt').write_bytes(bad)
            fails(lambda: reader(out / 'last.pt'), 'last.pt')
        (out / 'last.pt').write_bytes(data)
        reader(out / 'last.pt')


def test_damaged_arrays_are_refused(copied):
    data = (copied / 'arrays.npz').read_bytes()
    for bad in damages(data, 100):
        (copied / 'arrays.npz').write_bytes(bad)
        fails(lambda: stored_arrays(copied), 'arrays.npz')


def test_damaged_texts_are_refused(copied):
    "A run knows what it wrote"
    for name, reader in (
        ('genotype.json', lambda: find_arch(copied)),
        ('history.csv', lambda: report.history(copied)),
        ('genotype.json', lambda: report.found(copied)),
        ('genotype.json', lambda: find_arch(copied / 'genotype.json')),
    ):
        data = (copied / name).read_bytes()
        reader()
        for bad in damages(data, 20):
            (copied / name).write_bytes(bad)
            fails(reader, name)
            fails(lambda: run(copied, resume=True, **TINY), name)
        (copied / name).write_bytes(data)


def test_swapped_files_are_refused(copied, tmp_path):
    "What another run wrote does not become this one's"
    other = run(tmp_path / 'other', seed=1, report=False, **TINY).out
    for name, reader in (
        ('arrays.npz', lambda: stored_arrays(copied)),
        ('genotype.json', lambda: find_arch(copied)),
        ('history.csv', lambda: report.history(copied)),
        ('last.pt', lambda: run(copied, resume=True, **TINY)),
    ):
        own = (copied / name).read_bytes()
        (copied / name).write_bytes((other / name).read_bytes())
        fails(reader, name)
        (copied / name).write_bytes(own)


def test_files_without_checksum_are_refused(copied, copied_training):
    "What an older version wrote: one line says so"
    torch.save(torch.load(copied / 'last.pt', weights_only=True), copied / 'last.pt')
    fails(lambda: run(copied, resume=True, **TINY), 'no checksum', 'older version')
    np.savez(copied / 'arrays.npz', **{'corr/cell': np.eye(9)})
    fails(lambda: stored_arrays(copied), 'no checksum', 'older version')
    torch.save(
        torch.load(copied_training / 'last.pt', weights_only=True), copied_training / 'last.pt'
    )
    fails(lambda: load_arch(copied_training), 'no checksum', 'older version')


def nested(whole, keys):
    return whole if not keys else nested(whole[keys[0]], keys[1:])


def change(*keys, to):
    "A function that changes one entry of a checkpoint"

    def made(whole):
        at = nested(whole, keys[:-1])
        at[keys[-1]] = to(at[keys[-1]]) if callable(to) else to

    return made


NAN = float('nan')
UNSOUND = dict(
    epoch=change('epoch', to=2),
    shorter=change('history', to=lambda h: h[:2]),
    gap=change('history', 1, 'epoch', to=7),
    rows=change('history', to={}),
    row=change('history', 0, to=[1]),
    column=change('history', 2, to=lambda r: {**r, 'more': 1.0}),
    loss=change('history', 1, 'train_loss', to=NAN),
    mask=change('live', 'cell', to=lambda m: m & False),
    shape=change('live', 'cell', to=lambda m: m[:1]),
    cells=change('live', to={}),
    kind=change('live', 'cell', to=lambda m: m.float()),
    weight=change('net', 'head.4.bias', to=lambda w: w * NAN),
    phi=change('phi', 'cell', 'alpha', to=lambda v: v * NAN),
    phi_shape=change('phi', 'cell', 'alpha', to=lambda v: v[:1]),
    no_phi=change('phi', 'cell', to={}),
    momentum=change('w_opt', 'state', 0, 'momentum_buffer', to=lambda m: m * NAN),
    momentum_shape=change('w_opt', 'state', 0, 'momentum_buffer', to=lambda m: m[:1]),
    adam=change('a_opt', 'state', 0, 'exp_avg', to=lambda m: m / 0.0),
    optimiser=change('w_opt', to=3),
    net=change('net', to=3),
)


FILL = {
    'mask',
    'shape',
    'cells',
    'kind',
    'weight',
    'phi',
    'phi_shape',
    'no_phi',
    'momentum',
    'momentum_shape',
    'adam',
    'optimiser',
    'net',
}


def rewrite(path, changes):
    "Change a checkpoint and seal it again"
    whole = torch.load(path, weights_only=True)
    changes(whole)
    core.save_tensors(whole, path)


@pytest.mark.parametrize('name', UNSOUND)
def test_unsound_checkpoint_is_refused(copied, name):
    "Whole, and still not what a search leaves"
    unfinished(copied)
    rewrite(copied / 'last.pt', UNSOUND[name])
    fails(
        lambda: run(copied, resume=True, report=False, **TINY),
        'checkpoint' if name in FILL else 'last.pt',
    )


UNSOUND_ALONE = dict(
    test=change('test', to=(NAN, 0.5)),
    early=change('history', to=lambda h: h[:2]),
    words=change('test', to='good'),
    weight=change('net', 'head.4.bias', to=lambda w: w * NAN),
    momentum=change('opt', 'state', 3, 'momentum_buffer', to=lambda m: m * NAN),
    shape=change('opt', 'state', 3, 'momentum_buffer', to=lambda m: m[:1]),
)


@pytest.mark.parametrize('name', UNSOUND_ALONE)
def test_unsound_retraining_is_refused(copied_training, name):
    unfinished(copied_training)
    rewrite(copied_training / 'last.pt', UNSOUND_ALONE[name])
    fails(
        lambda: retrain(CELL, out=copied_training, resume=True, **ALONE),
        'checkpoint' if name in ('weight', 'momentum', 'shape') else 'last.pt',
    )


def test_older_checkpoint_is_refused(tmp_path):
    "A checkpoint that was put back, behind what run.json and the result say"
    older, out = tmp_path / 'older.pt', tmp_path / 'r'

    def keep(state, s):
        if state.epoch == 1:
            shutil.copy(out / 'last.pt', older)

    run(out, on_epoch=keep, report=False, **TINY)
    shutil.copy(older, out / 'last.pt')
    fails(lambda: run(out, resume=True, **TINY), 'of epoch 1, but the run was at 3')
    alone = tmp_path / 'alone'

    def keep_row(row, r):
        if row['epoch'] == 3:
            shutil.copy(alone / 'last.pt', older)

    retrain(CELL, out=alone, on_epoch=keep_row, **ALONE)
    shutil.copy(older, alone / 'last.pt')
    fails(lambda: load_arch(alone), 'tested since')


def test_chunks_of_tables_carry_checksums(tmp_path):
    "Siblings: chunks of the digits benchmark and parts of a conversion"
    from dnas_nb.bench import convert
    from dnas_nb.bench import measured

    out = dict(
        rows=np.array([3], np.int16),
        seed=np.array(0, np.int16),
        right=np.full((1, 3), 60, np.int16),
        loss=np.zeros((1, 3), np.int32),
    )
    path = measured.save_chunk(tmp_path, out)
    data = path.read_bytes()
    measured.finished(tmp_path)
    for bad in damages(data, 40):
        path.write_bytes(bad)
        fails(lambda: measured.finished(tmp_path), path.name)
    part = convert._write_part(
        tmp_path / 'part.json',
        dict(stamp=[], rows={0: {'a/valid/12/mean': 91.25}}, refused={}, missing=[]),
    )
    text = part.read_text()
    part.write_text(text.replace('91.25', '81.25'))
    assert convert._read_part(part) is None


# 5. the lock comes first


def taken(out):
    "Is the folder locked?"
    try:
        lock(out).close()
    except UserError:
        return True
    return False


@pytest.mark.parametrize(
    'call',
    [lambda out: run(out, report=False, **TINY), lambda out: retrain(CELL, out=out, **ALONE)],
)
def test_lock_comes_before_folder_and_data(tmp_path, monkeypatch, call):
    order = []

    def asked(name, real):
        def wrapped(*a, **kw):
            order.append((name, taken(tmp_path / 'r')))
            return real(*a, **kw)

        return wrapped

    for module in (experiment, evaluate):
        monkeypatch.setattr(module, 'to_continue', asked('folder', folder.to_continue))
    for module in (experiment, retraining):
        monkeypatch.setattr(module, 'load_data', asked('data', load_data))
    call(tmp_path / 'r')
    assert sorted(order) == [('data', True), ('folder', True)]


@pytest.mark.parametrize(
    'call',
    [lambda out: run(out, report=False, **TINY), lambda out: retrain(CELL, out=out, **ALONE)],
)
def test_slow_process_does_not_write_over_a_finished_run(tmp_path, monkeypatch, call):
    "While one waits for its pictures, another one of the same folder is refused"
    said = []

    def slow(*a, **kw):
        for module in (experiment, retraining):
            monkeypatch.setattr(module, 'load_data', load_data)
        try:
            call(tmp_path / 'r')
        except UserError as e:
            said.append(str(e))
        return load_data(*a, **kw)

    for module in (experiment, retraining):
        monkeypatch.setattr(module, 'load_data', slow)
    call(tmp_path / 'r')
    assert len(said) == 1 and 'in use by another run' in said[0]


def test_study_locks_before_it_loads(tmp_path, monkeypatch):
    from dnas_nb.running import study

    seen = []

    def look(*a, **kw):
        seen.append(taken(tmp_path / 's'))
        raise UserError('no pictures')

    monkeypatch.setattr(study, 'load_data', look)
    fails(
        lambda: study.study(
            dict(method='darts', space='toy', epochs=1), tmp_path / 's', device='cpu'
        ),
        'no pictures',
    )
    assert seen == [True]


def test_writers_of_reports_and_exports_lock(copied, trained, tmp_path):
    from dnas_nb.running.export import export

    before = (copied / 'report.html').stat().st_mtime_ns
    with lock(copied):
        fails(lambda: report.report(copied), 'in use by another run')
        fails(lambda: report.pictures(copied), 'in use by another run')
    assert (copied / 'report.html').stat().st_mtime_ns == before
    (tmp_path / 'e').mkdir()
    with lock(tmp_path / 'e'):
        fails(lambda: export(trained, tmp_path / 'e', ['py']), 'in use by another run')


# 6. a disk that is full, and clocks that are set

LIMITED = '''import resource, sys
from dnas_nb.running.cli import dnas_search
resource.setrlimit(resource.RLIMIT_FSIZE, ({0}, {0}))
dnas_search(**{1!r}, out=sys.argv[1])'''


def test_file_too_large_is_one_line(tmp_path, found):
    "The system's word, not torch's; run.json says stopped; the same command goes on when there is room"
    size = (found / 'last.pt').stat().st_size
    code = LIMITED.format(size - 1000, TINY)
    p = warm.run([sys.executable, '-c', code, tmp_path / 'r'])
    said = p.stderr.replace('\r', '\n').strip().splitlines()
    assert p.returncode == 2 and 'Traceback' not in p.stderr
    assert said[-1] == f"dnas_search: cannot write {tmp_path/'r'/'last.pt'}: File too large"
    about = account(tmp_path / 'r')
    assert about['status'] == 'stopped' and 'File too large' in about['error']
    run(tmp_path / 'r', resume=True, **TINY)
    assert_same_end(found, tmp_path / 'r')


def full(error=OSError(28, 'No space left on device')):
    "A library that fails because the disk is full, in its own words"

    def save(*a, **kw):
        try:
            raise error
        finally:
            raise RuntimeError(
                '[enforce fail at inline_container.cc:672] . unexpected pos 704 vs 598'
            )

    return save


@pytest.mark.parametrize(
    'start',
    [
        lambda out, **kw: run(out, report=False, **TINY, **kw),
        lambda out, **kw: retrain(CELL, out=out, **ALONE, **kw),
    ],
)
def test_full_disk_keeps_the_last_good_checkpoint(tmp_path, monkeypatch, start):
    start(tmp_path / 'straight')

    def fill_up(*_):
        if account(tmp_path / 'r')['epoch'] == 2:
            monkeypatch.setattr(core.torch, 'save', full())

    fails(lambda: start(tmp_path / 'r', on_epoch=fill_up), 'last.pt', 'No space left on device')
    monkeypatch.undo()
    about = account(tmp_path / 'r')
    assert (about['status'], about['epoch'], len(saved(tmp_path / 'r')['history'])) == (
        'stopped',
        2,
        2,
    )
    assert not list((tmp_path / 'r').glob('.*.tmp'))
    start(tmp_path / 'r', resume=True)
    assert_same_end(tmp_path / 'straight', tmp_path / 'r')


def test_first_cause_counts_when_nothing_can_be_written(tmp_path, monkeypatch):
    "run.json cannot be written either: the line is about the first file"

    def no(path, data):
        raise core.WriteError(f'cannot write {path}: No space left on device')

    k = folder.Keeper(tmp_path / 'r', dict(status='running'))
    k.note()
    monkeypatch.setattr(folder, 'write_atomic', no)

    def work():
        with k.watching():
            raise core.WriteError('cannot write last.pt: No space left on device')

    fails(work, 'cannot write last.pt')
    assert account(tmp_path / 'r')['status'] == 'running'


def test_bytes_are_synced_before_the_name_and_the_name_after(tmp_path, monkeypatch):
    done = []

    def noted(name, real):
        def wrapped(*a):
            done.append(
                name
                if name == 'rename'
                else 'folder' if os.path.isdir(f'/proc/self/fd/{a[0]}') else 'file'
            )
            return real(*a)

        return wrapped

    monkeypatch.setattr(os, 'fsync', noted('sync', os.fsync))
    monkeypatch.setattr(os, 'replace', noted('rename', os.replace))
    write_atomic(tmp_path / 'a', 'text')
    assert done == ['file', 'rename', 'folder']


def test_temporary_files_are_swept_under_the_lock(copied):
    mine, other = copied / '.last.pt.ab12cd_9.tmp', copied / '.notes.tmp'
    for p in (mine, other):
        p.write_text('half')
    with lock(copied):
        fails(lambda: run(copied, resume=True, **TINY), 'in use by another run')
    assert mine.exists(), 'swept without the lock: its owner may be writing it'
    run(copied, resume=True, **TINY)
    assert not mine.exists() and other.exists()


def test_clock_that_is_set_back(tmp_path, monkeypatch):
    "Durations do not come from a clock that somebody can set"
    now = [2e9]

    def back():
        now[0] -= 3600.0
        return now[0]

    monkeypatch.setattr(time, 'time', back)
    run(tmp_path / 'r', report=False, **TINY)
    about = account(tmp_path / 'r')
    assert all(
        0 <= t < 600 for t in [*about['epoch_seconds'], about['seconds'], about['derive_seconds']]
    )


# all of it


def test_kills(tmp_path):
    "Five SIGKILLs: in a search that stops, a retraining, a study; tools/kills.py makes 200 in all kinds"
    code = (
        'import sys; sys.path.insert(0, "tools"); import kills\n'
        'some = dict(retrain=3, stop=1, study=1)\n'
        'rows = [r for job, n in some.items() for r in kills.campaign(f"{sys.argv[1]}/{job}", n, 0, [job], None)]\n'
        'print(kills.told(rows)); sys.exit(not all(map(kills.good, rows)))'
    )
    env = {**os.environ, 'OMP_NUM_THREADS': '1'}
    root = Path(__file__).resolve().parent.parent
    p = subprocess.run(
        [sys.executable, '-c', code, str(tmp_path)],
        capture_output=True,
        text=True,
        cwd=root,
        env=env,
    )
    assert p.returncode == 0 and '5 of 5 identical' in p.stdout, p.stdout + p.stderr
