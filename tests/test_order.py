"Two orders of the same pictures, sorted by class and shuffled, give the same figures; a last batch of one picture ends no run."

import ast
import re
from dataclasses import replace
import numpy as np
import pytest
import torch
import torch.nn.functional as F
from conftest import ROOT, fails, module_from
from dnas_nb.bench.tables import make_table
from dnas_nb.bilevel import dists, evaluate, start, watch
from dnas_nb.core import generator, seeded
from dnas_nb.data import Part
from dnas_nb.derive import Judge, best_of, by_perturbation
from dnas_nb.running.evaluate import judge
from dnas_nb.running.experiment import run
from dnas_nb.running.referee import conclude, shared_judge, trainer
from dnas_nb.running.retrain import retrain
from dnas_nb.genotype import all_archs, to_str
from dnas_nb.reading.landscape import eigen, gap, reach, rounding, spread
from dnas_nb.reading.landscape import valid_batch as batch_of_landscape
from dnas_nb.methods import find_method
from dnas_nb.bench.proxies import PROXIES, fidelity, first_batch, scores, untrained
from dnas_nb.stopping import any_of, stop_on_eig, stop_on_ranking, stop_on_skips
from dnas_nb.sources import load_data
from dnas_nb.space import toy
from dnas_nb.supernet import SuperNet, batch_stats, subnet
from dnas_nb.trace import Trace
from dnas_nb.reading.wiring import probe_part

PARTS = 'train', 'valid', 'test'


def by_class(im):
    return im[im.y.argsort(stable=True)]


def shuffled(im):
    return im[torch.randperm(len(im), generator=generator('order'))]


def ordered(split, order, parts=PARTS):
    "The split with the pictures of some parts in another order"
    return replace(split, **{p: order(getattr(split, p)) for p in parts})


@pytest.fixture(scope='module')
def split():
    return load_data('digits')


@pytest.fixture(scope='module')
def two(split):
    return ordered(split, by_class), ordered(split, shuffled)


@pytest.fixture(scope='module')
def able(split):
    "A search state whose weights have learned and whose logits have left 0"
    method, space = find_method('drnas'), toy()
    with seeded(0, 'net'):
        net = batch_stats(SuperNet(space, C=4, n=1, classes=10, in_ch=1))
    state = start(net, method)
    with torch.no_grad():
        state.phi['cell']['alpha'] += torch.randn(3, 3, generator=generator('phi')) / 2
    theta, opt = {'cell': torch.full((3, 3), 1 / 3)}, torch.optim.SGD(
        net.parameters(), 0.1, momentum=0.9
    )
    for epoch in range(5):
        for x, y in split.train.batches(64, 0, 'able', epoch):
            opt.zero_grad()
            F.cross_entropy(net(x, theta), y).backward()
            opt.step()
    return state, method


def mean(able):
    return {c: d.mean for c, d in dists(*able).items()}


@pytest.mark.parametrize('part', PARTS)
@pytest.mark.parametrize('most', [None, 2048, 300])
def test_accuracy_with_shared_weights(able, two, part, most):
    a, b = (evaluate(able[0].net, mean(able), getattr(s, part), most=most) for s in two)
    assert a == b and a[1] > 0.5


def test_order_of_the_file_shows_nowhere(able, split, two):
    "The pictures as read, and each order twice over"
    seen = {
        evaluate(able[0].net, mean(able), s.valid) for s in (split, *two, ordered(two[0], shuffled))
    }
    assert len(seen) == 1


@pytest.mark.parametrize('part', ['valid', 'test'])
def test_batch_of_judging_moves_less_than_the_sample(able, two, part):
    "Between batches of 64, 256 and the whole part: two standard errors of an accuracy on as many pictures"
    for s in two:
        im = getattr(s, part)
        acc = [evaluate(able[0].net, mean(able), im, batch=b)[1] for b in (64, 256, len(im))]
        assert max(acc) - min(acc) < 2 * (acc[-1] * (1 - acc[-1]) / len(im)) ** 0.5


