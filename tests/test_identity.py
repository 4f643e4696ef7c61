"A run knows its data, its method and its space: what differs is refused in one line, and nothing is taken for the digits."

import json, os, shutil, sys
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
import numpy as np
import pytest
import torch
from conftest import ROOT, fails
import warm
from dnas_nb.running import retrain as alone
from dnas_nb.data import Part
from dnas_nb.sources import SOURCES, Source, from_tensors, load_data
from dnas_nb.running.evaluate import RECIPES, called, load_arch, train_arch
from dnas_nb.running.experiment import run
from dnas_nb.running.referee import from_table
from dnas_nb.running.retrain import retrain
from dnas_nb.dialects import parse
from dnas_nb.genotype import from_ops
from dnas_nb.methods import METHODS
from dnas_nb.ops import OPS, relu_conv_bn
from dnas_nb.space import Space, nb201, toy
from dnas_nb.running.study import study

TINY = dict(space='toy', epochs=2, batch=10, channels=2, device='cpu', report=False)
ONE = dict(epochs=1, batch=16, device='cpu')
RNG = np.random.default_rng(0)
X = RNG.integers(0, 256, (80, 3, 8, 8), dtype=np.uint8)
Y = (X[:, 0].mean((1, 2)) > np.median(X[:, 0].mean((1, 2)))).astype(
    int
)  # which half is brighter in red
CHANGES = dict(
    labels=dict(y=1 - Y),
    classes=dict(y=np.arange(80) % 3),
    names=dict(class_names=['cat', 'cow']),
    order=dict(x=X[::-1], y=Y[::-1]),
    pixel=dict(x=X ^ (np.arange(X.size).reshape(X.shape) == 7)),
)
WORDS = dict(
    labels=['fingerprint'],
    classes=['classes: 2 there, 3 now'],
    names=['class names: cat, dog there, cat, cow now'],
    order=['fingerprint'],
    pixel=['fingerprint'],
)


def mine(**more):
    "The same split every time, or one that differs."
    d = {**dict(x=X, y=Y, classes=('cat', 'dog'), name='mine'), **more}
    return from_tensors(d.pop('x').copy(), d.pop('y').copy(), **d)


def changed(what):
    d = {k: v for k, v in CHANGES[what].items()}
    names = d.pop('class_names', ('cat', 'dog', 'owl')[: int(d.get('y', Y).max()) + 1])
    return mine(**d, classes=tuple(names))


def write(path, **more):
    np.savez(path, **{**dict(x=X, y=Y, class_names=['cat', 'dog']), **more})
    return path


def stop(out, at=1, **given):
    "A search that was killed after one epoch"

    class Killed(BaseException):
        pass

    def kill(state, s):
        if state.epoch == at:
            raise Killed

    try:
        run(out, on_epoch=kill, **{**TINY, **given})
    except Killed:
        return out


def account(out):
    return json.loads((Path(out) / 'run.json').read_text())


def process(code, cwd, *args):
    "A line of errors, or what is printed, of another process"
    env = {**os.environ, 'PYTHONPATH': str(ROOT)}
    done = warm.run(
        [sys.executable, '-c', code, *map(str, args)],
        capture_output=True,
        text=True,
        cwd=cwd,
        env=env,
    )
    return done.stdout + done.stderr


