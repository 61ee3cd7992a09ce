import keras
from keras import ops


@keras.saving.register_keras_serializable("keras_attn")
class KnownLabelsLoss(keras.losses.Loss):
    """A loss of several tasks whose labels are missing here and there.

    The mean over the labels that are known, those that are no NaN. A missing label
    changes neither the loss nor a gradient, whatever the model answers there; without
    any known label the loss is zero.

    Args:
        loss: `keras.losses.Loss` of one label. Its own reduction does not count.
        name: Name of the loss.
        dtype: Dtype of the loss.

    Call arguments:
        y_true: Tensor `(batch, tasks)`, NaN where the label is missing.
        y_pred: Tensor `(batch, tasks)`.
        sample_weight: Optional tensor `(batch,)` or `(batch, tasks)`.

    Returns:
        Scalar tensor.

    Raises:
        ValueError: If `loss` is no `keras.losses.Loss`.

    Example:
        >>> loss = keras_attn.KnownLabelsLoss(
        ...     keras.losses.BinaryCrossentropy(from_logits=True)
        ... )
        >>> model.compile("adam", loss, jit_compile=True)
    """

    def __init__(self, loss, name="known_labels_loss", dtype=None):
        super().__init__(name=name, reduction="mean_with_sample_weight", dtype=dtype)
        if not isinstance(loss, keras.losses.Loss):
            raise ValueError(
                "`loss` must be a keras.losses.Loss, such as MeanSquaredError(). "
                f"Received: loss={loss!r}"
            )
        self.loss = loss

    def __call__(self, y_true, y_pred, sample_weight=None):
        y_true = ops.convert_to_tensor(y_true, self.dtype)
        known = ops.logical_not(ops.isnan(y_true))
        weights = ops.cast(known, self.dtype)
        if sample_weight is not None:
            sample_weight = ops.convert_to_tensor(sample_weight, self.dtype)
            if len(sample_weight.shape) < len(weights.shape):
                sample_weight = sample_weight[..., None]
            weights = weights * sample_weight
        return super().__call__(ops.where(known, y_true, 0.0), y_pred, weights)

    def call(self, y_true, y_pred):
        # A loss takes the mean over the last axis; of one label that is its own.
        return self.loss.call(y_true[..., None], y_pred[..., None])

    def get_config(self):
        config = super().get_config()
        del config["reduction"]  # there is one that leaves missing labels out
        return {**config, "loss": keras.losses.serialize(self.loss)}

    @classmethod
    def from_config(cls, config):
        return cls(**{**config, "loss": keras.losses.deserialize(config["loss"])})
