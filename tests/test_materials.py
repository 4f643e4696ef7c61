"What was given in another type, twice or with gaps: it is kept whole, or refused in one line."

import errno, json, math, stat

import numpy as np
import pytest
import torch
from conftest import fails, notebooks
import dnas_nb as nas
from torch import nn
from dnas_nb import modules, ranks, tasks, viz
from dnas_nb.changes import Light, augmented, blended
from dnas_nb.command import from_line
from dnas_nb.core import WriteError, counted, finite, save_tensors, write_atomic
from dnas_nb.data import Change, averages, tensors_in
from dnas_nb.folders import list_folder, read_folder
from dnas_nb.genotype import Genotype, draw, from_ops, keep_best, mutate, one_hot, random_arch, to_ops
from dnas_nb.loaders import _Reader, from_dataset
from dnas_nb.safe import archive, square
from dnas_nb.sequences import from_arrays, from_series
from dnas_nb.sources import from_tensors, load_data
from dnas_nb.space import Choice, Group, Space, darts, nb201
from dnas_nb.lora import Lora, add_lora, without_lora
from dnas_nb.supernet import Spec
from dnas_nb.tangled import _form
from dnas_nb.unpickle import load_tensors
from dnas_nb.waiting import numbers


def test_numbers_of_numpy_become_plain():
    "With the same value"
    several = np.float64(0.1), np.float32(0.1), torch.tensor(0.1), np.int64(3), np.array([2.0])
    for given in several:
        got = finite(given, 'lr')
        assert type(got) in (int, float) and got == given
    assert type(finite(np.int64(3), 'cutout')) is int and type(finite(0, 'lr')) is int
    assert type(counted(np.int32(3), 'epochs', 10)) is int
    for wrong in (np.array([1, 2]), np.float64('nan'), torch.ones(2)):
        fails(lambda: finite(wrong, 'lr'), 'lr')
    for wrong in (np.bool_(True), np.float64(3), torch.tensor(1.0), np.int64(11)):
        fails(lambda: counted(wrong, 'epochs', 10), 'epochs')


def test_a_search_with_a_rate_of_numpy_can_be_read_again(tmp_path):
    "And its architecture is that of the plain number"
    how = dict(space='toy', data='digits', images=40, epochs=1, batch=8, channels=2, report=False)
    rates = np.logspace(-2, -1, 3)[1], float(np.logspace(-2, -1, 3)[1])
    runs = [nas.search(method='darts', out=tmp_path / type(lr).__name__, lr=lr, **how) for lr in rates]
    weights = [torch.cat([w.flatten() for w in r.network.parameters()]) for r in runs]
    assert torch.equal(*weights) and type(runs[0].settings.lr) is float


STORED = dict(
    plain=(1, 2.5, 'a', True, None, {'b': [1, {2: 'c'}], (1, 'a'): 0}),
    view=torch.arange(6.0)[::2],
    turned=torch.arange(6.0).reshape(2, 3).t(),
    learned=torch.nn.Parameter(torch.ones(2)),
    empty=torch.zeros(0, 3),
    large=2**63,
)
NOT_STORED = dict(
    number=np.float64(1),
    array=np.ones(2),
    spread=torch.zeros(1).expand(5),
    some={1, 2},
    data=b'ab',
    size=torch.Size([2]),
    narrow=torch.zeros(2, dtype=torch.uint16),
    huge=2**64,
    thin=torch.eye(2).to_sparse(),
    deep=[{'a': (torch.float32,)}],
)


def test_what_is_written_can_be_read(tmp_path):
    path = save_tensors(STORED, tmp_path / 'last.pt')
    assert load_tensors(path, STORED, 'a demo')['plain'] == STORED['plain']
    for name, value in NOT_STORED.items():
        with pytest.raises(WriteError, match=f"'{name}'") as e:
            save_tensors({'epoch': 1, name: value}, path)
        assert '\n' not in str(e.value)
    assert 'view' in load_tensors(path, STORED, 'a demo')  # the file is as it was


