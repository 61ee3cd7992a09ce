"""Self-attention as it is written in Flax."""

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import optax
from flax import nnx


def self_attention(batch: int, time: int, dim: int, heads: int) -> Callable[[], Any]:
    layer, inputs = _make(batch, time, dim, heads)
    optimizer = nnx.Optimizer(layer, optax.adam(1e-3), wrt=nnx.Param)

    @nnx.jit
    def train(layer, optimizer, inputs):
        def loss(layer):
            return jnp.mean(jnp.square(layer(inputs)))

        value, gradients = nnx.value_and_grad(loss)(layer)
        optimizer.update(layer, gradients)
        return value

    step = nnx.cached_partial(train, layer, optimizer)  # spares a walk over both
    return lambda: jax.block_until_ready(step(inputs))


def forward(batch: int, time: int, dim: int, heads: int) -> Callable[[], Any]:
    layer, inputs = _make(batch, time, dim, heads)
    call = nnx.cached_partial(nnx.jit(lambda layer, inputs: layer(inputs)), layer)
    return lambda: jax.block_until_ready(call(inputs))


def _make(batch: int, time: int, dim: int, heads: int) -> tuple[Any, Any]:
    layer = nnx.MultiHeadAttention(heads, dim, decode=False, rngs=nnx.Rngs(0))
    return layer, jax.random.normal(jax.random.key(0), (batch, time, dim))
