"""Execute notebooks and keep their outputs: `python tools/run_notebooks.py nbs/05_supernet.ipynb ...` (all of nbs/ when none is named).

`--cuda` makes the outputs of cells flagged `cuda` and touches no others, the cheapest notebooks first (a cell says what it may take in a
line `#| minutes: 20`). A notebook in which none is missing is passed over, so the same command goes on after it was stopped; trainings
among the cells (`cuda` and `slow`) go on from their run folders. Without `--cuda` these trainings are left as they are.
"""

import json, os, re, sys, time
from pathlib import Path

# outputs must not depend on the number of cores or on the person who runs them
os.environ.setdefault('OMP_NUM_THREADS', '1')
os.environ.setdefault('TQDM_DISABLE', '1')
ROOT = Path(__file__).resolve().parent.parent


def smaller(outputs):
    "Pictures with a palette of 128 colours: a third of the size, the same to the eye"
    import base64, io
    from PIL import Image

    for o in outputs:
        if 'image/png' not in o.get('data', {}):
            continue
        raw = base64.b64decode(''.join(o['data']['image/png']))
        out = io.BytesIO()
        Image.open(io.BytesIO(raw)).convert('RGB').quantize(128, dither=Image.Dither.NONE).save(
            out, 'png', optimize=True
        )
        if len(out.getvalue()) < len(raw):
            o['data']['image/png'] = base64.b64encode(out.getvalue()).decode()
    return outputs


def named(outputs, name):
    "A styled table has a random name, other text in each run: here it is that of its cell"
    for k, o in enumerate(outputs):
        if html := ''.join(o.get('data', {}).get('text/html', '')):
            fixed = re.sub(r'\bT_[0-9a-f]{5}(?=[_" ])', f'T_{name}{k}', html)
            o['data']['text/html'] = fixed.splitlines(keepends=True)
    return outputs


def has_cuda() -> bool:
    import torch

    return torch.cuda.is_available()


def source(cell) -> str:
    return ''.join(cell['source'])


def flagged(cell, flag) -> bool:
    return cell['cell_type'] == 'code' and bool(re.search(rf'^#\|\s*{flag}\b', source(cell), re.M))


def passed_over(cell, gpu, cuda) -> bool:
    "Does this run leave the cell as it is?"
    if cell.cell_type != 'code' or re.search(r'^#\|\s*eval:\s*false', source(cell), re.M):
        return True
    if not flagged(cell, 'cuda'):
        return cuda and flagged(cell, 'slow')
    return not gpu or flagged(cell, 'slow') and not cuda


def execute(path: Path, cuda=False) -> bool:
    "Run the cells of one notebook in a fresh shell and save it; with `cuda` only outputs of cells for a GPU are kept."
    from execnb.nbio import read_nb, write_nb
    from execnb.shell import CaptureShell
    from nbdev.clean import clean_nb

    nb, t0, gpu = read_nb(path), time.monotonic(), has_cuda()
    os.chdir(path.parent)  # as in Jupyter and in the tests
    shell = CaptureShell(path=path.parent, mpl_format='png')
    shell.run(
        "import matplotlib; matplotlib.rcParams['figure.dpi'] = 50"
    )  # the shell renders at twice this figure
    for cell in nb.cells:
        if passed_over(cell, gpu, cuda):
            continue
        outputs = shell.run(source(cell), stdout=True, stderr=False) or []
        outputs = named(smaller(outputs), cell.id)
        if shell.exc:
            import traceback

            print(f'{path.name}: {type(shell.exc).__name__}: {shell.exc}\n--- in this cell:\n{source(cell)}')
            traceback.print_tb(shell.exc.__traceback__, limit=-4)
            return False
        if flagged(cell, 'cuda') or not cuda:
            cell.outputs = outputs
        if cuda and flagged(cell, 'cuda'):
            save(nb, path, clean_nb, write_nb)  # what comes later may be stopped
    save(nb, path, clean_nb, write_nb)
    print(f'{path.name}: {time.monotonic() - t0:.1f} s, {path.stat().st_size/1024:.0f} kB')
    return True


def save(nb, path, clean_nb, write_nb):
    clean_nb(nb)
    write_nb(nb, path)


def gpu_cells(path) -> list:
    return [c for c in json.loads(path.read_text(encoding='utf-8'))['cells'] if flagged(c, 'cuda')]


def minutes(path) -> float:
    "What the cells for a GPU say that they may take; a tenth where they say nothing"
    said = [re.search(r'^#\|\s*minutes:\s*([\d.]+)', source(cell), re.M) for cell in gpu_cells(path)]
    return sum(float(match[1]) if match else 0.1 for match in said)


def without_outputs(paths) -> list:
    "The notebooks whose cells for a GPU lack outputs, the cheapest first"
    lacking = [p for p in paths if not all(cell['outputs'] for cell in gpu_cells(p))]
    return sorted(lacking, key=lambda path: (minutes(path), path))


def asked(args=None):
    "Notebooks that the command line names, all of nbs/ when it names none; and whether it is about cells for a GPU"
    import argparse

    p = argparse.ArgumentParser(description='Execute notebooks and keep their outputs.')
    p.add_argument('notebooks', nargs='*', metavar='NOTEBOOK', help='all of nbs/ when none is named')
    p.add_argument('--cuda', action='store_true', help='make missing outputs of cells for a GPU, cheapest first')
    given = p.parse_args(args)
    named = [Path(name).resolve() for name in given.notebooks]
    for path in named:
        if not path.is_file():
            p.error(f'{path} is no file')
    every = (q for q in sorted((ROOT / 'nbs').rglob('*.ipynb')) if '.ipynb_checkpoints' not in q.parts)
    return named or list(every), given.cuda


def main(args=None) -> int:
    paths, cuda = asked(args)
    if cuda and not has_cuda():
        print('no CUDA device here: PyTorch sees none; run this on a machine with an NVIDIA GPU')
        return 1
    if cuda:
        paths = without_outputs(paths)
    if len(paths) == 1:
        return not execute(paths[0], cuda)
    import subprocess  # one process each: no state leaks from one notebook to the next

    flag = ['--cuda'] if cuda else []
    calls = [[sys.executable, __file__, *flag, str(path)] for path in paths]
    return max([subprocess.call(call) for call in calls], default=0)


if __name__ == '__main__':
    sys.exit(main())