def test_own_split_from_search_to_onnx(tmp_path):
    "One split: searched, resumed, retrained, exported, and read by another runtime from raw pixels; a changed one is refused at each step"
    s = tmp_path / 'search'
    stop(s, split=mine())
    for what in CHANGES:
        fails(
            lambda: run(s, resume=True, split=changed(what), **TINY),
            *WORDS[what],
            'the same split=',
        )
    fails(lambda: run(s, resume=True, **TINY), "'mine'", 'split=')  # never the digits
    straight = run(tmp_path / 'straight', split=mine(), **TINY)
    found = run(s, resume=True, split=mine(), **TINY)
    assert (
        found.found['test_acc'] == straight.found['test_acc']
        and found.genotype == straight.genotype
    )
    said = account(s)
    assert (
        said['data'] == 'mine'
        and said['settings']['data'] == 'mine'
        and 'rank' not in str(said['result']['table'])
    )
    assert (
        said['dataset']['classes'] == ['cat', 'dog']
        and said['dataset']['fingerprint'] == mine().about.fingerprint
    )

    for what in CHANGES:
        fails(
            lambda: retrain(s, out=tmp_path / 'no', split=changed(what), **ONE),
            *WORDS[what],
            'split=',
        )
    fails(
        lambda: retrain(s, out=tmp_path / 'no', **ONE),
        "'mine'",
        'given by the caller',
        'split=',
        '--data',
    )
    assert not (tmp_path / 'no').exists()
    t = retrain(s, out=tmp_path / 'alone', split=mine(), **{**ONE, 'epochs': 3})
    for what in CHANGES:
        fails(
            lambda: retrain(
                s, out=tmp_path / 'alone', resume=True, split=changed(what), **{**ONE, 'epochs': 3}
            ),
            *WORDS[what],
        )
    again = retrain(s, out=tmp_path / 'alone', resume=True, split=mine(), **{**ONE, 'epochs': 3})
    assert (
        again.test_acc == t.test_acc
        and account(tmp_path / 'alone')['result']['test_acc'] == t.test_acc
    )

    from dnas_nb.running import export

    pytest.importorskip('onnxruntime')
    onnx = pytest.importorskip('onnx')
    pytest.importorskip('onnxscript')
    for what in CHANGES:
        fails(
            lambda: export.export(tmp_path / 'alone', tmp_path / 'no', split=changed(what)),
            *WORDS[what],
        )
    about = export.export(tmp_path / 'alone', tmp_path / 'out', split=mine())
    assert set(about['test_accuracy'].values()) == {t.test_acc}
    raw = mine().test
    logits = export.onnx_runner(tmp_path / 'out' / 'net.onnx')(raw.x)
    assert raw.x.dtype == torch.uint8 and (
        logits.argmax(1) == raw.y
    ).float().mean().item() == pytest.approx(t.test_acc)
    told = {
        p.key: json.loads(p.value) for p in onnx.load(tmp_path / 'out' / 'net.onnx').metadata_props
    }
    assert (
        told['classes'] == ['cat', 'dog'] and told['size'] == [8, 8] and told['pixels'] == 'uint8'
    )
    assert told['mean'] == list(mine().about.mean) and told['std'] == list(mine().about.std)


@pytest.fixture(scope='module')
def filed(tmp_path_factory):
    "A search on a file that stopped, one that finished, and a retraining that stopped."
    home = tmp_path_factory.mktemp('filed')
    data = str(write(home / 'mine.npz'))
    stop(home / 'stopped', data=data)
    run(home / 'done', data=data, **TINY)

    class Killed(BaseException):
        pass

    def kill(row, r):
        raise Killed

    with pytest.raises(Killed):
        retrain(home / 'done', out=home / 'alone', on_epoch=kill, **{**ONE, 'epochs': 2})
    return home


@pytest.fixture
def home(filed, tmp_path):
    "A copy in which the data lie where they lay: at the path that is stored."
    yield filed
    write(filed / 'mine.npz')


@pytest.mark.parametrize('what', CHANGES)
def test_a_changed_file_is_refused(home, tmp_path, what):
    write(
        home / 'mine.npz',
        **{k: v for k, v in CHANGES[what].items()}
        | ({'class_names': ['a', 'b', 'c']} if what == 'classes' else {}),
    )
    data, words = str(home / 'mine.npz'), (
        ['fingerprint'] if what != 'classes' else ['classes: 2 there, 3 now']
    )
    fails(lambda: run(home / 'stopped', resume=True, data=data, **TINY), *words)
    fails(lambda: retrain(home / 'done', out=tmp_path / 'r', **ONE), *words, 'split=', '--data')
    fails(lambda: retrain(home / 'done/genotype.json', out=tmp_path / 'r', **ONE), *words)
    fails(
        lambda: retrain(home / 'done', out=tmp_path / 'r', images=40, **ONE), *words
    )  # other pictures of the changed file
    fails(
        lambda: retrain(home / 'done', out=home / 'alone', resume=True, **{**ONE, 'epochs': 2}),
        *words,
    )
    fails(
        lambda: retrain(
            home / 'done', data=data, out=home / 'alone', resume=True, **{**ONE, 'epochs': 2}
        ),
        *words,
    )
    assert not (tmp_path / 'r').exists()


