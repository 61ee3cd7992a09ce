import math
import statistics
from collections.abc import Sequence
from typing import NamedTuple


class Estimate(NamedTuple):
    """A median, and an interval that covers the true one with 95 % confidence."""

    median: float
    low: float
    high: float


def estimate_median(samples: Sequence[float]) -> Estimate:
    """The median of samples with the interval between two of the ordered samples.

    The number of samples below the true median is binomial(n, 1/2), whatever the
    distribution: so nothing is assumed and nothing is drawn at random. Fewer than six
    samples cannot give 95 %; the interval is then all they span.
    """
    ordered = sorted(samples)
    skipped = _skipped_on_each_side(len(ordered))
    return Estimate(statistics.median(ordered), ordered[skipped], ordered[-1 - skipped])


def estimate_ratio(samples: Sequence[float], to: Sequence[float]) -> Estimate:
    """The median ratio of samples taken in the same rounds.

    What slows a whole round, such as a busy machine, drops out of its ratio.
    """
    return estimate_median([a / b for a, b in zip(samples, to, strict=True)])


def _skipped_on_each_side(count: int, confidence: float = 0.95) -> int:
    skipped, missed = 0, 2 * 0.5**count
    while missed + 2 * math.comb(count, skipped + 1) * 0.5**count <= 1 - confidence:
        skipped += 1
        missed += 2 * math.comb(count, skipped) * 0.5**count
    return skipped
