"Data sets that are read when they are needed: same bits for any number of workers and after a kill; what cannot be read is named."

import multiprocessing, os, random, resource
from dataclasses import dataclass
import numpy as np
import pytest
import torch
from conftest import fails
from PIL import Image
from torch.utils.data import Dataset, IterableDataset
from dnas_nb.core import generator
from dnas_nb.loaders import Loaded, from_dataset, keyed
from dnas_nb.running.experiment import run
from dnas_nb.tasks import regression

K = 4


@dataclass
class Made(Dataset):
    "Pictures made when they are asked for, from their number alone; `noise` is random each time."

    n: int = 160
    side: int = 8
    noise: float = 0.0

    def __len__(self):
        return self.n

    def __getitem__(self, i):
        x = torch.randint(
            0, 200, (1, self.side, self.side), generator=generator('made', i), dtype=torch.uint8
        )
        x[:, i % K] = 250  # a bright row says the class
        if self.noise:
            x = x.float() / 255 + self.noise * (
                torch.randn(1, 1, 1) + np.random.randn() + random.random()
            )
        return (x.float() if self.noise else x), i % K


def made(workers=0, data=None, **kw):
    return from_dataset(data or Made(**kw), classes=range(K), workers=workers, change=jitter)


def jitter(x):
    return (x.float() + 9 * torch.rand(1) + np.random.rand() + random.random()) / 255


def epoch(part, seed, augment=(0, 'augment', 5)):
    return list(part.batches(16, seed, 'train', 5, augment=augment))


@pytest.mark.parametrize('noise', [0.0, 0.1])
def test_workers_change_no_bit(noise):
    parts = [made(w, noise=noise).train for w in (0, 2)]
    assert parts[0].fingerprint == parts[1].fingerprint
    one, two = (epoch(p, 0) for p in parts)
    assert len(one) == len(parts[0]) // 16 and all(
        torch.equal(a, b) and torch.equal(y, z) for (a, y), (b, z) in zip(one, two)
    )
    other = epoch(parts[1], 0, (0, 'augment', 6))
    assert not torch.equal(other[0][0], one[0][0]) and torch.equal(
        other[0][1], one[0][1]
    )  # same order, other changes


def test_a_batch_is_the_same_whatever_was_read_before():
    part = made(2).valid
    stream = part.batches(16, 0, 'valid', 1, augment=(0, 'a', 1))
    n = len(stream)
    whole = [stream[k] for k in range(2 * n)]
    for k in (n + 1, 0, 2, 2 * n - 1):
        assert torch.equal(stream[k][0], whole[k][0])
    assert torch.equal(whole[0][1], whole[n][1]) and not torch.equal(
        whole[0][0], whole[n][0]
    )  # round again, changed anew


def test_no_worker_outlives_its_stream():
    "Workers that wait for the collector are inherited by the next ones, which cannot end then"
    part = made(2).train
    others = set(multiprocessing.active_children())
    for k in range(3):
        epoch(part, k)
        assert set(multiprocessing.active_children()) <= others
    stream = part.batches(16, 0, 'train', 1)
    for _ in range(2):                  # from the beginning again: new workers, the first ones end
        first, _ = stream[0]
        assert len(first) == 16 and len(set(multiprocessing.active_children()) - others) == 2
    del stream
    assert set(multiprocessing.active_children()) <= others


def test_nothing_random_is_left_behind():
    def state():
        return torch.rand(1).item(), np.random.rand(), random.random()

    data = made(noise=0.1)
    torch.manual_seed(0)
    np.random.seed(0)
    random.seed(0)
    before = state()
    torch.manual_seed(0)
    np.random.seed(0)
    random.seed(0)
    data.train.take(torch.arange(8), ('key',))
    data.train.digests
    epoch(data.train, 0)
    assert state() == before
    with keyed('a'):
        one = state()
    with keyed('a'):
        assert state() == one


def test_judging_does_not_depend_on_the_order():
    data = Made()
    turned = torch.utils.data.Subset(
        data, torch.randperm(len(data), generator=generator('turned')).tolist()
    )
    one, two = _whole(data), _whole(turned)
    for p, q in zip(one.judging(32), two.judging(32)):
        (x, y), (u, v) = one.take(p), two.take(q)
        assert torch.equal(x, u) and torch.equal(y, v)


def _whole(dataset):
    from dnas_nb.data import About
    from dnas_nb.loaders import _Reader

    return Loaded(
        dataset,
        torch.arange(len(dataset)),
        _Reader(),
        about=About('whole', tuple('abcd'), (0.5,), (0.2,)),
    )


SMALL = dict(
    method='darts', space='toy', epochs=3, batch=16, channels=2, report=False, device='cpu'
)


def test_killed_and_resumed_with_two_workers(tmp_path):
    def stop(state, settings):
        if state.epoch == 1:
            raise KeyboardInterrupt

    plain = run(out=tmp_path / 'plain', split=made(0), **SMALL)
    with pytest.raises(KeyboardInterrupt):
        run(out=tmp_path / 'killed', split=made(2), on_epoch=stop, **SMALL)
    again = run(out=tmp_path / 'killed', split=made(2), resume=True, **SMALL)
    assert again.trace == plain.trace and again.genotype == plain.genotype
    ends = [torch.load(tmp_path / k / 'last.pt', weights_only=True) for k in ('plain', 'killed')]
    for a, b in zip(*(_tensors(e) for e in ends)):
        assert torch.equal(a, b)
    fails(
        lambda: run(out=tmp_path / 'killed', split=made(2, n=164), resume=True, **SMALL),
        'other data',
    )