def test_the_cause_of_a_failure_is_not_what_was_handled_before(tmp_path):
    "Inside an except block as outside"

    def full(tmp):
        try:
            raise OSError(errno.ENOSPC, 'No space left on device')
        finally:
            raise RuntimeError('unexpected pos')

    try:
        (tmp_path / 'none').read_text()
    except OSError:
        fails(lambda: write_atomic(tmp_path / 'a', full), 'No space left on device')


def test_a_file_keeps_its_mode(tmp_path):
    path = write_atomic(tmp_path / 'a', 'old')
    assert stat.S_IMODE(path.stat().st_mode) == 0o644
    path.chmod(0o600)
    write_atomic(path, 'new')
    assert stat.S_IMODE(path.stat().st_mode) == 0o600 and path.read_text() == 'new'


RNG = np.random.default_rng(0)
BYTES, LABELS = RNG.integers(0, 256, (60, 1, 8, 8), dtype=np.uint8), np.arange(60) % 2


def test_parts_are_of_one_type(tmp_path):
    "Bytes beside floats would be normalised by two rules, and copies among them not found"
    x, y, xt, yt = BYTES[:40], LABELS[:40], BYTES[30:], LABELS[30:]
    floats = xt.astype('f4')
    for make in (from_tensors, from_arrays):
        fails(lambda: make(x, y, floats, yt), 'test images are (1, 8, 8) float32', '8) uint8')
        assert make(x, y, xt, yt).about.dropped == 10  # in one type, the copies are seen
    np.savez(tmp_path / 'own.npz', x=x, y=y, x_test=floats, y_test=yt)
    fails(lambda: load_data(tmp_path / 'own.npz'), ') float32')
    items = [[(torch.tensor(one), int(k)) for one, k in zip(*p)] for p in ((x, y), (floats, yt))]
    fails(lambda: from_dataset(items[0], test=items[1], classes='ab'), ') float32')
    parts = from_tensors(x, y).train, from_tensors(x.astype('f4'), y).valid
    fails(lambda: parts[0] + parts[1], 'uint8', 'float32')


def test_masks_do_not_stay_behind():
    "Pictures are not mirrored nor shifted where labels stand at places"
    x = torch.rand(60, 1, 8, 8)
    items = [(one, (one[0] > 0.5).long()) for one in x]
    how = dict(classes='ab', task=tasks.segmentation)
    for moved in (dict(flip=True), dict(shift=2)):
        fails(lambda: from_dataset(items, **how, **moved), 'flip and shift')
    data = from_dataset(items, **how)
    for name in ('flip', 'crop', 'photo', Change(shift=0.1)):
        fails(lambda: augmented(data, name), 'labels', 'none')
    lit = augmented(data, Change(values=Light()))
    plain, masks = lit.train.take(key=(0,))
    assert torch.equal(masks, data.train.take()[1]) and lit.about.change.values
    arrays = from_arrays(x, (x[:, 0] > 0.5).long(), **how)
    fails(lambda: augmented(arrays, 'flip'), 'labels')
    scores = from_arrays(x, torch.rand(60, 3), task='regression')
    assert augmented(scores, 'flip').about.change.flip  # labels of whole pictures


def test_a_shift_is_in_whole_pixels_and_a_flip_is_yes_or_no():
    for wrong in (1.5, -1, '2'):
        fails(lambda: from_tensors(BYTES, LABELS, shift=wrong), 'shift')
    fails(lambda: from_tensors(BYTES, LABELS, flip='no'), 'flip', "'no'")


def test_a_change_that_writes_does_not_change_the_data():
    "Neither a part in memory nor the items of a data set"

    def in_place(x, key=None):
        return x.zero_()

    data = augmented(from_tensors(BYTES, LABELS), Change(values=in_place))
    before = data.train.x.clone()
    changed, _ = data.train.take(key=(0,))
    assert torch.equal(data.train.x, before) and before.any() and len(changed.unique()) == 1
    items = [(torch.rand(1, 4, 4), k % 2) for k in range(40)]
    held = torch.stack([x for x, _ in items])
    loaded = from_dataset(items, classes='ab', change=in_place)
    assert loaded.train.take(key=(0,))[0].unique().numel() == 1
    assert torch.equal(torch.stack([x for x, _ in items]), held)


