"Cells that are computed twice take less memory and change no bit, and where that cannot be one line says so."

from dataclasses import replace

import pytest
import torch
from conftest import fails
from test_ranks import METHODS, stepped
from torch import nn

from dnas_nb import methods
from dnas_nb.bilevel import Plan, Step, start, weight_step
from dnas_nb.core import seeded
from dnas_nb.dialects import parse
from dnas_nb.fast import fast
from dnas_nb.modules import Mixed, space_of
from dnas_nb.running.evaluate import RECIPES, Recipe, called, train_arch
from dnas_nb.running.experiment import run
from dnas_nb.running.folder import account
from dnas_nb.running.memory import Held
from dnas_nb.running.retrain import retrain
from dnas_nb.space import nb201
from dnas_nb.sources import load_data
from dnas_nb.supernet import Spec

torch.set_num_threads(1)
TINY = dict(space='toy', images=80, batch=20, channels=4, epochs=2, device='cpu', report=False)
CELL = '|nor_conv_3x3~0|+|none~0|none~1|+|skip_connect~0|none~1|nor_conv_1x1~2|'
ALONE = dict(epochs=2, images=80, C=4, device='cpu')


def same_weights(a, b):
    one, two = (torch.load(folder / 'last.pt')['net'] for folder in (a, b))
    return list(one) == list(two) and all(torch.equal(one[k], two[k]) for k in one)


def test_a_step_of_every_kind_is_the_same_to_the_bit():
    for name in METHODS:
        method = methods.METHODS[name]
        once = stepped(method, lambda b: b, lambda loss: loss)
        for parts in (1, 2):
            if parts == 2:
                once = stepped(method, lambda b: b, lambda loss: replace(loss, parts=2))
            twice = stepped(
                method, lambda b: b, lambda loss: replace(loss, recompute=True, parts=parts)
            )
            assert all(map(torch.equal, once, twice)), (name, parts)


@pytest.mark.parametrize('method', ['darts2', 'cpm-darts', 'gdas'])
def test_a_search_is_the_same_and_says_what_it_did(tmp_path, method):
    once = run(tmp_path / 'once', method=method, **TINY)
    twice = run(tmp_path / 'twice', method=method, recompute=True, **TINY)
    assert once.trace == twice.trace and once.genotype == twice.genotype
    assert same_weights(once.out, twice.out)
    told = [account(r.out)['settings']['recompute'] for r in (once, twice)]
    assert told == [None, True]
    unasked = run(tmp_path / 'no', method=method, recompute=False, **TINY)
    assert unasked.settings == once.settings


def test_a_stopped_search_goes_on_as_it_began(tmp_path):
    def stop(state, s):
        raise KeyboardInterrupt

    whole = run(tmp_path / 'whole', recompute=True, accumulate=2, **TINY)
    with pytest.raises(KeyboardInterrupt):
        run(tmp_path / 'cut', recompute=True, accumulate=2, on_epoch=stop, **TINY)
    again = dict(TINY, resume=True, accumulate=2)
    fails(lambda: run(tmp_path / 'cut', **again), 'recompute: True there, None now')
    found = run(tmp_path / 'cut', recompute=True, **again)
    assert found.trace == whole.trace and same_weights(found.out, whole.out)


def test_a_training_is_the_same_and_its_statistics_count_once(tmp_path):
    how = dict(ALONE, auxiliary=0.0, drop_path=0.3, accumulate=2)
    once = retrain(CELL, out=tmp_path / 'once', **how)
    twice = retrain(CELL, out=tmp_path / 'twice', recompute=True, **how)
    assert once.history == twice.history and once.test_loss == twice.test_loss
    assert same_weights(once.out, twice.out)
    assert any('running_mean' in name for name in twice.net.state_dict())
    fails(
        lambda: retrain(CELL, out=tmp_path / 'twice', resume=True, **how),
        'recompute: True there, None now',
    )


def test_a_published_recipe_keeps_its_name():
    data = load_data('digits', images=80)
    names = [called(replace(RECIPES['nb201'], recompute=how), data) for how in (None, True)]
    assert names[0] == names[1]


class Own(nn.Module):
    def __init__(self):
        super().__init__()
        self.act = Mixed('act', relu=nn.ReLU(), tanh=nn.Tanh())
        self.head = nn.Linear(64, 10)

    def forward(self, x):
        return self.head(self.act(x.flatten(1)))


def test_one_line_where_there_is_nothing_to_compute_twice(tmp_path):
    given = dict(TINY, recompute=True)
    given['space'] = own = space_of(Own)
    fails(lambda: run(tmp_path / 'a', **given), 'computing cells twice needs cells with edges')
    recipe = Recipe(epochs=1, recompute=True)
    data = load_data('digits', images=80)
    fails(
        lambda: train_arch(parse('act=relu', own), own, data, recipe, device='cpu'),
        'computing cells twice needs cells with edges',
    )
    captured = dict(TINY, recompute=True, compile='captured')
    fails(lambda: run(tmp_path / 'b', **captured), 'a captured graph keeps', '--recompute')
    fails(lambda: run(tmp_path / 'c', **dict(TINY, recompute='yes')), 'recompute', 'true or false')
    fails(lambda: Recipe(recompute=1), 'recompute', 'true or false')


def test_a_step_holds_less():
    once, twice = (held_mb(how) for how in (False, True))
    assert twice < 0.6 * once, (once, twice)


def held_mb(recompute) -> float:
    "Most memory that the tensors of a weight step hold, with three cells of each stage"
    with seeded('memory'):
        net = fast(nb201().supernet(Spec(C=4, n=3, classes=3, in_ch=1, batch_stats=True)))
        batch = torch.randn(32, 1, 16, 16), torch.randint(3, (32,))
    method = methods.METHODS['darts']
    state = start(net, method, Plan(recompute=recompute))
    with Held(1, 1) as held:
        weight_step(
            state, method, state.loss(Step(batch, batch), 'w', method.relax), Step(batch, batch)
        )
    return held.peak / 2**20
