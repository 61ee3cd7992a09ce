"""Planetoid: the citation graphs Cora, Citeseer and Pubmed in their usual split."""

from collections.abc import Mapping
from typing import NamedTuple

import numpy as np

from keras_attn.data._planetoid_pickle import read_pickle
from keras_attn.data.fetch import fetch
from keras_attn.data.graph import Graph

# The commit that all known copies of the files are of.
COMMIT = "af6abf468a772cc055bec88c52e4d6f51b7c37e3"
ADDRESS = f"https://raw.githubusercontent.com/kimiyoung/planetoid/{COMMIT}/data/"
MANIFEST = {
    "ind.cora.x": "23cfa55d91c6f624233f5eb7b6e3f141f1bd2b2ae39608a63cf5d084bb27baab",
    "ind.cora.y": "94465c14eb53e04ca262198dcbb2521ee8af60fb3f3d546cd6ca24a511b0e7d1",
    "ind.cora.tx": "b9afbaa4a400df991f6f02ef677e1e44da55ffc04801fd02f9e673987829226a",
    "ind.cora.ty": "41f5ac76596a1699cc33f53084a2419e92961c42bb75f36fc38e616d348532ad",
    "ind.cora.allx": "9419ba2f26f5c35243db64aba110e0f35a04851609e0dc5433450676ca6b8543",
    "ind.cora.ally": "2b998f5cc7fedc86e7f97ca2498f47a1ffc1462c29e2d578b23bf3f62b6e7d71",
    "ind.cora.graph": (
        "58f13302f39dde8852dad6fe6d15b89b077b6d7f837626bce671ef80344b383d"
    ),
    "ind.cora.test.index": (
        "297ce89af2b51a6a194181c7dbe1796c6a1cf9cd9349a88383b1b1e227867875"
    ),
    "ind.citeseer.x": (
        "d20de19150741e555de0ed037195630fc194114ebc7fd72ced62810148aa22f6"
    ),
    "ind.citeseer.y": (
        "8ba87e515d8e3ee3cf52f6d2c5b86aa73f11ecad825a808455209ec26cd54924"
    ),
    "ind.citeseer.tx": (
        "539a8906a2da97628d212f2fdd668c109a8b3f0d36574b59e5d3fd5b5303da21"
    ),
    "ind.citeseer.ty": (
        "55e5bd1ba1e733a04598753ad1a8d57957f4b8f89e74519f41f4f4938767e4ce"
    ),
    "ind.citeseer.allx": (
        "2ac30345d95c9ec933a817ee0bdd6a5f077f8c184a20e696910192d534414668"
    ),
    "ind.citeseer.ally": (
        "f704b2d986dde6c2669934de1f3ae5696a6cf9455c0f6b2646a2d135ea0a1c95"
    ),
    "ind.citeseer.graph": (
        "d79a4ef9d3e7169aee8946145f6b7306e35bc79bffad26346cfb94e10e9912a7"
    ),
    "ind.citeseer.test.index": (
        "2af990671580b6b2df5d158d1038f8292e30c9cd821b5453f399659b25b723d4"
    ),
    "ind.pubmed.x": "fbe9cb5c47200d1b7769a26e579be3b7130b556831f9d850e77c4c74f2599b33",
    "ind.pubmed.y": "e6c807633307a07ed659249006536a147c7999c797f11a2560752990181b41b3",
    "ind.pubmed.tx": "4eb5f5d0f30f26497eb0ac6ac9719d09c67e284f1ed0385c93f3ef27a671da3d",
    "ind.pubmed.ty": "ee2e0d4819d9fbcc403689c3bf2e49face401b605932f093bc58ab6461130fdd",
    "ind.pubmed.allx": (
        "508e538e2abdccdd54c4d3e9f49d638b4af7107d85845f66ddea5a5152658b7e"
    ),
    "ind.pubmed.ally": (
        "0c37bbe3b5014ec365e9d393cf4791925e5ed94fb194305d74f064a8d7b50f0e"
    ),
    "ind.pubmed.graph": (
        "5b89f0036ca22909471f1e6558eb42fa06e0c730a577bde5b058b40638f81dc9"
    ),
    "ind.pubmed.test.index": (
        "b101d421688bbaecbd82e8a18f1e282378d6830f3a37666f28ebc47f844341b5"
    ),
}
VALIDATION_SIZE = 500
UNLABELLED = -1


