"Rows of the method table against what the papers' released code computes; each test is an identity, no accuracy is asserted."
from copy import deepcopy
import pytest, torch
import torch.nn.functional as F
from dnas_nb.bilevel import make_loss
from dnas_nb.core import generator, seeded
from dnas_nb.fast import fast
from dnas_nb.hypergrad import cosine, first_order, second_order
from dnas_nb.methods import METHODS
from dnas_nb.space import darts, nb201, toy
from dnas_nb.supernet import CellNet, SuperNet, batch_stats


def small(space, seed=0, C=4):
    "A supernet in float64, and noise for it: (net, training batch, validation batch)"
    two, g = space.cells[0].n_in > 1, generator('rows', seed)
    with seeded(seed): net = batch_stats(SuperNet(space, C=C, n=3 if two else 1, classes=5)).double()
    return net, *((torch.randn(6, 3, 8, 8, dtype=torch.float64, generator=g), torch.arange(6) % 5) for _ in range(2))


def logits(method, space, seed=0, scale=.5):
    "phi of a method, spread out, in float64"
    g = generator('logits', seed)
    drawn = {c.name: {k: v.double() for k, v in method.init(c, g).items()} for c in space.cells}
    return {c: {k: (v + scale*torch.randn(v.shape, generator=g, dtype=v.dtype)).requires_grad_() for k, v in p.items()} for c, p in drawn.items()}


class BareGates(CellNet):
    "GDAS' released cell: an edge is its sampled operation plus the bare gates of the others"
    def forward(self, x, w, live=None, scale=None, gates=None):
        nodes = dict(enumerate(x if isinstance(x, tuple) else (x,)))
        for j in range(self.cell.n_in, self.cell.n_nodes): nodes[j] = self.zeros(nodes[0], j)
        for e, (i, j) in enumerate(self.cell.edges):
            s, ops = int(w[e].argmax()), self.edges[e]
            run = ops[ops.columns[s]](nodes[i]) if ops.columns[s] in ops else 0.
            nodes[j] = nodes[j] + w[e][s]*run + sum(w[e][k] for k in range(len(w[e])) if k != s)
        last = self.cell.n_nodes - 1
        return nodes[last] if self.cell.output == 'last' else torch.cat([nodes[j] for j in range(self.cell.n_in, last + 1)], 1)


@pytest.mark.parametrize('space', [nb201, toy, darts], ids=lambda f: f.__name__)
@pytest.mark.parametrize('order', [first_order, second_order], ids=lambda f: f.__name__)
def test_gdas_gradient_is_that_of_the_released_cell(space, order):
    "Skipped operations pass the gradient of their gates, in the plain and in the fast supernet"
    sp, gdas = space(), METHODS['gdas']
    plain, train, valid = small(sp)
    released = deepcopy(plain)
    for m in released.modules():
        if type(m) is CellNet: m.__class__ = BareGates
    for seed in range(4):
        phi, got = logits(gdas, sp, seed), []
        for net in (released, plain, fast(deepcopy(plain))):
            loss = make_loss(net, gdas.relax, {c.name: c.live for c in sp.cells}, .4, ('gates', seed))
            got.append(order(loss, {n: p.detach() for n, p in net.named_parameters()}, phi, train, valid, .1))
        for g in got[1:]:
            for c in phi: torch.testing.assert_close(g[c]['alpha'], got[0][c]['alpha'], rtol=1e-8, atol=1e-10)
            if got[0][sp.cells[0].name]['alpha'].any(): assert cosine(g, got[0]) > 1 - 1e-12
