"The types of the door, as a type checker sees them: no error in what people write, and wrong lines are refused."

import os, subprocess, sys
import pytest
from conftest import ROOT

pytest.importorskip('mypy')
USE = ROOT / 'tests' / 'door_types.py'


def checked(path, cache):
    "What mypy says of a program that uses the door; what other libraries declare is not read."
    mypy = [sys.executable, '-m', 'mypy', '--config-file', ROOT / 'pyproject.toml']
    done = subprocess.run(
        [*mypy, '--cache-dir', cache, path],
        cwd=ROOT,
        env=os.environ | dict(MYPYPATH=str(ROOT)),
        capture_output=True,
        text=True,
    )
    return done.stdout + done.stderr


def test_the_door_has_no_type_error(tmp_path_factory, tmp_path):
    cache = tmp_path_factory.mktemp('mypy')
    assert 'Success' in checked(USE, cache)
    text = USE.read_text(encoding='utf-8')
    bare = tmp_path / 'bare.py'  # the same with its excuses taken away: each line is an error
    lines = [line.partition('  # type: ignore')[0] for line in text.splitlines()]
    bare.write_text('\n'.join(lines), encoding='utf-8')
    assert f'Found {text.count("# type: ignore")} errors' in checked(bare, cache)