class Planetoid(NamedTuple):
    """A citation graph, and which of its nodes are for what.

    Fields:
        graph: The `Graph`. A node is a paper, its features the words in it, its
            target the number of its class, or -1 if it has none. Every citation is
            two edges, one in each direction; none leads from a paper to itself.
        train: Integer array, the nodes to train on, 20 of each class.
        validation: Integer array, 500 nodes to select models by.
        test: Integer array, the nodes to test on, at most 1,000.
        num_classes: Integer, the number of classes.
    """

    graph: Graph
    train: np.ndarray
    validation: np.ndarray
    test: np.ndarray
    num_classes: int


def load(name: str, manifest: Mapping[str, str] = MANIFEST) -> Planetoid:
    """Loads one of the citation graphs in the split of Planetoid.

    | name | nodes | features | classes | training nodes |
    |---|---|---|---|---|
    | `"cora"` | 2,708 | 1,433 | 7 | 140 |
    | `"citeseer"` | 3,327 | 3,703 | 6 | 120 |
    | `"pubmed"` | 19,717 | 500 | 3 | 60 |

    The files are pickles; they are verified, and read by a reader that runs nothing
    they name. Papers of Citeseer that the files say nothing about become nodes
    without features, class and citations, and are in no part of the split.

    Args:
        name: String, one of the names above.
        manifest: Mapping of file names to their SHA-256. The default is that of the
            public files.

    Returns:
        A `Planetoid` tuple of the graph, the split and the number of classes.

    Raises:
        ValueError: If there is no such graph.
        FetchError: If a file cannot be had or is not the expected one.

    Example:

    ```python
    cora = planetoid.load("cora")
    cora.graph.targets[cora.train]  # 140 classes
    ```

    Reference:

    - [Yang et al., 2016](https://arxiv.org/abs/1603.08861)
    """
    if f"ind.{name}.graph" not in manifest:
        known = sorted(
            file.split(".")[1] for file in manifest if file.endswith("graph")
        )
        raise ValueError(f"`name` must be one of {known}. Received: name={name!r}")
    y, tx, ty, allx, ally, citations = (
        read_pickle(_path(name, part, manifest))
        for part in ("y", "tx", "ty", "allx", "ally", "graph")
    )
    test = np.loadtxt(_path(name, "test.index", manifest), "int32", ndmin=1)
    num_nodes = max(len(allx), int(test.max()) + 1)
    # Row i of `tx` is of node `test[i]`. Between the test nodes of Citeseer there are
    # numbers of papers that no file has features of.
    nodes = np.zeros((num_nodes, allx.shape[1]), "float32")
    nodes[: len(allx)], nodes[test] = allx, tx
    classes = np.zeros((num_nodes, ally.shape[1]), "int32")
    classes[: len(ally)], classes[test] = ally, ty
    targets = np.where(classes.any(axis=1), classes.argmax(axis=1), UNLABELLED)
    train = np.arange(len(y), dtype="int32")
    return Planetoid(
        graph=Graph(nodes, _both_ways(citations), targets=targets),
        train=train,
        validation=np.arange(VALIDATION_SIZE, dtype="int32") + len(train),
        test=np.sort(test),
        num_classes=classes.shape[1],
    )


def _path(name: str, part: str, manifest: Mapping[str, str]):
    file = f"ind.{name}.{part}"
    return fetch(f"planetoid/{file}", ADDRESS + file, manifest[file])


def _both_ways(citations: Mapping[int, list[int]]) -> np.ndarray:
    """Returns the edges, each once in each direction, sorted by receiver."""
    pairs = np.array(
        [(a, b) for a, cited in citations.items() for b in cited if a != b], "int32"
    ).reshape(-1, 2)
    edges = np.unique(np.concatenate([pairs, pairs[:, ::-1]]), axis=0)
    return edges[:, ::-1]
