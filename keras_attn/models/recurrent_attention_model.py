import keras
from keras import layers, ops

from keras_attn.layers._checks import check_axes, check_counts, check_weights
from keras_attn.layers.glimpse_network import GlimpseNetwork
from keras_attn.layers.glimpse_sensor import GlimpseSensor
from keras_attn.layers.location_policy import LocationPolicy
from keras_attn.layers.recurrent_attention import RecurrentAttention
from keras_attn.models._configured import ConfiguredModel
from keras_attn.models._grid import check_image_shape
from keras_attn.ops.reinforce import baseline_loss, leave_one_out, reinforce_loss

CELLS = ("relu", "lstm")
BASELINES = ("learned", "leave_one_out", "self_critical", None)


@keras.saving.register_keras_serializable("keras_attn")
class RecurrentAttentionModel(ConfiguredModel):
    """Classifies images by a few glimpses, and learns where to look.

    A functional model from `(batch, *image_shape)`, floats in [0, 1] or uint8, to
    logits `(batch, num_classes)`. It is compiled with any loss and metrics of logits.
    `fit` adds REINFORCE for the choice of locations to that loss: each image is passed
    over `num_samples` times with locations that are drawn, and what a pass is rewarded
    with, by default 1 for the right class, is held against a baseline. Each pass is a
    row of its own to loss and metrics.

    `evaluate` and `predict` take one pass by the means of the policy, which is
    deterministic. `evaluate` also reports what one pass with locations that are drawn
    is rewarded with, `sampled_accuracy`, or `sampled_reward` with a reward of your
    own. No figure is that of several passes put together, and like all `metrics` these
    leave sample weights aside.

    It is the model to fit, not a part of one: within another model nothing would be
    added to the loss. `RecurrentAttention` is the layer for that.

    Args:
        image_shape: Ints `(height, width, channels)`.
        num_classes: Int. With one class the loss is one of a single logit, whose metric
            is `keras.metrics.BinaryAccuracy(threshold=0.0)`.
        num_glimpses: Int, looks at an image, of which the first is at the middle.
        glimpse_size: Int, pixels along a side of a glimpse.
        num_scales: Int, see `GlimpseSensor`.
        units: Int, width of glimpse network and core.
        what_units, where_units: Ints, see `GlimpseNetwork`.
        policy_units: Optional int, width of a hidden layer of the policy.
        scan: Bool. Whether the looks begin spread over the image, with a bias of the
            policy for each step (see `LocationPolicy`), and not all at its middle.
        cell: `"relu"`, a simple RNN, or `"lstm"`.
        std: Float, deviation of the locations in training, in halves of the image. A
            callback may narrow it, see `LocationPolicy`; that of the model is
            `model.attention.location_policy`.
        dropout: Float in [0, 1), see `RecurrentAttention`.
        num_samples: Int, passes over each image in training.
        baseline: `"learned"`, `"leave_one_out"`, which wants at least two samples,
            `"self_critical"`, which is the reward of a pass by the means, or `None`.
        reward: Optional function of labels and logits, `(rows, ...)` and `(rows,
            num_classes)`, to rewards `(rows,)`. For a model that is saved it must be
            registered with Keras. By default the labels are classes, one-hot, or with
            one logit 0 and 1; others, such as several classes at once, need a function.
        reinforce_weight: Float, weight of the surrogate in the loss. (The baseline
            is trained apart, with weight one.)
        seed: Int, seed of the locations that are drawn.
        dtype: Dtype or dtype policy of all layers.
        **kwargs: Forwarded to `keras.Model` (`name`, `trainable`).

    Example:
        >>> model = keras_attn.RecurrentAttentionModel((28, 28, 1), 10)
        >>> model.compile(
        ...     "adam",
        ...     keras.losses.SparseCategoricalCrossentropy(from_logits=True),
        ...     metrics=["accuracy"],
        ...     jit_compile=True,
        ... )
        >>> model.fit(images, labels, batch_size=128)
        >>> model.explain(images)["locations"]

    Reference:
        Mnih et al., 2014, https://arxiv.org/abs/1406.6247.
    """

    arguments = (
        "image_shape",
        "num_classes",
        "num_glimpses",
        "glimpse_size",
        "num_scales",
        "units",
        "what_units",
        "where_units",
        "policy_units",
        "scan",
        "cell",
        "std",
        "dropout",
        "num_samples",
        "baseline",
        "reward",
        "reinforce_weight",
        "seed",
    )

    def __init__(
        self,
        image_shape,
        num_classes,
        num_glimpses=6,
        glimpse_size=8,
        num_scales=1,
        units=256,
        what_units=128,
        where_units=128,
        policy_units=None,
        scan=False,
        cell="relu",
        std=0.1,
        dropout=0.0,
        num_samples=4,
        baseline="learned",
        reward=None,
        reinforce_weight=1.0,
        seed=None,
        dtype=None,
        **kwargs,
    ):
        image_shape = check_image_shape(image_shape)
        check_weights(reinforce_weight=reinforce_weight)
        if cell not in CELLS:
            raise ValueError(f"`cell` must be one of {CELLS}. Received: cell={cell!r}")
        if baseline not in BASELINES:
            raise ValueError(
                f"`baseline` must be one of {BASELINES}. "
                f"Received: baseline={baseline!r}"
            )
        least = 2 if baseline == "leave_one_out" else 1
        check_counts(num_samples=num_samples)
        if num_samples < least:
            raise ValueError(
                f"`num_samples` must be an int of at least {least} with "
                f"baseline={baseline!r}. Received: num_samples={num_samples}"
            )
        if reward is not None and not callable(reward):
            raise ValueError(
                "`reward` must be a function of labels and logits. "
                f"Received: reward={reward!r}"
            )
        policy = keras.dtype_policies.get(dtype or keras.config.dtype_policy())
        sensor = GlimpseSensor(glimpse_size, num_scales, dtype=policy, name="sensor")
        attention = RecurrentAttention(
            GlimpseNetwork(
                sensor, units, what_units, where_units, dtype=policy, name="glimpse"
            ),
            LocationPolicy(
                std,
                policy_units,
                num_glimpses - 1 if scan and num_glimpses > 1 else None,
                seed=seed,
                dtype=policy,
                name="policy",
            ),
            _make_cell(cell, units, policy),
            num_classes,
            num_glimpses,
            dropout,
            use_baseline=baseline == "learned",
            dtype=policy,
            name="attention",
        )
        image = keras.Input(image_shape, name="image")
        super().__init__(image, attention(image), **kwargs)

        self.attention = attention
        self.image_shape = list(image_shape)
        self.num_classes, self.num_glimpses = num_classes, num_glimpses
        self.glimpse_size, self.num_scales = glimpse_size, num_scales
        self.units, self.what_units, self.where_units = units, what_units, where_units
        self.policy_units, self.scan, self.cell = policy_units, scan, cell
        self.std, self.dropout, self.num_samples = std, dropout, num_samples
        self.baseline, self.reward = baseline, reward
        self.reinforce_weight, self.seed = reinforce_weight, seed
        self.policy = policy
        name = "sampled_accuracy" if reward is None else "sampled_reward"
        self.sampled_reward = keras.metrics.Mean(name)

    def call(self, inputs, training=None, mask=None):
        """Logits; in training a dict of all passes, which `compute_loss` reads."""
        images = self._images(inputs)
        if not training:
            return self.attention(images, training=False)
        logits, trace = self.attention(
            images,
            num_samples=self.num_samples,
            include_mean=self.baseline == "self_critical",
            return_trace=True,
            training=True,
        )
        return {"logits": logits, **trace}

    def compute_loss(
        self, x=None, y=None, y_pred=None, sample_weight=None, training=True
    ):
        if not training:
            drawn = self.attention(self._images(x), num_samples=1)
            self.sampled_reward.update_state(self._reward(y, drawn)[:, 0])
            return super().compute_loss(x, y, y_pred, sample_weight, training)
        logits = self._drawn(y_pred["logits"])
        reward = self._reward(y, logits)
        self.sampled_reward.update_state(ops.mean(reward, axis=1))
        loss = super().compute_loss(
            x, *_one_row_a_pass(y, logits, sample_weight), training
        )
        weight = 1.0
        if sample_weight is not None:
            weight = ops.cast(ops.reshape(sample_weight, (-1, 1)), "float32")
        surrogate = ops.mean(weight * self._reinforce(y, y_pred, reward))
        return loss + self._aggregate_additional_loss(surrogate)

    def compute_metrics(self, x, y, y_pred, sample_weight=None):
        _check_labels(y)
        if isinstance(y_pred, dict):
            logits = self._drawn(y_pred["logits"])
            y, y_pred, sample_weight = _one_row_a_pass(y, logits, sample_weight)
        return super().compute_metrics(x, y, y_pred, sample_weight)

    def explain(self, images):
        """Answers, and says where it looked: one pass by the means of the policy.

        Args:
            images: Tensor `(batch, *image_shape)`, floats or uint8.

        Returns:
            Dict of `label` int32 `(batch,)`, `probabilities` float32 `(batch,
            num_classes)`, of a single logit that of label 1, and `locations` float32
            `(batch, num_glimpses, 2)`, row and column in [-1, 1].
        """
        logits, trace = self.attention(self._images(images), return_trace=True)
        logits = ops.cast(logits, "float32")
        activation = ops.softmax if self.num_classes > 1 else ops.sigmoid
        probabilities = activation(logits)
        return {
            "label": _found(probabilities, 0.5),
            "probabilities": probabilities,
            "locations": trace["locations"],
        }

    def serving_signatures(self):
        """What a server offers of this model, for `keras_attn.serving.export`.

        `serving_default` takes `image`, float32 in [0, 1], and answers as `explain`
        does.

        Returns:
            Dict `{name: (function, {input: tf.TensorSpec})}`.
        """
        import tensorflow as tf

        image = tf.TensorSpec((None, *self.image_shape), tf.float32, name="image")
        return {
            "serving_default": (
                lambda inputs: self.explain(inputs["image"]),
                {"image": image},
            )
        }

    def get_config(self):
        config = super().get_config()
        reward = self.reward and keras.saving.serialize_keras_object(self.reward)
        return {**config, "reward": reward}

    @classmethod
    def from_config(cls, config, custom_objects=None):
        reward = config["reward"] and keras.saving.deserialize_keras_object(
            config["reward"], custom_objects
        )
        return cls(**{**config, "reward": reward})

    def _images(self, inputs):
        """Images with an axis of channels, which may be left out where it is one."""
        if isinstance(inputs, dict):
            if set(inputs) != {"image"}:
                raise ValueError(
                    "Images that come by name must be named `image`. "
                    f"Received: {sorted(inputs)}"
                )
            inputs = inputs["image"]
        elif isinstance(inputs, list | tuple) and len(inputs) == 1:
            (inputs,) = inputs
        images = ops.convert_to_tensor(inputs)
        one = len(images.shape) == 3 and self.image_shape[-1] == 1
        return images[..., None] if one else images

    def _drawn(self, passes):
        """The passes with locations that were drawn, without the one by the means."""
        return passes[:, 1:] if self.baseline == "self_critical" else passes

    def _reward(self, y, logits):
        """Rewards `(batch, passes)`, data: no gradient runs through them."""
        _check_labels(y)
        y, rows, _ = _one_row_a_pass(y, logits)
        reward = ops.convert_to_tensor((self.reward or _is_right)(y, rows))
        if len(reward.shape) != 1:
            raise ValueError(
                "`reward` must return one number for each row of logits, (rows,). "
                f"Received: shape {tuple(reward.shape)} for logits {tuple(rows.shape)}"
            )
        check_axes("reward", reward.shape, "logits", rows.shape, 1, "number of rows")
        reward = ops.cast(ops.stop_gradient(reward), "float32")
        return ops.reshape(reward, ops.shape(logits)[:2])

    def _reinforce(self, y, passes, reward):
        """The surrogate, and the loss of a learned baseline, `(batch, passes)`."""
        if self.num_glimpses == 1:
            return ops.zeros_like(reward)
        apart = 0.0
        baseline = None
        if self.baseline == "learned":
            baseline = passes["values"]
            apart = ops.mean(baseline_loss(baseline, reward), axis=-1)
        elif self.baseline == "leave_one_out":
            baseline = leave_one_out(reward)
        elif self.baseline == "self_critical":
            baseline = self._reward(y, passes["logits"][:, :1])[:, 0]
        surrogate = reinforce_loss(self._drawn(passes["log_prob"]), reward, baseline)
        return apart + self.reinforce_weight * ops.sum(surrogate, axis=-1)


