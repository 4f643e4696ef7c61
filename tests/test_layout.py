"Which axis is which: unclear shapes are refused with both readings, clear ones are read as before."

import numpy as np
import pytest
from conftest import fails
from dnas_nb.sources import as_images, from_tensors, load_data

N = 60
Y = np.arange(N) % 3
RNG = np.random.default_rng(0)


def pixels(*shape):
    return RNG.integers(0, 256, (N, *shape), dtype=np.uint8)


@pytest.mark.parametrize(
    'shape, layout',
    [
        ((3, 8, 8), 'NCHW'),
        ((1, 8, 8), 'NCHW'),
        ((4, 8, 8), 'NCHW'),
        ((3, 8, 12), 'NCHW'),
        ((1, 2, 2), 'NCHW'),
        ((8, 8, 3), 'NHWC'),
        ((8, 8, 1), 'NHWC'),
        ((8, 8, 4), 'NHWC'),
        ((8, 12, 3), 'NHWC'),
        ((3, 4, 4), 'NCHW'),
        ((1, 4, 4), 'NCHW'),
        ((4, 4, 3), 'NHWC'),
        ((1, 1, 1), 'NCHW'),
        ((8, 8), 'NHW'),
    ],
)
def test_clear_shapes_are_read(shape, layout):
    x = pixels(*shape)
    axes = (
        [k for k, a in enumerate(layout) if a != 'C']
        if 'C' not in layout
        else [layout.index(a) for a in 'NCHW']
    )
    want = x.transpose(axes) if 'C' in layout else x[:, None]
    assert np.array_equal(as_images(x, Y).x.numpy(), want)
    assert np.array_equal(as_images(x, Y, layout=layout).x.numpy(), want)


@pytest.mark.parametrize(
    'shape, readings',
    [
        (
            (32, 32, 13),
            (
                "32 channels of 32 × 13 pixels (layout='NCHW')",
                "13 channels of 32 × 32 pixels (layout='NHWC')",
            ),
        ),
        (
            (13, 32, 32),
            (
                "13 channels of 32 × 32 pixels (layout='NCHW')",
                "32 channels of 13 × 32 pixels (layout='NHWC')",
            ),
        ),
        ((2, 8, 8), ("layout='NCHW'", "layout='NHWC'")),
        ((8, 8, 2), ("layout='NCHW'", "layout='NHWC'")),
        ((3, 32, 3), ("3 channels of 32 × 3 pixels", "3 channels of 3 × 32 pixels")),
        ((3, 3, 3), ("'NCHW'", "'NHWC'")),
        ((1, 28, 1), ("1 channel of 28 × 1 pixels", "1 channel of 1 × 28 pixels")),
        (
            (9, 128),
            (
                "1 channel of 9 × 128 pixels (layout='NHW')",
                "9 channels of 1 × 128 pixels (layout='NCW')",
            ),
        ),
    ],
)
def test_unclear_shapes_are_refused_with_both_readings(shape, readings):
    x = pixels(*shape)
    fails(lambda: from_tensors(x, Y), str((N, *shape)), *readings)
    fails(lambda: from_tensors(x, Y, x, Y), 'layout=')


@pytest.mark.parametrize(
    'shape, layout, want',
    [
        ((32, 32, 13), 'NHWC', (13, 32, 32)),
        ((32, 32, 13), 'NCHW', (32, 32, 13)),
        ((9, 128), 'NHW', (1, 9, 128)),
        ((9, 128), 'NCW', (9, 1, 128)),
        ((5, 6, 7), 'NWHC', (7, 6, 5)),
        ((2, 8, 8), 'NCHW', (2, 8, 8)),
    ],
)
def test_a_layout_is_obeyed(shape, layout, want):
    x = pixels(*shape)
    got = as_images(x, Y, layout=layout).x
    assert tuple(got.shape[1:]) == want
    assert from_tensors(x, Y, x[:9] ^ 1, Y[:9], layout=layout).test.x.shape[1:] == want


def test_a_layout_says_where_the_pictures_are():
    "Pictures may be on the last axis, as MATLAB writes them"
    x = pixels(8, 6, 3)
    assert np.array_equal(
        as_images(x.transpose(1, 2, 3, 0), Y, layout='HWCN').x.numpy(), x.transpose(0, 3, 1, 2)
    )


@pytest.mark.parametrize(
    'layout', ['NHWX', 'NHHC', 'HWC', 'NHW', '', 'nhwc', 5, 'CHW', ['N', 'C', 'H', 'W']]
)
def test_a_layout_that_does_not_fit(layout):
    if layout == '':
        return fails(lambda: as_images(pixels(8, 8, 13), Y, layout=layout), 'layout')
    fails(lambda: as_images(pixels(8, 8, 3), Y, layout=layout), 'layout', 'NHWC')


def test_a_file_says_its_layout(tmp_path):
    x = pixels(8, 8, 13)
    np.savez(tmp_path / 'plain.npz', x=x, y=Y)
    np.savez(tmp_path / 'said.npz', x=x, y=Y, layout='NHWC')
    np.savez(tmp_path / 'odd.npz', x=x, y=Y, layout=np.arange(2))
    fails(lambda: load_data(tmp_path / 'plain.npz'), 'plain', "layout='NHWC'", "layout='NCHW'")
    fails(lambda: load_data(tmp_path / 'odd.npz'), 'odd.npz', 'layout')
    shapes = [load_data(tmp_path / 'said.npz'), load_data(tmp_path / 'plain.npz', layout='NHWC')]
    assert {tuple(s.train.x.shape[1:]) for s in shapes} == {(13, 8, 8)}
    assert load_data(tmp_path / 'said.npz', layout='NCHW').train.x.shape[1:] == (
        8,
        8,
        13,
    )  # what is asked for counts
    fails(lambda: load_data('digits', layout='NHWC'), 'digits', 'layout')
