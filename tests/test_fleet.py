"Fleets: workers that share a folder and nothing else, killed, paused and called by other names, end in the frame of a study that nobody disturbed."

import importlib, json, multiprocessing, os, random, signal, socket, threading, time
from pathlib import Path
import pandas as pd
import pytest
from conftest import fails
from simulate_fleet import cheap, simulate
from dnas_nb.running import claims, fleet
from dnas_nb.running import study as studies
from dnas_nb.running.claims import Watch, claimed, ended, newest, owner, take
from dnas_nb.running.folder import account
from dnas_nb.running.study import frame, plan

FORTY = dict(method=['darts', 'gdas'], seed=list(range(20)), space='toy', epochs=3)
SMALL = dict(method='darts', seed=[0, 1, 2], space='toy', epochs=2, images=40, batch=10, channels=2)
FORK = multiprocessing.get_context('fork')
QUICK = dict(device='cpu', patience=0.6)


def host(what, out, k, said, given):
    "In a process: a worker on a machine of another name, whose clock is hours off"
    os.setpgid(0, 0)
    real, away = time.time, random.Random(k).uniform(-9, 9) * 3600
    time.time = lambda: real() + away
    socket.gethostname = lambda: f'host{k}'
    fleet.work(what, out, **{**QUICK, **given}, on_run=lambda *got: said.put((k, *got)))


class Hosts:
    "Workers in processes of their own, some of which are killed"

    def __init__(self, what, out, **given):
        self.what, self.out, self.given = what, out, given
        self.said, self.k, self.alive, self.lost = FORK.Queue(), 0, [], 0

    def start(self, n):
        for _ in range(n):
            args = self.what, self.out, self.k, self.said, self.given
            p = FORK.Process(target=host, args=args)
            p.start()
            self.alive.append(p)
            self.k += 1
        return self.alive[-1]

    def kill(self, p, sig=signal.SIGKILL):
        "The worker and the run that it makes, as a machine that loses power"
        try:
            os.killpg(p.pid, sig)
        except ProcessLookupError:
            os.kill(p.pid, sig)
        p.join()
        self.alive.remove(p)
        self.lost += 1

    def wait(self, seconds=120):
        for p in self.alive:
            p.join(seconds)
            assert p.exitcode == 0
        self.alive = []

    def close(self):
        for p in self.alive:
            p.kill()


@pytest.fixture
def hosts(monkeypatch):
    "Workers start their runs by fork: nothing has to be imported again"
    monkeypatch.setattr(fleet, '_context', lambda: FORK)
    monkeypatch.setattr(fleet, '_data_of', lambda runs, missing=(): {})
    monkeypatch.setattr(studies, '_attempt', cheap)
    made = []

    def begin(*args, **kwargs):
        made.append(Hosts(*args, **kwargs))
        return made[-1]

    yield begin
    for one in made:
        one.close()


def finished(out):
    return sum(account(out / name).get('status') == 'finished' for name in os.listdir(out))


def until(true, seconds=60):
    end = time.monotonic() + seconds
    while not true():
        assert time.monotonic() < end, 'it never came'
        time.sleep(0.005)


def alike(what, one, other):
    "The same frame, every run once, and the same bytes in every history"
    a, b = (frame(out, clock=False) for out in (one, other))
    pd.testing.assert_frame_equal(a, b, check_exact=True)
    assert sorted(a.run) == sorted(plan(what)) and set(a.status) == {'finished'}
    for name in a.run:
        assert (one / name / 'history.csv').read_bytes() == (
            other / name / 'history.csv'
        ).read_bytes()


def alone(what, out, attempt):
    "Every run in this process, one after the other"
    book = studies._ledger(out, plan(what))
    for name, entry in book.runs.items():
        book.note(name, *attempt(out / name, entry, 'cpu'))
    return out


@pytest.fixture(scope='module')
def straight(tmp_path_factory):
    return alone(FORTY, tmp_path_factory.mktemp('fleet') / 'straight', cheap)


