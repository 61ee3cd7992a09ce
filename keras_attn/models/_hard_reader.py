"""Training of a reader whose attention takes one slot of the memory."""

from typing import Any

import keras
from keras import ops

from keras_attn.layers._checks import check_shares, check_weights
from keras_attn.models._reader import Reader
from keras_attn.ops.reinforce import reinforce_loss

KINDS = ("soft", "hard")


class HardReader(Reader):
    """A `Reader` whose `attention` may be hard.

    Hard attention is trained by REINFORCE: the slot that was drawn for a token is
    rewarded with the log-likelihood of that token, held against a moving average. What
    is soft all the same learns by the gradient of the tokens' loss.

    Args:
        attention: `"soft"` or `"hard"`.
        entropy_weight: Float, what the entropy of hard attention is worth.
        soft_rate, seed: See `BahdanauAttention`.
        **arguments: Those of `Reader`.
    """

    def __init__(
        self,
        sources,
        make_read,
        gate,
        vocabulary_size,
        attention="soft",
        entropy_weight=0.01,
        soft_rate=0.5,
        seed=None,
        **kwargs,
    ):
        if attention not in KINDS:
            raise ValueError(
                f"`attention` must be one of {KINDS}. Received: attention={attention!r}"
            )
        check_weights(entropy_weight=entropy_weight)
        check_shares(soft_rate=soft_rate)
        options = {"hard": True, "soft_rate": soft_rate, "seed": seed}
        super().__init__(
            sources,
            make_read,
            gate,
            vocabulary_size,
            attention_options=options if attention == "hard" else None,
            **kwargs,
        )
        self.attention = attention
        self.entropy_weight, self.soft_rate = entropy_weight, soft_rate
        self.seed = seed
        self.baseline: Any = None
        if attention == "hard":
            self.baseline = MovingAverage(name="baseline")

    def call(self, inputs, training=None, mask=None):
        """Logits; in hard training a dict with the choices, for `compute_loss`."""
        if not training or self.attention == "soft":
            return super().call(inputs, training=training, mask=mask)
        inputs = self.sampled(inputs, mask)
        # Said once more, as the pass that samples has told Keras that nothing trains.
        memory, mask, *summary = self.read(
            *[inputs[name] for name in self.reads], training=True
        )
        states = self.bridge.begin(memory, mask, *summary)
        return self.writer(
            inputs["target"], memory, states, mask, return_choice=True, training=True
        )

    def compute_loss(
        self, x=None, y=None, y_pred=None, sample_weight=None, training=True
    ):
        if not isinstance(y_pred, dict):
            return super().compute_loss(x, y, y_pred, sample_weight, training)
        logits = y_pred["logits"]
        loss = super().compute_loss(x, y, logits, sample_weight, training)
        reward = _log_likelihood(y, logits)
        weight = ops.cast(ops.not_equal(x["target"], 0), "float32")
        if sample_weight is not None:
            weight = weight * ops.cast(sample_weight, "float32")
        total = ops.sum(weight)
        baseline = self.baseline(ops.sum(weight * reward), total)
        surrogate = reinforce_loss(
            y_pred["log_prob"],
            reward,
            baseline,
            y_pred["entropy"],
            self.entropy_weight,
        )
        surrogate = ops.sum(weight * surrogate)
        surrogate = surrogate / ops.maximum(total, keras.config.epsilon())
        return loss + self._aggregate_additional_loss(surrogate)

    def compute_metrics(self, x, y, y_pred, sample_weight=None):
        if isinstance(y_pred, dict):
            y_pred = y_pred["logits"]
        return super().compute_metrics(x, y, y_pred, sample_weight)


class MovingAverage(keras.layers.Layer):
    """What batches have had on average; the first time what the first one has.

    A batch without weight, or whose mean is no number, leaves the average as it is.

    Call arguments:
        total: Scalar tensor, the weighted sum of a batch.
        weight: Scalar tensor, the sum of the weights.

    Returns:
        The average before that, without gradient.
    """

    def __init__(self, momentum=0.9, **kwargs):
        super().__init__(dtype="float32", **kwargs)
        self.momentum = momentum
        self.average = self.add_weight(
            (), "zeros", trainable=False, name="average", dtype="float32"
        )
        self.steps = self.add_weight(
            (), "zeros", trainable=False, name="steps", dtype="int32"
        )
        self.built = True

    def call(self, total, weight):
        total = ops.stop_gradient(total)
        counts = ops.logical_and(weight > 0, ops.isfinite(total))
        average = ops.convert_to_tensor(self.average)
        value = ops.where(counts, total / ops.where(counts, weight, 1.0), average)
        before = ops.where(ops.equal(self.steps, 0), value, average)
        self.average.assign(self.momentum * before + (1 - self.momentum) * value)
        self.steps.assign_add(ops.cast(counts, "int32"))
        return before


def _log_likelihood(labels, logits):
    """Of ids or one-hot labels: float32 `(b, t)`, data without gradient."""
    labels = ops.convert_to_tensor(labels)
    if len(labels.shape) == 3:
        labels = ops.argmax(labels, axis=-1)
    scores = ops.log_softmax(ops.cast(ops.stop_gradient(logits), "float32"), axis=-1)
    labels = ops.cast(labels, "int32")[..., None]
    return ops.take_along_axis(scores, labels, axis=-1)[..., 0]
