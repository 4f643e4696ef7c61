"Studies: bad input is one line before anything starts; workers that die, sweeps that are killed and other backends end in the same frame."

import importlib, json, multiprocessing, os, signal, subprocess, sys, threading, time, types
from pathlib import Path
import numpy as np
import pandas as pd
import pytest
import torch
from conftest import fails
from dnas_nb.running.compare import compare, friedman, interval, pairs
from dnas_nb.core import UserError
from dnas_nb.running.cli import dnas_search, dnas_study
from dnas_nb.running.study import (
    _by_seconds,
    _groups,
    frame,
    keep_table,
    plan,
    plot_anytime,
    read_plan,
    shown,
    standing,
    study,
)

ROOT = Path(__file__).resolve().parent.parent
SMALL = dict(space='toy', epochs=1, images=40, batch=10, channels=2)
FOUR = dict(method=['darts', 'gdas'], seed=[0, 1], **SMALL)


@pytest.fixture(scope='module')
def straight(tmp_path_factory):
    "Four runs that nothing disturbed."
    out = tmp_path_factory.mktemp('study') / 'straight'
    study(FOUR, out, device='cpu')
    return out


def same(a, b):
    pd.testing.assert_frame_equal(frame(a, clock=False), frame(b, clock=False), check_exact=True)


@pytest.mark.parametrize(
    'what, parts',
    [
        (
            dict(method='darts', epoch=3),
            ("entry 1 of 1: unknown setting 'epoch'", "did you mean 'epochs'"),
        ),
        (dict(method=['darts', 'dart'], seed=[0, 1]), ("entry 3 of 4: unknown method 'dart'",)),
        (
            [dict(method='darts'), dict(method='darts', space='toi')],
            ("entry 2 of 2: unknown space 'toi'",),
        ),
        (dict(method='darts', data='digit'), ("did you mean 'digits'",)),
        (dict(method='darts', data='no.npz'), ('there is no file',)),
        (dict(method='darts', epochs=0), ('epochs must be',)),
        (dict(method='darts', seed='a'), ('seed must be a whole number',)),
        ([], ('nothing to run',)),
        (dict(method=[]), ('nothing to run',)),
        ('darts', ('a study is a dict',)),
        (['darts'], ('a study is a dict',)),
    ],
)
def test_refused_before_anything_starts(tmp_path, what, parts):
    fails(lambda: study(what, tmp_path / 's'), *parts)
    assert not (tmp_path / 's').exists()


def test_bad_arguments(tmp_path, straight):
    fails(lambda: study(FOUR, tmp_path, workers=0), 'workers must be')
    fails(lambda: study(FOUR, tmp_path, workers=1.5), 'workers must be')
    fails(lambda: study(FOUR, tmp_path, backend='rai'), "did you mean 'ray'")
    fails(lambda: frame(tmp_path), 'holds no study')
    (tmp_path / 'study.json').write_text('{')
    fails(lambda: frame(tmp_path), 'is not readable')
    (tmp_path / 'x.parquet').write_text('no parquet')
    fails(lambda: frame(tmp_path / 'x.parquet'), 'not a readable Parquet file')


def test_each_setting_has_its_folder():
    assert len(plan({**FOUR, 'epochs': [1, 2]})) == 8
    assert len(plan([FOUR, FOUR])) == 4


def test_finished_runs_are_skipped_and_parquet_agrees(straight):
    made = []
    study(FOUR, straight, device='cpu', on_run=lambda *x: made.append(x))
    assert made == []
    pytest.importorskip('pyarrow')
    pd.testing.assert_frame_equal(frame(straight), frame(straight / 'results.parquet'))


def test_without_pyarrow(straight, monkeypatch):
    def no(*a, **k):
        raise ImportError('pyarrow')

    monkeypatch.setattr(pd.DataFrame, 'to_parquet', no)
    said = []
    keep_table(straight, said.append)
    assert 'dnas_nb[study]' in said[0] and len(pd.read_csv(straight / 'results.csv')) == 4


