"""The best finished hypotheses of each group of beams."""

from typing import Any, NamedTuple

from keras import ops, tree

from keras_attn.decoding._steps import LOWEST


class Pool(NamedTuple):
    """Hypotheses `(b, k)`, the best first; where there is none its score is `LOWEST`.

    scores: What they are ranked by.
    totals: Their log-probabilities.
    lengths: Their numbers of tokens.
    last: Their last tokens.
    beams: Which beam each of them was before its last token.
    """

    scores: Any
    totals: Any
    lengths: Any
    last: Any
    beams: Any

    def best(self, count):
        """The `count` best, in order."""
        return self.at(ops.top_k(self.scores, count)[1])

    def at(self, places):
        """The hypotheses at `places`, int `(b, n)`."""
        return Pool(*(take_along(part, places) for part in self))

    def joined(self, other):
        """The hypotheses of both."""
        pairs = zip(self, other, strict=True)
        return Pool(*(ops.concatenate(pair, axis=1) for pair in pairs))


def empty_pool(rows, count):
    scores = ops.full((rows, count), LOWEST, "float32")
    none = ops.zeros((rows, count), "int32")
    return Pool(scores, scores, none, none, none)


def is_real(scores):
    """Where a score is that of a hypothesis."""
    return scores > LOWEST / 2


def choose_answer(finished, unfinished, count):
    """The `count` best; an unfinished one only where fewer have finished.

    Where there are fewer hypotheses than that, the rest have length 0 and a score and
    a log-probability of minus infinity.
    """
    finished, unfinished = finished.best(count), unfinished.best(count)
    number = ops.sum(ops.cast(is_real(finished.scores), "int32"), axis=1)
    places = ops.arange(count, dtype="int32")[None]
    from_second = places >= number[:, None]
    places = ops.where(from_second, count + places - number[:, None], places)
    chosen = finished.joined(unfinished).at(places)
    real = is_real(chosen.scores)
    return chosen._replace(
        scores=ops.where(real, chosen.scores, -float("inf")),
        totals=ops.where(real, chosen.totals, -float("inf")),
        lengths=ops.where(real, chosen.lengths, 0),
    )


def take_along(tensor, places):
    return ops.take_along_axis(tensor, ops.cast(places, "int32"), axis=1)


def take_beams(nest, beams, width):
    """Rows `(b * n, ...)` of tensors `(b * width, ...)`, those of `beams` `(b, n)`."""
    offsets = width * ops.arange(ops.shape(beams)[0], dtype="int32")[:, None]
    places = ops.reshape(beams + offsets, (-1,))

    def take(tensor):
        return ops.take(tensor, places, axis=0) if len(tensor.shape) else tensor

    return tree.map_structure(take, nest)


def repeat_rows(nest, times):
    """Each row of every tensor `times` times, one after the other."""

    def repeat(tensor):
        if tensor is None or not len(tensor.shape):
            return tensor
        rows, *rest = ops.shape(tensor)
        wide = ops.broadcast_to(tensor[:, None], (rows, times, *rest))
        return ops.reshape(wide, (rows * times, *rest))

    return tree.map_structure(repeat, nest)