def test_workers_that_are_killed_at_random(hosts, straight, tmp_path):
    "Three at a time; whenever some runs are done, one of them is killed and another host comes"
    out, rng = tmp_path / 's', random.Random(0)
    crowd = hosts(FORTY, out)
    crowd.start(3)
    for done in 4, 10, 16, 22, 28:
        until(lambda: out.exists() and finished(out) >= done)
        crowd.kill(rng.choice(crowd.alive))
        crowd.start(1)
    crowd.wait()
    assert crowd.lost == 5
    alike(FORTY, straight, out)


def test_four_hosts_whose_clocks_differ(hosts, straight, tmp_path):
    "Four names, clocks up to nine hours off; one dies, and no run is made twice but its own"
    out = tmp_path / 's'
    crowd = hosts(FORTY, out, patience=2.0)
    first = crowd.start(1)
    until(lambda: out.exists() and finished(out) >= 2)
    crowd.start(3)
    until(lambda: finished(out) >= 8)
    crowd.kill(first)
    crowd.wait()
    alike(FORTY, straight, out)
    turns = newest(out / 'fleet')
    owners = {owner(out / 'fleet' / f'{n}.{turns[n]}')['host'] for n in plan(FORTY)}
    assert owners >= {'host0', 'host1', 'host2', 'host3'}
    again = [n for n in plan(FORTY) if turns[n] > 1]
    assert len(again) <= 1 and all(
        owner(out / 'fleet' / f'{n}.1')['host'] == 'host0' for n in again
    )


def test_a_worker_that_was_paused(hosts, tmp_path, monkeypatch):
    "It sleeps in its run, another takes over and finishes; awake again it changes no byte"
    monkeypatch.setattr(studies, '_attempt', slow)
    what, out = dict(method='darts', seed=0, space='toy', epochs=12), tmp_path / 's'
    name = list(plan(what))[0]
    crowd = hosts(what, out)
    sleeper = crowd.start(1)
    until(lambda: account(out / name).get('epoch', 0) >= 2)
    os.killpg(sleeper.pid, signal.SIGSTOP)
    crowd.start(1)
    until(lambda: account(out / name).get('status') == 'finished')
    files = 'run.json', 'history.csv', 'last.pt'
    before = [(out / name / f).read_bytes() for f in files]
    os.killpg(sleeper.pid, signal.SIGCONT)
    crowd.wait()
    assert before == [(out / name / f).read_bytes() for f in files]
    assert newest(out / 'fleet')[name] == 2
    assert not ended(out / 'fleet' / f'{name}.1') and ended(out / 'fleet' / f'{name}.2')
    assert len(json.loads((out / name / 'last.pt').read_text())) == 12


def slow(folder, entry, *rest):
    return cheap(folder, entry, pause=0.08)


def test_searches(tmp_path, monkeypatch):
    "Real ones: three workers, one is killed in the middle; as a sweep makes them"
    monkeypatch.setattr(fleet, '_context', lambda: FORK)
    straight, out = alone(SMALL, tmp_path / 'straight', studies._attempt), tmp_path / 's'
    crowd = Hosts(SMALL, out, patience=1.0)
    try:
        first = crowd.start(1)
        until(lambda: list(out.glob('*/history.csv')))
        crowd.kill(first)
        crowd.start(2)
        crowd.wait()
    finally:
        crowd.close()
    alike(SMALL, straight, out)


def test_it_is_over_at_once_when_the_time_is_up(hosts, tmp_path, monkeypatch):
    "SIGTERM: what was claimed is released, and nobody has to wait for the silence"
    monkeypatch.setattr(studies, '_attempt', slow)
    what, out = dict(method='darts', seed=0, space='toy', epochs=40), tmp_path / 's'
    name = list(plan(what))[0]
    crowd = hosts(what, out, patience=3600.0)
    worker = crowd.start(1)
    until(lambda: account(out / name).get('epoch', 0) >= 1)
    os.kill(worker.pid, signal.SIGTERM)
    worker.join(20)
    assert ended(out / 'fleet' / f'{name}.1')['status'] == 'released'
    crowd.alive = []
    monkeypatch.setattr(studies, '_attempt', cheap)
    assert fleet.work(out=out, device='cpu').status.tolist() == ['finished']


