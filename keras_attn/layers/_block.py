"""What the blocks of encoder and decoder have in common."""

import keras

from keras_attn.layers._checks import check_counts, check_rates
from keras_attn.layers._dropout import Dropout
from keras_attn.layers._feed_forward import FeedForward
from keras_attn.layers._head_positions import get_positions, serialize_positions
from keras_attn.layers._normalization import NORMALIZATIONS, normalization_layer
from keras_attn.layers._projecting import ProjectingLayer
from keras_attn.layers.multi_head_self_attention import MultiHeadSelfAttention


class Block(ProjectingLayer):
    """Self-attention and feed-forward, with residuals, norms and dropout around them.

    The arguments are described where a subclass documents them.
    """

    def __init__(
        self,
        num_heads,
        intermediate_dim,
        key_dim=None,
        num_key_value_heads=None,
        activation="relu",
        gated=False,
        dropout=0.0,
        stochastic_depth=0.0,
        normalize_first=True,
        normalization="layer",
        epsilon=1e-5,
        positions=None,
        window=None,
        query_key_norm=False,
        use_bias=True,
        implementation="auto",
        kernel_initializer="glorot_uniform",
        bias_initializer="zeros",
        kernel_regularizer=None,
        bias_regularizer=None,
        kernel_constraint=None,
        bias_constraint=None,
        seed=None,
        **kwargs,
    ):
        super().__init__(
            use_bias,
            kernel_initializer,
            bias_initializer,
            kernel_regularizer,
            bias_regularizer,
            kernel_constraint,
            bias_constraint,
            **kwargs,
        )
        check_counts(num_heads=num_heads, intermediate_dim=intermediate_dim)
        if normalization not in NORMALIZATIONS:
            raise ValueError(
                f"`normalization` must be one of {tuple(NORMALIZATIONS)}. "
                f"Received: normalization={normalization!r}"
            )
        check_rates(dropout=dropout, stochastic_depth=stochastic_depth)
        self.supports_masking = True
        self.num_heads = num_heads
        self.intermediate_dim = intermediate_dim
        self.key_dim = key_dim
        self.num_key_value_heads = num_key_value_heads
        self.activation = keras.activations.get(activation)
        self.gated = gated
        self.dropout = dropout
        self.stochastic_depth = stochastic_depth
        self.normalize_first = normalize_first
        self.normalization = normalization
        self.epsilon = epsilon
        self.positions = get_positions(positions)
        self.window = window
        self.query_key_norm = query_key_norm
        self.implementation = implementation
        self.seed = seed

    def _attention(self, kind, name, dim, **options):
        """An attention layer of the block's heads for a stream of width `dim`."""
        key_dim = self.key_dim
        if key_dim is None:
            if dim % self.num_heads:
                raise ValueError(
                    "`num_heads` must divide the width of the inputs, or `key_dim` be "
                    f"given. Received: num_heads={self.num_heads}, width {dim}"
                )
            key_dim = dim // self.num_heads
        return kind(
            self.num_heads,
            key_dim,
            num_key_value_heads=self.num_key_value_heads,
            dropout=self.dropout,
            query_key_norm=self.query_key_norm,
            implementation=self.implementation,
            seed=self.seed,
            name=name,
            **options,
            **self._projection_arguments(),
        )

    def _projection_arguments(self):
        names = ("kernel", "bias")
        return {
            "use_bias": self.use_bias,
            "dtype": self.dtype_policy,
            **{
                f"{name}_{kind}": getattr(self, f"{name}_{kind}")
                for name in names
                for kind in ("initializer", "regularizer", "constraint")
            },
        }

    def _build_block(self, inputs_shape):
        self._dim = inputs_shape[-1]
        self.self_attention = self._attention(
            MultiHeadSelfAttention,
            "self_attention",
            self._dim,
            positions=self.positions,
            window=self.window,
        )
        self.self_attention.build(inputs_shape)
        self.feed_forward = FeedForward(
            self.intermediate_dim,
            self.activation,
            self.gated,
            self.dropout,
            self.seed,
            name="feed_forward",
            **self._projection_arguments(),
        )
        self.feed_forward.build(inputs_shape)
        self.self_attention_norm = self._norm("self_attention_norm", inputs_shape)
        self.feed_forward_norm = self._norm("feed_forward_norm", inputs_shape)
        self.residual_dropout = self._drop("residual_dropout", self.dropout)
        self.depth_dropout = self._drop(
            "depth_dropout", self.stochastic_depth, noise_shape=(None, 1, 1)
        )

    def _norm(self, name, shape):
        norm = normalization_layer(
            self.normalization,
            epsilon=self.epsilon,
            dtype=self.dtype_policy,
            name=name,
        )
        norm.build(shape)
        return norm

    def _drop(self, name, rate, **options):
        return Dropout(
            rate, seed=self.seed, dtype=self.dtype_policy, name=name, **options
        )

    def _residual(self, inputs, norm, sublayer, training):
        """`inputs` plus what `sublayer` makes of them, and what else it returns."""
        outputs = sublayer(norm(inputs) if self.normalize_first else inputs)
        change, *rest = outputs if isinstance(outputs, tuple) else (outputs,)
        change = self.residual_dropout(change, training=training)
        outputs = inputs + self.depth_dropout(change, training=training)
        return outputs if self.normalize_first else norm(outputs), rest

    def make_cache(self, batch_size, max_length):
        """Room for `max_length` steps, see `MultiHeadSelfAttention.make_cache`."""
        return self.self_attention.make_cache(batch_size, max_length)

    def get_config(self):
        names = (
            "num_heads",
            "intermediate_dim",
            "key_dim",
            "num_key_value_heads",
            "gated",
            "dropout",
            "stochastic_depth",
            "normalize_first",
            "normalization",
            "epsilon",
            "window",
            "query_key_norm",
            "implementation",
            "seed",
        )
        return {
            **super().get_config(),
            **{name: getattr(self, name) for name in names},
            "activation": keras.activations.serialize(self.activation),
            "positions": serialize_positions(self.positions),
        }
