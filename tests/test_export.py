"Exported networks: equal answers, nothing of this package inside, one-line errors."

import ast, json, os, re, subprocess, sys
from importlib.util import find_spec
import pytest
import torch
from torch import nn
from conftest import ROOT, fails
import warm
from dnas_nb.running import export as ex
from dnas_nb.running import identity
from dnas_nb.running.cli import dnas_export
from dnas_nb.core import generator, seeded
from dnas_nb.data import normalise
from dnas_nb.sources import from_tensors, load_data
from dnas_nb.running.evaluate import RECIPES, load_arch, train_arch
from dnas_nb.fast import fast
from dnas_nb.dialects import parse, published
from dnas_nb.genotype import from_ops, random_arch
from dnas_nb.space import darts, nb201, toy
from dnas_nb.spaces import all_spaces
from dnas_nb.suite import SUITE
from dnas_nb.supernet import SuperNet, batch_stats, subnet
from dataclasses import replace

LIMIT = 1e-5
NORM = (0.49, 0.48, 0.45), (0.25, 0.24, 0.26)
missing = [n for n in ('onnx', 'onnxscript', 'onnxruntime') if find_spec(n) is None]
onnx = pytest.mark.skipif(
    bool(missing), reason=f"{', '.join(missing)} not installed: pip install 'dnas_nb[export]'"
)


@pytest.fixture(autouse=True)
def files_run_in_warm_processes(request, monkeypatch):
    "Those that an export starts to compare; where it matters that a file stands alone, in interpreters of their own"
    if request.node.originalname != 'test_stands_alone':
        monkeypatch.setattr(ex, 'subprocess', warm)


def lively(net, *key):
    "Weights and statistics that are not those of a fresh network."
    with seeded('lively', *key):
        for k, v in net.state_dict().items():
            if v.is_floating_point():
                v.mul_(torch.rand_like(v) * 0.4 + 0.8).add_(
                    torch.randn_like(v) * 0.1 * (v.ndim == 1 and 'var' not in k)
                )
    return net


def cell(name):
    if name == 'nb201':
        return lively(
            subnet(
                nb201(),
                parse(
                    '|nor_conv_3x3~0|+|nor_conv_1x1~0|nor_conv_3x3~1|+|skip_connect~0|none~1|avg_pool_3x3~2|',
                    nb201(),
                ),
                4,
                1,
            ),
            0,
        )
    return lively(subnet(darts(), published('DARTS_V2'), 4, 4, auxiliary=True), 1)


@onnx
@pytest.mark.parametrize('name', ['nb201', 'darts'])
def test_all_formats(name, tmp_path):
    "The acceptance check: three formats of two families, images normalised inside, batches of other sizes."
    net = cell(name)
    before = {k: v.clone() for k, v in net.state_dict().items()}
    about = ex.export(net, tmp_path, normalise=NORM)
    assert (
        set(about['difference']) == {'pt2', 'onnx', 'py'}
        and max(about['difference'].values()) <= LIMIT
    ), about['difference']
    assert json.loads((tmp_path / 'export.json').read_text())['input'] == ['batch', 3, 32, 32]
    assert net.training and all(torch.equal(v, before[k]) for k, v in net.state_dict().items())
    x = torch.rand(7, 3, 32, 32)
    mean, std = (torch.tensor(v)[:, None, None] for v in NORM)
    with torch.no_grad():
        want = ex.plain(net)((x - mean) / std)
    for f, run in ex.RUNNERS.items():
        assert (run(tmp_path / f'net.{f}')(x) - want).abs().max() <= LIMIT, f
    for f in tmp_path.iterdir():
        if f.suffix != '.json':
            assert (
                b'dnas_nb' not in f.read_bytes() and str(ROOT).encode() not in f.read_bytes()
            ), f.name
    import onnx

    model = onnx.load(tmp_path / 'net.onnx')
    onnx.checker.check_model(model, full_check=True)
    assert not list(tmp_path.glob('*.data')) and [
        d.dim_param for d in model.graph.input[0].type.tensor_type.shape.dim
    ] == ['batch', '', '', '']


EVERY = all_spaces() | SUITE


