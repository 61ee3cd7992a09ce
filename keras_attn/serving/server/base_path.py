"""The base path of a model, as people write it."""

import os
import re

_URI = re.compile(r"[a-zA-Z][a-zA-Z0-9+.-]*://")


def is_uri(path: str) -> bool:
    """Whether it is of another file system, such as `gs://bucket/model`."""
    return _URI.match(path) is not None


def absolute(path: str) -> str:
    """The path from the root on; a URI, or none at all, stays as it is."""
    return os.path.abspath(path) if path and not is_uri(path) else path
