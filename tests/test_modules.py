"Choices inside any module: at a corner the supernet is the plain network; what is dead is gone; mistakes are named."

import copy
import itertools
import random
import pytest
import torch
import torch.nn.functional as F
from torch import nn
from dnas_nb.core import UserError
from dnas_nb.genotype import from_ops
from dnas_nb.modules import Depth, Gate, Mixed, Wide, extract, space_of

SIZES = 4, 6, 8  # of everything that is wide
DEPTH = 3  # of nesting


class Around(nn.Module):
    "x + body(x)"

    def __init__(self, body):
        super().__init__()
        self.body = body

    def forward(self, x):
        return x + self.body(x)


class Maker:
    "Random nested modules over (B, features) or (B, features, length), all choices of their own or shared names"

    def __init__(self, seed, conv):
        self.random, self.conv, self.n = random.Random(seed), conv, 0

    def name(self, kind):
        "A new name, or one that was there before"
        if self.n and self.random.random() < 0.25:
            return f'{kind}{self.random.randrange(self.n)}'
        self.n += 1
        return f'{kind}{self.n - 1}'

    def layer(self, n_in, n_out):
        if not self.conv:
            return nn.Linear(n_in, n_out)
        return nn.Conv1d(n_in, n_out, 3, padding=1)

    def norm(self, n):
        return nn.BatchNorm1d(n, affine=self.random.random() < 0.5)

    def inner(self, n, depth):
        "A pair of layers whose hidden width is chosen, with a norm and perhaps one more choice between them"
        name = self.name('wide')
        hidden = [Wide(name, self.layer(n, 8), out=SIZES), nn.Tanh(), Wide(name, self.norm(8))]
        if self.conv and self.random.random() < 0.5:
            hidden.append(Wide(name, nn.Conv1d(8, 8, 3, padding=1, groups=8), out=SIZES))
        if self.random.random() < 0.5:
            other = self.name('wide')
            if other == name:
                hidden.append(Wide(name, self.layer(8, 8), out=SIZES, in_=SIZES))
            else:
                hidden.append(Wide(other, Wide(name, self.layer(8, 8), in_=SIZES), out=SIZES))
                name = other
        if not self.conv and self.random.random() < 0.5:
            hidden.append(Wide(name, nn.LayerNorm(8)))
        last = self.layer(8, n)
        if self.conv and self.random.random() < 0.5:
            last = Wide(self.name('kernel'), nn.Conv1d(8, n, 5, padding=2), kernel=(1, 3, 5))
        return nn.Sequential(*hidden, Wide(name, last, in_=SIZES))

    def block(self, n, depth=0):
        "A module of n features in and out"
        kinds = (
            ['plain', 'wide']
            if depth >= DEPTH
            else ['wide', 'wide', 'mixed', 'depth', 'gate', 'parts', 'chain']
        )
        kind = self.random.choice(kinds)
        deeper = lambda: self.block(n, depth + 1)
        if kind == 'plain':
            return nn.Sequential(self.layer(n, n), nn.Tanh())
        if kind == 'wide':
            return self.inner(n, depth)
        if kind == 'mixed':
            return Mixed(self.name('mixed'), a=deeper(), b=nn.Identity(), c=deeper())
        if kind == 'depth':
            return Depth(self.name('depth'), [Around(deeper()) for _ in range(3)], (0, 1, 3))
        if kind == 'gate':
            return Around(Gate(self.name('gate'), deeper()))
        if kind == 'parts':
            name = self.name('parts')
            return nn.Sequential(
                Gate(name, self.layer(n, 6), out=3),
                nn.Tanh(),
                Gate(name, self.norm(6), out=3),
                Gate(name, self.layer(6, n), in_=3),
            )
        return nn.Sequential(deeper(), deeper())


def made(seed):
    "(space, its supernet in float64, an input): one of the 50 random modules"
    maker = Maker(seed, conv=seed % 2 == 1)

    def build():
        torch.manual_seed(seed)
        maker.__init__(seed, maker.conv)
        return nn.Sequential(maker.block(5), maker.block(5), maker.layer(5, 3))

    space = space_of(build, name=f'random{seed}')
    torch.manual_seed(seed)
    x = torch.randn(6, 5, *([7] if maker.conv else []), dtype=torch.float64)
    return space, space.plan.supernet(space).double(), x