def _tensors(x):
    if isinstance(x, torch.Tensor):
        return [x]
    if isinstance(x, dict):
        return [t for k in sorted(x, key=str) for t in _tensors(x[k])]
    return [t for v in x for t in _tensors(v)] if isinstance(x, (list, tuple)) else []


class Endless(IterableDataset):
    def __iter__(self):
        while True:
            yield torch.zeros(1, 4, 4), 0


class NoLength(Dataset):
    def __getitem__(self, i):
        return torch.zeros(1, 4, 4), 0


class Odd(Made):
    def __init__(self, item):
        super().__init__()
        self.item = item

    def __getitem__(self, i):
        return self.item(i) if i == 70 else super().__getitem__(i)


def lost(i):
    raise KeyError('lost')


@pytest.mark.parametrize('workers', [0, 1])
@pytest.mark.parametrize(
    'data, parts',
    [
        (Endless(), ['train part', 'Endless has no items by number']),
        (NoLength(), ['NoLength has no length', 'without end']),
        ([], ['0 items are too few']),
        (
            Odd(lambda i: (torch.zeros(1, 8, 8), 0)),
            ['item 70: x is float32 (1, 8, 8)', 'the first item is uint8 (1, 8, 8)'],
        ),
        (Odd(lambda i: (torch.zeros(1, 8, 9, dtype=torch.uint8), 0)), ['item 70', '(1, 8, 9)']),
        (Odd(lambda i: torch.zeros(1)), ['item 70', 'not a pair']),
        (Odd(lambda i: ('text', 0)), ['item 70', "'text'", 'read=']),
        (Odd(lost), ['item 70: KeyError', 'lost']),
        (Odd(lambda i: (torch.zeros(1, 8, 8, dtype=torch.uint8), 9)), ['labels run from 0 to 9']),
    ],
)
def test_sets_that_cannot_be_read(data, parts, workers):
    if getattr(data, 'item', None) and workers:
        return  # a lambda: forked workers know it all the same, once is enough
    fails(lambda: from_dataset(data, classes=range(K), workers=workers), *parts)


def test_names_of_classes_and_number_of_workers():
    fails(lambda: from_dataset(Made()), 'classes=')
    fails(lambda: from_dataset(Made(), classes=range(K), workers=-1), 'workers')
    fails(
        lambda: from_dataset(Made(), classes=['v'], task=regression), 'regression', 'floating-point'
    )


class LikeTorchvision(Made):
    "As torchvision's sets are: PIL pictures of any size, `classes`."

    classes = tuple('abcd')

    def __getitem__(self, i):
        x, y = super().__getitem__(i)
        return Image.fromarray(x[0].numpy()).resize((30 + i % 5, 40)), y


class Labels:
    names = list('abcd')


class LikeHuggingFace(Made):
    "As those of `datasets` are: dicts, `features`."

    features = dict(label=Labels())

    def __getitem__(self, i):
        x, y = super().__getitem__(i)
        return dict(image=Image.fromarray(x[0].numpy()), label=y)


def test_sets_as_libraries_have_them():
    for data in LikeTorchvision(), LikeHuggingFace():
        got = from_dataset(data, size=12)
        assert (
            got.about.classes == tuple('abcd')
            and got.about.shape == (3, 12, 12)
            and got.train.dtype == 'uint8'
        )
    fails(lambda: from_dataset(LikeTorchvision()), 'all must be alike')


def test_the_same_picture_twice_is_left_out():
    class Twice(Made):
        def __getitem__(self, i):
            return super().__getitem__(i % 120)

    got = from_dataset(Twice(), classes=range(K))
    assert got.about.dropped == 40 and not any(got.overlap().values())


@pytest.mark.skipif(
    'slow' not in os.environ.get('DNAS_FLAGS', ''), reason='slow: DNAS_FLAGS=slow runs it'
)
def test_two_hundred_thousand_pictures(tmp_path):
    data = from_dataset(Made(200_000, 32), classes=range(K), workers=2)
    small = dict(SMALL, epochs=1, batch=256)
    run(out=tmp_path, split=data, **small)
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**10
    print(f'peak memory {peak:.0f} MB')
    assert peak < 1500


class Pairs(Dataset):
    "Dicts of two modalities; item 70 is another one."

    def __init__(self, **other):
        self.other = other

    def __len__(self):
        return 160

    def __getitem__(self, i):
        pair = dict(audio=torch.full((4,), float(i)), image=torch.zeros(1, 2, 2), label=i % K)
        if i == 70:
            pair = {k: v for k, v in {**pair, **self.other}.items() if v is not None}
        return pair


@pytest.mark.parametrize(
    'other, part',
    [
        (dict(image=None), "item 70: it has no x['audio'] but one x alone"),
        (
            dict(image=None, picture=torch.zeros(1, 2, 2)),
            "item 70: it has no x['image']; the first item has it",
        ),
        (dict(text=torch.zeros(3)), "item 70: it has x['text'], which the first item has not"),
        (
            dict(audio=torch.zeros(4, dtype=torch.int64)),
            "item 70: x['audio'] is int64 (4,) where the first item is float32 (4,)",
        ),
        (dict(image=torch.zeros(1, 2, 3)), "item 70: x['image'] is float32 (1, 2, 3) where"),
        (dict(image=dict(left=torch.zeros(1, 2, 2))), "item 70: it has no x['image']"),
        (dict(label=None), 'item 70: it is'),
        (dict(label=1.5), 'item 70: y is float32 () where the first item is int64 ()'),
    ],
)
def test_items_of_two_modalities_name_the_place_that_differs(other, part):
    assert from_dataset(Pairs(), classes=range(K)).train.shape == dict(audio=(4,), image=(1, 2, 2))
    fails(lambda: from_dataset(Pairs(**other), classes=range(K)), part)
