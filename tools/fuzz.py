"""Malformed inputs for every reader of the package, counted: `make fuzz`, or `python tools/fuzz.py --cases 20000 --seed 0`.
Each case follows from the seed and its number (`--one 1234` repeats it and shows what was said). It runs in a worker with limits
of time and memory: a worker that dies or hangs is a finding, and is replaced."""

import argparse, contextlib, json, os, random, resource, select, shutil, signal, subprocess, sys, tempfile, time, traceback
from collections import Counter, defaultdict
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
SECONDS, BYTES = 20, 1 << 30  # of one case: beyond its libraries, what a reader may take
FRESH = 2000  # cases until a worker is replaced
ENDS = ('same', 'other', 'refused', 'traceback', 'wrong', 'slow', 'big', 'crash')
BAD = (*ENDS[3:], 'unmade')


# in the worker


def held(name):
    "A figure of /proc/self/status in MB"
    with open('/proc/self/status') as f:
        return next(int(v.split()[1]) for v in f if v.startswith(name)) / 2**10


def memory_in(e):
    "Did memory run out on the way to this exception?"
    while e is not None:
        if isinstance(e, MemoryError) or 'allocate memory' in str(e):
            return True
        e = e.__cause__ or e.__context__
    return False


def outcome(reader, given, checked, known):
    "(how it ended, what was said)"
    from dnas_nb.core import UserError
    from fuzz_inputs import digest, tidy

    try:
        got = digest(reader.read(given))
    except UserError as e:
        if memory_in(e):
            return 'big', str(e)
        try:
            tidy(e)
        except AssertionError as a:
            return 'traceback', str(a)
        return 'refused', str(e)
    except (Exception, RecursionError) as e:
        last = [f for f in traceback.extract_tb(e.__traceback__) if 'dnas_nb' in f.filename][-1:]
        where = f' ({Path(last[0].filename).name}, {last[0].name})' if last else ''
        return (
            'big' if memory_in(e) else 'traceback'
        ), f'{type(e).__name__}{where}: {" ".join(str(e).split())[:200]}'
    if got in known:
        return 'same', ''
    return 'wrong' if checked else 'other', ''


class Worker:
    "Runs cases in this process"

    def __init__(self, home):
        sys.path.insert(0, str(ROOT / 'tools'))
        import fuzz_inputs
        import pandas, PIL.Image, sklearn.datasets  # libraries do not count
        from dnas_nb.reading import interactions
        from dnas_nb.running import report
        from dnas_nb.running import study
        from dnas_nb.reading import wiring

        self.readers, self.home, self.seeds, self.known = fuzz_inputs.READERS, Path(home), {}, {}
        for name, reader in self.readers.items():
            folder = self.home / name.replace(' ', '-').replace(',', '')
            made = not folder.exists()
            folder.mkdir(exist_ok=True)
            listing = folder / 'seeds.txt'
            if not listing.exists():
                listing.write_text('\n'.join(map(str, reader.seeds(folder))))
            self.seeds[name] = [Path(p) for p in listing.read_text().splitlines()]
            self.known[name] = {
                fuzz_inputs.digest(reader.read(self.whole(name, p)))
                for p in self.seeds[name]
                if name != 'picture'
            }

    def whole(self, name, path):
        "A good input as its reader takes it"
        return (
            path.parent
            if name in ('run.json', 'history.csv', 'arrays.npz', 'nats folder')
            or name.startswith('checkpoint')
            else path
        )

    def limit(self):
        "From now on no more than `BYTES` beyond what is held"
        size = int(Path('/proc/self/statm').read_text().split()[0]) * resource.getpagesize()
        resource.setrlimit(resource.RLIMIT_AS, (size + BYTES, resource.RLIM_INFINITY))

    def case(self, seed, k, only=None):
        "Run case number `k`"
        names = [n for n in self.readers if self.seeds[n] and (only is None or only in n)]
        name = names[k % len(names)]
        rng = random.Random(f'{seed} {k}')
        with tempfile.TemporaryDirectory() as tmp:
            for attempt in range(5):  # some changes cannot be written down
                home = Path(tmp) / str(attempt)
                home.mkdir()
                try:
                    given, checked = self.readers[name].make(rng, self.seeds[name], home)
                except Exception as e:
                    why = repr(e)
                else:
                    return self.run(name, given, checked)
            return dict(
                reader=name, end='unmade', said=f'the generator: {why:.200}', seconds=0, mb=0
            )

    def run(self, name, given, checked):
        Path('/proc/self/clear_refs').write_text('5')
        before, start = held('VmRSS'), time.monotonic()
        try:
            end, said = outcome(self.readers[name], given, checked, self.known[name])
        except MemoryError:
            end, said = 'big', 'no memory to say what went wrong'
        spent = time.monotonic() - start
        return dict(
            reader=name,
            end=end,
            said=said,
            seconds=round(spent, 3),
            mb=round(held('VmHWM') - before),
        )


def serve(home):
    "Answer requests, a line each: a number of a case, or a reader and a path"
    answers = os.fdopen(os.dup(1), 'w')
    os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
    if not os.environ.get('FUZZ_LOUD'):
        os.dup2(1, 2)
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    os.environ.setdefault('DNAS_DATA', str(home))
    worker = Worker(home)
    worker.limit()
    print(json.dumps(dict(ready=True)), file=answers, flush=True)
    for line in sys.stdin:
        ask = json.loads(line)
        got = (
            worker.case(ask['seed'], ask['k'], ask.get('only'))
            if 'k' in ask
            else worker.run(ask['reader'], Path(ask['path']), False)
        )
        print(json.dumps(got), file=answers, flush=True)


