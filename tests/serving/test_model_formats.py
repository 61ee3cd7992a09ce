"""Models of other makers: what wrote them does not matter to who asks."""

import numpy as np
import pytest
import tensorflow as tf

from keras_attn.serving import Client, InternalError, Server
from keras_attn.serving.server import StatusError
from tests.serving.heads_model import PREDICT

X = np.random.default_rng(0).normal(size=(3, 4)).astype("float32")


def answer(base, inputs, signature_name="serving_default", **flags):
    with Server(base, model_name="m", **flags) as server:
        with Client(server.address, "m", timeout=30) as client:
            return client.predict(inputs, signature_name=signature_name)


def save_tf1(path, tags=("serve",), use_main_op=False):
    v1 = tf.compat.v1
    with tf.Graph().as_default(), v1.Session() as session:
        x = v1.placeholder(tf.float32, [None, 4], name="x")
        kernel = v1.get_variable("kernel", initializer=np.eye(4, dtype="float32"))
        started = v1.get_local_variable("started", initializer=0.0, collections=[])
        build = v1.saved_model.build_tensor_info
        signature = v1.saved_model.build_signature_def(
            {"x": build(x)}, {"y": build(2 * x @ kernel + started)}, PREDICT
        )
        signature.outputs["y"].name = signature.outputs["y"].name.removesuffix(":0")
        session.run(v1.global_variables_initializer())
        builder = v1.saved_model.Builder(str(path))
        start = {
            "main_op" if use_main_op else "legacy_init_op": v1.assign(started, 1.0).op
        }
        builder.add_meta_graph_and_variables(
            session, list(tags), {"serving_default": signature}, **start
        )
        builder.save()


@pytest.mark.parametrize("use_main_op", [False, True])
def test_tensorflow_1(tmp_path, use_main_op):
    save_tf1(tmp_path / "1", use_main_op=use_main_op)
    np.testing.assert_allclose(answer(tmp_path, {"x": X})["y"], 2 * X + 1, rtol=1e-6)


def test_tensorflow_1_with_other_tags(tmp_path):
    save_tf1(tmp_path / "1", tags=("serve", "gpu"))
    given = answer(tmp_path, {"x": X}, saved_model_tags="serve,gpu")
    np.testing.assert_allclose(given["y"], 2 * X + 1, rtol=1e-6)
    with pytest.raises(StatusError, match="MetaGraphDef associated with tags"):
        answer(tmp_path, {"x": X}, max_num_load_retries=0)


def test_tensorflow_2(tmp_path):
    module = tf.Module()
    module.factor = tf.Variable(2.0)
    module.scale = tf.function(
        lambda x: {"y": module.factor * x},
        input_signature=[tf.TensorSpec([None, 4], tf.float32, "x")],
    )
    tf.saved_model.save(module, str(tmp_path / "1"), {"scale": module.scale})
    np.testing.assert_array_equal(answer(tmp_path, {"x": X}, "scale")["y"], 2 * X)


def test_keras_3(tmp_path):
    import keras

    model = keras.Sequential([keras.Input((4,), name="x"), keras.layers.Dense(2)])
    model.export(str(tmp_path / "1"), verbose=False)
    for signature in ("serving_default", "serve"):
        (output,) = answer(tmp_path, {"x": X}, signature).values()
        np.testing.assert_allclose(output, model(X), rtol=1e-5, atol=1e-5)


@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_keras_2(tmp_path):
    tf_keras = pytest.importorskip("tf_keras")
    inputs = tf_keras.Input((4,), name="x")
    states = tf_keras.layers.LSTM(3, name="memory")(
        tf_keras.layers.Reshape((2, 2))(inputs)
    )
    outputs = tf_keras.layers.Dense(2, name="scores")(states)
    model = tf_keras.Model(inputs, outputs)
    model.save(tmp_path / "1", save_format="tf")
    given = answer(tmp_path, {"x": X})
    assert list(given) == ["scores"]
    np.testing.assert_allclose(given["scores"], model(X), rtol=1e-5, atol=1e-5)


@pytest.fixture(scope="module")
def tflite(tmp_path_factory):
    """A SavedModel that doubles, and the same as TFLite."""
    path = tmp_path_factory.mktemp("double")
    module = tf.Module()
    module.double = tf.function(
        lambda x, name: {"double": x @ (2 * tf.eye(4)), "same": tf.identity(name)},
        input_signature=[
            tf.TensorSpec([None, 4], tf.float32, "x"),
            tf.TensorSpec([None], tf.string, "name"),
        ],
    )
    tf.saved_model.save(module, str(path), signatures=module.double)
    return tf.lite.TFLiteConverter.from_saved_model(str(path)).convert()


def write_tflite(base, content):
    (base / "1").mkdir(parents=True)
    (base / "1" / "model.tflite").write_bytes(content)
    return base


