"""A layer is weights and configuration around the functions of `keras_attn.ops`."""

from keras_attn._lazy import public_names

__getattr__, __dir__ = public_names(__name__)
