"""How wide is a space of 48 networks? All of them are trained.

`python nbs/studies/dmnas/width.py` makes width.csv and goes on where it was stopped. Protocol, written
before any test figure of it was read, after those of run.py were known:

- why: that chance is a strong rival because the space has 48 networks was said and not tested.
- data: `clean`, the division, training (no gaps) and judging of run.py, by its functions; all 48
  networks once for each seed, validation and test accuracy. Seeds 0 to 9, whole seeds count.
- the searched network of a seed is that of runs.csv; its test figure here must be the one there.
- asked, seed by seed, with no further training: the expected test accuracy of the best of n drawn
  evenly (with replacement, as in run.py) by validation accuracy, for n = 1, 4, 48 (exact, from the
  order of the 48); that of the searched network, and its rank among the 48 by test.
- the reason (the space is too narrow for a search to be worth much) holds if the best of four is
  within one point of the best of all 48 by validation, the most that a search judged by validation
  can reach, in the mean over seeds. It does not if the best of all is more than a point ahead and the
  searched network is not surely (95 %, Student's t over seeds) ahead of the best of four: then the
  search leaves points lying.

Seconds are those of the processor, on one core with other work on it.
"""

import argparse
import datetime
import itertools
import os

os.environ.setdefault('OMP_NUM_THREADS', '1')
from run import HERE, NAMES, trained  # also finds the package
from ledger import rows_of, write

PATH = HERE / 'width.csv'


def every(space) -> list:
    "All networks of a space of one group"
    from dnas_nb.genotype import from_ops

    options = [choice.options for choice in space.groups[0].choices]
    return [from_ops(space, list(names)) for names in itertools.product(*options)]


def rows_for(data, space, seed) -> list:
    from dnas_nb.systems.dmnas import senses_right

    rows = []
    for genotype in every(space):
        net, valid, spent = trained(data, genotype, 0.0, seed)
        row = dict(seed=seed, network=str(genotype), valid=round(valid, 2))
        row |= dict(test=round(senses_right(net, data.test), 2), seconds=round(spent, 2))
        rows.append(row | dict(date=str(datetime.date.today())))
    return rows


def main():
    p = argparse.ArgumentParser(description=__doc__.split('\n')[0])
    p.add_argument('--seeds', default=','.join(map(str, range(10))))
    a = p.parse_args()
    from dnas_nb.domains.modalities import modal_data
    from dnas_nb.systems.dmnas import senses_data, senses_of_data

    done = {r['seed'] for r in rows_of(PATH)}
    for seed in a.seeds.split(','):
        if seed not in done:
            data = senses_data(modal_data(NAMES['clean'], int(seed) % 6))
            rows = rows_for(data, senses_of_data(data), int(seed))
            write(PATH, rows)  # all of a seed, or none
            print(seed, len(rows), round(sum(r['seconds'] for r in rows), 1), flush=True)


if __name__ == '__main__':
    main()
