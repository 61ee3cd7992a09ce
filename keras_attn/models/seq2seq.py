import keras
from keras import layers, ops

from keras_attn.layers._dropout import Dropout
from keras_attn.layers._quantized import policy_at
from keras_attn.layers._repeat_like import RepeatLike
from keras_attn.layers.attention_decoder import AttentionDecoder
from keras_attn.layers.bahdanau_attention import BahdanauAttention
from keras_attn.models._encoder_decoder import Begun, EncoderDecoder, check_token_ids

CONTEXTS = ("attention", "repeated_state", "last_state")
CELLS = {
    "gru": (layers.GRUCell, layers.GRU),
    "lstm": (layers.LSTMCell, layers.LSTM),
}


@keras.saving.register_keras_serializable("keras_attn")
class Seq2Seq(EncoderDecoder):
    """Recurrent encoder-decoder with one of the three contexts of the literature.

    A bidirectional encoder reads the source; the decoder starts from its last states
    and writes the target. `context` decides on what else the decoder sees:

    - `"last_state"`: nothing (Sutskever et al., 2014).
    - `"repeated_state"`: the encoder's last state again at every step (Cho et al.,
      2014).
    - `"attention"`: all encoder states, through `BahdanauAttention` (Bahdanau et al.,
      2015).

    A functional model on `{"source", "target"}`, two int32 tensors `(batch, time)`
    of token ids with 0 as padding. `target` is what the decoder reads, the start
    token and then the right answer up to the step before (teacher forcing); the
    output is one row of logits for each of its steps, `(batch, time,
    target_vocabulary_size)`, and carries the mask of the target.

    Args:
        source_vocabulary_size: Int, number of source token ids.
        target_vocabulary_size: Int, number of target token ids.
        units: Int, width of the encoder in each direction, of the decoder and of the
            alignment model.
        embedding_dim: Int, width of the embeddings and of the readout.
        context: `"attention"`, `"repeated_state"` or `"last_state"`.
        cell: `"gru"` or `"lstm"`.
        alignment: Alignment of the `BahdanauAttention`.
        attend: `"before"` or `"after"` the cell, see `AttentionDecoder`.
        dropout: Float in [0, 1), on embeddings and readout.
        start_token_id: Int, the token before the first one.
        end_token_id: Int, the token that ends a target.
        max_length: Int, number of tokens that decoding writes at the most.
        dtype: Dtype or dtype policy of all layers.
        **kwargs: Forwarded to `keras.Model` (`name`, `trainable`).

    Example:
        >>> model = keras_attn.Seq2Seq(8000, 8000)
        >>> model.compile(
        ...     "adam",
        ...     keras.losses.SparseCategoricalCrossentropy(from_logits=True),
        ...     jit_compile=True,
        ... )
        >>> model.fit({"source": source, "target": shifted}, labels)
        >>> model.decode(source)["tokens"]

    Reference:
        Sutskever et al., 2014, https://arxiv.org/abs/1409.3215. Cho et al., 2014,
        https://arxiv.org/abs/1406.1078. Bahdanau et al., 2015,
        https://arxiv.org/abs/1409.0473.
    """

    arguments = (
        "source_vocabulary_size",
        "target_vocabulary_size",
        "units",
        "embedding_dim",
        "context",
        "cell",
        "alignment",
        "attend",
        "dropout",
        "start_token_id",
        "end_token_id",
        "max_length",
    )

    def __init__(
        self,
        source_vocabulary_size,
        target_vocabulary_size,
        units=256,
        embedding_dim=256,
        context="attention",
        cell="gru",
        alignment="additive",
        attend="before",
        dropout=0.0,
        start_token_id=2,
        end_token_id=3,
        max_length=64,
        dtype=None,
        **kwargs,
    ):
        if context not in CONTEXTS:
            raise ValueError(
                f"`context` must be one of {CONTEXTS}. Received: context={context!r}"
            )
        if cell not in CELLS:
            raise ValueError(
                f"`cell` must be one of {tuple(CELLS)}. Received: cell={cell!r}"
            )
        check_token_ids(
            target_vocabulary_size,
            start_token_id=start_token_id,
            end_token_id=end_token_id,
        )
        policy = keras.dtype_policies.get(dtype or keras.config.dtype_policy())
        make_cell, make_recurrence = CELLS[cell]

        def embedding(name, size):
            own = policy_at(policy, name)
            return layers.Embedding(
                size, embedding_dim, mask_zero=True, dtype=own, name=name
            )

        def dense(name, size, activation=None):
            own = policy_at(policy, name)
            return layers.Dense(size, activation, dtype=own, name=name)

        def drop(name):
            return Dropout(dropout, dtype=policy, name=f"{name}_dropout")

        source_embedding = embedding("source_embedding", source_vocabulary_size)
        target_embedding = embedding("target_embedding", target_vocabulary_size)
        encoder = layers.Bidirectional(
            make_recurrence(
                units,
                return_sequences=True,
                return_state=True,
                use_cudnn=False,  # cuDNN would switch XLA off for the whole model
                dtype=policy,
            ),
            dtype=policy,
            name="encoder",
        )
        bridges = [dense("bridge_output", units, "tanh")]
        if cell == "lstm":
            bridges.append(dense("bridge_carry", units))
        decoder_cell = make_cell(units, dtype=policy, name="cell")
        if context == "attention":
            attention = BahdanauAttention(
                units, alignment, dtype=policy, name="attention"
            )
            decoder = AttentionDecoder(
                decoder_cell, attention, attend, dtype=policy, name="decoder"
            )
        else:
            decoder = layers.RNN(
                decoder_cell, return_sequences=True, dtype=policy, name="decoder"
            )
        join = layers.Concatenate(dtype=policy, name="join")  # unlike ops, keeps masks
        readout = dense("readout", embedding_dim, "tanh")
        readout_dropout = drop("readout")
        logits = dense("logits", target_vocabulary_size)

        source = keras.Input((None,), dtype="int32", name="source")
        target = keras.Input((None,), dtype="int32", name="target")
        source_mask, target_mask = ops.not_equal(source, 0), ops.not_equal(target, 0)
        embedded = drop("source")(source_embedding(source))
        memory, *last = encoder(embedded, mask=source_mask)
        summaries = [ops.concatenate(pair, axis=-1) for pair in _pair_directions(last)]
        states = [
            bridge(summary) for bridge, summary in zip(bridges, summaries, strict=True)
        ]
        embedded = drop("target")(target_embedding(target))
        repeated = []
        if context == "repeated_state":
            repeated = [RepeatLike(dtype=policy, name="repeat")(embedded, summaries[0])]
        if context == "attention":
            outputs = decoder(
                embedded,
                memory,
                initial_state=states,
                inputs_mask=target_mask,
                memory_mask=source_mask,
            )
        else:
            inputs = join([embedded, *repeated]) if repeated else embedded
            outputs = decoder(inputs, initial_state=states, mask=target_mask)
        read = readout_dropout(readout(join([outputs, *repeated, embedded])))
        inputs = {"source": source, "target": target}
        super().__init__(inputs, logits(read), **kwargs)

        self.source_embedding, self.target_embedding = (
            source_embedding,
            target_embedding,
        )
        self.encoder, self.bridges, self.decoder = encoder, bridges, decoder
        self.readout, self.logits = readout, logits
        self.source_vocabulary_size = source_vocabulary_size
        self.target_vocabulary_size = target_vocabulary_size
        self.units, self.embedding_dim = units, embedding_dim
        self.context, self.cell = context, cell
        self.alignment, self.attend = alignment, attend
        self.dropout = dropout
        self.start_token_id, self.end_token_id = start_token_id, end_token_id
        self.max_length = max_length
        self.policy = policy

    def encode(self, source):
        """Reads the source, in inference.

        Args:
            source: int32 tensor `(batch, source_time)`, 0 is padding.

        Returns:
            The encoder states, `(batch, source_time, 2 * units)`, their bool mask
            `(batch, source_time)`, the summary that `"repeated_state"` repeats,
            `(batch, 2 * units)`, and the list of the decoder's first states.
        """
        mask = ops.not_equal(source, 0)
        memory, *last = self.encoder(self.source_embedding(source), mask=mask)
        summaries = [ops.concatenate(pair, axis=-1) for pair in _pair_directions(last)]
        states = [
            bridge(each) for bridge, each in zip(self.bridges, summaries, strict=True)
        ]
        return memory, mask, summaries[0], states

    def begin(self, source, max_length):
        memory, mask, summary, states = self.encode(source)
        if self.context == "attention":
            key = self.decoder.attention.project_key(memory, mask)
            emitted = {"attention_scores": memory[..., 0]}
            return Begun(self._read, states, emitted, (memory, key, mask), mask)
        repeated = [summary] if self.context == "repeated_state" else None
        return Begun(self._write, states, {}, repeated, None)

    def _read(self, last, states, constants):
        """A step with attention."""
        embedded = self._embed(last)
        output, weights, states = self.decoder.step(embedded, states, *constants)
        logits = self._read_out([output, embedded])
        return logits, states, {"attention_scores": weights}

    def _write(self, last, states, repeated=()):
        """A step without attention."""
        embedded = self._embed(last)
        inputs = ops.concatenate([embedded, *repeated], axis=-1)
        output, states = self.decoder.cell(inputs, states)
        return self._read_out([output, *repeated, embedded]), list(states), {}

    def _embed(self, last):
        # Looked up as a sequence of one: slicing drops the embedding's mask.
        return self.target_embedding(last[:, None])[:, 0]

    def _read_out(self, parts):
        return self.logits(self.readout(ops.concatenate(parts, axis=-1)))


def _pair_directions(states):
    """States as `Bidirectional` returns them -> one (forward, backward) for each."""
    half = len(states) // 2
    return list(zip(states[:half], states[half:], strict=True))
