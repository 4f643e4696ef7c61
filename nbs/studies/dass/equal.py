"""Sparse search at an equal number of kept weights: does its lead over chance outlive the count?

`python nbs/studies/dass/equal.py` makes equal.csv and goes on where it was stopped. Protocol, written
before any test figure of it was read, after those of run.py were known:

- why: run.py gives every cell the same *share* of its weights, so a cell of 3 x 3 convolutions keeps
  more weights than one of 1 x 1 convolutions or skips. Here the same cells keep the same *number*.
- cells: `dass`, `random-1`, `random-2` as runs.csv has them, for each data, seed and share (no search is
  repeated), and `plain`, 3 x 3 convolutions on all edges.
- `dass` keeps 10 % or 1 % of every layer, as it did. The others keep in every layer the one share that
  leaves as many weights in all, found by bisection (the stem and the last layer are dense and count in
  none). Where a cell has fewer weights than that, it keeps all it has; its number is written down.
- training is that of run.py (three phases of 3 passes; `plain`: the largest weights, no phase of
  scores), all arms anew by one version of the code; seeds 0, 1, 2; score: % right on the test
  pictures after the last pass, read once.
- claims: at an equal number of weights (1) dass beats the mean of the two random cells, and (2) it
  beats plain, by more than one point in the mean over seeds, on both data and both shares.
"""

import datetime
import os
import time

os.environ.setdefault('OMP_NUM_THREADS', '1')
from run import HERE, since  # finds the package too
from ledger import add, rows_of

PATH = HERE / 'equal.csv'
WAYS = 'dass', 'random-1', 'random-2', 'plain'


def kept(genotype, share, data) -> int:
    "Weights that stay outside stem and last layer"
    from dnas_nb.supernet import Spec
    from dnas_nb.systems.dass import enter, sparse_layers, sparse_space, sparsen

    known = data.about
    spec = Spec(16, 1, len(known.classes), known.shape[0])
    net = sparsen(sparse_space().network(genotype, spec))
    enter(net, 'prune', share)
    return sum(int(layer.count) for layer in sparse_layers(net))


def share_for(genotype, wanted, data) -> float:
    "The largest share that keeps no more weights than are wanted, to a thousandth of itself"
    low, high = 1e-6, 1.0
    if kept(genotype, high, data) <= wanted:
        return high
    while high / low > 1.001:
        middle = (low * high) ** 0.5
        if kept(genotype, middle, data) <= wanted:
            low = middle
        else:
            high = middle
    return low


def trained(genotype, way, share, data, seed) -> float:
    from dnas_nb.running.evaluate import judge
    from dnas_nb.systems.dass import PHASES, train_sparse

    phases = ('pretrain', 'finetune', 'finetune') if way == 'plain' else PHASES
    net = train_sparse(genotype, data.train + data.valid, share, 3, seed, phases)
    return round(100 * judge(net, data.test[:3000])[1], 2)


def one(row, way, data, cells) -> dict:
    "A cell that keeps as many weights as the sparse search's at that share"
    start, keep, seed = time.process_time(), float(row['keep']), int(row['seed'])
    wanted = kept(cells['dass'], keep, data)
    share = keep if way == 'dass' else share_for(cells[way], wanted, data)
    known = dict(data=row['data'], seed=seed, keep=keep, way=way)
    known |= dict(test=trained(cells[way], way, share, data, seed), share=round(share, 5))
    known |= dict(wanted=wanted, kept=kept(cells[way], share, data))
    return known | dict(train_seconds=since(start), date=str(datetime.date.today()))


def main():
    from dnas_nb.dialects import parse
    from dnas_nb.sources import load_data
    from dnas_nb.systems.dass import sparse_space

    space, sizes = sparse_space(), dict(digits={}, cifar10=dict(images=1000, size=16))
    before = {}
    for row in rows_of(HERE / 'runs.csv'):
        name = 'plain' if row['way'] == 'magnitude' else row['way']
        place = row['data'], row['seed'], row['keep']
        before.setdefault(place, {})[name] = parse(row['cell'], space)
    done = {(r['data'], r['seed'], r['keep'], r['way']) for r in rows_of(PATH)}
    for name, seed, keep in before:
        data = None
        for way in WAYS:
            if (name, seed, keep, way) not in done:
                data = data or load_data(name, seed=int(seed), **sizes[name])
                row = dict(data=name, seed=seed, keep=keep)
                add(PATH, one(row, way, data, before[name, seed, keep]))


if __name__ == '__main__':
    main()
