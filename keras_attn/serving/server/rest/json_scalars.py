"""What stands between the brackets of a JSON document, as RapidJSON reads it."""

import re
from typing import NoReturn

from keras_attn.serving.server.status import invalid_argument

_BYTE_ORDER_MARK = b"\xef\xbb\xbf"
_SPACE = re.compile(rb"[ \t\r\n]*")
_PLAIN = re.compile(rb'[^"\\\x00-\x1f]*')
_NUMBER = re.compile(rb"-?(?:0|[1-9][0-9]*)(\.[0-9]+)?([eE][+-]?[0-9]+)?")
_HALF_EXPONENT = re.compile(rb"[eE][+-]?")
_ESCAPE = re.compile(rb'\\(?:(["\\/bfnrt])|u([0-9a-fA-F]{4}))')

_ESCAPED = dict(zip(b'"\\/bfnrt', b'"\\/\b\f\n\r\t', strict=True))
_WORDS: dict[int, tuple[bytes, bool | None]] = {
    word[0]: (word, value)
    for word, value in [(b"true", True), (b"false", False), (b"null", None)]
}
_SPECIAL = [(b"NaN", float("nan")), (b"Infinity", float("inf")), (b"Inf", float("inf"))]
_MOST_NEGATIVE, _TOO_POSITIVE = -(1 << 63), 1 << 64


class ScalarReader:
    """Reads strings, numbers and words; `_at` is the next byte.

    The end of the text, or a zero byte, reads as 0.
    """

    def __init__(self, text: bytes):
        self._text = text
        self._at = len(_BYTE_ORDER_MARK) if text.startswith(_BYTE_ORDER_MARK) else 0

    def _read_scalar(self) -> str | int | float | bool | None:
        first = self._peek()
        if first == b'"':
            return self._read_string()
        if first[0] in _WORDS:
            word, value = _WORDS[first[0]]
            self._expect(word)
            return value
        return self._read_number()

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
