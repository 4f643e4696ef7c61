"The script for a GPU takes its whole path on the CPU, in small, goes on where it stopped, and loses one part at most."

import json, sys
from pathlib import Path

import warm

TOOLS = Path(__file__).resolve().parent.parent / 'tools'


def rows(out):
    return [json.loads(line) for line in (out / 'gpu.jsonl').read_text().splitlines()]


def test_the_whole_path_in_small(tmp_path):
    command = [sys.executable, TOOLS / 'gpu.py', '--out', tmp_path, '--device', 'cpu', '--quick']
    warm.run(command, check=True, timeout=600)
    first = rows(tmp_path)
    assert not [r for r in first if 'failed' in r]
    names = [r['name'] for r in first]
    assert {'waits danas', 'a plain', 'b eager bf16', 'c floor', 'b four seeds', 'search'} <= set(
        names
    )
    assert '|' in first[-1]['cell'] and first[-1]['epochs'] == 2
    with open(tmp_path / 'gpu.jsonl', 'a') as f:
        f.write('{"name": "half a li')  # killed here
    warm.run(command, check=True, timeout=600)
    lines = (tmp_path / 'gpu.jsonl').read_text().splitlines()
    assert lines[-1] == '{"name": "half a li' and len(lines) == len(first) + 1  # nothing twice


def test_a_part_that_fails_leaves_a_line(tmp_path, monkeypatch):
    monkeypatch.syspath_prepend(str(TOOLS))
    import time
    from gpu import Book

    book = Book(tmp_path, time.monotonic() + 60)
    book.take('bad', lambda: 1 / 0)
    book.take('late', dict, needs=1000)
    book.take('good', lambda: dict(ms=1.0))
    bad, late, good = rows(tmp_path)
    assert 'ZeroDivisionError' in bad['failed'] and 'left' in late['failed'] and good['ms'] == 1
    again = Book(tmp_path, time.monotonic() + 60)
    assert again.known == {'good'}
