"""The classical rival of the study of senses: one logistic regression on what both senses hold.

`python nbs/studies/dmnas/classical.py` makes classical.csv and goes on where it was stopped. Protocol,
written before a figure of it was read: the notes of the data have such a regression for clean and
noisy pictures (98.7 and 97.0 with both senses), and for an unknown speaker with the sound alone only
(69.3); here all three data have it with both, on the parts of the networks.

* Features: the log spectrum as heard, averaged over eight equal stretches of the frames that are no
  padding (8 x 32 numbers), the 64 grey values, each scaled to mean 0 and deviation 1 on the training
  part; `both` is one beside the other.
* scikit-learn's LogisticRegression as it is (C = 1; 2,000 iterations at most), fitted on the training
  part. The validation part is not used, since nothing is chosen.
* score: % right on the test part, read once. `speaker`: each of the six left out in turn; seed s of
  run.py leaves out speaker s modulo six.
"""

import datetime, os, sys, time
from pathlib import Path

os.environ.setdefault('OMP_NUM_THREADS', '1')
HERE = Path(__file__).resolve().parent
sys.path[:0] = [str(HERE.parents[2]), str(HERE.parent)]
import numpy as np
from ledger import add, rows_of

PATH = HERE / 'classical.csv'
WAYS = dict(sight=['image'], sound=['audio'], both=['image', 'audio'])


def spectrum(x):
    "(n, 8 · 32): means of 32 bands over eight stretches of the frames that sound"
    out = []
    for bands, here in zip(x['audio'].numpy(), x['mask'].numpy().astype(bool)):
        parts = np.array_split(bands[:, here], 8, axis=1)
        out.append([p.mean(1) if p.size else np.zeros(len(bands)) for p in parts])
    return np.array(out).reshape(len(out), -1)


def features(part) -> dict:
    return dict(audio=spectrum(part.x), image=part.x['image'].flatten(1).numpy())


def right(data, names) -> float:
    from sklearn.linear_model import LogisticRegression
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler

    x, held = (np.hstack([features(p)[n] for n in names]) for p in (data.train, data.test))
    model = make_pipeline(StandardScaler(), LogisticRegression(max_iter=2000))
    model.fit(x, data.train.y.numpy())
    return 100 * model.score(held, data.test.y.numpy())


def main():
    from dnas_nb.domains.modalities import modal_data

    done = {(r['data'], r['speaker'], r['way']) for r in rows_of(PATH)}
    asked = [('clean', 'digit-pairs', 0), ('noisy', 'digit-pairs-noisy', 0)]
    for name, source, speaker in asked + [('speaker', 'digit-pairs-speaker', s) for s in range(6)]:
        for way, names in WAYS.items():
            if (name, str(speaker), way) in done:
                continue
            start = time.process_time()
            row = dict(data=name, speaker=speaker, way=way)
            row |= dict(test=round(right(modal_data(source, speaker), names), 2))
            row |= dict(seconds=round(time.process_time() - start, 1))
            add(PATH, row | dict(date=str(datetime.date.today())))


if __name__ == '__main__':
    main()