def bad(folder, entry, *rest):
    return ('failed', 'UserError: no') if entry['seed'] == 1 else cheap(folder, entry)


def gone(folder, entry, *rest):
    if entry['seed'] == 1:
        os.kill(os.getpid(), signal.SIGKILL)
    return cheap(folder, entry)


@pytest.mark.parametrize('attempt, status', [(bad, 'failed'), (gone, 'died')])
def test_failures_are_rows_and_are_repeated_on_demand(
    hosts, tmp_path, monkeypatch, attempt, status
):
    what, out = dict(method='darts', seed=[0, 1, 2], space='toy', epochs=1), tmp_path / 's'
    monkeypatch.setattr(studies, '_attempt', attempt)
    for _ in range(2):  # the second one has nothing to do
        f = fleet.work(what, out, **QUICK).set_index('seed')
        assert f.status.tolist() == ['finished', status, 'finished'] and f.error[1]
    monkeypatch.setattr(studies, '_attempt', cheap)
    assert fleet.work(out=out, retry=True, **QUICK).status.tolist() == ['finished'] * 3


def test_a_run_that_takes_its_workers_with_it(hosts, tmp_path):
    "After ten of them it is given up"
    what, out = dict(method='darts', seed=0, space='toy', epochs=1), tmp_path / 's'
    name = list(plan(what))[0]
    for turn in range(1, 11):
        take(out / 'fleet', name, turn)
    f = fleet.work(what, out, device='cpu', patience=0.1)
    assert f.status.tolist() == ['died'] and '10 workers' in f.error[0]


def test_another_study_is_refused(hosts, tmp_path, monkeypatch):
    "Other settings, other data, other versions, and a sweep: each in one line"
    what, out = dict(method='darts', seed=[0, 1], space='toy', epochs=1), tmp_path / 's'
    fails(lambda: fleet.work(out=out, **QUICK), 'holds no study yet')
    fleet.work(what, out, **QUICK)
    fails(lambda: fleet.work({**what, 'epochs': 2}, out, **QUICK), 'holds a study of 2 runs')
    fails(lambda: fleet.work(what, out, device='cpu', workers=0), 'workers must be')
    fails(lambda: fleet.work(what, out, device='cpu', patience=0.0), 'patience must be')
    before = json.loads((out / 'fleet.json').read_text())
    before['versions']['torch'] = '1.0'
    (out / 'fleet.json').write_text(json.dumps(before))
    fails(lambda: fleet.work(what, out, **QUICK), 'torch 1.0', 'install the same')
    claim = take(out / 'fleet', list(plan(what))[0], 2, host='node7')
    fails(lambda: studies.study(what, out, device='cpu'), 'node7', '--worker')
    assert claim.end('released')


def test_other_data_are_refused(tmp_path, monkeypatch):
    "Compared by contents, before a run is claimed"
    import numpy as np

    monkeypatch.setattr(fleet, '_context', lambda: FORK)
    monkeypatch.setattr(studies, '_attempt', cheap)
    rng = np.random.default_rng(0)
    x, y = rng.integers(0, 256, (80, 3, 8, 8), dtype=np.uint8), np.arange(80) % 2
    np.savez(tmp_path / 'mine.npz', x=x, y=y)
    what = dict(method='darts', data=str(tmp_path / 'mine.npz'), space='toy', epochs=1)
    fleet.work(what, tmp_path / 's', **QUICK)
    np.savez(tmp_path / 'mine.npz', x=x, y=1 - y)
    fails(lambda: fleet.work(what, tmp_path / 's', **QUICK), 'fingerprint')


