"""The same weights give the same answers in PyTorch Geometric."""

import numpy as np
import pytest
from keras import ops

from keras_attn import ChebyshevConv, EdgeConv, GraphAttention, GraphConv
from tests.comparison import assert_same
from tests.graphs import random_graph

pytestmark = pytest.mark.filterwarnings("ignore")  # of the peer


@pytest.fixture
def peers():
    pytest.importorskip("torch_geometric")
    from torch_geometric import nn

    return nn


@pytest.fixture
def sample(rng):
    return random_graph(rng, duplicates=False)


def tensor(array):
    import torch

    return torch.tensor(np.array(ops.convert_to_numpy(array)))


def random_weights(layer, rng):
    for weight in layer.trainable_weights:
        weight.assign(rng.normal(scale=0.5, size=weight.shape))


def asked(peer, sample, *arguments, **options):
    import torch

    with torch.no_grad():
        answer = peer(
            torch.tensor(sample.nodes),
            torch.tensor(sample.edges.T.astype("int64")),
            *map(tensor, arguments),
            **options,
        )
    return answer


def linear(peer, layer):
    peer.weight.data = tensor(layer.kernel).T.contiguous()
    if layer.use_bias:
        peer.bias.data = tensor(layer.bias)


def without_loops(sample):
    """The peers put a loop in place of one that is there; ours is added to it."""
    kept = sample.edges[:, 0] != sample.edges[:, 1]
    return sample._replace(
        edges=sample.edges[kept],
        edge_weights=sample.edge_weights[kept],
        edge_features=sample.edge_features[kept],
    )


@pytest.mark.parametrize("loops", [True, False])
def test_graph_conv(peers, sample, rng, loops):
    """Of a directed graph, too, whose degrees are those of the receivers there."""
    sample = without_loops(sample)
    layer = GraphConv(4, self_loops=loops)
    layer(sample.nodes, edges=sample.edges)
    random_weights(layer, rng)
    peer = peers.GCNConv(3, 4, add_self_loops=loops)
    linear(peer.lin, layer.projection)
    peer.bias.data = tensor(layer.bias)
    expected = asked(peer, sample, sample.edge_weights)
    found = layer(sample.nodes, edges=sample.edges, edge_weights=sample.edge_weights)
    assert_same(found, expected.numpy())


def test_chebyshev_conv(peers, sample, rng):
    sample = without_loops(sample)
    both = np.concatenate([sample.edges, sample.edges[:, ::-1]])
    sample = sample._replace(edges=np.unique(both, axis=0).astype("int32"))
    layer = ChebyshevConv(4, order=3)
    layer(sample.nodes, edges=sample.edges)
    random_weights(layer, rng)
    peer = peers.ChebConv(3, 4, K=4)
    kernels = np.split(ops.convert_to_numpy(layer.projection.kernel), 4, axis=1)
    for part, kernel in zip(peer.lins, kernels, strict=True):
        part.weight.data = tensor(kernel).T.contiguous()
    peer.bias.data = tensor(layer.bias)
    found = layer(sample.nodes, edges=sample.edges)
    assert_same(found, asked(peer, sample).numpy())


@pytest.mark.parametrize("concatenate", [True, False])
def test_graph_attention(peers, sample, rng, concatenate):
    layer = GraphAttention(2, 3, concatenate, self_loops=False)
    given = {"edges": sample.edges, "edge_features": sample.edge_features}
    layer(sample.nodes, **given)
    random_weights(layer, rng)
    peer = peers.GATv2Conv(
        3, 2, 3, concat=concatenate, add_self_loops=False, edge_dim=2
    )
    linear(peer.lin_r, layer.receiver)
    linear(peer.lin_l, layer.sender)
    peer.lin_l.bias.data[:] = 0
    linear(peer.lin_edge, layer.edge)
    peer.att.data = tensor(layer.scale)[None]
    peer.bias.data = tensor(layer.bias)
    import torch

    expected, (_, weights) = asked(
        peer,
        sample,
        edge_attr=torch.tensor(sample.edge_features),
        return_attention_weights=True,
    )
    found = layer(sample.nodes, return_attention_scores=True, **given)
    assert_same(found[:2], [expected.numpy(), weights.numpy()])


def test_edge_conv(peers, sample, rng):
    import torch

    layer = EdgeConv(4, hidden_units=5)
    given = {"edges": sample.edges, "edge_features": sample.edge_features}
    layer(sample.nodes, **given)
    random_weights(layer, rng)
    network = torch.nn.Sequential(
        torch.nn.Linear(3, 5), torch.nn.ReLU(), torch.nn.Linear(5, 4)
    )
    peer = peers.GINEConv(network, train_eps=True, edge_dim=2)
    linear(network[0], layer.widen)
    linear(network[2], layer.narrow)
    linear(peer.lin, layer.edge)
    peer.eps.data = tensor(layer.own)
    expected = asked(peer, sample, sample.edge_features)
    assert_same(layer(sample.nodes, **given), expected.numpy())
