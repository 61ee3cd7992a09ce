"""Decoding loops over any `step(tokens, states) -> logits, states, emitted`."""
