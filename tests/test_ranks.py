"""Two processes compute one search: what they find is the mean of their halves, one of them writes,
and whatever goes wrong with one of them ends both in one line."""

import json
import os
import signal
import socket
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest
import torch
import warm
from conftest import fails

from dnas_nb import ranks
from dnas_nb.checkpoint import read
from dnas_nb.ranks import World, own_device, share
from dnas_nb.running.experiment import run
from dnas_nb.running.folder import account

pytestmark = pytest.mark.skipif(
    not (torch.distributed.is_available() and torch.distributed.is_gloo_available()),
    reason='this PyTorch has no gloo',
)
TINY = dict(space='toy', images=80, batch=20, channels=4, device='cpu', report=False)
CELL = '|nor_conv_3x3~0|+|none~0|none~1|+|skip_connect~0|none~1|nor_conv_1x1~2|'
BIN = Path(sys.executable).parent


def free_port() -> str:
    with socket.socket() as s:
        s.bind(('127.0.0.1', 0))
        return str(s.getsockname()[1])


def two(task, *args):
    "Two processes that know of each other run `task(*args)` of this file"
    group = dict(
        TORCHELASTIC_RUN_ID='test',
        WORLD_SIZE='2',
        MASTER_ADDR='127.0.0.1',
        MASTER_PORT=free_port(),
        LATER_PORT=free_port(),
        DNAS_RANKS_WAIT='200',
        OMP_NUM_THREADS='1',
    )
    line = [sys.executable, __file__, task, *map(str, args)]
    return [warm.start(line, env=os.environ | group | dict(RANK=str(rank))) for rank in range(2)]


def ended(processes, codes=(0, 0)) -> list:
    "What each of them said, once both have ended with these codes"
    said = [p.communicate(timeout=300) for p in processes]
    assert tuple(p.returncode for p in processes) == codes, said
    return said


# 1. gradients


def a_state(method):
    "A supernet in float64, its state, a step with a batch of eight, and its loss"
    from dnas_nb.bilevel import Plan, Step, start
    from dnas_nb.core import generator, seeded
    from dnas_nb.fast import fast
    from dnas_nb.space import toy
    from dnas_nb.supernet import Spec

    space = method.adapt(toy())
    with seeded('net'):
        spec = Spec(C=4, n=2, classes=3, in_ch=1, partial=method.partial, batch_stats=True)
        net = fast(space.supernet(spec)).double()
    state = start(net, method, Plan())
    for cell in state.phi:
        state.phi[cell] = {k: v.detach().double() for k, v in state.phi[cell].items()}
        for k, v in state.phi[cell].items():
            v.requires_grad_(v.is_floating_point() and k not in method.buffers)
    state.a_opt = method.arch_opt(state.phi, 0.1) if method.grad else None
    gen = generator('pictures')
    batches = []
    for _ in range(4):
        x = torch.randn(8, 1, 8, 8, generator=gen, dtype=torch.float64)
        batches.append((x, torch.randint(3, (8,), generator=gen)))
    return state, batches


def stepped(method, cut, loss_of):
    "Everything that a step of each kind leaves behind, as one list of tensors"
    from dnas_nb.bilevel import Step, arch_step, weight_step
    from dnas_nb.core import seeded
    from dnas_nb.trees import leaves

    state, batches = a_state(method)
    train, valid, *ahead = [cut(b) for b in batches]
    ahead = tuple(ahead)[: method.inner]
    step = Step(train, valid, progress=0.5, key=(0, 0, 0), ahead=ahead)
    with seeded('step'):
        if method.grad:
            arch_step(state, method, loss_of(state.loss(step, 'arch', method.relax)), step)
        drawn = state.loss(step, 'weight', method.relax_weights)
        value = weight_step(state, method, loss_of(drawn), step)
    slopes = [p.grad for p in (*leaves(state.phi), *state.net.parameters())]
    left = [*leaves(state.phi), *state.net.parameters(), *state.memory.values()]
    return [value, *(g for g in slopes if g is not None), *left]


def halves(batch):
    x, y = batch
    return [(x[:4], y[:4]), (x[4:], y[4:])]


def mean_of_halves(loss):
    "The same loss in one process: the mean of those of the two halves"

    class Both(type(loss)):
        def at(self, w, theta, batch):
            first, second = (super(Both, self).at(w, theta, half) for half in halves(batch))
            return (first + second) / 2

    return Both(**vars(loss))


def gradients(names):
    "On each rank: the largest difference from one process, method by method"
    from dnas_nb import methods

    found = {}
    mine = ranks.world().rank
    for name in names:
        method = methods.METHODS[name]
        here = stepped(method, lambda b: halves(b)[mine], lambda loss: loss)
        with ranks.alone():
            there = stepped(method, lambda b: b, mean_of_halves)
        assert len(here) == len(there), name
        found[name] = max(float((a - b).detach().abs().max()) for a, b in zip(here, there))
        ranks.must_match(dict(all=here), 1)
    return found