def test_what_inference_remembered_serves_training():
    "Means, neighbours of pooling, places of matrices: kept once, by whoever asks first"
    from dnas_nb import data, dependence, distribution, fast, supernet

    kept = (data._moments_on, fast._remembered, supernet._ends, dependence.lower)
    for one in (*kept, distribution.uniform_points):
        one.cache_clear()
    x = torch.rand(2, 3, 4, 4, requires_grad=True)
    about = data.About('x', 'ab', (0.1,) * 3, (2.0,) * 3)
    with torch.inference_mode():
        data.normalise(x, about), fast._mean_of_9(x), supernet._ends((1, 2), 'cpu')
        dependence.lower(3), distribution.uniform_points(3)
    data.normalise(x, about).sum().backward()
    assert torch.allclose(x.grad, torch.full_like(x, 0.5))
    pooled = torch.nn.functional.avg_pool2d(x, 3, 1, 1, count_include_pad=False)
    assert torch.allclose(fast._mean_of_9(x), pooled, atol=1e-6)
    fast._mean_of_9(x).square().sum().backward()
    for one in (supernet._ends((1, 2), 'cpu'), dependence.lower(3), distribution.uniform_points(3)):
        assert not one.is_inference()


def test_nothing_to_average_is_said():
    places = tasks.tokens.scores(torch.rand(2, 3, 4), torch.full((2, 3), tasks.UNASKED))
    fails(lambda: averages([places]), 'nothing to average')
    fails(lambda: blended(torch.rand(4, 2), 0, (0,)), 'mixup')


def test_items_that_32_bits_cannot_tell_apart_are_refused():
    "As arrays are; what they can tell apart is read as before"
    x = torch.rand(60, 1, 4, 4)
    times = 1.7e9 + 0.5 * np.arange(60)
    how = dict(classes=['t'], task=tasks.regression)
    fails(lambda: from_dataset(list(zip(x, times)), **how), 'y', '32 bits')
    pairs = np.stack([times, times % 7], 1)
    fails(lambda: from_dataset(list(zip(pairs, times % 7)), **how), 'x', '32 bits')
    data = from_dataset(list(zip(x, times - times[0])), **how)
    got = torch.cat([part.y for part in data.parts.values()])
    assert got.dtype == torch.float32 and sorted(got.tolist()) == (times - times[0]).tolist()


def test_an_item_that_is_no_number_is_named():
    items = [(torch.full((1, 2, 2), float(k)), k % 2) for k in range(40)]
    items[7] = (items[7][0] / 0 * 0, 1)
    fails(lambda: from_dataset(items, classes='ab'), 'item 7', 'x holds NaN')


def test_an_item_that_failed_may_be_asked_for_again():
    "And what comes then is what comes without the failure"

    class Flaky(list):
        fail = False

        def __getitem__(self, i):
            if self.fail:
                self.fail = False
                raise OSError('the disk sleeps')
            return super().__getitem__(i)

    items = Flaky((torch.full((1, 2, 2), float(k)), k % 2) for k in range(60))
    part = from_dataset(items, classes='ab').train
    want = [x for x, _ in part.batches(4, 0, 'train')]
    batches = part.batches(4, 0, 'train')
    assert torch.equal(batches[0][0], want[0])
    items.fail = True
    fails(lambda: batches[1], 'the disk sleeps')
    for k in (1, 2):
        assert torch.equal(batches[k][0], want[k])


def test_pictures_in_their_own_size_are_read_like_squares():
    "16 bits a pixel, and upright as the file says"
    from PIL import Image

    deep = np.arange(64 * 64).reshape(64, 64) * 16
    read = [square(Image.fromarray(deep.astype('u2')), side) for side in (None, 64)]
    assert np.array_equal(*read) and np.array_equal(read[0][..., 0], (deep / 257).round())
    plain = RNG.integers(0, 256, (3, 5, 3), dtype=np.uint8)
    turned = Image.fromarray(plain)
    turned.getexif()[0x0112] = 6  # a quarter to the right
    assert np.array_equal(square(turned, None), np.rot90(plain, -1))
    items = [(turned, k % 2) for k in range(2)]
    assert _Reader()(items[0])[0].shape == (3, 5, 3)


