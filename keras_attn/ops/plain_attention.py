"""Scaled dot-product attention with the whole matrix of scores in memory."""

from keras import ops

from keras_attn.ops.score_terms import combined_bias, combined_mask, query_positions
from keras_attn.ops.softmax import masked_softmax


def plain_attention(
    query, key, value, terms, scale, keep=None, return_attention_scores=False
):
    """`softmax(query key^T * scale + bias) value`, O(t s) in memory.

    Args:
        query: Tensor `(b, h, t, k)`.
        key: Tensor `(b, g, s, k)`, where g divides h: h / g heads share a key.
        value: Tensor `(b, g, s, v)`.
        terms: `ScoreTerms`.
        scale: Float.
        keep: Optional float `(b, h, t, s)`, multiplies the weights, for dropout.
        return_attention_scores: Bool.

    Returns:
        Output `(b, h, t, v)`, and weights `(b, h, t, s)` before `keep` or `None`.

    Reference:
        Vaswani et al., 2017, https://arxiv.org/abs/1706.03762, equation 1.
    """
    scores = attention_scores(query, key, terms, scale)
    steps, slots = ops.shape(query)[2], ops.shape(key)[2]
    mask = combined_mask(
        terms, query_positions(terms, steps), ops.arange(slots, dtype="int32")
    )
    # Sums of values in float16 may pass its largest number, means of them do not.
    is_narrow = ops.dtype(value) == "float16"
    if return_attention_scores or keep is not None or is_narrow:
        weights = masked_softmax(scores, mask)
        dropped = weights if keep is None else weights * ops.cast(keep, weights.dtype)
        dropped = ops.cast(dropped, value.dtype)
        output = grouped_matmul(dropped, value)
        return output, ops.cast(weights, value.dtype)
    exponentials, total, _ = softmax_parts(scores, mask)
    output = grouped_matmul(ops.cast(exponentials, value.dtype), value)
    return output / ops.cast(total, output.dtype), None


def attention_scores(query, key, terms, scale):
    """Scores `(b, h, t, s)` in float32, biases included, masks not."""
    query = query * ops.cast(scale, query.dtype)
    if ops.dtype(query) == "float16":  # whose products may pass its largest number
        query, key = ops.cast(query, "float32"), ops.cast(key, "float32")
    scores = grouped_matmul(query, ops.transpose(key, (0, 1, 3, 2)))
    scores = ops.cast(scores, "float32")
    steps, slots = ops.shape(query)[2], ops.shape(key)[2]
    bias = combined_bias(
        terms, query_positions(terms, steps), ops.arange(slots, dtype="int32")
    )
    return scores if bias is None else scores + bias


def softmax_parts(scores, mask):
    """Softmax over the last axis in parts, of the kept entries only.

    Dividing after the product with the values saves a pass over the matrix.

    Args:
        scores: Float32 tensor `(..., s)`.
        mask: Optional bool tensor that broadcasts to `scores`.

    Returns:
        `exp(scores - highest)`, zero where nothing is kept; its sum, one where it
        would be zero; and `highest`. The last two keep an axis of length 1.
    """
    if mask is not None:
        scores = ops.where(mask, scores, -1e30)
    highest = ops.stop_gradient(ops.max(scores, axis=-1, keepdims=True))
    exponentials = ops.exp(scores - highest)
    if mask is not None:
        exponentials = ops.where(mask, exponentials, 0.0)
    total = ops.sum(exponentials, axis=-1, keepdims=True)
    return exponentials, ops.where(total == 0.0, 1.0, total), highest


def grouped_matmul(left, right):
    """Product over batch and heads, where h / g heads of `left` share one of `right`.

    Args:
        left: Tensor `(b, h, i, j)`.
        right: Tensor `(b, g, j, l)`.

    Returns:
        Tensor `(b, h, i, l)`.
    """
    heads, groups = left.shape[1], right.shape[1]
    if heads == groups:
        return ops.matmul(left, right)
    batch, _, rows, inner = ops.shape(left)
    left = ops.reshape(left, (batch, groups, heads // groups * rows, inner))
    product = ops.matmul(left, right)
    return ops.reshape(product, (batch, heads, rows, ops.shape(right)[-1]))
