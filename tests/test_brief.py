"Brief trainings of graph networks: the same alone and in company, one name per network, and what is refused."

from dataclasses import replace
import numpy as np
import pytest
import torch
from conftest import fails
from dnas_nb.domains.brief import BriefJudge, BriefRecipe, brief_curves, brief_net, brief_scores
from dnas_nb.domains.graphs import GRAPH_OPS, Graph, graph_data
from dnas_nb.domains.graphspace import Pattern, table_code

SHORT = BriefRecipe(epochs=6, width=8, every=2)
EVERY = [Pattern((0, 1, 1, 0), (op, 'gcn', op, 'fc')) for op in GRAPH_OPS]


def precise():
    twin = graph_data('twin')
    x = twin.graph.features
    return replace(twin, graph=Graph(twin.graph.edges, x.valued(x.values.double())))


def test_company_does_not_matter_in_double_precision():
    twin = precise()
    whole = brief_curves(EVERY, twin, SHORT)
    for k in (0, 4, 8):
        alone = brief_curves([EVERY[k]], twin, SHORT)
        assert np.abs(alone.loss[0] - whole.loss[k]).max() < 1e-10
        assert alone.accuracy[0].tolist() == whole.accuracy[k].tolist()
    turned = brief_curves(EVERY[::-1], twin, SHORT, side=4)
    assert np.abs(turned.loss[::-1] - whole.loss).max() < 1e-10


def test_the_first_output_is_that_of_the_plain_network():
    "At a rate of nearly 0 the bundle stays where it began, and there every network answers as by itself"
    twin = precise()
    still = replace(SHORT, epochs=1, every=1, lr=1e-12)
    curves = brief_curves(EVERY, twin, still)
    mask = twin.masks['valid']
    for pattern, loss in zip(EVERY, curves.loss[:, 0]):
        output = brief_net(pattern, twin, still)(twin.graph.batch, mask)[0]
        assert abs(torch.nn.functional.cross_entropy(output, twin.y[mask]).item() - loss) < 1e-9


def test_the_same_call_gives_the_same_bits_and_another_seed_others():
    twin = graph_data('twin')
    a, b = (brief_curves(EVERY[:3], twin, SHORT) for _ in range(2))
    assert all(np.array_equal(x, y) for x, y in zip(a, b))
    assert not np.array_equal(a.loss, brief_curves(EVERY[:3], twin, SHORT, seed=1).loss)


def test_training_leaves_the_common_draws_alone():
    torch.manual_seed(0)
    before = torch.random.get_rng_state()
    brief_scores(EVERY[:2], graph_data('twin'), SHORT)
    assert torch.equal(before, torch.random.get_rng_state())


def test_one_name_per_network():
    pattern = Pattern((0, 1, 1, 0), ('gcn', 'fc', 'gat', 'sage'))
    for order in ((1, 2, 3, 4), (1, 3, 2, 4), (4, 1, 2, 3), (4, 1, 3, 2), (1, 4, 3, 2)):
        assert table_code(pattern.reordered(order)) == table_code(pattern)
    assert table_code(Pattern.at(table_code(pattern))) == table_code(pattern)
    skips = Pattern((0, 1, 2, 3), ('gcn', 'skip', 'fc', 'gat')), Pattern(
        (0, 1, 2, 3), ('gcn', 'fc', 'skip', 'gat')
    )
    assert table_code(skips[0]) == table_code(skips[1])


def test_a_judge_trains_once_and_learns_from_files(tmp_path):
    twin = graph_data('twin')
    judge = BriefJudge(twin, SHORT)
    first = judge(EVERY[:3])
    assert judge.trained == 3 and judge.seconds > 0
    assert (
        judge([table_code(p) for p in EVERY[:3]]).tolist() == first.tolist() and judge.trained == 3
    )
    (tmp_path / 'known.csv').write_text(
        'code,score\n' + ''.join(f'{table_code(p)},50.5\n' for p in EVERY[3:6])
    )
    assert judge.learn(tmp_path / 'known.csv') == 3
    assert judge(EVERY[3:6]).tolist() == [50.5] * 3 and judge.trained == 3
    (tmp_path / 'other.csv').write_text('name,worth\n1,2\n')
    fails(lambda: judge.learn(tmp_path / 'other.csv'), 'code and score')


@pytest.mark.parametrize(
    'patterns, recipe, said',
    [([], SHORT, 'no network'), (EVERY[:1], replace(SHORT, every=9), 'first look')],
)
def test_what_is_refused(patterns, recipe, said):
    fails(lambda: brief_scores(patterns, graph_data('twin'), recipe), said)


def test_four_skips_are_worth_a_blind_guess():
    assert BriefJudge(graph_data('twin'), SHORT)(
        [Pattern((0, 0, 0, 0), ('skip',) * 4)]
    ).tolist() == [25.0]
