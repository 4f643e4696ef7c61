"Sparse operations, moving windows and chains of levels at their edges."

from dataclasses import replace

import pytest
import torch
from torch import nn

from conftest import fails
from dnas_nb.bilevel import Plan
from dnas_nb.core import generator, seeded
from dnas_nb.genotype import random_arch
from dnas_nb.sources import load_data
from dnas_nb.space import Choice, Group
from dnas_nb.systems.dass import (
    PHASES,
    SparseLayer,
    baked,
    enter,
    search_sparse,
    sparse_layers,
    sparse_space,
    sparsen,
    train_sparse,
)
from dnas_nb.systems.iuc import (
    CaptionNet,
    Level,
    ThreeLevels,
    caption_data,
    caption_space,
    chain_gradient,
    learner,
    mosaics,
    search_captions,
    two_levels,
    unrolled,
)
from dnas_nb.systems.scope import (
    PATHS,
    ChainNet,
    adapted,
    adapting,
    chain_space,
    relax_two_paths,
    search_scope,
    travelled,
    window,
)

BRIEF = Plan(epochs=3, batch=32, lr=0.01, arch_lr=0.05, opt='adamw')


@pytest.fixture(scope='module')
def digits():
    data = load_data('digits')
    return replace(data, train=data.train[:64], valid=data.valid[:64], test=data.test[:64])


@pytest.mark.parametrize('keep', [1e-9, 0.01, 0.5, 1.0])
def test_a_sparse_training_keeps_what_it_promises(digits, keep):
    "Every layer has at least one weight; masks rest in the last phase; the same seed, the same bits."
    cell, masks = random_arch(sparse_space(), generator('sparse test')), {}

    def note(net, phase):
        masks.setdefault(phase, []).append([layer.mask() for layer in sparse_layers(net)])

    args = cell, digits.train, keep, 2, 3
    net = train_sparse(*args, C=4, on_epoch=note)
    again = train_sparse(*args, C=4)
    for a, b in zip(net.parameters(), again.parameters()):
        assert torch.equal(a, b)
    assert list(masks) == list(PHASES)
    for layer, first, last in zip(sparse_layers(net), *masks['finetune']):
        assert torch.equal(first, last) and 1 <= first.sum() <= keep * first.numel() + 1
    assert not any(isinstance(m, SparseLayer) for m in baked(net).modules())


def test_what_is_sparse_is_stored():
    "A checkpoint of a sparse network says how many weights stay."
    nets = [sparsen(nn.Sequential(nn.Linear(20, 5), nn.Linear(5, 2))) for _ in range(2)]
    enter(nets[0], 'finetune', 0.1)
    nets[1].load_state_dict(nets[0].state_dict())
    assert [int(layer.count) for layer in sparse_layers(nets[1])] == [10, 1]
    x = torch.randn(3, 20, generator=generator('stored'))
    assert torch.equal(nets[0](x), nets[1](x))


def test_a_dense_search_stays_dense(digits):
    found, state = search_sparse(digits, 1, plan=BRIEF, C=4)
    assert all(layer.mask().all() for layer in sparse_layers(state.net))
    assert search_sparse(digits, 1, plan=BRIEF, C=4)[0] == found


def test_windows_stay_in_their_lists():
    "Whatever the logits say: no gap, no option that does not exist, no fewer than allowed."
    g = generator('windows')
    sizes = 1, 2, 3, 7, 9
    group = Group('net', [Choice(f'k{n}', tuple(map(str, range(n)))) for n in sizes])
    for least in (1, 2, 3):
        alpha, live = torch.randn(group.E, group.O, generator=g), window(group, 3)
        for _ in range(40):
            alpha, live = adapted(alpha, live, group.live, least)
            assert not (live & ~group.live).any() and alpha.isfinite().all()
            for row, n in zip(live, sizes):
                place = row.nonzero()[:, 0]
                assert min(least, n) <= len(place) <= 3 and (place.diff() == 1).all()
            alpha = alpha + torch.randn(alpha.shape, generator=g)


def test_two_paths_of_one_option():
    alpha, live = torch.zeros(1, 3, requires_grad=True), torch.tensor([[False, True, False]])
    D = relax_two_paths(dict(alpha=alpha), 0.0, live)
    assert D.rsample((4,)).tolist() == [[[0, 1, 0]]] * 4
    slope, = torch.autograd.grad((D.rsample() * torch.arange(3.0)).sum(), alpha)
    assert not slope.any() and PATHS.relax is relax_two_paths


def test_a_scope_is_searched_again_to_the_bit(digits):
    space = chain_space(digits, C=4, most=2)
    runs = [search_scope(space, digits, 2, adapting(1), BRIEF, 5) for _ in range(2)]
    assert runs[0][0] == runs[1][0]
    told = travelled(runs[0][2])
    assert all(len(value) == space.groups[0].E for value in told.values())
    assert (told['margin'] >= 0).all() and (told['length'] >= 0).all()
    assert ChainNet((3, 16, 16), 5, 4, 2)(torch.zeros(2, 3, 16, 16)).shape == (2, 5)


def test_steps_of_a_level_are_steps():
    "Two steps of a level are two steps by hand, and the chain goes through both."
    x, phi = torch.tensor(1.0).double(), dict(a=torch.tensor(0.5).double())
    level = Level('w', lambda held, phi, batch: (held['w']['x'] - phi['a']) ** 2, 0.1, steps=2)
    held = unrolled([level], dict(w=dict(x=x)), phi, dict(w=None))
    once = 1 - 0.2 * (1 - 0.5)
    assert abs(held['w']['x'].item() - (once - 0.2 * (once - 0.5))) < 1e-12
    found = chain_gradient(
        [level], dict(w=dict(x=x)), phi, lambda held, phi: held['w']['x'], dict(w=None)
    )
    assert abs(found['a'].item() - (1 - 0.8**2)) < 1e-12
    fails(lambda: unrolled([level], {}, phi, {}), "level 'w' has no parameters")


def test_labels_of_the_others_are_not_read():
    "Noise in the place of captions that nobody should read changes no bit of a search."
    data, others = caption_data(few=60, many=80)
    data = replace(data, valid=data.valid[:60])
    noise = replace(others, y=torch.randint(10, others.y.shape, generator=generator('noise')))
    plan = Plan(epochs=1, batch=20, lr=0.004, arch_lr=0.03, opt='adamw')
    runs = [search_captions(data, ThreeLevels(part), 1, plan, 4)[1] for part in (others, noise)]
    for a, b in zip(runs[0].net.parameters(), runs[1].net.parameters()):
        assert torch.equal(a, b)
    assert torch.equal(runs[0].phi['net']['alpha'], runs[1].phi['net']['alpha'])
    other = search_captions(data, two_levels, 1, plan, 4)[1]
    assert not torch.equal(runs[0].phi['net']['alpha'], other.phi['net']['alpha'])


def test_captions_have_their_shape():
    digits = load_data('digits')
    a, b = (mosaics(digits.train, 20, 'test') for _ in range(2))
    assert torch.equal(a.x, b.x) and a.x.shape == (20, 1, 16, 16) and a.y.shape == (20, 3)
    with seeded('captions test'):
        nets = [CaptionNet(10, 4), learner(10, 2)]
        nets.append(caption_space(4).network(random_arch(caption_space(4), generator('c'))))
    for net in nets:
        assert net(a.x.float()).shape == (20, 3, 10)
