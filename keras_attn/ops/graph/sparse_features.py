"""Products of nodes that have few of many features, as a bag of words has."""

from keras import ops

from keras_attn.ops.custom_gradient import custom_gradient
from keras_attn.ops.graph.row_sums import with_empty_row
from keras_attn.ops.graph.segments import segment_sum

BACK = ("back_slots", "back_features")


def sparse_product(indices, values, kernel, back=None):
    """`X W` for an `X` of which only what is not zero is given.

    Args:
        indices: Int tensor `(n, k)`, which features a node has; what lies outside of
            the kernel is no feature.
        values: Tensor `(n, k)`, how much of them.
        kernel: Tensor `(features, units)`.
        back: Optional pair of int tensors: `(r, w)`, the slots, out of `n * k` counted
            through, that hold a feature, `n * k` where there is none, and `(r,)`,
            which feature, -1 for none. With them the gradient of the kernel is
            gathered, not scattered.

    Returns:
        Tensor `(n, units)`.
    """
    num_features = ops.shape(kernel)[0]
    inside = ops.logical_and(indices >= 0, indices < num_features)
    indices = ops.where(inside, indices, num_features)
    values = ops.cast(ops.where(inside, values, 0.0), kernel.dtype)
    if back is None:
        return _product(kernel, indices, values)

    def forward(kernel, values, indices, slots, features):
        return (_product(kernel, indices, values),), (
            kernel,
            values,
            indices,
            slots,
            features,
        )

    def backward(residuals, gradient):
        kernel, values, indices, slots, features = residuals
        width = indices.shape[1]
        size = ops.shape(indices)[0] * width
        inside = ops.logical_and(slots >= 0, slots < size)
        factors = ops.take(
            ops.pad(ops.reshape(values, (-1,)), [(0, 1)]),
            ops.where(inside, slots, size),
            axis=0,
        )
        taken = ops.take(gradient, ops.where(inside, slots // width, 0), axis=0)
        rows = ops.sum(taken * factors[..., None], axis=1)
        taken = ops.take(with_empty_row(kernel), indices, axis=0)
        return (
            segment_sum(rows, features, ops.shape(kernel)[0]),
            ops.sum(taken * gradient[:, None], axis=-1),
            *(None,) * 3,
        )

    return custom_gradient(forward, backward)(kernel, values, indices, *back)[0]


def _product(kernel, indices, values):
    taken = ops.take(with_empty_row(kernel), indices, axis=0)
    return ops.sum(taken * values[..., None], axis=1)
