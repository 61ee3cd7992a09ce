"""Decoding by chance."""

from keras import ops

from keras_attn.decoding._pool import is_real
from keras_attn.decoding._steps import LOWEST
from keras_attn.decoding._writing import write
from keras_attn.layers._checks import check_counts
from keras_attn.ops.stateless_random import random_uniform


def sample(
    step,
    states,
    emitted,
    start_token_id,
    end_token_id,
    max_length,
    seed,
    temperature=1.0,
    top_k=None,
    top_p=None,
    min_length=0,
    constants=None,
):
    """Draws each token by its probability, until every row has ended.

    The probabilities are sharpened by `temperature`; of them remain the `top_k`
    largest, and of these the fewest that together have `top_p`. The draws depend on
    `seed`, the row and the step alone: TensorFlow and JAX write the same in every mode
    of compilation.

    Args:
        step, states, emitted, start_token_id, end_token_id, max_length, min_length,
            constants: As in `greedy_search`.
        seed: Int or int tensor, the same one draws the same.
        temperature: Finite float above 0. Divides the logits; below 1 improbable tokens
            become rarer still.
        top_k: Optional int, how many tokens of a step may be drawn.
        top_p: Optional float in (0, 1], the probability they have together.

    Returns:
        What `greedy_search` returns; the log-probabilities are the model's own,
        without temperature and selection.

    Raises:
        ValueError: If an argument is out of range.

    Reference:
        Holtzman et al., 2020, https://arxiv.org/abs/1904.09751, for `top_p`.
    """
    _check(temperature, top_k, top_p)
    seed = ops.stack([ops.cast(seed, "int32"), ops.zeros((), "int32")])

    def choose(scores, count):
        below = scores - ops.max(scores, axis=-1, keepdims=True)
        below = below / max(temperature, 1e-30)  # by which float32 can divide
        scores = ops.where(is_real(scores), below, LOWEST)
        kept = keep_likely(scores, top_k, top_p)
        uniform = random_uniform(seed, count, ops.shape(scores))
        # The largest of logits with Gumbel noise falls on each by its probability.
        return ops.argmax(kept - ops.log(-ops.log(uniform)), axis=-1)

    return write(
        choose,
        step,
        states,
        emitted,
        start_token_id,
        end_token_id,
        max_length,
        min_length,
        constants,
    )


def keep_likely(logits, top_k=None, top_p=None):
    """Logits `(b, v)` with the lowest number in place of those that are not kept.

    Of equal ones the first are kept.
    """
    size = logits.shape[-1]
    if top_k is not None and top_k < size:
        # Not the last one: XLA would sort everything for a slice.
        least = ops.min(ops.top_k(logits, top_k)[0], axis=-1, keepdims=True)
        logits = ops.where(_largest(logits, least, top_k), logits, LOWEST)
    if top_p is not None and top_p < 1:
        ordered = ops.flip(ops.sort(logits, axis=-1), axis=-1)
        shares = ops.softmax(ordered, axis=-1)
        kept = ops.cumsum(shares, axis=-1) - shares < top_p
        least = ops.min(ops.where(kept, ordered, -LOWEST), axis=-1, keepdims=True)
        count = ops.sum(ops.cast(kept, "int32"), axis=-1, keepdims=True)
        logits = ops.where(_largest(logits, least, count), logits, LOWEST)
    return logits


def _largest(logits, least, count):
    """Where the `count` largest are, of which the last is `least`; ties by their id."""
    larger, tied = logits > least, logits == least
    room = count - ops.sum(ops.cast(larger, "int32"), axis=-1, keepdims=True)
    first = ops.cumsum(ops.cast(tied, "int32"), axis=-1) <= room
    return ops.logical_or(larger, ops.logical_and(tied, first))


def _check(temperature, top_k, top_p):
    if not 0 < temperature < float("inf"):
        raise ValueError(
            "`temperature` must be finite and above 0. "
            f"Received: temperature={temperature}"
        )
    if top_k is not None:
        check_counts(top_k=top_k)
    if top_p is not None and not 0 < top_p <= 1:
        raise ValueError(f"`top_p` must be in (0, 1]. Received: top_p={top_p}")
