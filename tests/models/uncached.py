"""Greedy decoding without a cache, as slow as its definition."""

import numpy as np


def write_one_by_one(logits_after, rows, steps, end_token_id):
    """What `decode` must answer.

    Args:
        logits_after: Function from all tokens written so far, `(rows, n)`, to the
            logits of the next, `(rows, vocabulary)`.
        rows: Int.
        steps: Int, tokens to write at the most.
        end_token_id: Int.

    Returns:
        Dict of `tokens`, `lengths` and `score`.
    """
    written = np.zeros((rows, 0), "int32")
    total, active = np.zeros(rows), np.ones(rows, "bool")
    for _ in range(steps):
        logits = np.asarray(logits_after(written), "float64")
        best = 1 + logits[:, 1:].argmax(axis=-1)
        logits -= logits.max(axis=-1, keepdims=True)
        chosen = logits[range(rows), best] - np.log(np.exp(logits).sum(axis=-1))
        total += np.where(active, chosen, 0.0)
        written = np.column_stack([written, np.where(active, best, 0)]).astype("int32")
        active &= best != end_token_id
    lengths = (written != 0).sum(axis=1)
    return {"tokens": written, "lengths": lengths, "score": total}
