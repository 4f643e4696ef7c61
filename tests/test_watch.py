"The handles of the live view, without a browser: what is pressed is done, and no search is another for it. In JupyterLab: test_live.py."

import io, sys, threading

import pytest

from conftest import fails
from dnas_nb.running.experiment import run
from dnas_nb.running.folder import account
from dnas_nb.running.watch import Panel, Stopped, Told

FEW = dict(method='danas', space='toy', data='digits', images=80, batch=16, channels=2, report=False)


class Pressed(Panel):
    "Presses its buttons in the epochs of a plan"

    def __init__(self, plan):
        super().__init__(show=self.keep)
        self.plan = plan

    def __call__(self, state, s):
        if state.epoch in self.plan and self.panel is not None:
            self.plan.pop(state.epoch)(self)
        super().__call__(state, s)


@pytest.fixture
def widgets():
    return pytest.importorskip('ipywidgets')


def test_stop_and_resume_are_one_search(widgets, tmp_path):
    view = Pressed({2: lambda view: view.stop_button.click()})
    with pytest.raises(Stopped, match='after epoch 2'):
        run(tmp_path / 'a', epochs=4, on_epoch=view, **FEW)
    assert account(tmp_path / 'a')['status'] == 'interrupted'
    whole = run(tmp_path / 'a', epochs=4, on_epoch=view, resume=True, **FEW)
    assert sorted(view.pictures) == [1, 2, 3, 4]
    assert whole.trace == run(tmp_path / 'b', epochs=4, **FEW).trace


def test_beside_the_notebook(widgets, tmp_path):
    "Stopped and resumed by its buttons; errors stand beside them"
    view = Pressed({2: lambda view: view.stop_button.click()})
    view.start(out=tmp_path / 'a', epochs=4, **FEW)
    fails(lambda: view.start(out=tmp_path / 'b', **FEW), 'watches a search already')
    view.thread.join()
    assert 'after epoch 2' in view.said.value and view.result is None
    assert view.stop_button.disabled and view.pause_button.description == 'Resume'
    view.pause_button.click()
    view.thread.join()
    assert sorted(view.pictures) == [1, 2, 3, 4] and view.result.out == tmp_path / 'a'
    view.start(out=tmp_path / 'a', epochs=4, **FEW)
    view.thread.join()
    assert 'finished run' in view.said.value and view.pause_button.disabled


def test_a_pause_holds_the_search(widgets, tmp_path):
    seen = []

    def rest(view):
        view.pause_button.click()
        assert view.pause_button.description == 'Go on' and view.wishes.paused

        def later():
            seen.append(sorted(view.pictures))
            view.pause_button.click()

        threading.Timer(0.5, later).start()

    view = Pressed({2: rest})
    run(tmp_path / 'a', epochs=3, on_epoch=view, **FEW)
    assert seen == [[1, 2]] and view.pause_button.description == 'Pause'


def test_the_slider_stays_where_it_was_put(widgets, tmp_path):
    def back(view):
        view.slider.value = 1

    view = Pressed({3: back})
    run(tmp_path / 'a', epochs=4, on_epoch=view, **FEW)
    assert view.slider.value == 1 and view.image.value == view.pictures[1]
    view.slider.value = 4
    assert view.image.value == view.pictures[4] != view.pictures[1]


def test_without_ipywidgets_the_picture_stays(monkeypatch, tmp_path, capsys):
    monkeypatch.setitem(sys.modules, 'ipywidgets', None)
    shown = []
    run(tmp_path / 'a', epochs=2, on_epoch=Panel(show=shown.append), **FEW)
    assert len(shown) == 2 and 'dnas_nb[live]' in capsys.readouterr().out


def test_outside_of_a_notebook_nothing_is_shown(tmp_path, capsys):
    run(tmp_path / 'a', epochs=1, on_epoch=Panel(), **FEW)
    assert capsys.readouterr().out == ''


class Terminal(io.StringIO):
    def isatty(self):
        return True


@pytest.mark.parametrize('rich', [True, False])
def test_text(rich, monkeypatch, tmp_path):
    if rich:
        pytest.importorskip('rich')
    else:
        monkeypatch.setitem(sys.modules, 'rich.console', None)
    screen, file = Terminal(), io.StringIO()
    run(tmp_path / 'a', epochs=3, on_epoch=Told(file=screen, then=Told(every=2, file=file)), **FEW)
    assert [line.split()[1] for line in file.getvalue().splitlines()] == ['2/3', '3/3']
    assert ('█' in screen.getvalue()) is rich and 'epoch' in screen.getvalue()
    fails(lambda: Told(every=0), 'every')


def test_the_command_shows_the_table_in_place_of_the_bar(tmp_path, capsys):
    "`dnas_search --watch`: into no terminal, a line for each epoch"
    from dnas_nb.running import cli

    few = {k: v for k, v in FEW.items() if k != 'report'}
    cli.dnas_search(watch=True, epochs=2, device='cpu', out=str(tmp_path / 'run'), **few)
    said = capsys.readouterr()
    assert said.err.count('epoch ') == 2 and '%|' not in said.err and 'found ' in said.out