def test_a_worker_that_dies(tmp_path):
    "Recorded, the others go on, a retry makes the run"
    long = dict(method='darts', seed=0, **{**SMALL, 'epochs': 400, 'space': 'nb201'})
    quick = dict(method='darts', seed=[2, 3], **SMALL)
    victims = list(plan(long))[:1]

    def kill():
        while not (tmp_path / 's' / victims[0] / 'history.csv').exists():
            time.sleep(0.05)
        multiprocessing.active_children()[0].kill()

    threading.Thread(target=kill, daemon=True).start()
    f = study([long, quick], tmp_path / 's', workers=1, device='cpu').set_index('run')
    assert (
        f.status[victims[0]] == 'died'
        and f.error[victims[0]] == 'the worker was killed by signal 9'
    )
    assert [f.status[n] for n in plan(quick)] == ['finished'] * 2


def test_killed_and_resumed(tmp_path, straight):
    "SIGKILL in the middle of the sweep: its workers leave too, the rest is made, the frame is the same"
    code = 'import json, sys; from dnas_nb.running.study import study; study(json.loads(sys.argv[1]), sys.argv[2], device="cpu")'
    p = subprocess.Popen([sys.executable, '-c', code, json.dumps(FOUR), str(tmp_path / 's')])

    def finished():
        try:
            return sum(r['status'] == 'finished' for r in standing(tmp_path / 's').values())
        except UserError:
            return 0

    while finished() < 1 and p.poll() is None:
        time.sleep(0.02)
    p.send_signal(signal.SIGKILL)
    p.wait()
    made = []
    study(FOUR, tmp_path / 's', device='cpu', on_run=lambda *x: made.append(x[0]))
    assert len(made) <= 3
    same(straight, tmp_path / 's')
    assert all(
        (straight / n / 'history.csv').read_bytes()
        == (tmp_path / 's' / n / 'history.csv').read_bytes()
        for n in plan(FOUR)
    )


def test_a_script_without_main_guard(tmp_path):
    "Workers do not execute the caller's script again"
    (tmp_path / 'script.py').write_text(
        f'print("once", flush=True)\nfrom dnas_nb.running.study import study\nf = study({dict(method="darts", seed=[0], **SMALL)!r}, {str(tmp_path/"s")!r}, device="cpu")\nprint(f.status.tolist())\n'
    )
    p = subprocess.run(
        [sys.executable, str(tmp_path / 'script.py')], capture_output=True, text=True
    )
    assert p.stdout.split() == ['once', "['finished']"], p.stderr


class FakeRay(types.ModuleType):
    "What `_on_ray` uses of Ray, without processes: the second task is lost"

    class exceptions:
        class RayError(Exception):
            pass

    def __init__(self):
        super().__init__('ray')
        self.log, self.n, self.up, self.have = [], 0, False, {}

    def is_initialized(self):
        return self.up

    def cluster_resources(self):
        return self.have

    def init(self, **kw):
        self.log.append(('init', kw))
        self.up = True

    def shutdown(self):
        self.log.append(('shutdown',))
        self.up = False

    def remote(self, **kw):
        self.log.append(('remote', kw))

        class Ref:
            def __init__(self, f, a):
                self.f, self.a = f, a

        return lambda f: types.SimpleNamespace(remote=lambda *a: Ref(f, a))

    def wait(self, refs):
        return refs[:1], refs[1:]

    def get(self, ref):
        self.n += 1
        if self.n == 2:
            raise self.exceptions.RayError('node lost')
        return ref.f(*ref.a)


def test_ray_by_a_fake(tmp_path, straight, monkeypatch):
    fake = FakeRay()
    monkeypatch.setitem(sys.modules, 'ray', fake)
    f = study(FOUR, tmp_path / 's', backend='ray', device='cpu')
    assert (
        f.status.tolist().count('died') == 1
        and 'was lost (RayError)' in f.error[f.status == 'died'].iloc[0]
    )
    study(FOUR, tmp_path / 's', backend='ray', device='cpu', retry=True)
    same(straight, tmp_path / 's')
    assert fake.log[0] == (
        'init',
        dict(
            address='local',
            log_to_driver=False,
            logging_level='ERROR',
            num_cpus=2,
            num_gpus=0,
            include_dashboard=False,
        ),
    ) and fake.log[-1] == ('shutdown',)


