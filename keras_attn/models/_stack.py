"""Embedding, blocks and norm: the tower that the Transformer models are made of."""

import math

import keras
from keras import layers, ops

from keras_attn.layers._checks import check_counts
from keras_attn.layers._dropout import Dropout
from keras_attn.layers._normalization import normalization_layer
from keras_attn.layers._quantized import policy_at
from keras_attn.layers.alibi_bias import AlibiBias
from keras_attn.layers.learned_positions import LearnedPositions
from keras_attn.layers.rotary_embedding import RotaryEmbedding
from keras_attn.layers.sinusoidal_positions import SinusoidalPositions
from keras_attn.layers.transformer_block import TransformerBlock
from keras_attn.layers.transformer_decoder_block import TransformerDecoderBlock

POSITIONS = ("sinusoidal", "learned", "rotary", "alibi")


def logits_layer(vocabulary_size, policy):
    """The layer after the last tower of a model that writes tokens."""
    return layers.Dense(
        vocabulary_size, dtype=policy_at(policy, "logits"), name="logits"
    )


class Stack:
    """The layers of one tower, and what is done with them.

    Args:
        name: Prefix of the layers' names.
        vocabulary_size: Int.
        model_dim: Int, width of the stream.
        positions: One of `POSITIONS`.
        max_length: Int, number of learned positions.
        num_layers: Int.
        dropout: Float.
        reads_memory: Bool. Whether the blocks attend to a memory.
        policy: Dtype policy.
        **block_arguments: Of the blocks.
    """

    def __init__(
        self,
        name,
        vocabulary_size,
        model_dim,
        positions,
        max_length,
        num_layers,
        dropout,
        reads_memory,
        policy,
        **block_arguments,
    ):
        self.embedding = layers.Embedding(
            vocabulary_size,
            model_dim,
            embeddings_initializer=keras.initializers.RandomNormal(
                stddev=1.0 / math.sqrt(model_dim)
            ),
            mask_zero=True,
            dtype=policy_at(policy, f"{name}_embedding"),
            name=f"{name}_embedding",
        )
        self.rescaling = layers.Rescaling(
            math.sqrt(model_dim), dtype=policy, name=f"{name}_rescaling"
        )
        self.most_steps = max_length if positions == "learned" else None
        self.added_positions = None
        if positions == "sinusoidal":
            self.added_positions = SinusoidalPositions(
                dtype=policy, name=f"{name}_positions"
            )
        elif positions == "learned":
            self.added_positions = LearnedPositions(
                max_length, dtype=policy, name=f"{name}_positions"
            )
        self.dropout = Dropout(dropout, dtype=policy, name=f"{name}_dropout")
        inner = {"rotary": RotaryEmbedding, "alibi": AlibiBias}.get(positions)
        kind = TransformerDecoderBlock if reads_memory else TransformerBlock
        self.blocks = [
            kind(
                dropout=dropout,
                positions=inner(dtype=policy) if inner else None,
                dtype=policy,
                name=f"{name}_block_{index}",
                **block_arguments,
            )
            for index in range(num_layers)
        ]
        self.norm = normalization_layer(
            block_arguments["normalization"],
            epsilon=1e-5,
            dtype=policy,
            name=f"{name}_norm",
        )

    def embed(self, tokens, positions=None):
        """`(b, t)` ids -> `(b, t, model_dim)`, with the Keras mask of the padding."""
        embedded = self.rescaling(self.embedding(tokens))
        if self.added_positions is not None:
            embedded = self.added_positions(embedded, positions=positions)
        return self.dropout(embedded)

    def __call__(self, tokens, *memory, **arguments):
        """Runs the tower, every block with the same further arguments."""
        stream = self.embed(tokens)
        for block in self.blocks:
            stream = block(stream, *memory, **arguments)
        return self.norm(stream)

    def step(self, tokens, caches, positions, memory=None, **arguments):
        """Runs the tower for new tokens after those in the caches, in inference.

        Args:
            tokens: Int32 `(b, t)`.
            caches: A cache for each block.
            positions: Int32 `(b,)`, where the new tokens begin.
            memory: For blocks that read one, what they all take of it: the memory,
                and for each block the projected one.
            **arguments: Of every block.

        Returns:
            The stream `(b, t, model_dim)`, the caches, and the last block's weights
            on the memory, `(b, heads, t, slots)`, or `None`.
        """
        steps = ops.shape(tokens)[1]
        places = positions[:, None] + ops.arange(steps, dtype="int32")[None]
        stream = self.embed(tokens, places)
        new_caches, scores = [], None
        for index, (block, cache) in enumerate(zip(self.blocks, caches, strict=True)):
            common = {"cache": cache, "cache_positions": positions, **arguments}
            if memory is None:
                stream, cache = block(stream, **common)
            else:
                tensor, projected = memory
                stream, _, scores, cache = block(
                    stream,
                    tensor,
                    projected_memory=projected[index],
                    return_attention_scores=True,
                    **common,
                )
            new_caches.append(cache)
        return self.norm(stream), new_caches, scores

    def check_steps(self, steps):
        """Raises unless the tower has positions for so many tokens."""
        if self.most_steps is not None and steps > self.most_steps:
            raise ValueError(
                f"There are learned positions for max_length={self.most_steps} tokens. "
                f"Received: {steps} tokens to be read"
            )

    def make_caches(self, batch_size, max_length):
        return [block.make_cache(batch_size, max_length) for block in self.blocks]


def check_arguments(positions, **counts):
    """Raises unless the arguments that all Transformer models share can be."""
    if positions not in POSITIONS:
        raise ValueError(
            f"`positions` must be one of {POSITIONS}. Received: positions={positions!r}"
        )
    check_counts(**counts)
