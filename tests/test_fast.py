"The stacked supernet computes what the plain one computes: all spaces, masks, samples, derivatives of first and second order."

from copy import deepcopy

import pytest
import torch
import torch.nn.functional as F

from dnas_nb import fast as module
from dnas_nb.core import UserError, generator, seeded
from dnas_nb.fast import FastCell, fast, is_compiled, is_fast, kind, plan_of, worth_compiling
from dnas_nb.space import SPACES, nb201, toy
from dnas_nb.supernet import SuperNet, Theta, batch_stats

torch.set_num_threads(1)
QUIET = [
    name for name in SPACES if name != 's4'
]  # S4 draws noise, the two networks in different order


def nets(space, seed=0, C=8, partial=1):
    "The same weights, plain and fast, in float64"
    with seeded(seed):
        net = batch_stats(
            SuperNet(space, C, 3 if space.cells[0].n_in > 1 else 1, 5, partial=partial)
        ).double()
    return net, fast(deepcopy(net))


def weights_of(space, seed, hard=False, partial=1):
    "Mixing weights, some exactly zero, or one-hot"
    g, out = generator('fast', seed), {}
    for c in space.cells:
        if hard:
            out[c.name] = torch.eye(c.O)[torch.randint(c.O, (c.E,), generator=g)].double()
        else:
            out[c.name] = torch.rand(c.E, c.O, generator=g).double() * (
                torch.rand(c.E, c.O, generator=g) < 0.9
            )
        if partial > 1:
            out[f'{c.name}/edges'] = torch.rand(c.E, generator=g).double()
    return out


def as_theta(leaves):
    "Keys 'cell', 'cell/edges', 'cell/gates' as a `Theta`"
    parts = {'': {}, 'edges': {}, 'gates': {}}
    for k, v in leaves.items():
        name, _, what = k.partition('/')
        parts[what][name] = v
    return Theta(parts[''], edges=parts['edges'], gates=parts['gates'])


def derivatives(net, theta, live=None, twice=False):
    "Loss, its gradient, and with `twice` the product of the Hessian with a direction"
    x = torch.randn(4, 3, 9, 12, generator=generator('x')).double()
    leaves = {k: v.clone().requires_grad_() for k, v in theta.items()}
    loss, asked = F.cross_entropy(net(x, as_theta(leaves), live), torch.arange(4)), [
        *leaves.values(),
        *net.parameters(),
    ]
    got = torch.autograd.grad(loss, asked, create_graph=twice, materialize_grads=True)
    if not twice:
        return [loss, *got]
    along = sum((v * torch.linspace(-1, 1, v.numel()).double().view_as(v)).sum() for v in got)
    return [loss, *got, *torch.autograd.grad(along, asked, materialize_grads=True)]


def gap(a, b):
    return max(
        ((p - q).norm() / p.norm().clamp(min=1e-6)).item() for p, q in zip(a, b, strict=True)
    )


@pytest.mark.parametrize('name', QUIET)
def test_equals_plain(name):
    "Loss and all gradients under a random mask, and for a hard sample"
    space = SPACES[name]()
    plain, quick = nets(space)
    live = {
        c.name: (torch.rand(c.E, c.O, generator=generator(name)) < 0.8) & c.live
        for c in space.cells
    }
    for theta, mask in ((weights_of(space, 1), live), (weights_of(space, 2, hard=True), None)):
        assert gap(derivatives(plain, theta, mask), derivatives(quick, theta, mask)) < 1e-10


@pytest.mark.parametrize('name', ['nb201', 's3'])
@pytest.mark.parametrize('parts', [1, 2])
def test_second_derivatives(name, parts):
    "Products with the Hessian, with partial channels and weights of whole edges as well"
    space = SPACES[name]()
    plain, quick = nets(space, partial=parts)
    theta = weights_of(space, 3, partial=parts)
    assert gap(derivatives(plain, theta, twice=True), derivatives(quick, theta, twice=True)) < 1e-8


def test_gates():
    "Of operations that do not run: their gradient"
    plain, quick = nets(nb201())
    theta = weights_of(nb201(), 4, hard=True)
    theta['cell/gates'] = torch.zeros(6, dtype=torch.float64)
    want, got = derivatives(plain, theta), derivatives(quick, theta)
    assert want[2].norm() > 0 and gap(want, got) < 1e-10


def test_one_stack_per_kind():
    "What leaves the first node of NAS-Bench-201: two stacks of three convolutions, a pool and a skip once"
    plan, _ = plan_of(nets(nb201())[1].blocks[0], [range(5)] * 6)
    node = plan.nodes[0]
    assert [len(term.ops) for term in node.stacks] == [3, 3] and len(node.shared) == 2