def test_a_class_that_no_weight_would_see_is_named(capsys):
    "The division does not look at classes; a rare one may end elsewhere"
    items = [(torch.rand(1, 2, 2), int(k < 2)) for k in range(40)]
    told = []
    for seed in range(12):
        data = from_dataset(items, classes='ab', seed=seed)
        said = capsys.readouterr().err
        told.append("no item of ['b'] is in train" in said)
        assert told[-1] == (1 not in data.train.y) and said.count('\n') == told[-1]
    assert 0 < sum(told) < 12
    parts = [[(torch.rand(1, 2, 2), k) for _ in range(9)] for k in (0, 1, 1)]
    from_dataset(*parts, classes='ab')
    assert not capsys.readouterr().err  # parts of one's own


def test_a_seed_of_another_type_is_not_another_division():
    for seed in (np.int64(0), False, 0.0, '0'):
        fails(lambda: from_tensors(BYTES, LABELS, seed=seed), 'seed')
        fails(lambda: from_dataset(list(zip(BYTES, LABELS)), classes='ab', seed=seed), 'seed')


def test_series_are_not_rounded_in_silence():
    "Of one length and of several; what is not real is refused"
    rng = np.random.default_rng(1)
    for lengths in ([6] * 40, [6 + k % 3 for k in range(40)]):
        far = [1e7 + rng.random((2, n)) for n in lengths]
        y = np.arange(40) % 2
        fails(lambda: from_series(far, y), '32 bits')
        turning = [one + 1j for one in far]
        fails(lambda: from_series(turning, y), 'series 0', 'real')
        near = [one - 1e7 for one in far]
        data, single = from_series(near, y), from_series([one.astype('f4') for one in near], y)
        assert data.about.fingerprint == single.about.fingerprint
        whole = from_series([(one * 1000).astype('i4') for one in near], y)
        assert {t.dtype for t in tensors_in(whole.train.x)} <= {torch.float32, torch.bool}


def picture_folder(path, classes='ab', colour=0):
    from PIL import Image

    for k, name in enumerate(classes):
        (path / name).mkdir(parents=True)
        for i in range(4):
            Image.new('RGB', (4, 4), (colour, 40 * k, 9 * i)).save(path / name / f'{i}.png')


def test_two_folders_of_one_meaning_are_refused(tmp_path):
    "And what lies beside the parts is listed"
    for k, name in enumerate(('train', 'val', 'Validation')):
        picture_folder(tmp_path / name, colour=50 * k)
    fails(lambda: list_folder(tmp_path), 'Validation and val', 'valid')
    (tmp_path / 'Validation').rename(tmp_path / 'test')
    (tmp_path / 'loose.png').write_bytes((tmp_path / 'val' / 'a' / '0.png').read_bytes())
    held = read_folder(tmp_path, 4)
    assert list(held.parts) == ['train', 'valid', 'test']
    assert held.skipped == (('loose.png', 'in no part'),)
    for size in (-3, 2.5, 0, '8', 2000):
        fails(lambda: read_folder(tmp_path, size), 'size')


def test_weights_that_fit_no_space_choose_nothing():
    space = nb201()
    good = torch.rand(6, 5)
    assert to_ops(keep_best({'cell': good}, space), space)['cell'] == [
        space['cell'].ops[0][k] for k in good.argmax(1)
    ]
    nan = good.clone()
    nan[2, 1] = float('nan')
    for wrong in (nan, torch.rand(9, 5), torch.rand(6, 9), torch.rand(6, 3), torch.rand(6)):
        fails(lambda: keep_best({'cell': wrong}, space), "'cell'")
    fails(lambda: keep_best({'other': good}, space), "'cell'", '(6, 5)')
    both = {c.name: torch.rand(c.E, c.O) for c in darts().groups}
    fails(lambda: keep_best(both, darts(), {'normal': torch.rand(3)}), "'normal'")


