"Names that other packages keep to themselves move without notice: which ones are used, and what happens when they have moved."

import ast, json, os, sys

import torch

from conftest import ROOT, fails
import warm
from dnas_nb import trees
from dnas_nb.running import memory
from dnas_nb.running.experiment import run

KNOWN = {  # (module, expression): no public name does the same; each is asked for with a way out
    ('memory', 'torch.utils._python_dispatch'),  # guarded import: no forecast
    ('overview', 'parser._actions'),  # argparse has no public list of what a parser takes
    ('device', 'torch.utils._python_dispatch'),  # a diagnosis: nothing else imports that module
    ('device', 'torch.Tensor._make_wrapper_subclass'),
    *[
        ('modules', f'{module}.{held}')
        for module, held in (  # the tables of which every module consists
            ('layer', '_parameters'),
            ('layer', '_buffers'),
            ('new', '_parameters'),
            ('new', '_buffers'),
            ('new', '_modules'),
            ('module', '_modules'),
        )
    ],
}
TEXTS = {'_dirichlet_grad', '_parameters', '_modules', '_version'}  # by getattr, with an answer for None
TINY = dict(space='toy', images=40, epochs=1, batch=8, channels=2, device='cpu', report=False)


def private(name):
    return name.startswith('_') and not name.startswith('__')


def used():
    "(module, what) for every private name of something that is not ours."
    for path in sorted((ROOT / 'dnas_nb').rglob('[a-z]*.py')):
        for n in ast.walk(ast.parse(path.read_text(encoding='utf-8'))):
            if (
                isinstance(n, ast.Attribute)
                and private(n.attr)
                and ast.unparse(n.value) not in ('self', 'os')
                and n.attr not in ('_asdict', '_replace')
            ):
                yield path.stem, ast.unparse(n)
            if (
                isinstance(n, ast.ImportFrom)
                and not n.level
                and any(map(private, [*(n.module or '').split('.'), *(a.name for a in n.names)]))
            ):
                yield path.stem, n.module
            if isinstance(n, ast.Import) and any(
                private(p) for a in n.names for p in a.name.split('.')
            ):
                yield path.stem, ast.unparse(n)
            if (
                isinstance(n, ast.Call)
                and ast.unparse(n.func) == 'getattr'
                and isinstance(n.args[1], ast.Constant)
                and private(str(n.args[1].value))
            ):
                if n.args[1].value not in TEXTS or len(n.args) < 3:
                    yield path.stem, ast.unparse(n)


def test_private_names_are_the_known_ones():
    "`os._exit`, methods of named tuples and our own `self._x` are public or ours."
    assert set(used()) == KNOWN


def test_without_the_dirichlet_gradient(monkeypatch, tmp_path):
    "One line that says so, at the first step; methods that need none of it go on."
    monkeypatch.delattr(torch, '_dirichlet_grad')
    fails(lambda: run(tmp_path / 'a', method='drnas', **TINY), '_dirichlet_grad', torch.__version__)
    assert run(tmp_path / 'b', method='darts', **TINY).found


def test_gamma_draws_are_those_of_the_private_name():
    "The public road draws the same bits."
    k = torch.rand(3, 4)
    draws = []
    for f in (
        lambda: torch._standard_gamma(k + 1),
        lambda: torch.distributions.Gamma(k + 1, torch.ones_like(k), validate_args=False).sample(),
    ):
        torch.manual_seed(0)
        draws.append(f())
    assert torch.equal(*draws)


def test_without_the_dispatch_mode(tmp_path):
    "The module imports, and a search runs without a forecast."
    code = f'''
import json, sys, torch
for name in [name for name in sys.modules if name.startswith('dnas_nb')]: del sys.modules[name]
held, sys.modules['torch.utils._python_dispatch'] = sys.modules['torch.utils._python_dispatch'], None
from dnas_nb.running import memory
sys.modules['torch.utils._python_dispatch'] = held   # PyTorch itself needs it later
from dnas_nb.running.experiment import run
assert memory.TorchDispatchMode is None
said = []
r = run({str(tmp_path/'r')!r}, tell=said.append, **{TINY!r})
print(json.dumps([said, json.loads((r.out/'run.json').read_text())['predicted_mb']]))
'''
    done = warm.run(
        [sys.executable, '-c', code],
        capture_output=True,
        text=True,
        env={**os.environ, 'PYTHONPATH': str(ROOT)},
    )
    assert done.returncode == 0, done.stderr[-2000:]
    said, predicted = json.loads(done.stdout.splitlines()[-1])
    assert predicted is None and any('cannot be predicted' in line for line in said)


def test_without_the_slots_of_modules(monkeypatch):
    "A module that keeps its parameters elsewhere takes PyTorch's own, slower way to the same output."
    net, x = torch.nn.Linear(3, 2), torch.randn(4, 3)
    w, called = {'weight': torch.ones(2, 3), 'bias': torch.zeros(2)}, []

    class Blind:
        def __call__(self, *args):
            raise AssertionError('its own weights')

    monkeypatch.setattr(
        trees,
        'functional_call',
        lambda blind, w, args: called.append(w) or args[0] @ w['weight'].T + w['bias'],
    )
    assert torch.equal(
        trees.at_weights(Blind(), w, (x,)), trees.at_weights(net, w, (x,))
    ) and called == [w]


def test_held_counts_storages_once():
    "Views share memory; what is freed is counted off."
    with memory.Held() as h:
        a = torch.ones(10) * 2
        b = a.view(2, 5)
    assert h.now == 40 and b.shape == (2, 5)
    with h:
        del a, b
    assert h.now == 0 and h.peak == 80  # the ones and their double
