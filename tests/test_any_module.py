"Any module of one's own goes the whole way of a search: nothing after the supernet asks for cells, or one line says so."

import io
import json
import tempfile
from contextlib import redirect_stderr
from dataclasses import dataclass
from functools import partial
from pathlib import Path
import pytest
import torch
from torch import nn
from conftest import fails
import warm
from dnas_nb.dialects import parse
from dnas_nb.genotype import all_archs, draw, from_json, from_ops, neighbours, to_json, to_ops
from dnas_nb.methods import METHODS, ROWS
from dnas_nb.modules import Depth, Gate, Mixed, Wide, space_of
from dnas_nb.running import experiment
from dnas_nb.running.experiment import run
from dnas_nb.running.referee import trainer
from dnas_nb.running.retrain import retrain
from dnas_nb.space import Choice, Group, Space, toy
from dnas_nb.supernet import Spec
from dnas_nb.trace import Column, Trace

torch.set_num_threads(1)
TINY = dict(
    data='digits', images=64, size=8, batch=16, epochs=2, device='cpu', tell=lambda line: None
)
NEED_CELLS = [
    'lambda-darts',
    'fadarts',
    'is-darts',
    'drnas-progressive',
    'pc-darts',
    'cpm-darts',
    'tangle',
    'darts-lora',
    'p-darts',
]  # by their nature
ANY = [name for name in ROWS if name not in NEED_CELLS]


class Net(nn.Module):
    "Four choices of four kinds, and a dropout"

    def __init__(self):
        super().__init__()
        self.first = Wide('mlp', nn.Linear(64, 16), out=(4, 8, 16))
        self.act = Mixed('act', relu=nn.ReLU(), tanh=nn.Tanh())
        self.deep = Depth(
            'deep', [nn.Sequential(nn.Tanh(), nn.Dropout(0.1)) for _ in range(2)], (0, 1, 2)
        )
        self.gate = Gate('gate', nn.Tanh())
        self.head = Wide('mlp', nn.Linear(16, 10), in_=(4, 8, 16))

    def forward(self, x):
        x = self.deep(self.act(self.first(x.flatten(1))))
        return self.head(x + self.gate(x))


class Killed(BaseException):
    "What a process cannot catch"


def kill(state, settings):
    if state.epoch == 1:
        raise Killed


def go(out, method, **more):
    return run(out=out, method=method, space=space_of(Net), **TINY | dict(report=False) | more)


def files(out):
    return {
        name: (Path(out) / name).read_bytes()
        for name in ('history.csv', 'genotype.json', 'last.pt')
    }


@pytest.mark.parametrize('method', ANY)
def test_every_row_searches_a_module_and_is_resumed_to_the_same_bits(method, tmp_path, monkeypatch):
    "Stopped after its first epoch and continued, it is the undisturbed run; what was found is a plain module"
    monkeypatch.setattr(experiment, 'trainer', partial(trainer, least=15))  # a tenth of the steps of a candidate
    whole = go(tmp_path / 'whole', method)
    with pytest.raises(Killed):
        go(tmp_path / 'cut', method, on_epoch=kill)
    again = go(tmp_path / 'cut', method, resume=True)
    for name in ('history.csv', 'genotype.json'):
        assert files(tmp_path / 'cut')[name] == files(tmp_path / 'whole')[name], name
    assert (
        again.genotype == whole.genotype
        and parse(str(whole.genotype), whole.space) == whole.genotype
    )
    assert len(whole.trace) == 2 and whole.trace.weights['net'].shape == (2, 4, 3)
    net = (
        whole.network.eval()
    )  # also where the checkpoint holds fewer parameters, because options are gone
    assert not [m for m in net.modules() if type(m).__module__.startswith('dnas_nb')]
    x = torch.rand(3, 1, 8, 8)
    assert net(x).shape == (3, 10) and torch.equal(net(x), again.network.eval()(x))


@pytest.mark.parametrize('method', NEED_CELLS)
def test_what_needs_cells_says_so(method, tmp_path):
    fails(lambda: go(tmp_path / 'run', method), 'needs cells', 'Net', 'net')


