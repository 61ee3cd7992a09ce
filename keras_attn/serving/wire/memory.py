"""What short messages say, kept: a model is asked for the same few again and again."""

from collections.abc import Callable
from functools import lru_cache, wraps
from typing import TypeVar

from keras_attn.serving.wire.fields import Buffer

Meaning = TypeVar("Meaning")

_MOST = 1024
_LONGEST = 256  # bytes, so that strangers cannot fill the memory


def remembered(decode: Callable[[bytes], Meaning]) -> Callable[[Buffer], Meaning]:
    """The same reader of messages, which reads a short one only once.

    Args:
        decode: A pure function; what it returns is shared, so it must not change.
    """
    known = lru_cache(_MOST)(decode)

    @wraps(decode)
    def remember(message: Buffer) -> Meaning:
        content = bytes(message)
        return known(content) if len(content) <= _LONGEST else decode(content)

    return remember
