"""Does EoiNAS need more steps, or a longer memory?

`python nbs/studies/measured/reason.py` makes reason.csv and goes on where it was stopped.
Protocol, written before any figure of it was read, after those of run.py were known (there
`eoinas` is below its host, below its own departures by odds alone, and five points below
`random`):

- space, data, preset and judge of run.py. 10 and 30 epochs of search, 60 if time is left;
  departures stand at the same shares of all of them. Seeds 0 to 2, all arms anew by one version
  of the code.
- at each length: `random` (uniform samples, the best of 64 cells by the weights they share),
  `gdas`, `eoinas-odds` (kappa = 0), `eoinas`. Beyond 10 epochs `eoinas-99` too, whose averages of
  evidence keep 0.99 of what they were: those of `eoinas` keep 0.9, so they have seen about ten
  turns of an operation, however long the search.
- figure: mean test accuracy of the derived cell in the benchmark. Beside it the mean of all its
  cells, which is chance without any search.
- length is a reason if `eoinas` in the longest search is above itself at 10 epochs by more than two
  standard errors of the difference over seeds, the whole one if there it is also not below
  `gdas`, `eoinas-odds` and `random` in the mean. Memory is one if `eoinas-99` is above `eoinas` in
  the longest search by as much.

A first protocol asked for 60 epochs at once; it was cut for time before anything had been run.
"""

import argparse
import os

os.environ.setdefault('OMP_NUM_THREADS', '1')
from run import HERE, know  # also finds the package
from ledger import add, rows_of

PATH = HERE / 'reason.csv'
ARMS = 'random', 'gdas', 'eoinas-odds', 'eoinas'


def remember():
    "The arm with a longer memory"
    from dataclasses import replace
    from dnas_nb.importance import witnessed
    from dnas_nb.methods import METHODS

    METHODS['eoinas-99'] = replace(METHODS['eoinas'], name='eoinas-99', w_extra=witnessed(0.99))


def main():
    p = argparse.ArgumentParser(description=__doc__.split('\n')[0])
    p.add_argument('--seeds', default='0,1,2')
    p.add_argument('--epochs', default='10,30,60')
    p.add_argument('--arms', default=','.join((*ARMS, 'eoinas-99')))
    a = p.parse_args()
    from embedded import judged

    know()
    remember()
    done = {(r['method'], r['seed'], r['epochs']) for r in rows_of(PATH)}
    for epochs in map(int, a.epochs.split(',')):
        for seed in map(int, a.seeds.split(',')):
            for method in ARMS if epochs == 10 else (*ARMS, 'eoinas-99'):
                key = method, str(seed), str(epochs)
                if method in a.arms.split(',') and key not in done:
                    add(PATH, dict(epochs=epochs) | judged(method, seed, epochs))


if __name__ == '__main__':
    main()
