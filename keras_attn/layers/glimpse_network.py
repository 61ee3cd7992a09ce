import keras
from keras import ops

from keras_attn.layers._checks import check_counts
from keras_attn.layers._projecting import ProjectingLayer
from keras_attn.layers.glimpse_sensor import GlimpseSensor


@keras.saving.register_keras_serializable("keras_attn")
class GlimpseNetwork(ProjectingLayer):
    """Joins what is seen and where it is seen into one vector.

    `g = relu(W [relu(W_what view); relu(W_where location)])`, each with a bias.

    Args:
        sensor: A `GlimpseSensor`.
        units: Int, width of the result.
        what_units: Int, width of the layer that reads the view.
        where_units: Int, width of the layer that reads the location.
        use_bias: Bool. Adds biases.
        kernel_initializer, bias_initializer: Initializers of the three layers.
        kernel_regularizer, bias_regularizer: Regularizers of the same.
        kernel_constraint, bias_constraint: Constraints of the same.
        **kwargs: Forwarded to `keras.layers.Layer` (`name`, `dtype`, ...).

    Call arguments:
        images: Tensor `(batch, height, width, channels)`, floats or uint8.
        locations: Tensor `(batch, *eyes, 2)`, row and column in [-1, 1].

    Returns:
        Tensor `(batch, *eyes, units)`.

    Raises:
        ValueError: If an argument has the wrong type, rank, shape, dtype or value.

    Example:
        >>> network = keras_attn.GlimpseNetwork(keras_attn.GlimpseSensor(8))
        >>> network(images, locations)  # (batch, 256)

    Reference:
        Mnih et al., 2014, https://arxiv.org/abs/1406.6247, section 4.
    """

    def __init__(
        self,
        sensor,
        units=256,
        what_units=128,
        where_units=128,
        use_bias=True,
        kernel_initializer="glorot_uniform",
        bias_initializer="zeros",
        kernel_regularizer=None,
        bias_regularizer=None,
        kernel_constraint=None,
        bias_constraint=None,
        **kwargs,
    ):
        super().__init__(
            use_bias,
            kernel_initializer,
            bias_initializer,
            kernel_regularizer,
            bias_regularizer,
            kernel_constraint,
            bias_constraint,
            autocast=False,  # 16 bits are few for a location
            **kwargs,
        )
        if not isinstance(sensor, GlimpseSensor):
            raise ValueError(
                f"`sensor` must be a GlimpseSensor. Received: sensor={sensor!r}"
            )
        check_counts(units=units, what_units=what_units, where_units=where_units)
        self.sensor = sensor
        self.units, self.what_units, self.where_units = units, what_units, where_units

    def build(self, images_shape, locations_shape):
        if not self.sensor.built:
            self.sensor.build(images_shape, locations_shape)
        sensor = self.sensor
        self._pixels = sensor.num_scales * sensor.size**2 * images_shape[-1]
        self.what = self._dense("what", self.what_units, self.use_bias, "relu")
        self.what.build((None, self._pixels))
        self.where = self._dense("where", self.where_units, self.use_bias, "relu")
        self.where.build((None, 2))
        self.joint = self._dense("joint", self.units, self.use_bias, "relu")
        self.joint.build((None, self.what_units + self.where_units))

    def call(self, images, locations):
        views = self.sensor(images, locations)
        eyes = ops.shape(locations)[:-1]
        what = self.what(ops.reshape(views, (-1, self._pixels)))
        where = ops.reshape(locations, (-1, 2))
        where = self.where(ops.cast(where, self.compute_dtype))
        joint = self.joint(ops.concatenate([what, where], axis=-1))
        return ops.reshape(joint, (*eyes, self.units))

    def get_config(self):
        return {
            **super().get_config(),
            "sensor": keras.saving.serialize_keras_object(self.sensor),
            "units": self.units,
            "what_units": self.what_units,
            "where_units": self.where_units,
        }

    @classmethod
    def from_config(cls, config):
        sensor = keras.saving.deserialize_keras_object(config["sensor"])
        return cls(**{**config, "sensor": sensor})
