import keras
import numpy as np
from keras import ops

from keras_attn.layers._checks import check_rank


@keras.saving.register_keras_serializable("keras_attn")
class SinusoidalPositions(keras.layers.Layer):
    """Adds the sines and cosines of the paper to a sequence.

    `PE(pos, 2i) = sin(pos / max_wavelength^(2i / dim))` and `PE(pos, 2i + 1)` the
    cosine of the same, so that sines and cosines alternate along the width.

    Args:
        max_wavelength: Float.
        **kwargs: Forwarded to `keras.layers.Layer`.

    Call arguments:
        inputs: Tensor `(batch, time, dim)`.
        positions: Optional int tensor `(batch, time)`; by default 0, 1, ...

    Returns:
        Tensor of the shape of `inputs`.

    Reference:
        Vaswani et al., 2017, https://arxiv.org/abs/1706.03762, section 3.5.
    """

    def __init__(self, max_wavelength=10_000.0, **kwargs):
        super().__init__(**kwargs)
        if max_wavelength <= 0:
            raise ValueError(
                "`max_wavelength` must be positive. "
                f"Received: max_wavelength={max_wavelength}"
            )
        self.supports_masking = True
        self.max_wavelength = max_wavelength

    def build(self, inputs_shape):
        dim = inputs_shape[-1]
        coordinates = np.arange(dim)
        exponents = (coordinates - coordinates % 2) / dim
        self._frequencies = (self.max_wavelength**-exponents).astype("float32")
        self._is_odd = coordinates % 2 == 1

    def call(self, inputs, positions=None):
        check_rank("inputs", inputs.shape, (3,), "(batch, time, dim)")
        if positions is None:
            positions = ops.arange(ops.shape(inputs)[1])[None]
        positions = ops.cast(positions, "float32")
        angles = ops.multiply(positions[..., None], self._frequencies)
        encoding = ops.where(self._is_odd, ops.cos(angles), ops.sin(angles))
        return inputs + ops.cast(encoding, inputs.dtype)

    def get_config(self):
        return {**super().get_config(), "max_wavelength": self.max_wavelength}
