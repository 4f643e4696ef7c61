"""What a GPU says about the search: one prepared run of at most ten minutes.

`python tools/gpu.py --out results` takes its parts one after the other, shortest first: who makes the host wait (CUDA's own count), three supernets of `tools/bench.py` (ms, floor, memory), four seeds side by side, a search on CIFAR-10 for the minutes that remain.
Every measurement is a line of JSON in OUT/gpu.jsonl, written when it is made: what is there is not measured again, and a part that fails leaves a line that says why.
`--device cpu --quick` takes the same path in small.
"""

import argparse
import json
import os
import statistics
import sys
import time
import traceback
import warnings
from collections import Counter
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))
os.environ.setdefault('OMP_NUM_THREADS', '1')
import torch
import bench
from dnas_nb.methods import METHODS
from dnas_nb.running.device import _where, synchronisations


class Book:
    "The lines of OUT/gpu.jsonl: each measurement by its name, once"

    def __init__(self, out, until):
        self.path, self.until = Path(out) / 'gpu.jsonl', until
        self.path.parent.mkdir(parents=True, exist_ok=True)
        self.known = set()
        if self.path.exists():
            text = self.path.read_text(encoding='utf-8')
            if not text.endswith('\n'):
                self.path.write_text(text + '\n', encoding='utf-8')
            for line in text.splitlines():
                try:
                    row = json.loads(line)
                except ValueError:
                    continue  # of a run that was killed
                if 'failed' not in row and not row.get('partial'):
                    self.known.add(row['name'])

    def left(self):
        "Seconds"
        return self.until - time.monotonic()

    def take(self, name, measure, *args, needs=1):
        "Measure unless it is known or the time is over; a failure is a line too"
        if name in self.known:
            return
        if self.left() < needs:
            self.write(name, dict(failed=f'{self.left():.0f} s were left, it needs {needs}'))
            return
        t0 = time.monotonic()
        try:
            row = measure(*args)
        except Exception as e:  # the next part must not be lost
            where = traceback.extract_tb(e.__traceback__)[-1]
            row = dict(failed=f'{type(e).__name__}: {e}'[:500], at=f'{where.name}:{where.lineno}')
        self.write(name, {**row, 'took_s': round(time.monotonic() - t0, 2)})

    def write(self, name, row):
        line = json.dumps(dict(name=name, **row))
        with open(self.path, 'a', encoding='utf-8') as f:
            f.write(line + '\n')
            f.flush()
            os.fsync(f.fileno())
        print(line[:200], flush=True)


def machine(device):
    "What it is measured on"
    row = dict(torch=torch.__version__, date=time.strftime('%Y-%m-%d'), device=device.type)
    if device.type == 'cuda':
        p = torch.cuda.get_device_properties(device)
        row |= dict(
            gpu=p.name,
            memory_gb=round(p.total_memory / 2**30, 1),
            cuda=torch.version.cuda,
            cudnn=torch.backends.cudnn.version(),
        )
    return row


def waits(name, device):
    "Three steps of a method with CUDA's alarm for every wait: how many, and where they are"
    seen = Counter()

    def heard(message, category, filename, lineno, *rest):
        if 'synchroniz' in str(message).lower():
            phase, place = _where(sys._getframe(1))
            seen[f'{phase}: {place} ({Path(filename).name}:{lineno})'] += 1

    before = warnings.showwarning
    with warnings.catch_warnings():
        warnings.simplefilter('always')
        warnings.showwarning = heard
        if device.type == 'cuda':
            torch.cuda.set_sync_debug_mode('warn')
        try:
            *_, state = synchronisations(name, device=device)
        finally:
            warnings.showwarning = before
            if device.type == 'cuda':
                torch.cuda.set_sync_debug_mode('default')
    loss = state.trace.scalars['train_loss'][-1]
    inside = sum(n for place, n in seen.items() if not place.startswith(('before', 'epoch')))
    return dict(in_steps=inside, steps=6, places=dict(seen.most_common(20)), loss=loss)


def configured(name, quick):
    "A supernet of `tools/bench.py`; quick: so small that it is no measurement"
    c = dict(bench.CONFIGS[name])
    if quick:
        c |= dict(space='toy', C=4, n=1, batch=4, size=8)
    return c


def built(c, kind):
    "A step: plain, eager, compiled, captured, and each of the last three in bf16"
    if kind == 'plain':
        return bench.plain_step(c)
    how = dict(eager=False, compiled=True, captured='captured')[kind.split()[0]]
    return bench.fast_step(c, kind.endswith('bf16'), how)


