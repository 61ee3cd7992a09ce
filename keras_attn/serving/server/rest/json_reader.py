"""JSON documents, as TF Serving reads them.

`orjson` is quick and strict, and reads most of them whole. What it refuses is read
again step by step: NaN and Infinity, bytes that are not UTF-8, and whatever follows the
document are accepted, nesting may be of any depth, and an error says where it is and
what is missing, in the words of RapidJSON.

Large documents are read that way from the start, in windows handed to `orjson`: a call
that takes long would hold up all other requests.
"""

import re
from typing import Any

import orjson

from keras_attn.serving.server.rest.json_scalars import ScalarReader
from keras_attn.serving.server.status import invalid_argument

_AT_ONCE = 1 << 20
_WINDOW = 1 << 18  # bytes of an array that are tried at once
_TRIES = 3  # cuts that are tried in a window
_PAUSE = 1 << 12  # bytes read step by step after a window that failed

_OPENING = re.compile(rb'(?:[\[{]{0,7}\[)?"|[\[{]{0,8}')
_CLOSING = bytes.maketrans(b"[{", b"]}")


def read_json(text: bytes) -> Any:
    """Reads the first document in `text`.

    Integers beyond 64 bits become floats.

    Raises:
        StatusError: It is none.
    """
    if not text:
        raise invalid_argument("JSON Parse error: The document is empty")
    if len(text) <= _AT_ONCE:
        try:
            return orjson.loads(text)
        except orjson.JSONDecodeError:
            pass
    return _Reader(text).read()


class _Reader(ScalarReader):
    """Reads step by step."""

    def __init__(self, text: bytes):
        super().__init__(text)
        self._next_window = 0

    def read(self) -> Any:
        if self._skip_space() in b"\0]},:":
            self._fail("The document is empty.")
        containers: list = []
        keys: list[str] = []  # one for each object in `containers`
        while True:
            value = self._open_or_read(containers, keys)
            while value is not _OPENED:
                if not containers:
                    return value
                value = self._put(value, containers, keys)

    def _open_or_read(self, containers: list, keys: list[str]) -> Any:
        first = self._peek()
        if first == b"[":
            self._at += 1
            if self._skip_space() == b"]":
                self._at += 1
                return []
            containers.append(self._take_windows([]))
            return _OPENED
        if first == b"{":
            self._at += 1
            if self._skip_space() == b"}":
                self._at += 1
                return {}
            containers.append({})
            keys.append(self._read_key())
            return _OPENED
        return self._read_scalar()

    def _put(self, value: Any, containers: list, keys: list[str]) -> Any:
        """Puts a value into the innermost container; gives that back if it is full."""
        container = containers[-1]
        if isinstance(container, list):
            container.append(value)
            end, error = b"]", "Missing a comma or ] after an array element."
        else:
            container.setdefault(
                keys.pop(), value
            )  # of equal keys the first one counts
            end, error = b"}", "Missing a comma or } after an object member."
        mark = self._skip_space()
        if mark not in (b",", end):
            self._fail(error)
        self._at += 1
        if mark == end:
            return containers.pop()
        self._skip_space()
        if isinstance(container, list):
            self._take_windows(container)
        else:
            keys.append(self._read_key())
        return _OPENED

    def _take_windows(self, array: list) -> list:
        """Lets `orjson` read elements, as many at once as a window holds.

        A cut behind an element leaves valid JSON before it, and no other cut does.
        """
        while self._at >= self._next_window and len(self._text) - self._at > _PAUSE:
            if not self._take_window(array):
                break
        return array

    def _take_window(self, array: list) -> bool:
        """Says whether there may be another one."""
        text, start, limit = self._text, self._at, self._at + _WINDOW
        opening = _OPENING.match(text, start)[0]  # type: ignore[index]
        closing = opening[::-1].translate(_CLOSING)
        end = text.find(closing + b"]", start, limit)
        cut = limit if end < 0 else end
        for _ in range(_TRIES):
            cut = text.rfind(closing + b",", start, cut)
            if cut < 0:
                break
            try:
                array += orjson.loads(b"[%b%b]" % (text[start:cut], closing))
            except orjson.JSONDecodeError:
                continue
            self._at = cut + len(closing) + 1
            self._skip_space()
            return end < 0
        if opening or end < 0:  # else it is the last number of a list
            self._next_window = start + _PAUSE
        return False

    def _read_key(self) -> str:
        if self._peek() != b'"':
            self._fail("Missing a name for object member.")
        key = self._read_string()
        if self._skip_space() != b":":
            self._fail("Missing a colon after a name of object member.")
        self._at += 1
        self._skip_space()
        return key


_OPENED: Any = object()  # a container has been opened, and no value is complete yet
