"Named changes of training pictures: by key alone, only where one trains, the same bits after a resume."

import importlib.util
from dataclasses import replace
from functools import partial
import pytest
import torch
from conftest import fails
from dnas_nb.checkpoint import read
from dnas_nb.changes import AUGMENTS, Light, augmented, blended
from dnas_nb.data import Part
from dnas_nb.loaders import from_dataset
from dnas_nb.running.evaluate import RECIPES, train_arch
from dnas_nb.running.folder import account
from dnas_nb.running.experiment import run
from dnas_nb.running.retrain import retrain
from dnas_nb.sources import load_data
from dnas_nb.space import toy
from dnas_nb.genotype import random_arch
from dnas_nb.core import generator

torch.set_num_threads(1)
DIGITS = load_data('digits', images=96)
HERE = [
    name for name in AUGMENTS if name != 'randaugment' or importlib.util.find_spec('torchvision')
]
TINY = dict(
    method='darts',
    space='toy',
    images=96,
    epochs=2,
    batch=16,
    channels=2,
    device='cpu',
    report=False,
)
QUICK = replace(RECIPES['small'], epochs=2, batch=16, C=4)
KEY = (0, 'augment', 0)


def batch(data, k=0, part='train'):
    return getattr(data, part).batches(32, 0, 'train', 0, augment=KEY)[k][0]


@pytest.mark.parametrize('name', HERE)
def test_a_batch_is_a_function_of_seed_epoch_and_step(name):
    "Whatever was drawn before, in whatever order batches are asked for"
    data = augmented(DIGITS, name)
    first = batch(data, 1)
    torch.rand(5)
    batch(data, 0)
    assert torch.equal(batch(data, 1), first)
    other = data.train.batches(32, 0, 'train', 0, augment=(0, 'augment', 1))[1][0]
    assert torch.equal(other, first) == (name == 'none')


def test_without_a_name_the_bits_are_those_of_the_data_set():
    assert augmented(DIGITS, None) is DIGITS and DIGITS.about.shift == 1
    assert torch.equal(
        batch(augmented(DIGITS, 'none')),
        batch(replace(DIGITS, about=replace(DIGITS.about, shift=0))),
    )


@pytest.mark.parametrize('name', HERE)
def test_what_is_judged_is_not_changed(name):
    data = augmented(DIGITS, name)
    for part in ('train', 'valid', 'test'):
        assert torch.equal(getattr(data, part).take()[0], getattr(DIGITS, part).take()[0])
    assert data.about.fingerprint == DIGITS.about.fingerprint


def test_items_that_are_read_one_by_one_are_changed_as_well():
    items = [(DIGITS.train.x[i], int(DIGITS.train.y[i])) for i in range(40)]
    data = augmented(from_dataset(items, classes=range(10)), 'photo')
    one, two = (data.train.batches(8, 0, 'train', 0, augment=KEY)[0][0] for _ in range(2))
    plain = data.train.batches(8, 0, 'train', 0)[0][0]
    assert torch.equal(one, two) and not torch.equal(one, plain)


class Killed(BaseException):
    "What a process cannot catch"


@pytest.mark.parametrize('name', ['photo', 'flip'])
def test_a_resumed_search_sees_the_same_pictures(name, tmp_path):
    def kill(state, settings):
        if state.epoch == 1:
            raise Killed

    whole = run(tmp_path / 'whole', augment=name, **TINY)
    with pytest.raises(Killed):
        run(tmp_path / 'cut', augment=name, on_epoch=kill, **TINY)
    again = run(tmp_path / 'cut', resume=True, augment=name, **TINY)
    for name_of in ('history.csv', 'genotype.json', 'answers.npz'):
        assert (whole.out / name_of).read_bytes() == (again.out / name_of).read_bytes(), name_of
    one, two = (read(found.out / 'last.pt')['net'] for found in (whole, again))
    assert all(torch.equal(one[k], two[k]) for k in one)
    plain = run(tmp_path / 'plain', **TINY)
    assert (plain.out / 'history.csv').read_bytes() != (whole.out / 'history.csv').read_bytes()
    fails(lambda: run(tmp_path / 'cut', resume=True, augment='crop', **TINY), 'augment')
    assert (
        retrain(str(whole.out), out=tmp_path / 'alone', epochs=1, C=2, device='cpu').test_acc >= 0
    )  # the run's data again


