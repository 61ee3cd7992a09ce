"""Which requests share a batch, when it starts, and what becomes of each."""

import threading
import time
from concurrent.futures import wait

import numpy as np
import pytest

from keras_attn.serving.server import StatusError
from keras_attn.serving.server.batching import (
    BatchedGraph,
    Batcher,
    BatchingParameters,
)
from keras_attn.serving.server.batching.task import Task
from keras_attn.serving.server.metrics import Metrics
from keras_attn.serving.server.session import GraphSession, SessionOptions

LONG = 60_000_000  # microseconds; no test waits for it


class Recorder:
    """A session that keeps what it is fed, and waits at a gate when told to."""

    def __init__(self, session):
        self._session = session
        self.signatures = session.signatures
        self.batches = []
        self.timeouts = []
        self.gate = threading.Event()
        self.gate.set()
        self.closed = False

    def run(self, feeds, fetches, arrays, timeout=None):
        self.batches.append(arrays[0])
        self.timeouts.append(timeout)
        assert self.gate.wait(30)
        return self._session.run(feeds, fetches, arrays, timeout)

    def close(self):
        self.closed = True

    @property
    def sizes(self):
        return [len(batch) for batch in self.batches]


class Names:
    """The tensors of a signature."""

    def __init__(self, signature):
        self._signature = signature
        self.feeds = tuple(sorted(info.name for info in signature.inputs.values()))

    def __getitem__(self, aliases):
        return tuple(self._signature.outputs[alias].name for alias in aliases.split())


@pytest.fixture(scope="module")
def session(toolbox):
    session = GraphSession(toolbox / "3", SessionOptions())
    yield session
    session.close()


@pytest.fixture
def recorder(session):
    recorder = Recorder(session)
    yield recorder
    recorder.gate.set()


@pytest.fixture
def batched(recorder):
    """Makes batched graphs, on one thread unless told otherwise."""
    opened = []

    def start(metrics=None, **settings):
        parameters = BatchingParameters(**{"num_batch_threads": 1} | settings)
        batcher = Batcher(parameters.num_batch_threads, parameters.thread_pool_name)
        opened.append(
            (BatchedGraph(recorder, batcher, parameters, metrics=metrics), batcher)
        )
        return opened[-1][0]

    yield start
    recorder.gate.set()
    for graph, batcher in opened:
        graph.close()
        batcher.stop()


@pytest.fixture
def names(session):
    return {key: Names(value) for key, value in session.signatures.items()}


@pytest.fixture
def ask(names):
    """Submits an input to the `echo` signature, or a named one."""

    def ask(graph, array, signature="echo", outputs="x", timeout=None):
        of = names[signature]
        return graph.submit(of.feeds, of[outputs], [np.asarray(array)], timeout)

    return ask


def rows(*values):
    """One row of two numbers for each value."""
    return np.array([[value, value + 0.5] for value in values], "float32")


def hold(graph, recorder, ask):
    """Keeps the only thread busy until the gate opens."""
    recorder.batches.clear()
    recorder.gate.clear()
    held = ask(graph, rows(-1))
    while not recorder.batches:
        time.sleep(0.001)
    recorder.batches.clear()
    recorder.timeouts.clear()
    return held


def failure(future):
    error = future.exception(30)
    assert isinstance(error, StatusError), error
    return error.code.name, error.message


def test_requests_that_wait_share_a_batch(batched, recorder, ask):
    graph = batched(max_batch_size=6, batch_timeout_micros=LONG)
    inputs = [rows(1), rows(2, 3), rows(4, 5, 6)]
    futures = [ask(graph, array) for array in inputs]
    for future, array in zip(futures, inputs, strict=True):
        np.testing.assert_array_equal(future.result(30)[0], array)
    assert recorder.sizes == [6]


def test_without_a_timeout_a_free_thread_starts_at_once(batched, recorder, ask):
    graph = batched(max_batch_size=4)
    held = hold(graph, recorder, ask)
    futures = [ask(graph, rows(value)) for value in range(3)]
    recorder.gate.set()
    wait([held, *futures], 30)
    assert recorder.sizes == [3]


