"""Where nodes keep two inputs: does IS-DARTS choose edges and operations better than chance?

`python nbs/studies/suite/edges.py` makes edges.csv and goes on where it was stopped. Protocol, written
before any test figure of it was read (lengths were chosen by timing):

- why: the row `is-darts` was measured on NAS-Bench-201 alone, whose edges all stay. How it chooses
  *which* inputs a node keeps was checked and never measured.
- space: cells of DARTS with three inner nodes: 9 edges, eight operations, a node keeps two inputs;
  normal, reduction, reduction; 4 channels.
- data: the digits, divided as in run.py: searches see one half (313 pictures train the weights, 313
  the architecture), what was found is trained on the other (627) and tested on 544.
- arms, seeds 0 to 2; searches of 30 passes in batches of 64, so that each event of the released
  schedule (from pass 22 to 28 of 30) has a pass of its own:
  - `is-darts`: the row as it stands.
  - `darts`: first order, as many passes: the host, logits in place of information.
  - `random`: the same passes with shared weights, then the best of 16 drawn with these weights.
  - `edges`: what `is-darts` found, but the inputs of each node drawn again (two such cells):
    operations stay in their order. What its choice of edges is worth.
  - `ops`: what it found, but all operations drawn again from the seven real ones (two such cells).
  - `drawn`: two architectures drawn evenly, nothing chosen.
- retraining: 6 passes in batches of 32, otherwise as in run.py: rates 0.1 and 0.025, and a seed
  that is another one for every seed of the search. (Batches, channels, seeds and one retraining seed
  in place of two were cut for the budget before any figure was read.)
- score: % right on the test pictures after the last pass, read once; of a seed the mean of all its
  retrainings. A row of the file is a retraining.
- rule: `is-darts` beats another arm if the mean difference over seeds has a 95 % interval (Student's t
  over seeds) above 0. Asked: against `random`, `darts`, `drawn`, `edges`, `ops`.

Seconds are those of the processor, on one core of a two-core machine with other work on it.
"""

import argparse
import datetime
import os
import time
from itertools import product

os.environ.setdefault('OMP_NUM_THREADS', '1')
from run import HERE, RATES, found, halves, retrained, since  # also finds the package
from ledger import rows_of, write

PATH, SIZE, SEARCHED, TRAINED = HERE / 'edges.csv', (4, 3), 30, 6
ARMS = 'is-darts', 'darts', 'random', 'edges', 'ops', 'drawn'


def small_darts():
    "Cells of DARTS with three inner nodes in place of four"
    from dataclasses import replace
    from dnas_nb.space import Cell, darts

    whole, cells = darts(), []
    for cell in whole.cells:
        kept = [e for e, (_, j) in enumerate(cell.edges) if j < 5]
        edges, strides = [cell.edges[e] for e in kept], [cell.strides[e] for e in kept]
        ops = [cell.ops[e] for e in kept]
        cells.append(Cell(cell.name, 2, edges, ops, strides, 'concat', 2))
    return replace(whole, name='small-darts', groups=tuple(cells))


def changed(genotype, space, what, *key):
    "The inputs of each node, or its operations, drawn again"
    import torch
    from dnas_nb.core import generator
    from dnas_nb.genotype import from_ops, to_ops

    g, out = generator('edges drawn', what, *key), {}
    for cell in space.cells:
        ops = [None] * cell.E
        was = to_ops(genotype, space)[cell.name]
        for j in cell.inner:
            into = list(cell.into(j))
            kept = [e for e in into if was[e] is not None]
            here = kept
            if what == 'edges':
                drawn = torch.randperm(len(into), generator=g)[: len(kept)].sort().values
                here = [into[k] for k in drawn.tolist()]
            for e, before in zip(here, kept):
                names = [op for op in cell.ops[e] if op != 'none']
                pick = int(torch.randint(len(names), (), generator=g))
                ops[e] = names[pick] if what == 'ops' else was[before]
        out[cell.name] = ops
    return from_ops(space, out)


def candidates(arm, space, data, seed, known) -> list:
    "The genotypes that stand for an arm; `known` is what is-darts found"
    from dnas_nb.core import generator
    from dnas_nb.genotype import random_arch

    if arm in ('edges', 'ops'):
        return [changed(known, space, arm, seed, k) for k in range(2)]
    if arm == 'drawn':
        g = generator('small darts drawn', seed)
        return [random_arch(space, g) for _ in range(2)]
    return [found(arm, space, SIZE, data, seed, SEARCHED, batch=64)]


def rows_for(arm, seed, space, halved, known) -> list:
    from dnas_nb.genotype import to_str

    start, rows = time.process_time(), []
    cells = candidates(arm, space, halved[0], seed, known)
    spent = since(start)
    for k, rate in product(range(len(cells)), RATES):
        told = retrained(cells[k], space, SIZE, halved[1], rate, seed, TRAINED)
        said = dict(arm=arm, seed=seed, cell=k, rate=rate)
        last = dict(search_seconds=spent if not rows else 0.0, arch=to_str(cells[k]))
        rows.append(said | told | last | dict(date=str(datetime.date.today())))
    return rows


def main():
    p = argparse.ArgumentParser(description=__doc__.split('\n')[0])
    p.add_argument('--seeds', default='0,1,2')
    a = p.parse_args()
    from dnas_nb.dialects import parse

    space, halved = small_darts(), halves()
    known = {(r['arm'], r['seed']): r['arch'] for r in rows_of(PATH)}
    for seed, arm in product(a.seeds.split(','), ARMS):
        if (arm, seed) not in known:
            best = known.get(('is-darts', seed))  # it comes first
            rows = rows_for(arm, int(seed), space, halved, best and parse(best, space))
            write(PATH, rows)  # all of an arm, or none
            known[arm, seed] = rows[0]['arch']
            print(seed, arm, rows[0]['search_seconds'], rows[0]['retrain_seconds'], flush=True)


if __name__ == '__main__':
    main()
