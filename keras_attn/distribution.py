"""How the weights of our layers are divided among the devices of a mesh."""

import keras

WIDENING = "projection|query|key|value|widen"
NARROWING = "output|narrow"
EMBEDDINGS = r"(.*[_/])?embedding(_\d+)?/embeddings"


def layout_map(
    device_mesh: keras.distribution.DeviceMesh,
    axis: str = "model",
    divide_vocabulary: bool = False,
) -> keras.distribution.LayoutMap:
    """Layouts of attention, feed-forward and embeddings, for `ModelParallel`.

    What a sublayer widens is divided by columns and what it narrows by rows, so that
    the devices exchange what they have computed once a sublayer:

    | weights | divided |
    |---|---|
    | `projection`, `query`, `key`, `value`, `widen` | by units, kernel and bias |
    | `output`, `narrow` | kernel by inputs |
    | embeddings | by width, or by vocabulary |
    | kernel of `logits` | by inputs, or by vocabulary |

    Norms, learned positions and layers of other names are copied to every device; a
    layout of your own is added as `layouts["my_layer/kernel"] = (None, "model")`. The
    results are those of one device. JAX alone divides weights.

    Args:
        device_mesh: The mesh of the devices.
        axis: Name of the mesh's axis along which weights are divided. The number of
            devices on it must divide what is divided.
        divide_vocabulary: Bool. Divides embeddings and logits by the vocabulary, whose
            size must suit, instead of by the width.

    Returns:
        `keras.distribution.LayoutMap`.

    Raises:
        ValueError: If the mesh has no such axis.

    Example:

    ```python
    mesh = keras.distribution.DeviceMesh((2, 4), ["batch", "model"])
    distribution = keras.distribution.ModelParallel(
        layout_map=layout_map(mesh), batch_dim_name="batch"
    )
    with distribution.scope():
        model = keras_attn.Transformer(8000, 8000)
    ```

    Reference:
    - [Shoeybi et al., 2019](https://arxiv.org/abs/1909.08053), section 3
    """
    if axis not in device_mesh.axis_names:
        raise ValueError(
            f"`axis` must be one of the mesh's axes, {device_mesh.axis_names}. "
            f"Received: axis={axis!r}"
        )
    layouts = keras.distribution.LayoutMap(device_mesh)
    layouts[rf"(.*/)?({WIDENING})/kernel"] = (None, axis)
    layouts[rf"(.*/)?({WIDENING})/bias"] = (axis,)
    layouts[rf"(.*/)?({NARROWING})/kernel"] = (axis, None)
    if divide_vocabulary:
        layouts[EMBEDDINGS] = (axis, None)
        layouts["(.*/)?logits/kernel"] = (None, axis)
        layouts["(.*/)?logits/bias"] = (axis,)
    else:
        layouts[EMBEDDINGS] = (None, axis)
        layouts["(.*/)?logits/kernel"] = (axis, None)
    return layouts
