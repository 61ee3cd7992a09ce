"""Export: from a Keras model to a version that a server picks up."""

import os
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import keras

from keras_attn.serving._versions import publish, staging


def export(
    model: keras.Model,
    path: str | os.PathLike[str],
    signatures: Mapping[str, tuple[Callable, Mapping[str, Any]]] | None = None,
    *,
    examples: Mapping[str, Mapping[str, Any]] | None = None,
    allowed_batch_sizes: Sequence[int] = (1, 2, 4, 8),
    card: Mapping[str, Any] | None = None,
) -> Path:
    """Writes `model` as the next version of the served model at `path`.

    The version is a SavedModel that TensorFlow Serving and `keras-attn serve` load as
    it is. It is built in a folder that no server looks at, loaded back, compared with
    the live model on example requests, and only then renamed to its number; a failed
    or interrupted export leaves nothing behind. What a server is told beside the
    model goes with it: batch sizes into the version, and with the first version a
    `config` folder that holds the files for its flags.

    What is served: `signatures` where given, else those of the model's own
    `serving_signatures()`, else its forward pass as `serving_default`, with training
    behaviour off, the batch dimension free, inputs and outputs under the names of the
    `Input`s and output layers, and 16-bit floats as `float32`. Inputs and outputs
    that the user has not named are `inputs` and `outputs`, with `_0`, `_1`, ... where
    there are several. `serving_default` holds no XLA compilation, which servers
    refuse by default; another signature may.

    Args:
        model: Keras model that has been built.
        path: Folder of the model, whose last part is the model's name. Versions are
            its children `1`, `2`, ...; it is made if need be.
        signatures: Optional dict `{name: (function, inputs)}` with
            `function(dict of tensors) -> dict of tensors` and
            `inputs = {name: tf.TensorSpec}`, the batch dimension first and `None`.
            `serving_default` must be among them. Tables and tokenizers travel when
            the function is a `tf.Module` or layer that holds them.
        examples: Optional dict `{signature: {input: rows}}` of real requests. Without
            one, a signature is checked and warmed up with zeros and empty strings.
        allowed_batch_sizes: Increasing ints. Every signature without XLA gets a
            warm-up request of each size, and a server that batches is told to keep to
            them.
        card: Optional dict for the model card, such as `description`, `data`,
            `licence`, `metrics` and `limits`: text, numbers, lists and dicts.

    Returns:
        `pathlib.Path` of the version's folder.

    Raises:
        ValueError: If an argument cannot be served; the message names it.
        RuntimeError: If the backend is not TensorFlow, or if the written SavedModel
            fails or answers differently from the live model.
        ImportError: If an optional package is missing.

    Example:

    ```python
    sizes = keras.Input((4,), name="sizes")
    model = keras.Model(sizes, keras.layers.Dense(3, name="species")(sizes))
    export(model, "saved_models/iris", card={"description": "Which iris is it?"})
    # -> saved_models/iris/1
    ```

    Reference:
    - [SavedModel warm-up](https://www.tensorflow.org/tfx/serving/saved_model_warmup)
    """
    _check_backend()
    _check_model(model)
    folder = _model_folder(path)
    batch_sizes = _batch_sizes(allowed_batch_sizes)

    # TensorFlow is imported only here, so that the checks above need no TensorFlow.
    from keras_attn.serving import _archive, _model_card, _saved_model
    from keras_attn.serving._examples import examples_for
    from keras_attn.serving._model_signature import model_signature
    from keras_attn.serving._operator_files import (
        BATCHING_FILE,
        batching_parameters,
        write_config,
    )
    from keras_attn.serving._signatures import DEFAULT, checked_signatures
    from keras_attn.serving._verification import verify
    from keras_attn.serving._warmup import MOST_RECORDS, write_warmup

    said = _model_card.checked_card(card)
    if signatures is None and hasattr(model, "serving_signatures"):
        signatures = model.serving_signatures()
    served = (
        model_signature(model) if signatures is None else checked_signatures(signatures)
    )
    rows = examples_for(served, examples)
    if len(served) * len(batch_sizes) > MOST_RECORDS:
        raise ValueError(
            f"`allowed_batch_sizes` times {len(served)} signatures must be at most "
            f"{MOST_RECORDS} warm-up requests. Received: {len(batch_sizes)} sizes"
        )

    archive, functions = _archive.trace(model, served)
    with staging(folder) as staged:
        _archive.write(archive, staged)
        meta_graph = _saved_model.read_meta_graph(staged)
        compiled = {name for name in rows if _saved_model.compiles(meta_graph, name)}
        if DEFAULT in compiled:
            raise ValueError(
                f"Signature {DEFAULT!r} must not be compiled by XLA, which servers "
                "refuse by default. Take `jit_compile=True` out of its function, or "
                "offer the compiled function as a second signature."
            )
        # Two sizes, so that a batch size frozen into the graph shows.
        verify(staged, functions, rows, (*batch_sizes, batch_sizes[0] + 1)[:2])
        extra = staged / "assets.extra"
        extra.mkdir()
        # One that is refused, as servers refuse XLA, would keep the version out.
        warmed = {name: rows[name] for name in rows if name not in compiled}
        write_warmup(extra, folder.name, warmed, batch_sizes)
        (staged / BATCHING_FILE).write_text(batching_parameters(served, batch_sizes))
        facts = _model_card.gather_facts(staged, model, said, list(rows), batch_sizes)
        (extra / "ops.txt").write_text("\n".join(facts["ops"]) + "\n")
        published = publish(
            staged, lambda version: _model_card.write_card(extra, facts, version)
        )
    write_config(folder)
    return published


def _check_backend() -> None:
    if keras.backend.backend() != "tensorflow":
        raise RuntimeError(
            "Models are exported from the TensorFlow backend. Received: "
            f"backend={keras.backend.backend()}. Save the model with "
            "`model.save('model.keras')`, start a process with "
            "KERAS_BACKEND=tensorflow, load the file and export it there."
        )


def _check_model(model: Any) -> None:
    if not isinstance(model, keras.Model):
        raise ValueError(
            f"`model` must be a keras.Model. Received: {type(model).__name__}"
        )
    if not model.built:
        raise ValueError(
            f"`model` must be built before it is exported. Received: {model.name!r}, "
            "never built. Call it once on data, or fit it."
        )


def _model_folder(path: str | os.PathLike[str]) -> Path:
    """The absolute folder, whose name and parents are fit for versions."""
    if "://" in os.fspath(path):
        raise ValueError(f"`path` must be a local folder. Received: path={path}")
    folder = Path(os.path.abspath(path))
    if folder.name.isdecimal():
        raise ValueError(
            "`path` must be the model's folder; the version inside it is chosen by "
            f"the export. Received: path={path}, which ends in a version"
        )
    for part in (folder, *folder.parents):
        if part.exists() and not part.is_dir():
            raise ValueError(
                f"`path` must be a folder. Received: path={path}, but {part} is a file"
            )
    return folder


def _batch_sizes(sizes: Sequence[int]) -> tuple[int, ...]:
    checked = tuple(sizes)
    whole = all(isinstance(size, int) and size >= 1 for size in checked)
    if not checked or not whole or list(checked) != sorted(set(checked)):
        raise ValueError(
            "`allowed_batch_sizes` must be increasing positive ints. "
            f"Received: allowed_batch_sizes={sizes}"
        )
    return checked
