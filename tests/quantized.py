"""Quantization without the warnings that Keras has for layers without weights."""

import warnings


def quantize(model, **options):
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "Layer .* does not have a `quantize`")
        model.quantize("int8", **options)
