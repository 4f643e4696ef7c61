"""Time one search step (architecture step + weight step, first order) of the plain and the fast supernet, in turn, on one thread or on a GPU.

`python tools/bench.py [a] [b] [c] [--compile] [--rounds 5] [--precision fp32 bf16] [--device cuda]`: CPU seconds (user + system; on a GPU wall seconds, device waited for), peak memory, FLOPs and the convolution floor.
plain: the usual implementation: edge by edge, NCHW, every gradient computed in both steps. fast: what `dnas_search` runs; fast compiled: with `--compile always`.
floor: the convolutions of the step alone, forward and the gradients that are needed, in the faster of the two layouts (depthwise ones: of the library's routine and ours).
"""

import argparse, ast, collections, inspect, os, platform, statistics, subprocess, sys, time

sys.path.insert(0, os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
os.environ.setdefault('OMP_NUM_THREADS', '1')
import torch
from torch import nn
import torch.nn.functional as F
from dnas_nb.core import peak_mem
from dnas_nb.bilevel import Step, arch_step, start, weight_step
from dnas_nb.depthwise import Depthwise, Kept
from dnas_nb import fast as fast_module
from dnas_nb.fast import fast
from dnas_nb.methods import find_method
from dnas_nb.space import SPACES
from dnas_nb.supernet import SuperNet, batch_stats

CONFIGS = dict(
    a=dict(space='nb201', C=16, n=5, batch=64, size=32),
    b=dict(space='nb201', C=8, n=1, batch=64, size=16),
    c=dict(space='darts', C=16, n=8, batch=16, size=32),
)
TARGETS = {
    ('a', 'fp32 compiled'): 3.2,
    ('a', 'bf16 compiled'): 4.5,
    ('b', 'fp32 compiled'): 3.5,
    ('c', 'fp32 compiled'): 3.5,
}
COMPILED = False


DEVICE = torch.device('cpu')


def make(c):
    torch.manual_seed(0)
    return batch_stats(SuperNet(SPACES[c['space']](), C=c['C'], n=c['n'])).to(DEVICE)


def data(c):
    return (
        torch.randn(c['batch'], 3, c['size'], c['size'], device=DEVICE),
        torch.arange(c['batch'], device=DEVICE) % 10,
    )


def plain_step(c):
    "One step as it is usually written."
    net, (x, y) = make(c), data(c)
    alpha = {
        k.name: torch.zeros(k.E, k.O, device=DEVICE, requires_grad=True) for k in net.space.cells
    }
    w_opt, a_opt = torch.optim.SGD(
        net.parameters(), 0.025, momentum=0.9, weight_decay=3e-4
    ), torch.optim.Adam(alpha.values(), 3e-4)

    def step():
        for opt in (a_opt, w_opt):
            w_opt.zero_grad()
            a_opt.zero_grad()
            F.cross_entropy(net(x, {k: v.softmax(-1) for k, v in alpha.items()}), y).backward()
            if opt is w_opt:
                nn.utils.clip_grad_norm_(net.parameters(), 5.0)
            opt.step()

    return step


def fast_step(c, bf16=False, compiled=False):
    "One step of `dnas_nb.bilevel`."
    method, net, (x, y) = find_method('darts'), fast(make(c), compiled), data(c)
    state, batch = start(net, method, device=DEVICE), (
        x.contiguous(memory_format=torch.channels_last),
        y,
    )
    what = Step(batch, batch, progress=0.5, bf16=bf16)
    loss = state.loss(what, 'step', method.relax)

    def step():
        arch_step(state, method, loss, what)
        weight_step(state, method, loss, what)

    return step


def convolutions(c):
    "Counter of (input shape, kernel shape, stride, padding, dilation, groups) in one forward pass."
    net, out = make(c), collections.Counter()

    def see(m, i, o):
        out[
            tuple(i[0].shape), tuple(m.weight.shape), m.stride, m.padding, m.dilation, m.groups
        ] += 1

    for m in net.modules():
        if isinstance(m, nn.Conv2d):
            m.register_forward_hook(see)
    with torch.no_grad():
        net(data(c)[0], {k.name: torch.ones(k.E, k.O, device=DEVICE) for k in net.space.cells})
    return out


def flops(c):
    "Of the convolutions of one step, two per multiply-add: three passes of the weight step, two of the architecture step; the first layer needs no input gradient."
    total = 0
    for (x, w, s, p, d, g), n in convolutions(c).items():
        pixels = x[0] * -(-x[2] // s[0]) * -(-x[3] // s[1])
        total += n * (3 if x[1] == 3 else 5) * 2 * pixels * w[0] * w[1] * w[2] * w[3]
    return total


def conv_step(x, w, s, p, d, g, dtype, layout):
    "Both passes of one convolution, as a function."
    first = x[1] == 3
    x, w = (
        torch.randn(v, device=DEVICE).to(dtype).contiguous(memory_format=layout) for v in (x, w)
    )
    grad = torch.randn_like(F.conv2d(x, w, None, s, p, d, g))
    back = lambda need: torch.ops.aten.convolution_backward(
        grad, x, w, None, s, p, d, False, (0, 0), g, (*need, False)
    )

    def step():
        F.conv2d(x, w, None, s, p, d, g)
        F.conv2d(x, w, None, s, p, d, g)
        if not first:
            back((True, False))
        back((not first, True))

    return step


def ours_step(x, w, s, p, d, g, dtype, layout):
    "Both passes of a depthwise convolution by `dnas_nb.depthwise`."
    x, w = (
        torch.randn(v, device=DEVICE).to(dtype).contiguous(memory_format=layout).requires_grad_()
        for v in (x, w)
    )
    go = lambda need, grad: torch.autograd.grad(
        Depthwise.apply(x, w, s[0], d[0], Kept()), need, grad
    )
    grad = torch.randn_like(Depthwise.apply(x, w, s[0], d[0], Kept()))

    def step():
        go([x], grad)
        go([x, w], grad)

    return step


def floor(c, bf16=False):
    "CPU seconds of the convolutions of one step."
    total = 0
    for shape, n in convolutions(c).items():
        steps = [
            conv_step(*shape, torch.bfloat16 if bf16 else torch.float32, layout)
            for layout in (torch.channels_last, torch.contiguous_format)
        ]
        if shape[-1] > 1:
            steps.append(
                ours_step(*shape, torch.bfloat16 if bf16 else torch.float32, torch.channels_last)
            )
        total += n * min(cpu(f, 2) for f in steps)
    return total


def clock():
    "CPU seconds of this process; with a GPU wall seconds, when the device has nothing left to do."
    if DEVICE.type == 'cpu':
        return time.process_time()
    torch.cuda.synchronize(DEVICE)
    return time.perf_counter()


def cpu(f, repeat=1):
    "CPU seconds of this process for one call (wall seconds on a GPU), the least of `repeat`; a call too short for the clock is repeated."
    best, k = float('inf'), 1
    t = clock()
    f()
    t = clock() - t
    if t < 0.02:
        k = max(1, int(0.02 / max(t, 1e-4)))
    for _ in range(repeat):
        t = clock()
        for _ in range(k):
            f()
        best = min(best, (clock() - t) / k)
    return best


def peak(name, kind):
    "MB of a fresh process that takes two steps."
    out = subprocess.run(
        [sys.executable, __file__, name, '--peak', kind, '--device', str(DEVICE)],
        capture_output=True,
        text=True,
        check=True,
    ).stdout
    return float(out)


def own_peak():
    "MB: the most this process ever held (of GPU memory, on a GPU). Linux lets a child inherit `ru_maxrss`, so its own count comes first."
    if DEVICE.type == 'cuda':
        return torch.cuda.max_memory_allocated(DEVICE) / 2**20
    try:
        with open('/proc/self/status') as f:
            return next(int(v.split()[1]) for v in f if v.startswith('VmHWM')) / 2**10
    except OSError:
        return peak_mem()


def builds(c, kind):
    "A step of the plain supernet, or of the stacked one by precision, compiled or not."
    if kind == 'plain':
        return plain_step(c)
    return fast_step(c, kind.startswith('bf16'), kind.endswith('compiled'))


def bench(name, rounds, precisions):
    "Times of a configuration, measured in turn."
    c, kinds = CONFIGS[name], ['plain', *precisions]
    if COMPILED:
        kinds += [f'{p} compiled' for p in precisions]
    steps, seen, low = (
        {k: builds(c, k) for k in kinds},
        {k: [] for k in kinds},
        {p: [] for p in precisions},
    )
    for k, f in steps.items():
        t = time.perf_counter()
        f()
        if k.endswith('compiled'):
            print(f'({name}) {k}: compiled in {time.perf_counter() - t:.0f} s', flush=True)
        f()
    for r in range(rounds):
        for k, f in steps.items():
            seen[k].append(cpu(f) if name == 'b' or DEVICE.type == 'cuda' else once(f))
        if r < 3:
            for p in precisions:
                low[p].append(floor(c, p == 'bf16'))
    times, base = {k: statistics.median(v) for k, v in seen.items()}, {
        p: statistics.median(v) for p, v in low.items()
    }
    mb = {k: peak(name, k) for k in kinds}
    print(
        f"({name}) {c['space']} C={c['C']} N={c['n']}, batch {c['batch']}, {c['size']}×{c['size']}: {flops(c)/1e9:.1f} GFLOP of convolutions in a step"
    )
    print(
        f"  {'':20}{'CPU s' if DEVICE.type == 'cpu' else 'ms':>8}{'ratio':>8}{'spread':>16}{'floor' + (' s' if DEVICE.type == 'cpu' else ''):>9}{'to floor':>10}{'peak MB':>9}{'of plain':>10}"
    )
    for k in kinds:
        ratio, target, unit = (
            times['plain'] / times[k],
            TARGETS.get((name, k)) if DEVICE.type == 'cpu' else None,
            1 if DEVICE.type == 'cpu' else 1e3,
        )
        each = [p / v for p, v in zip(seen['plain'], seen[k])]
        at = base.get(k.split()[0])
        print(
            f"  {k if k == 'plain' else 'fast ' + k:20}{unit*times[k]:8.3f}{ratio:7.2f}x{min(each):8.2f} to{max(each):5.2f}{'' if at is None else f'{unit*at:9.3f}{times[k]/at:9.2f}x':19}{mb[k]:9.0f}{mb[k]/mb['plain']:9.0%}"
            + (f'   aim {target}x' if target else ''),
            flush=True,
        )


def source():
    "Lines and syntax nodes a line of the fast supernet; before it was stacked: 464 lines, 28.8."
    text = open(inspect.getfile(fast_module), encoding='utf-8').read()
    lines = [v for v in text.splitlines() if v.strip() and not v.strip().startswith('#')]
    return f'fast.py: {len(lines)} lines, {sum(1 for _ in ast.walk(ast.parse(text)))/len(lines):.1f} syntax nodes a line (before: 464, 28.8)'


def once(f):
    t = clock()
    f()
    return clock() - t


if __name__ == '__main__':
    p = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    p.add_argument(
        'configs',
        nargs='*',
        default=['b', 'a', 'c'],
        help='of ' + ', '.join(CONFIGS) + ' (b takes seconds, the others minutes)',
    )
    p.add_argument('--rounds', type=int, default=5)
    p.add_argument('--precision', nargs='+', default=['fp32', 'bf16'], choices=['fp32', 'bf16'])
    p.add_argument('--device', default='cpu', help='cpu or cuda')
    p.add_argument(
        '--compile',
        action='store_true',
        help='the stacked supernet compiled as well: minutes before the first step',
    )
    p.add_argument(
        '--peak',
        choices=['plain', *(p + c for p in ('fp32', 'bf16') for c in ('', ' compiled'))],
        help=argparse.SUPPRESS,
    )
    a = p.parse_args()
    torch.set_num_threads(1)
    DEVICE, COMPILED = torch.device(a.device), a.compile
    if a.peak:
        step = builds(CONFIGS[a.configs[0]], a.peak)
        step()
        step()
        print(own_peak())
    else:
        print(
            f'{platform.machine() if DEVICE.type == "cpu" else torch.cuda.get_device_name(DEVICE)}, torch {torch.__version__}, one thread, median of {a.rounds} rounds; spread: ratio in single rounds'
        )
        print(source())
        for name in a.configs:
            bench(name, a.rounds, a.precision)