def test_texts_come_back():
    space = space_of(Net)
    archs = list(all_archs(space))
    assert len(archs) == 3 * 2 * 3 * 2
    for g in archs:
        assert parse(str(g), space) == from_json(to_json(g)) == from_json(to_json(g), space) == g
        assert from_ops(space, to_ops(g, space)) == g and len(neighbours(g, space)) == 2 + 1 + 2 + 1
    assert str(archs[0]) == 'mlp=4 act=relu deep=0 gate=off'
    assert json.loads(to_json(archs[0]))['groups'] == {
        'net': dict(mlp='4', act='relu', deep='0', gate='off')
    }


@dataclass(frozen=True)
class Nothing:
    "A plan that builds nothing"

    def check(self, space):
        pass


def test_several_groups_and_cells_together():
    "Two groups may have places of one name"
    shape = [Choice('mlp', ('64', '128')), Choice('deep', ('2', '4'))]
    both = Space('both', [Group('a', shape), Group('b', shape), *toy().cells], Nothing())
    g = next(iter(all_archs(both)))
    assert str(g) == 'a/mlp=64 a/deep=2 b/mlp=64 b/deep=2 cell=|none~0|+|none~0|none~1|'
    assert parse(str(g), both) == from_json(to_json(g)) == g
    trace = Trace(both.groups).then(
        dict(epoch=1), {c.name: torch.rand(c.E, c.O).numpy() for c in both.groups}
    )
    assert Trace.from_rows(trace.rows(), both.groups) == trace
    assert [str(c) for c in Column.among(trace.rows()[0])][:2] == ['p/a/mlp/64', 'p/a/mlp/128']


HOSTILE = [
    '',
    'mlp=4',
    'mlp=4 act=relu deep=0 gate',
    'mlp=4 act=relu deep=0 gate=ajar',
    'mlp=4 mlp=8',
    'mlp=4\0',
    'a' * 200_000,
    '=',
    'mlp==4 act=relu deep=0 gate=on',
    'net/mlp=4',
    '|none~0|',
    "Genotype(normal=[])",
    7,
    None,
    'mlp=4 act=relu deep=0 gate=on more=1',
    'mlp=\u2028 act=relu deep=0 gate=on',
]
FILES = [
    '{}',
    '[]',
    '{"space": "Net", "groups": []}',
    '{"space": "Net", "groups": {"net": {"mlp": 4}}}',
    '{"space": "Net", "groups": {"net": {"mlp": "4"}}}',
    '{"space": "Net", "groups": {"net": [[0, 1, "none"]]}}',
    '{"space": "Net", "cells": {"cell": {"mlp": "4"}}}',
    '{"space": "Net", "groups": {}}',
    '{"space": "Net", "groups": {"net": {"mlp": "4", "act": "relu", "deep": "0", "gate": "off"}}, "text": "mlp=8"}',
]


@pytest.mark.parametrize('text', HOSTILE, ids=range(len(HOSTILE)))
def test_a_hostile_text_is_refused_in_one_line(text):
    fails(lambda: parse(text, space_of(Net)))


@pytest.mark.parametrize('text', FILES, ids=range(len(FILES)))
def test_a_hostile_file_is_refused_in_one_line(text):
    fails(lambda: from_json(text, space_of(Net)))


@pytest.mark.parametrize('name', ['a b', 'a=b', 'a/b', 'a|b', '', 'x' * 61, 'a\n', 7])
def test_a_place_is_one_word(name):
    fails(lambda: Group('net', [Choice(name, ('1', '2'))]), 'group')


def test_what_truly_needs_wiring_says_so():
    from dnas_nb.dialects import parse_darts, to_darts
    from dnas_nb.equality import canon

    space = space_of(Net)
    g = next(iter(all_archs(space)))
    for f in (
        lambda: canon(g, space),
        lambda: to_darts(g),
        lambda: parse_darts('Genotype()', space),
        lambda: draw(g),
    ):
        fails(f, 'Net')


