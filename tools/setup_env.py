"Make the virtual environment .venv, or bring it up to date: `python tools/setup_env.py run|dev`. Quiet and fast when nothing is to do."

import errno, hashlib, os, re, shutil, subprocess, sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
VENV = ROOT / '.venv'
PY = VENV / ('Scripts/python.exe' if os.name == 'nt' else 'bin/python')
LOG, UNFINISHED = VENV / 'install.log', VENV / 'unfinished'
SOURCES = 'settings.ini', 'setup.py', 'pyproject.toml', 'tools/setup_env.py'


def say(text):
    print(f'[set-up] {text}', flush=True)


def fail(text):
    sys.exit(f'[set-up] {text}')


def has_gpu() -> bool:
    "An NVIDIA GPU that its driver can list."
    try:
        return (
            'GPU'
            in subprocess.run(
                ['nvidia-smi', '-L'], capture_output=True, text=True, timeout=20
            ).stdout
        )
    except (OSError, subprocess.TimeoutExpired):
        return False


def constraints():
    "The file of pinned versions to install with, or None: the default is constraints-cpu.txt where no GPU is found."
    name = os.environ.get('CONSTRAINTS') or ('none' if has_gpu() else 'constraints-cpu.txt')
    if name == 'none':
        return None
    path = (ROOT / name).resolve()
    if not path.is_file():
        fail(
            f'CONSTRAINTS={name}: there is no such file; give a path relative to {ROOT}, or "none"'
        )
    return path


def fingerprint(pins) -> str:
    "Changes with anything that the installed packages depend on."
    parts = [str(ROOT), sys.version.split()[0], pins.read_text() if pins else 'none']
    return hashlib.sha256(
        '\n'.join(parts + [(ROOT / f).read_text() for f in SOURCES if (ROOT / f).exists()]).encode()
    ).hexdigest()


def healthy() -> bool:
    "The environment starts, has pip, and its Python is new enough."
    code = 'import sys, pip; sys.exit(sys.version_info < (3, 10))'
    try:
        return subprocess.run([PY, '-c', code], capture_output=True).returncode == 0
    except OSError:
        return False


def make_venv():
    if VENV.exists():
        say('.venv is incomplete: making it again')
        shutil.rmtree(VENV)
    else:
        say('making the virtual environment .venv')
    done = subprocess.run([sys.executable, '-m', 'venv', str(VENV)], capture_output=True, text=True)
    if done.returncode or not healthy():
        shutil.rmtree(VENV, ignore_errors=True)
        hint = (
            'install the venv module (Debian, Ubuntu: apt-get install python3-venv)'
            if 'ensurepip' in done.stdout + done.stderr
            else (done.stderr or done.stdout).strip().rpartition('\n')[2]
        )
        fail(f'{sys.executable} -m venv failed: {hint}, then run the same command again')


def pip(what, pins) -> bool:
    "Install the package itself, editable, with its requirements."
    cmd = [
        str(PY),
        '-m',
        'pip',
        'install',
        '--disable-pip-version-check',
        '--no-input',
        '--progress-bar',
        'off',
    ]
    cmd += (['-c', str(pins)] if pins else []) + ['-e', what]
    with open(LOG, 'w') as log:
        return (
            subprocess.run(
                cmd, cwd=ROOT, stdout=log, stderr=subprocess.STDOUT, close_fds=False
            ).returncode
            == 0
        )


def install(extra, pins):
    what = '.[dev]' if extra == 'dev' else '.'
    kind = 'PyTorch as pinned in ' + pins.name if pins else 'the default build of PyTorch'
    say(
        f'installing the {"development" if extra == "dev" else "run-time"} requirements, {kind}: '
        'a few minutes and 1 to 6 GB the first time, seconds later'
    )
    UNFINISHED.touch()  # stays if this process is cut off: then the next call starts from an empty environment
    ok = pip(what, pins)
    log = LOG.read_text(errors='replace')
    if (
        not ok
        and pins
        and re.search(
            r'No matching distribution found for torch|requested \(constraint\) torch', log
        )
    ):
        say(
            f'this system has no PyTorch as pinned in {pins.name}: trying any version that settings.ini allows'
        )
        ok = pip(what, None)
        log = LOG.read_text(errors='replace')
    UNFINISHED.unlink(missing_ok=True)
    if not ok:
        errors = [
            line.split('ERROR: ', 1)[1]
            for line in log.splitlines()
            if 'ERROR: ' in line and 'Impossible' not in line
        ]
        network = re.search(
            r'Failed to establish|Connection\w*Error|ConnectTimeout|timed out|name resolution', log
        )
        why = (
            'the package index cannot be reached: check the network'
            if network
            else (errors or ['unknown error'])[-1].strip()
        )
        if 'from versions: none' in log:
            why += ' (none offered: check the network and the name)'
        fail(
            f'pip failed: {why}. Details: {LOG.relative_to(ROOT)}. Then run the same command again.'
        )


def wait_for(lock):
    "Take the lock on an open file with what the system has: of two makes at once, the second waits."
    try:
        import fcntl
    except ImportError:
        pass
    else:
        return fcntl.flock(lock, fcntl.LOCK_EX)
    import msvcrt  # Windows

    while True:
        try:
            return msvcrt.locking(lock.fileno(), msvcrt.LK_LOCK, 1)  # gives up after ten seconds
        except OSError as e:
            if e.errno != errno.EDEADLOCK:
                raise


def main(extra):
    pins = constraints()
    stamp = fingerprint(pins)
    names = (
        ['dev'] if extra == 'dev' else ['run', 'dev']
    )  # the development environment can run everything
    fresh = lambda: any(
        (VENV / f'{n}.stamp').exists() and (VENV / f'{n}.stamp').read_text() == stamp for n in names
    )
    if fresh() and not UNFINISHED.exists() and PY.exists():
        return
    with open(ROOT / '.setup.lock', 'w') as lock:
        os.set_inheritable(lock.fileno(), True)  # pip keeps the lock even if this process is killed
        wait_for(lock)
        if UNFINISHED.exists() or not healthy():
            make_venv()
        elif fresh():
            return
        install(extra, pins)
        (VENV / f'{extra}.stamp').write_text(stamp)
        if extra == 'dev':
            (VENV / 'run.stamp').write_text(stamp)
    say('ready')


if __name__ == '__main__':
    try:
        main(sys.argv[1] if len(sys.argv) > 1 else 'run')
    except KeyboardInterrupt:
        fail('interrupted: run the same command again to finish')
    except OSError as e:
        fail(
            f'{e}: check the free disk space and the permissions of {ROOT}, then run the same command again'
        )
