"""Scaled dot-product attention in O(t + s) memory, forward and backward.

The scores of a chunk of queries exist at a time, and those of as many heads as fit the
cache. The backward pass computes them again, transposed: then every product of the
pass takes its large operand as it lies in memory, which XLA on a CPU runs several
times faster than a product with a large operand to be turned.

Axes: b batch, h heads, t queries, s keys, c queries of a chunk, k and v widths.
"""

from typing import NamedTuple

from keras import ops

from keras_attn.ops.custom_gradient import custom_gradient
from keras_attn.ops.plain_attention import softmax_parts
from keras_attn.ops.scan import scan
from keras_attn.ops.score_terms import (
    ScoreTerms,
    combined_bias,
    combined_mask,
    query_positions,
)
from keras_attn.ops.stateless_dropout import dropout_factors

_TILE_BYTES = 8 * 2**20  # scores at work: what a core's caches hold
_LONGEST_CHUNK, _SHORTEST_CHUNK = 256, 32
_MOST_SEGMENTS, _SHORTEST_SEGMENT = 4, 1024  # of queries, under a causal mask
_SEED_STRIDE = 40503  # so that every segment drops weights of its own
_ASSUMED_BATCH = 8  # where the batch is not known when the graph is made


def chunked_attention(query, key, value, terms, scale, dropout=0.0, seed=None):
    """`softmax(query key^T * scale + bias) value` without the matrix of scores.

    Args:
        query: Tensor `(b, h, t, k)`; t, s and h must be known.
        key: Tensor `(b, h, s, k)`.
        value: Tensor `(b, h, s, v)`.
        terms: `ScoreTerms`. A `mask` or `bias` that is a matrix of queries and keys
            costs its own memory, nothing more.
        scale: Float.
        dropout: Float in [0, 1), share of the weights to drop.
        seed: State of a seed generator, with `dropout`.

    Returns:
        Output `(b, h, t, v)`.

    Reference:
        Rabe and Staats, 2021, https://arxiv.org/abs/2112.05682; Dao et al., 2022,
        https://arxiv.org/abs/2205.14135, for the backward pass.
    """
    steps, slots = query.shape[2], key.shape[2]
    if not terms.causal or terms.positions is not None:
        return _attend(query, key, value, terms, scale, dropout, seed)
    # Keys after the last query of a segment are hidden from all of it.
    count = min(_MOST_SEGMENTS, -(-steps // _SHORTEST_SEGMENT))
    length = -(-steps // count)
    outputs = []
    for index, start in enumerate(range(0, steps, length)):
        stop = min(start + length, steps)
        seen = min(stop, slots)
        outputs.append(
            _attend(
                query[:, :, start:stop],
                key[:, :, :seen],
                value[:, :, :seen],
                terms.between(start, stop, seen),
                scale,
                dropout,
                seed,
                index,
            )
        )
    return ops.concatenate(outputs, axis=2)


def _attend(query, key, value, terms, scale, dropout, seed, segment=0):
    steps = query.shape[2]
    # The gradient of a bias that all heads share is summed within a tile.
    together = terms.bias is not None and terms.bias.shape[1] == 1
    plan = plan_tiles(query.shape, key.shape[2], together)
    optional = {
        "key_mask": terms.key_mask,
        "mask": _whole_rows(terms.mask, steps),
        "bias": _whole_rows(terms.bias, steps),
        "slopes": terms.slopes,
        "positions": query_positions(terms, steps),
        "seed": seed + segment * _SEED_STRIDE if dropout else None,
    }
    given = {name: tensor for name, tensor in optional.items() if tensor is not None}
    passes = _Passes(tuple(given), terms.causal, terms.window, scale, dropout, plan)
    function = custom_gradient(passes.forward, passes.backward)
    return function(query, key, value, *given.values())[0]


class Plan(NamedTuple):
    """How the work is cut: `chunk` queries and `heads` heads at a time."""

    chunk: int
    heads: int


def plan_tiles(query_shape, slots, together=False):
    """The largest tile of scores that fits the cache.

    All heads go together if they must or where that leaves chunks long enough, else
    one at a time.
    """
    batch, heads, steps, _ = query_shape
    known = batch if isinstance(batch, int) else _ASSUMED_BATCH
    row = 4 * max(known, 1) * slots
    if heads * row * _LONGEST_CHUNK > _TILE_BYTES and not together:
        heads = 1
    chunk = max(_SHORTEST_CHUNK, min(_LONGEST_CHUNK, _TILE_BYTES // (row * heads)))
    return Plan(min(chunk, steps), heads)


def _whole_rows(tensor, steps):
    """Gives a mask or bias its query axis, so that it can be cut into chunks."""
    if tensor is None or tensor.shape[2] == steps:
        return tensor
    batch, heads, _, slots = ops.shape(tensor)
    return ops.broadcast_to(tensor, (batch, heads, steps, slots))


class _Passes:
    """Forward and backward pass for one choice of terms.

    Both walk over groups of heads and, inside, over chunks of queries. What is walked
    over is cut beforehand: groups are the first axis of what has heads, chunks the
    first, or the next one, of what has queries.
    """

    def __init__(self, names, causal, window, scale, dropout, plan):
        self.names = names
        self.causal, self.window = causal, window
        self.scale, self.dropout, self.plan = scale, dropout, plan

    def forward(self, query, key, value, *given):
        tensors = dict(zip(self.names, given, strict=True))
        steps, heads = query.shape[2], query.shape[1]
        cut = _Cut(self.plan, heads, steps)

        def chunk_step(group, carry, chunk):
            tile = {**group, **chunk}
            scores = ops.matmul(tile["query"], tile["key_turned"])
            scores = ops.cast(scores, "float32")
            mask, bias = self.terms(tile)
            if bias is not None:
                scores = scores + bias
            exponentials, total, highest = softmax_parts(scores, mask)
            if self.dropout:
                exponentials = exponentials * self.keep(tile)
            product = ops.matmul(ops.cast(exponentials, value.dtype), tile["value"])
            output = product / ops.cast(total, product.dtype)
            return carry, (output, highest, total)

        walk = {
            "query": query * self.scale,
            "key_turned": ops.transpose(key, (0, 1, 3, 2)),
            "value": value,
            **tensors,
        }
        _, emitted = cut.walk(chunk_step, walk, lambda group: ops.zeros((), "float32"))
        output, highest, total = (cut.join(tensor) for tensor in emitted)
        return (output,), (query, key, value, *given, output, highest, total)

    def backward(self, residuals, gradient):
        query, key, value, *given, output, highest, total = residuals
        tensors = dict(zip(self.names, given, strict=True))
        cut = _Cut(self.plan, query.shape[1], query.shape[2])
        # Divided here by what the weights would be: they then need no logarithm of
        # the total, which would be lost beside a `highest` far from zero.
        gradient = ops.cast(gradient, "float32") / total
        product = gradient * ops.cast(output, "float32")

        def chunk_step(group, carry, chunk):
            key_total, value_total = carry
            tile = {**group, **chunk}
            scores = ops.matmul(tile["key"], _turn(tile["query"]))
            scores = ops.cast(scores, "float32")
            mask, bias = self.terms(tile)
            if bias is not None:
                scores = scores + _turn(bias)
            weights = ops.exp(scores - _turn(tile["highest"]))
            if mask is not None:
                weights = ops.where(_turn(mask), weights, 0.0)
            slopes = ops.matmul(tile["value"], _turn(tile["gradient"]))
            slopes = ops.cast(slopes, "float32")
            dropped = weights
            if self.dropout:
                keep = _turn(self.keep(tile))
                dropped, slopes = weights * keep, slopes * keep
            slopes = weights * (slopes - tile["product"][..., None, :])
            narrow = ops.cast(slopes, query.dtype)
            value_rows = ops.matmul(ops.cast(dropped, value.dtype), tile["gradient"])
            key_rows = ops.matmul(narrow, tile["query"])
            emitted = [ops.matmul(tile["key_turned"], narrow)]
            if "bias" in tensors:
                emitted.append(_sum_to(_turn(slopes), tile["bias"].shape))
            key_total = key_total + ops.cast(key_rows, "float32")
            value_total = value_total + ops.cast(value_rows, "float32")
            return (key_total, value_total), tuple(emitted)

        walk = {
            "query": query * self.scale,
            "key": key,
            "key_turned": _turn(key),
            "value": value,
            "gradient": ops.cast(gradient, value.dtype),
            "highest": highest,
            "product": ops.sum(product, axis=-1),
            **tensors,
        }
        (key_total, value_total), emitted = cut.walk(
            chunk_step,
            walk,
            lambda group: tuple(
                ops.zeros(ops.shape(group[name]), "float32")
                for name in ("key", "value")
            ),
        )
        query_gradient = cut.join(_turn(emitted[0])) * self.scale
        gradients = {}
        if "bias" in tensors:
            gradients["bias"] = ops.cast(cut.join(emitted[1]), tensors["bias"].dtype)
        return (
            ops.cast(query_gradient, query.dtype),
            ops.cast(cut.join_heads(key_total), key.dtype),
            ops.cast(cut.join_heads(value_total), value.dtype),
            *(gradients.get(name) for name in self.names),
        )

    def terms(self, tile):
        """Mask and bias of a tile, `(b, h, c, s)` each, or `None`."""
        positions = tile["positions"]
        slots = ops.arange(tile["key_turned"].shape[-1], dtype="int32")
        names = ("key_mask", "mask", "bias", "slopes")
        terms = ScoreTerms(causal=self.causal, window=self.window)
        terms = terms._replace(**{name: tile.get(name) for name in names})
        return combined_mask(terms, positions, slots), combined_bias(
            terms, positions, slots
        )

    def keep(self, tile):
        shape = (*ops.shape(tile["query"])[:3], tile["key_turned"].shape[-1])
        return dropout_factors(tile["seed"], tile["tile"], shape, self.dropout)


_OF_QUERIES = ("query", "gradient", "highest", "product", "mask", "bias")


class _Cut:
    """Cuts tensors into groups of heads and chunks of queries, and joins them again."""

    def __init__(self, plan, heads, steps):
        self.heads, self.steps, self.chunk = plan.heads, steps, plan.chunk
        self.groups = heads // plan.heads
        self.chunks = -(-steps // plan.chunk)

    def walk(self, step, tensors, init):
        """Runs `step(group, carry, chunk)` for every chunk of every group of heads.

        Args:
            step: Returns the carry and what the chunk emits.
            tensors: Dict of what is cut or, without heads and queries, handed on.
            init: Function of a group's tensors, the first carry of its chunks.

        Returns:
            The last carries, groups leading, and what was emitted, groups and chunks
            leading.
        """
        constants, by_chunk, by_group, by_both = {}, {}, {}, {}
        for name, tensor in tensors.items():
            if name in ("key_mask", "seed"):
                constants[name] = tensor
            elif name == "positions":
                by_chunk[name] = self._split_steps(tensor, 1)
            elif name in _OF_QUERIES and tensor.shape[1] < self.heads * self.groups:
                by_chunk[name] = self._split_steps(tensor, 2)
            elif name in _OF_QUERIES:
                by_both[name] = self._split_heads(self._split_steps(tensor, 2), 2)
            else:
                axis = 0 if name == "slopes" else 1
                by_group[name] = self._split_heads(tensor, axis)
        tiles = ops.arange(self.groups * self.chunks, dtype="int32")
        by_both["tile"] = ops.reshape(tiles, (self.groups, self.chunks))

        def group_step(carry, xs):
            group = {**constants, **xs[0]}
            return carry, scan(
                lambda carry, chunk: step(group, carry, chunk),
                init(group),
                {**by_chunk, **xs[1]},
            )

        return scan(group_step, ops.zeros(()), (by_group, by_both))[1]

    def _split_steps(self, tensor, axis):
        """Cuts the axis of queries into chunks, which lead."""
        missing = self.chunks * self.chunk - self.steps
        if missing:
            widths = [(0, missing * (i == axis)) for i in range(len(tensor.shape))]
            tensor = ops.pad(tensor, widths)
        shape = ops.shape(tensor)
        parts = (*shape[:axis], self.chunks, self.chunk, *shape[axis + 1 :])
        return ops.moveaxis(ops.reshape(tensor, parts), axis, 0)

    def _split_heads(self, tensor, axis):
        """Cuts the axis of heads into groups, which lead."""
        shape = ops.shape(tensor)
        parts = (*shape[:axis], self.groups, self.heads, *shape[axis + 1 :])
        return ops.moveaxis(ops.reshape(tensor, parts), axis, 0)

    def join(self, tensor):
        """`(groups, chunks, b, heads, c, w)` -> `(b, h, t, w)`."""
        tensor = ops.transpose(tensor, (2, 0, 3, 1, 4, 5))
        batch, groups, heads, chunks, chunk, width = ops.shape(tensor)
        joined = (batch, groups * heads, chunks * chunk, width)
        return ops.reshape(tensor, joined)[:, :, : self.steps]

    def join_heads(self, tensor):
        """`(groups, b, heads, s, w)` -> `(b, h, s, w)`."""
        tensor = ops.moveaxis(tensor, 0, 1)
        batch, groups, heads, slots, width = ops.shape(tensor)
        return ops.reshape(tensor, (batch, groups * heads, slots, width))


def _turn(tensor):
    """Swaps the last two axes."""
    return ops.swapaxes(tensor, -1, -2)


def _sum_to(tensor, shape):
    """Sums over the axes that a tensor of `shape` was repeated along."""
    axes = [axis for axis in (0, 1, 3) if shape[axis] == 1]
    return ops.sum(tensor, axis=axes, keepdims=True) if axes else tensor
