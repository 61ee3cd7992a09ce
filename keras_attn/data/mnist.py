"""MNIST: handwritten digits of 28 x 28 pixels."""

import gzip
import math
from collections.abc import Mapping
from pathlib import Path

import numpy as np

from keras_attn.data.fetch import fetch

ADDRESS = "https://storage.googleapis.com/cvdf-datasets/mnist/"

# SHA-256 of the uncompressed content: gzip files of equal content may differ.
MANIFEST = {
    "train-images-idx3-ubyte.gz": (
        "ba891046e6505d7aadcbbe25680a0738ad16aec93bde7f9b65e87a2fc25776db"
    ),
    "train-labels-idx1-ubyte.gz": (
        "65a50cbbf4e906d70832878ad85ccda5333a97f0f4c3dd2ef09a8a9eef7101c5"
    ),
    "t10k-images-idx3-ubyte.gz": (
        "0fa7898d509279e482958e8ce81c8e77db3f2f8254e26661ceb7762c4d494ce7"
    ),
    "t10k-labels-idx1-ubyte.gz": (
        "ff7bcfd416de33731a308c3f266cc351222c34898ecbeaf847f06e48f7ec33f2"
    ),
}
PREFIXES = {"train": "train", "test": "t10k"}
BYTES = 0x08  # what an idx file calls the type of its entries


def load(
    split: str, manifest: Mapping[str, str] = MANIFEST
) -> tuple[np.ndarray, np.ndarray]:
    """Loads the digits of one split, in the order of the files.

    The digits are under CC BY-SA 3.0, by Yann LeCun and Corinna Cortes.

    Args:
        split: `"train"` (60,000 digits) or `"test"` (10,000).
        manifest: Mapping of file names to the SHA-256 of their uncompressed
            content. The default is that of the public files.

    Returns:
        Images, uint8 `(digits, 28, 28, 1)`, 0 is the background, and labels, int32
        `(digits,)`.

    Raises:
        ValueError: If there is no such split, or a file is no idx file of bytes.
        FetchError: If a file cannot be had or is not the expected one.

    Example:

    ```python
    images, labels = mnist.load("train")
    ```

    Reference:

    - [LeCun et al., 1998](https://doi.org/10.1109/5.726791)
    """
    if split not in PREFIXES:
        raise ValueError(
            f"`split` must be one of {tuple(PREFIXES)}. Received: split={split!r}"
        )
    arrays = []
    for kind, axes in (("images", 3), ("labels", 1)):
        name = f"{PREFIXES[split]}-{kind}-idx{axes}-ubyte.gz"
        path = fetch(f"mnist/{name}", ADDRESS + name, manifest[name], uncompressed=True)
        arrays.append(_read(path, axes))
    images, labels = arrays
    if len(images) != len(labels):
        raise ValueError(
            f"There must be a label for each image. Received: {len(images)} images, "
            f"{len(labels)} labels"
        )
    return images[..., None], labels.astype("int32")


def _read(path: Path, axes: int) -> np.ndarray:
    """Reads an idx file: type and number of axes, lengths of the axes, entries."""
    with gzip.open(path) as file:
        content = file.read()
    head = 4 + 4 * axes
    begins_right = content[:4] == bytes([0, 0, BYTES, axes]) and len(content) >= head
    shape = np.frombuffer(content, ">u4", axes, 4).tolist() if begins_right else ()
    if not begins_right or len(content) != head + math.prod(shape):
        raise ValueError(f"`{path}` must be an idx file of bytes with {axes} axes.")
    return np.frombuffer(content, np.uint8, offset=head).reshape(shape)