def words(space, seed):
    "A random option of each choice; of three parts one is on"
    pick, out = random.Random(seed), []
    for c in space['net'].choices:
        out.append(('on' if c.place.endswith('.1') else None) or pick.choice(c.options))
    return tuple(out)


def corner(space, chosen):
    group = space['net']
    out = torch.zeros(group.E, group.O, dtype=torch.float64)
    for e, (choice, word) in enumerate(zip(group.choices, chosen)):
        out[e, choice.options.index(word)] = 1
    return out


def genotype(space, chosen):
    return from_ops(space, list(chosen))


def distance(a, b):
    return max(
        [(p - q).abs().max().item() for p, q in zip(a, b, strict=True) if p.numel()], default=0.0
    )


@pytest.mark.parametrize('seed', range(50))
def test_corner_is_the_plain_network(seed):
    "Values, both gradients and what batch norms remember, for a random module at a random corner."
    space, net, x = made(seed)
    chosen = words(space, seed)
    g, theta = genotype(space, chosen), corner(space, chosen)
    plain = extract(net, g)
    assert not any('dnas_nb' in type(m).__module__ for m in plain.modules())
    a, b = x.clone().requires_grad_(), x.clone().requires_grad_()
    ya, yb = net(a, {'net': theta}), plain(b)
    assert distance([ya], [yb]) < 1e-12
    ya.square().sum().backward()
    yb.square().sum().backward()
    assert distance([a.grad], [b.grad]) < 1e-12
    for p in [*net.parameters(), *plain.parameters()]:  # one step: the gradients of all weights
        if p.grad is not None:
            p.data -= 0.1 * p.grad
    after = extract(net, g)
    assert [n for n, _ in after.named_parameters()] == [n for n, _ in plain.named_parameters()]
    assert distance(after.parameters(), plain.parameters()) < 1e-12
    floats = lambda m: [v for v in m.buffers() if v.is_floating_point()]
    assert distance(floats(after), floats(plain)) < 1e-12


@pytest.mark.parametrize('seed', range(10))
def test_stripped_is_the_same_without_the_dead(seed):
    "Pruning at random: same outputs, fewer parameters or as many, and every genotype that is left is extracted the same."
    space, net, x = made(seed)
    net.eval()
    group, pick = space['net'], random.Random(seed)
    live = torch.zeros(group.E, group.O, dtype=torch.bool)
    for e, choice in enumerate(group.choices):
        for o in pick.sample(range(len(choice.options)), pick.randint(1, len(choice.options))):
            live[e, o] = True
    theta = torch.rand(group.E, group.O, dtype=torch.float64) * live
    theta = theta / theta.sum(1, keepdim=True)
    chosen = tuple(c.options[row.nonzero()[0]] for c, row in zip(group.choices, live))
    before, old = net(x, {'net': theta}), {n: p.detach().clone() for n, p in net.named_parameters()}
    alone = extract(net, genotype(space, chosen))(x)
    cut = net.strip({'net': live})
    new = dict(net.named_parameters())
    assert distance([before], [net(x, {'net': theta})]) < 1e-12
    assert distance([alone], [extract(net, genotype(space, chosen)).eval()(x)]) < 1e-12
    for name, p in new.items():
        kept = old[name]
        for axis, at in enumerate(cut.get(name, ())):
            kept = kept[(slice(None),) * axis + (at,)]
        assert torch.equal(kept, p), name
    needed = {
        n
        for n, p in zip(
            new,
            torch.autograd.grad(
                net(x, {'net': theta}).square().sum(), new.values(), allow_unused=True
            ),
        )
        if p is not None
    }
    assert len(needed) >= 0.9 * len(new)  # a batch norm behind a constant may have no gradient


