"What was given in another type, twice, or with something missing: it is kept whole, or refused in one line."

import errno, math, os, stat

import numpy as np
import pytest
import torch
from conftest import fails
import dnas_nb as nas
from dnas_nb.core import WriteError, counted, finite, save_tensors, write_atomic
from dnas_nb.unpickle import load_tensors


def test_numbers_of_numpy_become_plain():
    "With the same value"
    for given in (np.float64(0.1), np.float32(0.1), torch.tensor(0.1), np.int64(3), np.array([2.0])):
        got = finite(given, 'lr')
        assert type(got) in (int, float) and got == given
    assert type(finite(np.int64(3), 'cutout')) is int and type(finite(0, 'lr')) is int
    assert type(counted(np.int32(3), 'epochs', 10)) is int
    for wrong in (np.array([1, 2]), np.float64('nan'), torch.ones(2)):
        fails(lambda: finite(wrong, 'lr'), 'lr')
    for wrong in (np.bool_(True), np.float64(3), torch.tensor(1.0), np.int64(11)):
        fails(lambda: counted(wrong, 'epochs', 10), 'epochs')


def test_a_search_with_a_rate_of_numpy_can_be_read_again(tmp_path):
    "And its architecture is that of the plain number"
    how = dict(space='toy', data='digits', images=40, epochs=1, batch=8, channels=2, report=False)
    rates = np.logspace(-2, -1, 3)[1], float(np.logspace(-2, -1, 3)[1])
    runs = [nas.search(method='darts', out=tmp_path / str(k), lr=lr, **how) for k, lr in enumerate(rates)]
    weights = [torch.cat([w.flatten() for w in r.network.parameters()]) for r in runs]
    assert torch.equal(*weights) and type(runs[0].settings.lr) is float


STORED = dict(
    plain=(1, 2.5, 'a', True, None, {'b': [1, {2: 'c'}], (1, 'a'): 0}),
    view=torch.arange(6.0)[::2],
    turned=torch.arange(6.0).reshape(2, 3).t(),
    learned=torch.nn.Parameter(torch.ones(2)),
    empty=torch.zeros(0, 3),
    large=2**63,
)
NOT_STORED = dict(
    number=np.float64(1),
    array=np.ones(2),
    spread=torch.zeros(1).expand(5),
    some={1, 2},
    data=b'ab',
    size=torch.Size([2]),
    narrow=torch.zeros(2, dtype=torch.uint16),
    huge=2**64,
    thin=torch.eye(2).to_sparse(),
    deep=[{'a': (torch.float32,)}],
)


def test_what_is_written_can_be_read(tmp_path):
    path = save_tensors(STORED, tmp_path / 'last.pt')
    assert load_tensors(path, STORED, 'a demo')['plain'] == STORED['plain']
    for name, value in NOT_STORED.items():
        with pytest.raises(WriteError, match=f"'{name}'") as e:
            save_tensors({'epoch': 1, name: value}, path)
        assert '\n' not in str(e.value)
    assert 'view' in load_tensors(path, STORED, 'a demo')  # the file is as it was


def test_the_cause_of_a_failure_is_not_what_was_handled_before(tmp_path):
    "Inside an except block as outside"

    def full(tmp):
        try:
            raise OSError(errno.ENOSPC, 'No space left on device')
        finally:
            raise RuntimeError('unexpected pos')

    try:
        (tmp_path / 'none').read_text()
    except OSError:
        fails(lambda: write_atomic(tmp_path / 'a', full), 'No space left on device')


def test_a_file_keeps_its_mode(tmp_path):
    path = write_atomic(tmp_path / 'a', 'old')
    assert stat.S_IMODE(path.stat().st_mode) == 0o644
    path.chmod(0o600)
    write_atomic(path, 'new')
    assert stat.S_IMODE(path.stat().st_mode) == 0o600 and path.read_text() == 'new'
