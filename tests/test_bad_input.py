"Mistakes about architectures, spaces and sizes: one line that names the place."

import json
from dataclasses import replace

import pytest
import torch

from dnas_nb.running.cli import dnas_search, dnas_train
from conftest import fails
from dnas_nb.core import UserError, write_atomic
from dnas_nb.running.experiment import settings
from dnas_nb.dialects import parse, published
from dnas_nb.genotype import from_json, from_ops, to_json, to_str
from dnas_nb.space import Cell, Space, Stack, darts, nb201, toy
from dnas_nb.spaces import all_spaces
from dnas_nb.supernet import SuperNet, subnet

NB201 = '|skip_connect~0|+|none~0|none~1|+|none~0|none~1|nor_conv_3x3~2|'


def line(f, *words):
    "`f` raises a `UserError` of one line with every word"
    with pytest.raises(UserError) as e:
        f()
    text = str(e.value)
    assert '\n' not in text and len(text) < 400, text
    for w in words:
        assert w in text, text


def command(capsys, f, *words, **given):
    "The command ends with code 2 and one line with every word"
    with pytest.raises(SystemExit) as e:
        f(**given)
    said = capsys.readouterr().err.strip().splitlines()
    assert e.value.code == 2 and not any('Traceback' in l for l in said)
    for w in words:
        assert w in said[-1], said[-1]


def test_genotype_of_another_space():
    g = published('DARTS_V2')
    line(lambda: subnet(nb201(), g), "'darts'", "'nb201'")
    line(lambda: subnet(toy(), parse(NB201, nb201())), "'nb201'", "'toy'")
    line(lambda: from_json(to_json(g), nb201()), "'darts'", "'nb201'")
    line(lambda: parse(NB201, darts()), 'character 1', "'n'")
    line(lambda: parse(to_str(g), nb201()), 'character 1')


def test_genotype_of_another_space_in_the_command(capsys, tmp_path):
    (tmp_path / 'genotype.json').write_text(to_json(published('DARTS_V2')))
    command(
        capsys, dnas_train, "'darts' does not fit space 'nb201'", arch=str(tmp_path), space='nb201'
    )
    command(capsys, dnas_train, 'character 1', arch=NB201, space='darts')
    (tmp_path / 'genotype.json').write_text('{"space": "nb202", "cells": {}}')
    command(capsys, dnas_train, "'nb201'", arch=str(tmp_path / 'genotype.json'))
    (tmp_path / 'genotype.json').write_text('not JSON')
    command(capsys, dnas_train, 'JSON', arch=str(tmp_path))
    (tmp_path / 'genotype.json').write_bytes(bytes(range(256)))
    command(capsys, dnas_train, 'no text', arch=str(tmp_path))
    command(capsys, dnas_train, 'give a run folder', arch=str(tmp_path / 'none'))
    command(capsys, dnas_train, 'holds no genotype.json', arch=str(tmp_path.parent))


@pytest.mark.parametrize(
    'rows,words',
    [
        ([[0, 5, 'none']], ("cell 'cell'", '0→5', '0→1')),
        ([[4, 5, 'none']], ('4→5',)),
        ([[3, 1, 'none']], ('src < dst',)),
        ([[-1, 1, 'none']], ('src < dst',)),
        ([[0, 1, 'conv']], ("'conv'", '0→1')),
        ([[0, 1]], ('[src, dst',)),
        ([['0', 1, 'none']], ('[src, dst',)),
        ([[0, 1, 'none'], [0, 1, 'none']], ('twice',)),
    ],
)
def test_edge_or_node_that_does_not_exist(rows, words):
    line(lambda: from_json(json.dumps(dict(space='nb201', cells=dict(cell=rows))), nb201()), *words)


def test_edge_or_node_in_a_text():
    line(
        lambda: parse(NB201.replace('~2', '~3'), nb201()),
        f"character {NB201.index('~2') + 2}",
        'node 3',
        '0, 1, 2',
    )
    line(
        lambda: parse(NB201 + '+|none~0|none~1|none~2|none~3|', nb201()),
        f'character {len(NB201) + 1}',
        'the end',
    )
    text = "Genotype(normal=[('sep_conv_3x3', 0), ('sep_conv_3x3', 7)]*4, normal_concat=range(2, 6), reduce=[], reduce_concat=range(2, 6))"
    line(lambda: parse(text, darts()), 'character')
    line(lambda: from_ops(nb201(), ['none'] * 5), '6 edges', '5 operations')