def with_signatures(content, signatures):
    """The model with signatures where TF Serving looks for them."""
    import flatbuffers
    from flatbuffers import flexbuffers
    from tensorflow.lite.python import schema_py_generated as schema

    model = schema.ModelT.InitFromObj(schema.Model.GetRootAs(content))
    packer = flexbuffers.Builder()
    with packer.Map():
        for key, signature in signatures.items():
            packer.Key(key)
            packer.String(signature.SerializeToString().decode())
    buffer = schema.BufferT()
    buffer.data = np.frombuffer(packer.Finish(), np.uint8)
    entry = schema.MetadataT()
    entry.name, entry.buffer = "signature_defs_metadata", len(model.buffers)
    model.buffers.append(buffer)
    model.metadata.append(entry)
    builder = flatbuffers.Builder()
    builder.Finish(model.Pack(builder), file_identifier=b"TFL3")
    return bytes(builder.Output())


PREFER = {"prefer_tflite_model": True}
NAMES = [b"a\xff", b"b\x00", b""]


def test_tflite_calls_tensors_by_their_names(tmp_path, tflite):
    write_tflite(tmp_path, tflite)
    with Server(tmp_path, model_name="m", **PREFER) as server:
        with Client(server.address, "m", timeout=30) as client:
            (signature,) = client.metadata().signatures.values()
            assert set(signature.inputs) == {
                "serving_default_x",
                "serving_default_name",
            }
            assert signature.inputs["serving_default_x"].dtype == "float32"
            assert signature.method_name == PREDICT
            for rows in (1, 3, 2, 2):
                given = client.predict(
                    {
                        "serving_default_x": X[:rows],
                        "serving_default_name": NAMES[:rows],
                    }
                )
                assert set(given) == set(signature.outputs)
                np.testing.assert_array_equal(given["PartitionedCall"], 2 * X[:rows])


def signature_of(inputs, outputs):
    from tensorflow.core.protobuf.meta_graph_pb2 import SignatureDef, TensorInfo

    return SignatureDef(
        inputs={alias: TensorInfo(name=n, dtype=t) for alias, (n, t) in inputs.items()},
        outputs={a: TensorInfo(name=n, dtype=t) for a, (n, t) in outputs.items()},
        method_name=PREDICT,
    )


def test_tflite_with_signatures_of_its_own(tmp_path, tflite):
    inputs = {"x": ("serving_default_x:0", 1), "name": ("serving_default_name:0", 7)}
    signatures = {
        "double": signature_of(inputs, {"y": ("PartitionedCall:0", 1)}),
        "same": signature_of(inputs, {"name": ("serving_default_name:0", 7)}),
    }
    write_tflite(tmp_path, with_signatures(tflite, signatures))
    given = {"x": X, "name": NAMES}
    doubled = answer(tmp_path, given, "double", **PREFER)
    np.testing.assert_array_equal(doubled["y"], 2 * X)
    same = answer(tmp_path, given, "same", **PREFER)["name"]
    assert [text.encode() if isinstance(text, str) else text for text in same] == NAMES


def test_tflite_signature_of_an_unknown_tensor(tmp_path, tflite):
    signature = signature_of({"x": ("nowhere:0", 1)}, {"y": ("PartitionedCall:0", 1)})
    write_tflite(tmp_path, with_signatures(tflite, {"double": signature}))
    with pytest.raises(StatusError, match="Unknown tensor 'nowhere:0'"):
        answer(tmp_path, {}, max_num_load_retries=0, **PREFER)


def test_tflite_serves_on_after_a_shape_it_cannot_take(tmp_path, tflite):
    write_tflite(tmp_path, tflite)
    x, name = "serving_default_x", "serving_default_name"
    with Server(tmp_path, model_name="m", **PREFER) as server:
        with Client(server.address, "m", timeout=30) as client:
            with pytest.raises(InternalError, match="Failed to"):
                client.predict({x: np.zeros((3, 5), "float32"), name: NAMES})
            given = client.predict({x: X, name: NAMES})
            np.testing.assert_array_equal(given["PartitionedCall"], 2 * X)


def test_tflite_is_served_only_where_it_is_preferred(tmp_path, tflite):
    save_tf1(tmp_path / "1")
    np.testing.assert_allclose(
        answer(tmp_path, {"x": X}, **PREFER)["y"], 2 * X + 1, rtol=1e-6
    )
    (tmp_path / "1" / "model.tflite").write_bytes(tflite)
    np.testing.assert_allclose(answer(tmp_path, {"x": X})["y"], 2 * X + 1, rtol=1e-6)
    given = {"serving_default_x": X, "serving_default_name": NAMES}
    doubled = answer(tmp_path, given, **PREFER)["PartitionedCall"]
    np.testing.assert_array_equal(doubled, 2 * X)


@pytest.mark.parametrize("content", [b"", b"nonsense" * 9])
def test_a_tflite_file_that_is_none(tmp_path, content):
    write_tflite(tmp_path, content)
    with pytest.raises(StatusError, match="Cannot build FlatBufferModel from buffer"):
        answer(tmp_path, {}, max_num_load_retries=0, **PREFER)
