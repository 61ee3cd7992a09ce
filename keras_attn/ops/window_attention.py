"""Scaled dot-product attention of a local window, O(t r) in time and memory."""

from keras import ops

from keras_attn.ops.plain_attention import softmax_parts
from keras_attn.ops.score_terms import ScoreTerms, combined_bias, combined_mask

_SMALLEST_BLOCK = 16  # a narrower window is cheaper as blocks of this many steps


def window_attention(query, key, value, terms, scale, keep=None):
    """Each query sees the keys at most `terms.window` steps away.

    Queries and keys are cut into blocks at least as long as the window reaches, so a
    block of queries needs its own block of keys and a neighbour on each side it sees.

    Args:
        query: Tensor `(b, h, t, k)`; t must be known.
        key: Tensor `(b, h, t, k)`.
        value: Tensor `(b, h, t, v)`.
        terms: `ScoreTerms` with a window and without positions.
        scale: Float.
        keep: Optional function of a shape, float factors on the weights, for dropout.

    Returns:
        Output `(b, h, t, v)`.

    Reference:
        Vaswani et al., 2017, https://arxiv.org/abs/1706.03762, table 1, the
        restricted row; Beltagy et al., 2020, https://arxiv.org/abs/2004.05150.
    """
    steps = query.shape[2]
    blocks = _Blocks(steps, terms)
    scores = ops.matmul(
        blocks.split(query * ops.cast(scale, query.dtype)),
        ops.swapaxes(blocks.neighbourhood(key), -1, -2),
    )
    scores = ops.cast(scores, "float32")
    bias, mask = blocks.bias(), blocks.mask()
    if bias is not None:
        scores = scores + bias
    exponentials, total, _ = softmax_parts(scores, mask)
    if keep is not None:
        exponentials = exponentials * keep(ops.shape(exponentials))
    product = ops.matmul(
        ops.cast(exponentials, value.dtype), blocks.neighbourhood(value)
    )
    output = product / ops.cast(total, product.dtype)
    batch, heads, count, length, width = ops.shape(output)
    return ops.reshape(output, (batch, heads, count * length, width))[:, :, :steps]


class _Blocks:
    """The cut: n blocks of l queries, each with the m keys around it.

    Tensors of queries become `(b, h, n, l, ...)`, those of keys `(b, h, n, m, ...)`.
    """

    def __init__(self, steps, terms):
        self.steps, self.terms = steps, terms
        self.length = min(max(terms.window, _SMALLEST_BLOCK), steps)
        self.count = -(-steps // self.length)
        self.after = 0 if terms.causal else self.length

    def split(self, tensor, axis=2):
        """Cuts `axis` into blocks; missing steps are zeros."""
        missing = self.count * self.length - self.steps
        shape = ops.shape(tensor)
        widths = [(0, missing * (i == axis)) for i in range(len(shape))]
        parts = (*shape[:axis], self.count, self.length, *shape[axis + 1 :])
        return ops.reshape(ops.pad(tensor, widths), parts)

    def neighbourhood(self, tensor, axis=2):
        """The keys around each block, cut from `axis`; missing ones are zeros."""
        missing = self.count * self.length - self.steps
        widths = [(0, 0)] * len(tensor.shape)
        widths[axis] = (self.length, missing + self.after)
        padded = ops.pad(tensor, widths)
        parts = []
        for start in range(0, self.length + self.after + 1, self.length):
            index = [slice(None)] * len(tensor.shape)
            index[axis] = slice(start, start + self.count * self.length)
            part = padded[tuple(index)]
            shape = ops.shape(part)
            parts.append(
                ops.reshape(
                    part,
                    (*shape[:axis], self.count, self.length, *shape[axis + 1 :]),
                )
            )
        return ops.concatenate(parts, axis=axis + 1)

    def positions(self):
        """Of the queries, `(1, l)`, and of the keys around them, `(m,)`, in a block."""
        queries = ops.arange(self.length, dtype="int32")
        keys = ops.arange(-self.length, self.length + self.after, dtype="int32")
        return queries[None], keys

    def mask(self):
        """Bool, broadcasts to `(b, h, n, l, m)`."""
        position = combined_mask(
            ScoreTerms(causal=self.terms.causal, window=self.terms.window),
            *self.positions(),
        )
        exists = ops.ones((1, 1, self.steps), "bool")
        mask = ops.logical_and(
            position[:, :, None], self.neighbourhood(exists)[:, :, :, None]
        )
        if self.terms.key_mask is not None:
            kept = self.neighbourhood(self.terms.key_mask[:, None])
            mask = ops.logical_and(mask, kept[:, :, :, None])
        if self.terms.mask is not None:
            mask = ops.logical_and(mask, self.pairs(self.terms.mask))
        return mask

    def bias(self):
        """Float32, broadcasts to `(b, h, n, l, m)`, or `None`."""
        slopes = combined_bias(ScoreTerms(slopes=self.terms.slopes), *self.positions())
        bias = None if slopes is None else slopes[:, :, None]
        if self.terms.bias is not None:
            band = ScoreTerms(bias=self.pairs(self.terms.bias))
            given = combined_bias(band, None, None)
            bias = given if bias is None else bias + given
        return bias

    def pairs(self, tensor):
        """`(b, h, t or 1, s or 1)` -> what the blocks see of it, `(b, h, n, l, m)`.

        Pairs that are none, of a step before the first or after the last, hold those
        of a neighbour: the mask hides them.
        """
        batch, heads, rows, slots = ops.shape(tensor)
        queries, keys = self.positions()
        first = self.length * ops.arange(self.count, dtype="int32")[:, None, None]
        row = ops.minimum(first + queries[..., None], rows - 1)
        column = ops.clip(first + keys, 0, slots - 1)
        pairs = ops.reshape(tensor, (batch, heads, rows * slots))
        return ops.take(pairs, row * slots + column, axis=2)
