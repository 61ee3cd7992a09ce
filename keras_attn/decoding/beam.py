"""Decoding by a beam of hypotheses."""

from typing import Any, NamedTuple

from keras import ops

from keras_attn.decoding._beams import Beams
from keras_attn.decoding._groups import Groups
from keras_attn.decoding._pool import choose_answer, repeat_rows
from keras_attn.decoding._ranking import Ranking
from keras_attn.decoding._steps import (
    as_tensors,
    check_lengths,
    count_rows,
    first_tokens,
)
from keras_attn.decoding._trace import Trace
from keras_attn.layers._checks import check_counts, check_weights


class Hypotheses(NamedTuple):
    """The best hypotheses of each row, in the order of their scores.

    tokens: int32 `(b, n_best, max_length)`, the end token included where one was
        written, zeros after it.
    lengths: int32 `(b, n_best)`, the number of them.
    log_probabilities: float32 `(b, n_best)`.
    emitted: What each step emitted, `(b, n_best, max_length, ...)`, zeros after the
        end.
    scores: float32 `(b, n_best)`, the log-probabilities with the penalties.
    """

    tokens: Any
    lengths: Any
    log_probabilities: Any
    emitted: Any
    scores: Any


def beam_search(
    step,
    states,
    emitted,
    start_token_id,
    end_token_id,
    max_length,
    beam_width,
    n_best=1,
    min_length=0,
    length_penalty=0.0,
    coverage_penalty=0.0,
    coverage_mask=None,
    num_groups=1,
    diversity=0.0,
    constants=None,
):
    """Writes the best tokens it finds by following several hypotheses at once.

    At each step every one of the `beam_width` hypotheses is continued by every token.
    Of all continuations, the best that do not end are followed. Those that end and are
    among the best `beam_width` go to a pool of the `n_best` finished ones, where they
    stay as they are; they are ranked by `log p / length_penalty + coverage_penalty`. A
    row stops when nothing that is still followed could come into its pool, so stopping
    changes no result. With `beam_width=1` and no penalty this is `greedy_search`.

    A hypothesis that has not ended after `max_length` tokens is returned, ranked the
    same way, only where fewer than `n_best` have.

    Args:
        step, states, emitted, start_token_id, end_token_id, max_length, constants: As
            in `greedy_search`; `step` is called with `b * beam_width` rows, those of
            `states` and `constants` repeated. A state without axes is handed on.
        beam_width: Int, number of hypotheses that are followed; may be larger than the
            vocabulary.
        n_best: Int, number of hypotheses to return, at most `beam_width`.
        min_length: Int, number of tokens of a hypothesis at the least, its end
            included.
        length_penalty: Float, at least 0, exponent of the length penalty.
        coverage_penalty: Float, at least 0, weight of the coverage penalty. The
            attention is `emitted["attention_scores"]`, `(b, *memory)`.
        coverage_mask: Optional bool tensor `(b, *memory)`, the slots to be covered.
        num_groups: Int that divides `beam_width`. Each group of beams has a pool of its
            own and avoids the tokens that the groups before it choose at the same
            step; the answer holds the best of all pools, and twice what two groups
            found.
        diversity: Float, at least 0. What a token costs for each time that an earlier
            group has chosen it.

    Returns:
        `Hypotheses`. Where there are fewer than `n_best`, because the vocabulary or
        `max_length` is so small, the rest have length 0 and scores of minus infinity.

    Raises:
        ValueError: If an argument is out of range.

    Example:
        >>> found = keras_attn.decoding.beam_search(
        ...     step, states, {}, start_token_id=2, end_token_id=3, max_length=50,
        ...     beam_width=5, length_penalty=0.6,
        ... )
        >>> found.tokens[:, 0]

    Reference:
        Wu et al., 2016, https://arxiv.org/abs/1609.08144, section 7 (penalties).
        Vijayakumar et al., 2018, https://arxiv.org/abs/1610.02424 (groups).
    """
    check_lengths(min_length, max_length)
    check_counts(beam_width=beam_width, n_best=n_best, num_groups=num_groups)
    _check_widths(beam_width, n_best, num_groups)
    check_weights(
        length_penalty=length_penalty,
        coverage_penalty=coverage_penalty,
        diversity=diversity,
    )
    states, constants, emitted = as_tensors(states, constants, emitted)
    rows = count_rows(states, constants, emitted)
    start = ops.broadcast_to(
        first_tokens(start_token_id, rows)[:, None], (rows, beam_width)
    )
    states, constants, emitted = (
        repeat_rows(nest, beam_width) for nest in (states, constants, emitted)
    )
    ranking = Ranking(
        length_penalty, coverage_penalty, coverage_mask, emitted, (rows, beam_width)
    )
    groups = Groups(num_groups, beam_width // num_groups, diversity, end_token_id)
    trace = Trace((rows, beam_width), emitted, max_length)
    beams = Beams(
        step, constants, groups, ranking, trace, n_best, min_length, max_length
    )
    finished, unfinished, history = beams.run(start, states)
    answer = choose_answer(finished, unfinished, n_best)
    tokens, emitted = trace.read(history, answer)
    return Hypotheses(tokens, answer.lengths, answer.totals, emitted, answer.scores)


def _check_widths(beam_width, n_best, num_groups):
    if n_best > beam_width:
        raise ValueError(
            f"`n_best` must lie between 1 and beam_width={beam_width}. "
            f"Received: n_best={n_best}"
        )
    if beam_width % num_groups:
        raise ValueError(
            f"`num_groups` must divide beam_width={beam_width}. "
            f"Received: num_groups={num_groups}"
        )
