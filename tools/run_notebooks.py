"Execute notebooks and keep their outputs: `python tools/run_notebooks.py nbs/05_supernet.ipynb ...` (all of nbs/ when none is named)."

import os, re, sys, time
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


def execute(path: Path) -> bool:
    "Run every cell of one notebook in a fresh shell and save it; cells flagged `cuda` are skipped without a GPU."
    import torch
    from execnb.nbio import read_nb, write_nb
    from execnb.shell import CaptureShell
    from nbdev.clean import clean_nb

    nb, t0 = read_nb(path), time.monotonic()
    os.chdir(path.parent)  # as in Jupyter and in the tests
    shell = CaptureShell(path=path.parent, mpl_format='png')
    shell.run(
        "import matplotlib; matplotlib.rcParams['figure.dpi'] = 50"
    )  # the shell renders at twice this figure
    for cell in nb.cells:
        if cell.cell_type != 'code':
            continue
        src = ''.join(cell.source)
        if re.search(r'^#\|\s*cuda\b', src, re.M) and not torch.cuda.is_available():
            continue
        if re.search(r'^#\|\s*eval:\s*false', src, re.M):
            continue
        cell.outputs = smaller(shell.run(src, stdout=True, stderr=False) or [])
        if shell.exc:
            import traceback

            print(f'{path.name}: {type(shell.exc).__name__}: {shell.exc}\n--- in this cell:\n{src}')
            traceback.print_tb(shell.exc.__traceback__, limit=-4)
            return False
    clean_nb(nb)
    write_nb(nb, path)
    print(f'{path.name}: {time.monotonic() - t0:.1f} s, {path.stat().st_size/1024:.0f} kB')
    return True


def wanted():
    "The notebooks that the command line names, all of nbs/ when it names none"
    import argparse

    p = argparse.ArgumentParser(description='Execute notebooks and keep their outputs.')
    p.add_argument('notebooks', nargs='*', metavar='NOTEBOOK', help='all of nbs/ when none is named')
    named = [Path(name).resolve() for name in p.parse_args().notebooks]
    for path in named:
        if not path.is_file():
            p.error(f'{path} is no file')
    every = (q for q in sorted((ROOT / 'nbs').rglob('*.ipynb')) if '.ipynb_checkpoints' not in q.parts)
    return named or list(every)


if __name__ == '__main__':
    paths = wanted()
    if len(paths) == 1:
        sys.exit(not execute(paths[0]))
    import subprocess  # one process each: no state leaks from one notebook to the next

    sys.exit(max(subprocess.call([sys.executable, __file__, str(path)]) for path in paths))
