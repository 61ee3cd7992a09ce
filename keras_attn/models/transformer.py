import keras
from keras import ops

from keras_attn.models._begun import Begun
from keras_attn.models._stack import Stack, check_arguments, logits_layer
from keras_attn.models._token_ids import TokenIds, check_token_ids
from keras_attn.models._translator import Translator


@keras.saving.register_keras_serializable("keras_attn")
class Transformer(Translator):
    """The encoder-decoder of "Attention is all you need".

    A functional model on `{"source", "target"}`, two int32 tensors `(batch, time)`
    of token ids with 0 as padding. `target` is what the decoder reads, the start
    token and then the right answer up to the step before (teacher forcing); the
    output is one row of logits for each of its steps, `(batch, time,
    target_vocabulary_size)`, and carries the mask of the target.

    Args:
        source_vocabulary_size: Int, number of source token ids.
        target_vocabulary_size: Int, number of target token ids.
        num_layers: Int, number of blocks of the encoder and of the decoder.
        model_dim: Int, width of the stream; `num_heads` must divide it.
        num_heads: Int.
        intermediate_dim: Int, width inside the feed-forward.
        dropout: Float in [0, 1).
        positions: `"sinusoidal"` or `"learned"`, added to the embeddings; `"rotary"`
            or `"alibi"`, inside the self-attention.
        activation: Activation inside the feed-forward.
        gated: Bool. Gates the feed-forward.
        normalize_first: Bool. Whether the norms come before the sublayers.
        normalization: `"layer"` or `"rms"`.
        scheduled_sampling: Float in [0, 1], or a `keras.optimizers.schedules` schedule
            of it: the share of the target's tokens that training replaces by what the
            model itself would write there.
        start_token_id: Int, the token before the first one.
        end_token_id: Int, the token that ends a target.
        max_length: Int, number of tokens that decoding writes at the most, and of
            learned positions.
        dtype: Dtype or dtype policy of all layers.
        **kwargs: Forwarded to `keras.Model` (`name`, `trainable`).

    Example:
        >>> model = keras_attn.Transformer(8000, 8000)
        >>> model.compile(
        ...     "adam",
        ...     keras.losses.SparseCategoricalCrossentropy(from_logits=True),
        ...     jit_compile=True,
        ... )
        >>> model.fit({"source": source, "target": shifted}, labels)
        >>> model.decode(source)["tokens"]

    Reference:
        Vaswani et al., 2017, https://arxiv.org/abs/1706.03762. Mihaylova and Martins,
        2019, https://arxiv.org/abs/1906.07651 (scheduled sampling).
    """

    arguments = (
        "source_vocabulary_size",
        "target_vocabulary_size",
        "num_layers",
        "model_dim",
        "num_heads",
        "intermediate_dim",
        "dropout",
        "positions",
        "activation",
        "gated",
        "normalize_first",
        "normalization",
        "scheduled_sampling",
        "start_token_id",
        "end_token_id",
        "max_length",
    )

    def __init__(
        self,
        source_vocabulary_size,
        target_vocabulary_size,
        num_layers=3,
        model_dim=256,
        num_heads=4,
        intermediate_dim=1024,
        dropout=0.0,
        positions="sinusoidal",
        activation="relu",
        gated=False,
        normalize_first=True,
        normalization="layer",
        scheduled_sampling=0.0,
        start_token_id=2,
        end_token_id=3,
        max_length=64,
        dtype=None,
        **kwargs,
    ):
        check_arguments(
            positions,
            num_layers=num_layers,
            model_dim=model_dim,
            max_length=max_length,
        )
        check_token_ids(
            target_vocabulary_size,
            start_token_id=start_token_id,
            end_token_id=end_token_id,
        )
        policy = keras.dtype_policies.get(dtype or keras.config.dtype_policy())

        def stack(name, vocabulary_size, reads_memory):
            return Stack(
                name,
                vocabulary_size,
                model_dim,
                positions,
                max_length,
                num_layers,
                dropout,
                reads_memory,
                policy,
                num_heads=num_heads,
                intermediate_dim=intermediate_dim,
                activation=activation,
                gated=gated,
                normalize_first=normalize_first,
                normalization=normalization,
            )

        encoder = stack("encoder", source_vocabulary_size, False)
        decoder = stack("decoder", target_vocabulary_size, True)
        logits = logits_layer(target_vocabulary_size, policy)
        source = keras.Input((None,), dtype="int32", name="source")
        target = keras.Input((None,), dtype="int32", name="target")
        source_mask = ops.not_equal(source, 0)
        memory = encoder(source, mask=source_mask)
        read = decoder(
            target,
            memory,
            inputs_mask=ops.not_equal(target, 0),
            memory_mask=source_mask,
        )
        inputs = {"source": source, "target": target}
        super().__init__(inputs, logits(read), **kwargs)
        self.encoder, self.decoder, self.logits = encoder, decoder, logits
        self.source_vocabulary_size = source_vocabulary_size
        self.target_vocabulary_size = target_vocabulary_size
        self.num_layers, self.model_dim = num_layers, model_dim
        self.num_heads, self.intermediate_dim = num_heads, intermediate_dim
        self.dropout, self.positions = dropout, positions
        self.activation, self.gated = activation, gated
        self.normalize_first = normalize_first
        self.normalization = normalization
        self.scheduled_sampling = scheduled_sampling
        self.start_token_id, self.end_token_id = start_token_id, end_token_id
        self.max_length = max_length
        self.policy = policy

    @property
    def token_ids(self):
        read, written = self.source_vocabulary_size, self.target_vocabulary_size
        return {
            "source": TokenIds(read, self.encoder.most_steps),
            "target": TokenIds(written, self.decoder.most_steps),
        }

    def encode(self, source):
        """Reads the source, in inference.

        Args:
            source: int32 tensor `(batch, source_time)`, 0 is padding.

        Returns:
            The memory `(batch, source_time, model_dim)` and its bool mask.
        """
        mask = ops.not_equal(source, 0)
        return self.encoder(source, mask=mask), mask

    def begin(self, source, *, max_length):
        """The decoder reads each token once: keys and values of earlier ones are kept.

        The scores are the last block's, averaged over its heads.
        """
        self.decoder.check_steps(max_length)
        memory, mask = self.encode(source)
        projected = [b.project_memory(memory, mask) for b in self.decoder.blocks]
        rows = ops.shape(source)[0]

        def step(last, states, constants):
            caches, position = states
            *memory, mask = constants
            stream, caches, scores = self.decoder.step(
                last[:, None], caches, position, memory, memory_mask=mask
            )
            scores = ops.mean(scores, axis=1)[:, 0]
            logits = self.logits(stream)[:, 0]
            return logits, [caches, position + 1], {"attention_scores": scores}

        states = [
            self.decoder.make_caches(rows, max_length),
            ops.zeros((rows,), "int32"),
        ]
        emitted = {"attention_scores": memory[..., 0]}
        return Begun(step, states, emitted, (memory, projected, mask), mask)