METHODS = (
    'darts drnas danas gdas dsnas snas balenas beta pc-darts darts-minus '
    'darts2 amended idarts sdarts-adv zarts-rs zarts-mgs lambda-darts'
).split()


def test_parts_one_after_the_other_are_means_of_halves():
    from dnas_nb import methods

    for name in METHODS:
        method = methods.METHODS[name]
        got = stepped(method, lambda b: b, lambda loss: replace(loss, parts=2))
        wanted = stepped(method, lambda b: b, mean_of_halves)
        off = max(float((a - b).detach().abs().max()) for a, b in zip(got, wanted, strict=True))
        assert off < 1e-12, (name, off)


def test_parts_take_less_memory_and_resume(tmp_path):
    few = dict(TINY, method='cpm-darts', space='nb201', batch=32, images=120)
    whole = run(tmp_path / 'whole', accumulate=4, epochs=2, **few)

    def stop(state, s):
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        run(tmp_path / 'cut', accumulate=4, epochs=2, on_epoch=stop, **few)
    again = run(tmp_path / 'cut', resume=True, accumulate=4, epochs=2, **few)
    assert again.trace == whole.trace and whole.settings.accumulate == 4
    fails(lambda: run(tmp_path / 'x', accumulate=33, **few), '32', 'no 33 parts', '--accumulate')
    at_once, in_parts = (held_mb(parts) for parts in (1, 4))
    assert in_parts < 0.5 * at_once, (in_parts, at_once)


def held_mb(parts) -> float:
    "Most memory that the tensors of a weight step hold"
    from dnas_nb.bilevel import Plan, Step, start, weight_step
    from dnas_nb.core import seeded
    from dnas_nb.fast import fast
    from dnas_nb.methods import METHODS
    from dnas_nb.running.memory import Held
    from dnas_nb.space import nb201
    from dnas_nb.supernet import Spec

    with seeded('memory'):
        net = fast(nb201().supernet(Spec(C=8, n=1, classes=3, in_ch=1, batch_stats=True)))
        batch = torch.randn(64, 1, 16, 16), torch.randint(3, (64,))
    state = start(net, METHODS['darts'], Plan(parts=parts))
    step = Step(batch, batch)
    with Held(1, 1) as held:
        weight_step(state, METHODS['darts'], state.loss(step, 'w', METHODS['darts'].relax), step)
    return held.peak / 2**20


# 2. a search that loses a rank, and goes on alone


def dying(out):
    "A search of six epochs whose second rank is killed in the third"
    from dnas_nb import bilevel
    from dnas_nb.running import cli

    real = bilevel._one_step

    def step(state, method, step, later):
        if os.environ['RANK'] == '1' and step.key[1] == 2:
            os.kill(os.getpid(), signal.SIGKILL)
        return real(state, method, step, later)

    bilevel._one_step = step
    words = '--method danas-prune --space toy --images 80 --batch 20 --channels 4 --epochs 6'
    sys.argv = ['dnas_search', *words.split(), '--device', 'cpu', '--out', out]
    cli.dnas_search()


def test_killed_with_two_ranks_resumed_with_one(tmp_path):
    out = tmp_path / 'r'
    (_, said), _ = ended(two('dying', out), (2, -signal.SIGKILL))
    lines = [line for line in said.splitlines() if line.startswith('dnas_search: ')]
    assert len(lines) == 1 and 'another rank has ended' in lines[0] and '--resume' in lines[0]
    assert 'Traceback' not in said
    about = account(out)
    assert (about['epoch'], about['ranks'], about['status']) == (2, 2, 'failed')
    assert len(read(out / 'last.pt')['history']) == 2
    before = (out / 'history.csv').read_text()
    r = run(out, resume=True, method='danas-prune', epochs=6, **TINY)
    assert r.trace.scalars['epoch'] == (1, 2, 3, 4, 5, 6)
    assert (out / 'history.csv').read_text().startswith(before)
    assert (out / 'genotype.json').is_file() and account(out)['status'] == 'finished'


# 3. a whole search and a retraining, and what is refused


