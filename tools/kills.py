"""Kill commands with SIGKILL at every file they replace and at steps in between, give the same command again, and compare.

    tools/kills.py --out /tmp/kills              200 kills; stopped, the same command goes on
    tools/kills.py --out /tmp/kills --kills 40 --jobs stop,study

The end state of each job (history, genotype, arrays, pictures, page, checkpoint; run.json up to clocks) must be that of a run
that nobody disturbed. Each replacement is met once just before it happens; the other kills are drawn: just after one, before
one with half of its bytes written, in a training step; a fifth of the runs is killed once more while it goes on.
"""

import argparse, functools, hashlib, json, os, random, re, runpy, shutil, signal, sys, time
from collections import Counter
from dataclasses import asdict, dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
SEARCH = '--space toy --images 80 --batch 20 --channels 4 --device cpu --epochs {} --resume'
CELL = '|nor_conv_3x3~0|+|none~0|none~1|+|skip_connect~0|none~1|nor_conv_1x1~2|'
JOBS = dict(
    danas=['dnas_search', '--method', 'danas', *SEARCH.format(3).split()],
    prune=['dnas_search', '--method', 'danas-prune', *SEARCH.format(4).split()],
    stop=['dnas_search', '--method', 'darts+', '--arch_lr', '.05', *SEARCH.format(9).split()],
    perturb=['dnas_search', '--method', 'darts-pt', *SEARCH.format(2).split()],
    retrain=[
        'dnas_train',
        CELL,
        *'--images 80 --epochs 4 --channels 4 --device cpu --resume'.split(),
    ],
    study=[
        'dnas_study',
        *'--methods darts,danas --seeds 0 --space toy --epochs 2'.split(),
        *'--images 40 --batch 10 --channels 2 --device cpu --workers 1'.split(),
    ],
)
CLOCKS = {
    'started',
    'epoch_seconds',
    'seconds',
    'derive_seconds',
    'peak_mb',
    'predicted_mb',
    'memory',
}


@dataclass(frozen=True)
class Kill:
    "One kill: where, and what dies"

    job: str  # name in JOBS
    when: str  # 'before', 'after', 'half': of a replacement; 'step': of training
    n: int  # of which one, from 1
    what: str  # the file that is replaced, or what is trained
    group: bool  # every process of the command, or only the one that gets there?
    twice: bool  # killed again while it goes on?


# in the process that will die: light imports only, this also runs as sitecustomize of the workers


def seen(what) -> int:
    "Write an event down; which one of its kind it is, counted over all processes of a command"
    kind = what.split(' ')[0]
    fd = os.open(f"{os.environ['KILLS_LOG']}.{kind}", os.O_WRONLY | os.O_APPEND | os.O_CREAT)
    os.write(fd, b'.')
    n = os.fstat(fd).st_size
    os.close(fd)
    with open(os.environ['KILLS_LOG'], 'a') as f:
        f.write(what + '\n')
    return n


def die(what):
    "Leave a note, and die as in a power failure"
    with open(os.environ['KILLS_LOG'] + '.killed', 'w') as f:
        f.write(what)
    if os.environ['KILLS_GROUP'] == '1':
        os.killpg(0, signal.SIGKILL)
    os.kill(os.getpid(), signal.SIGKILL)


