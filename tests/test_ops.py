"Operations on few channels: what a fault of PyTorch 2.13 made of the gradient of strided 1×1 convolutions."

from copy import deepcopy
from inspect import signature
import pytest, torch
from torch import nn
from dnas_nb.core import UserError, generator, seeded
from dnas_nb.ops import FactorizedReduce, nor_conv_1x1, relu_conv_bn
from dnas_nb.space import SPACES
from dnas_nb.spaces import BUILT_IN, MACRO_OPS, conv_bn_relu

HALVING = dict(
    reduce=lambda C: FactorizedReduce(C, C),
    wider=lambda C: FactorizedReduce(C, 2 * C),
    nb201=lambda C: nor_conv_1x1(C, 2),
    mixing=lambda C: relu_conv_bn(C, 2 * C, 1, 2),
    nb101=lambda C: conv_bn_relu(C, 2, kernel=1),
    chain=lambda C: MACRO_OPS['id'](C, 2, C_out=2 * C),
)


def gradients(net, x):
    "Of all weights and of the input, for a fixed direction"
    x = x.requires_grad_()
    y = net(x)
    down = torch.randn(y.shape, generator=generator('down'), dtype=torch.float64).to(y)
    return torch.autograd.grad((y * down).sum(), [*net.parameters(), x])


@pytest.mark.parametrize('C', [2, 3, 4, 6, 7, 8, 16])
@pytest.mark.parametrize('name', HALVING)
def test_gradient_of_a_halving_operation_does_not_depend_on_the_layout(name, C):
    with seeded('halving', name, C):
        net = HALVING[name](C)
    exact, x = deepcopy(net).double(), torch.randn(16, C, 8, 8, generator=generator('x', C))
    want = gradients(exact, x.double())
    got = gradients(
        net.to(memory_format=torch.channels_last), x.contiguous(memory_format=torch.channels_last)
    )
    for a, b in zip(got, want):
        torch.testing.assert_close(a.double(), b, rtol=1e-3, atol=1e-3)


def test_no_space_has_a_strided_1x1_convolution_of_few_channels():
    "Every operation of every space, as it stands in a reduction"
    risky = []
    for name, make in {**SPACES, **BUILT_IN}.items():
        for op, build in make().plan.ops.items():
            more = dict(C_out=8) if 'C_out' in signature(build).parameters else {}
            try:
                net = build(4, 2, False, **more)
            except UserError:
                continue  # widths in eighths: never of few channels
            for m in net.modules():
                small = (
                    type(m) is nn.Conv2d
                    and m.kernel_size == (1, 1)
                    and max(m.stride) > 1
                    and m.in_channels < 8
                )
                if small:
                    risky.append((name, op))
    assert not risky
