import keras
import numpy as np
from keras import ops

from keras_attn.layers._head_positions import HeadPositions


@keras.saving.register_keras_serializable("keras_attn")
class AlibiBias(HeadPositions):
    """ALiBi for an attention layer's argument `positions`.

    Each head takes a slope times the distance of query and key off the score. The
    slopes are `2^(-8 i / n)` for n heads; where n is no power of two, those of the
    next lower power and every second one of the next higher. Costs no memory.

    Example:
        >>> attention = keras_attn.MultiHeadSelfAttention(
        ...     num_heads=8, key_dim=64, positions=keras_attn.AlibiBias()
        ... )

    Reference:
        Press et al., 2022, https://arxiv.org/abs/2108.12409, section 3.
    """

    def slopes(self, num_heads):
        power = 2 ** (num_heads.bit_length() - 1)
        between = _geometric(2 * power)[::2][: num_heads - power]
        slopes = np.array([*_geometric(power), *between], "float32")
        return ops.convert_to_tensor(slopes)


def _geometric(count):
    return [2.0 ** (-8.0 * i / count) for i in range(1, count + 1)]
