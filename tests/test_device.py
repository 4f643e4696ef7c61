"Which methods make a device wait, and that what is asked later still stops a search."

import math
from dataclasses import replace

import pytest
import torch

from dnas_nb.bilevel import Plan, search, start
from dnas_nb.core import UserError, seeded
from dnas_nb.fast import fast
from dnas_nb.methods import METHODS
from dnas_nb.running.device import AWAY, Away, synchronisations
from dnas_nb.running import experiment, study
from dnas_nb.running.experiment import run
from dnas_nb.sources import from_tensors
from dnas_nb.space import SPACES
from dnas_nb.supernet import Spec
from dnas_nb.waiting import Later, ensure, number, numbers, picked, sent, there

torch.set_num_threads(1)

# method -> places where its steps wait, and why they do
DRAWN = 'supernet._to_run'  # which operations run is drawn on the device
WAITS = {
    'random': {DRAWN},
    'gdas': {DRAWN},
    'gdas-reinmax': {DRAWN},
    'reinmax': {DRAWN},
    'drnas-gdas': {DRAWN},
    'dsnas': {DRAWN},
    'setn': {DRAWN},
    'eoinas': {
        DRAWN,
        'importance.witnessed.__call__',
        'importance.witnessed.__call__.<dictcomp>',
    },  # and how right the network is decides about later draws
    'oles': {'oles.resting.__call__'},  # cosines decide which weights rest
    'cpm-darts': {
        'channels.measured._choose',
        'channels._ChoosingEdge.choose',
    },  # once an epoch: channels are drawn on the host
}


def places(method, space='toy'):
    waits, *_ = synchronisations(method, space, steps=2)
    return {w.place for w in waits if w.phase != 'epoch'}


@pytest.mark.parametrize('method', METHODS)
def test_who_waits(method):
    "Every method takes its steps on a feigned device; all that are not listed wait for nothing"
    assert places(method) == WAITS.get(method, set())


@pytest.mark.parametrize(
    'method, space',
    [('darts', 'nb201'), ('pc-darts', 'nb201'), ('tangle', 'nb201')],
)
def test_other_spaces(method, space):
    "Kernels inside each other, edges with weights"
    assert places(method, space) == set()


def test_same_values():
    "A feigned device computes what the CPU computes; sums are arranged as on a GPU"
    *_, near = synchronisations('darts-minus', device=torch.device('cpu'))
    waits, *_, far = synchronisations('darts-minus')
    assert waits
    for a, b in zip(near.trace.rows(), far.trace.rows(), strict=True):
        assert a == pytest.approx(b, abs=1e-4)
    for a, b in zip(near.net.parameters(), far.net.parameters(), strict=True):
        torch.testing.assert_close(a, b.cpu(), rtol=1e-3, atol=1e-4)


def noise(n=24):
    g = torch.Generator().manual_seed(0)
    x = torch.rand(n, 1, 8, 8, generator=g)
    return from_tensors(x, torch.arange(n) % 4, images=16)


def diverging(device, lr=1e30, arch_lr=0.02):
    "A search whose loss becomes NaN"
    method, plan = METHODS['darts'], Plan(epochs=2, batch=4, lr=lr, arch_lr=arch_lr)
    with seeded(0):
        net = fast(SPACES['toy']().supernet(Spec(C=4, n=1, classes=4, in_ch=1, batch_stats=True)))
    state = start(net, method, plan, device)
    next(search(state, method, noise().to(device).search, plan))


@pytest.mark.parametrize('how', [dict(lr=1e30), dict(lr=0.01, arch_lr=math.inf)])
def test_a_run_that_turned_nan_stops_with_the_same_words(how):
    "On another device at the end of the epoch, with the step at which it happened"
    with pytest.raises(UserError) as near:
        diverging('cpu', **how)
    with Away(), pytest.raises(UserError) as far:
        diverging(AWAY, **how)
    assert str(near.value) == str(far.value) and 'epoch 1, step' in str(near.value)