@pytest.mark.parametrize('name', EVERY)
def test_python_file_of_every_space(name, tmp_path):
    "A random cell of every space, read again in this process."
    space = EVERY[name]()
    net = lively(
        subnet(
            space, random_arch(space, generator('py', name)), 8, 4 if space.cells[0].n_in > 1 else 1
        ),
        name,
    )
    text = ex.to_python(ex.plain(net))
    assert 'dnas' not in text and max(map(len, text.splitlines())) <= 200
    (tmp_path / 'net.py').write_text(text)
    import importlib.util

    spec = importlib.util.spec_from_file_location('exported', tmp_path / 'net.py')
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    out = module.Network()
    out.load_state_dict(ex.renamed(ex.plain(net)))
    x = torch.randn(3, 3, 32, 32)
    if name == 's4':  # an operation that draws random numbers
        with seeded('noise'):
            want = ex.plain(net)(x)
        with seeded('noise'):
            got = out.eval()(x)
    else:
        want, got = ex.plain(net)(x), out.eval()(x)
    assert (want - got).abs().max() <= LIMIT
    imported = {
        n
        for node in ast.walk(ast.parse(text))
        if isinstance(node, (ast.Import, ast.ImportFrom))
        for n in ([a.name for a in node.names] if isinstance(node, ast.Import) else [node.module])
    }
    assert {n.split('.')[0] for n in imported} <= {'torch', 'sys', 'math', 'functools', 'pathlib'}


@pytest.mark.parametrize(
    'ops',
    [
        ['none'] * 6,
        ['none', 'nor_conv_3x3', 'nor_conv_3x3', 'none', 'none', 'none'],
        ['none', 'none', 'nor_conv_3x3', 'none', 'none', 'skip_connect'],
        ['nor_conv_1x1', 'none', 'none', 'none', 'none', 'none'],
    ],
)
def test_cells_that_lead_nowhere(ops, tmp_path):
    "Nodes that nothing reaches still pass a batch norm, whose shift is not zero."
    net = lively(subnet(nb201(), from_ops(nb201(), ops), 4, 1), *ops)
    about = ex.export(net, tmp_path, ('py', 'pt2'), size=16)
    assert max(about['difference'].values()) <= LIMIT


def test_imagenet_stem(tmp_path):
    net = lively(subnet(darts(), published('DARTS_V2'), 4, 3, stem='imagenet', auxiliary=True), 5)
    assert ex.export(net, tmp_path, ('py',), size=64)['difference']['py'] <= LIMIT