def test_mixture_is_the_sum_of_padded_outputs():
    "The definition of Wide, for every kind of layer: theta-weighted outputs of the plain layers, padded with zeros."
    torch.manual_seed(0)
    layers = [
        (nn.Linear(5, 8), dict(out=SIZES), (3, 5)),
        (nn.Conv2d(5, 8, 3, padding=1), dict(out=SIZES), (3, 5, 4, 4)),
        (nn.BatchNorm2d(8), dict(out=SIZES), (3, 8, 4, 4)),
        (nn.BatchNorm1d(8, affine=False), dict(out=SIZES), (3, 8)),
        (nn.LayerNorm(8), dict(out=SIZES), (3, 8)),
        (nn.Conv1d(8, 8, 3, padding=1, groups=8), dict(out=SIZES), (3, 8, 5)),
        (nn.Linear(8, 8), dict(out=SIZES, in_=SIZES), (3, 8)),
        (nn.Conv2d(5, 3, 5, padding=2), dict(kernel=(1, 3, 5)), (3, 5, 6, 6)),
        (nn.Conv1d(8, 3, 1), dict(in_=SIZES), (3, 8, 5)),
    ]
    theta = torch.tensor([[0.2, 0.5, 0.3]], dtype=torch.float64)
    for layer, sides, shape in layers:
        space = space_of(Wide('d', layer, **sides))
        net = space.plan.supernet(space).double()
        net.rehearsed = True
        x = torch.randn(shape, dtype=torch.float64)
        want = 0
        for o, word in enumerate(space['net'].choices[0].options):
            plain = extract(net, genotype(space, (word,)))
            axis = -1 if isinstance(layer, (nn.Linear, nn.LayerNorm)) else 1
            narrow = (
                'in_' in sides
                or isinstance(layer, (nn.BatchNorm1d, nn.BatchNorm2d, nn.LayerNorm))
                or getattr(layer, 'groups', 1) > 1
            )
            y = plain(x.narrow(axis, 0, int(word)) if narrow else x)
            full = torch.zeros(net(x).shape, dtype=torch.float64)
            full.narrow(axis, 0, y.shape[axis]).copy_(y)
            want = want + theta[0, o] * full
        assert distance([net(x, {'net': theta})], [want]) < 1e-12, layer


def test_embedding_and_tied_weights():
    "An embedding whose weights are those of the last layer: narrow together, still tied in the plain network."

    class Tied(nn.Module):
        def __init__(self):
            super().__init__()
            self.words, last = nn.Embedding(11, 8), nn.Linear(8, 11)
            last.weight = self.words.weight
            self.words, self.last = Wide('d', self.words), Wide('d', last, in_=SIZES)

        def forward(self, x):
            return self.last(self.words(x))

    space = space_of(Tied)
    net, x = space.plan.supernet(space), torch.arange(11)
    plain = extract(net, genotype(space, ('6',)))
    assert plain.words.weight is plain.last.weight and plain.words.embedding_dim == 6
    assert distance([plain(x)], [net(x, {'net': corner(space, ('6',)).float()})]) < 1e-6


def refused(build, x=None):
    "The message of the UserError for a module"
    with pytest.raises(UserError) as e:
        space = space_of(build)
        space.plan.supernet(space)(x)
    assert '\n' not in str(e.value)
    return str(e.value)


def test_bad_modules_are_named():
    two = lambda a, b: nn.ModuleDict(dict(one=a, two=b))
    linear = nn.Linear(4, 8)
    said = refused(lambda: two(Wide('d', linear, out=(4, 8)), Wide('d', linear, out=(2, 8))))
    assert "'d'" in said and 'one' in said and 'two' in said and '4 8' in said and '2 8' in said
    assert 'no choices' in refused(lambda: linear)
    assert 'without arguments' in refused(nn.Linear)
    assert 'not 3' in refused(lambda: 3) and 'not 3' in refused(3)
    assert 'one' in refused(lambda: two(Wide('d', nn.LayerNorm(8)), Mixed('m', a=linear)))
    assert 'Bilinear' in refused(lambda: Wide('d', nn.Bilinear(4, 4, 4), out=(2, 4)))
    assert 'groups' not in refused(lambda: Wide('d', nn.Conv2d(8, 8, 3, groups=2), out=(2, 4)))
    assert 'one word' in refused(lambda: Wide('a b', linear, out=(4, 8)))
    assert 'grow' in refused(lambda: Wide('d', linear, out=(8, 4)))
    assert 'odd' in refused(lambda: Wide('d', nn.Conv2d(3, 3, 4), kernel=(2, 4)))
    assert 'change its size' in refused(lambda: Wide('d', nn.Conv2d(3, 3, 5), kernel=(3, 5)))
    assert 'option' in refused(lambda: Mixed('m', a=3)) and 'options' in refused(lambda: Mixed('m'))


