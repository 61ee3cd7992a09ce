import keras
from keras import ops


@keras.saving.register_keras_serializable("keras_attn")
class SmoothedCrossentropy(keras.losses.Loss):
    """Cross-entropy of token ids whose labels are smoothed.

    The label has `1 - label_smoothing` of the probability, the rest is spread evenly
    over all ids. `keras.losses.CategoricalCrossentropy(label_smoothing=...)` does the
    same for one-hot labels, which for token ids are as large as the logits; Keras'
    sparse loss has no smoothing. The Keras mask of the logits counts.

    Args:
        label_smoothing: Float in [0, 1).
        reduction: As of any `keras.losses.Loss`.
        name: Name of the loss.
        dtype: Dtype of the loss.

    Call arguments:
        y_true: Ids `(batch, ...)`.
        y_pred: Logits `(batch, ..., ids)`.
        sample_weight: Optional tensor `(batch, ...)`.

    Returns:
        Scalar tensor, or one of `y_true`'s shape with `reduction=None`.

    Raises:
        ValueError: If `label_smoothing` is out of range, the dtype has 16 bits, or
            the labels are not ids.

    Example:
        >>> model.compile("adam", keras_attn.SmoothedCrossentropy(0.1))

    Reference:
        Szegedy et al., 2016, https://arxiv.org/abs/1512.00567, section 7.
    """

    def __init__(
        self,
        label_smoothing=0.1,
        reduction="sum_over_batch_size",
        name="smoothed_crossentropy",
        dtype=None,
    ):
        super().__init__(name=name, reduction=reduction, dtype=dtype)
        if not 0 <= label_smoothing < 1:
            raise ValueError(
                "`label_smoothing` must be in [0, 1). "
                f"Received: label_smoothing={label_smoothing}"
            )
        if self.dtype in ("float16", "bfloat16"):
            raise ValueError(
                "`dtype` must not be of 16 bits, which do not hold token ids. "
                f"Received: dtype={self.dtype}"
            )
        self.label_smoothing = label_smoothing

    def call(self, y_true, y_pred):
        ids = ops.cast(y_true, "int32")
        if len(ids.shape) < len(y_pred.shape):
            ids = ids[..., None]
        if len(ids.shape) != len(y_pred.shape) or ids.shape[-1] not in (1, None):
            raise ValueError(
                "`y_true` must be ids, of the shape of `y_pred` without its last axis. "
                f"Received: y_true.shape={tuple(y_true.shape)}, "
                f"y_pred.shape={tuple(y_pred.shape)}"
            )
        right = ops.take_along_axis(y_pred, ids, axis=-1)[..., 0]
        aim = (1.0 - self.label_smoothing) * right
        if self.label_smoothing:
            aim = aim + self.label_smoothing * ops.mean(y_pred, axis=-1)
        return ops.logsumexp(y_pred, axis=-1) - aim

    def get_config(self):
        return {**super().get_config(), "label_smoothing": self.label_smoothing}