def test_sample_of_a_sorted_part_holds_every_class(able, two):
    "A fifth of a sorted file: within four standard errors of the whole"
    s = two[0]
    few, whole = (evaluate(able[0].net, mean(able), s.valid, most=n)[1] for n in (125, None))
    assert abs(few - whole) < 4 * (whole * (1 - whole) / 125) ** 0.5


def test_rare_class_in_every_judging_batch():
    y = torch.tensor([0] * 500 + [1] * 40)
    im = Part(
        torch.arange(540).remainder(256).to(torch.uint8).view(-1, 1, 1, 1).repeat(1, 1, 2, 2), y
    )
    im.x[:, 0, 0, 0] = torch.arange(540).div(256, rounding_mode='floor').to(torch.uint8)
    for order in (lambda v: v, shuffled):
        part = order(im)
        assert all(abs(int(part.y[i].sum()) - 40 * len(i) / 540) < 2 for i in part.judging())


def test_copies_with_two_labels():
    "Pictures that are equal are told apart by their labels"
    x = torch.zeros(6, 1, 2, 2, dtype=torch.uint8)
    x[3:] = 1
    im = Part(x, torch.tensor([2, 0, 1, 1, 0, 2]))
    again = shuffled(im)
    assert torch.equal(im.x[im.by_content], again.x[again.by_content]) and torch.equal(
        im.y[im.by_content], again.y[again.by_content]
    )


def test_row_that_is_watched(able, two):
    (a, means), (b, others) = (watch(*able, s, 1.0) for s in two)
    assert a == b and (means['cell'] == others['cell']).all()


def test_stops(able, two):
    "Every stop says the same of both histories, those on accuracy and on the eigenvalue too"
    state, method = able

    def traced(s):
        trace = Trace(toy().cells)
        for k in range(6):
            at = replace(
                state,
                phi={'cell': {n: v.detach() * (1 + k / 3) for n, v in state.phi['cell'].items()}},
            )
            numbers, means = watch(at, method, s, 1.0)
            trace = trace.then(numbers | dict(eigenvalue=eigen(at, method, s, n=32)['eig']), means)
        return trace

    a, b = map(traced, two)

    def good_enough(trace):
        return trace.last['valid_acc'] >= a.scalars['valid_acc'][3]

    stops = stop_on_skips(1), stop_on_ranking(2), stop_on_eig(start=5, window=2, gap=2), good_enough
    for stop in (*stops, any_of(*stops)):
        assert [stop(a.upto(k + 1)) for k in range(6)] == [stop(b.upto(k + 1)) for k in range(6)]
    assert a == b


class Noted:
    "A judge that remembers what it said"

    def __init__(self, judge):
        self.judge, self.said = judge, []

    def shared(self, g):
        return self.note(self.judge.shared(g))

    def at(self, theta):
        return self.note(self.judge.at(theta))

    def note(self, value):
        self.said.append(value)
        return value


@pytest.mark.parametrize(
    'rule', [by_perturbation(), best_of(12)], ids=['perturbation', 'best of 12']
)
def test_rules_that_judge(able, two, rule):
    D, found = dists(*able), []
    for s in two:
        noted = Noted(shared_judge(able[0].net, toy(), s.valid))
        judge = Judge(shared=noted.shared, at=noted.at)
        found.append((to_str(rule(D, toy(), judge, 0)), noted.said))
    assert found[0] == found[1] and len(set(found[0][1])) > 2


def test_what_a_run_concludes(able, two):
    assert conclude(*able, toy(), two[0], 0)[1] == conclude(*able, toy(), two[1], 0)[1]


def test_whole_parts_are_reported(able, split):
    "Rules may compare on a sample of 1,024; the figures that are reported are of all pictures"
    g, found = conclude(*able, toy(), split, 0)
    from dnas_nb.genotype import one_hot

    for part in ('valid', 'test'):
        assert (
            found[f'{part}_acc']
            == evaluate(able[0].net, one_hot(g, toy()), getattr(split, part), most=None)[1]
        )


