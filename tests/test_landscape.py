"Looking at a search: the eigenvalues are the dense ones, and no bit of the search changes."

import numpy as np
import pytest
import torch
from types import SimpleNamespace
from conftest import fails
from dnas_nb.bilevel import Plan, search, start
from dnas_nb.core import seeded
from dnas_nb.sources import load_data
from dnas_nb.fast import fast
from dnas_nb.reading.landscape import (
    at_mean,
    dense,
    eigen,
    ends,
    valid_batch,
    gap,
    hvp,
    operator,
    path_plane,
    probe,
    reach,
    rounding,
    top_eig,
)
from dnas_nb.methods import find_method
from dnas_nb.space import nb201, toy
from dnas_nb.spaces import all_spaces
from dnas_nb.supernet import SuperNet, batch_stats


@pytest.fixture(scope='module')
def split():
    return load_data('digits', images=80)


def state_of(name, space, dtype=torch.float64, C=4, n=1, running=False):
    "A fresh state of a method, its logits away from 0."
    method = find_method(name)
    space = method.adapt(space)
    with seeded(0, 'net'):
        net = SuperNet(space, C, n, 10, 1, partial=method.partial).to(dtype)
    state = start(net if running else batch_stats(net), method)
    with seeded(0, 'phi'):
        for p in state.phi.values():
            for k, v in p.items():
                if v.is_floating_point():
                    p[k] = (
                        v.detach().to(dtype)
                        + 0.5 * torch.randn(v.shape, dtype=dtype) * (k == 'alpha')
                    ).requires_grad_(v.requires_grad)
    return state, method


@pytest.mark.parametrize(
    'name, space',
    [
        ('darts', toy()),
        ('drnas', toy()),
        ('gaussian', toy()),
        ('gdas', toy()),
        ('fadarts', toy()),
        ('danas', toy()),
        ('darts', nb201()),
    ],
    ids=lambda v: getattr(v, 'name', v),
)
def test_eigenvalues_are_the_dense_ones(name, space, split):
    "Dominant eigenvalue and both ends, to 1e-6; H is symmetric; a product by differences agrees."
    state, method = state_of(name, space)
    around, batch = at_mean(state, method, 0.5), valid_batch(split, 4, next(state.net.parameters()))
    op = operator(*around, batch)
    raw = op @ np.eye(op.shape[0])
    assert np.abs(raw - raw.T).max() <= 1e-9 * np.abs(raw).max()
    values = np.linalg.eigvalsh(dense(op))
    top = values[np.abs(values).argmax()]
    assert abs(top_eig(op)[0] - top) <= 1e-6 * abs(top)
    np.testing.assert_allclose(ends(op), values[[0, -1]], rtol=1e-6)
    v = {
        c: {
            k: torch.ones_like(x) if x.ndim == 0 else torch.arange(x.numel()).view_as(x).to(x)
            for k, x in p.items()
        }
        for c, p in around.phi.items()
    }
    exact, near = (hvp(*around, batch, v, eps=e) for e in (None, 1e-6))
    for c in v:
        for k in v[c]:
            torch.testing.assert_close(
                exact[c][k], near[c][k], rtol=1e-4, atol=1e-5 * float(exact[c][k].abs().max())
            )


def test_two_cell_types(split):
    "The Hessian of a space with two cells has all their logits, and the fast network has the same one."
    space = all_spaces()['s2']()
    got = []
    for quick in (False, True):
        state, method = state_of('darts', space, C=4, n=3)
        if quick:
            fast(state.net)
        op = operator(*at_mean(state, method), valid_batch(split, 2, next(state.net.parameters())))
        v = np.random.default_rng(0).normal(size=op.shape[0])
        got.append(op @ v)
    assert len(v) == sum(c.E * c.O for c in space.cells)
    np.testing.assert_allclose(*got, rtol=1e-6, atol=1e-9 * np.abs(got[0]).max())


def bits(state):
    tensors = [
        *state.net.state_dict().values(),
        *(v for p in state.phi.values() for v in p.values()),
        torch.get_rng_state(),
        *(x.grad for x in state.net.parameters() if x.grad is not None),
        *(
            b
            for opt in (state.w_opt, state.a_opt)
            if opt
            for s in opt.state.values()
            for b in s.values()
            if torch.is_tensor(b)
        ),
    ]
    return [t.detach().numpy().tobytes() for t in tensors] + [
        repr(state.trace.rows()),
        state.net.training,
    ]


@pytest.mark.parametrize('name', ['darts', 'drnas', 'danas', 'gdas'])
def test_looking_changes_nothing(name, split):
    "Weights, running statistics, gradients, optimisers, generators, history: the same bits with and without every measure, after every epoch."

    def run(hook):
        state, method = state_of(name, toy(), torch.float32, running=True)
        with seeded('outside'):
            out = []
            for state in search(state, method, split.search, Plan(3, batch=20)):
                if hook:
                    hook(state, SimpleNamespace(epochs=3, method=name))
                out.append(bits(state))
        return out

    rows = []
    measures = (
        eigen,
        gap,
        lambda *a: reach(*a, n=3),
        lambda *a: dict(line=rounding(*a[:3], ts=(0.0, 1.0)).tolist()),
    )
    assert run(None) == run(probe(rows, split, *measures))
    assert [r['epoch'] for r in rows] == [1, 2, 3] and all(np.isfinite(r['eig']) for r in rows)


def test_every(split):
    "A look every second epoch, and at the last one."
    rows, look = [], None
    state, method = state_of('darts', toy(), torch.float32)
    look = probe(
        rows, split, lambda state, method, split, progress: dict(progress=progress), every=2
    )
    for state in search(state, method, split.search, Plan(5, batch=40)):
        look(state, SimpleNamespace(epochs=5, method='darts'))
    assert [(r['epoch'], r['progress']) for r in rows] == [(2, 0.4), (4, 0.8), (5, 1.0)]


def test_bad_input(split):
    "One line each."
    phi = {'cell': {'alpha': torch.zeros(2, 2)}}
    fails(
        lambda: operator(lambda w, p, b: p['cell']['alpha'].sum() / 0, {}, phi, None),
        'no curvature',
    )
    fails(lambda: path_plane(np.zeros((2, 4))), 'at least 3 points')
