"Run one notebook with nbdev's runner and print what happened as JSON: `python tests/run_notebook.py NOTEBOOK SKIP_FLAG ...`."

import json, sys, traceback
from collections import Counter
from pathlib import Path
import nbdev.test
from execnb.nbio import read_nb
from IPython.core import pylabtools
from matplotlib.backend_bases import FigureCanvasBase
from dot import DOT, DOT_TEXT
from warm import moved_in

TRACE = 6  # the last frames of a failure that are shown


class Shell(nbdev.test.CaptureShell):
    "Remembers which cells ran, which were skipped and why, and what failed."

    ran, skipped, failure, empty, flags = 0, Counter(), None, [], set()

    def run_all(self, nb, preproc, **kw):
        stored = {
            c.idx_: bool(c.get('outputs')) for c in read_nb(self.fn).cells if c.cell_type == 'code'
        }
        flags = self.flags
        for cell in nb.cells:
            if cell.cell_type != 'code' or not cell.source.strip():
                continue
            direc = getattr(cell, 'directives_', {}) or {}
            if preproc(cell):
                Shell.skipped.update([next(iter(sorted(flags & direc.keys())), 'eval: false')])
                continue
            cell.outputs = []
            self.cell(cell)
            Shell.ran += 1
            if self.exc:
                Shell.failure = describe(cell, self.exc)
                raise self.exc from None
            shown = [o for o in cell.outputs if o.get('name') != 'stderr']
            if (
                shown
                and not stored[cell.idx_]
                and not direc.keys() & {'hide', 'hide_output', 'export', 'exporti', 'exports'}
            ):
                Shell.empty.append(
                    f'cell {cell.idx_} ({cell.get("id", "no id")}): {cell.source.strip().splitlines()[0][:80]}'
                )


def describe(cell, exc) -> str:
    "Cell, error and the end of the trace, without the runner's own frames."
    frames = [
        f
        for f in traceback.extract_tb(exc.__traceback__)
        if 'IPython' not in f.filename and 'execnb' not in f.filename
    ][-TRACE:]
    where = [
        f'  {"this cell" if "ipython-input" in f.filename or "ipykernel" in f.filename else f.filename}, line {f.lineno}: {f.line or ""}'
        for f in frames
    ]
    return '\n'.join(
        [
            f'cell {cell.idx_} (id {cell.get("id", "?")}) failed:',
            '',
            *('    ' + s for s in cell.source.splitlines()),
            '',
            *where,
            *traceback.format_exception_only(type(exc), exc),
        ]
    )


def drawn_once():
    "A figure that a cell shows is laid out and drawn, so what fails there fails; its pixels are not made"

    def print_figure(fig, fmt='png', bbox_inches='tight', base64=False, **kwargs):
        fig.draw_without_rendering()
        return DOT_TEXT if base64 else DOT

    pylabtools.print_figure = print_figure
    FigureCanvasBase.draw_idle = lambda self, *args, **kwargs: None


def run(path, flags) -> dict:
    "What happened, as plain values"
    drawn_once()

    def shell(fn):
        Shell.fn, Shell.flags = Path(fn), set(flags)
        return Shell(fn)

    nbdev.test.CaptureShell = shell
    ok, seconds = nbdev.test.test_nb(Path(path), skip_flags=list(flags), showerr=False)
    return dict(
        ok=ok,
        seconds=seconds,
        ran=Shell.ran,
        skipped=Shell.skipped,
        failure=Shell.failure,
        empty=Shell.empty,
    )


def in_process(path, flags, cwd, env, said, told):
    "The same in a process that was forked for it: what it prints goes to the file `said`, what happened to `told`"
    moved_in(cwd, env, said, said)
    sys.argv = [__file__, str(path)]
    result = run(path, flags)
    Path(told).write_text(json.dumps(result))


if __name__ == '__main__':
    print('\n' + json.dumps(run(sys.argv[1], sys.argv[2:])))
