"Texts: what cannot be read is named by its place, padding changes nothing, empty texts are answered."

import pytest
import torch
from dnas_nb.core import UserError, generator
from dnas_nb.domains.text import grammar, looked_at, text_data, text_op, text_space, texts_in_parts
from dnas_nb.genotype import random_arch
from dnas_nb.sequences import encode, from_arrays

GOOD = dict(
    texts=dict(train=['a good film', 'a bad film'], valid=['good'], test=['bad bad']),
    labels=dict(train=[1, 0], valid=[1], test=[0]),
    classes=('bad', 'good'),
    name='films',
)


def changed(what, **other):
    return GOOD | {what: GOOD[what] | other}


@pytest.mark.parametrize(
    'given, place',
    [
        (changed('texts', valid=['  ']), 'films, valid part: text 0 is empty'),
        (changed('texts', train=['a good film', 7]), 'films, train part: text 1 is empty'),
        (changed('texts', test=['zyzzyva']), 'films, test part: no word of text 0'),
        (changed('labels', train=[0.5, 0.5]), 'films, train part'),
        (changed('labels', train=[1, 2]), 'films, train part'),
        (changed('labels', test=[[0, 1]]), 'films, test part'),
        (changed('labels', valid=['good']), 'films, valid part'),
        (changed('labels', valid=[1, 1]), 'films, valid part'),
    ],
)
def test_what_cannot_be_read_is_named_by_its_place(given, place):
    with pytest.raises(UserError) as e:
        texts_in_parts(**given)
    assert str(e.value).startswith(place) and '\n' not in str(e.value)


def test_texts_of_two_parts_are_left_out_of_the_earlier_one():
    data = texts_in_parts(
        **changed('texts', train=['a good film', 'Bad, bad'])
        | dict(texts=dict(train=['a good film', 'bad bad'], valid=['good'], test=['bad bad']))
    )
    assert len(data.train) == 1 and data.about.dropped == 1


def test_without_the_data_folder_one_line_says_what_to_do(monkeypatch, tmp_path):
    monkeypatch.setenv('DNAS_DATA', str(tmp_path))
    text_data.cache_clear()
    with pytest.raises(UserError, match='trec.npz is not here: set DNAS_DATA'):
        text_data('trec')


def test_arrays_have_no_words():
    data = from_arrays(torch.randn(12, 3), [0, 1] * 6)
    with pytest.raises(UserError, match='has no words'):
        text_space(data)


def test_empty_texts_and_unknown_words_get_finite_gradients():
    data = grammar(pairs=(4, 2, 2))
    space = text_space(data, C=8, widths=(4, 8), rows=16)
    batch = encode(['', 'quux', 'the fox'], data.about.words, 6)
    for k in range(8):
        net = space.network(random_arch(space, generator(k, 'few'))).train()
        out = net(batch)
        out.sum().backward()
        grads = [p.grad for p in net.parameters() if p.grad is not None]
        assert out.isfinite().all() and all(g.isfinite().all() for g in grads)


def test_reading_backwards_begins_at_the_last_word():
    op = text_op('gru', 4)
    x = torch.randn(1, 5, 4, generator=generator('backwards'))
    mask = torch.tensor([[True, True, True, False, False]])
    with torch.no_grad():
        there = op(x, mask)[:, :3]
        alone = op(x[:, :3], mask[:, :3])
    assert torch.allclose(there, alone, atol=1e-6)


def test_only_attention_weighs_words():
    data = grammar(pairs=(4, 2, 2))
    space = text_space(data, C=8, widths=(4, 8), rows=16)
    genotype = random_arch(space, generator('mean'))
    net = space.network(genotype)
    net.whole = text_op('skip', 8)
    with pytest.raises(UserError, match='only a network with whole=attention'):
        looked_at(net, data.valid.x)