def test_found_options_are_trained_alone_and_loaded_again(tmp_path):
    from dnas_nb.running.evaluate import load_arch

    found = go(tmp_path / 'search', 'darts')
    trained = retrain(tmp_path / 'search', out=tmp_path / 'alone', epochs=2, device='cpu')
    assert trained.genotype == found.genotype
    net = load_arch(tmp_path / 'alone', space_of(Net))
    x = torch.rand(3, 1, 8, 8)
    assert torch.equal(net(x), trained.net(x))


@pytest.mark.parametrize('method', ['darts', 'danas'])
def test_the_page_shows_choices_and_no_cell(method, tmp_path):
    found = go(tmp_path, method, report=True)
    page = (tmp_path / 'report.html').read_text()
    assert (
        'What was chosen' in page
        and 'How the choices decided' in page
        and 'edge' not in page.lower().split('<style>')[0]
    )
    assert str(found.genotype) in page and (tmp_path / 'weights-net.png').stat().st_size
    assert not list(tmp_path.glob('cell-*.png'))
    for place, option in found.genotype.groups[0][1]:
        assert f'{place} {option}' in page
    assert (method == 'danas') == (tmp_path / 'correlation-net.png').exists()


def test_the_live_view_draws_choices(tmp_path):
    from dnas_nb.running.live import Live

    shown = []
    go(tmp_path, 'danas', on_epoch=Live(show=shown.append, share=None))
    assert len(shown) == 2 and shown[0] != shown[1]


def test_what_was_learned_is_read_between_choices(tmp_path):
    from dnas_nb.running.learned import read_distribution, read_history, read_learned

    go(tmp_path, 'danas')
    learned = read_learned(tmp_path)
    assert learned.labels == space_of(Net)['net'].picks and learned.corr.shape == (10, 10)
    assert list(learned.edges) == ['mlp', 'act', 'deep', 'gate']
    assert len(read_history(tmp_path)) == 2


def test_a_trained_module_is_exported(tmp_path):
    "The written program is for cells alone"
    pytest.importorskip('onnx'), pytest.importorskip('onnxscript'), pytest.importorskip(
        'onnxruntime'
    )
    from dnas_nb.running.export import export

    go(tmp_path / 'search', 'darts')
    retrain(tmp_path / 'search', out=tmp_path / 'alone', epochs=1, device='cpu')
    about = export(tmp_path / 'alone', tmp_path / 'out', space=space_of(Net))
    assert set(about['difference']) == {'pt2', 'onnx'} and about['input'] == ['batch', 1, 8, 8]
    fails(
        lambda: export(tmp_path / 'alone', tmp_path / 'py', formats=['py'], space=space_of(Net)),
        'network of cells',
    )


PLUGIN = """
from torch import nn
from dnas_nb.modules import Mixed, Wide, space_of
from dnas_nb.plugins import register

class Small(nn.Module):
    def __init__(self):
        super().__init__()
        self.first = Wide('mlp', nn.Linear(64, 16), out=(8, 16))
        self.act = Mixed('act', relu=nn.ReLU(), tanh=nn.Tanh())
        self.head = Wide('mlp', nn.Linear(16, 10), in_=(8, 16))

    def forward(self, x): return self.head(self.act(self.first(x.flatten(1))))

def small(): return space_of(Small, 'small')

register(space=small)
"""


def test_the_command_searches_a_module_of_a_plug_in(tmp_path):
    "From its file, and again to retrain what it found"
    import sys

    (tmp_path / 'mine.py').write_text(PLUGIN)

    def call(command, *words):
        text = f'import sys; sys.argv[0] = "{command}"; from dnas_nb.running.cli import {command}; sys.exit({command}())'
        done = warm.run(
            [sys.executable, '-c', text, *words, '--plugin', 'mine.py'],
            cwd=tmp_path,
            capture_output=True,
            text=True,
        )
        assert done.returncode == 0, done.stderr
        return done.stdout + done.stderr

    small = '--images 60 --batch 10 --threads 1 --device cpu'.split()
    said = call(
        'dnas_search',
        '--space',
        'small',
        '--method',
        'darts',
        '--epochs',
        '2',
        '--out',
        'run',
        *small,
    )
    assert 'mlp=' in said and 'act=' in said
    call(
        'dnas_train', 'run', '--epochs', '1', '--out', 'alone', '--threads', '1', '--device', 'cpu'
    )
    assert (tmp_path / 'alone' / 'last.pt').exists()


