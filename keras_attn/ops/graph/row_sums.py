"""Sums of what the senders of a receiver hold: the inner loop of a graph layer.

A table has rows of a few slots, and every row one owner. Gathering a row and adding it
up costs less than adding edge after edge to its receiver; with the table of the other
direction the gradient is such a sum too, not a scatter.
"""

from keras import ops

from keras_attn.ops.custom_gradient import custom_gradient
from keras_attn.ops.graph.segments import segment_sum


def with_empty_row(values):
    """A row of zeros behind the last, for the index of an empty slot to find."""
    return ops.pad(values, [(0, 1)] + [(0, 0)] * (len(values.shape) - 1))


def row_sums(values, table, owners, num_owners, weights=None):
    """Adds up, for every owner, the values that its rows of the table point to.

    Args:
        values: Tensor `(n, f)`.
        table: Int tensor `(r, k)` of indices of `values`, n in an empty slot.
        owners: Int tensor `(r,)`, -1 for an empty row.
        num_owners: Int.
        weights: Optional tensor `(r, k)` of factors, finite in empty slots too.

    Returns:
        Tensor `(num_owners, f)`.
    """
    values = with_empty_row(values)
    slots = []
    for slot in range(table.shape[1]):  # one at a time: (r, k, f) is never held
        taken = ops.take(values, table[:, slot], axis=0)
        if weights is not None:
            taken = taken * weights[:, slot, None]
        slots.append(taken)
    return segment_sum(sum(slots[1:], slots[0]), owners, num_owners)


def mirrored_row_sums(values, tables, back_tables, weights=None, back_weights=None):
    """`row_sums` of a graph, n owners and n values, with a gradient by gathering.

    Args:
        values: Tensor `(n, f)`.
        tables: Pair of `table` and `owners`, edges in the rows of their receivers.
        back_tables: The same edges in the rows of their senders.
        weights, back_weights: Optional factors of the edges in both tables. Gradients
            flow to the first.

    Returns:
        Tensor `(n, f)`.
    """

    def forward(values, table, owners, back_table, back_owners, *factors):
        num_nodes = ops.shape(values)[0]
        sums = row_sums(values, table, owners, num_nodes, *factors[:1])
        kept = (table, owners, values, *factors) if factors else ()
        return (sums,), (back_table, back_owners, *kept)

    def backward(residuals, gradient):
        back_table, back_owners, *kept = residuals
        back = (back_table, back_owners, ops.shape(gradient)[0])
        if not kept:
            return row_sums(gradient, *back), None, None, None, None
        table, owners, values, _, back_factors = kept
        return (
            row_sums(gradient, *back, back_factors),
            *(None,) * 4,
            _products(values, gradient, table, owners),
            None,
        )

    factors = () if weights is None else (weights, back_weights)
    function = custom_gradient(forward, backward)
    return function(values, *tables, *back_tables, *factors)[0]


def _products(values, gradient, table, owners):
    """What a factor of each slot `(r, k)` is multiplied by in the end."""
    values, gradient = with_empty_row(values), with_empty_row(gradient)
    last = ops.shape(gradient)[0] - 1
    owned = ops.take(gradient, ops.where(owners < 0, last, owners), axis=0)
    return ops.stack(
        [
            ops.sum(ops.take(values, table[:, slot], axis=0) * owned, axis=-1)
            for slot in range(table.shape[1])
        ],
        axis=1,
    )
