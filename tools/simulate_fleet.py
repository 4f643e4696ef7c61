"""A study of simulated runs whose workers are lost at random: `python tools/simulate_fleet.py [--runs 1000] [--kills 0.2] [--workers 4]`.

Everything is real but the search: processes, claims, beats, takeovers, checkpoints, books. With the probability `--kills` a run's worker is
killed (SIGKILL, with the run) while it makes it; another comes at once, as in an array of jobs. Ends with status 1 unless every run is there once.
"""

import argparse, json, multiprocessing, os, random, signal, sys, tempfile, time
from pathlib import Path

for k in ('OMP_NUM_THREADS', 'MKL_NUM_THREADS', 'OPENBLAS_NUM_THREADS'):
    os.environ.setdefault(k, '1')
ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))
FORK = multiprocessing.get_context('fork')


def cheap(folder, entry, *rest, pause=0.0, then=None):
    "What a search leaves on disk, of figures that the settings decide; goes on from its checkpoint"
    from dnas_nb.core import WriteError, as_json, write_atomic
    from dnas_nb.running.folder import Keeper, account

    if account(folder).get('status') == 'finished':
        return 'finished', ''
    folder, rng = Path(folder), random.Random(str(sorted(entry.items())))
    keeper = Keeper(folder, dict(task='search', settings=entry, status='running'))
    last = folder / 'last.pt'
    rows = json.loads(last.read_text()) if last.exists() else []
    draws = [rng.random() for _ in range(entry['epochs'])]
    try:
        keeper.begin(rows)
        for epoch in range(len(rows), entry['epochs']):
            time.sleep(pause)
            rows.append(dict(epoch=epoch + 1, valid_acc=draws[epoch]))
            keeper.epoch(rows, lambda path: write_atomic(path, as_json(rows)))
            if then:
                then(epoch)
        result = dict(arch='a', valid_acc=draws[-1], test_acc=sum(draws))
        keeper.note(status='finished', result=result, seconds=1.0)
    except WriteError as e:
        return 'failed', str(e)
    return 'finished', ''


def doomed(kills):
    "A run that loses its worker with that probability, after any of its epochs"

    def attempt(folder, entry, *rest):
        rng = random.Random(os.urandom(8))
        at = rng.randrange(entry['epochs']) if rng.random() < kills else None

        def then(epoch):
            if epoch == at:
                os.killpg(os.getpgid(0), signal.SIGKILL)

        return cheap(folder, entry, then=then)

    return attempt


def worker(what, out, patience):
    "In a process of its own, with a group of its own"
    from dnas_nb.running import fleet

    os.setpgid(0, 0)
    fleet.work(what, out, device='cpu', patience=patience)


def simulate(out, runs=1000, kills=0.2, workers=4, patience=1.0, tell=lambda line: None):
    "Figures of one study: runs, how many finished, distinct ones, workers lost, seconds"
    from dnas_nb.running import fleet, study as studies

    what = dict(method='random', seed=list(range(runs)), space='toy', epochs=2)
    kept = fleet._context, fleet._data_of, studies._attempt
    fleet._context, fleet._data_of = (lambda: FORK), (lambda runs, missing=(): {})
    studies._attempt = doomed(kills)
    begun, lost, alive = time.monotonic(), 0, []
    try:
        while True:
            alive = [p for p in alive if p.exitcode is None]
            for _ in range(workers - len(alive)):
                alive.append(FORK.Process(target=worker, args=(what, out, patience)))
                alive[-1].start()
            alive[0].join(0.05)
            ended = [p.exitcode for p in alive if p.exitcode is not None]
            lost += sum(code == -signal.SIGKILL for code in ended)
            if any(code not in (0, -signal.SIGKILL) for code in ended):
                raise RuntimeError(f'a worker ended with {ended}')
            if 0 in ended:
                break
        for p in alive:
            p.join(60)
    finally:
        [p.kill() for p in alive if p.exitcode is None]
        fleet._context, fleet._data_of, studies._attempt = kept
    seconds = time.monotonic() - begun
    frame = studies.frame(out)
    turns = [int(p.name.rpartition('.')[2]) for p in (Path(out) / 'fleet').glob('random-*')]
    return dict(
        runs=runs,
        finished=int((frame.status == 'finished').sum()),
        distinct=int(frame.run.nunique()),
        taken_over=sum(turn > 1 for turn in turns),
        lost=lost,
        seconds=round(seconds, 1),
    )


def bare(runs):
    "Milliseconds of the simulated run itself, in one process, without claims"
    with tempfile.TemporaryDirectory() as d:
        begun = time.monotonic()
        for k in range(runs):
            cheap(Path(d) / str(k), dict(seed=k, epochs=2))
        return 1000 * (time.monotonic() - begun) / runs


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument('--runs', type=int, default=1000)
    parser.add_argument('--kills', type=float, default=0.2)
    parser.add_argument('--workers', type=int, default=4)
    a = parser.parse_args()
    alone = bare(min(a.runs, 200))
    print(f'the run itself           {alone:7.1f} ms')
    for workers, kills in ((1, 0.0), (a.workers, 0.0), (a.workers, a.kills)):
        with tempfile.TemporaryDirectory() as d:
            told = simulate(Path(d) / 's', a.runs, kills, workers)
        each = 1000 * told['seconds'] / a.runs
        print(f'{workers} workers, {kills:.0%} killed    {each:7.1f} ms a run, {told}', flush=True)
        if not told['finished'] == told['distinct'] == a.runs:
            sys.exit(1)


if __name__ == '__main__':
    main()
