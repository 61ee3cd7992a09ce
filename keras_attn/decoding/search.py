"""One way to all searches, for models that take their options as arguments."""

from inspect import signature
from typing import Any

from keras_attn.decoding.beam import beam_search
from keras_attn.decoding.greedy import greedy_search
from keras_attn.decoding.sampling import sample


def search(
    *arguments: Any, coverage_mask: Any = None, **options: Any
) -> dict[str, Any]:
    """Decodes by the search that the options belong to.

    Args:
        *arguments: The first arguments of `greedy_search`.
        coverage_mask: Of `beam_search`.
        **options: Of `beam_search` where `beam_width` is among them, of `sample` where
            `seed` is, else of `greedy_search`.

    Returns:
        Dict of `tokens` int32 `(b, max_length)`, `lengths` int32 `(b,)`, the
        log-probability `score` float32 `(b,)` and what was emitted, which must be a
        dict. A beam search adds the `ranking_score`, float32 `(b,)`, and with
        `n_best` all of these have an axis of the hypotheses after the batch.
    """
    if "beam_width" not in options:
        chosen = sample if "seed" in options else greedy_search
        _check_options(chosen, options)
        return _answer(chosen(*arguments, **options))
    _check_options(beam_search, options)
    options = {**options, "coverage_mask": coverage_mask}
    found = beam_search(*arguments, **options)
    answer = {**_answer(found), "ranking_score": found.scores}
    if "n_best" in options:
        return answer
    return {name: value[:, 0] for name, value in answer.items()}


def _check_options(chosen, options):
    for name in options:
        if name not in signature(chosen).parameters:
            raise ValueError(
                f"`{name}` is no option of `{chosen.__name__}`. `beam_width` chooses "
                "`beam_search`, `seed` chooses `sample`, and neither `greedy_search`. "
                f"Received: {name}={options[name]!r}"
            )


def _answer(written):
    return {
        "tokens": written.tokens,
        "lengths": written.lengths,
        "score": written.log_probabilities,
        **written.emitted,
    }
