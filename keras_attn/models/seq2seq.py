import keras
from keras import layers, ops

from keras_attn.layers._dropout import Dropout
from keras_attn.layers._quantized import policy_at
from keras_attn.layers._repeat_like import RepeatLike
from keras_attn.models._begun import Begun
from keras_attn.models._both_ways import BothWays
from keras_attn.models._token_ids import check_token_ids
from keras_attn.models._translator import Translator
from keras_attn.models._writer import CELLS, Bridge, Writer, attentive_decoder

CONTEXTS = ("attention", "repeated_state", "last_state")
RECURRENCES = {"gru": layers.GRU, "lstm": layers.LSTM}


@keras.saving.register_keras_serializable("keras_attn")
class Seq2Seq(Translator):
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
        coverage: Float, at least 0. Weight of the `AttentionDecoder`'s term that wants
            all of the source read.
        scheduled_sampling: Float in [0, 1], or a `keras.optimizers.schedules` schedule
            of it: the share of the target's tokens that training replaces by what the
            model itself would write there.
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
        https://arxiv.org/abs/1409.0473. Bengio et al., 2015,
        https://arxiv.org/abs/1506.03099, and Mihaylova and Martins, 2019,
        https://arxiv.org/abs/1906.07651 (scheduled sampling, in two passes).
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
        "coverage",
        "scheduled_sampling",
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
        coverage=0.0,
        scheduled_sampling=0.0,
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
        if coverage and context != "attention":
            raise ValueError(
                '`coverage` needs context="attention". '
                f"Received: coverage={coverage}, context={context!r}"
            )
        policy = keras.dtype_policies.get(dtype or keras.config.dtype_policy())
        source_embedding = layers.Embedding(
            source_vocabulary_size,
            embedding_dim,
            mask_zero=True,
            dtype=policy_at(policy, "source_embedding"),
            name="source_embedding",
        )
        source_dropout = Dropout(dropout, dtype=policy, name="source_dropout")
        encoder = BothWays(RECURRENCES[cell], units, policy, "encoder")
        bridge = Bridge(cell, units, policy)
        if context == "attention":
            decoder = attentive_decoder(
                policy, cell, units, alignment, attend, coverage=coverage
            )
        else:
            decoder = layers.RNN(
                CELLS[cell](units, dtype=policy, name="cell"),
                return_sequences=True,
                dtype=policy,
                name="decoder",
            )
        writer = Writer(target_vocabulary_size, embedding_dim, decoder, dropout, policy)

        source = keras.Input((None,), dtype="int32", name="source")
        target = keras.Input((None,), dtype="int32", name="target")
        source_mask, target_mask = ops.not_equal(source, 0), ops.not_equal(target, 0)
        embedded = source_dropout(source_embedding(source))
        memory, summaries = encoder(embedded, mask=source_mask)
        states = bridge(summaries)
        if context == "attention":
            logits = writer(target, memory, states, source_mask)
        else:
            embedded, repeated = writer.embed(target), []
            if context == "repeated_state":
                repeat = RepeatLike(dtype=policy, name="repeat")
                repeated = [repeat(embedded, summaries[0])]
            inputs = writer.join([embedded, *repeated]) if repeated else embedded
            outputs = decoder(inputs, initial_state=states, mask=target_mask)
            logits = writer.read_out([outputs, *repeated, embedded])
        super().__init__({"source": source, "target": target}, logits, **kwargs)

        self.source_embedding, self.encoder, self.bridge = (
            source_embedding,
            encoder,
            bridge,
        )
        self.writer, self.decoder = writer, decoder
        self.source_vocabulary_size = source_vocabulary_size
        self.target_vocabulary_size = target_vocabulary_size
        self.units, self.embedding_dim = units, embedding_dim
        self.context, self.cell = context, cell
        self.alignment, self.attend = alignment, attend
        self.dropout, self.coverage = dropout, coverage
        self.scheduled_sampling = scheduled_sampling
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
        memory, summaries = self.encoder(self.source_embedding(source), mask=mask)
        return memory, mask, summaries[0], self.bridge(summaries)

    def begin(self, source, *, max_length):
        memory, mask, summary, states = self.encode(source)
        if self.context == "attention":
            return self.writer.begin(memory, states, mask)
        repeated = [summary] if self.context == "repeated_state" else None
        return Begun(self._step, states, {}, repeated, None)

    def _step(self, last, states, repeated=()):
        """A step without attention."""
        embedded = self.writer.embed_one(last)
        inputs = ops.concatenate([embedded, *repeated], axis=-1)
        output, states = self.decoder.cell(inputs, states)
        logits = self.writer.read_out([output, *repeated, embedded])
        return logits, list(states), {}
