"""The loop of the beam search."""

from typing import Any, NamedTuple

from keras import ops

from keras_attn.decoding._pool import Pool, empty_pool, is_real, take_beams
from keras_attn.decoding._steps import LOWEST, log_probabilities, take_step


class _Loop(NamedTuple):
    """What goes from one step to the next.

    count: Int, number of steps that are done.
    active: Bool `(b,)`, rows that may still find something.
    last, origins, totals: Of the hypotheses that are followed, `(b, beams)`: the last
        tokens, the beams they come from, the log-probabilities.
    """

    count: Any
    active: Any
    last: Any
    origins: Any
    totals: Any
    coverage: Any
    states: Any
    pools: Pool
    history: Any


class Beams:
    """Follows the hypotheses of all rows, see `beam_search`."""

    def __init__(
        self, step, constants, groups, ranking, trace, n_best, min_length, max_length
    ):
        self.step, self.constants = step, constants
        self.groups, self.ranking, self.trace = groups, ranking, trace
        self.n_best, self.min_length, self.max_length = n_best, min_length, max_length

    def run(self, start, states):
        """Returns the finished and the unfinished hypotheses, and their history."""
        rows, _ = self.trace.shape
        size = self.groups.number * min(self.n_best, self.groups.width)
        first = _Loop(
            count=ops.zeros((), "int32"),
            active=ops.ones((rows,), "bool"),
            last=start,
            origins=ops.zeros_like(start),
            totals=self.groups.first_totals(rows),
            coverage=self.ranking.nothing_covered,
            states=states,
            pools=empty_pool(rows, size),
            history=self.trace.empty,
        )
        (end,) = ops.while_loop(self._goes_on, self._follow, (first,))
        lengths = ops.zeros_like(end.last) + end.count
        scores = self.ranking.score(end.totals, lengths, end.coverage)
        unfinished = Pool(scores, end.totals, lengths, end.last, end.origins)
        return end.pools, unfinished, end.history

    def _goes_on(self, now):
        return ops.logical_and(now.count < self.max_length, ops.any(now.active))

    def _follow(self, now):
        groups, ranking = self.groups, self.ranking
        tokens = ops.reshape(now.last, (-1,))
        logits, states, emitted = take_step(
            self.step, tokens, now.states, self.constants
        )
        scores = log_probabilities(
            logits, now.count, self.min_length, groups.end_token_id
        )
        scores = ops.reshape(scores, (*self.trace.shape, logits.shape[-1]))
        candidates = ops.maximum(now.totals[..., None] + scores, LOWEST)
        new = groups.advance(candidates)
        coverage = ranking.cover(now.coverage, emitted)
        pools = groups.merge(now.pools, self._finish(now, new, coverage))
        over = self._are_over(new, pools)
        after = _Loop(
            count=now.count + 1,
            active=ops.logical_and(now.active, ~over),
            last=new.tokens,
            origins=new.origins,
            totals=new.totals,
            coverage=ranking.follow(coverage, new.origins),
            states=take_beams(states, new.origins, self.trace.shape[1]),
            pools=pools,
            history=self.trace.write(
                now.history, new.tokens, new.origins, emitted, now.count
            ),
        )
        return (after,)

    def _are_over(self, new, pools):
        """Rows for whose answer nothing that is still followed could matter.

        Where a group has died out before its pool was full, those that go on in others
        may yet be wanted to fill the answer.
        """
        could = self.groups.best(new.totals)
        dead = ~is_real(could)
        beaten = self.groups.worst(pools) >= self.ranking.bound(could, self.max_length)
        found = ops.sum(ops.cast(is_real(pools.scores), "int32"), axis=1)
        wanted = ops.logical_and(found < self.n_best, ~ops.all(dead, axis=1))
        return ops.logical_and(ops.all(ops.logical_or(beaten, dead), axis=1), ~wanted)

    def _finish(self, now, new, coverage):
        """What has ended at this step, in rows that still look for something."""
        totals = ops.where(now.active[:, None], new.ended_totals, LOWEST)
        lengths = ops.zeros_like(new.ended) + now.count + 1
        coverage = self.ranking.follow(coverage, new.ended)
        scores = self.ranking.score(totals, lengths, coverage)
        last = ops.full_like(new.ended, self.groups.end_token_id)
        return Pool(scores, totals, lengths, last, new.ended)