def test_bad_passes_are_named():
    "What only a first batch can show."

    class Idle(nn.Module):
        def __init__(self):
            super().__init__()
            self.used, self.spare = Mixed('used', a=nn.Linear(4, 4), b=nn.Identity()), Mixed(
                'spare', a=nn.Linear(4, 4)
            )

        def forward(self, x):
            return self.used(x)

    x = torch.randn(2, 4)
    assert "'spare' is never run" in refused(Idle, x)
    said = refused(lambda: Mixed('m', narrow=nn.Linear(4, 3), broad=nn.Linear(4, 5)), x)
    assert "'narrow'" in said and "'broad'" in said and '(2, 3)' in said and '(2, 5)' in said
    assert "'d': with 2" in refused(
        lambda: nn.Sequential(Wide('d', nn.Linear(4, 8), out=(2, 8)), nn.Linear(8, 3)), x
    )
    said = refused(
        lambda: nn.Sequential(nn.Linear(4, 8), Wide('d', nn.Linear(8, 3), in_=(2, 8))), x
    )
    assert "'d'" in said and 'same choice' in said


def test_module_of_the_user_is_left_alone():
    "space_of copies a module: its weights are those of the pretrained one, and never change it."
    pretrained = nn.Sequential(nn.Linear(4, 8), nn.Tanh(), nn.Linear(8, 2))
    pretrained[0] = Wide('mlp', pretrained[0], out=(4, 8))
    pretrained[2] = Wide('mlp', pretrained[2], in_=(4, 8))
    before = copy.deepcopy(pretrained.state_dict())
    space = space_of(pretrained)
    state = torch.random.get_rng_state()
    plain = space.plan.network(space, genotype(space, ('4',)))
    plain[0].weight.data.zero_()
    assert torch.equal(plain[2].weight, before['2.layer.weight'][:, :4])
    assert all(torch.equal(v, before[k]) for k, v in pretrained.state_dict().items())
    space_of(lambda: Wide('mlp', nn.Linear(4, 8), out=(4, 8)))
    assert torch.equal(state, torch.random.get_rng_state())


def test_dead_options_do_not_run():
    calls = []

    class Loud(nn.Linear):
        def forward(self, x):
            calls.append(tuple(self.weight.shape))
            return super().forward(x)

    build = lambda: nn.Sequential(
        Mixed('m', a=Loud(4, 4), b=nn.Identity()),
        Wide('d', Loud(4, 8), out=(2, 4, 8)),
        Wide('d', Loud(8, 1), in_=(2, 4, 8)),
    )
    space = space_of(build)
    net, x = space.plan.supernet(space), torch.randn(2, 4)
    net(x)
    calls.clear()
    net(x, {'net': torch.tensor([[0.0, 1.0, 0.0], [0.5, 0.5, 0.0]])})
    assert calls == [(4, 4), (1, 4)]
    calls.clear()
    net(
        x,
        {'net': torch.full((2, 3), 1 / 3)},
        {'net': torch.tensor([[True, False, False], [True, False, False]])},
    )
    assert calls == [(4, 4), (2, 4), (1, 2)]


def test_strip_is_pruning_without_the_dead():
    "The stage of a search: momentum goes on as if nothing had been taken away, and what is dead is no longer stored."
    from dnas_nb.bilevel import Plan, start
    from dnas_nb.methods import METHODS
    from dnas_nb.prune import set_live, strip

    sizes = 2, 4, 8
    build = lambda: nn.Sequential(
        Wide('d', nn.Linear(4, 8), out=sizes),
        Mixed('m', a=nn.Tanh(), b=nn.Sequential(nn.Tanh())),
        Gate('g', nn.Sequential(Wide('d', nn.Linear(8, 8), out=sizes, in_=sizes))),
        Wide('d', nn.Linear(8, 1), in_=sizes),
    )
    space = space_of(build, 'stripped')
    x, y, ends = torch.randn(6, 4), torch.randn(6, 1), []
    for stripped in (False, True):
        torch.manual_seed(0)
        state = start(space.supernet(), METHODS['darts'], Plan())
        theta = torch.tensor([[0.2, 0.3, 0.5], [0.5, 0.5, 0], [0.5, 0.5, 0]])
        for step in range(4):
            loss = F.mse_loss(state.net(x, {'net': theta}, state.live), y)
            state.w_opt.zero_grad(set_to_none=False)
            loss.backward()
            state.w_opt.step()
            if step == 1:
                theta = torch.tensor([[0.4, 0.6, 0], [1.0, 0, 0], [0.5, 0.5, 0]])
                set_live(state, {'net': theta > 0})
                if stripped:
                    strip(state)
                    assert state.net.module[0].layer.weight.shape == (4, 4) and state.net.module[
                        3
                    ].layer.weight.shape == (1, 4)
                    held = sum(v['momentum_buffer'].numel() for v in state.w_opt.state.values())
                    assert (
                        held
                        == sum(p.numel() for p in state.net.parameters())
                        < sum(p.numel() for p in build().parameters())
                    )
        ends.append(state.net(x, {'net': theta}, state.live))
    assert distance(ends[:1], ends[1:]) < 1e-6


