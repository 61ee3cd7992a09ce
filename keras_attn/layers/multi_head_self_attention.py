import keras
from keras import ops

from keras_attn.layers._checks import check_mask, check_rank, check_width
from keras_attn.layers._multi_head import MultiHead, make_terms
from keras_attn.ops.memory import zero_masked


@keras.saving.register_keras_serializable("keras_attn")
class MultiHeadSelfAttention(MultiHead):
    """A sequence attends to itself, with several heads and one fused projection.

    One matrix makes queries, keys and values of the input; each head computes
    `softmax(q k^T / sqrt(key_dim)) v`; a last matrix joins the heads. Where the
    matrix of scores would be large it is never held: memory grows with the length,
    not with its square, and so does the time with `window`.

    Every option works with every other, save five pairs that raise a `ValueError`, all
    of an `implementation` that is asked for by name: `"window"` with a cache, with
    queries and keys of different lengths, or where the length is not known;
    `"chunked"` where the length is not known; `"native"` with what the backend's
    kernel has not, on torch dropout in training.

    Args:
        num_heads: Int.
        key_dim: Int, width of a head's queries and keys.
        value_dim: Int, width of a head's values. Defaults to `key_dim`.
        num_key_value_heads: Int that divides `num_heads`; so many heads of keys and
            values are shared by the heads of queries. Defaults to `num_heads`.
        output_dim: Int. Defaults to the width of the input.
        dropout: Float in [0, 1), share of the attention weights to drop in training.
        window: Int; a step sees this many steps to each side. `None` for all.
        positions: Optional `RotaryEmbedding`, `AlibiBias` or `RelativePositionBias`.
        query_key_norm: Bool. Normalises the queries and keys of a head to a root mean
            square of one, times a learned scale.
        use_bias: Bool. Adds biases to the projections.
        implementation: `"auto"`, or one of `"plain"`, `"chunked"`, `"window"` and
            `"native"` as `keras_attn.ops.dot_product_attention` describes them.
        kernel_initializer, bias_initializer: Initializers of the projections.
        kernel_regularizer, bias_regularizer: Regularizers of the same.
        kernel_constraint, bias_constraint: Constraints of the same.
        seed: Int, seed of the dropout.
        **kwargs: Forwarded to `keras.layers.Layer`.

    Call arguments:
        inputs: Tensor `(batch, time, dim)`.
        mask: Optional bool tensor `(batch, time)`. `False` steps are not seen and
            yield zeros. Defaults to the Keras mask of `inputs`.
        attention_mask: Optional bool tensor that broadcasts to `(batch, time, time)`
            or `(batch, heads, time, time)`, `True` = may see.
        bias: Optional tensor of the same shapes, added to the scores.
        cache: Optional dict of `make_cache` with the keys and values of earlier
            steps, which `inputs` go on from; implies `use_causal_mask`. Padding in
            `inputs` must be to the right: what it writes is overwritten by the next.
        cache_positions: Int tensor `(batch,)`, with `cache`: how many steps each row
            has in it. A step past its end yields zeros, or an error where that is
            known when the layer is called.
        return_attention_scores: Bool. Also return the weights.
        use_causal_mask: Bool. A step sees itself and what came before it.
        training: Bool. Whether dropout is active.

    Returns:
        Tensor `(batch, time, output_dim)`, zeros where a step is masked or sees
        nothing. With `return_attention_scores=True` then the weights `(batch, heads,
        time, time)` before dropout; with a cache then the new cache.

    Raises:
        ValueError: If an argument has the wrong rank, width, batch, mask or value.

    Example:
        >>> attention = keras_attn.MultiHeadSelfAttention(num_heads=8, key_dim=64)
        >>> output = attention(inputs, mask=mask, use_causal_mask=True)

    Reference:
        Vaswani et al., 2017, https://arxiv.org/abs/1706.03762, section 3.2.
        Ainslie et al., 2023, https://arxiv.org/abs/2305.13245 (shared keys and
        values). Henry et al., 2020, https://arxiv.org/abs/2010.04245 (normalised
        queries and keys).
    """

    def build(self, inputs_shape):
        self._dim = inputs_shape[-1]
        width = sum(self._widths)
        self.projection = self._dense("projection", width, self.use_bias)
        self.projection.build(inputs_shape)
        self._build_heads(inputs_shape)

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
        batch, steps, _ = inputs.shape
        self._check_cache(cache, cache_positions, steps, batch)
        slots = steps if cache is None else cache["key"].shape[2]
        attention_mask = self._check_attention_mask(attention_mask, inputs.shape, slots)
        bias = self._check_bias(bias, inputs.shape, slots)
        projected = self.projection(zero_masked(inputs, mask))
        first, second, _ = self._widths
        query, key, value = ops.split(projected, [first, first + second], axis=-1)
        key_mask = mask if cache is None else None
        return self._attend(
            self._split(query, self.key_dim),
            self._split(key, self.key_dim),
            self._split(value, self._value_dim),
            make_terms(key_mask, None, attention_mask, bias, use_causal_mask),
            mask,
            cache,
            cache_positions,
            return_attention_scores,
            training,
        )