@pytest.mark.parametrize(
    'space,sizes,words',
    [
        (nb201(), dict(C=6, partial=4), ("cell 'cell'", '6 channels', '4 parts')),
        (darts(), dict(C=6, partial=4), ("cell 'normal'", '6 channels', '4 parts')),
        (all_spaces()['size'](), dict(C=12), ('12', 'multiple of 8')),
    ],
)
def test_channels_that_do_not_divide(space, sizes, words):
    line(lambda: SuperNet(space, n=3 if space.cells[0].n_in > 1 else 1, **sizes), *words)


def test_channels_in_the_command(capsys, tmp_path):
    command(
        capsys,
        dnas_search,
        "cell 'cell'",
        '6 channels',
        '4 parts',
        method='pc-darts',
        space='toy',
        images=160,
        channels=6,
        epochs=1,
        device='cpu',
        out=str(tmp_path / 'r'),
    )
    command(
        capsys,
        dnas_search,
        '12',
        'multiple of 8',
        space='size',
        images=160,
        channels=12,
        epochs=1,
        device='cpu',
        out=str(tmp_path / 's'),
    )


@pytest.mark.parametrize('space', ['nb201', 'darts'])
def test_images_too_small(space):
    line(
        lambda: SuperNet(all_spaces()[space](), 4, 3 if space == 'darts' else 1)(
            torch.zeros(2, 3, 3, 3)
        ),
        '3×3',
        'halved 2 times',
        '4×4',
    )


def test_images_too_small_in_the_command(capsys, tmp_path):
    small = dict(images=160, size=2, epochs=1, channels=4, device='cpu')
    command(
        capsys, dnas_search, 'halved', 'at least', space='darts', out=str(tmp_path / 'r'), **small
    )
    command(
        capsys, dnas_train, '2×2', 'at least 4×4', arch='DARTS_V2', out=str(tmp_path / 't'), **small
    )


def test_no_path_through_the_space():
    none, conv = ('none',), ('none', 'nor_conv_3x3')
    line(
        lambda: Cell('dead', 1, [(0, 1), (1, 2)], [conv, none]), "cell 'dead'", 'node 2', 'no path'
    )
    line(lambda: Cell('gap', 1, [(0, 2)], [conv]), "cell 'gap'", 'node 1')
    line(lambda: Cell('back', 1, [(0, 1), (2, 1)], [conv, conv]), '2→1')
    line(lambda: replace(toy().cells[0], ops=(none,) * 3), "cell 'cell'", 'node 2', 'no path')
    line(
        lambda: Space(
            'odd',
            (Cell('a', 1, [(0, 1)], [('nor_conv',)]),),
            Stack(toy().plan.ops, lambda n: ('a',)),
        ),
        "'nor_conv'",
        '0→1',
        "'odd'",
    )


def test_too_few_cells(capsys, tmp_path):
    command(
        capsys,
        dnas_search,
        'n=2',
        'give 3 or more',
        space='darts',
        cells=2,
        images=160,
        epochs=1,
        device='cpu',
        out=str(tmp_path / 'r'),
    )


def test_every_space_has_defaults_that_build():
    for name in all_spaces():
        settings(space=name)
    line(lambda: settings(space='nb202'), "'nb201'")


@pytest.mark.parametrize('method', ['danas', 'random', 'darts'])
def test_every_rule_keeps_two_inputs(method, tmp_path):
    "In DARTS' cells no rule answers with `none` or with more than two inputs of a node"
    from dnas_nb.running.experiment import run

    g = run(
        tmp_path / 'r',
        method=method,
        space='s3',
        images=96,
        channels=2,
        cells=3,
        epochs=1,
        batch=32,
        device='cpu',
        report=False,
    ).genotype
    for _, edges in g.cells:
        assert [sum(j == n for _, j, _ in edges) for n in range(2, 6)] == [
            2
        ] * 4 and 'none' not in {op for *_, op in edges}
    assert parse(to_str(g), all_spaces()['s3']()) == g


def test_name_that_no_file_can_have(tmp_path):
    "NUL in a path is one line, whoever writes"
    fails(lambda: write_atomic(f'{tmp_path}/a\0b', 'x'), 'cannot write')
    fails(lambda: write_atomic(f'{tmp_path}/a\0b/c', 'x'), 'cannot write')
