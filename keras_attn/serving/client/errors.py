"""What can go wrong with a request, one class a gRPC code.

```
ServingError
├── CancelledError
├── UnknownError
├── InvalidArgumentError      (also a ValueError)
├── DeadlineExceededError     (also a TimeoutError)
├── NotFoundError             (also a LookupError)
├── AlreadyExistsError
├── PermissionDeniedError     (also a PermissionError)
├── ResourceExhaustedError
├── FailedPreconditionError
├── AbortedError
├── OutOfRangeError           (also a ValueError)
├── UnimplementedError        (also a NotImplementedError)
├── InternalError
├── UnavailableError          (also a ConnectionError)
├── DataLossError
└── UnauthenticatedError      (also a PermissionError)
```

What never left the client (an unknown input, a cast that would lose something) is a
plain `ValueError` or `TypeError`.
"""


class ServingError(Exception):
    """A request that was not answered.

    Args:
        details: What the server said, or why it could not be asked.
        model: The model that was asked for.
        address: Where the server was looked for.

    Attributes:
        code: Name of the gRPC status code.
    """

    code = "UNKNOWN"

    def __init__(self, details: str, *, model: str = "", address: str = ""):
        super().__init__(details)
        self.details = details
        self.model = model
        self.address = address

    def __str__(self) -> str:
        asked = f" [model {self.model!r} at {self.address}]" if self.address else ""
        return f"{self.code}: {self.details}{asked}"


class CancelledError(ServingError):
    code = "CANCELLED"


class UnknownError(ServingError):
    code = "UNKNOWN"


class InvalidArgumentError(ServingError, ValueError):
    code = "INVALID_ARGUMENT"


class DeadlineExceededError(ServingError, TimeoutError):
    code = "DEADLINE_EXCEEDED"


class NotFoundError(ServingError, LookupError):
    code = "NOT_FOUND"


class AlreadyExistsError(ServingError):
    code = "ALREADY_EXISTS"


class PermissionDeniedError(ServingError, PermissionError):
    code = "PERMISSION_DENIED"


class ResourceExhaustedError(ServingError):
    code = "RESOURCE_EXHAUSTED"


class FailedPreconditionError(ServingError):
    code = "FAILED_PRECONDITION"


class AbortedError(ServingError):
    code = "ABORTED"


class OutOfRangeError(ServingError, ValueError):
    code = "OUT_OF_RANGE"


class UnimplementedError(ServingError, NotImplementedError):
    code = "UNIMPLEMENTED"


class InternalError(ServingError):
    code = "INTERNAL"


class UnavailableError(ServingError, ConnectionError):
    code = "UNAVAILABLE"


class DataLossError(ServingError):
    code = "DATA_LOSS"


class UnauthenticatedError(ServingError, PermissionError):
    code = "UNAUTHENTICATED"


BY_CODE = {kind.code: kind for kind in ServingError.__subclasses__()}
