"""A layer is weights and configuration around the functions of `keras_attn.ops`."""
