"Operations, spaces and methods of one's own: usable or refused in one line, and nothing existing changes."

from dataclasses import replace
import pytest
from dnas_nb import ops, spaces
from dnas_nb.core import UserError
from dnas_nb.space import SPACES, Space, Stack
from dnas_nb.spaces import all_spaces

FIXED = [
    (ops, 'NB201'),
    (ops, 'DARTS_OPS'),
    (spaces, 'MACRO_OPS'),
    (spaces, 'SHUFFLE_OPS'),
    (spaces, 'NB101_OPS'),
    (spaces, 'SIZE_OPS'),
]


def wide(C, stride, affine=False):
    return ops.relu_conv_bn(C, C, 5, stride, affine)


def names(space):
    return [c.ops for c in space.cells]


def spaces_here() -> dict:
    "Name -> space, of every space whose data is here: a plug-in that another test loaded may need some"
    found = {}
    for name, make in all_spaces().items():
        try:
            found[name] = make()
        except UserError as e:
            assert 'is not here' in str(e), (name, e)
    assert found.keys() >= SPACES.keys()
    return found


def test_a_registered_operation_changes_no_space(monkeypatch):
    "A new entry, and another function under a name that is there"
    before = spaces_here()
    for name in ('wide', *ops.OPS):
        monkeypatch.setitem(ops.OPS, name, wide)
    for k, now in spaces_here().items():
        assert names(now) == names(before[k]), k
        if isinstance(now.plan, Stack):
            assert now.plan.ops == before[k].plan.ops and wide not in now.plan.ops.values(), k


@pytest.mark.parametrize('module, name', FIXED, ids=[n for _, n in FIXED])
def test_the_tables_of_the_spaces_cannot_change(module, name):
    with pytest.raises(TypeError):
        getattr(module, name)['wide'] = wide


def test_a_space_keeps_its_operations():
    "The dict that a space was made of may change later"
    mine = dict(ops.OPS, wide=wide)
    space = Space('mine', SPACES['toy']().cells, replace(SPACES['toy']().plan, ops=mine))
    mine['none'] = mine['later'] = wide
    assert 'later' not in space.plan.ops and space.plan.ops['none'] is ops.none
