"Rows of the method table against what the papers' released code computes; each test is an identity, no accuracy is asserted."

import ast
from copy import deepcopy
from dataclasses import replace
from types import SimpleNamespace
import pandas as pd, pytest, torch
import torch.nn.functional as F
from dnas_nb.bench.tables import accuracies
from dnas_nb.bilevel import Calendar, Plan, Step, dists, Loss, search, start
from dnas_nb.core import UserError, generator, seeded
from dnas_nb.derive import Judge
from dnas_nb.sources import from_tensors
from dnas_nb.distribution import init_alpha, relax_softmax
from dnas_nb.running.experiment import cost_line, prepare, run, settings
from dnas_nb.running.referee import tuner
from dnas_nb.fast import fast
from dnas_nb.dialects import parse
from dnas_nb.genotype import to_ops
from dnas_nb.hypergrad import Point, first_order, second_order
from dnas_nb.methods import METHODS, aligned
from dnas_nb.regularizer import alignment
from dnas_nb.schedule import ramp
from dnas_nb.trees import cosine_of
from dnas_nb.zeroorder import mgs_weights
from dnas_nb.released import RELEASED, row_of
from dnas_nb.space import darts, nb201, toy
from dnas_nb.supernet import CellNet, SuperNet, Theta, batch_stats


def small(space, seed=0, C=4, n=3):
    "A supernet in float64, and noise for it: (net, training batch, validation batch)"
    two, g = space.cells[0].n_in > 1, generator('rows', seed)
    with seeded(seed):
        net = batch_stats(SuperNet(space, C=C, n=n if two else 1, classes=5)).double()
    return net, *(
        (torch.randn(6, 3, 8, 8, dtype=torch.float64, generator=g), torch.arange(6) % 5)
        for _ in range(2)
    )


def logits(method, space, seed=0, scale=0.5):
    "phi of a method, spread out, in float64"
    g = generator('logits', seed)
    drawn = {c.name: {k: v.double() for k, v in method.init(c, g).items()} for c in space.cells}
    return {
        c: {
            k: (v + scale * torch.randn(v.shape, generator=g, dtype=v.dtype)).requires_grad_()
            for k, v in p.items()
        }
        for c, p in drawn.items()
    }


class BareGates(CellNet):
    "GDAS' released cell: an edge is its sampled operation plus the bare gates of the others"

    def forward(self, x, w, live=None, scale=None, gates=None):
        nodes = dict(enumerate(x if isinstance(x, tuple) else (x,)))
        for j in range(self.cell.n_in, self.cell.n_nodes):
            nodes[j] = self.zeros(nodes[0], j)
        for e, (i, j) in enumerate(self.cell.edges):
            s, ops = int(w[e].argmax()), self.edges[e]
            run = ops[ops.columns[s]](nodes[i]) if ops.columns[s] in ops else 0.0
            nodes[j] = nodes[j] + w[e][s] * run + sum(w[e][k] for k in range(len(w[e])) if k != s)
        last = self.cell.n_nodes - 1
        return (
            nodes[last]
            if self.cell.output == 'last'
            else torch.cat([nodes[j] for j in range(self.cell.n_in, last + 1)], 1)
        )


@pytest.mark.parametrize('space', [nb201, toy, darts], ids=lambda f: f.__name__)
@pytest.mark.parametrize('order', [first_order, second_order], ids=lambda f: f.__name__)
def test_gdas_gradient_is_that_of_the_released_cell(space, order):
    "Skipped operations pass the gradient of their gates, in the plain and in the fast supernet"
    sp, gdas = space(), METHODS['gdas']
    plain, train, valid = small(sp)
    released = deepcopy(plain)
    for m in released.modules():
        if type(m) is CellNet:
            m.__class__ = BareGates
    for seed in range(4):
        phi, got = logits(gdas, sp, seed), []
        for net in (released, plain, fast(deepcopy(plain))):
            loss = Loss(net, gdas.relax, {c.name: c.live for c in sp.cells}, 0.4, ('gates', seed))
            w = {n: p.detach() for n, p in net.named_parameters()}
            got.append(order(Point(loss, w, phi, train, valid, 0.1)))
        for g in got[1:]:
            for c in phi:
                torch.testing.assert_close(g[c]['alpha'], got[0][c]['alpha'], rtol=1e-8, atol=1e-10)
            if got[0][sp.cells[0].name]['alpha'].any():
                assert cosine_of(g, got[0]) > 1 - 1e-12


# ---- rows whose settings differed from the released code


