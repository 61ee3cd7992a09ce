"""How well a query and a key match: the scores before the softmax."""

from keras import ops

from keras_attn.ops.custom_gradient import custom_gradient
from keras_attn.ops.scan import scan


def dot_scores(query, key, factor=1.0):
    """Inner products: query `(b, t, u)`, key `(b, s, u)` -> scores `(b, t, s)`."""
    return ops.matmul(query, ops.transpose(key, (0, 2, 1))) * factor


def additive_scores(query, key, scale):
    """Bahdanau's alignment model, `scale . tanh(query + key)` for every pair.

    The `(b, t, s, u)` tensor of the formula never exists: the queries are walked one
    at a time, and the backward pass computes each tanh again. Memory is O(t s).

    Args:
        query: Projected queries, `(b, t, u)`.
        key: Projected keys, `(b, s, u)`.
        scale: Weights of the hidden units, `(u,)`.

    Returns:
        Scores `(b, t, s)`.

    Reference:
        Bahdanau et al., 2015, https://arxiv.org/abs/1409.0473, appendix A.1.2.
    """
    if query.shape[1] == 1:
        return _additive_step()(query[:, 0], key, scale)[0][:, None]
    return _additive_scores()(query, key, scale)[0]


def additive_step_scores(query, key, scale):
    """`additive_scores` of one step: query `(b, u)` -> scores `(b, s)`."""
    hidden = ops.tanh(query[:, None] + key)
    return ops.matmul(hidden, scale[:, None])[..., 0]


def additive_step_gradient(query, key, gradient):
    """What the gradients of `additive_step_scores` have in common, per row.

    All three gradients are cheap once these sums exist, and a loop over steps may
    leave the multiplication by `scale` to its end.

    Args:
        query: Projected query, `(b, u)`.
        key: Projected keys, `(b, s, u)`.
        gradient: Gradient of the scores, `(b, s)`.

    Returns:
        slopes `(b, s, u)`, which times `scale` are the key's gradient; their sum over
        s, `(b, u)`, which times `scale` is the query's; and `(b, u)`, whose sum over b
        is the gradient of `scale`.
    """
    hidden = ops.tanh(query[:, None] + key)
    slopes = 1.0 - hidden * hidden
    row = gradient[:, None]
    return (
        gradient[..., None] * slopes,
        ops.matmul(row, slopes)[:, 0],
        ops.matmul(row, hidden)[:, 0],
    )


def _additive_step():
    def forward(query, key, scale):
        return (additive_step_scores(query, key, scale),), (query, key, scale)

    def backward(residuals, gradient):
        query, key, scale = residuals
        slopes, query_slope, rows = additive_step_gradient(query, key, gradient)
        return query_slope * scale, slopes * scale, ops.sum(rows, axis=0)

    return custom_gradient(forward, backward)


def _additive_scores():
    def forward(query, key, scale):
        steps = ops.transpose(query, (1, 0, 2))
        _, scores = scan(
            lambda carry, q: (carry, additive_step_scores(q, key, scale)),
            ops.zeros((), query.dtype),
            steps,
        )
        return (ops.transpose(scores, (1, 0, 2)),), (steps, key, scale)

    def backward(residuals, gradient):
        steps, key, scale = residuals

        def body(totals, xs):
            slopes, query_slope, row = additive_step_gradient(xs[0], key, xs[1])
            return (totals[0] + slopes, totals[1] + row), query_slope

        (slopes, rows), query_slopes = scan(
            body,
            (ops.zeros_like(key), ops.zeros_like(key[:, 0])),
            (steps, ops.transpose(gradient, (1, 0, 2))),
        )
        query_gradient = ops.transpose(query_slopes, (1, 0, 2)) * scale
        return query_gradient, slopes * scale, ops.sum(rows, axis=0)

    return custom_gradient(forward, backward)
