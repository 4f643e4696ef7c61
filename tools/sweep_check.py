"""Forty small runs four ways: two processes, a local Ray, killed in the middle and resumed; the frames must be equal to the last bit.

`python tools/sweep_check.py` prints what happened; `--methods 2 --seeds 2` is a smaller one, `--no-ray` leaves out Ray.
"""

import argparse, json, os, signal, subprocess, sys, tempfile, time
from pathlib import Path

os.environ.setdefault('OMP_NUM_THREADS', '1')
ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))
from dnas_nb.methods import METHODS
from dnas_nb.running.study import frame, standing, study

NAMES = [
    'darts',
    'gdas',
    'danas',
    'random',
    'drnas',
    'gaussian',
    'snas',
    'beta',
    'sdarts-rs',
    'fairdarts',
]
SMALL = dict(space='toy', data='digits', epochs=2, images=40, batch=10, channels=2, size=8)


def finished(out) -> int:
    try:
        return sum(r['status'] == 'finished' for r in standing(out).values())
    except Exception:
        return 0


def killed(what, out, after) -> dict:
    "Start the sweep in a process of its own, kill it with SIGKILL once `after` runs are finished, and see how it stands"
    code = f'import json, sys; from dnas_nb.running.study import study; study(json.loads(sys.argv[1]), sys.argv[2], device="cpu")'
    p = subprocess.Popen([sys.executable, '-c', code, json.dumps(what), str(out)])
    while finished(out) < after and p.poll() is None:
        time.sleep(0.05)
    p.send_signal(signal.SIGKILL)
    p.wait()
    rows = standing(out).values()
    return dict(
        code=p.returncode,
        finished=finished(out),
        running=sum(r['status'] == 'running' for r in rows),
    )


def main():
    import pandas as pd

    p = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    p.add_argument('--methods', type=int, default=10)
    p.add_argument('--seeds', type=int, default=4)
    p.add_argument('--no-ray', action='store_true')
    a = p.parse_args()
    what, n = (
        dict(method=NAMES[: a.methods], seed=list(range(a.seeds)), **SMALL),
        a.methods * a.seeds,
    )
    assert all(m in METHODS for m in NAMES)
    with tempfile.TemporaryDirectory() as d:
        d = Path(d)

        def timed(label, f):
            t0 = time.monotonic()
            r = f()
            print(f'{label:34} {time.monotonic() - t0:6.1f} s', flush=True)
            return r

        timed(f'{n} runs, 2 processes', lambda: study(what, d / 'processes', device='cpu'))
        frames = dict(processes=frame(d / 'processes', clock=False))
        assert (frames['processes'].status == 'finished').all(), frames['processes'].error.tolist()
        if not a.no_ray:
            timed(
                f'{n} runs, local Ray', lambda: study(what, d / 'ray', backend='ray', device='cpu')
            )
            frames['ray'] = frame(d / 'ray', clock=False)
        how = timed('killed in the middle (SIGKILL)', lambda: killed(what, d / 'killed', n // 2))
        print(
            f"  exit code {how['code']}, {how['finished']} of {n} finished, {how['running']} cut off"
        )
        again = []
        timed(
            'the rest',
            lambda: study(what, d / 'killed', device='cpu', on_run=lambda *x: again.append(x[0])),
        )
        print(f'  {len(again)} runs made, {n - len(again)} kept')
        frames['killed'] = frame(d / 'killed', clock=False)
        for name in list(frames)[1:]:
            pd.testing.assert_frame_equal(frames['processes'], frames[name], check_exact=True)
            same = sum(
                (d / 'processes' / r / 'history.csv').read_bytes()
                == (d / name / r / 'history.csv').read_bytes()
                for r in frames[name].run
            )
            print(
                f'{name}: frame equal to that of processes, {same} of {n} histories byte for byte'
            )
            assert same == n
        f = frames['processes']
        print(f'{len(f)} rows × {f.shape[1]} columns, {f.arch.nunique()} different cells found')


if __name__ == '__main__':
    main()