def test_questions_keep_their_place():
    "The first that fails speaks, with what its tensors held when it was asked"

    def odd(x):
        raise UserError(f'{x.item():g} is odd')

    with Away() as away:
        later, x = Later(), torch.zeros((), device=AWAY)
        for k in range(4):
            with later.at(f'step {k}'):
                ensure(x < 2, odd, x)
            x += 1
        assert not away.seen and len(later.asked) == 4
        with pytest.raises(UserError, match='step 2: 2 is odd'):
            later.answers()
        assert not later.asked
        with pytest.raises(UserError, match='^4 is odd'):  # outside a step: at once
            ensure(x < 2, odd, x)


def test_sent_once_and_read_once():
    mask = torch.tensor([True, False, True])
    with Away() as away:
        x, rank = torch.arange(3.0, device=AWAY), torch.tensor(2).to(AWAY, non_blocking=True)
        for _ in range(3):
            assert picked(x, there(mask, AWAY)).cpu().tolist() == [0, 2]
            assert number(rank) == 2
        assert sum(away.seen.values()) == 3 + 1
        rank.fill_(3)
        assert number(rank) == 3
        mask[0] = False
        assert picked(x, there(mask, AWAY)).cpu().tolist() == [2]
        away.seen.clear()
        assert numbers([rank, 1, rank.float()]) == [3, 1, 3.0]
        assert sum(away.seen.values()) == 2
    assert sent(mask, 'cpu') is mask


def test_captured_needs_cuda():
    with pytest.raises(UserError, match='compile captured .* device cpu'):
        run(compile='captured', method='darts', data='digits', epochs=1, device='cpu')


PLACES = torch.backends.cuda.matmul, torch.backends.cudnn


def allowed():
    return [place.allow_tf32 for place in PLACES]


def test_tf32_for_the_time_of_a_run(monkeypatch, tmp_path):
    few = dict(method='darts', space='toy', images=60, batch=20, channels=2, device='cpu')
    few |= dict(report=False, epochs=1)
    before, seen = allowed(), []
    plain = run(tmp_path / 'plain', on_epoch=lambda *_: seen.append(allowed()), **few)
    monkeypatch.setattr(experiment, '_must_have_tf32', lambda dev: None)
    on_epoch = [lambda *_: seen.append(allowed())]
    fast = run(tmp_path / 'fast', precision='tf32', on_epoch=on_epoch, **few)
    assert seen == [before, [True, True]] and allowed() == before
    assert fast.trace == plain.trace  # a processor does as it did
    assert (plain.settings.precision, fast.settings.precision) == ('fp32', 'tf32')

    def stop(*_):
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        run(tmp_path / 'cut', precision='tf32', on_epoch=stop, **few)
    assert allowed() == before
    with pytest.raises(UserError, match="precision: 'tf32' there, 'fp32' now"):
        run(tmp_path / 'fast', resume=True, **few)


def test_tf32_needs_a_gpu_that_knows_it(monkeypatch, tmp_path):
    few = dict(method='darts', space='toy', images=60, epochs=1)
    with pytest.raises(UserError, match='precision tf32 needs a CUDA device .* cpu is not'):
        run(tmp_path / 'r', precision='tf32', device='cpu', **few)
    able = []
    monkeypatch.setattr(torch.cuda, 'get_device_capability', lambda dev: able[-1])
    for able in ([(8, 0)], [(9, 0)]):
        experiment._must_have_tf32(torch.device('cuda'))
    able = [(7, 5)]
    with pytest.raises(UserError, match='8.0 or more, which cuda:1 is not'):
        experiment._must_have_tf32(torch.device('cuda:1'))


def test_two_ways_to_say_a_precision_are_one_line(monkeypatch):
    class Mixed:
        @property
        def allow_tf32(self):
            raise RuntimeError('mix of the legacy and new APIs')

    monkeypatch.setattr(torch.backends.cuda, 'matmul', Mixed())
    with pytest.raises(UserError, match='has set fp32_precision of PyTorch itself'):
        with experiment.on_threads(1, 'tf32'):
            pass


def test_a_forecast_asks_for_nothing_that_only_a_gpu_can():
    few = dict(method='darts', space='toy', images=60, batch=20, channels=2, compile='captured')
    assert study._need(experiment.settings(precision='tf32', **few), 'cpu') > 0