def test_workers_share_the_devices(monkeypatch):
    "All that are visible, or those that are named; the places of workers take them in turn"
    module = importlib.import_module('dnas_nb.running.study')
    monkeypatch.setattr(torch.cuda, 'device_count', lambda: 2)
    both = ('cuda:0', 'cuda:1')
    for name in ('auto', 'cuda', 'cuda:0,cuda:1', 'cuda:0, cuda:1'):
        assert module._devices(name) == both
    assert module._devices('cuda:1') == ('cuda:1',) and module._devices('cpu') == ('cpu',)
    fails(lambda: module._devices('cuda:0,cuda:2'), 'unknown device', 'cuda:2')
    fails(lambda: study(FOUR, 'nowhere', device='cuda:0,cuda:7'), 'cuda:7')
    given = [module._given((7, module._Each(both)), place)[1] for place in range(4)]
    assert given == ['cuda:0', 'cuda:1', 'cuda:0', 'cuda:1']


def test_ray_is_asked_for_gpus(tmp_path, monkeypatch):
    "A whole one on a cluster; here as many parts as there are workers. The run takes what it sees"
    module = importlib.import_module('dnas_nb.running.study')
    asked = []

    def ray(jobs, workers, begun, done, address, share, gpus):
        asked.append((share, gpus, {module._given(args, 1)[2] for _, args in jobs.values()}))

    monkeypatch.setitem(module._BACKENDS, 'ray', ray)
    book = types.SimpleNamespace(out=tmp_path, runs=dict(a={}, b={}), running=None, done=None)
    monkeypatch.setattr(torch.cuda, 'device_count', lambda: 2)
    module._make(book, ['a', 'b'], 2, 'ray', 'somewhere', 'cuda')
    module._make(book, ['a', 'b'], 4, 'ray', None, 'auto')
    module._make(book, ['a', 'b'], 3, 'ray', None, 'auto')    # two on one of them
    module._make(book, ['a', 'b'], 6, 'ray', None, 'cuda:1')
    module._make(book, ['a', 'b'], 4, 'ray', None, 'cpu')
    both = ('cuda:0', 'cuda:1')
    assert asked == [
        (1, (), {'cuda'}),
        (0.5, both, {'cuda'}),
        (0.5, both, {'cuda'}),
        (0.1666, ('cuda:1',), {'cuda'}),
        (0, (), {'cpu'}),
    ]


def test_a_local_ray_hands_out_the_named_gpus(monkeypatch):
    "Numbers among those that this process sees; what it sees stays"
    module = importlib.import_module('dnas_nb.running.study')
    name = 'CUDA_VISIBLE_DEVICES'
    monkeypatch.delenv(name, raising=False)
    assert module._shown(('cuda:1', 'cuda')) == '1,0'
    with module._showing(('cuda:1',)):
        assert os.environ[name] == '1'
    assert name not in os.environ
    monkeypatch.setenv(name, '4,5,7')
    with module._showing(('cuda:0', 'cuda:2')):
        assert os.environ[name] == '4,7'
    with module._showing(()):
        assert os.environ[name] == '4,5,7'
    assert os.environ[name] == '4,5,7'


def test_a_ray_without_gpus_is_refused(monkeypatch):
    "It would wait for one in silence; the Ray of a caller stays up"
    module = importlib.import_module('dnas_nb.running.study')
    fake = FakeRay()
    monkeypatch.setitem(sys.modules, 'ray', fake)
    jobs = dict(a=(os.getpid, ()))
    fails(lambda: module._on_ray(jobs, 1, print, print, share=1), 'no machine of this Ray has a GPU')
    assert fake.log[-1] == ('shutdown',)


