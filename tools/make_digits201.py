"""Train what is missing of the embedded benchmark; stop it at any minute, the same command goes on. See nbs/bench/22_digits201.ipynb.

tools/make_digits201.py --workers 2         train, then write the table
tools/make_digits201.py --pack              write the table from what there is
tools/make_digits201.py --row 2500 --seed 1 train one row again and compare it with the table
tools/make_digits201.py --version 2         add seeds where ranks are decided, to a table of its own
tools/make_digits201.py --version 2 --cells FILE      to the cells that a study's CSV names
"""

import argparse, csv, os, platform, sys

os.environ.setdefault('OMP_NUM_THREADS', '1')
from concurrent.futures import ProcessPoolExecutor, as_completed
from multiprocessing import get_context
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))
import numpy as np
import torch
from dnas_nb.core import UserError
from dnas_nb.bench.digits201 import forms, measure
from dnas_nb.bench.measured import (
    all_trainings,
    finished,
    measurements,
    missing,
    more,
    save_chunk,
)
from dnas_nb.bench import measured
from dnas_nb.dialects import parse
from dnas_nb.equality import canon
from dnas_nb.space import nb201

PARTS = ('train', 'valid', 'test')
SIZES = 626, 627, 544


def work(job, folder):
    "One chunk, in a worker."
    torch.set_num_threads(1)
    seed, rows = job
    save_chunk(folder, measure(rows, seed))
    return len(rows)


def left(a):
    "The chunks to do, of all forms or of the first few; of version 2 those before it asks again."
    if a.version == 2:
        right, _ = all_trainings(a.folder, a.to)
        return more(right, SIZES[2], a.chunk, among=forms_in(a.cells))[: 8 * a.workers]
    right = finished(a.folder)[0]
    if a.first is None:
        return missing(right, a.chunk, a.all)
    return [
        (s, r)
        for s, r in missing(
            np.where(np.arange(right.shape[1])[:, None] < a.first, right, 0), a.chunk
        )
        if s == 0
    ]


def forms_in(path):
    "Numbers of the forms whose cells the column `cell` of a CSV file names; None where there is none"
    if path is None:
        return None
    known = {text: k for k, text in enumerate(forms().texts)}
    space = nb201()
    with open(path, encoding='utf-8', newline='') as f:
        return [known[canon(parse(row['cell'], space), space)] for row in csv.DictReader(f)]


def fill(a):
    "Train until nothing is missing."
    from tqdm import tqdm

    with ProcessPoolExecutor(a.workers, get_context('spawn')) as pool:
        while todo := left(a):
            with tqdm(total=sum(len(r) for _, r in todo), unit='net', smoothing=0.05) as bar:
                try:
                    for f in as_completed([pool.submit(work, t, a.folder) for t in todo]):
                        bar.update(f.result())
                except KeyboardInterrupt:
                    pool.shutdown(wait=False, cancel_futures=True)
                    raise
            if a.version == 2:
                pack(a)


def seconds(folder):
    "Wall time of the trainings so far: the gaps between one chunk and the next, without the pauses."
    times = sorted(p.stat().st_mtime for p in Path(folder).glob('*.npz'))
    gaps = np.diff(times)
    return float(gaps[gaps < 120].sum())


def pack(a):
    "Write the table and say what it holds."
    path = measured.pack(
        a.folder,
        a.to,
        a.version,
        seconds=round(seconds(a.folder)),
        machine=f'{a.workers} core(s) of {platform.machine()}, {platform.system()}',
    )
    right, _, header = measurements(path, a.version)
    done = right[:, :, 0] >= 0
    print(
        f'{path}: {path.stat().st_size/1000:.0f} kB, {done.sum():,} trainings, {done.any(1).sum():,} of {len(done):,} forms, {done.all(1).sum():,} with every seed'
    )
    if header.get('missing'):
        print(f'not complete: {header["missing"]}')


def again(a):
    "Train one row again. Returns 0 if it equals the table."
    out, (right, loss, header) = measure([a.row], a.seed), measurements(a.to, a.version)
    print(f'form {a.row}: {forms().texts[a.row]}, seed {a.seed}')
    for k, part in enumerate(PARTS):
        print(
            f"{part:6}{out['right'][0, k]:4} of {header['sizes'][k]} right, loss {out['loss'][0, k]/1e4:.4f}"
        )
    if not 0 <= a.seed < right.shape[1] or right[a.row, a.seed, 0] < 0:
        print('not in the table')
        return 0
    same = (out['right'][0] == right[a.row, a.seed]).all() and (
        out['loss'][0] == loss[a.row, a.seed]
    ).all()
    print(
        'equal to the table, bit for bit'
        if same
        else f'the table has {right[a.row, a.seed]} right, losses {loss[a.row, a.seed]/1e4}'
    )
    return int(not same)


def main():
    p = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    p.add_argument('--folder', help='where chunks are kept; default: runs/digits201, or _2')
    p.add_argument('--to', help='the table; default: in the package')
    p.add_argument('--workers', type=int, default=1, help='processes, one core each')
    p.add_argument('--chunk', type=int, default=16, help='networks trained at once')
    p.add_argument('--first', type=int, help='a rehearsal: only the first forms, seed 0, no table')
    p.add_argument(
        '--all',
        action='store_true',
        help='every seed for every form, not only for the best 500 and 500 random ones',
    )
    p.add_argument('--version', type=int, default=1, choices=[1, 2], help='2: more seeds')
    p.add_argument('--cells', help='of version 2: only the forms in the column `cell` of this CSV file')
    p.add_argument('--pack', action='store_true', help='write the table from what there is')
    p.add_argument('--row', type=int, help='train this form again')
    p.add_argument('--seed', type=int, default=0, help='of --row')
    a = p.parse_args()
    a.folder = a.folder or ('runs/digits201' if a.version == 1 else 'runs/digits201_2')
    if a.row is not None:
        return again(a)
    if not a.pack:
        fill(a)
    if a.first is None and not (a.version == 2 and not a.pack):
        pack(a)


if __name__ == '__main__':
    try:
        sys.exit(main())
    except UserError as e:
        sys.exit(str(e))
    except KeyboardInterrupt:
        sys.exit('stopped; the same command goes on from here')