@pytest.fixture(scope='module')
def noise():
    "Images that teach nothing: 24 a step, three classes"
    return from_tensors(torch.randn(144, 1, 8, 8, generator=generator(0)), torch.arange(144) % 3)


def searched(method, noise, epochs, space=None, batch=24, seed=0):
    "Logits of the first cell and the rate of the weights before the search and after every epoch"
    space = space or toy()
    space = method.adapt(space)
    with seeded(seed):
        net = batch_stats(
            SuperNet(
                space,
                C=4,
                n=4 if space.cells[0].n_in > 1 else 1,
                classes=3,
                in_ch=1,
                partial=method.partial,
            )
        )
    plan = Plan(epochs, batch, lr=0.05, arch_lr=0.02, seed=seed)
    state = start(net, method, plan)
    seen = [(state.phi[space.cells[0].name]['alpha'].detach().clone(), None)]
    for state in search(state, method, noise, plan):
        seen.append(
            (
                state.phi[space.cells[0].name]['alpha'].detach().clone(),
                state.w_opt.param_groups[0]['lr'],
            )
        )
    return state, seen


def rested(seen):
    return [e for e in range(len(seen) - 1) if torch.equal(seen[e][0], seen[e + 1][0])]


@pytest.mark.parametrize(
    'name, epochs, waits',
    [
        ('pc-darts', 10, [0, 1, 2]),  # 15 of 50
        ('drnas-progressive', 10, [0, 5]),  # 10 of 50 in each of two parts
        ('p-darts', 15, [0, 1, 5, 6, 10, 11]),  # 10 of 25 in each of three
        ('darts', 3, []),
    ],
)
def test_logits_rest_while_only_weights_learn(name, epochs, waits, noise):
    row = replace(METHODS[name], stages=())  # the waits alone, without what a part changes
    assert rested(searched(row, noise, epochs)[1]) == waits


def test_each_part_of_pdarts_has_a_cosine_of_its_own(noise):
    row = replace(METHODS['p-darts'], stages=())
    rates = [rate for _, rate in searched(row, noise, 9)[1][1:]]
    assert (
        rates[:3] == rates[3:6] == rates[6:] and rates[0] == 0.05 and rates[2] < rates[1] < rates[0]
    )


def test_pdarts_caps_skips_of_the_normal_cell_only():
    space = darts()
    skips = {
        c.name: torch.stack(
            [5.0 * F.one_hot(torch.tensor(ops.index('skip_connect')), c.O) for ops in c.ops]
        ).softmax(-1)
        for c in space.cells
    }
    g = METHODS['p-darts'].derive({c: Fixed(t) for c, t in skips.items()}, space, None, 0)
    count = {c: sum(op == 'skip_connect' for _, _, op in edges) for c, edges in g.cells}
    assert count['normal'] == 2 and count['reduce'] == 8


class Fixed:
    "Mixing weights as they are"

    edges = None

    def __init__(self, t):
        self.mean = self.alpha = t

    def rsample(self, s=()):
        return self.mean.expand(*s, *self.mean.shape)


@pytest.mark.parametrize('space', [nb201, toy, darts], ids=lambda f: f.__name__)
def test_sgas_decides_every_edge_and_no_node_has_three_inputs(space):
    sp, row = space(), METHODS['sgas']
    phi = logits(replace(row, init=init_alpha), sp, scale=1.0)
    state = SimpleNamespace(
        net=SimpleNamespace(space=sp),
        phi=phi,
        a_opt=None,
        epoch=0,
        live={c.name: c.live.clone() for c in sp.cells},
    )
    for epoch in range(20):
        state.epoch = epoch + 1
        row.stages[0](state, row, state.epoch / 20)  # the masks alone: there is no network to strip
    for c in sp.cells:
        live = state.live[c.name]
        assert (live.sum(-1) == 1).all()
        used = [e for e in range(c.E) if c.ops[e][int(live[e].float().argmax())] != 'none']
        for j, k in zip(range(c.n_in, c.n_nodes), c.keep or ()):
            assert sum(c.edges[e][1] == j for e in used) == k


