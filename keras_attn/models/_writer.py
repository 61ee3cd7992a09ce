"""The half of a model that writes: embedding, decoder, readout."""

import keras
from keras import layers, ops

from keras_attn.layers._dropout import Dropout
from keras_attn.layers._quantized import policy_at
from keras_attn.layers.attention_decoder import AttentionDecoder
from keras_attn.layers.bahdanau_attention import BahdanauAttention
from keras_attn.models._begun import Begun
from keras_attn.ops.memory import zero_masked

CELLS = {"gru": layers.GRUCell, "lstm": layers.LSTMCell}


class Writer:
    """Writes tokens with a recurrent decoder, most often one that reads a memory.

    Args:
        vocabulary_size: Int, number of token ids.
        embedding_dim: Int, width of the embedding and of the readout.
        decoder: An `AttentionDecoder`, or a layer whose `cell` is called by the user.
        dropout: Float, on embedding and readout.
        policy: Dtype policy.
    """

    def __init__(self, vocabulary_size, embedding_dim, decoder, dropout, policy):
        self.policy = policy
        self.embedding = layers.Embedding(
            vocabulary_size,
            embedding_dim,
            mask_zero=True,
            dtype=policy_at(policy, "target_embedding"),
            name="target_embedding",
        )
        self.dropout = Dropout(dropout, dtype=policy, name="target_dropout")
        self.decoder = decoder
        # Unlike `ops.concatenate` the layer keeps masks.
        self.join = layers.Concatenate(dtype=policy, name="join")
        self.readout = dense(policy, "readout", embedding_dim, "tanh")
        self.readout_dropout = Dropout(dropout, dtype=policy, name="readout_dropout")
        self.logits = dense(policy, "logits", vocabulary_size)

    def __call__(
        self,
        target,
        memory,
        states,
        memory_mask=None,
        return_choice=False,
        training=None,
    ):
        """Logits `(b, t, ids)` of what comes after each token of the target.

        On request in a dict with the `log_prob` and `entropy` of hard attention.
        """
        embedded = self.embed(target, training)
        outputs = self.decoder(
            embedded,
            memory,
            initial_state=states,
            inputs_mask=ops.not_equal(target, 0),
            memory_mask=memory_mask,
            return_choice=return_choice,
            training=training,
        )
        if return_choice:
            outputs, choice = outputs
            logits = self.read_out([outputs, embedded], training)
            return {"logits": logits, **choice}
        return self.read_out([outputs, embedded], training)

    def begin(self, memory, states, mask):
        """What a search needs; `mask` is bool `(b, *memory)`."""
        key = self.decoder.attention.project_key(memory, mask)
        emitted = {"attention_scores": memory[..., 0]}
        return Begun(self._step, states, emitted, (memory, key, mask), mask)

    def _step(self, last, states, constants):
        embedded = self.embed_one(last)
        output, weights, states = self.decoder.step(embedded, states, *constants)
        logits = self.read_out([output, embedded])
        return logits, states, {"attention_scores": weights}

    def embed(self, tokens, training=None):
        return self.dropout(self.embedding(tokens), training=training)

    def embed_one(self, tokens):
        """`(b,)` ids -> `(b, embedding_dim)`."""
        # Looked up as a sequence of one: slicing drops the embedding's mask.
        return self.embedding(tokens[:, None])[:, 0]

    def read_out(self, parts, training=None):
        read = self.readout(self.join(parts))
        return self.logits(self.readout_dropout(read, training=training))


def attentive_decoder(
    policy,
    cell,
    units,
    alignment="additive",
    attend="before",
    attention_options=None,
    **options,
):
    """An `AttentionDecoder` with a cell and an alignment of one width.

    Args:
        attention_options: Optional dict of further arguments of `BahdanauAttention`.
        **options: Those of `AttentionDecoder`.
    """
    return AttentionDecoder(
        CELLS[cell](units, dtype=policy, name="cell"),
        BahdanauAttention(
            units,
            alignment,
            **(attention_options or {}),
            dtype=policy,
            name="attention",
        ),
        attend,
        **options,
        dtype=policy,
        name="decoder",
    )


class Bridge:
    """The first states of a decoder, from a summary of what it will read.

    Args:
        cell: `"gru"` or `"lstm"`, which has a second state.
        units: Int, width of a state.
        policy: Dtype policy.
    """

    def __init__(self, cell, units, policy):
        self.layers = [dense(policy, "bridge_output", units, "tanh")]
        if cell == "lstm":
            self.layers.append(dense(policy, "bridge_carry", units))

    def __call__(self, summaries):
        """A state of each of the summaries, which are one for each state."""
        return [
            layer(summary)
            for layer, summary in zip(self.layers, summaries, strict=True)
        ]

    def begin(self, memory, mask, summary=None):
        """All states from one summary, by default the mean of the kept slots."""
        if summary is None:
            axes = tuple(range(1, len(memory.shape) - 1))
            count = ops.sum(ops.cast(mask, memory.dtype), axis=axes)[..., None]
            summary = ops.sum(zero_masked(memory, mask), axis=axes)
            summary = summary / ops.maximum(count, 1.0)
        return self([summary] * len(self.layers))


def dense(policy, name, units, activation=None):
    return keras.layers.Dense(
        units, activation, dtype=policy_at(policy, name), name=name
    )
