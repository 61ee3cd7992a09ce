"""A recurrent cell that reads a memory before each step, as one differentiable loop."""

from keras import ops

from keras_attn.ops.alignment import additive_step_gradient, additive_step_scores
from keras_attn.ops.cells import CELLS
from keras_attn.ops.custom_gradient import custom_gradient
from keras_attn.ops.scan import scan
from keras_attn.ops.softmax import masked_softmax


def attentive_recurrence(
    inputs,
    memory,
    key,
    states,
    state_kernel,
    state_bias,
    context_kernel,
    scale=None,
    *,
    cell,
    factor=1.0,
    gated=False,
    inputs_mask=None,
    memory_mask=None,
    keep=None,
):
    """Runs `s_t = cell([x_t; c_t], s_{t-1})` with `c_t` read by the query `s_{t-1}`.

    What does not depend on the state arrives computed: the keys once a sequence, the
    cell's product of its inputs once for all steps. The backward pass computes each
    tanh again instead of keeping `(b, t, s, u)`, and forms every weight gradient in one
    product after the loop.

    Args:
        inputs: The cell's product of its inputs, bias included, `(b, t, g)`.
        memory: Values `(b, s, d)`.
        key: Projected keys `(b, s, u)`.
        states: Tuple of first states, `(b, n)` each; the first one is the output.
        state_kernel: `[query kernel | recurrent kernel]`, `(n, u + g)`; with `gated`
            one more column, the gate's kernel.
        state_bias: Bias of the same products, `(u + g,)` or `(u + g + 1,)`.
        context_kernel: The part of the cell's input kernel that reads the context,
            `(d, g)`.
        scale: Weights `(u,)` of the additive alignment; `None` scores by the inner
            product of query and key.
        cell: `"gru"` or `"lstm"`.
        factor: Float. Multiplies the inner products.
        gated: Bool. Multiplies each context by a sigmoid of the state.
        inputs_mask: Optional bool `(b, t)`; a `False` step hands its state on.
        memory_mask: Optional bool `(b, s)`; `False` slots get no weight.
        keep: Optional factors `(b, t, s)` on the attention weights, for dropout.

    Returns:
        outputs `(b, t, n)`, contexts `(b, t, d)`, weights `(b, t, s)` before `keep`,
        and the tuple of last states.

    Reference:
        Bahdanau et al., 2015, https://arxiv.org/abs/1409.0473, equations 4 to 6. Xu et
        al., 2015, https://arxiv.org/abs/1502.03044, section 4.2.1, for the gate.
    """
    if inputs_mask is None:
        inputs_mask = ops.ones_like(inputs[..., 0], dtype="bool")
    if memory_mask is None:
        memory_mask = ops.ones_like(memory[..., 0], dtype="bool")
    optional = [] if scale is None else [scale]
    if keep is not None:
        optional.append(_time_major(keep))
    steps = _Steps(cell, factor, gated, scale is not None, keep is not None)
    outputs, contexts, weights, *last = custom_gradient(steps.forward, steps.backward)(
        _time_major(inputs),
        memory,
        key,
        state_kernel,
        state_bias,
        context_kernel,
        ops.transpose(inputs_mask)[..., None],
        memory_mask,
        *states,
        *optional,
    )
    return (
        _time_major(outputs),
        _time_major(contexts),
        _time_major(weights),
        tuple(last),
    )


def _time_major(x):
    return ops.transpose(x, (1, 0, 2))