def test_fairdarts_starts_at_zero_with_the_squared_loss_and_its_adam():
    row, cell = METHODS['fairdarts'], darts().cells[0]
    phi = row.init(cell, generator(0))
    assert not phi['alpha'].any()
    a = torch.randn(phi['alpha'].shape, generator=generator(1), dtype=torch.float64)
    value = sum(f(row.relax({'alpha': a}, 0.0, None), 0.0) for f in row.penalties)
    torch.testing.assert_close(value, -10 * F.mse_loss(a.sigmoid(), torch.full_like(a, 0.5)))
    ours, theirs = ({'cell': {'alpha': torch.zeros(3, requires_grad=True)}} for _ in range(2))
    opts = row.arch_opt(ours, 3e-3), torch.optim.Adam(
        [theirs['cell']['alpha']], 3e-3, (0.9, 0.999), weight_decay=1e-3
    )
    for g in torch.randn(4, 3, generator=generator(2)):
        for p, opt in zip((ours, theirs), opts):
            p['cell']['alpha'].grad = g.clone()
            opt.step()
    assert torch.equal(ours['cell']['alpha'], theirs['cell']['alpha'])


def test_fairdarts_drops_edges_below_its_threshold():
    space = nb201()
    weak = torch.full((6, 5), 0.1)
    weak[:, 3] = torch.tensor([0.84, 0.86, 0.2, 0.9, 0.849, 0.851])
    found = to_ops(METHODS['fairdarts'].derive({'cell': Fixed(weak)}, space, None, 0), space)[
        'cell'
    ]
    op = space.cells[0].ops[0][3]
    assert found == ['none', op, 'none', op, 'none', op]


def test_setn_evaluates_cells_that_were_drawn():
    D, seen = {'cell': relax_softmax({'alpha': torch.zeros(6, 5)})}, []
    METHODS['setn'].derive(D, nb201(), Judge(shared=lambda g: seen.append(g) or 0.0), 0)
    assert 90 < len(set(seen)) <= 100  # of 15,625: a few may come twice


def test_zarts_trains_ahead_on_ten_batches(noise):
    given = []

    def spy(p):
        given.append(p.inner)
        return {c: {k: torch.zeros_like(v) for k, v in phi.items()} for c, phi in p.phi.items()}

    row = METHODS['zarts-mgs']
    searched(
        replace(row, grad=spy, calendar=Calendar()), noise, 1, batch=4
    )  # 18 steps: moves in the first and the eleventh
    assert [len(batches) for batches in given] == [10, 10]
    first = [x for x, _ in given[0]]
    assert all(not torch.equal(x, y) for k, x in enumerate(first) for y in first[:k])
    assert row.every == 10 and row.grad.__kwdefaults__ is None


def test_mgs_weights_stay_bounded_far_from_the_proposal():
    "Where the density vanishes, the floor decides and not the distance"
    change = torch.zeros(3)
    far = mgs_weights(change, torch.tensor([0.0, -80.0, -800.0]), 0.01, 1e-4)
    torch.testing.assert_close(far[1], far[2])
    assert far[0] > 0 and far[1] / far[0] == pytest.approx((1 + 1e-4) / 1e-4, rel=1e-5)


@pytest.mark.parametrize('space', [nb201, darts], ids=lambda f: f.__name__)
def test_lambda_darts_pushes_by_the_mixing_weights_of_normal_cells(space):
    "The row's push is minus the gradient of the mean cosine, by double backward; plain and fast"
    sp, row = space(), METHODS['lambda-darts']
    plain, train, _ = small(sp, n=4)
    phi = logits(row, sp, scale=1.0)
    live = {c.name: c.live for c in sp.cells}
    theta = {c: p['alpha'].detach().softmax(-1) for c, p in phi.items()}
    which = {k: n for k, n in enumerate(plain.names) if n in theta and n != 'reduce'}
    copies = {k: theta[n].clone().requires_grad_() for k, n in which.items()}
    w = dict(plain.named_parameters())
    loss = Loss(plain, row.relax, live, 1.0, ('push',))
    G = torch.autograd.grad(
        loss.at(None, Theta(theta, blocks=copies), train), list(copies.values()), create_graph=True
    )
    exact = torch.autograd.grad(
        alignment(torch.stack([g.flatten() for g in G])), list(w.values()), allow_unused=True
    )
    exact = {
        n: torch.zeros_like(p) if g is None else -0.125 * g for (n, p), g in zip(w.items(), exact)
    }
    for net in (plain, fast(deepcopy(plain))):
        state = SimpleNamespace(net=net, phi=phi, live=live)
        push = aligned(ramp(0.0, 0.125), eps=1e-7)  # no kink of so few pixels lies so near
        step = Step(train, train, progress=1.0)
        got = push(Loss(net, row.relax, live, 1.0, ('push',)), state, step)
        assert cosine_of(got, exact) > 1 - 1e-6
        for n in exact:
            torch.testing.assert_close(got[n], exact[n], rtol=1e-3, atol=1e-6)