def whole(out):
    "A search and a retraining with two ranks, and then all that they refuse"
    from dnas_nb.core import UserError
    from dnas_nb.running.folder import lock
    from dnas_nb.running.retrain import retrain
    from dnas_nb.sources import load_data

    torch.set_num_threads(1)
    ranks.join()
    mine, out = ranks.world().rank, Path(out)
    off = gradients(METHODS)
    (out / f'gradients-{mine}.json').write_text(json.dumps(off))

    def refused(*words, **given):
        with pytest.raises(UserError) as e:
            run(**{**TINY, 'epochs': 2, **given, 'images': None if 'split' in given else 80})
        assert all(word in str(e.value) for word in words), e.value
        return e.value.told  # does another rank say it?

    found = run(out / 'r', method='cpm-darts', epochs=2, **TINY)
    again = run(out / 'r', resume=True, method='cpm-darts', epochs=2, **TINY)
    assert again.found == found.found and again.genotype == found.genotype
    alone = retrain(CELL, out=out / 't', epochs=2, images=80, C=4, device='cpu')
    told = [alone.test_acc, alone.history, found.found]
    assert ranks.from_first(list, told) == told

    other = refused('seed is 0 on rank 0 and 1 on rank 1', 'same command', seed=mine, out=out / 's')
    data = load_data('digits', images=80, seed=mine)
    data = replace(data, about=replace(data.about, source=None))
    unlike = refused('data is', 'on rank 1', 'same data', split=data, out=out / 'd')
    assert (other, unlike) == (mine == 1,) * 2
    uneven = refused('21 images cannot be shared evenly', '--batch 20', batch=21, out=out / 'u')
    assert uneven == (mine == 1)
    if mine == 0:
        held = lock(out / 'l')
    refused('is in use', out=out / 'l')

    def moved(state, s):  # called on rank 0 alone
        with torch.no_grad():
            next(state.net.parameters()).add_(1)

    refused('the fingerprint of weights', 'drifted apart in epoch 2', on_epoch=moved, out=out / 'm')
    assert ranks.from_first(account, out / 'm')['epoch'] == 1
    fails(in_silence, 'gives no answer')


def in_silence():
    "The second rank is stopped; the first one waits for five seconds"
    torch.distributed.barrier()
    torch.distributed.destroy_process_group()
    os.environ |= dict(MASTER_PORT=os.environ['LATER_PORT'], DNAS_RANKS_WAIT='5')
    ranks.join()
    if ranks.world().rank == 1:
        os.kill(os.getpid(), signal.SIGSTOP)
    ranks.means([torch.zeros(1)])


@pytest.fixture(scope='module')
def together(tmp_path_factory):
    "The folder in which two ranks did `whole`"
    tmp_path = tmp_path_factory.mktemp('ranks')
    first, second = two('whole', tmp_path)
    try:
        _, said = first.communicate(timeout=300)
    finally:
        second.kill()  # it is stopped
    said += second.communicate()[1]
    assert first.returncode == 0, said
    return tmp_path


def test_gradients_are_means_of_halves(together):
    for rank in range(2):
        off = json.loads((together / f'gradients-{rank}.json').read_text())
        assert len(off) == len(METHODS) and max(off.values()) < 1e-12, off


def test_whole_search_and_what_is_refused(together):
    tmp_path = together
    assert account(tmp_path / 'r')['ranks'] == 2 and account(tmp_path / 'r')['status'] == 'finished'
    assert account(tmp_path / 't')['status'] == 'finished'
    for name in 'sd':
        assert not (tmp_path / name / 'run.json').exists()


def test_torchrun_says_a_mistake_once(tmp_path):
    line = '--nproc-per-node 2 --no-python dnas_search --space toy --images 80 --device cpu'
    words = [*line.split(), '--batch', '21', '--out', str(tmp_path / 'r')]
    env = os.environ | dict(PATH=f'{BIN}{os.pathsep}{os.environ["PATH"]}')
    p = subprocess.run([BIN / 'torchrun', *words], capture_output=True, text=True, env=env)
    lines = [line for line in p.stderr.splitlines() if line.startswith('dnas_search: ')]
    assert p.returncode and len(lines) == 1 and '--batch 20' in lines[0], p.stderr


# 4. devices, without a second process


def test_fewer_devices_than_ranks(monkeypatch):
    monkeypatch.setattr(ranks, 'world', lambda: World(1, 2))
    assert own_device('cpu').type == 'cpu' and share(8) == slice(4, 8)
    monkeypatch.setattr(ranks, 'device', lambda name: torch.device('cuda', 0))
    monkeypatch.setattr(torch.cuda, 'device_count', lambda: 1)
    monkeypatch.setenv('LOCAL_WORLD_SIZE', '2')
    fails(lambda: own_device('auto'), '2 ranks', '1 GPU:', '--device cpu')
    fails(lambda: own_device('cuda:0'), 'cuda:0', 'GPU of its own')


@pytest.mark.parametrize('rank', [0, 1])
def test_a_study_is_not_started_by_torchrun(rank, monkeypatch, tmp_path):
    "Each rank would make it, and its workers would wait for each other"
    from dnas_nb.core import UserError
    from dnas_nb.running.fleet import work
    from dnas_nb.running.study import study

    about = dict(TORCHELASTIC_RUN_ID='x', WORLD_SIZE='2', RANK=str(rank))
    for name, value in about.items():
        monkeypatch.setenv(name, value)
    what = dict(method='darts', space='toy', data='digits', epochs=1)
    for make in (study, work):
        with pytest.raises(UserError) as e:
            make(what, tmp_path / 's')
        assert 'without torchrun' in str(e.value) or 'start dnas_study once' in str(e.value)
        assert e.value.told == bool(rank) and not (tmp_path / 's').exists()


if __name__ == '__main__':
    globals()[sys.argv[1]](*sys.argv[2:])
