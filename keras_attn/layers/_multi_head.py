"""What self-attention and cross-attention over several heads have in common."""

import keras
from keras import ops

from keras_attn.layers._checks import (
    check_counts,
    check_mask,
    check_rates,
    check_shape,
    known_values,
)
from keras_attn.layers._head_positions import get_positions, serialize_positions
from keras_attn.layers._projecting import ProjectingLayer
from keras_attn.ops.dot_product_attention import (
    IMPLEMENTATIONS,
    dot_product_attention,
)
from keras_attn.ops.key_value_cache import write_cache
from keras_attn.ops.score_terms import (
    ScoreTerms,
    conjunction,
    query_positions,
    sees_anything,
)


class MultiHead(ProjectingLayer):
    """From projected queries, keys and values to the output.

    The arguments are described where a subclass documents them.
    """

    def __init__(
        self,
        num_heads,
        key_dim,
        value_dim=None,
        num_key_value_heads=None,
        output_dim=None,
        dropout=0.0,
        window=None,
        positions=None,
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
        groups = num_heads if num_key_value_heads is None else num_key_value_heads
        sizes = {
            "num_heads": num_heads,
            "key_dim": key_dim,
            "value_dim": value_dim,
            "num_key_value_heads": groups,
            "output_dim": output_dim,
            "window": window,
        }
        check_counts(**{k: v for k, v in sizes.items() if v is not None})
        if num_heads % groups:
            raise ValueError(
                "`num_key_value_heads` must divide `num_heads`. Received: "
                f"num_key_value_heads={groups}, num_heads={num_heads}"
            )
        check_rates(dropout=dropout)
        if implementation not in IMPLEMENTATIONS:
            raise ValueError(
                f"`implementation` must be one of {IMPLEMENTATIONS}. "
                f"Received: implementation={implementation!r}"
            )
        positions = get_positions(positions)
        if positions is not None:
            positions.check(num_heads, key_dim)
        self.supports_masking = True
        self.num_heads = num_heads
        self.key_dim = key_dim
        self.value_dim = value_dim
        self.num_key_value_heads = num_key_value_heads
        self.output_dim = output_dim
        self.dropout = dropout
        self.window = window
        self.positions = positions
        self.query_key_norm = query_key_norm
        self.implementation = implementation
        self.seed = seed
        self.seed_generator = keras.random.SeedGenerator(seed)
        self._groups = groups
        self._value_dim = key_dim if value_dim is None else value_dim
        self._widths = (
            num_heads * key_dim,
            groups * key_dim,
            groups * self._value_dim,
        )
        self.query_norm = self.key_norm = None
        if query_key_norm:
            self.query_norm = self._norm("query_norm")
            self.key_norm = self._norm("key_norm")

    def _norm(self, name):
        return keras.layers.RMSNormalization(dtype=self.dtype_policy, name=name)

    def _build_heads(self, query_shape):
        """Builds what comes after the projections."""
        width = query_shape[-1] if self.output_dim is None else self.output_dim
        self.output_projection = self._dense("output", width, self.use_bias)
        inner = self.num_heads * self._value_dim
        self.output_projection.build((*query_shape[:-1], inner))
        if self.query_norm is not None and self.key_norm is not None:
            self.query_norm.build((None, None, None, self.key_dim))
            self.key_norm.build((None, None, None, self.key_dim))
        if self.positions is not None and not self.positions.built:
            self.positions.build()
            self.positions.built = True

    def _split(self, tensor, width):
        """`(b, t, h * width)` -> `(b, h, t, width)`."""
        batch, steps, _ = ops.shape(tensor)
        heads = tensor.shape[-1] // width
        tensor = ops.reshape(tensor, (batch, steps, heads, width))
        return ops.transpose(tensor, (0, 2, 1, 3))

    def make_cache(self, batch_size, max_length):
        """Room for the keys and values of `max_length` steps, all zeros.

        Args:
            batch_size: Int.
            max_length: Int.

        Returns:
            Dict of `key` `(batch, heads, max_length, key_dim)` and `value`.
        """
        sizes = {"key": self.key_dim, "value": self._value_dim}
        return {
            name: ops.zeros(
                (batch_size, self._groups, max_length, size), self.compute_dtype
            )
            for name, size in sizes.items()
        }

    def _attend(
        self,
        query,
        key,
        value,
        terms,
        query_mask=None,
        cache=None,
        cache_positions=None,
        return_attention_scores=False,
        training=None,
    ):
        """Attends and projects.

        Args:
            query: Tensor `(b, h, t, key_dim)`.
            key: Tensor `(b, g, s, key_dim)`.
            value: Tensor `(b, g, s, value_dim)`.
            terms: `ScoreTerms` of the call, without what the layer itself adds.
            query_mask: Optional bool `(b, t)`.
            cache: Optional dict of `make_cache`.
            cache_positions: Int `(b,)`, with a cache.

        Returns:
            What `call` returns.
        """
        steps = ops.shape(query)[2]
        if self.query_norm is not None and self.key_norm is not None:
            query, key = self.query_norm(query), self.key_norm(key)
        if cache is not None:
            start = ops.cast(cache_positions, "int32")
            where = start[:, None] + ops.arange(steps, dtype="int32")[None]
            terms = terms._replace(positions=where, causal=True)
        terms = terms._replace(window=self.window)
        where = query_positions(terms, steps)
        if self.positions is not None:
            query = self.positions.rotate(query, where)
            own = where
            if cache is None:
                own = ops.arange(ops.shape(key)[2], dtype="int32")[None]
            key = self.positions.rotate(key, own)
        if cache is not None:
            room = cache["key"].shape[2]
            fits = where < room
            query_mask = (
                fits if query_mask is None else ops.logical_and(query_mask, fits)
            )
            cache = {
                "key": write_cache(cache["key"], key, start),
                "value": write_cache(cache["value"], value, start),
            }
            key, value = cache["key"], cache["value"]
        slots = ops.shape(key)[2]
        terms = self._with_positions(terms, where, slots)
        dropout = self.dropout if training else 0.0
        context, weights = dot_product_attention(
            query,
            key,
            value,
            terms,
            dropout=dropout,
            seed=self.seed_generator.next() if dropout else None,
            return_attention_scores=return_attention_scores,
            implementation=self.implementation,
        )
        output = ops.transpose(context, (0, 2, 1, 3))
        batch, steps = ops.shape(output)[:2]
        inner = self.num_heads * self._value_dim
        output = self.output_projection(ops.reshape(output, (batch, steps, inner)))
        seen = sees_anything(terms, steps, slots)
        if query_mask is not None:
            seen = conjunction((seen, query_mask))
            if weights is not None:
                weights = ops.where(query_mask[:, None, :, None], weights, 0.0)
        if seen is not None:
            output = ops.where(seen[..., None], output, 0.0)
        results = [output]
        if return_attention_scores:
            results.append(weights)
        if cache is not None:
            results.append(cache)
        return tuple(results) if len(results) > 1 else output

    def _with_positions(self, terms, where, slots):
        if self.positions is None:
            return terms
        bias = self.positions.bias(where, ops.arange(slots, dtype="int32"))
        if bias is not None and terms.bias is not None:
            bias = bias + ops.cast(terms.bias, bias.dtype)
        return terms._replace(
            bias=terms.bias if bias is None else bias,
            slopes=self.positions.slopes(self.num_heads),
        )

    def _check_pairs(self, name, tensor, query_shape, slots):
        """Raises unless a mask or bias `(b, h, t, s)` fits; gives it its head axis."""
        if tensor is None:
            return None
        if not hasattr(tensor, "shape") or len(tensor.shape) not in (3, 4):
            raise ValueError(
                f"`{name}` must have shape (batch, time, slots) or (batch, heads, "
                f"time, slots). Received: {name}={tensor!r}"
            )
        if len(tensor.shape) == 3:
            tensor = tensor[:, None]
        expected = (query_shape[0], self.num_heads, query_shape[1], slots)
        for size, wanted in zip(tensor.shape, expected, strict=True):
            if None not in (size, wanted) and size not in (1, wanted):
                raise ValueError(
                    f"`{name}` must broadcast to (batch, heads, time, slots) = "
                    f"{expected}. Received: {name}.shape={tuple(tensor.shape)}"
                )
        return tensor

    def _check_heads(self, name, given, batch, maker, slots=None):
        """Raises unless keys and values are as `maker` makes them; the keys' shape."""
        if not isinstance(given, dict) or set(given) != {"key", "value"}:
            raise ValueError(
                f"`{name}` must be a dict of `{maker}`. Received: {name}={given!r}"
            )
        shapes = {part: tuple(given[part].shape) for part in ("key", "value")}
        widths = {"key": self.key_dim, "value": self._value_dim}
        slots = shapes["key"][2] if slots is None else slots
        for part, shape in shapes.items():
            check_shape(
                f"{name}[{part!r}]", shape, (batch, self._groups, slots, widths[part])
            )
        return shapes["key"]

    def _check_bias(self, bias, query_shape, slots):
        bias = self._check_pairs("bias", bias, query_shape, slots)
        if bias is not None and ops.dtype(bias) == "bool":
            raise ValueError(
                "`bias` is added to the scores; what hides some of them is an "
                "`attention_mask`. Received: bias.dtype=bool"
            )
        return bias

    def _check_attention_mask(self, mask, query_shape, slots):
        mask = self._check_pairs("attention_mask", mask, query_shape, slots)
        if mask is not None:
            check_mask("attention_mask", mask, mask.shape)
        return mask

    def _check_cache(self, cache, positions, steps, batch):
        """Raises unless the cache is one of `make_cache` and has room, where known."""
        if (cache is None) != (positions is None):
            raise ValueError(
                "`cache` and `cache_positions` go together. Received: "
                f"cache={cache!r}, cache_positions={positions!r}"
            )
        if cache is None:
            return
        shape = self._check_heads("cache", cache, batch, "make_cache")
        check_shape("cache_positions", positions.shape, (batch,))
        if steps is not None and steps > shape[2]:
            raise ValueError(
                f"The cache has room for {shape[2]} steps. Received: {steps} at once"
            )
        known = known_values(positions)
        last = 0 if known is None else int(known.max(initial=0))
        if steps is not None and last + steps > shape[2]:
            raise ValueError(
                f"The cache has room for {shape[2]} steps. Received: {steps} from "
                f"position {last} on"
            )

    def get_config(self):
        return {
            **super().get_config(),
            "num_heads": self.num_heads,
            "key_dim": self.key_dim,
            "value_dim": self.value_dim,
            "num_key_value_heads": self.num_key_value_heads,
            "output_dim": self.output_dim,
            "dropout": self.dropout,
            "window": self.window,
            "positions": serialize_positions(self.positions),
            "query_key_norm": self.query_key_norm,
            "implementation": self.implementation,
            "seed": self.seed,
        }


def make_terms(value_mask, key_mask, attention_mask, bias, causal):
    """`ScoreTerms` of a call's arguments."""
    kept = conjunction((value_mask, key_mask))
    return ScoreTerms(kept, attention_mask, bias, causal=causal)
