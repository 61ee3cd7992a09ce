"""REINFORCE: the gradient of an expected reward, as that of an ordinary loss.

An agent draws actions and is rewarded for what comes of them. The reward need not have
a gradient; the surrogate below has that of the expected reward, whatever was drawn,
once it is averaged over draws. A baseline, which must not depend on the action it is
held against, leaves that average alone and takes most of the noise away:

- learned: a prediction of the reward from what was known before the action, trained by
  `baseline_loss`;
- `leave_one_out`: the mean reward of the other draws for the same example;
- self-critical: the reward of the most probable action.

Reference:
    Williams, 1992, https://doi.org/10.1007/BF00992696. Kool et al., 2019,
    https://openreview.net/forum?id=r1lgTGL5DE (leave-one-out). Rennie et al., 2017,
    https://arxiv.org/abs/1612.00563 (self-critical).
"""

from keras import backend, ops


def reinforce_loss(log_prob, reward, baseline=None, entropy=None, entropy_weight=0.0):
    """The surrogate, for each action.

    `-(reward - baseline) log_prob - entropy_weight entropy`; its gradient runs to
    `log_prob` and `entropy` alone. Shapes are compared from the left: one reward may
    belong to all actions of an episode, and one baseline to all episodes of an
    example.

    Args:
        log_prob: Log-probability of each action, such as `(batch, samples, steps)`.
        reward: Tensor of that shape, or of its first axes, such as `(batch, samples)`.
        baseline: Optional tensor, likewise: `(batch,)`, `(batch, samples)` or with
            the steps.
        entropy: Optional entropy of the policy at each action, of the shape of
            `log_prob`.
        entropy_weight: Float. How much entropy is worth, which keeps a policy from
            ceasing to explore.

    Returns:
        Tensor of the shape of `log_prob`. The sum over the steps of its mean over the
        rest has the gradient of the expected reward, turned around.

    Raises:
        ValueError: If a shape is not the beginning of that of `log_prob`.

    Example:
        >>> actions = categorical_sample(logits, noise)
        >>> log_prob = categorical_log_prob(actions, logits)
        >>> loss = ops.mean(reinforce_loss(log_prob, reward, leave_one_out(reward)))
    """
    advantage = _aligned("reward", reward, log_prob)
    if baseline is not None:
        baseline = _aligned("baseline", baseline, log_prob)
        dtype = backend.result_type(advantage.dtype, baseline.dtype)
        advantage = ops.cast(advantage, dtype) - ops.cast(baseline, dtype)
    loss = -ops.cast(ops.stop_gradient(advantage), log_prob.dtype) * log_prob
    if entropy is None:
        return loss
    entropy = ops.cast(_aligned("entropy", entropy, log_prob), log_prob.dtype)
    return loss - entropy_weight * entropy


def baseline_loss(value, reward):
    """Squared error of a learned baseline, for each of its predictions.

    Args:
        value: Predictions, such as `(batch, samples, steps)`.
        reward: Tensor of that shape or of its first axes; data, without gradient.

    Returns:
        Tensor of the shape of `value`.

    Raises:
        ValueError: If the shape of `reward` is not the beginning of that of `value`.
    """
    reward = ops.cast(_aligned("reward", reward, value, "value"), value.dtype)
    return ops.square(value - ops.stop_gradient(reward))


def leave_one_out(reward, axis=1):
    """The mean reward of the other samples, a baseline that costs nothing.

    Args:
        reward: Tensor with an axis of at least two samples, such as
            `(batch, samples)`, of floats or what counts as 0 and 1.
        axis: Int, that axis.

    Returns:
        Tensor of the shape of `reward`, floats.

    Raises:
        ValueError: If there is one sample only, or their number is not known.
    """
    reward = _as_floats(reward)
    samples = reward.shape[axis]
    if samples is None or samples < 2:
        raise ValueError(
            "`reward` must have at least 2 samples on its axis for leave-one-out, a "
            f"known number. Received: reward.shape={tuple(reward.shape)}, axis={axis}"
        )
    total = ops.sum(reward, axis=axis, keepdims=True)
    return (total - reward) / (samples - 1)


def _aligned(name, tensor, whole, whole_name="log_prob"):
    """Floats with the axes that the tensor lacks at its end, of length one."""
    tensor = _as_floats(tensor)
    shape, expected = tuple(tensor.shape), tuple(whole.shape)
    agrees = len(shape) <= len(expected) and all(
        a is None or b is None or a == b for a, b in zip(shape, expected, strict=False)
    )
    if not agrees:
        raise ValueError(
            f"`{name}` must have the shape of `{whole_name}` or of its first axes. "
            f"Received: {name}.shape={shape}, {whole_name}.shape={expected}"
        )
    for _ in range(len(expected) - len(shape)):
        tensor = tensor[..., None]
    return tensor


def _as_floats(tensor):
    """At least 32 bits: a small advantage is the difference of large rewards."""
    tensor = ops.convert_to_tensor(tensor)
    return ops.cast(tensor, backend.result_type(tensor.dtype, "float32"))
