"""What an export tells servers beside the model: batches, names, figures."""

import keras
import numpy as np
import pytest
import tensorflow as tf
from google.protobuf import text_format
from keras import layers
from tensorflow_serving.apis import prediction_log_pb2
from tensorflow_serving.config.model_server_config_pb2 import ModelServerConfig

from keras_attn.serving import Client, Server
from keras_attn.serving.export import export
from keras_attn.serving.server import textproto

TEXT = {"text": tf.TensorSpec((None,), tf.string)}
TOKENS = {"tokens": tf.TensorSpec((None, None), tf.int32)}
WITH_LENGTHS = TOKENS | {"lengths": tf.TensorSpec((None,), tf.int32)}
ROWS = np.ones((3, 4), "float32")


@pytest.fixture(scope="module")
def model():
    sizes = keras.Input((4,), name="sizes")
    return keras.Model(sizes, layers.Dense(2, name="species")(sizes))


@pytest.fixture(scope="module")
def iris(tmp_path_factory, model):
    """The folder of a model with two versions, of different batch sizes."""
    folder = tmp_path_factory.mktemp("saved models") / 'iris "é"'
    export(model, folder)
    export(model, folder, allowed_batch_sizes=(1, 3))
    return folder


def batching(version):
    path = version / "batching_params.pbtxt"
    return textproto.parse(path.read_text(), textproto.BATCHING_PARAMETERS)


@pytest.mark.parametrize(("version", "sizes"), [("1", [1, 2, 4, 8]), ("2", [1, 3])])
def test_batches_are_those_that_were_warmed_up(iris, version, sizes):
    parameters = batching(iris / version)
    assert list(parameters.allowed_batch_sizes) == sizes
    assert parameters.max_batch_size.value == sizes[-1]
    assert not parameters.pad_variable_length_inputs
    file = iris / version / "assets.extra" / "tf_serving_warmup_requests"
    records = [
        prediction_log_pb2.PredictionLog.FromString(record.numpy())
        for record in tf.data.TFRecordDataset(str(file))
    ]
    inputs = [record.predict_log.request.inputs["sizes"] for record in records]
    assert [tensor.tensor_shape.dim[0].size for tensor in inputs] == sizes


@pytest.mark.parametrize(
    ("others", "pads", "warned"),
    [
        ({}, False, None),
        ({"tokens": WITH_LENGTHS}, True, None),
        ({"tokens": TOKENS}, False, "# tokens. Requests of different lengths fail"),
        (
            {"tokens": WITH_LENGTHS, "score": TOKENS},
            False,
            "# score. Requests of different lengths fail",
        ),
    ],
)
def test_lengths_decide_on_padding(tmp_path, model, others, pads, warned):
    def first(inputs):
        values = inputs.get("text", inputs.get("tokens"))
        return {"first": tf.reshape(values, (tf.shape(values)[0], -1))[:, 0]}

    signatures = {
        name: (first, specs)
        for name, specs in {"serving_default": TEXT, **others}.items()
    }
    version = export(model, tmp_path / "m", signatures, allowed_batch_sizes=[2])
    assert batching(version).pad_variable_length_inputs is pads
    text = (version / "batching_params.pbtxt").read_text()
    assert ("Without an input `lengths`" in text) == (warned is not None)
    assert warned is None or warned in text


def test_the_models_config_names_the_folder(iris):
    text = (iris / "config" / "models.config").read_text()
    (model,) = text_format.Parse(text, ModelServerConfig()).model_config_list.config
    assert (model.name, model.base_path) == ('iris "é"', str(iris))
    assert model.model_platform == "tensorflow"
    assert model.model_version_policy.latest.num_versions == 1


def test_figures_are_at_the_usual_path(iris):
    text = (iris / "config" / "monitoring.config").read_text()
    config = textproto.parse(text, textproto.MONITORING_CONFIG).prometheus_config
    assert (config.enable, config.path) == (True, "/monitoring/prometheus/metrics")


def test_a_server_takes_all_of_it(iris):
    flags = {
        "model_config_file": str(iris / "config" / "models.config"),
        "monitoring_config_file": str(iris / "config" / "monitoring.config"),
        "enable_batching": True,
        "enable_per_model_batching_parameters": True,
    }
    with Server(**flags) as server, Client(server.address, 'iris "é"') as client:
        assert client.wait_until_available() == 2
        assert client.predict({"sizes": ROWS})["species"].shape == (3, 2)


def test_a_config_that_an_operator_changed_stays(tmp_path, model):
    export(model, tmp_path / "m", allowed_batch_sizes=[1])
    config = tmp_path / "m" / "config"
    pinned = "model_config_list {}  # pinned by hand"
    (config / "models.config").write_text(pinned)
    (config / "monitoring.config").unlink()
    export(model, tmp_path / "m", allowed_batch_sizes=[1])
    assert (config / "models.config").read_text() == pinned
    written = {path.name for path in config.iterdir()}
    assert written == {"models.config", "monitoring.config"}


def test_a_version_with_a_compiled_signature_loads_where_xla_is_refused(
    tmp_path, model
):
    specs = {"sizes": tf.TensorSpec((None, 4), tf.float32)}
    compiled = tf.function(model, jit_compile=True, autograph=False)
    signatures = {
        "serving_default": (lambda x: {"species": model(x["sizes"])}, specs),
        "compiled": (lambda x: {"species": compiled(x["sizes"])}, specs),
    }
    export(model, tmp_path / "m", signatures, allowed_batch_sizes=[1])
    with Server(tmp_path / "m", max_num_load_retries=0) as server:
        with Client(server.address, "m") as client:
            assert client.predict({"sizes": ROWS})["species"].shape == (3, 2)
