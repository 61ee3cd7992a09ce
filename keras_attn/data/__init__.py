"""Real data sets: fetch, verify, cache, parse, batch.

Modules and names are loaded when they are first asked for, so that reading dates or
sentences imports neither Keras nor TensorFlow.
"""

import importlib
from typing import Any

_HOMES = {
    "BucketedPairs": "bucketing",
    "DigitScenes": "digit_scenes",
    "FetchError": "fetch",
    "Graph": "graph",
    "GraphBatch": "graph_batch",
    "Vocabulary": "vocabulary",
    "encode": "tokenizers",
    "grid_graph": "grid",
    "laplacian_basis": "laplacian",
    "merge_graphs": "graph_collation",
    "neighbor_layout": "layout",
    "pad_graphs": "graph_collation",
    "sparse_features": "sparse",
    "train_tokenizer": "tokenizers",
}
_MODULES = (
    "bucketing",
    "dates",
    "emoji_captions",
    "graph_sources",
    "im2latex",
    "mnist",
    "moleculenet",
    "molecules",
    "multi30k",
    "planetoid",
    "scenes",
    "splits",
    "spoken_digits",
    "tokenizers",
)

__all__ = [*_HOMES, *_MODULES]


def __getattr__(name: str) -> Any:
    if name in _HOMES:
        return getattr(importlib.import_module(f"{__name__}.{_HOMES[name]}"), name)
    if name in _MODULES:
        return importlib.import_module(f"{__name__}.{name}")
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