def test_a_device_takes_what_its_memory_lets_fit(tmp_path, monkeypatch):
    "The forecast of a run and free memory are made up; the devices of the workers follow"
    module = importlib.import_module('dnas_nb.running.study')
    monkeypatch.setattr(torch.cuda, 'device_count', lambda: 2)
    monkeypatch.setattr(os, 'cpu_count', lambda: 64)
    free = {'cuda:0': 9000, 'cuda:1': 2000}
    monkeypatch.setattr(module, '_foreseen', lambda runs, devices: (1400, free))
    asked, said = [], []

    def caught(book, todo, workers, backend, address, device, track):
        asked.append((workers, device))

    monkeypatch.setattr(module, '_make', caught)
    given = dict(device='auto', tell=said.append)
    study(FOUR, tmp_path / 's', runs_per_device='auto', **given)
    study(FOUR, tmp_path / 's', runs_per_device=2, **given)
    study(FOUR, tmp_path / 's', workers=3, **given)
    both = 'cuda:0,cuda:1,cuda:0,cuda:0,cuda:0', 'cuda:0,cuda:1,cuda:0,cuda:1'
    assert asked == [(5, both[0]), (4, both[1]), (3, 'auto')]
    assert 'cuda:0: 4 at a time (9,000 MB free)' in said[0]
    for wrong in ('x', '0', 0, -1, 1.5):
        fails(lambda: study(FOUR, tmp_path / 's', runs_per_device=wrong), 'runs-per-device')
    with_ray = dict(backend='ray', address='somewhere', runs_per_device=2)
    fails(lambda: study(FOUR, tmp_path / 's', **with_ray), 'give --workers')


def test_a_forecast_of_real_runs():
    "In the process of the test: megabytes of the larger of two, and of what is free"
    module = importlib.import_module('dnas_nb.running.study')
    runs = plan(dict(FOUR, channels=[2, 16], batch=20))
    need, free = module._forecast(list(runs.values()), ('cpu',), ())
    assert 50 < need < 10_000 and free['cpu'] > 0
    assert module._forecast([dict(runs.popitem()[1], data='no')], ('cpu',), ())[0] == 'failed'


def test_ray_shows_two_runs_two_gpus(monkeypatch):
    "A Ray that hands out GPUs as it does: what a task was given is all that it sees"
    module = importlib.import_module('dnas_nb.running.study')

    class TwoGpus(FakeRay):
        def __init__(self):
            super().__init__()
            self.free, self.held, self.most, self.have = [0, 1], {}, 0, dict(GPU=2)

        def remote(self, num_gpus, **kw):
            def submit(f, args):
                ref = object()
                self.held[ref] = self.free.pop(0), f, args  # fails where more is asked for
                self.most = max(self.most, len(self.held))
                return ref

            return lambda f: types.SimpleNamespace(remote=lambda *a: submit(f, a))

        def get(self, ref):
            gpu, f, args = self.held.pop(ref)
            monkeypatch.setenv('CUDA_VISIBLE_DEVICES', str(gpu))
            self.free.append(gpu)
            return f(*args)

    fake, seen = TwoGpus(), {}
    monkeypatch.setitem(sys.modules, 'ray', fake)
    jobs = {f'run {k}': (os.environ.get, ('CUDA_VISIBLE_DEVICES',)) for k in range(4)}
    module._on_ray(jobs, 2, lambda name: None, seen.__setitem__, share=1)
    assert [seen[f'run {k}'] for k in range(4)] == ['0', '1', '0', '1'] and fake.most == 2


def test_ray_is_not_here(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, 'ray', None)
    fails(lambda: study(FOUR, tmp_path / 's', backend='ray'), "pip install 'dnas_nb[ray]'")


def results(seeds, methods=('a', 'b', 'c')):
    rng = np.random.default_rng(0)
    return pd.DataFrame(
        [
            dict(method=m, seed=s, test_acc=rng.normal(90 - k, 0.1), status='finished')
            for k, m in enumerate(methods)
            for s in range(seeds)
        ]
    )


def test_one_seed_is_not_ranked():
    for f in (compare, pairs, friedman):
        fails(lambda: f(results(1)), 'at least 2')
    fails(lambda: compare(results(3).assign(status='failed')), 'at least 2')
    fails(lambda: compare(results(3), 'acc'), 'unknown column')
    fails(lambda: pairs(results(3), test='anova'), 'unknown test')
    fails(lambda: friedman(results(3, 'ab')), 'at least 3 groups')
    one = pd.concat(
        [results(3), pd.DataFrame([dict(method='late', seed=9, test_acc=1.0, status='finished')])]
    )
    fails(lambda: compare(one), 'late has fewer than 2')