class _Steps:
    """Forward and backward pass for one choice of cell, alignment, gate and dropout."""

    def __init__(self, cell, factor, gated, additive, dropout):
        self.cell, self.cell_gradient = CELLS[cell]
        self.size = 2 if cell == "lstm" else 1
        self.factor, self.gated = factor, gated
        self.additive, self.dropout = additive, dropout

    def unpack(self, tensors):
        """States, scale and keep: what comes after the eight that are always there."""
        rest = list(tensors[8:])
        states = tuple(rest.pop(0) for _ in range(self.size))
        scale = rest.pop(0) if self.additive else None
        keep = rest.pop(0) if self.dropout else None
        return states, scale, keep

    def parts(self, products, width):
        """Query, recurrent part and gate of the products with the state."""
        query, rest = products[:, :width], products[:, width:]
        if not self.gated:
            return query, rest, None
        return query, rest[:, :-1], ops.sigmoid(rest[:, -1:])

    def score(self, query, key, scale):
        if self.additive:
            return additive_step_scores(query, key, scale)
        return ops.matmul(key, query[..., None])[..., 0] * self.factor

    def score_gradient(self, query, key, gradient):
        """Gradients of query and key, up to a factor of `scale`; the row of `scale`."""
        if self.additive:
            slopes, query_slope, row = additive_step_gradient(query, key, gradient)
            return query_slope, slopes, row
        gradient = gradient * self.factor
        query_gradient = ops.matmul(gradient[:, None], key)[:, 0]
        slopes = gradient[..., None] * query[:, None]
        return query_gradient, slopes, ops.zeros_like(query)

    def forward(self, *tensors):
        inputs, memory, key, kernel, bias, context_kernel, valid, mask = tensors[:8]
        states, scale, keep = self.unpack(tensors)
        width = key.shape[-1]

        def body(states, xs):
            products = ops.matmul(states[0], kernel) + bias
            query, recurrent, gate = self.parts(products, width)
            scores = self.score(query, key, scale)
            weights = masked_softmax(scores, mask)
            dropped = weights * xs[2] if self.dropout else weights
            context = ops.matmul(dropped[:, None], memory)[:, 0]
            if self.gated:
                context = context * gate
            gates = xs[0] + ops.matmul(context, context_kernel)
            new = self.cell(gates, recurrent, states)
            new = tuple(
                ops.where(xs[1], after, before)
                for after, before in zip(new, states, strict=True)
            )
            return new, (new, context, weights, products, gates)

        xs = (inputs, valid, keep) if self.dropout else (inputs, valid)
        last, (history, contexts, weights, products, gates) = scan(body, states, xs)
        outputs = (history[0], contexts, weights, *last)
        return outputs, (*tensors, *history, contexts, weights, products, gates)

    def backward(self, residuals, *gradients):
        tensors, (*history, contexts, weights, products, gates) = (
            residuals[: -self.size - 4],
            residuals[-self.size - 4 :],
        )
        _, memory, key, kernel, _, context_kernel, valid, _ = tensors[:8]
        states, scale, keep = self.unpack(tensors)
        width = key.shape[-1]
        previous = tuple(
            ops.concatenate([first[None], later[:-1]])
            for first, later in zip(states, history, strict=True)
        )
        kernel_t, context_kernel_t = (
            ops.transpose(kernel),
            ops.transpose(context_kernel),
        )

        def body(carry, xs):
            later, key_total, scale_total = carry
            before, product, gate, weight, step_valid, upstream, *optional = xs
            query, recurrent, share = self.parts(product, width)
            later = (later[0] + upstream[0], *later[1:])
            new = tuple(ops.where(step_valid, g, 0.0) for g in later)
            kept = tuple(ops.where(step_valid, 0.0, g) for g in later)
            gate_gradient, recurrent, direct = self.cell_gradient(
                gate, recurrent, before, new
            )
            context = upstream[1] + ops.matmul(gate_gradient, context_kernel_t)
            share_gradient = []
            if self.gated:
                opened = ops.sum(context * optional[0], axis=-1, keepdims=True)
                share_gradient.append((1.0 - share) * opened)
                context = context * share
            weight_gradient = ops.matmul(memory, context[..., None])[..., 0]
            if self.dropout:
                weight_gradient = weight_gradient * optional[-1]
            weight_gradient = weight_gradient + upstream[2]
            mean = ops.sum(weight * weight_gradient, axis=-1, keepdims=True)
            query, key_gradient, scale_row = self.score_gradient(
                query, key, weight * (weight_gradient - mean)
            )
            if self.additive:
                query = query * scale
            product_gradient = ops.concatenate(
                [query, recurrent, *share_gradient], axis=-1
            )
            from_products = ops.matmul(product_gradient, kernel_t)
            first, *others = (d + k for d, k in zip(direct, kept, strict=True))
            carry = (
                (first + from_products, *others),
                key_total + key_gradient,
                scale_total + scale_row,
            )
            return carry, (gate_gradient, product_gradient, context)

        upstream = tuple(gradients[:3])
        xs = [previous, products, gates, weights, valid, upstream]
        if self.gated:
            xs.append(contexts)
        used = weights
        if self.dropout:
            xs.append(keep)
            used = weights * keep
        init = (tuple(gradients[3:]), ops.zeros_like(key), ops.zeros_like(key[:, 0]))
        (first, key_gradient, scale_rows), emitted = scan(body, init, xs, reverse=True)
        gate_gradient, product_gradient, context_gradient = emitted
        return (
            gate_gradient,
            ops.einsum("tbs,tbd->bsd", used, context_gradient),
            key_gradient * scale if self.additive else key_gradient,
            _outer(previous[0], product_gradient),
            ops.sum(product_gradient, axis=(0, 1)),
            _outer(contexts, gate_gradient),
            None,
            None,
            *first,
            *([ops.sum(scale_rows, axis=0)] if self.additive else []),
            *([None] if self.dropout else []),
        )


def _outer(left, right):
    """Sum over steps and batch of outer products, one matrix product."""
    return ops.matmul(
        ops.transpose(ops.reshape(left, (-1, left.shape[-1]))),
        ops.reshape(right, (-1, right.shape[-1])),
    )