@pytest.mark.parametrize('name', ['sdarts-rs', 'sdarts-adv'])
def test_perturbed_weights_are_shares_of_one(name):
    theta = {'cell': torch.randn(6, 5, generator=generator(name)).mul(2).softmax(-1)}
    down = torch.randn(6, 5, generator=generator(1))
    with seeded(name):
        moved = METHODS[name].perturb(theta, lambda t: (t['cell'] * down).sum(), 1.0)['cell']
    assert (moved >= 0).all() and not torch.equal(moved, theta['cell'])
    torch.testing.assert_close(moved.sum(-1), torch.ones(6))


def test_adversarial_starts_somewhere_in_the_box():
    "Where the loss is flat nothing but the start can move the weights"
    theta = {'cell': torch.full((6, 5), 0.2)}
    with seeded('flat'):
        moved = METHODS['sdarts-adv'].perturb(theta, lambda t: 0.0 * t['cell'].sum(), 1.0)['cell']
    assert (moved - 0.2).abs().max() > 0.01


def test_dsnas_pays_the_whole_cost_of_an_edge():
    "Its estimate is linear in the loss; a clamp would not be"
    sp, row = toy(), METHODS['dsnas']
    net, train, valid = small(sp)
    phi, w = logits(row, sp), {n: p.detach() for n, p in net.named_parameters()}

    def estimate(times):
        class Scaled(Loss):
            def at(self, *given):
                return times * super().at(*given)

        loss = Scaled(net, row.relax, {'cell': sp.cells[0].live}, 0.5, ('cost',))
        return row.grad(Point(loss, w, phi, train, valid, 0.1))['cell']['alpha']

    torch.testing.assert_close(estimate(1e4), 1e4 * estimate(1.0), rtol=1e-9, atol=1e-12)


def test_darts_pt_trains_the_logits_that_are_open(noise):
    row, sp = METHODS['darts-pt'], toy()
    state, _ = searched(row, noise, 1)
    theta = {c: d.mean for c, d in dists(state, row).items()}
    before, decided = state.phi['cell']['alpha'].detach().clone(), {
        'cell': torch.tensor([True, False, False])
    }
    theta['cell'][0] = torch.tensor([0.0, 1.0, 0.0])
    after = tuner(state, row, noise, 24, 0.05)(theta, decided, steps=4)
    assert torch.equal(after['cell'][0], theta['cell'][0])
    assert (after['cell'][1:] - theta['cell'][1:]).abs().min() > 1e-6
    assert torch.equal(before, state.phi['cell']['alpha'])  # the search's own logits stay


def test_darts_minus_adds_to_skips_in_the_space_of_darts():
    cell, row = darts().cells[0], METHODS['darts-minus']
    phi = row.init(cell, generator(0))
    extra = row.relax(phi, 0.0, None).rsample() - row.relax(phi, 0.0, None).mean
    assert extra.argmax(-1).tolist() == [ops.index('skip_connect') for ops in cell.ops]
    torch.testing.assert_close(extra.sum(-1), torch.ones(cell.E))


CHANGED = [
    'gdas',
    'fairdarts',
    'setn',
    'dsnas',
    'zarts-mgs',
    'sdarts-rs',
    'sdarts-adv',
    'darts-minus',
    'lambda-darts',
    'pc-darts',
    'drnas-progressive',
    'p-darts',
    'sgas',
]


@pytest.mark.parametrize('name', CHANGED)
def test_row_runs_in_the_space_of_darts(name, noise):
    row, sp = METHODS[name], darts()
    state, _ = searched(replace(row, every=1, inner=min(row.inner, 1)), noise, 1, sp, batch=49)
    row.derive(dists(state, row), sp, Judge(shared=lambda g: 0.0), 0)


# ---- settings of the papers


def test_every_row_has_released_settings_or_says_why_not():
    for name, row in METHODS.items():
        for space in [s for s in RELEASED if name in RELEASED[s]]:
            s = settings(method=name, space=space, preset='paper')
            record = RELEASED[space][name]
            assert (s.epochs, s.batch, s.lr, s.lr_min, s.wd) == (
                record.epochs,
                record.batch,
                record.lr,
                record.lr_min,
                record.wd,
            )
            assert row_of(name, 'paper', space).name == name
        if not any(name in rows for rows in RELEASED.values()):
            with pytest.raises(UserError, match='no released settings') as e:
                settings(method=name, preset='paper')
            assert '\n' not in str(e.value)


