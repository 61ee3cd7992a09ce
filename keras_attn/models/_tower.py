"""A Transformer of one tower: the part that reads token ids."""

import keras
from keras import ops

from keras_attn.models._configured import ConfiguredModel
from keras_attn.models._stack import Stack, check_arguments


class Tower(ConfiguredModel):
    """A functional model on int32 token ids `(batch, time)` with 0 as padding.

    The arguments are described where a subclass documents them.
    """

    arguments = (
        "vocabulary_size",
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
        "max_length",
    )

    def __init__(
        self,
        vocabulary_size,
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
        max_length=512,
        dtype=None,
        **kwargs,
    ):
        check_arguments(
            positions,
            vocabulary_size=vocabulary_size,
            num_layers=num_layers,
            model_dim=model_dim,
            max_length=max_length,
        )
        policy = keras.dtype_policies.get(dtype or keras.config.dtype_policy())
        stack = Stack(
            "tokens",
            vocabulary_size,
            model_dim,
            positions,
            max_length,
            num_layers,
            dropout,
            False,
            policy,
            num_heads=num_heads,
            intermediate_dim=intermediate_dim,
            activation=activation,
            gated=gated,
            normalize_first=normalize_first,
            normalization=normalization,
        )
        tokens = keras.Input((None,), dtype="int32", name="tokens")
        mask = ops.not_equal(tokens, 0)
        head = self.make_head(vocabulary_size, policy)
        stream = stack(tokens, mask=mask, use_causal_mask=self.is_causal)
        super().__init__(tokens, head(stream) if head else stream, **kwargs)
        self.stack, self.head = stack, head
        self.vocabulary_size = vocabulary_size
        self.num_layers, self.model_dim = num_layers, model_dim
        self.num_heads, self.intermediate_dim = num_heads, intermediate_dim
        self.dropout, self.positions = dropout, positions
        self.activation, self.gated = activation, gated
        self.normalize_first = normalize_first
        self.normalization = normalization
        self.max_length = max_length
        self.policy = policy

    is_causal = False

    def make_head(self, vocabulary_size, policy):
        """The layer after the stream, or `None`."""
        return None
