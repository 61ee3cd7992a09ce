import keras

from keras_attn.layers._head_positions import HeadPositions
from keras_attn.ops.rotary import rotate


@keras.saving.register_keras_serializable("keras_attn")
class RotaryEmbedding(HeadPositions):
    """Rotary positions for an attention layer's argument `positions`.

    Queries and keys are turned by angles that grow with their positions, so that
    their inner products depend on the distance between the two.

    Args:
        max_wavelength: Float, the period of the slowest pair of coordinates, over
            2 pi.
        **kwargs: Forwarded to `keras.layers.Layer`.

    Example:
        >>> attention = keras_attn.MultiHeadSelfAttention(
        ...     num_heads=8, key_dim=64, positions=keras_attn.RotaryEmbedding()
        ... )

    Reference:
        Su et al., 2021, https://arxiv.org/abs/2104.09864.
    """

    def __init__(self, max_wavelength=10_000.0, **kwargs):
        super().__init__(**kwargs)
        if max_wavelength <= 0:
            raise ValueError(
                "`max_wavelength` must be positive. "
                f"Received: max_wavelength={max_wavelength}"
            )
        self.max_wavelength = max_wavelength

    def rotate(self, tensor, positions):
        return rotate(tensor, positions, self.max_wavelength)

    def check(self, num_heads, key_dim):
        if key_dim % 2:
            raise ValueError(
                "`RotaryEmbedding` wants an even `key_dim`. "
                f"Received: key_dim={key_dim}"
            )

    def get_config(self):
        return {**super().get_config(), "max_wavelength": self.max_wavelength}
