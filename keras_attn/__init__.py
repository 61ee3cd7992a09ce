"""Attention layers and models for Keras 3, from training to a served SavedModel.

Names load on first use, so that the client and the command line start without Keras.
Layers and models are also found in `keras_attn.layers` and `keras_attn.models`.
To add a public name, add its line to `_MODULES` and to the imports for type checkers.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

from keras_attn._registration import register_with_keras

if TYPE_CHECKING:
    from keras_attn.layers.alibi_bias import AlibiBias as AlibiBias
    from keras_attn.layers.attention_decoder import AttentionDecoder as AttentionDecoder
    from keras_attn.layers.attention_pooling import AttentionPooling as AttentionPooling
    from keras_attn.layers.bahdanau_attention import (
        BahdanauAttention as BahdanauAttention,
    )
    from keras_attn.layers.chebyshev_conv import ChebyshevConv as ChebyshevConv
    from keras_attn.layers.edge_conv import EdgeConv as EdgeConv
    from keras_attn.layers.glimpse_network import GlimpseNetwork as GlimpseNetwork
    from keras_attn.layers.glimpse_sensor import GlimpseSensor as GlimpseSensor
    from keras_attn.layers.graph_attention import GraphAttention as GraphAttention
    from keras_attn.layers.graph_conv import GraphConv as GraphConv
    from keras_attn.layers.graph_pooling import GraphPooling as GraphPooling
    from keras_attn.layers.learned_positions import LearnedPositions as LearnedPositions
    from keras_attn.layers.location_policy import LocationPolicy as LocationPolicy
    from keras_attn.layers.log_mel import LogMel as LogMel
    from keras_attn.layers.message_passing import MessagePassing as MessagePassing
    from keras_attn.layers.min_cut_pooling import MinCutPooling as MinCutPooling
    from keras_attn.layers.multi_head_attention import (
        MultiHeadAttention as MultiHeadAttention,
    )
    from keras_attn.layers.multi_head_self_attention import (
        MultiHeadSelfAttention as MultiHeadSelfAttention,
    )
    from keras_attn.layers.recurrent_attention import (
        RecurrentAttention as RecurrentAttention,
    )
    from keras_attn.layers.relative_position_bias import (
        RelativePositionBias as RelativePositionBias,
    )
    from keras_attn.layers.rotary_embedding import RotaryEmbedding as RotaryEmbedding
    from keras_attn.layers.sinusoidal_positions import (
        SinusoidalPositions as SinusoidalPositions,
    )
    from keras_attn.layers.spectral_conv import SpectralConv as SpectralConv
    from keras_attn.layers.top_k_pooling import TopKPooling as TopKPooling
    from keras_attn.layers.transformer_block import TransformerBlock as TransformerBlock
    from keras_attn.layers.transformer_decoder_block import (
        TransformerDecoderBlock as TransformerDecoderBlock,
    )
    from keras_attn.models.ask_attend_answer import AskAttendAnswer as AskAttendAnswer
    from keras_attn.models.decoder import Decoder as Decoder
    from keras_attn.models.image_captioner import ImageCaptioner as ImageCaptioner
    from keras_attn.models.image_to_markup import ImageToMarkup as ImageToMarkup
    from keras_attn.models.known_labels_loss import KnownLabelsLoss as KnownLabelsLoss
    from keras_attn.models.listen_attend_spell import (
        ListenAttendSpell as ListenAttendSpell,
    )
    from keras_attn.models.molecular_graph_net import (
        MolecularGraphNet as MolecularGraphNet,
    )
    from keras_attn.models.recurrent_attention_model import (
        RecurrentAttentionModel as RecurrentAttentionModel,
    )
    from keras_attn.models.seq2seq import Seq2Seq as Seq2Seq
    from keras_attn.models.smoothed_crossentropy import (
        SmoothedCrossentropy as SmoothedCrossentropy,
    )
    from keras_attn.models.transformer import Transformer as Transformer
    from keras_attn.models.transformer_decoder import (
        TransformerDecoder as TransformerDecoder,
    )
    from keras_attn.models.transformer_encoder import (
        TransformerEncoder as TransformerEncoder,
    )

_MODULES = {
    "AlibiBias": "keras_attn.layers.alibi_bias",
    "AskAttendAnswer": "keras_attn.models.ask_attend_answer",
    "AttentionDecoder": "keras_attn.layers.attention_decoder",
    "AttentionPooling": "keras_attn.layers.attention_pooling",
    "BahdanauAttention": "keras_attn.layers.bahdanau_attention",
    "ChebyshevConv": "keras_attn.layers.chebyshev_conv",
    "Decoder": "keras_attn.models.decoder",
    "EdgeConv": "keras_attn.layers.edge_conv",
    "GlimpseNetwork": "keras_attn.layers.glimpse_network",
    "GlimpseSensor": "keras_attn.layers.glimpse_sensor",
    "GraphAttention": "keras_attn.layers.graph_attention",
    "GraphConv": "keras_attn.layers.graph_conv",
    "GraphPooling": "keras_attn.layers.graph_pooling",
    "ImageCaptioner": "keras_attn.models.image_captioner",
    "ImageToMarkup": "keras_attn.models.image_to_markup",
    "KnownLabelsLoss": "keras_attn.models.known_labels_loss",
    "LearnedPositions": "keras_attn.layers.learned_positions",
    "ListenAttendSpell": "keras_attn.models.listen_attend_spell",
    "LocationPolicy": "keras_attn.layers.location_policy",
    "LogMel": "keras_attn.layers.log_mel",
    "MessagePassing": "keras_attn.layers.message_passing",
    "MinCutPooling": "keras_attn.layers.min_cut_pooling",
    "MolecularGraphNet": "keras_attn.models.molecular_graph_net",
    "MultiHeadAttention": "keras_attn.layers.multi_head_attention",
    "MultiHeadSelfAttention": "keras_attn.layers.multi_head_self_attention",
    "RecurrentAttention": "keras_attn.layers.recurrent_attention",
    "RecurrentAttentionModel": "keras_attn.models.recurrent_attention_model",
    "RelativePositionBias": "keras_attn.layers.relative_position_bias",
    "RotaryEmbedding": "keras_attn.layers.rotary_embedding",
    "Seq2Seq": "keras_attn.models.seq2seq",
    "SinusoidalPositions": "keras_attn.layers.sinusoidal_positions",
    "SmoothedCrossentropy": "keras_attn.models.smoothed_crossentropy",
    "SpectralConv": "keras_attn.layers.spectral_conv",
    "TopKPooling": "keras_attn.layers.top_k_pooling",
    "Transformer": "keras_attn.models.transformer",
    "TransformerBlock": "keras_attn.layers.transformer_block",
    "TransformerDecoder": "keras_attn.models.transformer_decoder",
    "TransformerDecoderBlock": "keras_attn.layers.transformer_decoder_block",
    "TransformerEncoder": "keras_attn.models.transformer_encoder",
}
_PACKAGES = (
    "data",
    "decoding",
    "distribution",
    "layers",
    "lora",
    "migration",
    "models",
    "ops",
    "plotting",
    "serving",
)
__all__ = sorted(_MODULES)


def __getattr__(name: str) -> Any:
    if name == "__version__":
        value = import_module("importlib.metadata").version("keras-attn")
    elif name in _MODULES:
        value = getattr(import_module(_MODULES[name]), name)
    elif name in _PACKAGES:
        value = import_module(f"{__name__}.{name}")
    else:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    globals()[name] = value  # the next access does not come here
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__, *_PACKAGES, "__version__"})


register_with_keras(__name__, _MODULES)