def test_disjoint_seeds_are_not_paired():
    f = results(4)
    f.loc[f.method == 'a', 'seed'] += 100
    fails(lambda: pairs(f), '0 seeds in common')
    fails(lambda: friedman(f), '0 seeds in common')
    assert compare(f).index[0] == 'a'


def test_equal_results():
    f = results(6).assign(test_acc=1.0)
    assert (
        (pairs(f).p == 1).all()
        and (pairs(f, test='ttest').p == 1).all()
        and interval([2.0, 2.0]) == (2.0, 2.0)
    )
    assert (compare(f).low == 1).all()


def test_intervals_of_few_values_are_not_bootstrapped():
    "Three values, 400 times: a bootstrap of them misses the mean in more than a quarter"
    drawn = np.random.default_rng(5).normal(size=(400, 3))
    inside = np.mean([low <= 0 <= high for low, high in map(interval, drawn)])
    assert 0.92 <= inside <= 0.98
    low, high = interval([0.0, 1.0])  # one degree of freedom
    assert low == pytest.approx(0.5 - 12.706 / 2, abs=1e-3) and high == 1 - low
    wide, narrow = (interval(np.arange(n) - (n - 1) / 2) for n in (19, 20))
    assert wide[1] == -wide[0] and narrow[1] != -narrow[0]  # symmetric below twenty only
    assert interval(drawn[0], 0.5)[0] > interval(drawn[0])[0]


def test_command(tmp_path, capsys):
    (tmp_path / 's.toml').write_text(
        'method = ["darts", "gdas"]\nspace = "toy"\nepochs = 1\nimages = 40\nbatch = 10\nchannels = 2\n'
    )
    for _ in range(2):
        dnas_study(str(tmp_path / 's.toml'), seeds='0,1', out=str(tmp_path / 's'), device='cpu')
    assert 'mean over seeds' in capsys.readouterr().out and len(frame(tmp_path / 's')) == 4
    for given, part in (
        (dict(file=str(tmp_path / 'no.toml')), 'there is no file'),
        (dict(methods='dartz', seeds='0'), "unknown method 'dartz'"),
        (dict(methods='darts', seeds='0,x'), 'whole numbers'),
    ):
        with pytest.raises(SystemExit) as e:
            dnas_study(out=str(tmp_path / 't'), **given)
        err = capsys.readouterr().err.replace('\r', '\n').strip().splitlines()
        assert e.value.code == 2 and part in err[-1] and not (tmp_path / 't').exists()


def test_command_with_a_failed_run_does_not_end_well(tmp_path, capsys):
    "A learning rate at which the loss becomes infinite: the table is shown, and the exit status is 1"
    given = dict(methods='darts', seeds='0', space='toy', images=40, epochs=1, batch=10, channels=2)
    with pytest.raises(SystemExit) as e:
        dnas_study(out=str(tmp_path / 's'), device='cpu', lr=1e30, workers=1, **given)
    said = capsys.readouterr()
    assert e.value.code == 1 and 'results' in said.out and '1 of 1 runs did not finish' in said.err


def test_files(tmp_path):
    for name, text in (('a.toml', 'x ='), ('a.json', '{'), ('b.toml', '\x00')):
        (tmp_path / name).write_text(text)
        fails(
            lambda: read_plan(tmp_path / name),
            str(tmp_path / name),
            'TOML' if name.endswith('toml') else 'JSON',
        )
    (tmp_path / 'l.json').write_text('[1]')
    fails(lambda: plan(read_plan(tmp_path / 'l.json')), 'a study is a dict')


def test_a_study_takes_every_setting_of_a_search():
    import inspect

    searched, studied = (set(inspect.signature(f).parameters) for f in (dnas_search, dnas_study))
    assert searched - studied == {
        'method',
        'resume',
        'watch',
    }  # methods in the plural; a study always goes on, and shows a line for each run


