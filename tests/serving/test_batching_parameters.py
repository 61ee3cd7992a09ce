"""The text file that says how batches are formed."""

import os

import pytest

from keras_attn.serving.server import StatusError
from keras_attn.serving.server.batching import (
    BatchingParameters,
    model_parameters,
    read_parameters,
)


@pytest.fixture
def read(tmp_path):
    def read(text):
        file = tmp_path / "batching_params.pbtxt"
        file.write_text(text)
        assert model_parameters(tmp_path) == read_parameters(file)
        return read_parameters(file)

    return read


def test_every_setting_is_read(read):
    parameters = read("""
        max_batch_size { value: 16 }
        batch_timeout_micros { value: 2500 }
        max_enqueued_batches { value: 7 }
        num_batch_threads { value: 3 }
        thread_pool_name { value: "pool" }
        allowed_batch_sizes: 4
        allowed_batch_sizes: 16
        pad_variable_length_inputs: true
        enable_large_batch_splitting { value: true }
        max_execution_batch_size { value: 8 }
    """)
    assert parameters == BatchingParameters(
        16, 2500, 7, 3, "pool", (4, 16), True, True, 8
    )


def test_what_is_left_out_has_the_default(read):
    parameters = read("")
    assert parameters == BatchingParameters()
    assert (parameters.max_batch_size, parameters.max_enqueued_batches) == (1000, 10)
    assert parameters.num_batch_threads == os.cpu_count()
    assert parameters.batch_timeout_micros == 0


def test_a_zero_that_is_set_is_no_default(read):
    assert read("max_enqueued_batches { value: 0 }").max_enqueued_batches == 0


def test_a_version_without_a_file_has_no_parameters(tmp_path):
    assert model_parameters(tmp_path) is None


@pytest.mark.parametrize(
    ("rows", "size"), [(0, 0), (1, 2), (2, 2), (3, 4), (5, 8), (8, 8)]
)
def test_batches_grow_to_the_next_allowed_size(rows, size):
    parameters = BatchingParameters(8, allowed_batch_sizes=(2, 4, 8))
    assert parameters.allowed_size(rows) == size
    assert BatchingParameters(8).allowed_size(rows) == rows


LAST = "Last entry in allowed_batch_sizes must match max_batch_size; last entry was "


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("max_batch_size { value: 8 } allowed_batch_sizes: 4", f"{LAST}4; expected 8"),
        ("allowed_batch_sizes: 4", f"{LAST}4; expected 1000"),
        (
            "max_batch_size { value: 4 } allowed_batch_sizes: [4, 2, 4]",
            "allowed_batch_sizes entries must be monotonically increasing",
        ),
        ("num_batch_threads { value: 0 }", "num_batch_threads must be positive; was 0"),
        (
            "max_batch_size { value: 0 }",
            "input_batch_size_limit must be positive; was 0",
        ),
        (
            "batch_timeout_micros { value: -1 }",
            "batch_timeout_micros must be non-negative; was -1",
        ),
        (
            "enable_large_batch_splitting { value: true } "
            "max_enqueued_batches { value: 0 }",
            "max_enqueued_batches must be positive; was 0",
        ),
        (
            "max_batch_size { value: 4 } max_execution_batch_size { value: 8 } "
            "enable_large_batch_splitting { value: true }",
            "When enable_large_batch_splitting is true, input_batch_size_limit must be "
            "greater than or equal to max_execution_batch_size.",
        ),
    ],
)
def test_contradictions_are_named(read, text, problem):
    with pytest.raises(StatusError) as caught:
        read(text)
    assert (caught.value.code.name, caught.value.message) == (
        "INVALID_ARGUMENT",
        problem,
    )


def test_a_file_that_is_none(tmp_path):
    file = tmp_path / "batching.config"
    with pytest.raises(StatusError, match=r"NOT_FOUND: .*batching\.config"):
        read_parameters(file)
    file.write_text("max_batch_size: 4")
    with pytest.raises(StatusError, match="INVALID_ARGUMENT: Invalid protobuf file"):
        read_parameters(file)
