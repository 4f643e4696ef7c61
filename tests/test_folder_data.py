"A folder of pictures as people bring it: grey, with alpha, turned, of any size, some broken; and what is refused."

import numpy as np
import pytest
import torch
from conftest import fails
from PIL import Image
from dnas_nb.core import generator
from dnas_nb.folders import list_folder, read_folder, read_picture
from dnas_nb.running.experiment import run
from dnas_nb.sources import load_data

CLASSES = 'circle', 'cross', 'stripes'
MODES = 'RGB', 'L', 'RGBA', 'P', 'turned'


def drawn(kind, side, rng):
    "A picture (side, side * something, 3) of one kind, in random colours."
    h, w = side, int(side * rng.uniform(0.7, 1.4)) + 1
    y, x = np.mgrid[:h, :w]
    y, x = y / h - 0.5, x / w - 0.5
    shape = dict(
        circle=x**2 + y**2 < 0.1, cross=(abs(x) < 0.1) | (abs(y) < 0.1), stripes=np.sin(40 * x) > 0
    )[kind]
    ground, ink = rng.integers(0, 90, 3), rng.integers(150, 256, 3)
    return (
        (np.where(shape[..., None], ink, ground) + rng.integers(0, 9, (h, w, 3)))
        .clip(0, 255)
        .astype('u1')
    )


def saved(path, pixels, mode):
    "Write it in one of MODES."
    im, more = Image.fromarray(pixels), {}
    if mode in ('L', 'RGBA', 'P'):
        im = im.convert(mode)
    if mode == 'turned':
        im = im.transpose(Image.Transpose.ROTATE_90)  # and the note says to turn it back
        more['exif'] = im.getexif()
        more['exif'][0x0112] = 6
    im.save(path, **more)


