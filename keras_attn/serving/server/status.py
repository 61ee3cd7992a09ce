"""The error that travels: a gRPC code and TF Serving's text for it."""

import grpc

CODES = {code.value[0]: code for code in grpc.StatusCode}

_LONGEST_TEXT = 1024


class StatusError(Exception):
    """An answer that is an error.

    Args:
        code: A `grpc.StatusCode`, or its number.
        message: What the client is told.
    """

    def __init__(self, code: grpc.StatusCode | int, message: str):
        super().__init__(message)
        if isinstance(code, int):
            code = CODES.get(code, grpc.StatusCode.UNKNOWN)
        self.code = code
        self.message = message

    @property
    def number(self) -> int:
        return self.code.value[0]

    def __str__(self) -> str:
        return f"{self.code.name}: {self.message}"


def invalid_argument(message: str) -> StatusError:
    return StatusError(grpc.StatusCode.INVALID_ARGUMENT, message)


def not_found(message: str) -> StatusError:
    return StatusError(grpc.StatusCode.NOT_FOUND, message)


def failed_precondition(message: str) -> StatusError:
    return StatusError(grpc.StatusCode.FAILED_PRECONDITION, message)


def internal(message: str) -> StatusError:
    return StatusError(grpc.StatusCode.INTERNAL, message)


def unavailable(message: str) -> StatusError:
    return StatusError(grpc.StatusCode.UNAVAILABLE, message)


def stopping() -> StatusError:
    """What a request is told that is broken off as the server stops."""
    return unavailable("The server is stopping.")


def unimplemented(message: str) -> StatusError:
    return StatusError(grpc.StatusCode.UNIMPLEMENTED, message)


def cut(message: str) -> str:
    """gRPC carries an error text in a header, so that a long one is cut."""
    if len(message) <= _LONGEST_TEXT:
        return message
    return message[:_LONGEST_TEXT] + "...TRUNCATED"
