import math

import keras
from keras import ops

from keras_attn.layers._checks import (
    check_axes,
    check_mask,
    check_rank,
    check_rates,
    check_shares,
    check_width,
)
from keras_attn.layers._projecting import ProjectingLayer, clone
from keras_attn.ops.alignment import additive_scores, dot_scores
from keras_attn.ops.hard_attention import choose_slot
from keras_attn.ops.memory import (
    flatten_mask,
    flatten_slots,
    unflatten_slots,
    zero_masked,
)
from keras_attn.ops.softmax import masked_softmax
from keras_attn.ops.stateless_dropout import dropout_factors
from keras_attn.ops.stateless_random import random_gumbel, random_uniform

ALIGNMENTS = ("additive", "bilinear", "dot", "scaled_dot")


@keras.saving.register_keras_serializable("keras_attn")
class BahdanauAttention(ProjectingLayer):
    """Attention of a query over a memory, with a learned alignment model.

    With `u = W_q query + b` and `v = W_k key`, each slot of the memory gets a score,
    a softmax over the kept slots turns the scores into weights, and the context is
    the weighted sum of `value`. The alignment decides on the score:

    - `"additive"`: `scale . tanh(u + v)`, the alignment model of Bahdanau et al.
    - `"bilinear"`: `u^T W v`, Luong's "general" score.
    - `"dot"`: `u . v`.
    - `"scaled_dot"`: `u . v / sqrt(units)`.

    The additive scores of many queries take memory O(t s), not O(t s u), in the
    forward and in the backward pass. A memory may be a sequence or a grid: all axes
    between the batch and the width are attended together.

    Args:
        units: Int, width of the projections of query and key. `None` leaves both
            unprojected, which `"additive"` does not allow; `"bilinear"` then learns
            `W` between the widths as they are, and the dot products want query and
            key of one width.
        alignment: One of `"additive"`, `"bilinear"`, `"dot"`, `"scaled_dot"`.
        use_bias: Bool. Adds a bias to the query's projection. (A bias of the key
            would repeat it, or cancel in the softmax.)
        dropout: Float in [0, 1). Share of the attention weights to drop in training.
        hard: Bool. The context is one slot instead of the weighted sum: in training
            one that is drawn with the weights for probabilities, else the one of the
            largest weight. The gradient then reaches `value`, not the scores, which
            are to be trained by `ops.reinforce.reinforce_loss`. Without `dropout`.
        soft_rate: Float in [0, 1], with `hard`. Share of the batch that in training
            has the weighted sum all the same, whose gradient does reach the scores.
            Xu et al. take 0.5, for less variance.
        kernel_initializer, bias_initializer: Initializers of the projections, and
            of `scale`.
        kernel_regularizer, bias_regularizer: Regularizers of the same.
        kernel_constraint, bias_constraint: Constraints of the same.
        seed: Int, seed of the dropout and of the slots that are drawn.
        **kwargs: Forwarded to `keras.layers.Layer` (`name`, `dtype`, ...).

    Call arguments:
        query: Tensor `(batch, query_dim)`, one step, or `(batch, time, query_dim)`.
        value: Tensor `(batch, *memory, value_dim)` with at least one memory axis.
        key: Optional tensor `(batch, *memory, key_dim)`. Defaults to `value`.
        query_mask: Optional bool tensor `(batch, time)`; a `False` step yields zeros.
        value_mask: Optional bool tensor `(batch, *memory)`; `False` slots get no
            weight. Both masks default to the Keras masks of `query` and `value`.
        projected_key: Optional result of `project_key`, computed once a sequence and
            used at every decoder step in place of `key`.
        return_attention_scores: Bool. Also return the attention weights.
        return_choice: Bool, with `hard`. Also return what REINFORCE needs to know.
        training: Bool. Whether dropout is active, and whether slots are drawn.

    Returns:
        Context `(batch, value_dim)` or `(batch, time, value_dim)`, like the query;
        zeros where the query is masked or nothing of the memory is kept. With
        `return_attention_scores=True` also the weights, `(batch, *memory)` or
        `(batch, time, *memory)`, before dropout. With `return_choice=True` also a dict
        of float32 tensors like the query without its width: `log_prob` of the slot
        that was taken and `entropy` of the weights, zeros where there is no slot;
        where the weighted sum was taken, `log_prob` is zero too.

    Raises:
        ValueError: If an argument has the wrong rank, width, batch, mask or value.

    Example:
        >>> attention = keras_attn.BahdanauAttention(units=64)
        >>> context, weights = attention(
        ...     query, value, value_mask=mask, return_attention_scores=True
        ... )

    Reference:
        Bahdanau et al., 2015, "Neural Machine Translation by Jointly Learning to
        Align and Translate", https://arxiv.org/abs/1409.0473, equations 4 to 6 and
        appendix A.1.2. Luong et al., 2015, https://arxiv.org/abs/1508.04025, for the
        products. Xu et al., 2015, https://arxiv.org/abs/1502.03044, section 4.1, for
        hard attention.
    """

    def __init__(
        self,
        units=None,
        alignment="additive",
        use_bias=True,
        dropout=0.0,
        hard=False,
        soft_rate=0.0,
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
        if alignment not in ALIGNMENTS:
            raise ValueError(
                f"`alignment` must be one of {ALIGNMENTS}. "
                f"Received: alignment={alignment!r}"
            )
        if units is None and alignment == "additive":
            raise ValueError(
                '`units` must be given with alignment="additive". Received: units=None'
            )
        if units is not None and (not isinstance(units, int) or units < 1):
            raise ValueError(f"`units` must be at least 1. Received: units={units!r}")
        check_rates(dropout=dropout)
        if hard and dropout:
            raise ValueError(
                "`dropout` must be 0 with `hard`, where there is one weight. "
                f"Received: dropout={dropout}"
            )
        check_shares(soft_rate=soft_rate)
        if soft_rate and not hard:
            raise ValueError(
                "`soft_rate` needs `hard=True`, without which all is soft. "
                f"Received: soft_rate={soft_rate}"
            )
        self.supports_masking = True
        self.units = units
        self.alignment = alignment
        self.dropout = dropout
        self.hard = hard
        self.soft_rate = soft_rate
        self.seed = seed
        self.query_projection = self.key_projection = self.bilinear = self.scale = None
        self.factor = 1.0
        self.seed_generator = keras.random.SeedGenerator(seed)

    def build(self, query_shape, value_shape, key_shape=None):
        key_shape = key_shape or value_shape
        query_dim, key_dim = query_shape[-1], key_shape[-1]
        self._query_dim, self._key_dim = query_dim, key_dim
        if self.units is not None:
            self.query_projection = self._dense("query", self.units, self.use_bias)
            self.query_projection.build(query_shape)
            self.key_projection = self._dense("key", self.units)
            self.key_projection.build(key_shape)
            query_dim = key_dim = self.units
        if self.alignment == "additive":
            self.scale = self.add_weight(
                name="scale",
                shape=(self.units,),
                initializer=clone(self.kernel_initializer),
                regularizer=self.kernel_regularizer,
                constraint=self.kernel_constraint,
            )
        elif self.alignment == "bilinear":
            self.bilinear = self._dense("bilinear", query_dim)
            self.bilinear.build((*key_shape[:-1], key_dim))
        elif query_dim != key_dim:
            raise ValueError(
                f'alignment="{self.alignment}" without `units` wants `query` and `key` '
                f"of one width. Received: query.shape={tuple(query_shape)}, "
                f"key.shape={tuple(key_shape)}"
            )
        self._projected_dim = query_dim
        if self.alignment == "scaled_dot":
            self.factor = 1.0 / math.sqrt(query_dim)

    def project_key(self, key, mask=None):
        """Projects a memory's keys, for use at every decoder step.

        Args:
            key: Tensor `(batch, *memory, key_dim)`.
            mask: Optional bool tensor `(batch, *memory)`. What lies at its `False`
                slots does not matter, be it infinite or NaN.

        Returns:
            Tensor `(batch, *memory, width)`, for the call argument `projected_key`.
        """
        if not self.built:
            raise ValueError(
                f"`{self.name}` must be built before it projects keys: call it once, "
                "or `build(query_shape, value_shape)`."
            )
        key = zero_masked(ops.convert_to_tensor(key, self.compute_dtype), mask)
        if self.key_projection is not None:
            key = self.key_projection(key)
        return key if self.bilinear is None else self.bilinear(key)

    def call(
        self,
        query,
        value,
        key=None,
        query_mask=None,
        value_mask=None,
        projected_key=None,
        return_attention_scores=False,
        return_choice=False,
        training=None,
    ):
        self.check_choice(return_choice)
        self._check(query, value, key, projected_key, query_mask, value_mask)
        if projected_key is None:
            projected_key = self.project_key(value if key is None else key, value_mask)
        one_step = len(query.shape) == 2
        if one_step:
            query = query[:, None]
        memory = flatten_slots(zero_masked(value, value_mask))
        mask = flatten_mask(value_mask)
        if mask is not None:
            mask = mask[:, None]
        if query_mask is not None:
            rows = query_mask[..., None]
            mask = rows if mask is None else ops.logical_and(mask, rows)
        context, weights, choice = self.attend(
            zero_masked(query, query_mask),
            memory,
            flatten_slots(projected_key),
            mask,
            self.draw(query, memory, training),
        )
        results = [context]
        if return_attention_scores:
            results.append(unflatten_slots(weights, value))
        if return_choice:
            results.append(choice)
        if one_step:
            results = keras.tree.map_structure(lambda x: x[:, 0], results)
        return tuple(results) if len(results) > 1 else results[0]

    def attend(self, query, memory, projected_key, mask=None, drawn=None):
        """The arithmetic of `call`, for tensors that are checked, flat and clean.

        Args:
            query: Tensor `(batch, time, query_dim)`.
            memory: Tensor `(batch, slots, value_dim)`.
            projected_key: Tensor `(batch, slots, width)`.
            mask: Optional bool tensor that broadcasts to `(batch, time, slots)`.
            drawn: Optional result of `draw`.

        Returns:
            Context `(batch, time, value_dim)`, weights `(batch, time, slots)` and the
            dict of `return_choice`, empty without `hard`.
        """
        query = self._project_query(query)
        if self.alignment == "additive":
            scale = ops.convert_to_tensor(self.scale)
            scores = additive_scores(query, projected_key, scale)
        else:
            scores = dot_scores(query, projected_key, self.factor)
        weights = masked_softmax(scores, mask)
        if self.hard:
            noise, *soft = drawn or (None,)
            chosen, choice = choose_slot(scores, noise, mask)
            read = ops.cast(chosen, weights.dtype)
            if soft:
                read = ops.where(soft[0], weights, read)
                log_prob = ops.where(soft[0][..., 0], 0.0, choice["log_prob"])
                choice = {**choice, "log_prob": log_prob}
            return ops.matmul(read, memory), weights, choice
        dropped = weights if drawn is None else weights * drawn
        return ops.matmul(dropped, memory), weights, {}

    def _project_query(self, query):
        if self.query_projection is None:
            return query
        if query.shape[1] != 1:
            return self.query_projection(query)
        # In a loop XLA cannot compile the gradient of a product with three axes, of
        # which TensorFlow does not know the first.
        return self.query_projection(query[:, 0])[:, None]

    def draw(self, query, memory, training):
        """What is random about `(batch, time, slots)`, `None` where nothing is.

        Factors of dropout on the weights, or with `hard` a tuple: what is added to the
        scores, and with `soft_rate` who is soft, bool `(batch, time, 1)`. Drawn for
        all steps at once, so that a loop over steps draws nothing.
        """
        if not training or not (self.dropout or self.hard):
            return None
        shape = (*ops.shape(query)[:2], ops.shape(memory)[1])
        seed = self.seed_generator.next()
        if self.hard:
            noise = random_gumbel(seed, 0, shape)
            return (noise, self._draw_soft(seed, shape)) if self.soft_rate else (noise,)
        factors = dropout_factors(seed, 0, shape, self.dropout)
        return ops.cast(factors, self.compute_dtype)

    def _draw_soft(self, seed, shape):
        soft = random_uniform(seed, 1, (shape[0], 1, 1)) < self.soft_rate
        return ops.broadcast_to(soft, (*shape[:2], 1))

    def check_choice(self, return_choice):
        """Raises where a choice is asked for that nobody makes."""
        if return_choice and not self.hard:
            raise ValueError(
                "`return_choice` needs an attention with `hard=True`. "
                "Received: return_choice=True"
            )

    def _check(self, query, value, key, projected_key, query_mask, value_mask):
        check_rank("query", query.shape, (2, 3), "(batch, dim) or (batch, time, dim)")
        check_rank("value", value.shape, range(3, 10), "(batch, *memory, dim)")
        check_axes("query", query.shape, "value", value.shape, 1, "batch")
        check_width("query", query.shape, self._query_dim)
        if projected_key is not None:
            check_width("projected_key", projected_key.shape, self._projected_dim)
        elif key is not None:
            check_width("key", key.shape, self._key_dim)
        else:
            check_width("value", value.shape, self._key_dim)
        memory = value.shape[:-1]
        for name, tensor in (("key", key), ("projected_key", projected_key)):
            if tensor is not None:
                check_axes(
                    name, tensor.shape, "value", value.shape, len(memory), "memory"
                )
        check_mask("query_mask", query_mask, query.shape[:-1])
        if query_mask is not None and len(query.shape) == 2:
            raise ValueError(
                "`query_mask` needs a query of shape (batch, time, dim). "
                f"Received: query.shape={tuple(query.shape)}"
            )
        check_mask("value_mask", value_mask, memory)

    def get_config(self):
        return {
            **super().get_config(),
            "units": self.units,
            "alignment": self.alignment,
            "dropout": self.dropout,
            "hard": self.hard,
            "soft_rate": self.soft_rate,
            "seed": self.seed,
        }
