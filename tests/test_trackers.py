"Trackers: several callbacks at once, libraries by fakes (TensorBoard in earnest where it is installed), a missing one in one line."

import inspect, multiprocessing, sys, types
import pytest
from conftest import fails
from dnas_nb.running import fleet
from dnas_nb.running import study as studies
from dnas_nb.running.cli import dnas_search, dnas_study, dnas_train
from dnas_nb.running.experiment import run
from dnas_nb.running.live import Live
from dnas_nb.running.retrain import retrain
from dnas_nb.running.trackers import TRACKERS, tensorboard, trackers_of

TINY = dict(space='toy', epochs=2, images=40, batch=10, channels=2, device='cpu')
QUIET = dict(TINY, method='darts', report=False)


@pytest.fixture
def wandb(monkeypatch):
    "What a tracker uses of W&B, in memory"
    fake = types.ModuleType('wandb')
    fake.pages = []

    class Page:
        def __init__(self, **about):
            self.about, self.rows, self.ended = about, [], False
            fake.pages.append(self)

        def log(self, numbers, step):
            self.rows.append((step, numbers))

        def finish(self):
            self.ended = True

    fake.init = lambda **about: Page(**about)
    monkeypatch.setitem(sys.modules, 'wandb', fake)
    return fake


@pytest.mark.parametrize('name', TRACKERS)
def test_a_library_that_is_missing(name, tmp_path, monkeypatch):
    "One line, before anything starts; on the command line too"
    module = 'torch.utils.tensorboard' if name == 'tensorboard' else name
    monkeypatch.setitem(sys.modules, module, None)
    fails(lambda: trackers_of(name), f"pip install 'dnas_nb[{name}]'")
    fails(lambda: studies.study(dict(method='darts'), tmp_path / 's', track=name), name)
    fails(lambda: fleet.work(dict(method='darts'), tmp_path / 's', track=name), name)
    assert not (tmp_path / 's').exists()


def test_names():
    fails(lambda: trackers_of('tensorbord'), "did you mean 'tensorboard'")
    assert trackers_of(None) == trackers_of('') == []


def test_several_at_once(tmp_path, wandb):
    "A live view, a tracker and a function, in this order; an empty list is none"
    shown, seen = [], []
    live = Live(show=shown.append, share=None)
    watch = [live, *trackers_of('wandb'), lambda state, s: seen.append(state.epoch)]
    r = run(tmp_path / 'a', on_epoch=watch, **QUIET)
    page = wandb.pages[0]
    assert (len(shown), seen, page.ended) == (2, [1, 2], True)
    assert [step for step, _ in page.rows] == [1, 2]
    assert [n['valid_acc'] for _, n in page.rows] == list(r.trace.scalars['valid_acc'])
    assert page.about['config']['method'] == 'darts' and page.about['resume'] == 'allow'
    assert run(tmp_path / 'b', on_epoch=[], **QUIET).trace == r.trace
    for wrong in (['no'], 'no', 3):
        fails(lambda: run(tmp_path / 'c', on_epoch=wrong, **QUIET), 'on_epoch takes')


def test_a_run_that_goes_on_has_one_page(tmp_path, wandb):
    def stop(state, s):
        if state.epoch == 1:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        run(tmp_path / 'a', on_epoch=[*trackers_of('wandb'), stop], **QUIET)
    run(tmp_path / 'a', resume=True, on_epoch=trackers_of('wandb'), **QUIET)
    run(tmp_path / 'b', on_epoch=trackers_of('wandb'), **{**QUIET, 'seed': 1})
    one, again, other = wandb.pages
    assert one.about['id'] == again.about['id'] != other.about['id']
    assert [step for p in (one, again) for step, _ in p.rows] == [1, 2]


def test_a_training(tmp_path, wandb):
    text = '|skip_connect~0|+|nor_conv_3x3~0|nor_conv_3x3~1|'
    given = dict(space='toy', epochs=1, images=40, batch=10, device='cpu')
    retrain(text, out=tmp_path / 'a', on_epoch=trackers_of('wandb'), **given)
    page = wandb.pages[0]
    assert page.about['name'].startswith('retrain-toy-digits-s0-') and 'train_acc' in page.rows[0][1] and page.ended


def test_commands(tmp_path, wandb, capsys):
    "Each seed of a search has a page"
    for f in dnas_search, dnas_study, dnas_train:
        assert 'track' in inspect.signature(f).parameters
    given = {**TINY, 'method': 'darts', 'out': str(tmp_path / 's')}
    dnas_search(track='wandb', seeds='0,1', **given)
    assert [p.about['name'][-2:] for p in wandb.pages] == ['s0', 's1']
    assert all(p.ended and len(p.rows) == 2 for p in wandb.pages)
    with pytest.raises(SystemExit) as e:
        dnas_search(track='clearml', **given)
    assert e.value.code == 2 and 'unknown tracker' in capsys.readouterr().err


def test_runs_of_a_study_have_pages(tmp_path, wandb):
    "Named as their folders"
    what = dict(method='darts', seed=[0, 1], **{k: v for k, v in TINY.items() if k != 'device'})
    for name, entry in studies.plan(what).items():
        assert studies._attempt(tmp_path / name, entry, 'cpu', (), 'wandb') == ('finished', '')
    assert [p.about['name'] for p in wandb.pages] == list(studies.plan(what))


def test_tensorboard_in_earnest(tmp_path):
    pytest.importorskip('tensorboard')
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    r = run(tmp_path / 'a', on_epoch=tensorboard(tmp_path / 'pages'), **QUIET)
    page = EventAccumulator(str(tmp_path / 'pages' / 'darts-toy-digits-s0')).Reload()
    curve = page.Scalars('valid_acc')
    assert [e.step for e in curve] == [1, 2]
    assert [e.value for e in curve] == pytest.approx(list(r.trace.scalars['valid_acc']))


def test_trainings_of_other_cells_and_seeds_have_pages_of_their_own(tmp_path, wandb):
    "All were called 'retrain' and had one id, so the second went on on the page of the first"
    given = dict(space='toy', epochs=1, images=40, batch=10, device='cpu')
    cells = '|skip_connect~0|+|nor_conv_3x3~0|nor_conv_3x3~1|', '|nor_conv_3x3~0|+|nor_conv_3x3~0|nor_conv_3x3~1|'
    for k, (cell, seed) in enumerate([(cells[0], 0), (cells[1], 0), (cells[0], 1)]):
        retrain(cell, out=tmp_path / str(k), seed=seed, on_epoch=trackers_of('wandb'), **given)
    assert len({p.about['id'] for p in wandb.pages}) == len({p.about['name'] for p in wandb.pages}) == 3
    assert wandb.pages[1].about['config']['arch'] == cells[1]
