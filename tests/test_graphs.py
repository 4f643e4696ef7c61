"Graph networks: nests through gates, nodes without links, and every kind of method on the twin."

from dataclasses import replace
import pytest
import torch
from torch import nn
from dnas_nb.domains.graphs import GRAPH_OPS, Graph, Sparse, graph_data, operation
from dnas_nb.domains.domain import find
from dnas_nb.domains.graphspace import Pattern, graph_domain, search_graph
from dnas_nb.modules import Mixed, space_of
from dnas_nb.supernet import Theta


class Pair(nn.Module):
    def __init__(self, factor):
        super().__init__()
        self.factor = nn.Parameter(torch.tensor(factor))

    def forward(self, x):
        return self.factor * x, dict(twice=2 * self.factor * x, count=3)


class TwoPairs(nn.Module):
    def __init__(self):
        super().__init__()
        self.pair = Mixed('pair', a=Pair(1.0), b=Pair(2.0))

    def forward(self, x):
        first, rest = self.pair(x)
        return first + rest['twice']


def test_gates_of_options_that_do_not_run_pass_through_nests():
    net = space_of(TwoPairs).supernet()
    weights = torch.tensor([[1.0, 0.0]], requires_grad=True)
    gates = torch.zeros(1, requires_grad=True)
    theta = Theta(dict(net=weights), gates=dict(net=gates))
    net(torch.ones(3), theta).sum().backward()
    assert gates.grad.item() == 6  # three numbers, each in two parts of the nest


@pytest.mark.parametrize('name', GRAPH_OPS)
def test_a_node_without_links_gets_finite_values(name):
    x = Sparse.of(torch.arange(3), torch.zeros(3).long(), torch.ones(3), (3, 1))
    graph = Graph(torch.tensor([[0, 1], [1, 0]]), x)
    y = operation(name, 4, 4)(torch.ones(3, 4), graph)
    assert y.isfinite().all()


@pytest.mark.parametrize('method', ['random', 'gdas', 'danas'])
def test_a_search_on_the_twin_gives_a_network_and_the_same_one_again(method):
    twin = graph_data('twin')
    found = search_graph(twin, method, epochs=2, width=4)
    assert isinstance(found.pattern, Pattern)
    assert search_graph(twin, method, epochs=2, width=4).pattern == found.pattern


def test_one_graph_is_searched_by_the_common_loop_and_extracted():
    domain = graph_domain('twin')
    short = replace(domain, search=replace(domain.search, epochs=2))
    found = find(short, 'danas-prune')
    network = domain.space.network(found.genotype)
    batch, _ = domain.data.train.take()
    assert network(batch).shape == (1, 300, 4)