def test_nodes_without_inputs_are_not_drawn_as_inputs(monkeypatch):
    asked = []
    def drawn(wires, ops, n_in, output, ax):
        asked.append((n_in, output))

    monkeypatch.setattr(viz, 'draw_dag', drawn)
    late = (('normal', ((0, 3, 'skip_connect'), (1, 4, 'skip_connect'))), ('reduce', ()))
    draw(Genotype('darts', late))
    dropped = from_ops(nb201(), [None, *['skip_connect'] * 5])
    draw(dropped, space=nb201())
    draw(from_ops(nb201(), ['skip_connect'] * 6))
    draw(Genotype('darts', late), space=darts())
    assert asked == [(2, 'concat'), (1, 'last'), (1, 'last'), (2, 'concat')]


def test_a_step_that_is_not_there_is_said():
    plan = type('Plan', (), dict(check=lambda self, space: None))()
    one = Space('one', (Group('net', [Choice('a', ('x',))]),), plan)
    fails(lambda: mutate(random_arch(one), one), 'one step')
    fails(lambda: from_ops(darts(), {1: 2, 'a': 3}), 'normal, reduce')


def operation(*layers):
    return nn.Sequential(*layers)


@pytest.mark.parametrize(
    'other',
    [
        operation(nn.ReLU(), nn.Conv2d(4, 4, (1, 3), padding=(0, 1), bias=False)),
        operation(nn.ReLU(), nn.Conv2d(4, 4, 2, padding=1, bias=False)),
        operation(nn.LeakyReLU(0.5), nn.Conv2d(4, 4, 5, padding=2, bias=False)),
    ],
    ids=['strip', 'even', 'slope'],
)
def test_operations_that_differ_in_more_than_a_kernel_are_not_tangled(other):
    "Only square, odd kernels after the same layers are"
    three = operation(nn.ReLU(), nn.Conv2d(4, 4, 3, padding=1, bias=False))
    five = operation(nn.ReLU(), nn.Conv2d(4, 4, 5, padding=2, bias=False))
    assert _form(three) == _form(five) and _form(three) != _form(other)
    norms = [operation(three[1], nn.BatchNorm2d(4, affine=affine)) for affine in (True, False)]
    assert _form(norms[0]) != _form(norms[1])


def test_statistics_of_a_norm_move_also_where_what_is_kept_has_gaps():
    "As those of a norm of the whole layer, at the features that are kept"

    class Net(nn.Module):
        def __init__(self):
            super().__init__()
            self.conv = modules.Gate('g', nn.Conv2d(3, 6, 1, bias=False), out=3)
            self.norm = modules.Gate('g', nn.BatchNorm2d(6), out=3)

        def forward(self, x):
            return self.norm(self.conv(x)).mean((2, 3))

    space = modules.space_of(Net)
    net = space.supernet(Spec(batch_stats=False)).train()
    norm = next(m for m in net.modules() if isinstance(m, nn.BatchNorm2d))
    conv = next(m for m in net.modules() if isinstance(m, nn.Conv2d))
    x, chosen = torch.rand(4, 3, 4, 4), from_ops(space, ['on', 'off', 'on'])
    net(x)
    mean, var = norm.running_mean.clone(), norm.running_var.clone()
    net(x, one_hot(chosen, space))
    there, y = torch.tensor([0, 1, 4, 5]), conv(x).detach()
    mean[there] = 0.9 * mean[there] + 0.1 * y.mean((0, 2, 3))[there]
    var[there] = 0.9 * var[there] + 0.1 * y.var((0, 2, 3))[there]
    assert torch.allclose(norm.running_mean, mean, atol=1e-6)
    assert torch.allclose(norm.running_var, var, atol=1e-6)


def test_a_layer_has_one_adapter_wherever_it_stands():
    "What stands twice is merged once, and stays one"
    torch.manual_seed(0)
    shared = nn.Linear(4, 4)
    net = nn.Sequential(shared, nn.ReLU(), nn.Sequential(shared, nn.Tanh()), shared)
    add_lora(net)
    assert net[0] is net[3] is net[2][0]
    nn.init.normal_(net[0].up)
    net[0].up.data[:, 1:] = 0
    x, plain = torch.rand(5, 4), without_lora(net)
    assert plain[0] is plain[3] is plain[2][0] and type(plain[0]) is nn.Linear
    assert torch.allclose(plain(x), net(x), atol=1e-5)
    alone = add_lora(nn.Linear(4, 2))
    nn.init.normal_(alone.up[:, :1])
    assert torch.allclose(without_lora(alone)(x), alone(x), atol=1e-5)


