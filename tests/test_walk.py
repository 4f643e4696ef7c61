"""How many named functions of the package a search walks through: few enough to be told from memory.

Aims: 60 from `dnas_search` to the first step, 40 in a step, 60 from the last step to the report.
None of them is reached: it is 224, 86 and 232, of them offered 130, 53 and 133. Fifteen of the last
say how sure a rank is, ten of either end let several processes compute one search, five in a step
(and nine at either end) keep it from waiting for its device, and functions of at most 250 syntax
nodes mean more of them. Pictures took 196, 86 and 233; batches of any nest of tensors, and tasks of
any kind, came on top. The limits below are what was reached; lower them with every name that goes.
Counted are distinct functions and methods of the package, by the code that runs, on a tiny search
(DANAS, the cell of NAS-Bench-201, digits); comprehensions, lambdas and what runs at import are not.
`offered` counts those without a leading underscore that are not inside another function: what a
reader has to know by name, while a helper is read where it stands. A search of this size needs no
trial step for its forecast of the memory; a larger one makes a trial, and so walks through a step
before the first one too.
`python tests/test_walk.py --names` prints the figures and the names, by module.
"""

import json
import sys
from pathlib import Path

import warm
from dnas_nb.sources import find_data

LIMITS = dict(before=224, step=86, after=232)  # of all
OFFERED = dict(before=130, step=53, after=133)  # of those with a name of their own
REFUSED = dict(after=2)  # more of them where the benchmark's table is not here, and says so
LINE = (
    'dnas_search --method danas --space nb201 --data digits --images 96 --batch 16 --epochs 2 '
    '--channels 2 --cells 1 --device cpu'
).split()
FIRST, WEIGHTS = ('one_step', 'arch_step', 'weight_step'), 'weight_step'  # called by the loop


def walked(out) -> dict:  # part of the walk -> names 'module.function', in the order of the calls
    "Make the search in this process, and note what it passes"
    import importlib, pkgutil
    import dnas_nb
    from dnas_nb.running import cli
    from dnas_nb.running import report

    for m in pkgutil.walk_packages(dnas_nb.__path__, 'dnas_nb.'):
        importlib.import_module(m.name)
    report.draw_all = lambda out: []
    home = str(Path(dnas_nb.__file__).parent)
    parts = dict(before={}, step={}, after={})
    now, steps = 'before', 0

    def look(frame, event, _):
        nonlocal now, steps
        code = frame.f_code
        if event not in ('call', 'return') or not code.co_filename.startswith(home):
            return
        name, module = code.co_name, Path(code.co_filename).stem
        caller = frame.f_back.f_code.co_filename if frame.f_back else ''
        by_loop = module == 'bilevel' and caller == code.co_filename
        if event == 'return':
            if by_loop and name == WEIGHTS:
                parts['after'] = {}  # begins anew with each step
            return
        if by_loop and name in FIRST and now == 'before':
            now = 'after'  # the first step
        if by_loop and name == WEIGHTS:
            steps += 1
            now = 'step' if steps == 2 else 'after'  # from the second to the third
        if not name.startswith('<'):
            parts[now].setdefault(f'{module}.{code.co_qualname}')

    sys.argv = [*LINE, '--out', str(out)]
    sys.setprofile(look)
    try:
        cli.dnas_search()
    finally:
        sys.setprofile(None)
    return {part: list(names) for part, names in parts.items()}


def offered(names) -> list:
    "Without helpers: what begins with an underscore, and functions inside functions"
    own = [name for name in names if '<locals>' not in name]
    return [name for name in own if not any(word.startswith('_') for word in name.split('.'))]


def counted(tmp_path) -> dict:
    "The same in a process of its own, where nothing is remembered from before"
    p = warm.run([sys.executable, __file__, '--json', tmp_path / 'run'])
    assert p.returncode == 0, p.stderr[-2000:]
    return json.loads(p.stdout.splitlines()[-1])


def test_a_search_can_be_told_from_memory(tmp_path):
    walk = counted(tmp_path)
    print({part: (len(names), len(offered(names))) for part, names in walk.items()})
    more = {} if find_data('nasbench201.npz') else REFUSED
    for part, names in walk.items():
        assert 10 < len(names) <= LIMITS[part], (part, len(names))
        limit = OFFERED[part] + more.get(part, 0)
        assert len(offered(names)) <= limit, (part, len(offered(names)))


def main(argv):
    import tempfile

    if argv[:1] == ['--json']:
        return print(json.dumps(walked(argv[1])))
    with tempfile.TemporaryDirectory() as d:
        found = counted(Path(d))
    for part, names in found.items():
        print(f'{part}: {len(names)}, offered {len(offered(names))}')
        if '--names' not in argv:
            continue
        by = {}
        for name in names:
            by.setdefault(name.split('.')[0], []).append(name.split('.', 1)[1])
        for module, those in by.items():
            print(f'    {module}: {", ".join(those)}')


if __name__ == '__main__':
    main(sys.argv[1:])