def test_a_study_hands_its_settings_on(tmp_path, monkeypatch):
    from dnas_nb.running import study as module

    asked = {}

    def caught(what, *rest):
        asked.update(what)
        raise UserError('enough')

    monkeypatch.setattr(module, 'study', caught)
    with pytest.raises((UserError, SystemExit)):
        dnas_study(
            methods='darts',
            out=str(tmp_path / 's'),
            opt='adamw',
            augment='photo',
            task='classification',
            compile='never',
        )
    assert (asked['opt'], asked['augment'], asked['task'], asked['compile']) == (
        'adamw',
        'photo',
        'classification',
        'never',
    )


def test_runs_of_other_commands_are_said(tmp_path, capsys):
    "A second study in the folder that is taken when none is named is shown with the first."
    given = dict(space='toy', epochs=1, images=40, batch=10, channels=2, device='cpu', workers=1)
    dnas_study(methods='darts', seeds='0', out=str(tmp_path / 's'), **given)
    assert 'other commands' not in capsys.readouterr().err
    dnas_study(methods='gdas', seeds='0', out=str(tmp_path / 's'), **given)
    assert '1 of these runs are of other commands: another --out' in capsys.readouterr().err


def test_a_finished_search_says_so(tmp_path, capsys):
    given = dict(space='toy', epochs=1, images=40, batch=10, channels=2, device='cpu')
    dnas_search(out=str(tmp_path / 's'), **given)
    assert 'finished before' not in capsys.readouterr().err
    dnas_search(out=str(tmp_path / 's'), resume=True, **given)
    assert 'finished before' in capsys.readouterr().err


def test_no_settings_mean_the_study_that_lies_there(tmp_path, monkeypatch, capsys):
    "They added a run of the defaults to it; without a study there is nothing to go on with"
    monkeypatch.chdir(tmp_path)
    with pytest.raises(SystemExit):
        dnas_study(out='nothing', device='cpu')
    assert 'holds no study yet' in capsys.readouterr().err
    given = {**SMALL, 'method': 'darts'}
    study(given | dict(seed=[0]), tmp_path / 's', workers=1, device='cpu')
    before = (tmp_path / 's' / 'study.json').read_text()
    dnas_study(out=str(tmp_path / 's'), device='cpu')
    assert (tmp_path / 's' / 'study.json').read_text() == before


def test_curves_over_seconds_show_nothing_from_the_future():
    "A run that begins after another has ended; NaN where seconds are not known"
    late = [(np.array([1.0, 2, 3]), np.array([0.1, 0.2, 0.3])), (np.array([5.0, 10, 15]), np.array([0.4, 0.5, 0.9]))]
    fails(lambda: _by_seconds(late), 'no time in common')
    unknown = [(np.array([np.nan, np.nan]), np.array([0.1, 0.2]))] * 2
    fails(lambda: _by_seconds(unknown), 'no time in common')
    x, (a, b) = _by_seconds([late[0], (np.array([2.0, 4]), np.array([0.4, 0.5]))])
    assert (x[0], x[-1], a[0], a[-1], b[0]) == (2, 3, 0.2, 0.3, 0.4)


def test_settings_that_some_runs_leave_to_the_default_tell_them_apart(tmp_path):
    "None is a value as well: by it two groups were one, or one was called nan"
    rows = [dict(run=f'{size}{seed}', method='darts', seed=seed, size=size, status='finished', test_acc=0.5 + 0.01 * seed)
            for size in (None, 6) for seed in (0, 1, 2)]
    frame = pd.DataFrame(rows)[['method', 'seed', 'size', 'status', 'run', 'test_acc']]
    assert _groups(frame) == ['method', 'size']
    assert 'darts –' in shown(frame.assign(error='')) and 'nan' not in shown(frame.assign(error='')).split('\n')[1]


def test_a_mean_over_seeds_is_none_over_sizes(tmp_path):
    given = {**SMALL, 'method': 'darts'}
    study(given | dict(seed=[0], channels=[2, 4]), tmp_path / 's', workers=1, device='cpu')
    fails(lambda: plot_anytime(tmp_path / 's'), 'runs of one method differ in channels')
    plot_anytime(tmp_path / 's', by='channels')


def test_a_study_in_which_nothing_finished_says_so():
    frame = pd.DataFrame([dict(run='a', method='darts', seed=0, status='failed', error='lost', test_acc=None)])
    assert 'no run is finished' in shown(frame)