@pytest.mark.parametrize(
    'norm, shape',
    [
        (nn.BatchNorm1d, (4, 2, 5)),
        (nn.BatchNorm2d, (4, 2, 3, 3)),
        (nn.BatchNorm3d, (4, 2, 3, 3, 3)),
    ],
)
def test_a_supernet_of_any_module_normalises_by_the_batch_whatever_its_axes(norm, shape):
    def normed():
        return nn.Sequential(norm(2), Mixed('end', same=nn.Identity(), zero=nn.Threshold(9.0, 0.0)))

    net = space_of(normed, 'normed').supernet(Spec(batch_stats=True))
    x = 3 + torch.randn(shape)
    net(x)
    assert net.module[0].running_mean is None
    y = net.eval()(x, {'net': torch.tensor([[1.0, 0.0]])})
    assert y.mean().abs() < 1e-5  # not by what it remembers: there is nothing


def test_one_choice_alone_depends_on_no_other_and_has_a_report(tmp_path):
    "A correlated normal over a single choice: there is no pair of choices to list"
    space = space_of(
        lambda: nn.Sequential(
            nn.Flatten(), Mixed('act', relu=nn.ReLU(), tanh=nn.Tanh()), nn.Linear(64, 10)
        ),
        'one',
    )
    found = run(tmp_path / 'run', space=space, method='danas', **TINY | dict(epochs=1))
    assert (found.out / 'report.html').exists()


def test_what_layers_remember_of_a_pass_is_never_stale():
    "Layouts are kept from pass to pass: other weights, other options, and a net that was cut give what a fresh net gives"
    space = space_of(Net)
    group, x = space['net'], torch.randn(4, 1, 8, 8, dtype=torch.float64)

    def fresh():
        torch.manual_seed(0)
        return space.supernet().double().eval()

    def drawn(seed, live):
        raw = torch.rand(
            group.E, group.O, generator=torch.Generator().manual_seed(seed), dtype=torch.float64
        )
        return {'net': (raw * live) / (raw * live).sum(1, keepdim=True)}

    some = group.live.clone()
    some[0, 2] = False  # the largest size is gone
    worn, thetas = fresh(), [
        drawn(k, live) for k, live in enumerate((group.live, some, group.live, some))
    ]
    for theta in thetas:
        assert torch.equal(worn(x, theta), fresh()(x, theta))
    worn.strip({'net': some})
    for theta in thetas[1::2]:
        assert torch.allclose(worn(x, theta), fresh()(x, theta), rtol=0, atol=1e-12)


@pytest.mark.parametrize('seed', range(4))
def test_a_found_module_is_plain_copied_and_saved(seed, tmp_path):
    "What other trainers need: nothing of ours inside, `deepcopy`, `state_dict` and pickling of the whole."
    import copy, pickle
    from dnas_nb.core import generator, seeded
    from dnas_nb.genotype import random_arch
    from dnas_nb.modules import extract

    space = space_of(Net)
    genotype = random_arch(space, generator('plain', seed))
    with seeded('plain', seed):
        supernet, fresh = space.supernet(Spec()), space.network(genotype)
    x = torch.randn(3, 1, 8, 8, generator=generator('x'))
    for net in fresh.eval(), extract(supernet, genotype).eval():
        assert not any(type(m).__module__.startswith('dnas_nb') for m in net.modules())
        torch.save(net.state_dict(), tmp_path / 'net.pt')
        with seeded('other'):
            other = space.network(genotype).eval()
        other.load_state_dict(torch.load(tmp_path / 'net.pt', weights_only=True))
        for same in other, copy.deepcopy(net), pickle.loads(pickle.dumps(net)):
            assert torch.equal(same(x), net(x))
        before = [p.clone() for p in net.parameters()]
        twin = copy.deepcopy(net)
        torch.optim.SGD(twin.parameters(), 1.0).step(lambda: twin(x).square().sum().backward())
        assert all(
            torch.equal(a, b) for a, b in zip(before, net.parameters())
        )  # the copy shares nothing
        if any(True for _ in twin.parameters()):
            assert not torch.equal(twin(x), net(x))
