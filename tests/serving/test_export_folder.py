"""What lies in the folder: versions, warm-up requests, the card; or nothing."""

import json
import threading

import keras
import numpy as np
import pytest
import tensorflow as tf
from keras import layers
from tensorflow_serving.apis import prediction_log_pb2

from keras_attn.serving._versions import next_version, publish, staging
from keras_attn.serving.export import export

TEXT_SPEC = {"text": tf.TensorSpec((None,), tf.string)}


@pytest.fixture
def model():
    sizes = keras.Input((4,), name="sizes")
    return keras.Model(sizes, layers.Dense(2, name="species")(sizes))


def warmup_records(version):
    path = version / "assets.extra" / "tf_serving_warmup_requests"
    return [
        prediction_log_pb2.PredictionLog.FromString(record.numpy())
        for record in tf.data.TFRecordDataset(str(path))
    ]


def microseconds():
    return tf.cast(1e6 * tf.timestamp(), tf.int64)


def test_versions_count_on_from_the_highest_integer(tmp_path, model):
    for child in ("00000012", "tmp", "x", "-99", "7", ".export-dead"):
        (tmp_path / "m" / child).mkdir(parents=True)
    assert export(model, tmp_path / "m").name == "13"
    assert export(model, str(tmp_path / "m")).name == "14"


def test_a_version_can_be_read_by_others(tmp_path, model):
    plain = tmp_path / "plain"
    plain.mkdir()
    version = export(model, tmp_path / "m")
    assert version.stat().st_mode == plain.stat().st_mode


def test_a_number_taken_meanwhile_is_left_alone(tmp_path):
    signed = []

    def sign(version):
        if not signed:  # another export is quicker
            (tmp_path / str(version)).mkdir()
            (tmp_path / str(version) / "theirs").touch()
        signed.append(version)

    with staging(tmp_path) as folder:
        (folder / "ours").touch()
        assert publish(folder, sign) == tmp_path / "2"
    assert signed == [1, 2]
    assert sorted(str(p.relative_to(tmp_path)) for p in tmp_path.rglob("*")) == [
        "1",
        "1/theirs",
        "2",
        "2/ours",
    ]


def test_exports_at_once_never_meet(tmp_path):
    start = threading.Barrier(8)

    def write(index):
        with staging(tmp_path / "m") as folder:
            (folder / "who").write_text(str(index))
            start.wait()
            publish(folder, lambda version: None)

    threads = [threading.Thread(target=write, args=[index]) for index in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert next_version(tmp_path / "m") == 9
    versions = list((tmp_path / "m").iterdir())
    assert {(v / "who").read_text() for v in versions} == set("01234567")
    assert {v.name for v in versions} == set("12345678")


@pytest.mark.parametrize("failure", [KeyboardInterrupt, OSError])
def test_staging_leaves_nothing_of_an_interrupted_export(tmp_path, failure):
    with pytest.raises(failure), staging(tmp_path / "deep" / "m") as folder:
        (folder / "variables").mkdir()
        (folder / "variables" / "half").touch()
        raise failure
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("failure", [KeyboardInterrupt, ZeroDivisionError])
def test_a_function_that_fails_leaves_older_versions_alone(tmp_path, model, failure):
    def fail(inputs):
        raise failure

    export(model, tmp_path / "m")
    with pytest.raises(failure):
        export(model, tmp_path / "m", {"serving_default": (fail, TEXT_SPEC)})
    assert {child.name for child in (tmp_path / "m").iterdir()} == {"1", "config"}


@pytest.mark.parametrize(
    ("function", "message"),
    [
        (
            lambda x: {"y": tf.fill(tf.shape(x["text"]), microseconds())},
            "'y' of signature 'serving_default', asked with 1 rows, differs",
        ),
        (
            lambda x: {"y": tf.strings.unicode_decode(x["text"], "UTF-8").flat_values},
            "must have the batch as its first dimension",
        ),
        (
            lambda x: {"y": tf.strings.to_number(x["text"])},
            r"fails on its example of 1 rows.*pass rows in `examples\['serving_default",
        ),
    ],
    ids=["clock", "no batch", "example"],
)
def test_a_version_that_does_not_answer_is_not_published(
    tmp_path, model, function, message
):
    with pytest.raises(RuntimeError, match=message):
        export(model, tmp_path / "m", {"serving_default": (function, TEXT_SPEC)})
    assert list(tmp_path.iterdir()) == []


def test_warmup_has_a_record_for_each_signature_and_batch_size(tmp_path, model):
    numbers = tf.strings.to_number
    tokens_spec = {
        "tokens": tf.TensorSpec((None, None), tf.int32),
        "lengths": tf.TensorSpec((None,), tf.int32),
    }
    version = export(
        model,
        tmp_path / "shop",
        {
            "serving_default": (lambda x: {"number": numbers(x["text"])}, TEXT_SPEC),
            "tokens": (
                lambda x: {"mean": x["tokens"][:, 0] // x["lengths"]},
                tokens_spec,
            ),
        },
        examples={"serving_default": {"text": ["1", "2", "3"]}},
        allowed_batch_sizes=(2, 5),
    )
    loaded = tf.saved_model.load(version)
    requests = [record.predict_log.request for record in warmup_records(version)]
    assert {request.model_spec.name for request in requests} == {"shop"}
    inputs = [
        {name: tf.make_ndarray(proto) for name, proto in request.inputs.items()}
        for request in requests
    ]
    assert inputs[0]["text"].tolist() == [b"1", b"2"]
    assert inputs[1]["text"].tolist() == [b"1", b"2", b"3", b"1", b"2"]
    assert inputs[3]["tokens"].tolist() == [[0]] * 5
    assert inputs[3]["lengths"].tolist() == [1] * 5
    for request, tensors, size in zip(requests, inputs, (2, 5, 2, 5), strict=True):
        signature = loaded.signatures[request.model_spec.signature_name]
        outputs = signature(**{k: tf.constant(v) for k, v in tensors.items()})
        assert all(len(output) == size for output in outputs.values())


def test_the_card_says_what_was_written(tmp_path, model):
    said = {
        "description": "Which iris is it?",
        "metrics": {"accuracy": np.float32(0.5)},
        "limits": ["Europe", "spring"],
    }
    export(model, tmp_path / "iris", card=said)
    extra = export(model, tmp_path / "iris", card=said) / "assets.extra"
    card = json.loads((extra / "model_card.json").read_text())
    assert (card["name"], card["version"]) == ("iris", 2)
    assert card["card"] == {**said, "metrics": {"accuracy": 0.5}}
    assert card["parameters"] == 4 * 2 + 2
    assert card["signatures"] == {
        "serving_default": {
            "inputs": {"sizes": {"dtype": "float32", "shape": [None, 4]}},
            "outputs": {"species": {"dtype": "float32", "shape": [None, 2]}},
            "xla": False,
        }
    }
    assert card["allowed_batch_sizes"] == [1, 2, 4, 8]
    assert card["versions"]["tensorflow"] == tf.__version__
    assert card["versions"]["keras"] == keras.__version__
    assert card["ops"] == (extra / "ops.txt").read_text().split()
    assert {"MatMul", "RestoreV2"} <= set(card["ops"])
    text = (extra / "model_card.md").read_text()
    assert text.startswith("# iris, version 2\n\n## Description\n\nWhich iris is it?\n")
    assert "- accuracy: 0.5\n" in text
    assert "| in | `sizes` | float32 | (any, 4) |" in text
