"""What a model hands to a search."""

from typing import Any, NamedTuple


class Begun(NamedTuple):
    """What a search starts from, see `keras_attn.decoding.greedy_search`.

    memory_mask: Bool `(b, *memory)`, what there is to be read.
    """

    step: Any
    states: Any
    emitted: Any
    constants: Any
    memory_mask: Any