# outside of it


class Process:
    "A worker process that is started again when it died"

    def __init__(self, home=None):
        self.own = None if home else tempfile.TemporaryDirectory(prefix='fuzz-')
        self.home, self.process, self.done = home or self.own.name, None, 0

    def start(self):
        env = {
            **os.environ,
            'PYTHONPATH': os.pathsep.join(
                [str(ROOT), *filter(None, [os.environ.get('PYTHONPATH')])]
            ),
            'OMP_NUM_THREADS': '1',
            'MPLBACKEND': 'agg',
        }
        self.process = subprocess.Popen(
            [sys.executable, __file__, '--serve', self.home],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            env=env,
            cwd=self.home,
        )
        if self.answer(600) is None:
            raise RuntimeError(
                f'the worker did not start: FUZZ_LOUD=1 {sys.executable} {__file__} --serve {self.home} says why'
            )

    def answer(self, seconds):
        "What it says next; None: nothing in time; {}: it died"
        if not select.select([self.process.stdout], [], [], seconds)[0]:
            return None
        line = self.process.stdout.readline()
        return json.loads(line) if line else {}

    def ask(self, **what):
        "The answer to one request; a worker that hangs or dies is replaced"
        if self.process is None:
            self.start()
        self.done += 1
        self.process.stdin.write(json.dumps(what) + '\n')
        self.process.stdin.flush()
        got = self.answer(SECONDS + 1)
        if got:
            if self.done % FRESH == 0:
                self.stop()
            return got if got['seconds'] <= SECONDS else got | dict(end='slow')
        code = self.stop(0 if got is None else 9)
        return dict(
            reader=what.get('reader', '?'),
            end='slow' if got is None else 'crash',
            said=f'ended with {code}',
            seconds=SECONDS,
            mb=0,
        )

    def stop(self, patience=0):
        "End the worker, or wait for its end; returns its code"
        if self.process is None:
            return None
        try:
            code = self.process.wait(patience)
        except subprocess.TimeoutExpired:
            self.process.kill()
            code = self.process.wait()
        self.process.stdout.close()
        try:
            self.process.stdin.close()
        except BrokenPipeError:
            pass
        self.process = None
        return code

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.stop()
        if self.own:
            self.own.cleanup()


def campaign(cases, seed=0, only=None, first=0, worker=None, tell=None):
    "Run the cases; returns dict reader -> Counter, dict reader -> (longest seconds, largest MB), list of findings"
    counts, most, found = defaultdict(Counter), defaultdict(lambda: (0.0, 0)), []
    with contextlib.nullcontext(worker) if worker else Process() as worker:
        for k in range(first, first + cases):
            got = worker.ask(seed=seed, k=k, only=only)
            name, end = got['reader'], got['end']
            counts[name][end] += 1
            most[name] = max(most[name][0], got['seconds']), max(most[name][1], got['mb'])
            if end in BAD:
                found.append(got | dict(k=k))
            if tell:
                tell(k, got)
    return counts, most, found


def table(counts, most):
    "The counts as text"
    lines = [
        'reader'.ljust(22)
        + 'cases'.rjust(7)
        + ''.join(e.rjust(10) for e in ENDS)
        + '   longest  largest'
    ]
    for name in sorted(counts):
        c = counts[name]
        lines.append(
            name.ljust(22)
            + str(sum(c.values())).rjust(7)
            + ''.join(str(c[e]).rjust(10) for e in ENDS)
            + f'{most[name][0]:8.1f} s{most[name][1]:6.0f} MB'
        )
    total = sum(counts.values(), Counter())
    return '\n'.join(
        [
            *lines,
            'all'.ljust(22)
            + str(sum(total.values())).rjust(7)
            + ''.join(str(total[e]).rjust(10) for e in ENDS),
        ]
    )


def main():
    p = argparse.ArgumentParser(
        description='Feed malformed inputs to every reader and count what happens'
    )
    p.add_argument('--cases', type=int, default=2000)
    p.add_argument('--seed', default='0')
    p.add_argument('--first', type=int, default=0, help='number of the first case')
    p.add_argument('--only', help='readers whose name holds this')
    p.add_argument('--one', type=int, help='run this case alone, in the open')
    p.add_argument('--serve', help=argparse.SUPPRESS)
    a = p.parse_args()
    if a.serve:
        return serve(a.serve)
    if a.one is not None:
        with tempfile.TemporaryDirectory() as home:
            print(json.dumps(Worker(home).case(a.seed, a.one, a.only), indent=1))
        return 0
    start = time.monotonic()

    def tell(k, got):
        if got['end'] in BAD:
            print(
                f"case {k}, {got['reader']}: {got['end']}, {got['said'][:200]}",
                file=sys.stderr,
                flush=True,
            )
        if k % 1000 == 999:
            print(f'{k + 1} cases, {time.monotonic() - start:.0f} s', file=sys.stderr, flush=True)

    counts, most, found = campaign(a.cases, a.seed, a.only, a.first, tell=tell)
    print(table(counts, most))
    print(
        f'{a.cases} cases, seed {a.seed}, {time.monotonic() - start:.0f} s; same: what the good file holds; other: other content, of a file without a checksum'
    )
    return 1 if found else 0


if __name__ == '__main__':
    sys.exit(main())
