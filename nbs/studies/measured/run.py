"""What two rows after papers that could not be read do here: evidence beside logits (EoiNAS) and
channels that are measured (CPM-DARTS), on the embedded digits benchmark.

Protocol, written before any figure was read. Space NAS-Bench-201, data digits, the preset of the
data but 10 epochs of search (an event of `eoinas` each); seeds 0, 1, 2. Arms: `random`; `gdas`, the
host of `eoinas`; `eoinas-odds`, the same events by odds alone (kappa = 0); `eoinas`; `pc-darts`, which
sends the first channels; `cpm-random`, the same with a random choice in each epoch (eps = 1);
`cpm-darts`, measured. Figure: mean test accuracy of the derived cell in the benchmark of all 15,625
cells (ten epochs, mean of its training seeds), rank, regret. Claims: evidence helps if `eoinas` is
above both `gdas` and `eoinas-odds` in the mean by more than two standard errors of the difference;
measuring helps if `cpm-darts` is above both `pc-darts` and `cpm-random` by as much. Three seeds can
show a large effect or failure, not a ranking; nothing is tuned, all runs are published. Machine: one
core of a shared CPU. Added later, before any figure of it was read: `is-darts` as it stands, beside the same
`random`; it helps if it is above it by two standard errors.

`python nbs/studies/measured/run.py` makes the runs that are missing and writes runs.csv.
"""

import os
import sys
from pathlib import Path

os.environ.setdefault('OMP_NUM_THREADS', '1')
HERE = Path(__file__).resolve().parent
sys.path[:0] = [str(HERE.parents[2]), str(HERE.parent)]
ARMS = 'random', 'gdas', 'eoinas-odds', 'eoinas', 'pc-darts', 'cpm-random', 'cpm-darts', 'cpm-once'
ARMS += ('is-darts',)
SEEDS, EPOCHS = (0, 1, 2), 10


def know():
    "The three arms that are no rows"
    from dataclasses import dataclass, replace
    from dnas_nb.channels import measured
    from dnas_nb.importance import leaving
    from dnas_nb.methods import METHODS
    from dnas_nb.prune import strip

    @dataclass(frozen=True)
    class once(measured):
        "Channels are chosen in the first epoch alone"

        def __call__(self, loss, state, step):
            return super().__call__(loss, state, step) if step.key[1] == 0 else {}

    odds = replace(METHODS['eoinas'], name='eoinas-odds', stages=(leaving(kappa=0.0), strip))
    chance = replace(METHODS['cpm-darts'], name='cpm-random', w_extra=measured(eps=1.0))
    kept = replace(chance, name='cpm-once', w_extra=once(eps=1.0))
    METHODS.update({row.name: row for row in (odds, chance, kept)})


def main():
    from embedded import make_missing

    know()
    make_missing(HERE / 'runs.csv', ARMS, SEEDS, EPOCHS)


if __name__ == '__main__':
    main()