def test_other_data_that_are_named_are_taken(home, tmp_path, capsys):
    "Saying otherwise: another file, or the same one, and then a note"
    write(tmp_path / 'other.npz', y=1 - Y)
    assert (
        retrain(home / 'done', data=tmp_path / 'other.npz', out=tmp_path / 'a', **ONE).data
        == 'other'
    )
    assert 'note' not in capsys.readouterr().err
    write(home / 'mine.npz', y=1 - Y)
    assert (
        retrain(home / 'done', data=str(home / 'mine.npz'), out=tmp_path / 'b', **ONE).data
        == 'mine'
    )
    note = capsys.readouterr().err.strip().splitlines()
    assert len(note) == 1 and 'searched on other data' in note[0] and 'fingerprint' in note[0]
    named = mine(y=1 - Y, name='second')
    assert retrain(home / 'done', split=named, out=tmp_path / 'c', **ONE).data == 'second'


def test_a_relative_path_works_from_any_folder(tmp_path, monkeypatch):
    (tmp_path / 'a').mkdir()
    (tmp_path / 'b').mkdir()
    write(tmp_path / 'a' / 'mine.npz')
    monkeypatch.chdir(tmp_path / 'a')
    stop('r', data='mine.npz')
    assert account('r')['dataset']['origin']['name'] == str(tmp_path / 'a' / 'mine.npz')
    monkeypatch.chdir(tmp_path / 'b')
    run(tmp_path / 'a' / 'r', resume=True, data='mine.npz', **TINY)  # the same words
    retrain(tmp_path / 'a' / 'r', out='t', **ONE)
    assert (
        account('t')['dataset']['fingerprint']
        == load_data(tmp_path / 'a' / 'mine.npz').about.fingerprint
    )
    from dnas_nb.running import export

    export.export('t', 'out', ('py',))


def test_a_file_that_moved(tmp_path, monkeypatch):
    write(tmp_path / 'mine.npz')
    stop(tmp_path / 'r', data=str(tmp_path / 'mine.npz'))
    (tmp_path / 'new').mkdir()
    (tmp_path / 'mine.npz').rename(tmp_path / 'new' / 'mine.npz')
    new = str(tmp_path / 'new' / 'mine.npz')
    fails(
        lambda: run(tmp_path / 'r', resume=True, data=str(tmp_path / 'mine.npz'), **TINY),
        'no file',
        'mine.npz',
    )
    run(tmp_path / 'r', resume=True, data=new, **TINY)
    shutil.rmtree(tmp_path / 'new')
    fails(lambda: retrain(tmp_path / 'r', out=tmp_path / 't', **ONE), 'no longer at', new, '--data')
    write(tmp_path / 'mine.npz')
    assert (
        retrain(tmp_path / 'r', data=str(tmp_path / 'mine.npz'), out=tmp_path / 't', **ONE).data
        == 'mine'
    )


def test_another_process_asks_for_the_split(tmp_path):
    run(tmp_path / 'r', split=mine(), **TINY)
    code = 'import sys; from dnas_nb.running.cli import dnas_train; dnas_train(sys.argv[1], out=sys.argv[2], epochs=1, device="cpu")'
    said = process(code, tmp_path, tmp_path / 'r', tmp_path / 't').strip().splitlines()
    assert (
        len(said) == 1
        and 'given by the caller' in said[0]
        and '--data' in said[0]
        and not (tmp_path / 't').exists()
    )


def test_a_retraining_can_be_trained_again(filed, tmp_path):
    "Its folder says what its data were too"
    t = retrain(filed / 'done', out=tmp_path / 'a', **ONE)
    assert retrain(tmp_path / 'a', out=tmp_path / 'b', **ONE).test_acc == t.test_acc


def test_runs_of_earlier_versions_say_so(tmp_path):
    run(tmp_path / 'r', data='digits', images=80, **{**TINY, 'epochs': 1})
    old = {k: v for k, v in account(tmp_path / 'r').items() if k != 'dataset'}
    (tmp_path / 'r' / 'run.json').write_text(json.dumps(old))
    fails(
        lambda: retrain(tmp_path / 'r', out=tmp_path / 't', **ONE),
        'does not say what its data were',
        '--data',
    )
    (tmp_path / 'r' / 'run.json').write_text(json.dumps({**old, 'status': 'running'}))
    fails(
        lambda: run(tmp_path / 'r', resume=True, data='digits', images=80, **{**TINY, 'epochs': 1}),
        'does not say what its data were',
    )


