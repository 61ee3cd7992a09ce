"""Graphs of other libraries, in and out. Each library is imported on use.

An adjacency matrix has the weight of an edge at `A[receiver, sender]`, so that
`A @ nodes` is what the receivers collect.
"""

from keras_attn.data.graph_sources._networkx import from_networkx as from_networkx
from keras_attn.data.graph_sources._networkx import to_networkx as to_networkx
from keras_attn.data.graph_sources._pyg import from_pyg as from_pyg
from keras_attn.data.graph_sources._pyg import to_pyg as to_pyg
from keras_attn.data.graph_sources._scipy import from_scipy as from_scipy
from keras_attn.data.graph_sources._scipy import to_scipy as to_scipy
from keras_attn.data.graph_sources._spektral import from_spektral as from_spektral
from keras_attn.data.graph_sources._spektral import to_spektral as to_spektral

__all__ = [
    "from_networkx",
    "from_pyg",
    "from_scipy",
    "from_spektral",
    "to_networkx",
    "to_pyg",
    "to_scipy",
    "to_spektral",
]
