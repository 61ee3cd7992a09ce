"""Fine-tuning by low-rank updates of the projections (LoRA)."""

from collections.abc import Collection

import keras

from keras_attn.layers._projecting import ProjectingLayer

ATTENTION = ("projection", "query", "key", "value", "output")
FEED_FORWARD = ("widen", "narrow")


def enable_lora(
    model: keras.Model,
    rank: int,
    names: Collection[str] = ATTENTION,
    alpha: float | None = None,
) -> list[keras.layers.Dense]:
    """Freezes a model and lets low-rank updates of its projections learn instead.

    Each chosen projection has its kernel `W` replaced by `W + alpha / rank * A B`, with
    `A` of shape `(width, rank)` and `B`, zeros at first, of shape `(rank, units)`. They
    are all that learns. Compile the model afterwards. A saved model has the updates
    merged into its kernels, so that it loads, exports and runs like one without them.
    The projections may have been quantized before.

    Args:
        model: Keras model with layers of ours. Of a larger model only the part that
            is given is frozen: with an encoder under a new head, the head learns on.
        rank: Int of at least 1.
        names: Names of the projections that get an update: `"projection"`, the fused
            one of self-attention; `"query"`, `"key"`, `"value"`; `"output"`; `"widen"`
            and `"narrow"` of the feed-forward. By default all those of the attention.
        alpha: Optional float. Defaults to `rank`, so that the update counts in full.

    Returns:
        The projections.

    Raises:
        ValueError: If the model has no such projection, or one has an update already or
            a constraint.

    Example:

    ```python
    enable_lora(model, rank=8)
    model.compile("adam", loss)
    model.fit(inputs, labels)
    model.save("fine_tuned.keras")
    ```

    Reference:
    - [Hu et al., 2021](https://arxiv.org/abs/2106.09685)
    """
    if not isinstance(rank, int) or rank < 1:
        raise ValueError(
            f"`rank` must be an int of at least 1. Received: rank={rank!r}"
        )
    if unknown := sorted({*names} - {*ATTENTION, *FEED_FORWARD}):
        raise ValueError(
            f"`names` must be among {(*ATTENTION, *FEED_FORWARD)}. Received: {unknown}"
        )
    chosen = [
        projection
        for layer in model._flatten_layers()
        if isinstance(layer, ProjectingLayer)
        for projection in layer._flatten_layers(include_self=False, recursive=False)
        if isinstance(projection, keras.layers.Dense) and projection.name in names
    ]
    if not chosen:
        raise ValueError(
            f"`model` must have projections named {tuple(names)} in layers of "
            f"keras_attn, built. Received: {model.name}, which has none"
        )
    for projection in chosen:
        if projection.lora_enabled or projection.kernel_constraint is not None:
            raise ValueError(
                "Projections must have no low-rank update yet and no constraint on "
                f"their kernels, as {projection.path} has"
            )
    for weight in model.weights:
        weight.trainable = False
    for projection in chosen:
        projection.enable_lora(rank, lora_alpha=alpha)
    return chosen
