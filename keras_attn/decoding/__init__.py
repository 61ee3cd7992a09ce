"""Decoding loops over any `step(tokens, states) -> logits, states, emitted`.

`greedy_search`, `sample` and `beam_search` take the same arguments first and run
eagerly, in a TensorFlow graph, under `jax.jit`, compiled by XLA and on torch.
"""

from keras_attn.decoding.beam import Hypotheses as Hypotheses
from keras_attn.decoding.beam import beam_search as beam_search
from keras_attn.decoding.greedy import greedy_search as greedy_search
from keras_attn.decoding.sampling import sample as sample
from keras_attn.decoding.search import search as search

__all__ = ["Hypotheses", "beam_search", "greedy_search", "sample", "search"]
