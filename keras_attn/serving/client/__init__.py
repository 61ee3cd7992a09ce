"""Asks a server that speaks TF Serving's gRPC API; needs NumPy and gRPC alone."""

try:
    from keras_attn.serving.client.client import Client as Client
except ModuleNotFoundError as error:
    if (error.name or "").startswith("keras_attn"):
        raise
    raise ModuleNotFoundError(
        f"The client needs {error.name}: pip install 'keras-attn[client]'",
        name=error.name,
    ) from error

from keras_attn.serving.client.errors import AbortedError as AbortedError
from keras_attn.serving.client.errors import AlreadyExistsError as AlreadyExistsError
from keras_attn.serving.client.errors import CancelledError as CancelledError
from keras_attn.serving.client.errors import DataLossError as DataLossError
from keras_attn.serving.client.errors import (
    DeadlineExceededError as DeadlineExceededError,
)
from keras_attn.serving.client.errors import (
    FailedPreconditionError as FailedPreconditionError,
)
from keras_attn.serving.client.errors import InternalError as InternalError
from keras_attn.serving.client.errors import (
    InvalidArgumentError as InvalidArgumentError,
)
from keras_attn.serving.client.errors import NotFoundError as NotFoundError
from keras_attn.serving.client.errors import OutOfRangeError as OutOfRangeError
from keras_attn.serving.client.errors import (
    PermissionDeniedError as PermissionDeniedError,
)
from keras_attn.serving.client.errors import (
    ResourceExhaustedError as ResourceExhaustedError,
)
from keras_attn.serving.client.errors import ServingError as ServingError
from keras_attn.serving.client.errors import (
    UnauthenticatedError as UnauthenticatedError,
)
from keras_attn.serving.client.errors import UnavailableError as UnavailableError
from keras_attn.serving.client.errors import UnimplementedError as UnimplementedError
from keras_attn.serving.client.errors import UnknownError as UnknownError