def test_a_batch_waits_for_its_timeout(batched, ask):
    graph = batched(batch_timeout_micros=100_000)
    start = time.monotonic()
    ask(graph, rows(1)).result(30)
    assert 0.1 <= time.monotonic() - start < 10


def test_a_request_that_does_not_fit_closes_the_batch(batched, recorder, ask):
    graph = batched(max_batch_size=4, batch_timeout_micros=LONG)
    first = ask(graph, rows(1, 2, 3))
    second = ask(graph, rows(4, 5))
    first.result(30)
    assert recorder.sizes == [3]
    third = ask(graph, rows(6, 7))
    wait([second, third], 30)
    assert recorder.sizes == [3, 4]


def test_each_set_of_outputs_has_a_queue(batched, recorder, ask):
    graph = batched(max_batch_size=2, batch_timeout_micros=LONG)
    text = np.array([b"mai"], object)
    both = ask(graph, text, "months", "id echo")
    one = ask(graph, text, "months", "id")
    other = ask(graph, np.array([b"juin"], object), "months", "echo id")
    assert [array.tolist() for array in both.result(30)] == [[5], [b"mai"]]
    assert [array.tolist() for array in other.result(30)] == [[b"juin"], [6]]
    assert not one.done()
    ask(graph, text, "months", "id")
    assert one.result(30)[0].tolist() == [5]
    assert recorder.sizes == [2, 2]


def test_padding_repeats_the_first_row_of_the_last_request(batched, recorder, ask):
    graph = batched(max_batch_size=8, allowed_batch_sizes=(2, 8))
    held = hold(graph, recorder, ask)
    first, second = ask(graph, rows(1, 2)), ask(graph, rows(3, 4))
    recorder.gate.set()
    np.testing.assert_array_equal(second.result(30)[0], rows(3, 4))
    np.testing.assert_array_equal(first.result(30)[0], rows(1, 2))
    np.testing.assert_array_equal(held.result(30)[0], rows(-1))
    np.testing.assert_array_equal(recorder.batches[0], rows(1, 2, 3, 4, 3, 3, 3, 3))


def test_no_rows_are_an_answer_of_no_rows(batched, recorder, ask):
    graph = batched(max_batch_size=2, allowed_batch_sizes=(2,))
    none = np.ones((0, 2), "float32")
    assert ask(graph, none).result(30)[0].shape == (0, 2)
    held = hold(graph, recorder, ask)
    one, nothing = ask(graph, rows(1)), ask(graph, none)
    recorder.gate.set()
    np.testing.assert_array_equal(one.result(30)[0], rows(1))
    assert nothing.result(30)[0].shape == (0, 2)
    assert held.done()


def test_more_rows_than_a_batch_holds(batched, ask):
    with pytest.raises(StatusError) as caught:
        ask(batched(max_batch_size=8), rows(*range(9)))
    assert caught.value.code.name == "INVALID_ARGUMENT"
    text = "Task size 9 is larger than maximum input batch size 8"
    assert caught.value.message == text


@pytest.mark.parametrize(("limit", "accepted"), [(2, 4), (1, 2), (0, 2)])
def test_a_full_queue_refuses(batched, recorder, ask, limit, accepted):
    graph = batched(max_batch_size=2, max_enqueued_batches=limit)
    futures = [hold(graph, recorder, ask)]
    futures += [ask(graph, rows(value)) for value in range(accepted)]
    with pytest.raises(StatusError) as caught:
        ask(graph, rows(9))
    assert caught.value.code.name == "UNAVAILABLE"
    count = max(1, limit)
    assert caught.value.message == (
        "The batch scheduling queue to which this task was submitted is full; "
        f"currently {count} batches enqueued and max_enqueued_batches is {count}"
    )
    recorder.gate.set()
    assert not wait(futures, 30).not_done
    assert ask(graph, rows(9)).result(30)