@pytest.mark.parametrize(
    'dataset',
    [None, 3, [], {}, dict(name='mine'), 'shapes', 'classes', 'mean', 'origin', 'fingerprint'],
)
def test_a_run_whose_data_cannot_be_read(tmp_path, dataset):
    "A run.json that somebody edited: one line"
    from dnas_nb.running.identity import about

    (tmp_path / 'r').mkdir()
    said = {**about(mine()), dataset: 5} if isinstance(dataset, str) else dataset
    (tmp_path / 'r' / 'run.json').write_text(
        json.dumps(dict(dataset=said, own=dataset, settings=dict(seed=0)))
    )
    (tmp_path / 'r' / 'genotype.json').write_text(
        json.dumps(
            dict(space='toy', cells=dict(cell=[[0, 1, 'none'], [0, 2, 'none'], [1, 2, 'none']]))
        )
    )
    for split in (None, mine()):
        fails(
            lambda: retrain(tmp_path / 'r', out=tmp_path / 't', split=split, **ONE),
            'does not say what its data were',
        )
    fails(lambda: run(tmp_path / 'r', resume=True, split=mine(), **TINY), str(tmp_path / 'r'))


def test_a_checkpoint_of_other_data(tmp_path):
    "Copied from a run with the same settings"
    stop(tmp_path / 'a', split=mine())
    stop(tmp_path / 'b', split=changed('labels'))
    (tmp_path / 'a' / 'last.pt').write_bytes((tmp_path / 'b' / 'last.pt').read_bytes())
    fails(
        lambda: run(tmp_path / 'a', resume=True, split=mine(), **TINY), 'checkpoint', 'other data'
    )


def test_results_on_other_test_pictures_are_not_averaged():
    "Under one name, with as many pictures"
    from dnas_nb.running.evaluate import seeds_report

    g, test = from_ops(toy(), ['nor_conv_3x3'] * 3), mine().test
    other = replace(mine(), test=Part(255 - test.x, test.y))
    runs = [
        train_arch(
            g, toy(), s, replace(RECIPES['small'], epochs=1, batch=16, C=2), seed=k, device='cpu'
        )
        for k, s in enumerate((mine(), other))
    ]
    same = [replace(t, tested=runs[0].tested, images=runs[0].images) for t in runs]
    assert 'mean ± standard deviation' in seeds_report(same)
    fails(
        lambda: seeds_report([same[0], replace(same[1], tested=runs[1].tested)]),
        'differ in genotype, recipe or data',
    )


def test_only_the_digits_are_ranked_on_the_digits(tmp_path):
    g = from_ops(nb201(), ['nor_conv_3x3'] * 6)
    noise = from_tensors(
        RNG.integers(0, 256, (200, 1, 8, 8), dtype=np.uint8), np.arange(200) % 10, name='digits'
    )
    tables = [
        from_table(g, nb201(), s)
        for s in (load_data('digits', 200), load_data('digits', 200, seed=1), noise, mine())
    ]
    ranked = [isinstance(t, list) and any(row['dataset'] == 'digits' for row in t) for t in tables]
    assert ranked == [True, True, False, False]
    run(tmp_path / 'liar', split=noise, **{**TINY, 'space': 'nb201', 'epochs': 1})
    assert 'digits201' not in str(account(tmp_path / 'liar')['result']['table'])
    assert account(tmp_path / 'liar')['dataset']['origin'] is None
    fails(
        lambda: retrain(tmp_path / 'liar', out=tmp_path / 't', **ONE),
        "'digits'",
        'given by the caller',
    )


def test_a_split_of_a_named_set_is_found_again(tmp_path):
    "Given as a value, but `load_data` made it: it can be made again, and settings say the same"
    run(tmp_path / 'r', split=load_data('digits', 80, 6, 3), **TINY)
    s = account(tmp_path / 'r')['settings']
    assert (s['data'], s['images'], s['size']) == ('digits', 80, 6)
    retrain(tmp_path / 'r', out=tmp_path / 't', **ONE)
    assert (
        account(tmp_path / 't')['settings']['pixels']
        == account(tmp_path / 'r')['dataset']['fingerprint']
    )


@pytest.mark.parametrize(
    'given, words',
    [
        (dict(split=5), ('split must be `Data`', 'int')),
        (dict(split=lambda: 3), ('not a function',)),
        (dict(split=mine(), data='digits'), ('split= or data=', "'mine'")),
        (dict(split=mine(), images=40), ('split= or images=',)),
        (dict(split=mine(), size=4), ('split= or size=',)),
        (dict(split=mine(), layout='NHWC'), ('split= or layout=',)),
    ],
)
def test_a_split_and_something_else(tmp_path, given, words):
    fails(lambda: run(tmp_path / 'r', **{**TINY, **given}), *words)
    assert not (tmp_path / 'r').exists()


