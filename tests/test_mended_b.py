"Faults of the loop, of choices and of reports that were mended: each test failed before."

import torch

from dnas_nb.bilevel import _skips, by_mean
from dnas_nb.core import generator
from dnas_nb.distribution import relax_softmax
from dnas_nb.genotype import to_ops
from dnas_nb.methods import ROWS
from dnas_nb.running.report import _collapsed
from dnas_nb.space import darts, toy
from dnas_nb.spaces import BUILT_IN
from dnas_nb.supernet import SuperNet


def favouring(space, wanted, weight=5.0):  # {cell: distribution}: softmaxes of these logits
    out = {}
    for c in space.groups:
        alpha = weight * c.where(wanted).float()
        out[c.name] = relax_softmax({'alpha': alpha}, 1.0, c.live)
    return out


def test_no_rectified_none_can_be_chosen():
    row, space = ROWS['fadarts'], ROWS['fadarts'].adapt(darts())
    normal = space['normal']
    assert normal.ops[0].count('none') == 1 and 'none_relu' not in normal.names
    assert normal.O == 2 * 8 - 1
    phi = {c.name: row.init(c, generator(0)) for c in space.groups}
    for p in phi.values():  # all want nothing, rectified
        p['op'][:, -1], p['act'][:, 1] = 5.0, 1.0
    D = {c.name: row.relax(phi[c.name], 1.0, c.live) for c in space.groups}
    op, act = phi['normal']['op'], phi['normal']['act']
    odds = (op[:, :, None] + act[:, None]).flatten(1)[:, :15].softmax(-1)
    assert torch.allclose(D['normal'].mean, odds)
    chosen = to_ops(by_mean(D, space), space)
    assert all(op is None or op.endswith('_relu') for c in chosen.values() for op in c)
    assert [sum(op is not None for op in c) for c in chosen.values()] == [8, 8]


def test_an_activation_follows_in_every_built_in_space():
    for name in 'macro', 'shuffle', 'size', 'nb101_1':
        space = ROWS['fadarts'].adapt(BUILT_IN[name]())
        net = SuperNet(space, 8, 1, 10).eval()
        theta = {c.name: c.live / c.live.sum(-1, keepdim=True) for c in space.groups}
        with torch.no_grad():
            assert net(torch.randn(2, 3, 32, 32), theta).shape == (2, 10)


def test_a_rectified_skip_is_a_skip():
    space = ROWS['fadarts'].adapt(toy())
    means = {'cell': space['cell'].where('skip_connect_relu').float()}
    assert _skips(space, means) == {'skip_share': 1.0}
    assert _collapsed({'cell': [(0, 1, 'skip_connect_relu')] * 3})
