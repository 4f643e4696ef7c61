"""What a search does besides computing its network: `python tools/bench_loop.py [a] [b] [c]`.

Whole searches by `run`, with pictures, judging, checkpoints and history, in the sizes of `tools/bench.py`; counted is the
processor time of the last epoch, so other users of the machine change little. network: forward and backward passes of the
steps. judging: forward passes that judge. optimisers: all else that a step does (draws, penalties, both optimisers). data:
choosing, changing and normalising batches. keeping: checkpoint, history, account. rest: what remains of the epoch.
A real epoch has some hundred steps; here it has few, which makes judging and keeping look larger than they are. So a
second row says what the same seconds are in an epoch of `--steps` (390: half of CIFAR-10 in batches of 64): what a step
takes is taken as often, at most 2,048 pictures are judged, and what happens once in an epoch stays. `--images 50000` makes
that epoch instead.
"""

import argparse, contextlib, os, sys, tempfile, time
from pathlib import Path
from unittest import mock

os.environ.setdefault('OMP_NUM_THREADS', '1')
os.environ.setdefault('TQDM_DISABLE', '1')
sys.path.insert(0, str(Path(__file__).resolve().parent.parent))
import torch
from dnas_nb import bilevel
from dnas_nb.core import generator
from dnas_nb.data import _Batches
from dnas_nb.running.experiment import run
from dnas_nb.running.folder import Keeper
from dnas_nb.sources import from_tensors
from dnas_nb.supernet import SuperNet

CONFIGS = dict(
    a=dict(space='nb201', channels=16, cells=5, batch=64, size=32, images=768),
    b=dict(space='nb201', channels=8, cells=1, batch=64, size=16, images=4096),
    c=dict(space='darts', channels=16, cells=8, batch=16, size=32, images=192),
)
PARTS = 'network', 'judging', 'optimisers', 'data', 'keeping'
STEPS = 'network', 'optimisers', 'data'  # what grows with the steps of an epoch
MOST = 2048  # pictures that an epoch is judged by, as in `bilevel.evaluate`


class Clock:
    "Processor seconds by part; time inside an inner part counts there, not in the outer one"

    def __init__(self):
        self.spent = dict.fromkeys(PARTS, 0.0)
        self.open = []  # parts that have begun, the innermost last
        self.since = time.process_time()

    def turn(self):
        "Charge what has passed to the innermost part"
        now = time.process_time()
        if self.open:
            self.spent[self.open[-1]] += now - self.since
        self.since = now

    @contextlib.contextmanager
    def part(self, name):
        self.turn()
        self.open.append('judging' if name == 'network' and not torch.is_grad_enabled() else name)
        try:
            yield
        finally:
            self.turn()
            self.open.pop()

    def around(self, f, name):
        "`f`, counted"

        def counted(*args, **kwargs):
            with self.part(name):
                return f(*args, **kwargs)

        return counted


def pictures(c):
    "Random ones: what they show does not change the time"
    shape = c['images'], 3, c['size'], c['size']
    x = (torch.rand(shape, generator=generator(0)) * 255).to(torch.uint8)
    return from_tensors(x, torch.arange(len(x)) % 10)


def measured(name, method, images=None, epochs=2) -> tuple:  # ({part: seconds}, steps, judged)
    "The last epoch of a search; `rest` is what no part has taken"
    c, clock, marks, steps = CONFIGS[name], Clock(), [], []
    c = c | dict(images=images or c['images'])
    split = pictures(c)

    def mark(state, settings):
        clock.turn()
        marks.append((time.process_time(), dict(clock.spent), len(steps)))

    inside = {
        (SuperNet, 'forward'): 'network',
        (torch.autograd, 'grad'): 'network',
        (torch.Tensor, 'backward'): 'network',
        (bilevel, 'arch_step'): 'optimisers',
        (bilevel, 'weight_step'): 'optimisers',
        (_Batches, '__getitem__'): 'data',
        (Keeper, 'epoch'): 'keeping',
    }
    with contextlib.ExitStack() as held:
        for (owner, attribute), part in inside.items():
            f = clock.around(getattr(owner, attribute), part)
            held.enter_context(mock.patch.object(owner, attribute, f))
        one_step = bilevel._one_step

        def counted(*args):
            steps.append(1)
            return one_step(*args)

        held.enter_context(mock.patch.object(bilevel, '_one_step', counted))
        out = held.enter_context(tempfile.TemporaryDirectory())
        given = {k: v for k, v in c.items() if k not in ('images', 'size')}
        run(
            out=Path(out) / 'r',
            method=method,
            split=split,
            epochs=epochs,
            device='cpu',
            report=False,
            on_epoch=mark,
            **given,
        )
    (begun, before, n), (ended, after, m) = marks[-2:]
    spent = {k: after[k] - before[k] for k in PARTS}
    spent['rest'] = ended - begun - sum(spent.values())
    return spent, m - n, min(MOST, len(split.valid))


def longer(spent, steps, judged, wanted, batch) -> dict:
    "The seconds of an epoch of `wanted` steps"
    often = wanted / steps
    out = {k: v * often if k in STEPS else v for k, v in spent.items()}
    out['judging'] *= min(MOST, wanted * batch) / judged
    return out


def row(name, spent, steps):
    "Seconds a step and shares, as text"
    whole = sum(spent.values())
    shares = ''.join(f'{100 * v / whole:>11.1f}%' for v in spent.values())
    return f'{name:3}{steps:>6}{whole / steps:>10.3f}{shares}'


def main():
    p = argparse.ArgumentParser(description=__doc__.split('\n')[0])
    p.add_argument('configs', nargs='*', default=[*CONFIGS], help='a, b, c')
    p.add_argument('--method', default='danas')
    p.add_argument('--images', type=int, help='pictures, half of them for the weights')
    p.add_argument('--steps', type=int, default=390, help='of the epoch in the second row')
    a = p.parse_args()
    torch.set_num_threads(1)
    print(f'{"":3}{"steps":>6}{"s a step":>10}' + ''.join(f'{k:>12}' for k in [*PARTS, 'rest']))
    for name in a.configs:
        spent, steps, judged = measured(name, a.method, a.images)
        print(row(name, spent, steps))
        more = longer(spent, steps, judged, a.steps, CONFIGS[name]['batch'])
        print(row('', more, a.steps), flush=True)


if __name__ == '__main__':
    main()
