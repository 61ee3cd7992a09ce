"""How batches are formed: the `BatchingParameters` text file of TF Serving."""

import os
from dataclasses import dataclass
from pathlib import Path

from keras_attn.serving.server import textproto
from keras_attn.serving.server.status import invalid_argument

MODEL_FILE = "batching_params.pbtxt"


@dataclass(frozen=True)
class BatchingParameters:
    """The settings of queues and threads, with TF Serving's defaults.

    Args:
        max_batch_size: Most rows of a request, and of a batch that is not split.
        batch_timeout_micros: How long a request waits for others.
        max_enqueued_batches: Most batches that wait; more are refused.
        num_batch_threads: Batches that are computed at once; by default one for each
            CPU.
        thread_pool_name: What the threads are called.
        allowed_batch_sizes: Sizes to which batches are padded; any if empty.
        pad_variable_length_inputs: Whether inputs of different shapes share a batch.
        enable_large_batch_splitting: Whether a request may be spread over batches.
        max_execution_batch_size: Most rows of a batch then; by default as many as of
            a request.

    Raises:
        StatusError: The settings contradict each other.
    """

    max_batch_size: int = 1000
    batch_timeout_micros: int = 0
    max_enqueued_batches: int = 10
    num_batch_threads: int = os.cpu_count() or 1
    thread_pool_name: str = "batch_threads"
    allowed_batch_sizes: tuple[int, ...] = ()
    pad_variable_length_inputs: bool = False
    enable_large_batch_splitting: bool = False
    max_execution_batch_size: int | None = None

    def __post_init__(self):
        self._check_numbers()
        self._check_allowed_sizes()

    def _check_numbers(self) -> None:
        if self.num_batch_threads < 1:
            raise invalid_argument(
                f"num_batch_threads must be positive; was {self.num_batch_threads}"
            )
        if self.max_batch_size < 1:
            raise invalid_argument(
                f"input_batch_size_limit must be positive; was {self.max_batch_size}"
            )
        if self.batch_timeout_micros < 0:
            raise invalid_argument(
                "batch_timeout_micros must be non-negative; was "
                f"{self.batch_timeout_micros}"
            )
        fewest = 1 if self.enable_large_batch_splitting else 0
        if self.max_enqueued_batches < fewest:
            raise invalid_argument(
                "max_enqueued_batches must be positive; was "
                f"{self.max_enqueued_batches}"
            )
        if not 1 <= self.largest_batch <= self.max_batch_size:
            raise invalid_argument(
                "When enable_large_batch_splitting is true, input_batch_size_limit "
                "must be greater than or equal to max_execution_batch_size."
            )

    def _check_allowed_sizes(self) -> None:
        sizes = self.allowed_batch_sizes
        if list(sizes) != sorted(set(sizes)):
            raise invalid_argument(
                "allowed_batch_sizes entries must be monotonically increasing"
            )
        if sizes and sizes[-1] != self.max_batch_size:
            raise invalid_argument(
                "Last entry in allowed_batch_sizes must match max_batch_size; last "
                f"entry was {sizes[-1]}; expected {self.max_batch_size}"
            )

    @property
    def largest_batch(self) -> int:
        """The most rows that are computed at once."""
        if self.enable_large_batch_splitting and self.max_execution_batch_size:
            return self.max_execution_batch_size
        return self.max_batch_size

    def allowed_size(self, rows: int) -> int:
        """The smallest allowed size of a batch that holds `rows`; none needs none."""
        if not rows:
            return 0
        return next((size for size in self.allowed_batch_sizes if size >= rows), rows)


def read_parameters(path: str | os.PathLike) -> BatchingParameters:
    """Reads the text file of `--batching_parameters_file`.

    Raises:
        StatusError: There is no such file, it is no `BatchingParameters`, or its
            settings contradict each other.
    """
    message = textproto.read(os.fspath(path), textproto.BATCHING_PARAMETERS)
    values = {
        field.name: value.value if field.message_type else value
        for field, value in message.ListFields()
    }
    values["allowed_batch_sizes"] = tuple(message.allowed_batch_sizes)
    return BatchingParameters(**values)


def model_parameters(version: Path) -> BatchingParameters | None:
    """The parameters that lie in a version's folder; without, it is not batched.

    Raises:
        StatusError: As `read_parameters`.
    """
    file = version / MODEL_FILE
    return read_parameters(file) if file.exists() else None
