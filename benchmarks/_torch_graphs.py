"""The graph convolutions of PyTorch Geometric on the pages of graphs."""

import itertools
from collections.abc import Callable

import torch
from torch_geometric.nn import GCNConv, global_add_pool
from torch_geometric.utils import to_torch_csr_tensor

from benchmarks._graphs import draw_graph, draw_molecules


def convolution(
    nodes: int, edges: int, dim: int, directed: int = 0, compressed: bool = False
) -> Callable[[], float]:
    """One layer as wide as its input; the normalisation is kept after the first."""
    sample = draw_graph(nodes, edges, dim, directed)
    features = torch.from_numpy(sample.nodes).requires_grad_()
    graph = _graph(sample.edges, nodes, compressed)
    torch.manual_seed(0)
    layer = GCNConv(dim, dim, cached=True)

    def step() -> float:
        layer.zero_grad()
        features.grad = None
        loss = layer(features, graph).square().mean()
        loss.backward()
        return loss.item()

    return step


class Network(torch.nn.Module):
    def __init__(self, widths: list[int], cached: bool, last: bool):
        super().__init__()
        pairs = itertools.pairwise(widths)
        self.layers = torch.nn.ModuleList(GCNConv(*p, cached=cached) for p in pairs)
        self.last = last

    def forward(self, nodes: torch.Tensor, graph: torch.Tensor) -> torch.Tensor:
        for index, layer in enumerate(self.layers):
            nodes = layer(nodes, graph)
            if self.last or index + 1 < len(self.layers):
                nodes = nodes.relu()
        return nodes


def citation(
    nodes: int, edges: int, dim: int, words: int, compressed: bool = False
) -> Callable[[], float]:
    sample = draw_graph(nodes, edges, dim, words=words)
    features = torch.from_numpy(sample.nodes)
    graph = _graph(sample.edges, nodes, compressed)
    torch.manual_seed(0)
    network = Network([dim, 16, 7], cached=True, last=False)
    return _train(network, lambda: network(features, graph))


def molecules(graphs: int, dim: int, compressed: bool = False) -> Callable[[], float]:
    sample = draw_molecules(graphs, dim)
    features, ids = (torch.from_numpy(x) for x in (sample.nodes, sample.graph_ids))
    graph = _graph(sample.edges, len(features), compressed)
    ids = ids.long()
    torch.manual_seed(0)
    network = Network([dim, dim, dim], cached=False, last=True)
    return _train(
        network, lambda: global_add_pool(network(features, graph), ids, graphs)
    )


def _graph(edges, nodes: int, compressed: bool) -> torch.Tensor:
    index = torch.from_numpy(edges.T.copy()).long()
    if not compressed:
        return index
    return to_torch_csr_tensor(index.flip(0), size=(nodes, nodes))


def _train(
    network: torch.nn.Module, forward: Callable[[], torch.Tensor]
) -> Callable[[], float]:
    optimizer = torch.optim.Adam(network.parameters())

    def step() -> float:
        optimizer.zero_grad()
        loss = forward().square().mean()
        loss.backward()
        optimizer.step()
        return loss.item()

    return step
