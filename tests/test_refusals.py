"What people give by mistake when they search their own module, data and loss: each a line that names the place, from the door to the last check."

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
import dnas_nb as nas
from conftest import fails
from PIL import Image
from torch import nn
from torch.utils.data import Dataset, IterableDataset
from dnas_nb.core import generator
from dnas_nb.data import About, Data, Part, classification
from dnas_nb.domains.graphs import Labelled
from dnas_nb.loaders import from_dataset
from dnas_nb.modules import Depth, Gate, Mixed, Wide, space_of
from dnas_nb.running.experiment import run
from dnas_nb.running.retrain import retrain
from dnas_nb.sequences import from_arrays
from dnas_nb.sources import from_tensors, load_data
from dnas_nb.spaces import macro
from dnas_nb.suite import SUITE
from dnas_nb.tasks import multilabel, regression, segmentation

torch.set_num_threads(1)
CELL = '|nor_conv_3x3~0|+|none~0|none~1|+|skip_connect~0|none~1|nor_conv_1x1~2|'
TINY = dict(method='darts', epochs=1, batch=8, device='cpu', report=False)


def made(shape=(6,), label=None, task=None, classes=('no', 'yes'), n=48):
    "Random inputs of a shape in three parts"
    x = torch.randn((n, *shape), generator=generator('refused', shape))
    y = (x.flatten(1).sum(1) > 0).long() if label is None else label(x)
    parts = [Part(*some) for some in zip(x.split(n // 3), y.split(n // 3))]
    return Data(*parts, About('made', classes, (0.0,) * shape[0], (1.0,) * shape[0], task=task))


ROWS = made()


def search(tmp_path, module, data=ROWS, **given):
    return lambda: run(tmp_path / 'run', split=data, space=space_of(module, 'mine'), **TINY | given)


# --- modules


def test_a_network_that_leaves_a_class_out(tmp_path):
    "PyTorch says that target 2 is out of bounds."
    three = made(label=lambda x: torch.arange(len(x)) % 3, classes='abc')

    class Two(nn.Module):
        def __init__(self):
            super().__init__()
            self.last = Mixed('last', a=nn.Linear(6, 2), b=nn.Linear(6, 2))

        def forward(self, x):
            return self.last(x)

    fails(search(tmp_path, Two, three), 'answers with 2', 'a label is 2', 'at least 3')
    fails(lambda: classification.scores(torch.zeros(3, 2), three.train.y[:3]), 'answers with 2')


def test_a_choice_without_its_name_first():
    layers = dict(a=nn.Linear(2, 2), b=nn.Linear(2, 2))
    for given in layers, list(layers.values()), layers['a']:
        fails(lambda: Mixed(given), 'comes first', "Mixed('size', small=module, large=module)")


def test_a_module_is_no_space_yet():
    net = nn.Sequential(Mixed('last', a=nn.Linear(6, 2), b=nn.Linear(6, 2)))
    fails(lambda: run(space=net, split=ROWS, **TINY), 'not a Sequential', 'space_of')
    fails(lambda: run(space=type(net), split=ROWS, **TINY), 'space_of')


def test_two_choices_of_one_name_with_other_options():
    def twice():
        return nn.Sequential(
            Mixed('act', relu=nn.ReLU(), tanh=nn.Tanh()),
            nn.Linear(6, 2),
            Mixed('act', relu=nn.ReLU(), silu=nn.SiLU()),
        )

    fails(lambda: space_of(twice), "'act'", 'relu tanh', 'relu silu', '0 has', 'and 2')


class Idle(nn.Module):
    "Holds a choice that forward does not call"

    def __init__(self):
        super().__init__()
        self.used, self.spare = Mixed('used', a=nn.Linear(6, 2), b=nn.Linear(6, 2)), Mixed(
            'spare', a=nn.ReLU(), b=nn.Tanh()
        )

    def forward(self, x):
        return self.used(x)


def test_a_choice_that_is_never_run(tmp_path):
    fails(search(tmp_path, Idle), "'spare'", 'never run')


@pytest.mark.parametrize(
    'layer, parts',
    [
        (
            lambda: Mixed('end', two=nn.Linear(6, 2), three=nn.Linear(6, 3)),
            ["'two' gives (", "'three' (", "'end'"],
        ),
        (
            lambda: Mixed('end', two=nn.Linear(6, 2), one=nn.Linear(6, 1)),
            ["'two'", "'one'"],
        ),  # would broadcast
        (
            lambda: Depth('deep', [nn.Linear(6, 2), nn.Linear(2, 2)], (0, 2)),
            ["'deep'", "'0'", "'2'"],
        ),
        (lambda: Gate('gate', nn.Linear(6, 2)), ["'gate'", "'off'", "'on'"]),
    ],
)
def test_options_of_other_shapes_are_both_named(layer, parts, tmp_path):
    fails(search(tmp_path, lambda: nn.Sequential(layer())), *parts)


def test_a_width_that_its_reader_does_not_know(tmp_path):
    def narrow():
        return nn.Sequential(Wide('wide', nn.Linear(6, 8), out=(4, 8)), nn.Linear(8, 2))

    fails(search(tmp_path, narrow), "'wide'", 'same choice')


# --- losses


def two():
    return nn.Sequential(Mixed('act', relu=nn.ReLU(), tanh=nn.Tanh()), nn.Linear(6, 2))


def each(output, y):
    return (output[:, 0] - y) ** 2


def a_number(output, y):
    return 3.0


def detached(output, y):
    return output.detach().mean()


def by_numpy(output, y):
    return torch.tensor(np.abs(output.detach().numpy()).mean())


@pytest.mark.parametrize(
    'loss, parts',
    [
        (each, ['each', 'one number']),
        (a_number, ['a_number', 'one number']),
        (detached, ['detached', 'no gradient']),
        (by_numpy, ['by_numpy', 'no gradient']),
    ],
)
def test_a_loss_that_is_no_number_or_has_no_gradient(loss, parts, tmp_path):
    fails(search(tmp_path, two, task=loss), *parts)


# --- folders of pictures


def folder(path, **classes):
    "class -> number of pictures"
    for name, n in classes.items():
        (path / name).mkdir(parents=True)
        for i in range(n):
            Image.fromarray(np.full((9, 9, 3), 11 * i + len(name), np.uint8)).save(
                path / name / f'{i}.png'
            )
    return path


def test_folders_without_enough_pictures(tmp_path):
    for name in ('cat', 'horse'):
        (tmp_path / 'none' / name).mkdir(parents=True)
    (tmp_path / 'none' / 'cat' / 'notes.txt').write_text('none')
    fails(lambda: load_data(tmp_path / 'none'), 'none', 'holds no pictures')
    fails(lambda: load_data(folder(tmp_path / 'one', cat=9)), "one class, 'cat'", 'at least 2')
    fails(
        lambda: load_data(folder(tmp_path / 'single', cat=1, horse=1)), 'single', 'cat', '1 images'
    )


def test_a_link_out_of_the_folder(tmp_path):
    folder(tmp_path / 'inside', cat=9, horse=9)
    Image.new('RGB', (9, 9)).save(tmp_path / 'secret.png')
    (tmp_path / 'inside' / 'cat' / 'link.png').symlink_to(tmp_path / 'secret.png')
    fails(lambda: load_data(tmp_path / 'inside'), 'link.png', 'symbolic link')


# --- data sets


class Endless(IterableDataset):
    def __iter__(self):
        while True:
            yield torch.zeros(6), 0


class NoLength(Dataset):
    def __getitem__(self, i):
        return torch.zeros(6), 0


class Changes(Dataset):
    "The type of item 30 is another one"

    def __init__(self, of):
        self.of = of

    def __len__(self):
        return 48

    def __getitem__(self, i):
        x = torch.full((6,), float(i))
        return (self.of(x) if i == 30 else x), i % 2


@pytest.mark.parametrize('data', [Endless(), NoLength()])
def test_a_data_set_without_length(data):
    fails(
        lambda: from_dataset(data, classes='ab'),
        type(data).__name__,
        'length' if isinstance(data, NoLength) else 'number',
    )


@pytest.mark.parametrize(
    'of',
    [lambda x: x.int(), lambda x: x[:5], lambda x: 'a word', lambda x: {'x': x}, lambda x: None],
)
def test_items_whose_type_changes(of):
    fails(lambda: from_dataset(Changes(of), classes='ab'), 'item 30')


# --- graphs, texts, series


def test_edges_to_nowhere():
    x, y = np.ones((5, 3), np.float32), np.array([0, 1, 0, 1, 0])
    masks = {name: np.arange(5) == k for k, name in enumerate(('train', 'valid', 'test'))}
    for links in ([[0, 1], [1, 9]], [[0, -1], [1, 2]]):
        fails(
            lambda: Labelled.of(x, np.array(links), y, masks, ('a', 'b'), 'mine'),
            'graph mine',
            'leads nowhere',
        )


def test_a_series_shorter_than_a_kernel(tmp_path):
    "Of a module of one's own: PyTorch's complaint becomes a line"

    def conv(k):
        return nn.Sequential(nn.Conv1d(2, 2, k), nn.AdaptiveAvgPool1d(1), nn.Flatten())

    short = made((2, 5))
    fails(
        search(tmp_path, lambda: nn.Sequential(Mixed('kernel', k3=conv(3), k9=conv(9))), short),
        "choice 'kernel', option 'k9'",
        '(5)',
        'input size',
    )
    fails(
        search(
            tmp_path / 'other',
            lambda: nn.Sequential(conv(9), Mixed('act', relu=nn.ReLU(), tanh=nn.Tanh())),
            short,
        ),
        "space 'mine'",
        '(5)',
        'input size',
    )


# --- labels for another task


def as_masks(x):
    return torch.zeros((len(x), 6), dtype=torch.int64)


def as_floats(x):
    return x.flatten(1).sum(1)


def as_labels(x):
    return (x[:, :2] > 0).float()


@pytest.mark.parametrize(
    'task, label, classes, parts',
    [
        (regression, None, ('y',), ['regression', 'floating-point']),
        (regression, lambda x: torch.full((len(x),), float('nan')), ('y',), ['NaN']),
        (multilabel, None, ('a', 'b'), ['multilabel', '0 and 1']),
        (multilabel, lambda x: 2 * as_labels(x), ('a', 'b'), ['multilabel', '0 and 1']),
        (segmentation, None, ('a', 'b'), ['segmentation', 'axes']),
        (None, as_floats, ('a', 'b'), ['int64']),
        (None, as_labels, ('a', 'b'), ['int64']),
        (None, as_masks, ('a', 'b'), ['int64']),
        (None, lambda x: torch.full((len(x),), 7), ('a', 'b'), ['7', '2 classes']),
    ],
)
def test_labels_for_another_task(task, label, classes, parts):
    fails(lambda: made(label=label, task=task, classes=classes), 'made, train part', *parts)


def test_a_task_that_the_data_were_not_made_for(tmp_path):
    fails(search(tmp_path, two, task='regression'), 'regression', 'train part')
    fails(search(tmp_path, two, task='multilabel'), 'multilabel', 'train part')
    numbers = made(label=as_floats, task=regression, classes=('y',))
    fails(
        search(
            tmp_path,
            lambda: nn.Sequential(Mixed('act', a=nn.Linear(6, 3), b=nn.Linear(6, 3))),
            numbers,
        ),
        ', 3)',
        'the labels are',
        'as many outputs',
    )


@pytest.mark.parametrize(
    'method, space, part',
    [
        ('cpm-darts', SUITE['single_allskip'], 'which would be lost'),
        ('tangle', SUITE['transnas'], 'which would be lost'),
        ('darts-lora', SUITE['darts_allskip'], 'which would be lost'),
        ('pc-darts', macro, 'without partial channels'),
        ('p-darts', macro, 'have one depth'),
        ('p-darts', SUITE['single'], 'have one depth'),
    ],
)
def test_a_row_that_does_not_fit_how_networks_are_built(method, space, part, tmp_path):
    "Before the first step, and never by losing what the space is about"
    brief = dict(data='digits', images=80, channels=8, cells=1, epochs=1, batch=16, device='cpu')
    fails(lambda: run(tmp_path / 'run', method=method, space=space(), **brief), part)


# --- the door


def test_what_is_searched_is_a_name_or_data(tmp_path):
    "Arrays and tensors are no `Data` yet; `Data` may stand where a name does"
    for thing, kind in (torch.rand(20, 6), 'Tensor'), (dict(x=1), 'dict'), ((1, 2), 'tuple'):
        fails(lambda: run(tmp_path / 'x', data=thing, **TINY), 'from_tensors(x, y)', f'not a {kind}')
        fails(lambda: retrain(CELL, data=thing, out=tmp_path / 'x'), 'from_tensors', f'not a {kind}')
    digits = load_data('digits', images=40)
    small = dict(TINY, space='toy', channels=2)
    named, split = (run(tmp_path / k, **small, **{k: digits}) for k in ('data', 'split'))
    assert named.genotype == split.genotype and named.settings == split.settings
    few = dict(epochs=1, C=2, batch=8, device='cpu')
    again = retrain(CELL, data=digits, out=tmp_path / 'alone', **few)
    assert again.history == retrain(CELL, split=digits, out=tmp_path / 'too', **few).history


def test_a_method_where_the_folder_belongs(tmp_path, monkeypatch):
    "`search('gdas')` is no search by GDAS: the first word is the folder"
    monkeypatch.chdir(tmp_path)
    few = dict(space='toy', images=40, batch=8, epochs=1, channels=2, device='cpu', report=False)
    fails(lambda: run('gdas', **few), "give method='gdas'", "out='./gdas'")
    assert run('./gdas', **few).settings.method == 'danas'
    assert run('gdas', resume=True, **few).settings.method == 'danas'
    assert run('drnas', method='drnas', **few).settings.method == 'drnas'


def test_what_a_run_returned_stands_for_its_folder(tmp_path, monkeypatch):
    "From a search to answers, without a path in between; and what has no folder says so in a line"
    monkeypatch.chdir(tmp_path)
    few = dict(space='toy', images=40, batch=8, epochs=1, channels=2, device='cpu', report=False)
    digits = load_data('digits', images=40)
    found = nas.search('found', method='darts', **few)
    alone = nas.retrain(found, epochs=1, C=2, batch=8, device='cpu', out='alone')
    named = nas.retrain('found', epochs=1, C=2, batch=8, device='cpu', out='named')
    assert alone.history == named.history and alone.genotype == found.genotype
    cell = nas.retrain(found.genotype, epochs=1, C=2, batch=8, images=40, device='cpu', out='cell')
    assert cell.genotype == found.genotype and cell.data == 'digits'
    assert 'net.py' in nas.export(alone, formats=['py'])
    x = torch.randint(0, 255, (3, 1, 8, 8), dtype=torch.uint8)
    assert nas.predict(alone, x).equals(nas.predict('alone', x))
    assert nas.report(found) == Path('found/report.html') and nas.draw(found).texts
    fails(lambda: nas.export(found), 'found holds a search', 'train the cell first')
    fails(lambda: nas.predict(found, x), 'found holds a search')
    own = replace(digits, about=replace(digits.about, name='own', source=None))
    mine = nas.search('mine', data=own, **dict(few, images=None))
    fails(lambda: nas.search(mine, resume=True, **few), 'mine', 'give split= or data=')
    fails(lambda: nas.retrain(mine, epochs=1, device='cpu', out='x'), 'give split= or data=')
    fails(lambda: nas.parse('|skip_connect~0|', 'toy'), 'read in a Space', 'not a str')
    fails(lambda: nas.within('nb201', params=9), 'give a Space', 'not a str')
    fails(lambda: nas.export(replace(alone, out=None)), 'wrote no folder')
    fails(lambda: nas.draw('|skip_connect~0|'), 'draw takes a Genotype', 'not a str')
    fails(lambda: nas.compare('found'), 'frame of a study', 'not a str')


def test_networks_that_answer_with_more_and_layers_without_sizes():
    class Two(nn.Module):
        def __init__(self):
            super().__init__()
            self.one = Mixed('one', a=nn.Linear(6, 2), b=nn.Linear(6, 2))

        def forward(self, x):
            return self.one(x), x

    class Lazy(nn.Module):
        def __init__(self):
            super().__init__()
            self.one = Mixed('one', a=nn.LazyLinear(2), b=nn.Linear(6, 2))

        def forward(self, x):
            return self.one(x)

    space = space_of(Two, 'two-answers')
    fails(lambda: run(None, split=ROWS, space=space, **TINY), 'answers with a tuple', 'one tensor')
    fails(lambda: space_of(Lazy), 'one.options.0.weight has no shape yet', 'give the layer its sizes')


def test_a_module_may_draw_with_numpy(tmp_path):
    "It starts from the seed, and leaves NumPy's generator where it was"

    class Drawn(nn.Module):
        def __init__(self):
            super().__init__()
            self.one = Mixed('one', a=nn.Linear(6, 2), b=nn.Linear(6, 2))
            self.scale = nn.Parameter(torch.tensor(np.random.rand(2)).float())

        def forward(self, x):
            return self.one(x) * self.scale

    space, losses = space_of(Drawn, 'drawn-by-numpy'), []
    for k in range(2):
        before = np.random.get_state()[1].copy()
        found = run(tmp_path / str(k), split=ROWS, space=space, **TINY)
        losses.append(found.trace.scalars['train_loss'])
        assert (before == np.random.get_state()[1]).all()
        np.random.rand(3)
    assert losses[0] == losses[1]
    other = space_of(nn.Sequential(Mixed('two', a=nn.ReLU(), b=nn.Tanh())), 'drawn-by-numpy')
    fails(lambda: nas.register(space=other), 'is taken, by this session')
    assert nas.register(space=space).name == 'drawn-by-numpy'   # the search made it known: the same


def test_frames_and_series_of_pandas_are_their_numbers():
    pd = pytest.importorskip('pandas')
    x = torch.randn(40, 3, generator=generator('numbers'))
    shuffled = np.random.default_rng(0).permutation(40)
    frame, y = pd.DataFrame(x.numpy()).iloc[shuffled], pd.Series(np.arange(40) % 2).iloc[shuffled]
    data, same = from_arrays(frame, y), from_arrays(x[shuffled], torch.tensor(y.to_list()))
    assert data.train.x.equal(same.train.x) and data.train.y.equal(same.train.y)
    fails(lambda: from_tensors(frame, y), 'x must be (images, channels')
    texts = pd.DataFrame(dict(a=['x'] * 40))
    fails(lambda: from_arrays(texts, y), 'numeric arrays')
    fails(lambda: from_arrays(1.7e9 + frame.astype(float), y), 'numbers around 1.7e+09', 'offset')
    whole = torch.arange(40) * 3
    fails(lambda: from_arrays(x, whole, task='regression'), '(examples,) floating-point', 'int64')


def test_sets_of_copies_leave_nothing():
    items = [(torch.rand(3, generator=generator('item', k)), k % 2) for k in range(30)]
    fails(lambda: from_dataset(items, test=items, classes='ab'), 'nothing is left for train', '30')
    fails(lambda: from_dataset(items[:1] * 30, classes='ab'), 'nothing is left for', '29')
    fails(lambda: load_data(__file__), 'is a file, and neither')