def test_a_resumed_retraining_blends_the_same_pairs(tmp_path):
    g, recipe = random_arch(toy(), generator('changes')), replace(QUICK, augment='photo', mixup=0.3)

    def kill(row):
        if row['epoch'] == 1:
            raise Killed

    whole = train_arch(g, toy(), DIGITS, recipe, tmp_path / 'whole', device='cpu')
    with pytest.raises(Killed):
        train_arch(g, toy(), DIGITS, recipe, tmp_path / 'cut', device='cpu', on_epoch=kill)
    again = train_arch(g, toy(), DIGITS, recipe, tmp_path / 'cut', resume=True, device='cpu')
    assert again.history == whole.history and again.test_loss == whole.test_loss
    plain = train_arch(g, toy(), DIGITS, QUICK, device='cpu')
    assert plain.history[0]['train_loss'] != whole.history[0]['train_loss']


def test_the_loss_of_a_blend_is_the_blend_of_the_losses():
    "Cross-entropy against soft labels is the same number"
    x, y = torch.randn(6, 1, 4, 4), torch.tensor([0, 1, 2, 0, 1, 2])
    blend = blended(x, 0.5, (0, 0, 0))
    logits = torch.randn(6, 3)
    hot = torch.eye(3)[y]
    soft = blend.share * hot + (1 - blend.share) * hot[blend.order]
    entropy = torch.nn.functional.cross_entropy
    ours = blend.share * entropy(logits, y) + (1 - blend.share) * entropy(logits, blend.others(y))
    assert torch.allclose(entropy(logits, soft), ours)


def test_bytes_stay_bytes_and_floats_keep_their_scale():
    x = DIGITS.train.x[:5]
    assert Light()(x, KEY).dtype == torch.uint8
    floats = x.float() / 255 - 0.5
    changed = Light()(floats, KEY)
    assert changed.min() >= floats.min() and changed.max() <= floats.max()


def test_what_is_no_change_is_one_line(tmp_path, monkeypatch):
    fails(lambda: run(tmp_path / 'run', augment='fotos', **TINY), "'photo'")
    fails(lambda: replace(QUICK, augment='fotos'), "'photo'")
    fails(lambda: replace(QUICK, mixup=-1), 'mixup')
    fails(lambda: augmented(DIGITS, 3), 'a name')

    def cut(one):
        return one[:, 1:]

    def breaks(one):
        raise IndexError('no such pixel')

    fails(lambda: batch(augmented(DIGITS, cut)), 'both must stay')
    fails(lambda: batch(augmented(DIGITS, breaks)), 'IndexError', 'no such pixel')
    nest = replace(DIGITS.train, x=dict(a=torch.zeros(len(DIGITS.train), 3)), about=None)
    assert isinstance(nest, Part)
    fails(lambda: blended(torch.arange(4), 1.0, (0,)), 'codes')
    if 'randaugment' not in HERE:
        fails(lambda: batch(augmented(DIGITS, 'randaugment')), 'torchvision', 'photo')


def speckled(one):
    return one | 1


class Speckle:
    def __call__(self, one):
        return one | 1


def test_a_run_notes_a_change_of_ones_own(tmp_path):
    "By its qualified name; a change by name is a setting"

    def own(out):
        return account(out).get('own', {}).get('change')

    tiny = {k: v for k, v in TINY.items() if k != 'images'} | dict(epochs=1)

    def noted(name, split, **more):
        return own(run(tmp_path / name, split=split, **tiny, **more).out)

    assert noted('none', DIGITS) is None and noted('named', DIGITS, augment='photo') is None
    whole = run(tmp_path / 'own', split=augmented(DIGITS, speckled), **tiny)
    assert own(whole.out) == f'Change(flip=False, shift=0), {__name__}.speckled'
    assert (
        noted('object', augmented(DIGITS, Speckle()))
        == f'Change(flip=False, shift=0), {__name__}.Speckle'
    )
    assert noted('photo', augmented(DIGITS, 'photo')) == 'photo'
    items = [(DIGITS.train.x[i], int(DIGITS.train.y[i])) for i in range(48)]
    assert (
        noted('items', from_dataset(items, classes=range(10), change=partial(speckled)))
        == f'{__name__}.speckled'
    )
    g = random_arch(toy(), generator('changes'))
    train_arch(
        g,
        toy(),
        augmented(DIGITS, speckled),
        replace(QUICK, epochs=1),
        tmp_path / 'alone',
        device='cpu',
    )
    assert own(tmp_path / 'alone').endswith('.speckled')
    again = run(tmp_path / 'own', split=augmented(DIGITS, speckled), resume=True, **tiny)
    assert again.genotype == whole.genotype
