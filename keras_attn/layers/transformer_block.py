import keras

from keras_attn.layers._block import Block
from keras_attn.layers._checks import check_mask, check_rank, check_width
from keras_attn.ops.memory import zero_masked


@keras.saving.register_keras_serializable("keras_attn")
class TransformerBlock(Block):
    """One block of a Transformer encoder, or of a decoder-only model.

    `x + attention(norm(x))`, then `x + feed_forward(norm(x))`; with
    `normalize_first=False` the norm comes after the sum, as in the paper.

    Args:
        num_heads: Int.
        intermediate_dim: Int, width inside the feed-forward.
        key_dim: Int, width of a head. Defaults to the width of the inputs over
            `num_heads`, which must divide it.
        num_key_value_heads: Int that divides `num_heads`. Defaults to `num_heads`.
        activation: Activation inside the feed-forward.
        gated: Bool. Gates the feed-forward, as in GLU variants: with
            `activation="silu"` it is SwiGLU.
        dropout: Float in [0, 1), on attention weights, inside the feed-forward and
            on what is added to the residual.
        stochastic_depth: Float in [0, 1), share of rows for which a sublayer is
            skipped in training.
        normalize_first: Bool. Whether the norms come before the sublayers.
        normalization: `"layer"` or `"rms"`.
        epsilon: Float, of the norms.
        positions, window, query_key_norm, implementation: See
            `MultiHeadSelfAttention`.
        use_bias: Bool. Adds biases to all projections.
        kernel_initializer, bias_initializer, kernel_regularizer, bias_regularizer,
            kernel_constraint, bias_constraint: Of all projections.
        seed: Int, seed of all dropout.
        **kwargs: Forwarded to `keras.layers.Layer`.

    Call arguments:
        inputs: Tensor `(batch, time, dim)`.
        mask, attention_mask, bias, cache, cache_positions, return_attention_scores,
            use_causal_mask, training: See `MultiHeadSelfAttention`.

    Returns:
        Tensor `(batch, time, dim)`, zeros at masked steps; with
        `return_attention_scores=True` then the weights, with a cache then the new
        one.

    Example:
        >>> block = keras_attn.TransformerBlock(num_heads=8, intermediate_dim=1024)
        >>> outputs, scores = block(inputs, return_attention_scores=True)

    Reference:
        Vaswani et al., 2017, https://arxiv.org/abs/1706.03762, section 3.1. Xiong et
        al., 2020, https://arxiv.org/abs/2002.04745 (norm first). Huang et al., 2016,
        https://arxiv.org/abs/1603.09382 (stochastic depth).
    """

    def build(self, inputs_shape):
        self._build_block(inputs_shape)

    def call(
        self,
        inputs,
        mask=None,
        attention_mask=None,
        bias=None,
        cache=None,
        cache_positions=None,
        return_attention_scores=False,
        use_causal_mask=False,
        training=None,
    ):
        check_rank("inputs", inputs.shape, (3,), "(batch, time, dim)")
        check_width("inputs", inputs.shape, self._dim)
        if mask is None:  # Keras fills it in for a single tensor argument only
            mask = getattr(inputs, "_keras_mask", None)
        check_mask("mask", mask, inputs.shape[:-1])

        def attend(x):
            return self.self_attention(
                x,
                mask=mask,
                attention_mask=attention_mask,
                bias=bias,
                cache=cache,
                cache_positions=cache_positions,
                return_attention_scores=return_attention_scores,
                use_causal_mask=use_causal_mask,
                training=training,
            )

        x = zero_masked(inputs, mask)
        x, rest = self._residual(x, self.self_attention_norm, attend, training)
        x, _ = self._residual(
            x,
            self.feed_forward_norm,
            lambda x: self.feed_forward(x, training=training),
            training,
        )
        x = zero_masked(x, mask)
        return (x, *rest) if rest else x
