"""Training on what the model itself would have written."""

import keras
from keras import ops

from keras_attn.ops.stateless_random import random_uniform

Schedule = keras.optimizers.schedules.LearningRateSchedule


class ScheduledSampling(keras.layers.Layer):
    """Puts the model's own tokens in the place of some that it is given.

    Args:
        rate: Float in [0, 1], or a `keras.optimizers.schedules` schedule of it, by the
            number of training steps: the share of tokens that are replaced.

    Call arguments:
        target: Int32 `(b, t)`, what the decoder reads, 0 is padding.
        logits: `(b, t, ids)`, what the model answers to it.

    Returns:
        The target with some of its tokens replaced.
    """

    def __init__(self, rate, **kwargs):
        super().__init__(**kwargs)
        self.rate = rate
        self.seed_generator = keras.random.SeedGenerator()
        self.steps = self.add_weight(
            (), "zeros", dtype="int32", trainable=False, name="steps"
        )
        self.built = True

    def call(self, target, logits):
        rate = self.rate
        if isinstance(rate, Schedule):
            rate = rate(ops.convert_to_tensor(self.steps))
            self.steps.assign_add(1)
        own = 1 + ops.cast(ops.argmax(logits[..., 1:], axis=-1), "int32")
        own = ops.concatenate([target[:, :1], own[:, :-1]], axis=1)
        chance = random_uniform(self.seed_generator.next(), 0, ops.shape(target))
        replaced = ops.logical_and(chance < rate, ops.not_equal(target, 0))
        return ops.where(replaced, own, target)


def check_rate(rate):
    """Raises unless `rate` is a share or a schedule of it."""
    if isinstance(rate, Schedule) or 0 <= rate <= 1:
        return
    raise ValueError(
        "`scheduled_sampling` must be in [0, 1] or a keras.optimizers.schedules "
        f"schedule. Received: scheduled_sampling={rate!r}"
    )
