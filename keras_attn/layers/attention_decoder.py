from typing import Any

import keras
from keras import ops, tree

from keras_attn.layers._checks import (
    check_axes,
    check_cell,
    check_mask,
    check_rank,
    check_weights,
    check_width,
)
from keras_attn.layers.bahdanau_attention import BahdanauAttention
from keras_attn.ops.attentive_recurrence import attentive_recurrence
from keras_attn.ops.memory import (
    flatten_mask,
    flatten_slots,
    unflatten_slots,
    zero_masked,
)
from keras_attn.ops.scan import scan

ORDERS = ("before", "after")


@keras.saving.register_keras_serializable("keras_attn")
class AttentionDecoder(keras.layers.Layer):
    """A recurrent cell that reads a memory through attention at every step.

    - `attend="before"` (RNNsearch): the previous state asks, the cell reads the
      answer: `c_t = attention(s_{t-1}, memory)`, `s_t = cell([x_t; c_t], s_{t-1})`.
    - `attend="after"` (Luong, without input feeding): `s_t = cell(x_t, s_{t-1})`,
      `c_t = attention(s_t, memory)`.

    All steps run in one loop that XLA compiles rolled. For a `GRUCell` or `LSTMCell`
    as Keras makes them, the loop has a backward pass of its own, which keeps no
    `(batch, time, memory, units)` tensor and forms the weight gradients after the
    loop; any other cell runs in the same loop under automatic differentiation.

    Args:
        cell: A Keras RNN cell without dropout, such as `keras.layers.GRUCell(256)`.
        attention: A `BahdanauAttention`.
        attend: `"before"` or `"after"` the cell.
        gate: Bool. Multiplies the context by `sigmoid(W s + b)`, one number a step, by
            which the cell chooses between what it reads and what it knows.
        coverage: Float, at least 0. Weight of a term that training adds to the loss:
            `sum_i (1 - sum_t a_ti)^2` over the kept slots `i` of the memory, the mean
            over the batch, with the attention weights `a`. It wants every slot to be
            read, and none again and again.
        **kwargs: Forwarded to `keras.layers.Layer` (`name`, `dtype`, ...).

    Call arguments:
        inputs: Tensor `(batch, time, input_dim)`.
        memory: Tensor `(batch, *memory, memory_dim)`.
        initial_state: Optional tensor `(batch, state_dim)` or list of them, one for
            each state of the cell. Defaults to zeros.
        inputs_mask: Optional bool tensor `(batch, time)`. A `False` step yields
            zeros and hands the state on.
        memory_mask: Optional bool tensor `(batch, *memory)`; `False` slots are not
            read. Both masks default to the Keras masks of the tensors.
        return_attention_scores: Bool. Also return the alignment history.
        return_choice: Bool, with `attention.hard`. Also return what REINFORCE needs.
        return_state: Bool. Also return the list of last states.
        training: Bool. Whether the attention's dropout is active, and whether hard
            attention draws its slots.

    Returns:
        Tensor `(batch, time, state_dim + memory_dim)`: state and context of each
        step, `[s_t; c_t]`. On request followed by the attention weights `(batch,
        time, *memory)`, the dict of `log_prob` and `entropy`, `(batch, time)`, of hard
        attention, and by the list of last states.

    Raises:
        ValueError: If an argument has the wrong type, rank, batch, mask or value.

    Example:
        >>> decoder = keras_attn.AttentionDecoder(
        ...     keras.layers.GRUCell(256), keras_attn.BahdanauAttention(256)
        ... )
        >>> outputs, alignment = decoder(
        ...     embedded, memory, return_attention_scores=True
        ... )

    Reference:
        Bahdanau et al., 2015, https://arxiv.org/abs/1409.0473. Luong et al., 2015,
        https://arxiv.org/abs/1508.04025. Xu et al., 2015,
        https://arxiv.org/abs/1502.03044, section 4.2.1, for `gate` and `coverage`.
    """

    def __init__(
        self, cell, attention, attend="before", gate=False, coverage=0.0, **kwargs
    ):
        super().__init__(**kwargs)
        check_cell(cell)
        if not isinstance(attention, BahdanauAttention):
            raise ValueError(
                "`attention` must be a BahdanauAttention. "
                f"Received: attention={attention!r}"
            )
        if attend not in ORDERS:
            raise ValueError(
                f"`attend` must be one of {ORDERS}. Received: attend={attend!r}"
            )
        check_weights(coverage=coverage)
        self.supports_masking = True
        self.gate, self.coverage = gate, coverage
        self.gate_projection: Any = None
        self.cell = cell
        self.attention = attention
        self.attend = attend

    @property
    def state_size(self):
        """Widths of the cell's states, as a list; the first one is the output."""
        size = self.cell.state_size
        return list(size) if isinstance(size, (list, tuple)) else [size]

    def build(self, inputs_shape, memory_shape):
        batch, input_dim = inputs_shape[0], inputs_shape[-1]
        self._input_dim, self._memory_dim = input_dim, memory_shape[-1]
        if not self.attention.built:  # a loaded one is
            self.attention.build((batch, 1, self.state_size[0]), memory_shape)
        if self.gate:
            self.gate_projection = keras.layers.Dense(
                1, "sigmoid", dtype=self.dtype_policy, name="gate"
            )
            self.gate_projection.build((batch, self.state_size[0]))
        if self.attend == "before":
            input_dim += memory_shape[-1]
        if not self.cell.built:
            self.cell.build((batch, input_dim))

    def call(
        self,
        inputs,
        memory,
        initial_state=None,
        inputs_mask=None,
        memory_mask=None,
        return_attention_scores=False,
        return_choice=False,
        return_state=False,
        training=None,
    ):
        self.attention.check_choice(return_choice)
        self._check(inputs, memory, inputs_mask, memory_mask)
        states = self._states(inputs, initial_state)
        inputs = zero_masked(inputs, inputs_mask)
        key = flatten_slots(self.attention.project_key(memory, memory_mask))
        values = flatten_slots(zero_masked(memory, memory_mask))
        drawn = self.attention.draw(inputs, values, training)
        mask = flatten_mask(memory_mask)
        run = self._run_after if self.attend == "after" else self._run_before
        outputs, weights, choice, states = run(
            inputs, values, key, states, inputs_mask, mask, drawn
        )
        outputs, weights = (zero_masked(x, inputs_mask) for x in (outputs, weights))
        if training and self.coverage:
            self._add_coverage(weights, mask)
        results = [outputs]
        if return_attention_scores:
            results.append(unflatten_slots(weights, memory))
        if return_choice:
            if inputs_mask is not None:
                choice = {k: ops.where(inputs_mask, v, 0.0) for k, v in choice.items()}
            results.append(choice)
        if return_state:
            results.append(list(states))
        return outputs if len(results) == 1 else tuple(results)

    def step(self, inputs, states, memory, projected_key=None, memory_mask=None):
        """One step of inference, for a decoding loop.

        Args:
            inputs: Tensor `(batch, input_dim)`.
            states: List of tensors `(batch, state_dim)`.
            memory: Tensor `(batch, *memory, memory_dim)`.
            projected_key: Optional result of `attention.project_key(memory)`.
            memory_mask: Optional bool tensor `(batch, *memory)`.

        Returns:
            `[s_t; c_t]`, `(batch, state_dim + memory_dim)`, the attention weights
            `(batch, *memory)` and the list of new states.
        """

        def read(query):
            context, weights = self.attention(
                query,
                memory,
                value_mask=memory_mask,
                projected_key=projected_key,
                return_attention_scores=True,
            )
            return self._open(context, query), weights

        if self.attend == "before":
            context, weights = read(states[0])
            inputs = ops.concatenate([inputs, context], axis=-1)
        output, states = self.cell(inputs, list(states))
        if self.attend == "after":
            context, weights = read(output)
        return ops.concatenate([output, context], axis=-1), weights, list(states)

    def _open(self, context, state):
        """The context through the gate, where there is one."""
        return context * self.gate_projection(state) if self.gate else context

    def _add_coverage(self, weights, mask):
        missed = ops.square(1.0 - ops.sum(ops.cast(weights, "float32"), axis=1))
        if mask is not None:
            missed = ops.where(mask, missed, 0.0)
        self.add_loss(self.coverage * ops.mean(ops.sum(missed, axis=-1)))

    def _run_after(self, inputs, memory, key, states, inputs_mask, mask, drawn):
        def body(states, xs):
            _, new = self.cell(xs[0], list(states))
            new = _hold(new, states, xs[1:])
            return new, new[0]

        states, outputs = scan(body, states, _steps(inputs, inputs_mask))
        outputs = ops.transpose(outputs, (1, 0, 2))
        mask = None if mask is None else mask[:, None]
        context, weights, choice = self.attention.attend(
            outputs, memory, key, mask, drawn
        )
        context = self._open(context, outputs)
        return ops.concatenate([outputs, context], axis=-1), weights, choice, states

    def _run_before(self, inputs, memory, key, states, inputs_mask, mask, drawn):
        if self._has_fused_loop():
            outputs, contexts, weights, states = self._fused_loop(
                inputs, memory, key, states, inputs_mask, mask, drawn
            )
            return ops.concatenate([outputs, contexts], axis=-1), weights, {}, states
        mask = None if mask is None else mask[:, None]

        def body(states, xs):
            step_drawn = None
            if drawn is not None:
                step_drawn = tree.map_structure(lambda x: x[:, None], xs[-1])
            context, weights, choice = self.attention.attend(
                states[0][:, None], memory, key, mask, step_drawn
            )
            context = self._open(context[:, 0], states[0])
            cell_inputs = ops.concatenate([xs[0], context], axis=-1)
            _, new = self.cell(cell_inputs, list(states))
            new = _hold(new, states, xs[1:2] if inputs_mask is not None else ())
            emitted = ops.concatenate([new[0], context], axis=-1)
            choice = {name: value[:, 0] for name, value in choice.items()}
            return new, (emitted, weights[:, 0], choice)

        xs = _steps(inputs, inputs_mask)
        if drawn is not None:
            by_step = tree.map_structure(lambda x: ops.transpose(x, (1, 0, 2)), drawn)
            xs = (*xs, by_step)
        states, (outputs, weights, choice) = scan(body, states, xs)
        outputs, weights = (ops.transpose(x, (1, 0, 2)) for x in (outputs, weights))
        choice = {name: ops.transpose(value) for name, value in choice.items()}
        return outputs, weights, choice, states

    def _has_fused_loop(self):
        """Whether cell and attention are of the kind whose gradient is written down."""
        cell, projection = self.cell, self.attention.query_projection
        if self.attention.hard:
            return False
        for dense in (projection, self.gate_projection):
            if dense is not None and dense.quantization_mode is not None:
                return False
        if type(cell) not in (keras.layers.GRUCell, keras.layers.LSTMCell):
            return False
        activations = (cell.activation, cell.recurrent_activation)
        return getattr(cell, "reset_after", True) and activations == (
            keras.activations.tanh,
            keras.activations.sigmoid,
        )

    def _fused_loop(self, inputs, memory, key, states, inputs_mask, mask, factors):
        cell, attention = self.cell, self.attention
        name = "gru" if isinstance(cell, keras.layers.GRUCell) else "lstm"
        kernel = ops.convert_to_tensor(cell.kernel)
        recurrent = ops.convert_to_tensor(cell.recurrent_kernel)
        gates = recurrent.shape[-1]
        zeros = ops.zeros((gates,), inputs.dtype)
        input_bias, recurrent_bias = zeros, zeros
        if cell.bias is not None:
            bias = ops.convert_to_tensor(cell.bias)
            input_bias = bias
            if name == "gru":
                input_bias, recurrent_bias = bias[0], bias[1]
        projection = attention.query_projection
        if projection is None:
            query_kernel = ops.eye(recurrent.shape[0], dtype=inputs.dtype)
            query_bias = ops.zeros((recurrent.shape[0],), inputs.dtype)
        else:
            query_kernel = ops.convert_to_tensor(projection.kernel)
            query_bias = ops.zeros((query_kernel.shape[-1],), inputs.dtype)
            if projection.bias is not None:
                query_bias = ops.convert_to_tensor(projection.bias)
        kernels, biases = [query_kernel, recurrent], [query_bias, recurrent_bias]
        if self.gate:
            kernels.append(ops.convert_to_tensor(self.gate_projection.kernel))
            biases.append(ops.convert_to_tensor(self.gate_projection.bias))
        input_dim = inputs.shape[-1]
        scale = attention.scale
        return attentive_recurrence(
            ops.matmul(inputs, kernel[:input_dim]) + input_bias,
            memory,
            key,
            states,
            ops.concatenate(kernels, axis=-1),
            ops.concatenate(biases, axis=-1),
            kernel[input_dim:],
            None if scale is None else ops.convert_to_tensor(scale),
            cell=name,
            factor=attention.factor,
            gated=self.gate,
            inputs_mask=inputs_mask,
            memory_mask=mask,
            keep=factors,
        )

    def _states(self, inputs, initial_state):
        sizes = self.state_size
        batch = ops.shape(inputs)[0]
        if initial_state is None:
            return tuple(ops.zeros((batch, size), inputs.dtype) for size in sizes)
        if not isinstance(initial_state, (list, tuple)):
            initial_state = [initial_state]
        shapes = [tuple(state.shape) for state in initial_state]
        if [shape[1:] for shape in shapes] != [(size,) for size in sizes]:
            raise ValueError(
                "`initial_state` must hold one tensor (batch, size) for each of the "
                f"state sizes {sizes}. Received shapes: {shapes}"
            )
        for shape in shapes:
            check_axes("inputs", inputs.shape, "initial_state", shape, 1, "batch")
        return tuple(ops.cast(state, inputs.dtype) for state in initial_state)

    def _check(self, inputs, memory, inputs_mask, memory_mask):
        check_rank("inputs", inputs.shape, (3,), "(batch, time, dim)")
        check_rank("memory", memory.shape, range(3, 10), "(batch, *memory, dim)")
        check_axes("inputs", inputs.shape, "memory", memory.shape, 1, "batch")
        check_width("inputs", inputs.shape, self._input_dim)
        check_width("memory", memory.shape, self._memory_dim)
        check_mask("inputs_mask", inputs_mask, inputs.shape[:2])
        check_mask("memory_mask", memory_mask, memory.shape[:-1])

    def get_config(self):
        return {
            **super().get_config(),
            "cell": keras.saving.serialize_keras_object(self.cell),
            "attention": keras.saving.serialize_keras_object(self.attention),
            "attend": self.attend,
            "gate": self.gate,
            "coverage": self.coverage,
        }

    @classmethod
    def from_config(cls, config):
        for name in ("cell", "attention"):
            config = {
                **config,
                name: keras.saving.deserialize_keras_object(config[name]),
            }
        return cls(**config)


def _steps(inputs, mask):
    """Inputs, and the mask where there is one, with the steps in front."""
    xs = (ops.transpose(inputs, (1, 0, 2)),)
    return xs if mask is None else (*xs, ops.transpose(mask)[..., None])


def _hold(new, old, valid):
    """The new states where the step is valid, the old ones elsewhere."""
    if not valid:
        return tuple(new)
    return tuple(
        ops.where(valid[0], after, before)
        for after, before in zip(new, old, strict=True)
    )
