"""By which number hypotheses are ranked."""

import math

from keras import ops

from keras_attn.decoding._pool import is_real, take_along
from keras_attn.decoding._steps import LOWEST
from keras_attn.decoding.penalties import coverage_penalty, length_penalty
from keras_attn.layers._checks import check_mask

ATTENTION = "attention_scores"


class Ranking:
    """Scores of hypotheses, and the attention that their coverage is made of.

    The coverage is `(rows, beams, slots)`, or an empty tuple where it does not count.

    Args:
        exponent: Float, of the length penalty.
        weight: Float, of the coverage penalty.
        mask: Optional bool tensor `(rows, *memory)`, the slots to be covered.
        emitted: What a step emits, `(rows * beams, ...)`.
        shape: Tuple of the numbers of rows and beams.
    """

    def __init__(self, exponent, weight, mask, emitted, shape):
        self.exponent, self.weight, self.mask = exponent, weight, mask
        self.shape, self.covers = shape, weight > 0
        self.nothing_covered = ()
        if not self.covers:
            return
        if not (isinstance(emitted, dict) and ATTENTION in emitted):
            raise ValueError(
                "`coverage_penalty` needs attention weights among what is emitted, as "
                f"`emitted[{ATTENTION!r}]`. Received: coverage_penalty={weight}"
            )
        memory = emitted[ATTENTION].shape[1:]
        check_mask("coverage_mask", mask, (None, *memory))
        self.slots = math.prod(ops.shape(emitted[ATTENTION])[1:])
        self.nothing_covered = ops.zeros_like(self._slots(emitted))
        if mask is not None:
            self.mask = ops.reshape(mask, (shape[0], 1, self.slots))

    def _slots(self, emitted):
        attention = ops.cast(emitted[ATTENTION], "float32")
        return ops.reshape(attention, (*self.shape, self.slots))

    def cover(self, coverage, emitted):
        """The coverage with the attention of one more step."""
        return coverage + self._slots(emitted) if self.covers else coverage

    def follow(self, coverage, origins):
        """The coverage of the hypotheses that come from `origins`."""
        return take_along(coverage, origins[..., None]) if self.covers else coverage

    def score(self, totals, lengths, coverage):
        scores = totals / length_penalty(lengths, self.exponent)
        if self.covers:
            scores = scores + coverage_penalty(coverage, self.weight, self.mask)
        return ops.where(is_real(totals), scores, LOWEST)

    def bound(self, totals, max_length):
        """The score that no continuation of hypotheses with `totals` can pass."""
        return totals / length_penalty(max_length, self.exponent)
