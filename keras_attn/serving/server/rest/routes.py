"""Paths of the API: what they ask of which model.

A path is matched together with its query, so that a query makes it another one.
"""

import re
from dataclasses import dataclass
from urllib.parse import unquote

from keras_attn.serving.server.status import invalid_argument
from keras_attn.serving.wire.messages import ModelSpec

_MODEL = r"(?:/versions/(?P<version>[0-9]+)|/labels/(?P<label>[^/:]+))?"
_INFERENCE = re.compile(
    rf"(?i:/v1/models/(?P<name>[^/:]+){_MODEL}:(?P<action>classify|regress|predict))"
)
_DESCRIPTION = re.compile(
    rf"(?i:/v1/models(?:/(?P<name>[^/:]+))?{_MODEL}(?:/(?P<action>metadata))?)"
)
_CHARACTER = r"(?:[\w.~!$&'()*+,;=:@/-]|%[0-9A-Fa-f]{2})"
_TARGET = re.compile(
    rf"(?:https?://[^/?#]*)?(?P<path>/{_CHARACTER}*"
    rf"(?:\?(?:{_CHARACTER}|\?)*)?(?:#(?:{_CHARACTER}|\?)*)?)",
    re.ASCII | re.IGNORECASE,
)
_LARGEST_VERSION = (1 << 63) - 1

INFERENCES = ("classify", "regress", "predict")


@dataclass(frozen=True)
class Route:
    """A model, and what is asked of it: an inference, `metadata` or `status`."""

    spec: ModelSpec
    action: str


def parse_target(target: str) -> str | None:
    """The path and query of a request line; `None` if it is no URI."""
    parts = _TARGET.fullmatch(target)
    return parts["path"] if parts else None


def is_of_the_api(path: str) -> bool:
    return path[:4].lower() == "/v1/"


def find_route(method: str, path: str) -> Route:
    """Reads a path.

    Raises:
        StatusError: It asks for nothing that there is.
    """
    pattern = {"POST": _INFERENCE, "GET": _DESCRIPTION}.get(method)
    parts = pattern.fullmatch(path) if pattern else None
    action = parts["action"] if parts else None
    # A path is matched in any case, but these words are compared as they stand.
    if parts is None or (method == "POST" and action not in INFERENCES):
        raise invalid_argument(f"Malformed request: {method} {path}")
    spec = ModelSpec(
        _decode(parts["name"] or ""),
        _read_version(parts["version"]),
        None if parts["label"] is None else _decode(parts["label"]),
    )
    if not spec.name:
        raise invalid_argument("Missing model name in request.")
    return Route(spec, action if action in (*INFERENCES, "metadata") else "status")


def _read_version(digits: str | None) -> int | None:
    if digits is None:
        return None
    if len(digits.lstrip("0")) > 19 or int(digits) > _LARGEST_VERSION:
        raise invalid_argument(f"Failed to convert version: {digits} to numeric.")
    return int(digits)


def _decode(part: str) -> str:
    return unquote(part, errors="replace")
