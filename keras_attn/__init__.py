"""Attention layers and models for Keras 3, from training to a served SavedModel.

Names load on first use, so that the client and the command line start without Keras.
To add a public name, add its line to `_MODULES` and to the imports for type checkers.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

from keras_attn._registration import register_with_keras

if TYPE_CHECKING:
    from keras_attn.layers.attention_decoder import AttentionDecoder as AttentionDecoder
    from keras_attn.layers.bahdanau_attention import (
        BahdanauAttention as BahdanauAttention,
    )
    from keras_attn.models.seq2seq import GreedyDecoder as GreedyDecoder
    from keras_attn.models.seq2seq import Seq2Seq as Seq2Seq

_MODULES = {
    "AttentionDecoder": "keras_attn.layers.attention_decoder",
    "BahdanauAttention": "keras_attn.layers.bahdanau_attention",
    "GreedyDecoder": "keras_attn.models.seq2seq",
    "Seq2Seq": "keras_attn.models.seq2seq",
}
__all__ = sorted(_MODULES)


def __getattr__(name: str) -> Any:
    if name == "__version__":
        value = import_module("importlib.metadata").version("keras-attn")
    elif name in _MODULES:
        value = getattr(import_module(_MODULES[name]), name)
    else:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    globals()[name] = value  # the next access does not come here
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__, "__version__"})


register_with_keras(__name__, _MODULES)