@pytest.mark.parametrize('seed', range(12))
def test_prices_are_those_of_plain_networks(seed):
    "Parameters and multiply-adds of random nested modules at random corners; between corners, the mean of drawn ones."
    from dnas_nb.budgets import macs, price
    from dnas_nb.genotype import one_hot
    from dnas_nb.supernet import n_weights

    space, net, x = made(seed)
    params, work = price(space), price(space, 'macs', x.float())
    for k in range(5):
        g = genotype(space, words(space, k))
        plain = extract(net, g)
        assert params.of(g) == n_weights(plain)
        assert work.of(g) == pytest.approx(macs(plain, x), rel=1e-12)
    assert float(params({'net': corner(space, words(space, 0))})) == params.of(
        genotype(space, words(space, 0))
    )


@pytest.mark.parametrize('seed', range(12))
def test_within_is_the_best_that_keeps_the_limits(seed):
    "Against all architectures of a module, one and two limits, at random weights with dead options."
    from types import SimpleNamespace
    from dnas_nb.budgets import price, within
    from dnas_nb.genotype import all_archs, one_hot

    sizes, pick = (2, 5, 8), random.Random(seed)

    class Net(nn.Module):
        def __init__(self):
            super().__init__()
            inner = lambda k: nn.Sequential(
                Wide(f'w{k}', Wide('d', nn.Linear(8, 8), in_=sizes), out=sizes),
                nn.ReLU(),
                Wide('d', Wide(f'w{k}', nn.Linear(8, 8), in_=sizes), out=sizes),
            )
            self.first, self.deep = Wide('d', nn.Linear(3, 8), out=sizes), Depth(
                'deep', [Around(inner(k)) for k in range(2)], (0, 1, 2)
            )
            self.last = Wide('d', nn.Linear(8, 2), in_=sizes)

        def forward(self, x):
            return self.last(self.deep(self.first(x)))

    space = space_of(Net)
    group, x = space['net'], torch.randn(2, 3)
    torch.manual_seed(seed)
    mean = torch.rand(group.E, group.O).pow(3) * (
        torch.rand(group.E, group.O) > 0.2
    ) + 1e-6 * torch.eye(group.E, group.O)
    dists = {'net': SimpleNamespace(mean=mean)}
    params, work = price(space), price(space, 'macs', x)
    found = []
    for g in all_archs(space):
        chosen = one_hot(g, space)['net'].bool()
        found.append((mean[chosen].double().log().sum().item(), params.of(g), work.of(g), str(g)))
    for limit, most in [
        (pick.choice(found)[1], None),
        (None, pick.choice(found)[2]),
        (pick.choice(found)[1], pick.choice(found)[2]),
    ]:
        rule = within(space, params=limit, macs=most, x=x)
        fits = [
            f
            for f in found
            if (limit is None or f[1] <= limit) and (most is None or f[2] <= most) and f[0] > -1e300
        ]
        if not fits:
            with pytest.raises(UserError, match='within: no architecture'):
                rule(dists, space)
            continue
        g = rule(dists, space)
        chosen = one_hot(g, space)['net'].bool()
        assert (limit is None or params.of(g) <= limit) and (most is None or work.of(g) <= most)
        assert mean[chosen].double().log().sum().item() == pytest.approx(max(fits)[0], abs=1e-9)


