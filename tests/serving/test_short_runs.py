"""What a session runs in the caller's thread: short work that surely ends."""

import grpc
import numpy as np
import pytest
import tensorflow as tf

from keras_attn.serving.server.session import GraphSession, SessionOptions
from keras_attn.serving.server.status import StatusError
from tests.serving.spinner import save_spinner

SHORT, LONG = 1e-6, 1.0

VECTOR = tf.TensorSpec([None], tf.float32, name="x")


class Mixture(tf.Module):
    """A signature for each kind of work."""

    def __init__(self):
        self.kernel = tf.Variable([[1.0, 2.0], [3.0, 4.0]])

    @tf.function
    def inner(self, x):
        return tf.while_loop(lambda x: tf.reduce_max(x) < 9, lambda x: [2 * x], [x])[0]

    def dense(self, x):
        return tf.gather(x[:, None] * self.kernel[0] @ self.kernel, [0])

    def loop(self, x):
        return self.inner(x)

    def branch(self, x):
        return tf.cond(x[0] > 0, lambda: x, lambda: -x)

    def random(self, x):
        return x + tf.random.uniform([])

    def text(self, x):
        return tf.strings.as_string(x)


@pytest.fixture(scope="module", params=["v2", "v1"])
def mixture(request, tmp_path_factory):
    """A session, with control flow as functions and as TensorFlow 1 has it."""
    path = tmp_path_factory.mktemp("mixture") / request.param
    signatures = ["dense", "loop", "branch", "random", "text"]
    if request.param == "v2":
        model = Mixture()
        functions = {
            name: tf.function(
                lambda x, name=name: {"y": getattr(model, name)(x)},
                input_signature=[VECTOR],
            )
            for name in signatures
        }
        tf.saved_model.save(model, str(path), functions)
    else:
        save_as_v1(path, signatures)
    session = GraphSession(path, SessionOptions())
    yield session
    session.close()


def save_as_v1(path, signatures):
    v1 = tf.compat.v1
    with tf.Graph().as_default() as graph, v1.Session(graph=graph) as session:
        v1.disable_control_flow_v2()
        try:
            model = Mixture()
            definitions = {}
            for name in signatures:
                x = v1.placeholder(tf.float32, [None])
                method = getattr(model, name)
                y = model.inner.python_function(x) if name == "loop" else method(x)
                definitions[name] = v1.saved_model.predict_signature_def(
                    {"x": x}, {"y": y}
                )
        finally:
            v1.enable_control_flow_v2()
        session.run(v1.global_variables_initializer())
        builder = v1.saved_model.Builder(str(path))
        builder.add_meta_graph_and_variables(session, ["serve"], definitions)
        builder.save()


def names_of(session, signature):
    found = session.signatures[signature]
    return (found.inputs["x"].name,), (found.outputs["y"].name,)


def kind_of(session, signature, x):
    _, fetches = names_of(session, signature)
    return session._short_runs.kind_of(fetches, [x])


X = np.float32([1, 2, 3])


@pytest.mark.parametrize(
    ("signature", "is_steady"),
    [
        ("dense", True),
        ("text", True),
        ("loop", False),
        ("branch", False),
        ("random", False),
    ],
)
def test_what_always_takes_its_time(mixture, signature, is_steady):
    assert (kind_of(mixture, signature, X) is not None) == is_steady


def test_shapes_and_outputs_tell_kinds_apart(mixture):
    kind = kind_of(mixture, "dense", X)
    assert kind == kind_of(mixture, "dense", 2 * X)
    assert kind != kind_of(mixture, "dense", X[:2])
    assert kind != kind_of(mixture, "text", X)


def test_texts_of_one_shape_are_not_one_kind(mixture):
    assert kind_of(mixture, "dense", np.array([b"a"], object)) is None


def test_a_run_in_this_thread_gives_the_same(mixture):
    names = names_of(mixture, "dense")
    runs = mixture._short_runs
    kind = kind_of(mixture, "dense", X)
    runs.remember(kind, LONG)
    assert kind not in runs
    (expected,) = mixture.run(*names, [X])
    runs.remember(kind, SHORT)
    assert kind in runs
    for timeout in (None, 60.0):
        np.testing.assert_array_equal(mixture.run(*names, [X], timeout)[0], expected)


def test_runs_become_short_by_themselves(mixture):
    names, x = names_of(mixture, "dense"), np.ones(7, np.float32)
    kind = kind_of(mixture, "dense", x)
    assert any(
        mixture.run(*names, [x], 60.0) and kind in mixture._short_runs
        for _ in range(5000)
    )


def test_one_that_takes_long_is_short_no_more(mixture):
    kind = kind_of(mixture, "dense", X)
    runs = mixture._short_runs
    runs.remember(kind, SHORT)
    runs.remember(kind, 0.01)
    assert kind in runs
    runs.remember(kind, LONG)
    assert kind not in runs


def test_not_more_kinds_than_there_is_room_for(mixture):
    runs = mixture._short_runs
    kinds = [kind_of(mixture, "dense", np.zeros(n, np.float32)) for n in range(3000)]
    for kind in kinds:
        runs.remember(kind, SHORT)
    assert kinds[-1] in runs
    assert sum(kind in runs for kind in kinds) <= 1024


def test_a_loop_is_broken_off_however_short_it_was(tmp_path):
    save_spinner(tmp_path / "1")
    session = GraphSession(tmp_path / "1", SessionOptions())
    signature = session.signatures["serving_default"]
    names = (signature.inputs["seconds"].name,), (signature.outputs["spent"].name,)
    for _ in range(5):
        session.run(*names, [np.zeros(1)], 60.0)
    with pytest.raises(StatusError) as caught:
        session.run(*names, [np.float64([60])], 0.2)
    assert caught.value.code == grpc.StatusCode.DEADLINE_EXCEEDED
    session.close()
