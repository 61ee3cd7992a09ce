import keras

from keras_attn.models._tower import Tower


@keras.saving.register_keras_serializable("keras_attn")
class TransformerEncoder(Tower):
    """A Transformer that reads token ids: one vector for each.

    A functional model on int32 token ids `(batch, time)` with 0 as padding; the
    output, `(batch, time, model_dim)`, carries their mask.

    Args:
        vocabulary_size: Int, number of token ids.
        num_layers, model_dim, num_heads, intermediate_dim, dropout, positions,
            activation, gated, normalize_first, normalization: See `Transformer`.
        max_length: Int, number of learned positions.
        dtype: Dtype or dtype policy of all layers.
        **kwargs: Forwarded to `keras.Model` (`name`, `trainable`).

    Example:
        >>> encoder = keras_attn.TransformerEncoder(8000, num_layers=2)
        >>> pooled = keras.layers.GlobalAveragePooling1D()(encoder.output)
        >>> model = keras.Model(encoder.input, keras.layers.Dense(1)(pooled))

    Reference:
        Vaswani et al., 2017, https://arxiv.org/abs/1706.03762.
    """
