"""What models share that read no text and write some: all but what reads."""

import keras
from keras import ops

from keras_attn.layers._checks import check_counts
from keras_attn.models._encoder_decoder import EncoderDecoder
from keras_attn.models._token_ids import check_token_ids
from keras_attn.models._writer import Bridge, Writer, attentive_decoder


class Reader(EncoderDecoder):
    """An attentive LSTM that writes about a memory.

    Args:
        sources: Dict of the `keras.Input`s that are read.
        make_read: Function of the dtype policy that returns the function from tensors
            of the sources to a memory `(batch, *slots, dim)`, its bool mask and, if it
            is not the mean of the memory, what the decoder begins with, `(batch, dim)`.
        gate: Bool, see `AttentionDecoder`.
        attention_options: Optional dict of further arguments of `BahdanauAttention`.
        **arguments: Those that a subclass documents.
    """

    writing = (
        "vocabulary_size",
        "units",
        "embedding_dim",
        "dropout",
        "coverage",
        "scheduled_sampling",
        "start_token_id",
        "end_token_id",
        "max_length",
    )

    def __init__(
        self,
        sources,
        make_read,
        gate,
        vocabulary_size,
        units=256,
        embedding_dim=128,
        dropout=0.0,
        coverage=0.0,
        scheduled_sampling=0.0,
        start_token_id=2,
        end_token_id=3,
        max_length=32,
        attention_options=None,
        dtype=None,
        **kwargs,
    ):
        check_counts(units=units, embedding_dim=embedding_dim, max_length=max_length)
        check_token_ids(
            vocabulary_size, start_token_id=start_token_id, end_token_id=end_token_id
        )
        policy = keras.dtype_policies.get(dtype or keras.config.dtype_policy())
        read, bridge = make_read(policy), Bridge("lstm", units, policy)
        decoder = attentive_decoder(
            policy,
            "lstm",
            units,
            attention_options=attention_options,
            gate=gate,
            coverage=coverage,
        )
        writer = Writer(vocabulary_size, embedding_dim, decoder, dropout, policy)
        target = keras.Input((None,), dtype="int32", name="target")
        memory, mask, *summary = read(*sources.values())
        states = bridge.begin(memory, mask, *summary)
        logits = writer(target, memory, states, mask)
        super().__init__({**sources, "target": target}, logits, **kwargs)
        self.read, self.bridge, self.writer = read, bridge, writer
        self.vocabulary_size = vocabulary_size
        self.units, self.embedding_dim = units, embedding_dim
        self.dropout, self.coverage = dropout, coverage
        self.scheduled_sampling = scheduled_sampling
        self.start_token_id, self.end_token_id = start_token_id, end_token_id
        self.max_length = max_length
        self.policy = policy

    def begin(self, *source, max_length):
        memory, mask, *summary = self.read(*source)
        states = self.bridge.begin(memory, mask, *summary)
        return self.writer.begin(memory, states, mask)

    def serving_signatures(self, vocabulary=None, **options):
        """What a server offers of this model, for `keras_attn.serving.export`.

        All take what the model reads. `tokens` answers with ids, `serving_default`
        with text where there is a vocabulary, and `score` scores given targets. With
        the option `n_best` there is a signature of that name, which answers like
        `serving_default` with so many hypotheses of each row, best first.

        Args:
            vocabulary: Optional `keras_attn.data.Vocabulary` of the training.
            **options: How the server searches, see `decode`.

        Returns:
            Dict `{name: (function, {input: tf.TensorSpec})}`.
        """
        from keras_attn.models._writing_signatures import signatures

        return signatures(self, vocabulary, options)


def everywhere(memory):
    """The mask of a memory without padding, bool `(b, *slots)`."""
    return ops.ones_like(memory[..., 0], dtype="bool")