def test_deleted_modules():
    "Pruning deletes modules; a cell that has seen them does not remember"
    plain, quick = nets(nb201())
    theta = weights_of(nb201(), 5)
    derivatives(quick, theta)
    for net in (plain, quick):
        del net.blocks[0].edges[1]['nor_conv_3x3']
    assert gap(derivatives(plain, theta), derivatives(quick, theta)) < 1e-10


def test_unknown_module():
    "A module of no known kind runs as it is"
    assert (
        type(kind(torch.nn.Sequential(torch.nn.ReLU(), torch.nn.Linear(3, 3)))).__name__ == '_Other'
    )


def test_what_is_compiled_follows_from_the_mask(monkeypatch):
    "All that is built, equally much on each edge: yes. Hard samples, uneven masks, no gradient: no"
    calls = []

    def instead():
        calls.append(1)
        return module.run_cell

    monkeypatch.setattr(module, '_compiled', instead)
    net = fast(batch_stats(SuperNet(nb201(), 4, 1, 5)).double(), compile=True)
    soft, x = {'cell': torch.full((6, 5), 0.2, dtype=torch.float64)}, torch.randn(
        2, 3, 8, 8
    ).double()

    def compiled(theta):
        calls.clear()
        net(x, theta)
        return len(calls)

    assert compiled(soft) == 3
    assert compiled(weights_of(nb201(), 6, hard=True)) == 0
    with torch.no_grad():
        assert compiled(soft) == 0
    del net.blocks[0].edges[0]['nor_conv_1x1']
    uneven = {'cell': soft['cell'].clone()}
    uneven['cell'][0, 2] = 0
    assert compiled(uneven) == 0


def test_a_cell_is_one_graph(monkeypatch):
    "The compiler traces `run_cell` without a break, and computes the same"
    whole = torch.compile(module.run_cell, dynamic=False, backend='eager', fullgraph=True)
    plain, net = nets(nb201(), C=4)
    calls = []

    def instead():
        calls.append(1)
        return whole

    monkeypatch.setattr(module, '_compiled', instead)
    theta = {'cell': torch.rand(6, 5, generator=generator(7)).double() + 0.1}
    assert gap(derivatives(plain, theta), derivatives(fast(net, compile=True), theta)) < 1e-10
    assert len(calls) == 3


@pytest.mark.parametrize('quick', [False, True], ids=['plain', 'fast'])
def test_a_pass_is_one_graph(quick):
    "Where no weight is looked at, the whole network is traced without a break, and derived the same"
    plain, net = nets(toy(), C=4)
    rows = [[True, False, True], [True, True, True], [False, True, True]]
    weights = torch.rand(3, 3, generator=generator('one graph')).double()
    whole = torch.compile(net if quick else plain, backend='aot_eager', fullgraph=True)
    mask, x = {'cell': torch.tensor(rows)}, torch.randn(4, 3, 9, 12, generator=generator('x')).double()

    def derived(forward, of, live):
        w = weights.clone().requires_grad_()
        logits = forward(x, Theta({'cell': w}, full=('cell',)), live)
        loss = F.cross_entropy(logits, torch.arange(4))
        return [loss, *torch.autograd.grad(loss, [w, *of.parameters()], materialize_grads=True)]

    own = net if quick else plain
    derived(own, own, mask)   # the fast one has planned now what it computes together
    assert gap(derived(plain, plain, mask), derived(whole, own, {'cell': rows})) < 1e-10


def test_flags():
    "`fast` again keeps the choice to compile"
    net = batch_stats(SuperNet(nb201(), 4, 1, 5))
    assert not is_fast(net) and not is_compiled(fast(net)) and is_fast(net)
    assert (
        is_compiled(fast(net, compile=True))
        and is_compiled(fast(net))
        and not is_compiled(fast(net, compile=False))
    )
    assert all(type(b) is FastCell for b in net.blocks if hasattr(b, 'cell'))


def test_no_compiler(monkeypatch, capsys):
    "One line, and the search goes on without"
    monkeypatch.setenv('CXX', 'no-such-compiler')
    module._has_compiler.cache_clear()
    net = batch_stats(SuperNet(nb201(), 4, 1, 5))
    assert not worth_compiling(net, 'always', (3, 8, 8), 100)
    assert not worth_compiling(net, 'always', (3, 8, 8), 100)
    assert capsys.readouterr().err.count('no C++ compiler') == 1
    module._has_compiler.cache_clear()


def test_when_to_compile():
    "`auto` counts images, the same on any machine; other words are refused"
    net = batch_stats(SuperNet(nb201(), 4, 1, 5))
    assert not worth_compiling(net, 'never', (3, 8, 8), 10**12)
    assert not worth_compiling(net, 'auto', (3, 8, 8), 100)
    with pytest.raises(UserError, match='compile'):
        worth_compiling(net, 'soon', (3, 8, 8), 100)
