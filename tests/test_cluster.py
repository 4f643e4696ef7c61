"The examples for clusters: each parses, and every option that they use exists."

import importlib, os, re, shlex, signal, socket, subprocess, threading, time
import pandas as pd
import pytest
import torch
from conftest import ROOT, fails
from dnas_nb.command import arguments, from_line
from dnas_nb.methods import METHODS
from dnas_nb.running import cli
from dnas_nb.running.study import frame, plan, study
from dnas_nb.space import SPACES

HERE = ROOT / 'docs' / 'cluster'
SCRIPTS = sorted(HERE.glob('*.sh'))
SLURM = 'job-name array gres cpus-per-task mem time signal output'.split()


def commands(path):
    "The words of every command of ours in a script, continued lines joined"
    text = re.sub(r'\\\n\s*', '', path.read_text())
    lines = [line for line in text.splitlines() if not line.startswith('#')]
    found = [re.search(r'\b(dnas_\w+) (.*)', line) for line in lines]
    return [(m[1], shlex.split(m[2])) for m in found if m]


def test_there_are_examples():
    assert {p.name for p in SCRIPTS} >= {'slurm_array.sh', 'ray_study.sh'}
    assert all(p.name in (HERE / 'README.md').read_text() for p in HERE.iterdir() if p.suffix != '.md')
    assert 'graft docs' in (ROOT / 'MANIFEST.in').read_text()


@pytest.mark.parametrize('path', SCRIPTS, ids=lambda p: p.name)
def test_scripts(path):
    subprocess.run(['bash', '-n', str(path)], check=True)
    assert path.read_text().startswith('#!/bin/bash\n#')
    assert 'set -euo pipefail' in path.read_text() and commands(path)
    for name, words in commands(path):
        given = from_line(getattr(cli, name), words)
        known = {a.option for a in arguments(getattr(cli, name))}
        assert {w for w in words if w.startswith('--')} <= known
        assert all(m in METHODS for m in (given.get('methods') or 'darts').split(','))
        assert (given.get('space') or 'nb201') in SPACES


@pytest.mark.parametrize('path', [p for p in SCRIPTS if 'slurm' in p.name], ids=lambda p: p.name)
def test_slurm(path):
    "Directives before the first command, as sbatch reads them, and a worker in each"
    lines = path.read_text().splitlines()
    first = next(k for k, line in enumerate(lines) if line and not line.startswith('#'))
    asked = [re.match(r'#SBATCH --([\w-]+)=\S+$', line) for line in lines if '#SBATCH' in line]
    assert all(asked) and {m[1] for m in asked} <= set(SLURM)
    assert not any('#SBATCH' in line for line in lines[first:])
    assert all('--worker' in words for _, words in commands(path))


def test_ray():
    yaml = pytest.importorskip('yaml')
    cluster = yaml.safe_load((HERE / 'ray_cluster.yaml').read_text())
    assert cluster['provider']['type'] == 'local' and cluster['provider']['worker_ips']
    assert cluster['min_workers'] == cluster['max_workers'] == len(cluster['provider']['worker_ips'])
    for kind in 'head', 'worker':
        start = cluster[f'{kind}_start_ray_commands']
        assert start[0] == 'ray stop' and start[-1].startswith('ray start')
    extras = re.search(r'dnas_nb\[([\w,]+)\]', cluster['setup_commands'][0])[1].split(',')
    assert all(f'{extra}_requirements' in (ROOT / 'settings.ini').read_text() for extra in extras)
    words = dict(commands(HERE / 'ray_study.sh'))['dnas_study']
    assert words[words.index('--backend') + 1] == 'ray' and '--address' in words


def test_torchrun():
    "Its own options, too: as many as it has, and none that it lacks"
    from torch.distributed.run import get_args_parser

    text = (HERE / 'torchrun.sh').read_text().replace('\\\n', ' ')
    words = shlex.split(next(l for l in text.splitlines() if l.startswith('torchrun')))[1:]
    given = get_args_parser().parse_args(words)
    assert given.no_python and given.training_script == 'dnas_search'
    assert given.nproc_per_node == '2' and given.standalone


