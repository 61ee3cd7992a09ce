import numpy as np
import pytest
from keras import ops

from keras_attn.ops.scan import scan
from tests.gradients import BACKEND, MODES, gradients, in_mode


def body(carry, x):
    """Emits another structure than it carries: a float and a flag of another rank."""
    total, count = carry
    total = total * 0.5 + x["row"]
    emitted = {"squares": total * total, "odd": ops.sum(total) * x["sign"] > 0}
    return (total, count + 1), emitted


def loop(rows, signs, reverse=False):
    total, squares, odd = np.zeros(3), [], []
    order = range(len(rows))[::-1] if reverse else range(len(rows))
    for step in order:
        total = total * 0.5 + rows[step]
        squares.append(total * total)
        odd.append(total.sum() * signs[step] > 0)
    if reverse:
        squares, odd = squares[::-1], odd[::-1]
    return total, np.array(squares), np.array(odd)


def run(rows, signs, reverse=False):
    init = (ops.zeros((3,)), ops.zeros((), "int32"))
    return scan(body, init, {"row": rows, "sign": signs}, reverse=reverse)


@pytest.fixture
def sequence(rng):
    return rng.normal(size=(5, 3)).astype("float32"), np.float32([1, -1, -1, 1, -1])


@pytest.mark.parametrize("reverse", [False, True])
@pytest.mark.parametrize("mode", MODES)
def test_equals_a_loop(sequence, reverse, mode):
    tensors = [ops.convert_to_tensor(x) for x in sequence]
    compiled = in_mode(lambda rows, signs: run(rows, signs, reverse), mode)
    (total, count), emitted = compiled(*tensors)
    expected_total, squares, odd = loop(*sequence, reverse)
    assert int(count) == 5
    np.testing.assert_allclose(total, expected_total, atol=1e-6)
    np.testing.assert_allclose(emitted["squares"], squares, atol=1e-6)
    np.testing.assert_array_equal(emitted["odd"], odd)


@pytest.mark.parametrize("mode", MODES)
def test_no_steps_emit_empty_tensors(mode):
    empty = ops.zeros((0, 3)), ops.zeros((0,))
    (total, count), emitted = in_mode(run, mode)(*empty)
    assert int(count) == 0
    np.testing.assert_array_equal(total, np.zeros(3))
    assert tuple(emitted["squares"].shape) == (0, 3)
    assert tuple(emitted["odd"].shape) == (0,)


@pytest.mark.parametrize("reverse", [False, True])
@pytest.mark.parametrize("mode", MODES)
def test_automatic_gradients_flow_through(sequence, reverse, mode):
    factors = np.cos(np.arange(15, dtype="float32")).reshape(5, 3)

    def loss(rows):
        signs, scales = (ops.convert_to_tensor(x) for x in (sequence[1], factors))
        (total, _), emitted = run(rows, signs, reverse)
        return ops.sum(total) + ops.sum(emitted["squares"] * scales)

    def expected(rows):
        total, squares, _ = loop(rows, sequence[1], reverse)
        return total.sum() + (squares * factors).sum()

    (found,) = gradients(loss, [sequence[0]], mode=mode)
    rows, step = sequence[0].astype("float64"), 1e-5
    for index in np.ndindex(5, 3):
        shift = np.zeros((5, 3))
        shift[index] = step
        slope = (expected(rows + shift) - expected(rows - shift)) / (2 * step)
        np.testing.assert_allclose(found[index], slope, rtol=1e-4, atol=1e-4)


@pytest.mark.skipif(BACKEND != "tensorflow", reason="only graphs leave lengths open")
def test_a_graph_takes_any_number_of_steps(sequence):
    import tensorflow as tf

    specs = [tf.TensorSpec((None, 3)), tf.TensorSpec((None,))]
    function = tf.function(run, input_signature=specs)
    for steps in (5, 2, 0):
        rows, signs = sequence[0][:steps], sequence[1][:steps]
        (total, _), emitted = function(rows, signs)
        expected, squares, _ = loop(rows, signs)
        np.testing.assert_allclose(total, expected, atol=1e-6)
        np.testing.assert_allclose(
            emitted["squares"], squares.reshape(-1, 3), atol=1e-6
        )
    assert function.experimental_get_tracing_count() == 1


@pytest.mark.skipif(BACKEND != "tensorflow", reason="looks at a TensorFlow graph")
def test_a_graph_does_not_grow_with_the_steps():
    import tensorflow as tf

    def nodes(steps):
        specs = tf.TensorSpec((steps, 3)), tf.TensorSpec((steps,))
        graph = tf.function(run).get_concrete_function(*specs).graph
        return len(graph.get_operations())

    assert nodes(50) == nodes(5)