def timed(c, kind, rounds):
    "ms of a step, the median of so many rounds, and MB at its peak"
    device = bench.DEVICE
    if device.type == 'cuda':
        torch.cuda.empty_cache()
        torch.cuda.reset_peak_memory_stats(device)
    step = built(c, kind)
    t0 = time.monotonic()
    for _ in range(3):
        step()
    first = time.monotonic() - t0
    ms = [1e3 * bench.cpu(step) for _ in range(rounds)]
    row = dict(ms=statistics.median(ms), fastest=min(ms), slowest=max(ms), first_three_s=first)
    if device.type == 'cuda':
        row['peak_mb'] = round(torch.cuda.max_memory_allocated(device) / 2**20)
    return row


def least(c, bf16):
    "ms of the convolutions of a step alone"
    return dict(floor_ms=1e3 * bench.floor(c, bf16))


def side_by_side(c, seeds, rounds):
    "Steps in a second of one seed, and of several that are ordered in turn, each on a stream"
    device, on_gpu = bench.DEVICE, bench.DEVICE.type == 'cuda'
    steps = [bench.fast_step(c) for _ in range(seeds)]
    streams = [torch.cuda.Stream(device) if on_gpu else None for _ in steps]

    def all_of(pairs):
        for step, stream in pairs:
            if stream is None:
                step()
                continue
            with torch.cuda.stream(stream):
                step()

    def rate(pairs):
        for _ in range(2):
            all_of(pairs)
        t0 = bench.clock()
        for _ in range(rounds):
            all_of(pairs)
        return rounds * len(pairs) / (bench.clock() - t0)

    pairs = list(zip(steps, streams))
    if on_gpu:
        torch.cuda.synchronize(device)
    alone, together = rate(pairs[:1]), rate(pairs)
    return dict(seeds=seeds, alone=alone, together=together, gain=together / alone)


def searched(out, device, quick, seconds):
    "A search with DANAS: its curve, its cell; its rank where a table knows it"
    from dnas_nb.running.experiment import run

    t0, curve = time.monotonic(), []

    class Enough(Exception):
        pass

    def noted(state, settings):
        row = state.trace.rows()[-1]
        told = {k: v for k, v in row.items() if '/' not in k}
        curve.append({**told, 's': round(time.monotonic() - t0, 1)})
        each = (time.monotonic() - t0) / len(curve)
        if time.monotonic() - t0 + 1.5 * each > seconds and len(curve) < settings.epochs:
            raise Enough

    given = dict(data='cifar10', size=32, images=50_000, channels=16, cells=5, epochs=50, batch=256)
    if quick:
        given = dict(data='digits', channels=4, cells=1, epochs=2, images=120, batch=16)
    folder = Path(out) / 'search'
    begun = (folder / 'run.json').exists()
    try:
        found = run(
            out=folder,
            resume=begun,
            method='danas-beta',
            space='nb201',
            device=str(device),
            on_epoch=noted,
            report=False,
            **given,
        )
    except Enough:
        return dict(epochs=len(curve), of=given['epochs'], curve=curve, partial=True)
    return dict(epochs=len(curve), curve=curve, cell=str(found.genotype), found=str(found.found))


def main(out, device, quick, minutes):
    "All parts"
    bench.DEVICE = device
    book = Book(out, time.monotonic() + 60 * minutes)
    rounds = 1 if quick else 20
    book.take('machine', machine, device)
    names = ['darts', 'gdas', 'danas'] if quick else list(METHODS)
    for name in names:
        book.take(f'waits {name}', waits, name, device, needs=5)
    kinds = ['plain', 'eager', 'eager bf16']
    if device.type == 'cuda':
        kinds += ['captured', 'captured bf16', 'compiled']
    for name in ('b', 'a', 'c'):
        c = configured(name, quick)
        for kind in kinds if name != 'c' else kinds[:3]:
            book.take(f'{name} {kind}', timed, c, kind, rounds, needs=20)
        for bf16 in (False, True):
            book.take(f'{name} floor{" bf16" if bf16 else ""}', least, c, bf16, needs=10)
        if name == 'b':
            book.take('b four seeds', side_by_side, c, 4, rounds, needs=10)
    book.take('search', searched, out, device, quick, book.left() - 20, needs=1 if quick else 60)


if __name__ == '__main__':
    p = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    p.add_argument('--out', required=True, help='folder; what it holds is not measured again')
    p.add_argument('--device', default='cuda', help='cuda, or cpu to try the script')
    p.add_argument('--quick', action='store_true', help='tiny networks: no measurement, a trial')
    p.add_argument('--minutes', type=float, default=9.5, help='all parts together')
    a = p.parse_args()
    torch.set_num_threads(1)
    device = torch.device(a.device)
    if device.type == 'cuda' and not torch.cuda.is_available():
        sys.exit('no CUDA device here: --device cpu --quick tries the script')
    main(a.out, device, a.quick, a.minutes)