# In the workers: note what Ray shows, wait for a second run, compute on the processor after all.
# A run whose file `.hold` lies there stops after its first epoch.
NOTES = """
import importlib, os, time, torch
from pathlib import Path
from dnas_nb.plugins import register

HERE = Path({!r})


def until(done, seconds=60):
    end = time.monotonic() + seconds
    while not done() and time.monotonic() < end:
        time.sleep(0.05)


def watched(track, name):
    shown = os.environ.get('CUDA_VISIBLE_DEVICES')
    (HERE / f'{{name}}.new').write_text(f'{{os.getpid()}} {{shown}} {{time.time()}}')
    if not (HERE / f'{{name}}.note').exists():      # of the first attempt
        (HERE / f'{{name}}.new').rename(HERE / f'{{name}}.note')
    until(lambda: len(list(HERE.glob('*.note'))) > 1)
    hold = HERE / f'{{name}}.hold'

    def after_epoch(state, settings):
        if hold.exists():
            (HERE / f'{{name}}.held').touch()
            until(lambda: not hold.exists())

    return after_epoch


def placed(name):
    with (HERE / 'asked').open('a') as f:
        f.write(name + chr(10))
    return torch.device('cpu')


register(data=watched, name='notes')    # a plug-in registers something
importlib.import_module('dnas_nb.running.study').trackers_of = watched
importlib.import_module('dnas_nb.running.experiment').own_device = placed
"""


def test_a_real_ray_with_two_feigned_gpus(tmp_path, monkeypatch):
    "Two runs at a time see a GPU each; one is killed, reported and, asked for again, continued"
    ray = pytest.importorskip('ray')
    module = importlib.import_module('dnas_nb.running.study')
    (tmp_path / 'notes.py').write_text(NOTES.format(str(tmp_path)))
    what = dict(method='darts', seed=[0, 1, 2], space='toy', epochs=2, images=40, batch=10)
    names = list(plan(what))
    victim = names[0]
    (tmp_path / f'{victim}.hold').touch()

    def note(name):
        return (tmp_path / f'{name}.note').read_text().split()

    def kill():
        while not (tmp_path / f'{victim}.held').exists():
            time.sleep(0.05)
        os.kill(int(note(victim)[0]), signal.SIGKILL)
        (tmp_path / f'{victim}.hold').unlink()

    monkeypatch.setattr(module, 'loaded_plugins', lambda: (str(tmp_path / 'notes.py'),))
    monkeypatch.setattr(torch.cuda, 'device_count', lambda: 8)
    monkeypatch.delenv('CUDA_VISIBLE_DEVICES', raising=False)
    threading.Thread(target=kill, daemon=True).start()
    given = dict(backend='ray', device='cuda:5,cuda:7')
    assert module._open_ray(2, gpus=('cuda:5', 'cuda:7')) == (ray, True)  # once for both
    try:
        f = study(what, tmp_path / 's', **given).set_index('run')
        study(what, tmp_path / 's', retry=True, **given)
    finally:
        ray.shutdown()
    assert f.status[victim] == 'died', f.error.tolist()
    assert 'the worker was lost (Worker' in f.error[victim]
    assert [f.status[n] for n in names[1:]] == ['finished'] * 2, f.error.tolist()
    two = sorted(names, key=lambda name: float(note(name)[2]))[:2]
    assert {note(name)[1] for name in two} == {'5', '7'}
    assert set((tmp_path / 'asked').read_text().split()) == {'cuda'}
    assert len({note(name)[0] for name in names}) == 3  # a process each
    assert 'CUDA_VISIBLE_DEVICES' not in os.environ
    study(what, tmp_path / 'straight', device='cpu')
    frames = [frame(tmp_path / name, clock=False) for name in ('s', 'straight')]
    pd.testing.assert_frame_equal(*frames, check_exact=True)


def test_a_real_ray_that_is_not_there(tmp_path):
    "In seconds and in one line; Ray alone asks on for minutes"
    pytest.importorskip('ray')
    with socket.create_server(('127.0.0.1', 0)) as taken:
        port = taken.getsockname()[1]
    for address in (f'127.0.0.1:{port}', 'so where'):
        given = dict(backend='ray', address=address, device='cpu')
        fails(lambda: study(dict(method='darts'), tmp_path / 's', **given), 'cannot be reached')