def test_whole_run_that_learns_from_train_alone(two, tmp_path):
    "`random` trains on `train`, watches `valid`, compares 64 cells on it and reports `test`: the same bits in every file"

    def go(s, name):
        return run(
            tmp_path / name,
            split=replace(s, train=two[0].train),
            method='random',
            space='toy',
            epochs=2,
            channels=4,
            device='cpu',
            report=False,
        )

    a, b = (go(s, n) for s, n in zip(two, 'ab'))
    said = [{k: v for k, v in r.found.items() if k != 'memory'} for r in (a, b)]
    assert said[0] == said[1] and a.trace == b.trace


def test_network_trained_alone(split, two):
    "In evaluation mode nobody looks at the neighbours: the accuracy is the same, the loss up to rounding"
    with seeded(0):
        net = subnet(toy(), list(all_archs(toy()))[-1], 4, 1, 10, 1)
    for x, y in split.train.batches(64, 0):
        net.train()(x)
    (la, a), (lb, b) = (judge(net, s.valid) for s in two)
    assert a == b and abs(la - lb) < 1e-5


def test_proxies(two):
    a, b = (first_batch(s, 32) for s in two)
    assert (
        torch.equal(a[0], b[0])
        and torch.equal(a[1], b[1])
        and a[1].bincount(minlength=10).min() >= 2
    )
    some = list(all_archs(toy()))[::5]
    for f in PROXIES.values():
        np.testing.assert_array_equal(
            scores(f, some, untrained(toy(), a), a), scores(f, some, untrained(toy(), b), b)
        )


def test_fidelity(able, two):
    archs = list(all_archs(toy()))[::2]
    table = make_table(
        't',
        'toy',
        [to_str(g) for g in archs],
        {('d', 'test', 1, 'mean'): np.arange(len(archs)) * 1.0},
    )
    a, b = (fidelity(able[0].net, toy(), s.valid, table, archs, 'd', most=300) for s in two)
    np.testing.assert_array_equal(a.shared, b.shared)
    assert a.tau == b.tau


@pytest.mark.parametrize(
    'measure',
    [
        lambda *a: gap(*a, most=300),
        lambda *a: rounding(*a, ts=(0, 0.5, 1), most=300).tolist(),
        lambda *a: spread(*a, n=4).tolist(),
        lambda *a: reach(*a, n=4),
        lambda *a: eigen(*a, n=32),
    ],
    ids=['gap', 'rounding', 'spread', 'reach', 'eigen'],
)
def test_landscape(able, two, measure):
    assert measure(*able, two[0]) == measure(*able, two[1])


def test_batch_of_the_landscape(two):
    a, b = (batch_of_landscape(s, 50) for s in two)
    assert (
        torch.equal(a[0], b[0])
        and torch.equal(a[1], b[1])
        and a[1].bincount(minlength=10).min() >= 4
    )


@pytest.mark.parametrize('part', ['train', 'valid'])
def test_costs_and_calibration(able, two, part):
    (a, one), (b, other) = (probe_part(*able, s, part, most=100) for s in two)
    assert a == b
    for k in one.stats:
        for v, w in zip(vars(one.stats[k]).values(), vars(other.stats[k]).values()):
            assert torch.equal(torch.as_tensor(v), torch.as_tensor(w))


def test_eigenvalue_of_the_clinic(able, two):
    clinic = module_from(ROOT / 'nbs' / 'studies' / 'clinic' / 'run.py')
    assert clinic.top_eig(able[0], two[0]) == clinic.top_eig(able[0], two[1])


