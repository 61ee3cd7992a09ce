import keras

from keras_attn.layers._checks import check_axes, check_mask, check_rank, check_width
from keras_attn.layers._multi_head import MultiHead, make_terms
from keras_attn.ops.memory import zero_masked


@keras.saving.register_keras_serializable("keras_attn")
class MultiHeadAttention(MultiHead):
    """A sequence attends to another one, with several heads.

    The options are those of `MultiHeadSelfAttention`, of which this is the form with
    a memory of its own, and so are the five pairs of them that raise. Masks that
    belong to the caller's tensors stay as they are.

    Args:
        num_heads, key_dim, value_dim, num_key_value_heads, output_dim, dropout,
            window, positions, query_key_norm, use_bias, implementation, seed and the
            initializers, regularizers and constraints: see `MultiHeadSelfAttention`.
            `output_dim` defaults to the width of the query.
        **kwargs: Forwarded to `keras.layers.Layer`.

    Call arguments:
        query: Tensor `(batch, time, query_dim)`.
        value: Tensor `(batch, slots, value_dim)`.
        key: Optional tensor `(batch, slots, key_dim)`. Defaults to `value`.
        query_mask: Optional bool tensor `(batch, time)`; a `False` step yields zeros.
        value_mask, key_mask: Optional bool tensors `(batch, slots)`; a slot is seen
            where both are `True`. All three default to the tensors' Keras masks.
        attention_mask: Optional bool tensor that broadcasts to `(batch, time, slots)`
            or `(batch, heads, time, slots)`, `True` = may see.
        bias: Optional tensor of the same shapes, added to the scores.
        projected: Optional result of `project_memory`, made once a sequence and used
            at every step in place of projecting `value` and `key` again.
        return_attention_scores: Bool. Also return the weights.
        use_causal_mask: Bool. Query i sees the slots up to i.
        training: Bool. Whether dropout is active.

    Returns:
        Tensor `(batch, time, output_dim)`, zeros where a step is masked or sees
        nothing, and with `return_attention_scores=True` the weights `(batch, heads,
        time, slots)` before dropout.

    Raises:
        ValueError: If an argument has the wrong rank, width, batch, mask or value.

    Example:
        >>> attention = keras_attn.MultiHeadAttention(num_heads=8, key_dim=64)
        >>> output = attention(query, memory)

    Reference:
        Vaswani et al., 2017, https://arxiv.org/abs/1706.03762, section 3.2.
    """

    def build(self, query_shape, value_shape, key_shape=None):
        key_shape = value_shape if key_shape is None else key_shape
        self._dims = query_shape[-1], value_shape[-1], key_shape[-1]
        queries, keys, values = self._widths
        self.query_projection = self._dense("query", queries, self.use_bias)
        self.query_projection.build(query_shape)
        self.key_projection = self._dense("key", keys, self.use_bias)
        self.key_projection.build(key_shape)
        self.value_projection = self._dense("value", values, self.use_bias)
        self.value_projection.build(value_shape)
        self._build_heads(query_shape)

    def project_memory(self, value, key=None, mask=None):
        """Projects a memory, for use at every step of a decoder.

        Args:
            value: Tensor `(batch, slots, value_dim)`.
            key: Optional tensor `(batch, slots, key_dim)`. Defaults to `value`.
            mask: Optional bool tensor `(batch, slots)`. What lies at its `False`
                slots does not matter, be it infinite or NaN.

        Returns:
            Dict of `key` `(batch, heads, slots, key_dim)` and `value`, for the call
            argument `projected`.
        """
        value = zero_masked(value, mask)
        key = value if key is None else zero_masked(key, mask)
        return {
            "key": self._split(self.key_projection(key), self.key_dim),
            "value": self._split(self.value_projection(value), self._value_dim),
        }

    def call(
        self,
        query,
        value,
        key=None,
        query_mask=None,
        value_mask=None,
        key_mask=None,
        attention_mask=None,
        bias=None,
        projected=None,
        return_attention_scores=False,
        use_causal_mask=False,
        training=None,
    ):
        self._check(query, value, key, query_mask, value_mask, key_mask)
        slots = value.shape[1]
        attention_mask = self._check_attention_mask(attention_mask, query.shape, slots)
        bias = self._check_bias(bias, query.shape, slots)
        terms = make_terms(value_mask, key_mask, attention_mask, bias, use_causal_mask)
        if projected is None:
            projected = self.project_memory(value, key, terms.key_mask)
        self._check_heads(
            "projected", projected, value.shape[0], "project_memory", slots
        )
        query = self.query_projection(zero_masked(query, query_mask))
        return self._attend(
            self._split(query, self.key_dim),
            projected["key"],
            projected["value"],
            terms,
            query_mask,
            return_attention_scores=return_attention_scores,
            training=training,
        )

    def _check(self, query, value, key, query_mask, value_mask, key_mask):
        given = {"query": query, "value": value, "key": value if key is None else key}
        for (name, tensor), width in zip(given.items(), self._dims, strict=True):
            check_rank(name, tensor.shape, (3,), "(batch, time, dim)")
            check_width(name, tensor.shape, width)
        check_axes("query", query.shape, "value", value.shape, 1, "batch")
        if key is not None:
            check_axes("key", key.shape, "value", value.shape, 2, "batch and slots")
        check_mask("query_mask", query_mask, query.shape[:-1])
        check_mask("value_mask", value_mask, value.shape[:-1])
        check_mask("key_mask", key_mask, value.shape[:-1])