def test_paper_preset_reaches_the_optimisers_and_the_slots(noise):
    s = settings(method='darts', preset='paper', channels=4, cells=1, batch=8)
    group = prepare(s, noise, torch.device('cpu')).fresh().w_opt.param_groups[0]
    assert (group['lr'], group['weight_decay'], group['nesterov']) == (0.025, 5e-4, True)
    assert settings(method='pc-darts', space='darts', preset='paper').batch == 256
    assert row_of('pc-darts', 'paper', 'darts').calendar.waits(14, 50) and not row_of(
        'pc-darts', 'paper', 'darts'
    ).calendar.waits(15, 50)
    assert (
        prepare(settings(method='darts'), noise, torch.device('cpu'))
        .fresh()
        .w_opt.param_groups[0]['nesterov']
        is False
    )


def test_run_by_the_paper_says_what_it_costs_and_is_written_down(tmp_path, noise):
    said = []
    few = dict(method='gdas', space='toy', preset='paper', split=noise, device='cpu', report=False)
    with pytest.raises(UserError, match='no released settings for toy'):
        run(tmp_path / 'none', **few)
    done = run(
        tmp_path / 'run',
        tell=said.append,
        **few | dict(space='nb201', epochs=1, channels=2, cells=1, batch=24),
    )
    assert 'about' in said[0] and ' h here' in said[0]
    assert (done.settings.preset, done.settings.wd, done.settings.nesterov) == ('paper', 5e-4, True)


def test_cost_of_a_waiting_search_leaves_out_the_steps_it_does_not_take(noise):
    "Nothing of the timing is kept: the run after it has the same bytes"
    s = settings(method='gdas', preset='paper', channels=2, cells=1, batch=24, epochs=1)
    job = prepare(s, noise, torch.device('cpu'))
    a, b = (job.fresh().net.state_dict() for _ in range(2) if cost_line(job))
    for k in a:
        assert torch.equal(a[k], b[k])


# ---- published cells and queries as their authors write them


def test_reader_takes_triples_nested_lists_and_log_lines():
    space = darts()
    pairs = "Genotype(normal=[('sep_conv_3x3', 0), ('sep_conv_3x3', 1), ('sep_conv_3x3', 0), ('sep_conv_3x3', 1), ('sep_conv_3x3', 1), ('skip_connect', 0), ('skip_connect', 0), ('dil_conv_3x3', 2)], normal_concat=[2, 3, 4, 5], reduce=[('max_pool_3x3', 0), ('max_pool_3x3', 1), ('skip_connect', 2), ('max_pool_3x3', 1), ('max_pool_3x3', 0), ('skip_connect', 2), ('skip_connect', 2), ('max_pool_3x3', 1)], reduce_concat=[2, 3, 4, 5])"
    want = parse(pairs, space)
    triples, nested = pairs, pairs
    for name in ('normal', 'reduce'):
        entries = ast.literal_eval(pairs.split(f'{name}=')[1].split('], ')[0] + ']')
        inputs = [(op, 2 + k // 2, i) for k, (op, i) in enumerate(entries)]
        triples = triples.replace(f'{name}={entries!r}', f'{name}={inputs!r}')
        nested = nested.replace(
            f'{name}={entries!r}', f'{name}={[entries[k:k + 2] for k in range(0, 8, 2)]!r}'
        )
    assert triples != pairs != nested
    assert parse(triples, space) == parse(nested, space) == want
    assert parse(f'05/17 09:12:33 PM genotype = {pairs}', space) == want
    assert parse(
        '03/29 11:20:05 AM genotype = |nor_conv_3x3~0|+|none~0|skip_connect~1|+|none~0|none~1|none~2|',
        nb201(),
    ) == parse('|nor_conv_3x3~0|+|none~0|skip_connect~1|+|none~0|none~1|none~2|', nb201())


def test_epochs_of_a_query_may_be_text():
    columns = pd.MultiIndex.from_tuples(
        [('cifar10', 'test', 12, 'mean'), ('cifar10', 'test', 200, 'mean')],
        names=['dataset', 'split', 'epochs', 'seeds'],
    )
    table = SimpleNamespace(name='a table', frame=pd.DataFrame([[80.0, 90.0]], columns=columns))
    assert (
        accuracies(table, 'cifar10', 'test', '200').item()
        == 90.0
        == accuracies(table, 'cifar10', 'test', 200).item()
    )
    with pytest.raises(UserError):
        accuracies(table, 'cifar10', 'test', '36')