def test_different_shapes_fail_every_request_of_the_batch(batched, recorder, ask):
    graph = batched(max_batch_size=4)
    held = hold(graph, recorder, ask)
    futures = [ask(graph, rows(1)), ask(graph, np.ones((1, 3), "float32"))]
    futures.append(ask(graph, rows(2)))
    recorder.gate.set()
    assert held.result(30)
    for future in futures:
        assert failure(future) == (
            "FAILED_PRECONDITION",
            "Tensors with name 'echo_x:0' from different tasks have different shapes "
            "and padding is turned off. Set pad_variable_length_inputs to true, or "
            "ensure that all tensors with the same name have equal dimensions starting "
            "with the first dim.",
        )
    assert ask(graph, rows(3)).result(30)


def test_different_shapes_are_padded_with_their_own_first_element(
    batched, recorder, ask
):
    graph = batched(
        max_batch_size=2, batch_timeout_micros=LONG, pad_variable_length_inputs=True
    )
    tall = ask(graph, np.array([[[1.0], [2.0]]], "float32"))
    wide = ask(graph, np.array([[[7.0, 8.0, 9.0]]], "float32"))
    expected = [[[1, 1, 1], [2, 1, 1]], [[7, 8, 9], [7, 7, 7]]]
    assert tall.result(30)[0].tolist() == expected[:1]  # not cut back
    assert wide.result(30)[0].tolist() == expected[1:]
    assert recorder.batches[0].tolist() == expected


def test_strings_are_padded_whole(batched, names, recorder):
    graph = batched(
        max_batch_size=2, batch_timeout_micros=LONG, pad_variable_length_inputs=True
    )
    of = names["months"]
    texts = np.array([[b"a\x00", b"b"]], object), np.array([[b"c\x00"]], object)
    futures = [graph.submit(of.feeds, of["echo"], [text]) for text in texts]
    (padded,) = futures[1].result(30)
    assert padded.tolist() == [[b"c\x00", b"c\x00"]]


@pytest.mark.parametrize(
    ("shapes", "problem"),
    [
        ([(1, 0), (1, 2)], "Got empty tensor in batch of non-empty tensors."),
        ([(1,) * 7, (1,) * 7], "Only tensors with rank from 1 to 6 can be padded."),
        (
            [(1, 2), (1, 2, 3)],
            "Tensors with name 'echo_x:0' from different tasks have different ranks: "
            "2, 3.",
        ),
    ],
)
def test_what_cannot_be_padded(batched, ask, shapes, problem):
    graph = batched(
        max_batch_size=2, batch_timeout_micros=LONG, pad_variable_length_inputs=True
    )
    for future in [ask(graph, np.ones(shape, "float32")) for shape in shapes]:
        assert failure(future) == ("INVALID_ARGUMENT", problem)


@pytest.mark.parametrize(
    ("arrays", "problem"),
    [
        ([], "Batching Run() must have at least one input tensor"),
        (
            [np.float32(1)],
            "Batching Run() input tensors must have at least one dimension",
        ),
        (
            [np.ones(2), np.ones(3)],
            "Batching Run() input tensors must have equal 0th-dimension size",
        ),
    ],
)
def test_what_cannot_be_batched(batched, arrays, problem):
    names = tuple(f"input_{index}:0" for index in range(len(arrays)))
    with pytest.raises(StatusError) as caught:
        batched().submit(names, ("output:0",), arrays)
    assert (caught.value.code.name, caught.value.message) == (
        "INVALID_ARGUMENT",
        problem,
    )


def test_outputs_must_have_a_row_for_each_of_the_input(batched, ask, names):
    graph = batched()
    total = ask(graph, np.ones((2, 3), "float32"), "serving_default", "total")
    assert failure(total) == (
        "FAILED_PRECONDITION",
        "Batched output tensor has 0 dimensions",
    )
    feeds = names["gather"].feeds
    kernel = graph.submit(
        feeds, ("Variable/Read/ReadVariableOp:0",), [np.array([0, 1], "int32")]
    )
    assert failure(kernel) == (
        "FAILED_PRECONDITION",
        "Batched output tensor's 0th dimension does not equal the sum of the 0th "
        "dimension sizes of the input tensors",
    )


