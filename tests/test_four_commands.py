"""300 mixed pictures, four commands, the same answers: search, train, export, predict, and onnxruntime on the raw files.

`python tests/test_four_commands.py FOLDER` times the whole of them; the test takes fewer pictures and epochs.
"""

import sys
import time
from pathlib import Path
import numpy as np
import pytest
import warm
from PIL import Image

COMMANDS = 'dnas_search', 'dnas_train', 'dnas_export', 'dnas_predict'
WHOLE = dict(n=300, search=['--epochs', '12'], train=['--epochs', '20'])
BRIEF = dict(
    n=48,
    search=['--epochs', '1', '--batch', '8', '--channels', '2'],
    train=['--epochs', '2', '--batch', '8', '--channels', '4'],
)
KINDS = 'disc', 'stripes', 'checks'


def drawn(kind, rng, high, wide):
    "(high, wide, 3) bytes: one of three shapes in random colours"
    ground, ink = rng.integers(0, 110, 3), rng.integers(145, 256, 3)
    y, x = np.mgrid[:high, :wide]
    size, phase = max(min(high, wide) // rng.integers(3, 6), 3), rng.integers(0, 9)
    if kind == 'disc':
        here = (y - high / 2) ** 2 + (x - wide / 2) ** 2 < (
            min(high, wide) / rng.uniform(2.3, 3.5)
        ) ** 2
    elif kind == 'stripes':
        here = (x + phase) // size % 2 == 0
    else:
        here = ((x + phase) // size + (y + phase) // size) % 2 == 0
    noise = rng.integers(-12, 13, (high, wide, 1))
    return (np.where(here[..., None], ink, ground) + noise).clip(0, 255).astype(np.uint8)


def made(folder, n, seed=0):
    "A folder of `n` pictures of three classes in every form, one of them broken, and a text"
    rng = np.random.default_rng(seed)
    for i in range(n):
        kind = KINDS[i % 3]
        high, wide = rng.integers(40, 401, 2)
        picture = Image.fromarray(drawn(kind, rng, high, wide))
        home = Path(folder) / kind
        home.mkdir(parents=True, exist_ok=True)
        form = i // 3 % 6
        if form == 0:
            picture.save(home / f'{i}.jpg', quality=88)
        elif form == 1:
            picture.convert('L').save(home / f'{i}.png')
        elif form == 2:
            picture.convert('RGBA').save(home / f'{i}.png')
        elif form == 3:
            picture.convert('P', palette=Image.Palette.ADAPTIVE).save(home / f'{i}.png')
        elif form == 4:
            turned = Image.Exif()
            turned[0x112] = 6  # the camera was held upright
            picture.save(home / f'{i}.jpeg', exif=turned)
        else:
            picture.save(home / f'{i}.PNG')
    (Path(folder) / 'disc' / 'broken.png').write_bytes(b'\x89PNG\r\n\x1a\n' + b'broken')
    (Path(folder) / 'stripes' / 'notes.txt').write_text('no picture')
    return Path(folder)


def command(name, *words, home):
    "Seconds of one command, and what it said"
    code = f'import sys; sys.argv[0] = "{name}"; from dnas_nb.running.cli import {name}; {name}()'
    started = time.monotonic()
    done = warm.run(
        [sys.executable, '-c', code, *map(str, words)], capture_output=True, text=True, cwd=home
    )
    assert done.returncode == 0, done.stderr[-2000:]
    return time.monotonic() - started, done.stdout + done.stderr


def by_onnxruntime(program, files) -> np.ndarray:
    "Chances, from the exported graph alone and the pictures as PIL reads them: no line of the package"
    import onnxruntime
    from PIL import ImageOps

    session = onnxruntime.InferenceSession(str(program))
    entry = session.get_inputs()[0]
    side = entry.shape[2]
    rows = []
    for file in files:
        with Image.open(file) as raw:
            upright = ImageOps.exif_transpose(raw).convert('RGB')
        short = min(upright.size)
        left, top = ((s - short) // 2 for s in upright.size)
        middle = upright.crop((left, top, left + short, top + short))
        how = Image.Resampling.BOX if short > side else Image.Resampling.BILINEAR
        x = np.asarray(middle.resize((side, side), how)).transpose(2, 0, 1)[None]
        if 'uint8' not in entry.type:
            x = x.astype(np.float32) / 255
        (logits,) = session.run(None, {entry.name: x})
        e = np.exp(logits[0] - logits[0].max())
        rows.append(e / e.sum())
    return np.stack(rows)


def whole(home, n, search, train, more=()):
    "The four commands on a folder of pictures; seconds of each, the frame of answers, what was said"
    import pandas as pd

    pictures = made(home / 'pictures', n)
    took, said = {}, {}
    steps = dict(
        dnas_search=['--data', pictures, '--out', home / 'search', '--space', 'toy', *search],
        dnas_train=[home / 'search', '--out', home / 'train', *train],
        dnas_export=[home / 'train', '--out', home / 'export', '--formats', 'onnx'],
        dnas_predict=[
            home / 'train',
            pictures,
            '--out',
            home / 'answers.csv',
            '--page',
            home / 'page.html',
        ],
    )
    for name in COMMANDS:
        took[name], said[name] = command(
            name, *steps[name], *(more if name in ('dnas_search', 'dnas_train') else ()), home=home
        )
    return took, pd.read_csv(home / 'answers.csv'), said


def agree(home, frame):
    "Largest difference between the chances of `dnas_predict` and those of onnxruntime"
    columns = [c for c in frame if c.startswith('p/')]
    chances = by_onnxruntime(next((home / 'export').glob('*.onnx')), frame['input'])
    return (
        float(np.abs(chances - frame[columns].to_numpy()).max()),
        [c[2:] for c in columns],
        chances,
    )


@pytest.mark.skipif(
    not __import__('importlib').util.find_spec('onnxruntime'), reason='export needs onnxruntime'
)
def test_four_commands_and_onnxruntime_give_the_same_answers(tmp_path):
    took, frame, said = whole(tmp_path, **BRIEF, more=['--device', 'cpu'])
    assert len(frame) == BRIEF['n'] and set(frame.answer) <= set(KINDS)
    assert (
        'broken.png' in said['dnas_search']
        and 'broken.png' in said['dnas_predict']
        and 'notes.txt' not in frame.input.to_string()
    )
    away, names, chances = agree(tmp_path, frame)
    assert away < 2e-5
    assert [names[k] for k in chances.argmax(1)] == frame.answer.tolist()


if __name__ == '__main__':
    home = Path(sys.argv[1]).resolve()
    home.mkdir(parents=True)
    took, frame, said = whole(home, **WHOLE)
    away, names, chances = agree(home, frame)
    same = sum(names[k] == a for k, a in zip(chances.argmax(1), frame.answer))
    right = sum(Path(p).parent.name == a for p, a in zip(frame.input, frame.answer))
    print(*(f'{name:13} {seconds:6.1f} s' for name, seconds in took.items()), sep='\n')
    print(
        f'together      {sum(took.values())/60:.1f} min; onnxruntime says the same of {same} of {len(frame)} files '
        f'(chances differ by {away:.1e}); {right} are right'
    )
