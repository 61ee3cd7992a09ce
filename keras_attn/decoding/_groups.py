"""How a step goes on from each hypothesis that is followed."""

from typing import Any, NamedTuple

from keras import ops

from keras_attn.decoding._pool import Pool, is_real, take_along
from keras_attn.decoding._steps import LOWEST


class Advanced(NamedTuple):
    """The next hypotheses, `(b, beams)`, and those that have ended, `(b, 2 * beams)`.

    tokens: The last tokens of the next ones.
    origins: Which beam each of them continues.
    totals: Their log-probabilities.
    ended: Which beams have ended.
    ended_totals: The log-probabilities of these; `LOWEST` where there is none.
    """

    tokens: Any
    origins: Any
    totals: Any
    ended: Any
    ended_totals: Any


class Groups:
    """Beams side by side, in groups that avoid what the groups before them choose.

    Args:
        number: Int, number of groups.
        width: Int, number of beams of each.
        diversity: Float, what a token costs for each earlier group's beam with it.
        end_token_id: Int.
    """

    def __init__(self, number, width, diversity, end_token_id):
        self.number, self.width = number, width
        self.diversity, self.end_token_id = diversity, end_token_id

    def first_totals(self, rows):
        """One hypothesis a group, the empty one."""
        place = ops.arange(self.number * self.width) % self.width
        totals = ops.where(place == 0, 0.0, LOWEST)
        return ops.broadcast_to(totals[None], (rows, self.number * self.width))

    def advance(self, candidates):
        """Chooses among all continuations, log-probabilities `(b, beams, ids)`."""
        found, used = [], 0.0
        for group in range(self.number):
            first = group * self.width
            own = candidates[:, first : first + self.width]
            cost = self.diversity * used if group and self.diversity else None
            advanced = self._advance_group(own, first, cost)
            if self.diversity:
                used = used + self._count(advanced, own.shape[-1])
            found.append(advanced)
        return Advanced(
            *(ops.concatenate(parts, axis=1) for parts in zip(*found, strict=True))
        )

    def _advance_group(self, candidates, first, cost):
        ids = candidates.shape[-1]
        totals = _flat(candidates)
        ranked = totals if cost is None else _flat(candidates - cost[:, None])
        # At most one of each beam's continuations ends, so half of these do not.
        ranks, places = ops.top_k(ranked, 2 * self.width)
        places = ops.cast(places, "int32")
        totals = ranks if cost is None else take_along(totals, places)
        tokens, origins = places % ids, places // ids + first
        ends = tokens == self.end_token_id
        _, going_on = ops.top_k(ops.where(ends, 2 * LOWEST, ranks), self.width)
        # Slices of what `top_k` has found would make XLA sort everything instead.
        is_best = ops.arange(2 * self.width) < self.width
        return Advanced(
            take_along(tokens, going_on),
            take_along(origins, going_on),
            take_along(totals, going_on),
            origins,
            ops.where(ops.logical_and(ends, is_best), totals, LOWEST),
        )

    def _count(self, advanced, ids):
        """How often each token was written, `(b, ids)`."""
        has_ended = is_real(advanced.ended_totals)
        ends = ops.where(has_ended, self.end_token_id, -1)  # -1 is a row of zeros
        tokens = ops.concatenate([advanced.tokens, ends], axis=1)
        return ops.sum(ops.one_hot(tokens, ids), axis=1)

    def merge(self, pools, finished):
        """The best of each group's pool and of its newly finished hypotheses."""
        size = pools.scores.shape[1] // self.number
        merged = [
            _part(pools, size, group)
            .joined(_part(finished, 2 * self.width, group))
            .best(size)
            for group in range(self.number)
        ]
        return Pool(
            *(ops.concatenate(parts, axis=1) for parts in zip(*merged, strict=True))
        )

    def worst(self, pools):
        """The last score of each group's pool, `(b, groups)`."""
        size = pools.scores.shape[1] // self.number
        return pools.scores[:, size - 1 :: size]

    def best(self, totals):
        """The largest number of each group, `(b, groups)`."""
        shape = (ops.shape(totals)[0], self.number, self.width)
        return ops.max(ops.reshape(totals, shape), axis=-1)


def _flat(candidates):
    rows, beams, ids = ops.shape(candidates)
    return ops.reshape(candidates, (rows, beams * ids))


def _part(pool, size, group):
    """One group's hypotheses."""
    return Pool(*(part[:, group * size : (group + 1) * size] for part in pool))
