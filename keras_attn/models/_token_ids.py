"""What token ids a model reads."""

from typing import NamedTuple

from keras import ops

from keras_attn.layers._checks import known_values


class TokenIds(NamedTuple):
    """The ids of one text: from 0, the padding, up to the size of its vocabulary.

    vocabulary_size: Int, number of ids.
    most_steps: Optional int, the most tokens that can be read; `None` for any number.
    """

    vocabulary_size: int
    most_steps: int | None = None

    def check(self, name, ids):
        """Raises unless the ids have embeddings, where they are known."""
        known = known_values(ids)
        if known is None or not known.size:
            return
        if known.min() < 0 or known.max() >= self.vocabulary_size:
            raise ValueError(
                f"`{name}` must hold token ids from 0 to {self.vocabulary_size - 1}. "
                f"Received: ids from {known.min()} to {known.max()}"
            )


def check_token_ids(vocabulary_size, **token_ids):
    """Raises unless the ids lie between the padding and the vocabulary's end."""
    for name, token in token_ids.items():
        if not 0 < token < vocabulary_size:
            raise ValueError(
                f"`{name}` must lie between 0, the padding, and the number of token "
                f"ids, {vocabulary_size}. Received: {name}={token}"
            )


def at_least_one_step(tensor):
    """The tensor with a step of zeros on each axis after the first that has none."""
    for axis, size in enumerate(tensor.shape):
        if axis == 0 or size:
            continue
        shape = list(ops.shape(tensor))  # a size may be known only in the graph
        shape[axis] = 1 if size == 0 else ops.maximum(1 - shape[axis], 0)
        more = ops.zeros(shape, tensor.dtype)
        tensor = ops.concatenate([tensor, more], axis=axis)
    return tensor
