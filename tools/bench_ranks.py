"""What several ranks gain: `python tools/bench_ranks.py`, then `torchrun --nproc-per-node 2 tools/bench_ranks.py`.

Both compute the same steps of first-order DARTS on NAS-Bench-201 cells, the same images a step; printed are
images a second by the clock, and seconds of the processor for each step (of the slowest rank), which other
users of the machine do not change as much. The least of five rounds counts, all are shown.
"""

import os, time

for k in ('OMP_NUM_THREADS', 'MKL_NUM_THREADS', 'OPENBLAS_NUM_THREADS'):
    os.environ.setdefault(k, '1')
import torch

torch.set_num_threads(1)
from dnas_nb.bilevel import Plan, Step, arch_step, start, weight_step
from dnas_nb.core import seeded
from dnas_nb.fast import fast
from dnas_nb.methods import METHODS
from dnas_nb.ranks import _gathered, join, share, world
from dnas_nb.space import nb201
from dnas_nb.supernet import Spec

BATCH, STEPS, ROUNDS, PIXELS, CHANNELS, CELLS = 64, 4, 5, 16, 16, 1


def a_round(state, method, batch, k) -> tuple:
    "Seconds of the clock and of this processor for each step"
    clock, cpu = time.perf_counter(), time.process_time()
    for i in range(STEPS):
        step = Step(batch, batch, progress=0.5, key=(0, k, i))
        arch_step(state, method, state.loss(step, 'arch', method.relax), step)
        weight_step(state, method, state.loss(step, 'weight', method.relax), step).item()
    return (time.perf_counter() - clock) / STEPS, (time.process_time() - cpu) / STEPS


def main():
    join()
    method = METHODS['darts']
    with seeded('net'):
        spec = Spec(C=CHANNELS, n=CELLS, classes=10, in_ch=3, batch_stats=True)
        state = start(fast(nb201().supernet(spec)), method, Plan())
    with seeded('pictures'):
        x, y = torch.randn(BATCH, 3, PIXELS, PIXELS), torch.randint(10, (BATCH,))
    own = share(BATCH)
    batch = x[own].to(memory_format=torch.channels_last), y[own]
    a_round(state, method, batch, 'first')
    rounds = [a_round(state, method, batch, k) for k in range(ROUNDS)]
    all_ranks = _gathered(rounds) if world().size > 1 else [rounds]
    if world().rank == 0:
        worst = [[max(r[k][i] for r in all_ranks) for k in range(ROUNDS)] for i in range(2)]
        clock, cpu = map(min, worst)
        shown = ', '.join(f'{c:.3f}/{p:.3f}' for c, p in zip(*worst))
        print(
            f'{world().size} ranks: {BATCH / clock:.0f} images/s, {clock:.3f} s a step by the clock, '
            f'{cpu:.3f} s of the processor (rounds, clock/processor: {shown})'
        )


if __name__ == '__main__':
    main()
