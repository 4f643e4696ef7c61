"The command with bad input, Ctrl-C, SIGKILL: one line, a non-zero exit, nothing lost."

import json, os, signal, subprocess, sys, time
from pathlib import Path

import numpy as np
import pytest
import warm
import torch

from dnas_nb.running.cli import dnas_search
from dnas_nb.core import UserError
from dnas_nb.dialects import parse
from dnas_nb.space import nb201

COMMAND = str(Path(sys.executable).with_name('dnas_search'))
SMALL = dict(space='toy', images=160, epochs=2, channels=2, batch=32, device='cpu')


def args(out, **more):
    return [w for k, v in {**SMALL, 'out': out, **more}.items() for w in (f'--{k}', str(v))]


def fails(capsys, *contains, **given):
    "The command ends with code 2 and one line that holds every word of `contains`."
    with pytest.raises(SystemExit) as e:
        dnas_search(**{**SMALL, **given})
    err = capsys.readouterr().err.strip().splitlines()
    assert e.value.code == 2 and not any('Traceback' in l for l in err)
    assert err[-1].startswith('dnas_search: ')
    for word in contains:
        assert word in err[-1], err[-1]


def small(out, **more):
    dnas_search(**{**SMALL, 'out': str(out), **more})


def texts(out):
    return [(Path(out) / f).read_bytes() for f in ('history.csv', 'genotype.json')]


@pytest.mark.parametrize(
    'given,words',
    [
        (dict(method='dana'), ("'danas'", 'drnas', 'random')),
        (dict(space='nb202'), ("'nb201'", 'toy')),
        (dict(data='digit'), ("'digits'", 'cifar10')),
        (dict(device='cuda:9'), ('cpu',)),
        (dict(data='missing.npz'), ('missing.npz',)),
        (dict(epochs=0), ('epochs', 'at least 1')),
        (dict(batch=4000), ('batch=4000', 'images')),
        (dict(warmup=9), ('warmup', 'epochs=2')),
        (dict(images=5), ('images',)),
        (dict(size=1), ('digits',)),
        (dict(seeds='one'), ('seeds',)),
        (dict(precision='fp8'), ('fp32', 'bf16')),
        (dict(method='danas-climb', space='darts'), ('climb', 'darts', 'danas-race')),
    ],
)
def test_impossible_settings(capsys, tmp_path, given, words):
    fails(capsys, *words, **{'out': str(tmp_path / 'r'), **given})


def test_presets_fit_their_data():
    from dnas_nb.running.experiment import settings

    assert (
        settings(space='darts').images is None
    )  # digits are fewer than the preset of deep spaces takes
    assert settings(space='darts', data='cifar10').images < settings(data='cifar10').images


def test_folder_not_writable(capsys, tmp_path):
    (tmp_path / 'file').write_text('')
    fails(capsys, 'cannot write', out=str(tmp_path / 'file' / 'run'))


def test_folder_in_use(capsys, tmp_path):
    from dnas_nb.running.folder import lock

    with lock(tmp_path):
        fails(capsys, 'in use by another run', out=str(tmp_path))


def test_finished_and_other_settings(capsys, tmp_path):
    small(tmp_path)
    before = texts(tmp_path)
    fails(capsys, 'finished run', out=str(tmp_path))
    fails(
        capsys, 'other settings', 'epochs: 2 there, 3 now', out=str(tmp_path), epochs=3, resume=True
    )
    assert texts(tmp_path) == before


def unfinished(out):
    "Turn a finished run into one that stopped"
    about = json.loads((out / 'run.json').read_text())
    (out / 'run.json').write_text(json.dumps({**about, 'status': 'running'}))


