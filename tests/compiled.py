"""What a compiler says of a function, without running it."""

import re

import numpy as np
from keras import ops

from tests.gradients import BACKEND


def largest_array(function, *tensors):
    """Elements of the largest array in what XLA makes of `function`."""
    pattern = r"\b(?:f32|bf16|f16|pred|s32)\[([\d,]+)\]"
    shapes = re.findall(pattern, _text(function, tensors))
    return max(np.prod([int(n) for n in shape.split(",")]) for shape in shapes)


def count_sorts(function, *tensors):
    """How often XLA sorts, which costs far more than to find the largest."""
    return len(re.findall(r"\bsort\(", _text(function, tensors)))


def multiplications(function, *tensors):
    """Floating-point operations of one call."""
    tensors = [ops.convert_to_tensor(x) for x in tensors]
    return {"tensorflow": _tensorflow_flops, "jax": _jax_flops}[BACKEND](
        function, tensors
    )


def _text(function, tensors):
    compile_to_text = {"tensorflow": _tensorflow_text, "jax": _jax_text}[BACKEND]
    return compile_to_text(function, [ops.convert_to_tensor(x) for x in tensors])


def _tensorflow_text(function, tensors):
    import tensorflow as tf

    compiled = tf.function(function, autograph=False, jit_compile=True)
    return compiled.experimental_get_compiler_ir(*tensors)(stage="optimized_hlo")


def _tensorflow_flops(function, tensors):
    import tensorflow as tf

    profiler = tf.compat.v1.profiler
    options = profiler.ProfileOptionBuilder(
        profiler.ProfileOptionBuilder.float_operation()
    )
    graph = tf.function(function, autograph=False).get_concrete_function(*tensors).graph
    return profiler.profile(
        graph, options=options.with_empty_output().build()
    ).total_float_ops


def _jax_text(function, tensors):
    import jax

    return jax.jit(function).lower(*tensors).compile().as_text()


def _jax_flops(function, tensors):
    import jax

    return jax.jit(function).lower(*tensors).compile().cost_analysis()["flops"]