def test_an_error_of_the_graph_reaches_everyone(batched, recorder, ask):
    graph = batched(max_batch_size=2, batch_timeout_micros=LONG)
    row = np.array([9], "int32")
    futures = [ask(graph, row, "gather", "row") for _ in range(2)]
    errors = [future.exception(30) for future in futures]
    assert {error.code.name for error in errors} == {"INVALID_ARGUMENT"}
    assert "indices[0] = 9 is not in [0, 3)" in errors[0].message
    assert errors[0] is not errors[1]
    ok = [ask(graph, np.array([1], "int32"), "gather", "row") for _ in range(2)]
    assert ok[1].result(30)[0].tolist() == [[2.0, 0.5]]


def test_a_request_whose_time_is_up_is_not_computed(batched, recorder, ask):
    graph = batched(max_batch_size=8)
    held = hold(graph, recorder, ask)
    late, timely = ask(graph, rows(1), timeout=0.05), ask(graph, rows(2), timeout=20)
    time.sleep(0.1)
    recorder.gate.set()
    assert failure(late) == (
        "RESOURCE_EXHAUSTED",
        "Run() timeout exceeded while waiting in batching queue",
    )
    np.testing.assert_array_equal(timely.result(30)[0], rows(2))
    assert held.done()
    assert recorder.sizes == [1]
    assert 10 < recorder.timeouts[0] < 20


def test_a_batch_has_the_time_of_its_most_patient_request(batched, recorder, ask):
    graph = batched(max_batch_size=2, batch_timeout_micros=LONG)
    wait([ask(graph, rows(1), timeout=5), ask(graph, rows(2), timeout=50)], 30)
    assert 40 < recorder.timeouts[0] < 50
    wait([ask(graph, rows(1), timeout=5), ask(graph, rows(2))], 30)
    assert recorder.timeouts[1] is None


def test_a_cancelled_request_is_not_computed(batched, recorder, ask):
    graph = batched(max_batch_size=8)
    hold(graph, recorder, ask)
    gone, stays = ask(graph, rows(1)), ask(graph, rows(2))
    assert gone.cancel()
    recorder.gate.set()
    np.testing.assert_array_equal(stays.result(30)[0], rows(2))
    assert recorder.sizes == [1]
    hold(graph, recorder, ask)
    alone = ask(graph, rows(3))
    assert alone.cancel()
    recorder.gate.set()
    ask(graph, rows(4)).result(30)
    assert recorder.sizes == [1]  # there was no batch of nothing


def splitting(**settings):
    return {
        "enable_large_batch_splitting": True,
        "max_batch_size": 16,
        "max_execution_batch_size": 4,
        **settings,
    }


def test_a_large_request_is_spread_over_batches(batched, recorder, ask):
    graph = batched(**splitting(batch_timeout_micros=100_000))
    first = ask(graph, rows(1, 2, 3))
    second = ask(graph, rows(*range(10, 20)))
    np.testing.assert_array_equal(first.result(30)[0], rows(1, 2, 3))
    np.testing.assert_array_equal(second.result(30)[0], rows(*range(10, 20)))
    assert recorder.sizes == [4, 4, 4, 1]


def test_the_parts_of_a_request_are_computed_side_by_side(batched, recorder, ask):
    graph = batched(**splitting(num_batch_threads=4))
    recorder.gate.clear()
    future = ask(graph, rows(*range(16)))
    end = time.monotonic() + 10
    while len(recorder.batches) < 4:
        assert time.monotonic() < end, f"only {len(recorder.batches)} at once"
        time.sleep(0.001)
    recorder.gate.set()
    np.testing.assert_array_equal(future.result(30)[0], rows(*range(16)))


def test_a_part_that_fails_fails_the_request(batched, ask):
    graph = batched(**splitting())
    future = ask(graph, np.array([0, 0, 0, 0, 9, 0], "int32"), "gather", "row")
    code, text = failure(future)
    assert code == "INVALID_ARGUMENT"
    assert "indices[0] = 9" in text