def test_adapters_stand_beside_the_layers_of_attention():
    net = nn.TransformerEncoderLayer(8, 2, 16, batch_first=True).eval()
    x = torch.rand(2, 3, 8)
    before = net(x)
    add_lora(net)
    assert torch.allclose(net(x), before, atol=1e-5)
    for m in net.modules():
        if isinstance(m, Lora):
            nn.init.normal_(m.up[:, :1])
            m.on.fill_(True)
    learned = net.train(False)(x)
    assert torch.allclose(without_lora(net)(x), learned, atol=1e-4)
    learned.sum().backward()
    assert net.self_attn.out_proj.up.grad.any() and net.self_attn.out_proj.base.weight.grad is None


def test_a_place_that_has_too_few_outputs_is_said():
    for task, shape in ((tasks.tokens, (2, 5, 3)), (tasks.segmentation, (2, 3, 4, 4))):
        y = torch.full((2, 5) if len(shape) == 3 else (2, 4, 4), tasks.UNASKED)
        y[0, 0] = 4
        fails(lambda: task.loss(torch.zeros(shape), y), task.name, '3 numbers', 'to 4')
    net = torch.zeros(2, 3)
    fails(lambda: tasks.classification.loss(net, torch.tensor([-1, 0])), 'a label is -1')
    fails(lambda: tasks.classification.loss(net, torch.tensor([3, 0])), 'at least 4')


def test_flags_that_are_set_and_lists_of_options():
    def bake(*, cache: bool = True, dry: bool = False, names: list = None):
        pass

    assert from_line(bake, []) == dict(cache=True, dry=False, names=None)
    assert from_line(bake, ['--no-cache', '--dry']) == dict(cache=False, dry=True, names=None)
    assert from_line(bake, ['--names', 'p', 'q'])['names'] == ['p', 'q']
    assert from_line(bake, ['--names', 'p'])['names'] == ['p']


def test_one_number_in_brackets_is_a_number():
    assert numbers([torch.tensor([3.0]), 2, torch.tensor(0.5)]) == [3.0, 2, 0.5]


def test_ranks_agree_on_nan_and_not_on_what_one_alone_holds(monkeypatch):
    "The second rank's values, as if they had been gathered"
    monkeypatch.setattr(ranks, 'world', lambda: ranks.World(0, 2))
    for there, said in (
        ({'a': math.nan}, ''),
        ({'a': math.nan, 'b': 2}, 'b is (nothing) on rank 0 and 2 on rank 1'),
        ({}, 'a is nan on rank 0 and (nothing) on rank 1'),
        ({'a': 1.0}, 'a is nan on rank 0 and 1.0 on rank 1'),
    ):
        monkeypatch.setattr(ranks, '_gathered', lambda value: [value, there])
        if said:
            fails(lambda: ranks.agree({'a': math.nan}, 'mend it'), said, 'mend it')
        else:
            ranks.agree({'a': math.nan}, 'mend it')


def test_errors_of_a_reader_are_no_damage_of_the_file(tmp_path):
    np.savez(tmp_path / 'a.npz', x=np.ones(3))
    for error in (KeyError, MemoryError):
        with pytest.raises(error), archive(tmp_path / 'a.npz'):
            raise error('mine')
    (tmp_path / 'b.npz').write_bytes((tmp_path / 'a.npz').read_bytes()[:-30])
    fails(lambda: archive(tmp_path / 'b.npz').__enter__(), 'damaged')


def test_labels_and_ribbons_say_what_they_show():
    assert [viz.short(n) for n in ('nor_conv_3x3', 'normal_1x1')] == ['conv 3×3', 'normal 1×1']
    fails(lambda: viz.ribbons(torch.rand(5, 6, 5), 'abcde'), '(5, 6, 5)', 'one edge')


def test_no_code_has_slid_into_the_prose():
    for path in notebooks():
        for cell in json.loads(path.read_text(encoding='utf-8'))['cells']:
            text = ''.join(cell['source'])
            assert cell['cell_type'] == 'code' or '%%% ' not in text, (path.name, cell['id'])