def test_a_sweep_is_at_work(hosts, tmp_path):
    from dnas_nb.running.folder import lock

    (tmp_path / 's').mkdir()
    with lock(tmp_path / 's'):
        fails(lambda: fleet.work(SMALL, tmp_path / 's', **QUICK), 'in use by another run')


def test_a_folder_without_locks(hosts, tmp_path, monkeypatch, capsys):
    "File locks refuse: workers do not need them, a sweep falls back to beats and says so"
    import errno, fcntl

    def none(*args):
        raise OSError(errno.ENOLCK, 'No locks available')

    monkeypatch.setattr(fcntl, 'flock', none)
    what = dict(method='darts', seed=[0, 1], space='toy', epochs=1)
    assert len(fleet.work(what, tmp_path / 's', **QUICK)) == 2
    assert 'without locks' in capsys.readouterr().err


@pytest.mark.parametrize('text', ['{"patience": 6', '{"patience": "long", "versions": {}}'])
def test_a_damaged_agreement_is_one_line_that_says_what_to_do(text, tmp_path):
    (tmp_path / 'fleet.json').write_text(text)
    fails(lambda: fleet._agreed(tmp_path), 'delete it, the next one writes it anew')


def test_a_claim_is_won_once(tmp_path):
    "Twenty threads want each of ten turns"
    for turn in range(1, 11):
        won = []
        line = threading.Barrier(20)

        def want():
            line.wait()
            won.append(take(tmp_path, 'run', turn))

        crowd = [threading.Thread(target=want) for _ in range(20)]
        [t.start() for t in crowd]
        [t.join() for t in crowd]
        assert len([c for c in won if c]) == 1
    assert newest(tmp_path) == {'run': 10} and not list(tmp_path.glob('.new-*'))
    assert not any((tmp_path / f'run.{k}' / 'desk').exists() for k in range(1, 10))


def test_a_lost_answer(tmp_path, monkeypatch):
    "The server renames, and its answer is lost: who won finds its own name there"
    real = os.rename

    def lossy(a, b):
        real(a, b)
        raise OSError('timed out')

    monkeypatch.setattr(claims.os, 'rename', lossy)
    assert take(tmp_path, 'run').beat() and take(tmp_path, 'run') is None


def test_a_slow_clock_and_a_fast_one(tmp_path):
    "Silence is measured between two looks at a beat, never between two clocks"
    now = [1e9]
    watch = Watch(patience=4, clock=lambda: now[0])
    claim = take(tmp_path, 'run')
    os.utime(claim.desk / 'beat', (0, 0))
    for _ in range(30):
        assert not watch.silent(claim.folder)
        now[0] += 1
        claim.beat()
        os.utime(claim.desk / 'beat', (9e9, 9e9))
    said = []
    for _ in range(5):
        said.append(watch.silent(claim.folder))
        now[0] += 1
    assert said == [False] * 4 + [True]


def test_command(hosts, tmp_path, capsys):
    from dnas_nb.running.cli import dnas_study

    given = dict(device='cpu', worker=True, patience=0.6, workers=1, out=str(tmp_path / 's'))
    dnas_study(methods='darts,gdas', seeds='0,1', space='toy', epochs=1, **given)
    dnas_study(**given)  # joins what is there
    assert capsys.readouterr().out.count('mean over seeds') == 2
    with pytest.raises(SystemExit) as e:
        dnas_study(methods='darts', seeds='0,1', space='toy', epochs=9, **given)
    assert e.value.code == 2 and 'asks for 2' in capsys.readouterr().err


@pytest.mark.skipif('slow' not in os.environ.get('DNAS_FLAGS', ''), reason='DNAS_FLAGS=slow')
def test_a_thousand_runs(hosts, tmp_path):
    "One worker in five is killed; complete, nothing twice"
    told = simulate(tmp_path / 's', runs=1000, kills=0.2)
    assert told['finished'] == told['runs'] == told['distinct'] == 1000