def test_a_split_with_any_name(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    run(split=mine(name='../my data/<x>: é'), **{**TINY, 'epochs': 1})
    (out,) = Path('runs').iterdir()
    assert (
        set(out.name) <= set('abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789.-_+')
        and account(out)['data'] == '../my data/<x>: é'
    )


def test_a_study_refuses_changed_data(tmp_path):
    data = str(write(tmp_path / 'mine.npz'))
    what = dict(method='darts', seed=[0], data=data, space='toy', epochs=1, batch=10, channels=2)
    assert study(what, tmp_path / 's', workers=1, device='cpu').status.tolist() == ['finished']
    before = (tmp_path / 's' / 'study.json').read_bytes()
    write(tmp_path / 'mine.npz', y=1 - Y)
    for seeds in ([0], [0, 1]):  # also when nothing is left to do
        fails(
            lambda: study({**what, 'seed': seeds}, tmp_path / 's', workers=1, device='cpu'),
            'mine.npz',
            'fingerprint',
            '--data',
        )
    assert (tmp_path / 's' / 'study.json').read_bytes() == before
    write(tmp_path / 'mine.npz')
    assert len(study(what, tmp_path / 's', workers=1, device='cpu')) == 1
    (tmp_path / 's' / 'data.json').unlink()
    fails(
        lambda: study(what, tmp_path / 's', workers=1, device='cpu'),
        'does not say what its data were',
    )


# methods and spaces of the caller's


def wide(C, stride, affine=False):
    return relu_conv_bn(C, C, 5, stride, affine)


def own_space():
    return Space(
        'wider',
        [replace(toy()['cell'], ops=(('none', 'skip_connect', 'wide'),) * 3)],
        replace(toy().plan, ops=OPS | dict(wide=wide)),
    )


def own_method(**more):
    return replace(
        METHODS['darts'], name='eager', **{**dict(every=2, stop=lambda history: False), **more}
    )


@pytest.fixture
def forgotten(monkeypatch):
    "Names that this process has learned are unlearned, as in another process."
    from dnas_nb.spaces import FURTHER

    def forget():
        for table, name in ((METHODS, 'eager'), (FURTHER, 'wider')):
            table.pop(name, None)

    yield forget
    forget()


def test_own_method_and_space_from_search_to_export(tmp_path, monkeypatch, forgotten):
    monkeypatch.chdir(tmp_path)
    own = dict(method=own_method(), space=own_space(), data='digits', images=80)
    run(**{**TINY, **own})
    (out,) = Path('runs').iterdir()
    assert out.name == 'eager-wider-digits-s0'
    texts = [p.read_text() for p in out.iterdir() if p.suffix in ('.json', '.csv', '.html')]
    assert texts and not any(' at 0x' in t or '<function' in t for t in texts)
    assert (account(out)['settings']['method'], account(out)['own']['space']['ops']['wide']) == (
        'eager',
        'wide',
    )
    stop('stopped', **own)
    forgotten()
    asks = {**TINY, **own, 'method': 'eager', 'space': 'wider'}
    fails(lambda: run('stopped', resume=True, **asks), "method 'eager'", 'give the value again')
    fails(
        lambda: run('stopped', resume=True, **{**TINY, **own, 'method': own_method(every=3)}),
        'other parts',
    )
    a, b = run('stopped', resume=True, **{**TINY, **own}), account(out)
    assert a.found['arch'] == b['result']['arch']
    forgotten()
    fails(lambda: retrain(out, out='t', **ONE), "space 'wider'", 'space=')
    retrain(out, space=own_space(), out='t', **ONE)
    forgotten()
    from dnas_nb.running import export

    fails(lambda: load_arch('t'), "space 'wider'", 'space=')
    fails(lambda: export.export('t', 'out', ('py',)), "space 'wider'", 'space=')
    export.export('t', 'out', ('pt2',), space=own_space())


def test_own_method_with_a_known_space_needs_no_value_to_retrain(tmp_path, forgotten):
    run(tmp_path / 'r', method=own_method(), data='digits', images=80, **{**TINY, 'epochs': 1})
    forgotten()
    retrain(tmp_path / 'r', out=tmp_path / 't', **ONE)


@pytest.mark.parametrize(
    'given, words',
    [
        (dict(method=replace(METHODS['danas'], every=3)), ("'danas'", 'a name of its own')),
        (dict(space=replace(toy(), plan=own_space().plan)), ("'toy'", 'a name of its own')),
        (dict(space=toy), ('a name or a Space', 'function')),
        (dict(method=3), ('a name or a Method', 'int')),
        (dict(method=replace(METHODS['danas'], name='')), ('needs a name',)),
        (dict(method=replace(METHODS['danas'], name=None)), ('needs a name',)),
    ],
)
def test_values_that_mean_something_else(tmp_path, given, words):
    fails(lambda: run(tmp_path / 'r', **{**TINY, **given}), *words)
    fails(lambda: study({'method': 'darts', 'space': 'toy', **given}, tmp_path / 's'), *words)
    assert not (tmp_path / 'r').exists() and not (tmp_path / 's').exists()


def test_a_study_refuses_what_its_workers_would_not_find(tmp_path, monkeypatch, forgotten):
    for given, word in (
        (dict(method=[own_method()]), "method 'eager'"),
        (dict(method='eager'), "method 'eager'"),
        (dict(method='darts', space=own_space()), "space 'wider'"),
    ):
        fails(lambda: study({'seed': [0], **given}, tmp_path / 's'), word, 'workers')
    monkeypatch.setitem(SOURCES, 'late', SOURCES['digits'])
    fails(
        lambda: study(dict(method='darts', data='late'), tmp_path / 's'), "data 'late'", 'workers'
    )
    assert not (tmp_path / 's').exists()


def test_a_row_of_the_package_as_a_value_is_its_name(tmp_path):
    a = run(
        tmp_path / 'a',
        method=METHODS['gdas'],
        data='digits',
        images=80,
        **{**TINY, 'space': toy(), 'epochs': 1},
    )
    assert account(tmp_path / 'a')['own'] == {} and a.settings.method == 'gdas'


def test_a_trained_space_with_a_name_of_the_package(tmp_path):
    odd = replace(toy(), plan=replace(toy().plan, ops={**toy().plan.ops, 'skip_connect': wide}))
    g = from_ops(toy(), ['skip_connect'] * 3)
    fails(
        lambda: train_arch(
            g, odd, mine(), replace(RECIPES['small'], epochs=1), out=tmp_path / 't', device='cpu'
        ),
        "'toy'",
        'a name of its own',
    )


def test_rectified_spaces_are_found_by_name(tmp_path):
    "The space of a row that changes it is none of the command line's, and its network leaves all the same"
    from dnas_nb.running import export

    run(tmp_path / 'r', method='fadarts', data='digits', images=80, **{**TINY, 'epochs': 1})
    retrain(tmp_path / 'r', out=tmp_path / 't', **ONE)
    assert account(tmp_path / 't')['space'] == 'toy_relu' and account(tmp_path / 't')['own'] == {}
    export.export(tmp_path / 't', tmp_path / 'out', ('pt2',))


# recipes

CELL = '|nor_conv_3x3~0|+|nor_conv_3x3~0|nor_conv_3x3~1|+|skip_connect~0|nor_conv_3x3~1|nor_conv_3x3~2|'


@pytest.fixture
def told(monkeypatch):
    "A CIFAR-10 of 60 noisy pictures, and what retraining would train on instead of training."
    x, y = (
        torch.tensor(RNG.integers(0, 256, (90, 3, 32, 32), dtype=np.uint8)),
        torch.arange(90) % 10,
    )
    fake = Source(
        'cifar10',
        Part(x[:60], y[:60]),
        tuple(f'class {k}' for k in range(10)),
        Part(x[60:], y[60:]),
        None,
        True,
        4,
        dict(name='cifar10'),
    )
    monkeypatch.setitem(SOURCES, 'cifar10', lambda: fake)
    seen = []
    monkeypatch.setattr(
        alone, 'train_arch', lambda g, s, split, r, *a, **kw: seen.append((split, called(r, split)))
    )
    return seen


def shape(split):
    return len(split.train) + len(split.valid), *split.train.x.shape[2:]


def test_a_published_recipe_takes_the_data_as_they_are(told, tmp_path):
    run(
        tmp_path / 'r',
        data='cifar10',
        images=40,
        size=16,
        **{**TINY, 'space': 'nb201', 'epochs': 1},
    )
    for arch in (CELL, tmp_path / 'r', tmp_path / 'r' / 'genotype.json'):
        retrain(arch, data='cifar10', preset='nb201')
        retrain(arch, data='cifar10', preset='darts-cifar')
    retrain(tmp_path / 'r', preset='nb201')
    assert {shape(s) for s, _ in told} == {(60, 32, 32)}
    told.clear()
    retrain(tmp_path / 'r')  # ours follows the search
    retrain(tmp_path / 'r', data='cifar10')
    assert [shape(s) for s, _ in told] == [(40, 16, 16)] * 2
    told.clear()
    retrain(tmp_path / 'r', preset='nb201', size=16, images=40, epochs=3)
    assert (
        shape(told[0][0]) == (40, 16, 16)
        and told[0][1]
        == RECIPES['nb201'].source + '; changed: epochs 3, 16 × 16 pixels, 40 pictures'
    )


@pytest.mark.parametrize(
    'preset, given, data, said',
    [
        ('nb201', {}, ('cifar10', 50_000, 32), ''),
        ('nb201', {}, ('cifar100', 50_000, 32), ''),
        ('darts-imagenet', {}, ('imagenet', 1_281_167, 224), ''),
        ('darts-cifar', {}, ('cifar10', 50_000, 32), ''),
        ('drnas-cifar', {}, ('cifar10', 50_000, 32), ''),
        ('nb201', {}, ('cifar10', 10_000, 16), '16 × 16 pixels, 10,000 pictures'),
        ('nb201', {}, ('digits', 1_253, 8), 'on digits, 8 × 8 pixels, 1,253 pictures'),
        ('darts-cifar', {}, ('cifar100', 50_000, 32), 'on cifar100'),
        ('nb201', dict(epochs=12, lr=0.05), ('cifar10', 50_000, 32), 'epochs 12, lr 0.05'),
        ('drnas-cifar', dict(C=16, bf16=True), ('cifar10', 50_000, 32), 'C 16, bf16 True'),
        ('small', dict(epochs=3), ('digits', 100, 8), ''),
    ],
)
def test_a_recipe_bears_its_name_only_as_published(preset, given, data, said):
    about = SimpleNamespace(name=data[0], shape=(3, data[2], data[2]))
    train, valid = range(data[1] // 2), range(data[1] - data[1] // 2)
    split = SimpleNamespace(about=about, train=train, valid=valid)
    r = replace(RECIPES[preset], **given)
    name = called(r, split)
    assert (
        name == r.source + (f'; changed: {said}' if said else '')
        and called(replace(r, source=name), split) == name
    )


def test_every_preset_has_a_source_of_its_own():
    assert len({r.source for r in RECIPES.values()}) == len(RECIPES)


def test_the_changed_name_is_stored_and_printed(tmp_path):
    t = train_arch(
        parse(CELL, nb201()),
        nb201(),
        mine(),
        replace(RECIPES['nb201'], epochs=1, batch=16, C=2, n=1),
        out=tmp_path / 't',
        device='cpu',
    )
    from dnas_nb.running.cli import train_lines

    for text in (t.recipe.source, account(tmp_path / 't')['settings']['source'], train_lines(t)):
        assert 'changed: epochs 1' in text and 'on mine' in text and '8 × 8' in text


# what fell between the parts: found by trying


def test_finished_search_resumed_without_a_folder_is_the_same(tmp_path, monkeypatch):
    "The same command with --resume: no second search, and what is missing is drawn"
    monkeypatch.chdir(tmp_path)
    given = {**TINY, 'epochs': 1}
    first = run(split=mine(), **given)
    (first.out / 'history.csv').unlink()
    again = run(split=mine(), resume=True, **given)
    assert again.out == first.out and (first.out / 'history.csv').is_file()
    assert [p.name for p in (tmp_path / 'runs').iterdir()] == [first.out.name]
    assert run(split=mine(), **given).out != first.out  # without --resume a new one


def test_a_checkpoint_without_its_account_is_not_written_over(tmp_path):
    stop(tmp_path / 'r', split=mine())
    (tmp_path / 'r' / 'run.json').unlink()
    before = (tmp_path / 'r' / 'last.pt').read_bytes()
    for resume in (False, True):
        fails(
            lambda: run(tmp_path / 'r', split=mine(), resume=resume, **TINY),
            'holds a checkpoint',
            'choose another --out',
        )
        fails(
            lambda: retrain(CELL, split=mine(), out=tmp_path / 'r', resume=resume, **ONE),
            'holds a checkpoint',
        )
    assert (tmp_path / 'r' / 'last.pt').read_bytes() == before


def test_the_test_set_does_not_depend_on_the_name_of_the_file(tmp_path):
    a, b = (load_data(write(tmp_path / f'{name}.npz')) for name in ('one', 'two'))
    for part in ('train', 'valid', 'test'):
        assert torch.equal(getattr(a, part).x, getattr(b, part).x)
    assert torch.equal(mine(name='x').test.x, mine(name='y').test.x)


def test_a_loaded_split_of_a_changed_file_is_refused(tmp_path):
    file = write(tmp_path / 'd.npz')
    run(tmp_path / 'r', data=str(file), **{**TINY, 'epochs': 1})
    write(file, y=1 - Y)
    fails(
        lambda: retrain(tmp_path / 'r', split=load_data(file), out=tmp_path / 't', **ONE),
        'other data',
    )


def test_a_wrong_path_is_not_replaced(tmp_path, monkeypatch):
    "Only a path that was given from another folder is looked for where the run knew it"
    (tmp_path / 'sub').mkdir()
    file = write(tmp_path / 'sub' / 'd.npz')
    run(tmp_path / 'r', data=str(file), **{**TINY, 'epochs': 1})
    for wrong in ('/nowhere/d.npz', 'other/d.npz'):
        fails(lambda: retrain(tmp_path / 'r', data=wrong, out=tmp_path / 't', **ONE), 'd.npz')
    monkeypatch.chdir(tmp_path / 'r')
    assert retrain(tmp_path / 'r', data='sub/d.npz', out=tmp_path / 't', **ONE).images


def test_arguments_that_mean_nothing(tmp_path):
    run(tmp_path / 'r', split=mine(), **{**TINY, 'epochs': 1})
    fails(
        lambda: retrain(tmp_path / 'r', split=mine(), layout='NHWC', out=tmp_path / 't', **ONE),
        'layout=',
    )
    fails(lambda: retrain(tmp_path / 'r', layout='garbage', out=tmp_path / 't', **ONE), 'layout=')
    fails(lambda: retrain(CELL, split=mine(), seed='x', out=tmp_path / 't', **ONE), 'seed')
    fails(lambda: retrain(CELL, split=mine(), foo=3, out=tmp_path / 't', **ONE), "'foo'")
    fails(lambda: run(tmp_path / 'q', foo=3, **TINY), "'foo'")
    fails(lambda: run(tmp_path / 'q', data='a\0.npz', **TINY), 'there is no file')
    for name in (5, None, ' '):
        fails(lambda: mine(name=name), 'name must be a text')


def test_finished_run_whose_file_is_gone(tmp_path):
    "It lacks nothing that only the data could give"
    file, given = write(tmp_path / 'd.npz'), {**TINY, 'epochs': 1}
    run(tmp_path / 'r', data=str(file), **given)
    file.unlink()
    (tmp_path / 'r' / 'history.csv').unlink()
    run(tmp_path / 'r', data=str(file), resume=True, **given)
    assert (tmp_path / 'r' / 'history.csv').is_file()


def test_a_study_refuses_runs_that_were_made_on_other_contents(tmp_path):
    "The file was another one for a while, and is the first again"
    from dnas_nb.running.study import study

    file = write(tmp_path / 'd.npz')
    what = dict(
        method='darts',
        seed=[0, 1],
        data=str(file),
        **{
            k: v
            for k, v in {**TINY, 'epochs': 1}.items()
            if k not in ('device', 'report', 'method')
        },
    )
    study({**what, 'seed': [0]}, tmp_path / 's', workers=1, device='cpu')
    name = next(p.name for p in (tmp_path / 's').iterdir() if p.is_dir())
    write(file, y=1 - Y)
    run(tmp_path / 'other', data=str(file), **{**TINY, 'epochs': 1, 'method': 'darts', 'seed': 1})
    write(file)
    rows = json.loads((tmp_path / 's' / 'study.json').read_text())
    from dnas_nb.running.study import plan

    second = next(n for n in plan(what) if n != name)
    rows[second] = dict(settings=plan(what)[second], status='finished', error='')
    (tmp_path / 's' / 'study.json').write_text(json.dumps(rows))
    (tmp_path / 'other').rename(tmp_path / 's' / second)
    fails(
        lambda: study(what, tmp_path / 's', workers=1, device='cpu'),
        'was made on other data',
        second,
        'delete that folder',
    )


def test_export_says_in_the_terminal_what_it_says_in_its_file(tmp_path):
    from dnas_nb.running.export import export_run

    retrain(CELL, split=mine(), out=tmp_path / 't', **ONE)
    said = export_run(tmp_path / 't', None, 'py', None, None, None)
    assert json.loads((tmp_path / 't' / 'export' / 'export.json').read_text())['takes'] in said