def install():
    "Count the replacements of files, and die at one of them where the environment says so"
    when, wanted, real = os.environ['KILLS_WHEN'], int(os.environ['KILLS_N']), os.replace

    @functools.wraps(real)
    def replace(src, dst, **kw):
        n = seen(f'replace {Path(dst).name}')
        if n == wanted and when == 'half':
            os.truncate(src, os.path.getsize(src) // 2)
        if n == wanted and when in ('before', 'half'):
            die(str(dst))
        real(src, dst, **kw)
        if n == wanted and when == 'after':
            die(str(dst))

    os.replace = replace


def install_steps():
    "Count the steps of training, and die in one of them where the environment says so"
    from dnas_nb import bilevel
    from dnas_nb.running import evaluate
    from dnas_nb.running import referee

    wanted = int(os.environ['KILLS_N']) if os.environ['KILLS_WHEN'] == 'step' else 0

    def counted(step, what):
        @functools.wraps(step)
        def wrapped(*args, **kw):
            if seen(f'step {what}') == wanted:
                die(what)
            return step(*args, **kw)

        return wrapped

    bilevel.weight_step = counted(bilevel.weight_step, 'of the search')
    referee.weight_step = counted(referee.weight_step, 'of the tuning')
    evaluate._step = counted(evaluate._step, 'of a network alone')


def command(argv, folder, kill=None) -> tuple:  # (exit status, was it killed?, what happened)
    "Give a command in a process of its own, with its files in `folder`"
    log = folder.with_suffix('.log')
    for old in log.parent.glob(f'{log.name}*'):
        old.unlink()
    sys.stdout.flush()
    pid = os.fork()
    if not pid:
        try:
            code = inside(argv, folder, log, kill)
        except SystemExit as e:
            code = e.code or 0
        except BaseException:
            code = 1
        os._exit(code if isinstance(code, int) else 1)
    status = os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
    marker, events = Path(f'{log}.killed'), log.read_text().splitlines() if log.exists() else []
    return status, marker.read_text() if marker.exists() else '', events


def inside(argv, folder, log, kill) -> int:
    "What the forked process does"
    os.setsid()
    fd = os.open(folder.with_suffix('.out'), os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
    os.dup2(fd, 1)
    os.dup2(fd, 2)
    plan = kill or Kill('', '', 0, '', False, False)
    hooks = folder.parent / 'hooks'
    os.environ.update(
        KILLS_LOG=str(log),
        KILLS_WHEN=plan.when,
        KILLS_N=str(plan.n),
        KILLS_GROUP=str(int(plan.group)),
        PYTHONPATH=os.pathsep.join([str(hooks), str(ROOT), os.environ.get('PYTHONPATH', '')]),
    )
    install()
    install_steps()
    sys.argv = [*argv, '--out', str(folder)]
    runpy.run_path(str(Path(sys.executable).with_name(argv[0])), run_name='__main__')
    return 0


# in the process that compares


def plain(value):
    "A value without its clocks, tensors and arrays by their bytes"
    if isinstance(value, dict):
        return {str(k): plain(v) for k, v in value.items() if k not in CLOCKS}
    if isinstance(value, (list, tuple)):
        return [plain(v) for v in value]
    if hasattr(value, 'detach'):
        value = value.detach().contiguous().numpy()
    if hasattr(value, 'tobytes'):
        return [str(value.dtype), list(value.shape), hashlib.sha256(value.tobytes()).hexdigest()]
    return value if isinstance(value, (int, str, type(None))) else repr(value)


def content(path):
    "What a file says, in a form that can be compared"
    import numpy as np
    import torch

    if path.suffix == '.pt':
        return plain(torch.load(path, weights_only=True))
    if path.suffix == '.npz':
        with np.load(path) as z:
            return plain({k: z[k] for k in z.files})
    if path.suffix == '.parquet':
        from dnas_nb.running.study import CLOCK, read_parquet

        return read_parquet(path).drop(columns=CLOCK).to_csv()
    if path.name in ('run.json', 'study.json'):
        return plain(json.loads(path.read_text()))
    if path.suffix == '.html':
        return re.findall(r'data:image/png;base64,[^"]*', path.read_text())
    return hashlib.sha256(path.read_bytes()).hexdigest()


def state(folder) -> dict:
    "Every file in a folder and what it says"
    found = {}
    for path in sorted(folder.rglob('*')):
        if path.is_file():
            found[str(path.relative_to(folder))] = json.loads(json.dumps(content(path)))
    return found


def differences(a, b) -> list:
    "The files in which two states differ"
    return sorted(k for k in {*a, *b} if k not in a or k not in b or a[k] != b[k])


@dataclass(frozen=True)
class Whole:
    "A job that nobody disturbed"

    state: dict  # see `state`
    events: list  # lines 'replace NAME' and 'step WHAT', in order


def undisturbed(job, home) -> Whole:
    "Run a job to its end, once; its state is kept in `home`"
    kept, folder = home / f'{job}.json', home / f'{job}-whole'
    if not kept.exists():
        shutil.rmtree(folder, ignore_errors=True)
        status, _, events = command(JOBS[job], folder)
        if status:
            sys.exit(f'{job} fails undisturbed: see {folder.with_suffix(".out")}')
        kept.write_text(json.dumps(dict(state=state(folder), events=events)))
    return Whole(**json.loads(kept.read_text()))


def kills(wholes, n, seed) -> list:
    "`n` kills: each replacement of each job once, then others as they are drawn"
    rng, every, others = random.Random(seed), [], []
    for job, whole in wholes.items():
        count = Counter()
        for event in whole.events:
            kind, what = event.split(' ', 1)
            count[kind] += 1
            group, twice = rng.random() < 0.7, rng.random() < 0.2
            if kind == 'replace':
                every.append(Kill(job, 'before', count[kind], what, group, twice))
            for when in ('after', 'half') if kind == 'replace' else ('step',):
                others.append(Kill(job, when, count[kind], what, group, twice))
    steps = [k for k in others if k.when == 'step']
    files = [k for k in others if k.when != 'step']
    for some in (every, steps, files):
        rng.shuffle(some)
    mixed = [k for pair in zip(steps, files) for k in pair]
    return (every + mixed)[:n] if len(every) < n else every[:n]


def survive(kill, whole, home, name) -> dict:
    "Kill a job, give its command again until it ends, and compare"
    folder, argv, t0 = home / name, JOBS[kill.job], time.monotonic()
    for old in (folder, folder.with_suffix('.log')):
        shutil.rmtree(old, ignore_errors=True)
    status, met, _ = command(argv, folder, kill)
    if kill.twice and met:
        again = Kill(kill.job, kill.when, max(1, kill.n // 2), kill.what, kill.group, False)
        status, _, _ = command([*argv, *retry(kill, status)], folder, again)
    end, _, _ = command([*argv, *retry(kill, status)], folder)
    said = folder.with_suffix('.out').read_text().strip().splitlines()
    differs = differences(whole.state, state(folder)) if folder.exists() else ['everything']
    if not end and not differs:
        shutil.rmtree(folder)
        for old in home.glob(f'{name}.*'):
            old.unlink()
    return dict(
        asdict(kill),
        killed=bool(met),
        status=end,
        differs=differs,
        said=said[-1:] if end else [],
        seconds=round(time.monotonic() - t0, 1),
    )


def retry(kill, status) -> list:
    "What must be added to a study that has lost a worker, not itself"
    return ['--retry'] if kill.job == 'study' and status >= 0 else []


def good(row) -> bool:
    return row['killed'] and not row['status'] and not row['differs']


def told(rows) -> str:
    "The counts by job and by what was met"
    stages = Counter((r['job'], r['when'], r['what']) for r in rows)
    fine = Counter((r['job'], r['when'], r['what']) for r in rows if good(r))
    lines = [
        f'{job:8} {when:6} {what:24} {fine[k]:3} of {c}'
        for k, c in sorted(stages.items())
        for job, when, what in [k]
    ]
    for job in JOBS:
        mine = [r for r in rows if r['job'] == job]
        if mine:
            lines.append(f'{job:8} {sum(map(good, mine))} of {len(mine)} identical')
    lines += [f'NOT: {r}' for r in rows if not good(r)]
    twice = sum(r['twice'] for r in rows)
    return '\n'.join(
        [*lines, f'{sum(map(good, rows))} of {len(rows)} identical, {twice} of them killed twice']
    )


def campaign(home, n=200, seed=0, jobs=tuple(JOBS), tell=print) -> list:
    "Make the kills that are missing; one dict each"
    home = Path(home).resolve()
    (home / 'hooks').mkdir(parents=True, exist_ok=True)
    (home / 'hooks' / 'sitecustomize.py').write_text(
        f'import os, sys\nsys.path.insert(0, {str(ROOT/"tools")!r})\n'
        'if "KILLS_LOG" in os.environ:\n    import kills\n    kills.install()\nsys.path.pop(0)\n'
    )
    import dnas_nb.running.cli, dnas_nb.running.report, dnas_nb.running.study, matplotlib.figure, pandas, sklearn.datasets, torch._dynamo  # once, for all forks

    wholes = {job: undisturbed(job, home) for job in jobs}
    done = home / f'kills-{seed}.jsonl'
    rows = [json.loads(line) for line in done.read_text().splitlines()] if done.exists() else []
    known = {tuple(r[k] for k in ('job', 'when', 'n')) for r in rows}
    for i, kill in enumerate(kills(wholes, n, seed)):
        if (kill.job, kill.when, kill.n) in known:
            continue
        rows.append(survive(kill, wholes[kill.job], home, f'kill-{i}'))
        with open(done, 'a') as f:
            f.write(json.dumps(rows[-1]) + '\n')
        if tell:
            tell(
                f"{len(rows)} of {n}: {kill.job}, {kill.when} {kill.n} ({kill.what}): {'identical' if good(rows[-1]) else rows[-1]}"
            )
    return rows


def main():
    p = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    p.add_argument('--out', default='runs/kills', help='folder for the runs and the results so far')
    p.add_argument('--kills', type=int, default=200, help='how many')
    p.add_argument('--seed', type=int, default=0, help='which of the others are drawn')
    p.add_argument('--jobs', default=','.join(JOBS), help='some of them, with commas')
    a = p.parse_args()
    rows = campaign(a.out, a.kills, a.seed, a.jobs.split(','), functools.partial(print, flush=True))
    print(told(rows))
    return int(not all(map(good, rows)))


if __name__ == '__main__':
    os.environ.setdefault('OMP_NUM_THREADS', '1')
    sys.path.insert(0, str(ROOT))
    sys.exit(main())