def test_no_module_takes_the_first_pictures():
    "Nothing is computed from the first pictures of a file or from its neighbours; what shows pictures, and networks in evaluation mode, may"
    allowed = {
        ('sources.py', 'about, pictures = data.about, data.train.x[:n]'),
        ('evaluate.py', 'for index in mine(torch.arange(len(images)).split(batch)):'),
        ('export.py', 'for index in torch.arange(len(images)).split(batch):'),
    }
    found = set()
    for p in [
        *(ROOT / 'dnas_nb').rglob('*.py'),
        *(ROOT / 'tools').glob('*.py'),
        *(ROOT / 'nbs' / 'studies').rglob('*.py'),
    ]:
        for l in p.read_text().splitlines():
            if re.search(
                r'\.(x|y)(\[:|\[i:|\[0:|\.split\(|\.chunk\(|\.narrow\()|arange\([^)]*len\((images|im|split|data)',
                l,
            ):
                found.add((p.name, l.strip()))
    assert found == allowed


def cut(im, n):
    return im[:n]


@pytest.fixture(scope='module')
def tiny():
    "Pictures that end as one pixel"
    return load_data('digits', size=4)


@pytest.mark.parametrize('space, cells', [('nb201', 1), ('darts', 3)])
@pytest.mark.parametrize('valid, test', [(257, 200), (200, 257)])
def test_last_batch_of_one_picture(tiny, tmp_path, space, cells, valid, test):
    few = replace(
        tiny, train=cut(tiny.train, 64), valid=cut(tiny.valid, valid), test=cut(tiny.test, test)
    )
    r = run(
        tmp_path / 'r',
        split=few,
        method='drnas',
        space=space,
        cells=cells,
        epochs=1,
        channels=4,
        size=4,
        device='cpu',
        report=False,
    )
    assert 0 <= r.found['valid_acc'] <= 1 and (tmp_path / 'r' / 'genotype.json').is_file()


def test_batch_of_one_picture(tiny, tmp_path):
    "Asked for, it is refused in one line"
    few = replace(tiny, train=cut(tiny.train, 64), valid=cut(tiny.valid, 64))
    small = dict(
        method='drnas',
        space='nb201',
        epochs=1,
        channels=4,
        size=4,
        batch=1,
        device='cpu',
        report=False,
    )
    fails(
        lambda: run(tmp_path / 'r', split=few, **small),
        'epoch 1, step 1',
        'one pixel',
        'larger batch',
    )
    cell = '|nor_conv_3x3~0|+|nor_conv_3x3~0|nor_conv_3x3~1|+|skip_connect~0|none~1|nor_conv_3x3~2|'
    fails(
        lambda: retrain(
            cell,
            data='digits',
            size=4,
            images=40,
            batch=1,
            epochs=1,
            out=tmp_path / 't',
            device='cpu',
        ),
        'one pixel',
        'larger batch',
    )


def test_referee_with_few_training_pictures(split):
    "Fewer pictures than its batch: it takes them all, and the run does not end after the search"
    from dnas_nb.running.evaluate import Recipe

    few = replace(split, train=cut(split.train, 40))
    fresh = trainer(toy(), few, recipe=Recipe(epochs=1, batch=64, lr=0.1, C=4, n=1), least=1)
    assert 0 <= fresh(list(all_archs(toy()))[-1]) <= 1


def _has_no_order(node) -> bool:
    "A set, or keys less other keys"
    if isinstance(node, (ast.Set, ast.SetComp)):
        return True
    if isinstance(node, ast.Call):
        return getattr(node.func, 'id', '') in ('set', 'frozenset')
    if not isinstance(node, ast.BinOp):
        return False
    sides = node.left, node.right
    keys = any(isinstance(s, ast.Call) and getattr(s.func, 'attr', '') == 'keys' for s in sides)
    return keys or any(map(_has_no_order, sides))


def test_no_loop_goes_over_a_set():
    "Texts have another hash in every process, so the order of a set, and of sums over it, changes"
    found = []
    for path in sorted((ROOT / 'dnas_nb').rglob('*.py')):
        for node in ast.walk(ast.parse(path.read_text(encoding='utf-8'))):
            if isinstance(node, (ast.For, ast.comprehension)) and _has_no_order(node.iter):
                found.append(f'{path.name}:{node.iter.lineno} {ast.unparse(node.iter)}')
    assert not found, found
