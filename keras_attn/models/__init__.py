"""Functional models of the literature, one architecture a file."""

from keras_attn._lazy import public_names

__getattr__, __dir__ = public_names(__name__)
