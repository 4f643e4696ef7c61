"Several modalities, one of which a whole batch, or a whole training, lacks."

from dataclasses import replace

import pytest
import torch

from dnas_nb.core import generator, seeded
from dnas_nb.data import Part
from dnas_nb.domains.modalities import modal_data
from dnas_nb.genotype import from_ops
from dnas_nb.systems.dmnas import (
    RULES,
    search_senses,
    senses_data,
    senses_of_data,
    senses_right,
    train_senses,
)

MODALITIES = 'sight', 'sound'


@pytest.fixture(scope='module')
def pairs():
    data = senses_data(modal_data())
    return replace(data, train=data.train[:64], valid=data.valid[:64], test=data.test[:64])


def lacking(data, name, share=1.0):
    "The same data, in which some examples, or all, lack a modality"

    def part(held):
        there = torch.ones(len(held), 2, dtype=torch.bool)
        gone = torch.arange(len(held)) < share * len(held)
        there[gone, MODALITIES.index(name)] = False
        return Part(dict(held.x, there=there), held.y)

    about = data.about
    mean, std = (dict(known, there=None) for known in (about.mean, about.std))
    about = replace(about, mean=mean, std=std, shape=None, fingerprint='')
    return replace(data, **{k: part(p) for k, p in data.parts.items()}, about=about)


def begun(data, genotype, seed=0):
    with seeded('senses alone', seed):
        return senses_of_data(data).network(genotype)


@pytest.mark.parametrize('rule', RULES)
@pytest.mark.parametrize('lacks', MODALITIES)
def test_what_a_training_never_had_stays_as_it_began(pairs, lacks, rule):
    "Not a bit of its encoder and of its part in the fusion moves, under weight decay; the rest learns."
    data = lacking(pairs, lacks)
    assert list(senses_of_data(data)['net'].choices) == list(senses_of_data(pairs)['net'].choices)
    genotype = from_ops(senses_of_data(data), ['two', 'lstm', rule])
    before = dict(begun(data, genotype).named_parameters())
    after = dict(train_senses(data, genotype, epochs=2).named_parameters())
    for name, p in after.items():
        unused = rule == 'sum' and name.startswith('fusion')  # it adds, and mixes nothing
        still = lacks in name or unused
        assert torch.equal(p, before[name]) == still, name
    assert 0 <= senses_right(begun(data, genotype).eval(), data.test) <= 100


def test_one_batch_without_a_modality_is_a_batch_of_the_other_alone(pairs):
    "After batches with both, momentum and decay of the optimiser leave what is absent alone."
    genotype = from_ops(senses_of_data(pairs), ['two', 'conv', 'gated'])
    net = begun(pairs, genotype).train()
    opt = torch.optim.AdamW(net.parameters(), 0.01)
    x, y = pairs.train.take(torch.arange(32))
    for lacks in ('', 'sound', '', 'sight'):
        before = {name: p.detach().clone() for name, p in net.named_parameters()}
        there = torch.tensor([name != lacks for name in MODALITIES]).expand(32, 2)
        loss = torch.nn.functional.cross_entropy(net(dict(x, there=there)), y)
        opt.zero_grad()
        loss.backward()
        opt.step()
        moved = {name for name, p in net.named_parameters() if not torch.equal(p, before[name])}
        assert moved == {name for name in before if not lacks or lacks not in name}


@pytest.mark.parametrize('method', ['danas', 'darts2', 'gdas'])
@pytest.mark.parametrize('share', [0.5, 1.0])
def test_a_search_without_one_modality_ends(pairs, method, share):
    "Half of the examples lack the sound, or all: batches of both kinds, or of one."
    data = lacking(pairs, 'sound', share)
    found = [search_senses(data, method, epochs=1) for _ in range(2)]
    assert found[0] == found[1]


def test_gaps_come_on_top_of_those_that_are_there(pairs):
    "An example that lacks the sound loses the picture as well in half of the draws with a share of one."
    from dnas_nb.systems.dmnas import _with_gaps

    x, y = lacking(pairs, 'sound').train.take()
    there = _with_gaps(x, len(y), 1.0, generator('gaps'))['there']
    assert not there[:, 1].any() and 0.3 < there[:, 0].double().mean() < 0.7
    assert _with_gaps(x, len(y), 0.0, generator('gaps'))['there'][:, 0].all()
    assert x['there'][:, 0].all()  # the data are as they were


def test_without_anything_there_is_an_answer(pairs):
    "Examples that lack everything train the last layers alone."
    genotype = from_ops(senses_of_data(pairs), ['two', 'lstm', 'product'])
    net = begun(pairs, genotype).train()
    x, y = pairs.train.take(torch.arange(8))
    said = net(dict(x, there=torch.zeros(8, 2, dtype=torch.bool)))
    assert torch.equal(said, said[:1].expand_as(said))
    torch.nn.functional.cross_entropy(said, y).backward()
    learned = {name for name, p in net.named_parameters() if p.grad is not None and p.grad.any()}
    assert learned and all(name.startswith('out') for name in learned)