def _make_cell(name, units, policy):
    if name == "lstm":
        return layers.LSTMCell(units, dtype=policy, name="core")
    return layers.SimpleRNNCell(
        units,
        "relu",
        recurrent_initializer="identity",  # Le et al., 2015: glimpses add up
        dtype=policy,
        name="core",
    )


def _check_labels(y):
    if y is None:
        raise ValueError("`y` must be labels to reward by. Received: y=None")


def _one_row_a_pass(y, logits, sample_weight=None):
    """Labels, logits `(batch * passes, classes)` and weights, a row for each pass."""
    passes = logits.shape[1]

    def repeat(tensor):
        if tensor is None or passes == 1:
            return tensor
        return ops.repeat(ops.convert_to_tensor(tensor), passes, axis=0)

    rows = ops.reshape(logits, (-1, logits.shape[-1]))
    return repeat(y), rows, repeat(sample_weight)


def _is_right(y, logits):
    """1 where the largest logit is that of the label, a class or one-hot.

    One logit is above 0 where the label is 1.
    """
    y = ops.convert_to_tensor(y)
    classes = logits.shape[-1]
    width = 1 if len(y.shape) == 1 else y.shape[-1]
    if len(y.shape) > 2 or width not in (1, classes, None):
        raise ValueError(
            f"`y` must be classes, (batch,) or (batch, 1), or one-hot, (batch, "
            f"{classes}); for others give a `reward`. Received: shape {tuple(y.shape)}"
        )
    if width != 1:
        y = ops.argmax(y, axis=-1)
    y = ops.cast(ops.reshape(y, (-1,)), "int32")
    return ops.cast(ops.equal(y, _found(logits, 0.0)), "float32")


def _found(scores, least):
    """The class with the highest score; of a single score, if it is above `least`."""
    if scores.shape[-1] > 1:
        return ops.cast(ops.argmax(scores, axis=-1), "int32")
    return ops.cast(scores[:, 0] > least, "int32")