def test_within_in_cells_that_keep_inputs():
    "DARTS cells: without a limit it is the usual choice, with one it keeps it."
    from types import SimpleNamespace
    from dnas_nb.budgets import price, within
    from dnas_nb.genotype import keep_best
    from dnas_nb.space import darts
    from dnas_nb.supernet import Spec

    space, spec = darts(), Spec(C=4, n=3)
    torch.manual_seed(0)
    means = {c.name: torch.rand(c.E, c.O).softmax(-1) for c in space.cells}
    dists = {name: SimpleNamespace(mean=mean) for name, mean in means.items()}
    cost, free = price(space, spec=spec), keep_best(means, space)
    loose = within(space, params=1e12, spec=spec)
    assert loose(dists, space) == free
    limit = 0.9 * cost.of(free)
    assert cost.of(within(space, params=limit, spec=spec)(dists, space)) <= limit


def test_bad_limits_are_named():
    from types import SimpleNamespace
    from dnas_nb.budgets import price, within

    space = space_of(lambda: Wide('d', nn.Linear(4, 8), out=(2, 8)), 'small')
    for ask, text in [
        (lambda: within(space), 'give a limit'),
        (lambda: within(space, params=-1), 'above 0'),
        (lambda: within(space, macs=10), 'give a batch'),
        (lambda: price(space, 'joules', torch.randn(1, 4)), 'joules'),
        (
            lambda: within(space, params=3)(
                {'net': SimpleNamespace(mean=torch.tensor([[0.5, 0.5]]))}, space
            ),
            'the cheapest has 10',
        ),
    ]:
        with pytest.raises(UserError, match=text):
            ask()


def test_attention_of_pytorch():
    "nn.MultiheadAttention and a whole encoder layer: whole heads, identity at every size, prices; half a head is named."
    from dnas_nb.budgets import macs, price
    from dnas_nb.supernet import n_weights

    sizes = 4, 8, 12

    class Encoder(nn.Module):
        def __init__(self):
            super().__init__()
            self.widen, self.layer, self.last = (
                Wide('d', nn.Linear(3, 12), out=sizes),
                nn.TransformerEncoderLayer(12, 3, 20, dropout=0, batch_first=True),
                Wide('d', nn.Linear(12, 2), in_=sizes),
            )
            layer = self.layer
            layer.self_attn = Wide('d', layer.self_attn, out=sizes)
            layer.linear1, layer.linear2 = Wide('d', layer.linear1, in_=sizes), Wide(
                'd', layer.linear2, out=sizes
            )
            layer.norm1, layer.norm2 = Wide('d', layer.norm1), Wide('d', layer.norm2)

        def forward(self, x):
            return self.last(self.layer(self.widen(x)))

    space = space_of(Encoder)
    net, x = space.supernet().double(), torch.randn(2, 5, 3, dtype=torch.float64)
    params, work = price(space), price(space, 'macs', x.float())
    for mode in (True, False):
        for word in ('4', '8', '12'):
            g, theta = genotype(space, (word,)), corner(space, (word,))
            plain = extract(net, g).train(mode)
            net.train(mode)
            assert distance([plain(x)], [net(x, {'net': theta})]) < 1e-12
            with torch.no_grad():
                assert distance([plain(x)], [net(x, {'net': theta})]) < 1e-12
            assert plain.layer.self_attn.num_heads == int(word) // 4
            assert params.of(g) == n_weights(plain) and work.of(g) == pytest.approx(
                macs(plain, x), rel=1e-12
            )
    assert 'heads of 4' in refused(lambda: Wide('d', nn.MultiheadAttention(12, 3), out=(6, 12)))


def test_search_within_a_limit(tmp_path):
    "What a whole search finds keeps its limit, and so does the network."
    from dnas_nb.budgets import price, with_limit, within
    from dnas_nb.methods import METHODS
    from dnas_nb.running.experiment import run
    from dnas_nb.supernet import n_weights

    build = lambda: nn.Sequential(
        nn.Flatten(),
        Wide('d', nn.Linear(64, 16), out=(4, 8, 16)),
        Mixed('act', relu=nn.ReLU(), tanh=nn.Tanh()),
        Wide('d', nn.Linear(16, 10), in_=(4, 8, 16)),
    )
    space = space_of(build, 'limited')
    method = with_limit(METHODS['darts'], within(space, params=700))
    found = run(
        out=tmp_path / 'x',
        method=method,
        space=space,
        data='digits',
        images=64,
        size=8,
        batch=16,
        epochs=2,
        device='cpu',
        tell=lambda line: None,
        report=False,
    )
    assert n_weights(found.network) == price(space).of(found.genotype) <= 700
