"Sparse operations and moving windows at their edges."

from dataclasses import replace

import pytest
import torch
from torch import nn

from dnas_nb.bilevel import Plan
from dnas_nb.core import generator
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
