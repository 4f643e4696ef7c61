"The examples for clusters: each parses, and every option that they use exists."

import re, shlex, subprocess
import pytest
from conftest import ROOT
from dnas_nb.command import arguments, from_line
from dnas_nb.methods import METHODS
from dnas_nb.running import cli
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