def test_a_request_that_is_split_is_cancelled_as_a_whole(batched, recorder, ask):
    graph = batched(**splitting())
    hold(graph, recorder, ask)
    future = ask(graph, rows(*range(10)))
    assert future.cancel()
    recorder.gate.set()
    ask(graph, rows(1)).result(30)
    assert sum(recorder.sizes) == 1


def test_capacity_for_what_is_split(batched, recorder, ask):
    graph = batched(**splitting(max_enqueued_batches=2))
    hold(graph, recorder, ask)
    ask(graph, rows(1, 2, 3))
    with pytest.raises(StatusError) as caught:
        ask(graph, rows(*range(6)))
    assert caught.value.code.name == "UNAVAILABLE"
    assert caught.value.message == (
        "The batch scheduling queue to which this task was submitted is full; task "
        "size is 6 but scheduling capacity is only 5 (num_enqueued_batches=1, "
        "max_enqueued_batches=2, open_batch_size=3, max_execution_batch_size=4)"
    )
    last = ask(graph, rows(*range(5)))
    with pytest.raises(StatusError, match=r"task size is 1 but .* is only 0 "):
        ask(graph, rows(1))
    recorder.gate.set()
    np.testing.assert_array_equal(last.result(30)[0], rows(*range(5)))


def test_queues_take_turns_on_shared_threads(session, names, recorder, ask):
    parameters = BatchingParameters(max_batch_size=1)
    batcher = Batcher(1, "shared")
    first, second = (BatchedGraph(recorder, batcher, parameters) for _ in range(2))
    hold(first, recorder, ask)
    futures = [ask(first, rows(value)) for value in (1, 2, 3)]
    futures.append(ask(second, rows(9)))
    recorder.gate.set()
    wait(futures, 30)
    order = [batch[0, 0] for batch in recorder.batches]
    assert order.index(9) <= 1
    threads = [t.name for t in threading.enumerate() if t.name.startswith("shared")]
    assert threads == ["shared_0"]
    for graph in (first, second):
        graph.close()
    batcher.stop()
    assert not any(t.name.startswith("shared") for t in threading.enumerate())


def test_closing_refuses_what_waits(recorder, ask):
    batcher = Batcher(2)
    graph = BatchedGraph(
        recorder, batcher, BatchingParameters(batch_timeout_micros=LONG)
    )
    future = ask(graph, rows(1))
    for _ in range(2):
        graph.close()
    assert failure(future) == ("UNAVAILABLE", "The server is stopping.")
    assert (recorder.closed, recorder.batches) == (True, [])
    with pytest.raises(StatusError, match="The server is stopping"):
        ask(graph, rows(1))
    batcher.stop()


def test_nothing_enters_a_closed_queue():
    batcher = Batcher(1)
    queue = batcher.open_queue(BatchingParameters(), print)
    batcher.close_queue(queue)
    with pytest.raises(StatusError, match="The server is stopping"):
        batcher.add(queue, Task([np.zeros(1)], 1, ("y",), 0.0))
    batcher.stop()


def test_batches_are_counted(batched, recorder, ask):
    metrics = Metrics()
    graph = batched(
        metrics,
        max_batch_size=8,
        allowed_batch_sizes=(4, 8),
        thread_pool_name="pool",
        batch_timeout_micros=100_000,
    )
    wait([ask(graph, rows(1, 2)), ask(graph, rows(3, 4, 5))], 30)
    text = metrics.render()
    session = ":tensorflow:serving:batching_session:"
    for line in [
        f"{session}wrapped_run_count{{}} 1",
        f'{session}padding_size_sum{{execution_batch_size="8"}} 3',
        f"{session}input_batch_size_count{{}} 2",
        f"{session}input_batch_size_sum{{}} 5",
        f"{session}processed_batch_size_sum{{}} 8",
        f'{session}queuing_latency_count{{thread_pool_name="pool"}} 2',
    ]:
        assert line in text
