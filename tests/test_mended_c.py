"Tables, domains and readings: what they say where the easy case is left."

import numpy as np
import pytest
import torch
from conftest import fails
from dnas_nb.domains.graphs import Labelled

THREE = torch.eye(3)
PARTS = {name: torch.arange(3) == k for k, name in enumerate(('train', 'valid', 'test'))}


def three(edges, y=(0, 1, 0), masks=PARTS):
    return Labelled.of(THREE, edges, y, masks, ('a', 'b'))


@pytest.mark.parametrize('edges', [[[0, 1], [2, 2]], [[0, 1, 2], [2, 2, 1]]])
def test_the_mean_over_neighbours_counts_those_that_nobody_speaks_to(edges):
    A = np.zeros((3, 3))
    A[edges[1], edges[0]] = 1
    found = three(edges).graph.matrix('mean').dense().numpy()
    for node in range(3):
        expected = A[node] / max(A[node].sum(), 1)
        assert found[node].tolist() == expected.tolist()


def test_a_graph_of_arrays_says_what_does_not_fit():
    fails(lambda: three([[0, 1], [1, 2], [2, 0]]), 'from and to, not (3, 2)')
    fails(lambda: three([[0.5, 1], [2, 2]]), 'links are whole numbers')
    fails(lambda: three([[0, 1], [2, 2]], y=(0, 1.5, 0)), 'classes are whole numbers')
    more = PARTS | dict(rest=torch.ones(3).bool())
    fails(lambda: three([[0, 1], [2, 2]], masks=more), 'no part is called rest')
