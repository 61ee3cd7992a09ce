"""JSON documents, as TF Serving reads them.

`orjson` is quick and strict, and reads most of them whole. What it refuses is read
again step by step: NaN and Infinity, bytes that are not UTF-8, and whatever follows the
document are accepted, nesting may be of any depth, and an error says where it is and
what is missing, in the words of RapidJSON.

Large documents are read that way from the start, in windows handed to `orjson`: a call
that takes long would hold up all other requests.
"""

import re
from typing import Any, NoReturn

import orjson

from keras_attn.serving.server.status import invalid_argument

_AT_ONCE = 1 << 20
_WINDOW = 1 << 18  # bytes of an array that are tried at once
_TRIES = 3  # cuts that are tried in a window
_PAUSE = 1 << 12  # bytes read step by step after a window that failed

_BYTE_ORDER_MARK = b"\xef\xbb\xbf"
_SPACE = re.compile(rb"[ \t\r\n]*")
_PLAIN = re.compile(rb'[^"\\\x00-\x1f]*')
_NUMBER = re.compile(rb"-?(?:0|[1-9][0-9]*)(\.[0-9]+)?([eE][+-]?[0-9]+)?")
_HALF_EXPONENT = re.compile(rb"[eE][+-]?")
_ESCAPE = re.compile(rb'\\(?:(["\\/bfnrt])|u([0-9a-fA-F]{4}))')
_OPENING = re.compile(rb'(?:[\[{]{0,7}\[)?"|[\[{]{0,8}')
_CLOSING = bytes.maketrans(b"[{", b"]}")

_ESCAPED = dict(zip(b'"\\/bfnrt', b'"\\/\b\f\n\r\t', strict=True))
_WORDS: dict[int, tuple[bytes, bool | None]] = {
    word[0]: (word, value)
    for word, value in [(b"true", True), (b"false", False), (b"null", None)]
}
_SPECIAL = [(b"NaN", float("nan")), (b"Infinity", float("inf")), (b"Inf", float("inf"))]
_MOST_NEGATIVE, _TOO_POSITIVE = -(1 << 63), 1 << 64


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


class _Reader:
    """Reads step by step; `at` is the next byte.

    The end of the text, or a zero byte, reads as 0.
    """

    def __init__(self, text: bytes):
        self._text = text
        self._at = len(_BYTE_ORDER_MARK) if text.startswith(_BYTE_ORDER_MARK) else 0
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
        if first == b'"':
            return self._read_string()
        if first and first[0] in _WORDS:
            word, value = _WORDS[first[0]]
            self._expect(word)
            return value
        return self._read_number()

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

    def _read_string(self) -> str:
        self._at += 1
        parts = []
        while True:
            plain = _PLAIN.match(self._text, self._at)
            parts.append(plain[0])  # type: ignore[index]
            self._at += len(parts[-1])
            mark = self._peek()
            if mark == b'"':
                self._at += 1
                return b"".join(parts).decode("utf-8", "surrogateescape")
            if mark == b"\\":
                parts.append(self._read_escape())
            elif mark == b"\0":
                self._fail("Missing a closing quotation mark in string.")
            else:
                self._fail("Invalid encoding in string.")

    def _read_escape(self) -> bytes:
        found = _ESCAPE.match(self._text, self._at)
        if found is None:
            if self._text[self._at + 1 : self._at + 2] == b"u":
                self._fail("Incorrect hex digit after \\u escape in string.")
            self._fail("Invalid escape character in string.")
        start, self._at = self._at, found.end()
        if found[1]:
            return bytes([_ESCAPED[found[1][0]]])
        code = int(found[2], 16)
        if 0xD800 <= code <= 0xDFFF:
            second = _ESCAPE.match(self._text, self._at)
            low = int(second[2], 16) if second and second[2] else 0
            if code > 0xDBFF or not 0xDC00 <= low <= 0xDFFF:
                self._at = start
                self._fail("The surrogate pair in string is invalid.")
            self._at += len("\\uXXXX")
            code = 0x10000 + ((code & 0x3FF) << 10 | low & 0x3FF)
        return chr(code).encode()

    def _read_number(self) -> int | float:
        found = _NUMBER.match(self._text, self._at)
        if found is None:
            return self._read_special()
        start, self._at = self._at, found.end()
        fraction, exponent = found.groups()
        if not fraction and not exponent and self._peek() == b".":
            self._at += 1
            self._fail("Miss fraction part in number.")
        if not exponent and (half := _HALF_EXPONENT.match(self._text, self._at)):
            self._at = half.end()
            self._fail("Miss exponent in number.")
        if not fraction and not exponent and len(found[0]) <= 20:
            integer = int(found[0])
            if _MOST_NEGATIVE <= integer < _TOO_POSITIVE:
                return integer
        number = float(found[0])
        if number in (float("inf"), float("-inf")):
            self._at = start
            self._fail("Number too big to be stored in double.")
        return number

    def _read_special(self) -> float:
        sign = -1.0 if self._peek() == b"-" else 1.0
        self._at += sign < 0
        for word, value in _SPECIAL:
            if self._text.startswith(word, self._at):
                self._at += len(word)
                return sign * value
        self._fail("Invalid value.")

    def _expect(self, word: bytes) -> None:
        for byte in word:
            if self._peek()[0] != byte:
                self._fail("Invalid value.")
            self._at += 1

    def _peek(self) -> bytes:
        return self._text[self._at : self._at + 1] or b"\0"

    def _skip_space(self) -> bytes:
        self._at = _SPACE.match(self._text, self._at).end()  # type: ignore[union-attr]
        return self._peek()

    def _fail(self, problem: str) -> NoReturn:
        raise invalid_argument(f"JSON Parse error: {problem} at offset: {self._at}")


_OPENED: Any = object()  # a container has been opened, and no value is complete yet
