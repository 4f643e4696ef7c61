"Pairs of sound and picture: parts that share nobody, a space whose networks are plain, and inputs that are refused by name."

import numpy as np
import pytest
import torch
from conftest import fails
from dnas_nb.core import generator, seeded
from dnas_nb.domains.modalities import (
    lacking,
    modal_data,
    modal_domain,
    modal_space,
    pair_inputs,
    spectrogram,
    twin_pairs,
)
from dnas_nb.genotype import random_arch
from dnas_nb.sources import find_data

WAVE = torch.sin(torch.arange(1000.0))
needs_file = pytest.mark.skipif(
    find_data('spoken_written_digits.npz') is None, reason='no data folder here, see DNAS_DATA'
)


@pytest.mark.parametrize(
    'clip, parts',
    [
        (WAVE[:255], ['clip 1 has 255 samples', '256']),
        (WAVE[None], ['clip 1 is float32 (1, 1000)', 'one channel']),
        ((1000 * WAVE).int(), ['clip 1 is int32', '16-bit']),
        (WAVE / 0, ['clip 1 contains NaN']),
        ('hello', ['clip 1 holds no samples', 'hello']),
        (None, ['clip 1 holds no samples']),
    ],
)
def test_sounds_that_are_none_name_the_clip(clip, parts):
    fails(lambda: pair_inputs([WAVE, clip], np.zeros((2, 8, 8))), *parts)


@pytest.mark.parametrize(
    'images, part',
    [
        (np.zeros((1, 8, 8)), '2 clips but 1 images'),
        (np.zeros((2, 9, 8)), '(2, 9, 8)'),
        (np.zeros((2, 64)), '(2, 64)'),
    ],
)
def test_pictures_that_do_not_fit(images, part):
    fails(lambda: pair_inputs([WAVE, WAVE], images), part)


def test_sixteen_bits_and_floats_are_the_same_sound():
    bits = (WAVE * 2**15).clamp(-(2**15), 2**15 - 1).short()
    assert torch.equal(spectrogram(bits), spectrogram(bits.float() / 2**15)) and torch.equal(
        spectrogram(bits), spectrogram(bits.numpy())
    )


def test_neither_half_of_the_twin_says_the_class():
    clips, images, y = twin_pairs(40)
    assert len(clips) == len(images) == 40 and (y.bincount() == 4).all()
    first = spectrogram(clips[0])[:, 0].argmax(), spectrogram(clips[1])[:, 0].argmax()
    assert first[0] == first[1] and y[0] != y[1]  # the same sound, another class


def test_a_missing_folder_is_one_line(monkeypatch, tmp_path):
    monkeypatch.setenv('DNAS_DATA', str(tmp_path))
    if find_data('spoken_written_digits.npz') is not None:
        pytest.skip('another data folder is found')
    fails(
        lambda: modal_data('digit-pairs'),
        'set DNAS_DATA',
        'spoken_written_digits.npz',
        "'twin-pairs' needs no file",
    )


@needs_file
def test_speakers_are_in_one_part_each():
    for speaker in 0, 5:
        data = modal_data('digit-pairs-speaker', speaker)
        assert [len(p) for p in data.parts.values()] == [800, 200, 200]
        assert all((p.y.bincount() == len(p) // 10).all() for p in data.parts.values())
    plain, noisy = modal_data('digit-pairs'), modal_data('digit-pairs-noisy')
    assert torch.equal(plain.test.y, noisy.test.y) and torch.equal(
        plain.test.x['audio'], noisy.test.x['audio']
    )
    noise = noisy.test.x['image'] - plain.test.x['image']
    assert abs(noise.std() - 0.5) < 0.01


def test_random_networks_are_plain_and_forget_what_is_missing():
    space, data = modal_space(), modal_data()
    x, missing = data.valid.take()[0], [
        lacking(data.valid, which).take()[0] for which in ('audio', 'image')
    ]
    for k in range(6):
        genotype = random_arch(space, generator('modal', k))
        with seeded('modal', k):
            net = space.network(genotype).eval()
        assert not any(type(m).__module__ == 'dnas_nb.modules' for m in net.modules())
        with torch.no_grad():
            outs = [net(x), *map(net, missing)]
        assert all(o.shape == (200, 10) and o.isfinite().all() for o in outs)
        late = dict(zip(space.groups[0].labels, dict(genotype.groups)['net']))['late']
        if late in ('audio', 'image') and 'early=apart' in str(genotype):
            assert torch.equal(outs[0], outs[1 if late == 'image' else 2])


def test_modalities_are_lost_in_training_alone():
    from dnas_nb.domains.modalities import _Lose

    x = {
        k: torch.ones_like(v) for k, v in modal_data().train.take(torch.arange(100))[0].items()
    } | dict(table=torch.ones(100, 2))
    lose = _Lose(0.5)
    assert lose.eval()(x) is x
    with seeded('lose'):
        lost = lose.train()(x)
    deaf, blind = ~lost['mask'].any(1), lost['image'].flatten(1).amax(1) == 0
    assert 10 < deaf.sum() < 40 and 10 < blind.sum() < 40 and not (deaf & blind).any()
    assert torch.equal(lost['audio'].flatten(1).amax(1) == 0, deaf) and lost['table'] is x['table']


def test_names_and_shares_that_are_wrong():
    fails(lambda: modal_domain('digit-pear'), "did you mean 'digit-pairs'")
    fails(lambda: modal_data('twin-pairs', speaker='george'), 'speaker must be')
    fails(lambda: modal_space(drop='much'), 'drop must be')
    fails(lambda: lacking(modal_data().valid, 'taste'), 'modality', 'taste')