def test_stands_alone(tmp_path):
    "In the process that runs the file, this package cannot be imported; the file itself works as a command too."
    ex.export(cell('nb201'), tmp_path, ('py',))
    (tmp_path / 'spy.py').write_text(
        'try:\n import dnas_nb.core\n raise SystemExit("it is there")\nexcept ImportError: pass\n'
        + (tmp_path / 'net.py').read_text()
    )
    (tmp_path / 'spy.pt').write_bytes((tmp_path / 'net.pt').read_bytes())
    assert ex.python_runner(tmp_path / 'spy.py')(torch.rand(4, 3, 32, 32)).shape == (4, 10)
    torch.save(torch.rand(2, 3, 40, 24), tmp_path / 'x.pt')
    done = subprocess.run(
        [sys.executable, '-I', tmp_path / 'net.py', tmp_path / 'x.pt', tmp_path / 'y.pt'],
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0 and torch.load(tmp_path / 'y.pt', weights_only=True).shape == (
        2,
        10,
    ), done.stderr
    assert (
        'usage'
        in subprocess.run(
            [sys.executable, tmp_path / 'net.py'], capture_output=True, text=True
        ).stderr
    )


def test_weights_are_plain_tensors(tmp_path):
    ex.export(cell('darts'), tmp_path, ('py',))
    weights = torch.load(tmp_path / 'net.pt', weights_only=True)
    assert all(type(v) is torch.Tensor for v in weights.values()) and not any(
        'aux' in k for k in weights
    )
    assert re.search(
        r'torch\.load\([^)]*weights_only=True',
        (tmp_path / 'net.py').read_text().replace('.with_suffix(\'.pt\')', ''),
    )


def test_fast_network(tmp_path):
    "Classes that only make training fast do not leave."
    space = darts()
    net = lively(subnet(space, published('DARTS_V1'), 4, 4), 3)
    want = net.eval()(x := torch.rand(2, 3, 16, 16))
    assert (ex.plain(fast(net))(x) - want).abs().max() <= LIMIT
    assert ex.export(net, tmp_path, ('pt2', 'py'), size=16)['difference']['pt2'] <= LIMIT


def test_any_module(tmp_path):
    net = nn.Sequential(nn.Conv2d(1, 2, 3), nn.Flatten(), nn.Linear(2 * 36, 3))
    assert ex.export(net, tmp_path, ('pt2',), size=8)['difference']['pt2'] <= LIMIT
    fails(lambda: ex.export(net, tmp_path, ('py',), size=8), 'subnet')


@pytest.fixture(scope='module')
def run(tmp_path_factory):
    out = tmp_path_factory.mktemp('run') / 'r'
    train_arch(
        random_arch(toy(), generator('run')),
        toy(),
        load_data('digits', images=80),
        replace(RECIPES['small'], epochs=1, batch=16, C=2),
        out=out,
        device='cpu',
    )
    return out


def cli(capsys, *args, **kw):
    try:
        dnas_export(*args, **kw)
        code = 0
    except SystemExit as e:
        code = e.code
    return code, *capsys.readouterr()


def test_run_folder(run, tmp_path, capsys):
    split = load_data('digits', images=80)
    code, out, err = cli(
        capsys,
        str(run),
        formats='py',
        size=8,
        mean=str(split.about.mean[0]),
        std=str(split.about.std[0]),
    )
    assert (
        code == 0
        and err == ''
        and 'batch × 1 × 8 × 8, images in [0, 1]; 10 classes' in out
        and str(run / 'export' / 'net.py') in out
    )
    x = torch.rand(3, 1, 8, 8)
    with torch.no_grad():
        want = load_arch(run)((x - split.about.mean[0]) / split.about.std[0])
    assert (ex.python_runner(run / 'export' / 'net.py')(x) - want).abs().max() <= LIMIT
    assert ex.export(run, tmp_path, ('py',), size=8, normalise=split)['normalises'] == (
        list(split.about.mean),
        list(split.about.std),
    )


def test_a_run_knows_its_pictures(run, tmp_path):
    "Size, bytes, mean, deviation and classes come from the run; each file takes raw pixels and says what its logits mean"
    split = load_data('digits', images=80)
    about = ex.export(run, tmp_path, ('pt2', 'py'))
    assert (about['input'], about['pixels'], about['takes']) == (
        ['batch', 1, 8, 8],
        'uint8',
        'bytes, 0 to 255',
    )
    assert about['class_names'] == list(split.about.classes) and about['normalises'] == (
        list(split.about.mean),
        list(split.about.std),
    )
    with torch.no_grad():
        want = load_arch(run)(normalise(split.test.x, split.about))
    for name in ('pt2', 'py'):
        assert (
            ex.RUNNERS[name](tmp_path / f'net.{name}')(split.test.x) - want
        ).abs().max() <= LIMIT
    assert (
        ex.python_runner(tmp_path / 'net.py')(split.test.x.float() / 255) - want
    ).abs().max() <= LIMIT  # the file takes both
    told = {'about.json': ''}
    torch.export.load(tmp_path / 'net.pt2', extra_files=told)
    said = [
        ast.literal_eval(line.value)
        for line in ast.parse((tmp_path / 'net.py').read_text()).body
        if isinstance(line, ast.Assign) and line.targets[0].id == 'ABOUT'
    ]
    assert (
        said == [json.loads(told['about.json'])]
        and said[0]['classes'] == list(split.about.classes)
        and said[0]['mean'] == list(split.about.mean)
    )


def test_floats_stay_as_they_are(tmp_path):
    "Pictures that were numbers leave as numbers, in their own range"
    g = torch.Generator().manual_seed(0)
    split = from_tensors(
        torch.randn(60, 1, 8, 8, generator=g) * 9, torch.arange(60) % 2, classes=('a', 'b')
    )
    t = train_arch(
        random_arch(toy(), generator('floats')),
        toy(),
        split,
        replace(RECIPES['small'], epochs=1, batch=16, C=2),
        out=tmp_path / 'r',
        device='cpu',
    )
    about = ex.export(tmp_path / 'r', tmp_path, ('pt2', 'py'), split=split)
    assert about['pixels'] == 'float32' and set(about['test_accuracy'].values()) == {t.test_acc}


def test_without_normalisation(run, tmp_path):
    about = ex.export(run, tmp_path, ('py',), normalise=False)
    assert (
        about['normalises'] is None
        and about['takes'] == 'normalised images'
        and about['class_names']
    )


def test_a_run_that_does_not_know(run, tmp_path, monkeypatch):
    real = json.loads((run / 'run.json').read_text())
    for dataset in (
        None,
        3,
        {},
        {**real['dataset'], 'shapes': 5},
        {**real['dataset'], 'mean': 'x'},
        {**real['dataset'], 'classes': None},
    ):
        monkeypatch.setattr(ex, 'account', lambda p: real)
        monkeypatch.setattr(identity, 'account', lambda p: {**real, 'dataset': dataset})
        fails(
            lambda: ex.export(run, tmp_path, ('py',)),
            'does not say what its data were',
            'dnas_train',
        )


@pytest.mark.parametrize(
    'given, part',
    [
        (dict(size=8, formats='pt'), "'pt2'"),
        (dict(size=8, mean='0.5'), 'both'),
        (dict(size=8, mean='x', std='1'), '--mean'),
        (dict(size=8, mean='.5,.5,.5', std='1,1,1'), '1 channels'),
        (dict(size=8, mean='.5', std='0'), 'above 0'),
        (dict(size=1), 'halved'),
        (dict(size=-3), 'images'),
    ],
)
def test_mistakes(run, tmp_path, capsys, given, part):
    code, out, err = cli(
        capsys,
        str(run),
        out=str(tmp_path),
        **given if 'formats' in given else {**given, 'formats': 'py'},
    )
    assert (
        code == 2
        and out == ''
        and err.count('\n') == 1
        and err.startswith('dnas_export: ')
        and part in err
    ), err
    assert not list(tmp_path.iterdir())


def test_folders(run, tmp_path, capsys):
    (tmp_path / 'search').mkdir()
    (tmp_path / 'search' / 'run.json').write_text('{"settings": {}, "status": "finished"}')
    (tmp_path / 'half').mkdir()
    (tmp_path / 'half' / 'run.json').write_text('{"task": "retraining", "status": "running"}')
    (tmp_path / 'empty').mkdir()
    for name, part in dict(
        search='dnas_train', half='--resume', empty='holds no run', nowhere='no folder'
    ).items():
        code, out, err = cli(capsys, str(tmp_path / name), size=8)
        assert code == 2 and out == '' and err.count('\n') == 1 and part in err


def test_extra_is_named(monkeypatch, tmp_path):
    monkeypatch.setitem(sys.modules, 'onnxruntime', None)
    import importlib.util

    real = importlib.util.find_spec
    monkeypatch.setattr(
        importlib.util, 'find_spec', lambda n, *a: None if n.startswith('onnx') else real(n, *a)
    )
    fails(
        lambda: ex.export(cell('nb201'), tmp_path), "pip install 'dnas_nb[export]'", 'onnxruntime'
    )
    assert not list(tmp_path.iterdir())


@onnx
def test_an_exporter_of_another_time_is_one_line(monkeypatch):
    "A new onnxscript knows no operator of an old PyTorch: seen with 0.7.2 beside 2.4.1"

    def refuse(*args, **kwargs):
        raise torch.onnx.OnnxExporterError('Failed to export the model to ONNX')

    monkeypatch.setattr(torch.onnx, 'export', refuse)
    fails(
        lambda: ex.onnx_bytes(None, None), torch.__version__, 'onnxscript', 'leave onnx out'
    )


def test_networks_that_stay():
    g = random_arch(toy(), generator(0))
    fails(lambda: ex.plain(SuperNet(toy(), 2, 1)), 'supernet')
    fails(lambda: ex.plain(batch_stats(subnet(toy(), g, 2, 1))), 'dnas_train')
    odd = replace(
        toy(),
        plan=replace(
            toy().plan,
            ops={
                k: (lambda C, s, affine=False, f=f: nn.Sequential(f(C, s, affine)))
                for k, f in toy().plan.ops.items()
            },
        ),
    )
    fails(
        lambda: ex.to_python(ex.plain(subnet(odd, from_ops(toy(), ['nor_conv_3x3'] * 3), 2, 1))),
        'top level',
    )


def test_a_difference_is_no_success(monkeypatch, tmp_path):
    monkeypatch.setitem(ex.RUNNERS, 'py', lambda p: lambda x: torch.zeros(len(x), 10))
    fails(lambda: ex.export(cell('nb201'), tmp_path, ('py',)), 'differs by')


def test_command(tmp_path):
    "The command itself, in a process of its own."
    (tmp_path / 'dnas_export').write_text(
        'from dnas_nb.running.cli import dnas_export\nif __name__ == "__main__": dnas_export()\n'
    )
    done = warm.run(
        [sys.executable, tmp_path / 'dnas_export', str(tmp_path / 'nowhere')],
        capture_output=True,
        text=True,
        env={**os.environ, 'PYTHONPATH': str(ROOT)},
    )
    assert (
        done.returncode == 2
        and done.stdout == ''
        and done.stderr.count('\n') == 1
        and 'dnas_train' in done.stderr
    )