@pytest.fixture(scope='module')
def folder(tmp_path_factory):
    "300 mixed pictures, one broken, one .txt."
    top, rng = tmp_path_factory.mktemp('pictures'), np.random.default_rng(0)
    for i in range(300):
        kind, mode = CLASSES[i % 3], MODES[i % 5]
        where = top / kind
        where.mkdir(exist_ok=True)
        jpeg = mode in ('RGB', 'L', 'turned') and i % 2
        saved(
            where / f'{i:03}.{"jpg" if jpeg else "png"}',
            drawn(kind, int(rng.integers(40, 400)), rng),
            mode,
        )
    whole = (top / 'circle' / '000.png').read_bytes()
    (top / 'circle' / 'broken.png').write_bytes(whole[: len(whole) // 2])
    (top / 'cross' / 'readme.txt').write_text('about the crosses')
    (top / '.DS_Store').write_bytes(b'hidden')
    return top


def test_mixed_pictures_are_read_and_the_rest_is_listed(folder):
    data = load_data(folder, size=24)
    assert data.about.shape == (3, 24, 24) and data.about.classes == CLASSES
    assert sum(map(len, data.parts.values())) == 300
    assert sorted(place for place, why in data.about.skipped) == [
        'circle/broken.png',
        'cross/readme.txt',
    ]
    names = np.concatenate([part.names for part in data.parts.values()])
    assert len(set(names)) == 300
    for part in data.parts.values():
        assert all(CLASSES[y] == name.split('/')[0] for y, name in zip(part.y.tolist(), part.names))
        one = read_picture(folder / part.names[5], 24)
        assert torch.equal(one, part.x[5])  # a name finds its picture
    assert load_data(str(folder)).about.shape == (3, 32, 32)


def test_a_turned_picture_is_upright(tmp_path):
    pixels = drawn('stripes', 64, np.random.default_rng(1))
    for mode in 'RGB', 'turned':
        saved(tmp_path / f'{mode}.png', pixels, mode)
    assert torch.equal(
        read_picture(tmp_path / 'RGB.png', 16), read_picture(tmp_path / 'turned.png', 16)
    )


def test_sixteen_bits_and_palettes(tmp_path):
    Image.fromarray(np.full((9, 9), 65535, 'u2')).save(tmp_path / 'deep.png')
    assert (read_picture(tmp_path / 'deep.png', 4) == 255).all()
    Image.new('P', (9, 9), 3).save(tmp_path / 'palette.gif', transparency=3)
    assert read_picture(tmp_path / 'palette.gif', 4).shape == (3, 4, 4)


def test_contents_not_places_make_the_fingerprint(folder, tmp_path):
    import shutil

    shutil.copytree(folder, tmp_path / 'elsewhere')
    here, there = load_data(folder, size=8), load_data(tmp_path / 'elsewhere', size=8)
    assert (
        here.about.fingerprint == there.about.fingerprint
        and here.about.source != there.about.source
    )
    (tmp_path / 'elsewhere' / 'cross' / '001.jpg').unlink()
    assert load_data(tmp_path / 'elsewhere', size=8).about.fingerprint != here.about.fingerprint


def test_a_figure_does_not_depend_on_the_order_of_the_pictures(folder):
    part = read_folder(folder, 8).parts['']
    turned = part[torch.randperm(len(part), generator=generator('turned'))]
    for p, q in zip(part.judging(64), turned.judging(64)):
        assert torch.equal(part.x[p], turned.x[q]) and (part.names[p] == turned.names[q]).all()


def test_train_valid_and_test_stay_what_they_are(folder, tmp_path):
    import shutil

    for i, part in enumerate(('train', 'val', 'test')):
        for kind in CLASSES:
            (tmp_path / part / kind).mkdir(parents=True)
            for path in sorted((folder / kind).glob('[0-9]*'))[i::3]:
                shutil.copy(path, tmp_path / part / kind)
    data = load_data(tmp_path, size=8)
    assert [len(p) for p in data.parts.values()] == [102, 99, 99]
    for part, name in zip(data.parts.values(), ('train', 'val', 'test')):
        assert all(n.startswith(name + '/') for n in part.names)
    (tmp_path / 'test' / 'bird').mkdir()
    fails(lambda: load_data(tmp_path), "test holds the class 'bird'")
    for kind in (*CLASSES, 'bird'):
        shutil.rmtree(tmp_path / 'test' / kind)
    (tmp_path / 'test').rmdir()
    data = load_data(tmp_path, size=8)  # a test part is held out
    assert all(n.startswith('train/') for n in data.train.names) and all(
        n.startswith('val/') for n in data.valid.names
    )
    assert len(data.test) == 63


def plain(where, classes, n):
    for k, name in enumerate(classes):
        (where / name).mkdir(parents=True)
        for i in range(n):
            Image.new('RGB', (5, 5), (40 * k, 10 * i, 0)).save(where / name / f'{i}.png')
    return where


def test_folders_that_are_none(tmp_path):
    fails(lambda: load_data(tmp_path / 'nowhere'), 'there is no folder', 'nowhere')
    (tmp_path / 'empty').mkdir()
    fails(lambda: load_data(tmp_path / 'empty'), 'empty', 'no folders')
    for k in 'ab':
        (tmp_path / 'bare' / k).mkdir(parents=True)
    fails(lambda: load_data(tmp_path / 'bare'), 'bare', 'holds no pictures')
    fails(lambda: load_data(plain(tmp_path / 'one', ['cat'], 5)), 'one', "one class, 'cat'")
    fails(
        lambda: load_data(plain(tmp_path / 'single', ['cat', 'dog'], 1)),
        "class 'cat' has 1 images",
        'needs 4',
    )
    fails(lambda: load_data(tmp_path / 'single' / 'cat'), 'pictures beside its classes')
    fails(lambda: load_data(tmp_path), 'holds folders', 'one folder of pictures')
    for bad in 0, 2000, '8':
        fails(lambda: load_data(tmp_path / 'single', size=bad), 'size', '1 to 1024')
    for k in 'ab':
        (tmp_path / 'text' / k).mkdir(parents=True)
        (tmp_path / 'text' / k / 'x.png').write_text('no picture')
    fails(lambda: load_data(tmp_path / 'text'), 'no picture', 'can be read')


def test_links_out_of_the_folder_are_refused(tmp_path):
    inside, outside = plain(tmp_path / 'in', ['cat', 'dog'], 5), plain(tmp_path / 'out', ['elk'], 5)
    link = inside / 'cat' / 'link.png'
    link.symlink_to(outside / 'elk' / '0.png')
    fails(lambda: list_folder(inside), 'link.png', 'symbolic link out of the folder')
    link.unlink()
    link.symlink_to(inside / 'dog' / '0.png')
    assert len(list_folder(inside).parts['']) == 11  # one that stays inside is read
    (inside / 'elk').symlink_to(outside / 'elk')
    fails(lambda: list_folder(inside), 'elk', 'symbolic link out of the folder')


def test_a_search_on_a_folder_is_found_again(folder, tmp_path):
    small = dict(
        method='darts',
        space='toy',
        data=str(folder),
        size=8,
        epochs=1,
        batch=32,
        channels=2,
        report=False,
        device='cpu',
    )
    said = []
    found = run(out=tmp_path / 'run', tell=said.append, **small)
    assert any('circle/broken.png' in line and 'cross/readme.txt' in line for line in said)
    assert found.settings.data == str(folder.resolve())
    again = run(out=tmp_path / 'run', resume=True, **small)
    assert again.genotype == found.genotype
    from dnas_nb.running.identity import found_again

    assert (
        found_again(tmp_path / 'run').about.fingerprint
        == load_data(folder, size=8).about.fingerprint
    )
