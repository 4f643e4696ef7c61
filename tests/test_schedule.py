"Schedules are values: they can be compared, printed and sent to a worker, and say what is wrong in one line."

import pickle
import pytest
from conftest import fails
from dnas_nb.schedule import anneal, constant, cosine, in_stages, ramp, signed_cosine, warmup

EVERY = {
    'constant': constant(2.0),
    'ramp': ramp(0.0, 50.0),
    'cosine': cosine(0.025, 0.001),
    'signed': signed_cosine(),
    'linear': anneal(10, 0.1),
    'exponential': anneal(10, 0.1, 'exponential'),
    'warmup': warmup(0.3, ramp(1.0, 2.0), before=0.5),
    'in_stages': in_stages(cosine(1.0, 0.0), constant(3.0), ramp(0.0, 1.0)),
}
TIMES = [k / 97 for k in range(98)]


@pytest.mark.parametrize('rule', EVERY.values(), ids=EVERY)
def test_a_copy_is_equal(rule):
    "Workers of a study are separate processes."
    copy = pickle.loads(pickle.dumps(rule))
    assert copy == rule and hash(copy) == hash(rule) and repr(copy) == repr(rule)
    assert [copy(t) for t in TIMES] == [rule(t) for t in TIMES]


@pytest.mark.parametrize('rule', EVERY.values(), ids=EVERY)
def test_a_schedule_cannot_be_changed(rule):
    field = next(iter(vars(rule)))
    with pytest.raises(AttributeError):
        setattr(rule, field, 0.0)


@pytest.mark.parametrize('rule', EVERY.values(), ids=EVERY)
def test_progress_lies_between_0_and_1(rule):
    for t in (-1e-9, 1 + 1e-9, 30, float('nan')):
        fails(lambda: rule(t), 'progress must lie in [0, 1]')
    for t in (0, 1):
        rule(t)


def test_a_schedule_says_what_it_is():
    assert repr(ramp(0.0, 50.0)) == 'ramp(start=0.0, end=50.0)'
    assert repr(signed_cosine(0.2)) == 'cosine(start=-0.2, end=0.2)'
    assert 'then=ramp' in repr(EVERY['warmup'])


def test_mistakes():
    for share in (1, -0.1, 15, float('nan')):
        fails(lambda: warmup(share, ramp(0.0, 1.0)), 'share of the search')
    for ends in ((0, 1), (1, -1), (float('nan'), 1)):
        fails(lambda: anneal(*ends), 'positive')
    fails(lambda: anneal(10, 1, 'cubic'), 'unknown way to anneal')
    fails(in_stages, 'at least one')