@pytest.mark.parametrize(
    'damage', [lambda b: b[: len(b) // 2], lambda b: b'', lambda b: b'no checkpoint at all']
)
def test_damaged_checkpoint(capsys, tmp_path, damage):
    small(tmp_path)
    unfinished(tmp_path)
    (tmp_path / 'last.pt').write_bytes(damage((tmp_path / 'last.pt').read_bytes()))
    fails(capsys, 'last.pt', 'delete it', out=str(tmp_path), resume=True)


def test_foreign_checkpoint(capsys, tmp_path):
    small(tmp_path / 'a', channels=4)
    small(tmp_path / 'b')
    unfinished(tmp_path / 'b')
    (tmp_path / 'b' / 'last.pt').write_bytes((tmp_path / 'a' / 'last.pt').read_bytes())
    fails(capsys, 'channels: 4 there, 2 now', out=str(tmp_path / 'b'), resume=True)


def test_checkpoint_runs_no_code(capsys, tmp_path):
    small(tmp_path)
    unfinished(tmp_path)

    class Evil:
        def __reduce__(self):
            return os.mkdir, (str(tmp_path / 'owned'),)

    torch.save(dict(net=Evil()), tmp_path / 'last.pt')
    fails(capsys, 'last.pt', out=str(tmp_path), resume=True)
    assert not (tmp_path / 'owned').exists()


def test_own_data(capsys, tmp_path):
    rng = np.random.default_rng(0)
    x, y = rng.random((90, 3, 12, 12), dtype=np.float32), np.arange(90) % 3

    def save(**more):
        np.savez(tmp_path / 'own.npz', **{**dict(x=x, y=y), **more})
        return str(tmp_path / 'own.npz')

    own = dict(images=None, batch=16, out=str(tmp_path / 'r'))
    bad = x.copy()
    bad[3, 0, 0, 0] = np.nan
    fails(capsys, 'own', 'NaN', data=save(x=bad), **own)
    fails(capsys, 'label', data=save(class_names=np.array(['a', 'b'])), **own)
    fails(capsys, '90', data=save(y=y[:50]), **own)
    fails(capsys, 'own.npz', data=save(x=np.array([object()] * 90)), **own)
    dnas_search(**{**SMALL, **own, 'data': save()})
    assert json.loads((tmp_path / 'r' / 'run.json').read_text())['status'] == 'finished'


def test_loss_that_is_no_number(capsys, tmp_path):
    fails(capsys, 'epoch', 'step', out=str(tmp_path), lr=1e30, epochs=4)
    for bad in (float('nan'), float('inf'), -1.0):
        fails(capsys, 'lr must be a number', out=str(tmp_path / 'never'), lr=bad)
    assert not (tmp_path / 'never').exists()
    assert json.loads((tmp_path / 'run.json').read_text())['status'] == 'failed'


def test_malformed_architecture():
    good = '|skip_connect~0|+|none~0|none~1|+|none~0|none~1|nor_conv_3x3~2|'
    assert parse(good, nb201())
    for bad, where in (
        (good[:-1], len(good)),
        (good.replace('~2', '~3'), good.index('~2') + 2),
        ('', 1),
    ):
        with pytest.raises(UserError, match=f'character {where}'):
            parse(bad, nb201())
    with pytest.raises(UserError, match='skip_connect'):
        parse(good.replace('skip_connect', 'skip_conect'), nb201())


def wait_for(path, epochs, process, timeout=600):
    "Wait until a run has written so many epochs"
    end = time.monotonic() + timeout
    while time.monotonic() < end and process.poll() is None:
        try:
            if json.loads(path.read_text())['epoch'] >= epochs:
                return
        except (OSError, ValueError, KeyError):
            pass
        time.sleep(0.02)


@pytest.fixture(scope='module')
def whole(tmp_path_factory):
    out = tmp_path_factory.mktemp('whole')
    warm.run([sys.executable, COMMAND, *args(out / 'r', epochs=14)], check=True)
    return texts(out / 'r')


@pytest.mark.parametrize('epochs', [0, 5])
def test_killed_and_resumed(tmp_path, whole, epochs):
    out = tmp_path / 'r'
    p = subprocess.Popen(
        [COMMAND, *args(out, epochs=14)], stdout=subprocess.PIPE, stderr=subprocess.PIPE
    )
    wait_for(out / 'run.json', epochs, p)
    p.send_signal(signal.SIGKILL)
    p.communicate()
    assert p.returncode == -signal.SIGKILL, 'the run ended before it could be killed'
    warm.run([sys.executable, COMMAND, *args(out, epochs=14), '--resume'], check=True)
    assert texts(out) == whole


def test_ctrl_c(tmp_path, whole):
    out = tmp_path / 'r'
    hears = lambda: signal.signal(
        signal.SIGINT, signal.default_int_handler
    )  # a shell's background jobs ignore Ctrl-C, and so would their children
    p = subprocess.Popen(
        [COMMAND, *args(out, epochs=14)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        preexec_fn=hears,
    )
    wait_for(out / 'run.json', 2, p)
    p.send_signal(signal.SIGINT)
    _, err = p.communicate()
    assert (
        p.returncode == 130
        and 'Traceback' not in err
        and '--resume' in err.strip().splitlines()[-1]
    )
    assert json.loads((out / 'run.json').read_text())['status'] == 'interrupted'
    warm.run([sys.executable, COMMAND, *args(out, epochs=14), '--resume'], check=True)
    assert texts(out) == whole


def test_ctrl_c_while_pytorch_is_imported(tmp_path):
    "Feigned: importing it is interrupted"
    (tmp_path / 'torch.py').write_text('raise KeyboardInterrupt')
    path = f'{tmp_path}{os.pathsep}{Path(__file__).resolve().parent.parent}'
    command = [COMMAND, *args(tmp_path / 'r')]
    done = subprocess.run(
        command, env={**os.environ, 'PYTHONPATH': path}, capture_output=True, text=True
    )
    assert done.returncode == 130 and done.stderr.strip() == 'dnas_search: stopped'


def test_same_seed_same_bytes(tmp_path, whole):
    subprocess.run([COMMAND, *args(tmp_path / 'r', epochs=14)], check=True, capture_output=True)
    assert texts(tmp_path / 'r') == whole


def test_help_is_quick_and_complete():
    text = subprocess.run([COMMAND, '--help'], capture_output=True, text=True, check=True).stdout
    for (
        option
    ) in 'method space data epochs warmup channels cells size images batch seeds device precision out resume'.split():
        assert f'--{option}' in text


def test_import_is_light():
    "Drawing, tables and learning libraries load only when used; the estimator of scikit-learn is built on it"
    code = (
        'import sys, pkgutil, importlib, dnas_nb\n'
        'names = [m.name for m in pkgutil.walk_packages(dnas_nb.__path__, "dnas_nb.")]\n'
        'for name in names:\n'
        '    if name != "dnas_nb.running.estimator": importlib.import_module(name)\n'
        'print(*[m for m in ("matplotlib", "seaborn", "pandas", "networkx", "sklearn", "scipy", "PIL", "nbdev", "IPython") if m in sys.modules])'
    )
    assert (
        subprocess.run(
            [sys.executable, '-c', code], capture_output=True, text=True, check=True
        ).stdout.split()
        == []
    )


def lines_of(p):
    return [l for l in p.stderr.replace('\r', '\n').splitlines() if l.strip()]


def test_memory_is_predicted_and_printed(tmp_path):
    p = subprocess.run([COMMAND, *args(tmp_path / 'r')], capture_output=True, text=True, check=True)
    about = json.loads((tmp_path / 'r' / 'run.json').read_text())
    said = [l for l in lines_of(p) if 'a step will need about' in l]
    assert said == [f"a step will need about {about['predicted_mb']} MB"]
    assert 0.8 < about['predicted_mb'] / about['peak_mb'] < 1.2


def test_out_of_memory_halves_the_batch_once(capsys, tmp_path, monkeypatch):
    from dnas_nb.supernet import SuperNet

    real, limit = SuperNet.forward, [16]

    def forward(self, x, *a, **k):
        if len(x) > limit[0] and torch.is_grad_enabled():
            raise RuntimeError("[enforce fail] DefaultCPUAllocator: can't allocate memory")
        return real(self, x, *a, **k)

    monkeypatch.setattr(SuperNet, 'forward', forward)
    small(tmp_path / 'a')
    assert 'out of memory with batch 32: trying 16' in capsys.readouterr().err
    assert json.loads((tmp_path / 'a' / 'run.json').read_text())['batch'] == 16
    monkeypatch.setattr(SuperNet, 'forward', real)
    small(tmp_path / 'b', batch=16)
    assert texts(tmp_path / 'a') == texts(tmp_path / 'b')
    monkeypatch.setattr(SuperNet, 'forward', forward)
    limit[0] = 13  # the trial's images fit, 16 do not
    fails(capsys, 'out of memory with batch 16 too', out=str(tmp_path / 'c'))


TRAIN = str(Path(sys.executable).with_name('dnas_train'))


def test_retraining_killed_and_resumed(tmp_path, whole):
    found = tmp_path / 'genotype.json'
    found.write_bytes(whole[1])

    def line(out, *more):
        words = '--images 160 --epochs 10 --channels 2 --device cpu --out'.split()
        return [sys.executable, TRAIN, found, *words, tmp_path / out, *more]

    straight = warm.run(line('straight'))
    p = subprocess.Popen(line('killed'), stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    wait_for(tmp_path / 'killed' / 'run.json', 3, p)
    p.send_signal(signal.SIGKILL)
    p.communicate()
    assert (straight.returncode, p.returncode) == (0, -signal.SIGKILL)
    refused = warm.run(line('killed'))
    assert refused.returncode == 2 and '--resume' in refused.stderr.strip().splitlines()[-1]
    p = warm.run(line('killed', '--resume'))
    assert p.returncode == 0 and 'alone     test' in p.stdout
    assert [(tmp_path / k / 'history.csv').read_bytes() for k in ('killed',)] == [
        (tmp_path / 'straight' / 'history.csv').read_bytes()
    ]
    from dnas_nb.running.evaluate import load_arch

    a, b = (load_arch(tmp_path / k).state_dict() for k in ('straight', 'killed'))
    assert all(torch.equal(a[k], b[k]) for k in a)


def test_a_table_of_other_data_does_not_come_first():
    "Where own pictures are searched, what the cell reaches elsewhere is said to be that"
    from types import SimpleNamespace
    from dnas_nb.running.experiment import Result
    from dnas_nb.running.report import _accuracies

    record = dict(dataset='cifar10', test=93.1, rank=7, of=15625, regret=1.2)
    found = dict(table=[record], test_acc=0.5, valid_acc=0.25)
    for data, place in ('cifar10', 0), ('shapes', 2):
        tiles = list(_accuracies(dict(result=found, settings=dict(data=data))))
        assert [k for k, name in enumerate(tiles) if 'cifar10' in name] == [place]
        assert ('this cell on' in tiles[place]) == (data == 'shapes')
        r = SimpleNamespace(
            found=dict(found, arch='a'), settings=SimpleNamespace(data=data), seconds=1, out=Path('r')
        )
        assert ('on the data that a table names' in Result.__str__(r)) == (data == 'shapes')


def test_the_first_figure_of_a_report_is_that_of_the_terminal():
    "Where trainings were repeated: their estimate with its error, not one mean"
    from dnas_nb.running.report import _accuracies

    record = dict(dataset='digits', test=94.73, likely=93.6, error=0.7)
    run = dict(result=dict(table=[record]), settings=dict(data='digits'))
    assert list(_accuracies(run).values()) == ['93.60 ± 0.70 %']
