"""Classify, Regress and MultiInference as any server of this API answers them.

Also run against TF Serving's own binary if `TENSORFLOW_MODEL_SERVER` names it. The
requests are made with the official messages and stubs.
"""

import grpc
import numpy as np
import pytest
import tensorflow as tf
from tensorflow_serving.apis import (
    classification_pb2,
    inference_pb2,
    predict_pb2,
    prediction_service_pb2_grpc,
    regression_pb2,
)

from tests.serving.heads_model import CLASSIFY, PREDICT, REGRESS

INVALID = grpc.StatusCode.INVALID_ARGUMENT
NOT_FOUND = grpc.StatusCode.NOT_FOUND
PRECONDITION = grpc.StatusCode.FAILED_PRECONDITION
UNIMPLEMENTED = grpc.StatusCode.UNIMPLEMENTED

ROWS = [[1.0, 0.0], [0.0, 1.0], [2.0, 4.0]]
SCORES = np.float32(ROWS) @ np.float32([[1.0, -1.0], [0.5, 2.0]])


@pytest.fixture
def prediction(channel):
    return prediction_service_pb2_grpc.PredictionServiceStub(channel)


def example(**features):
    built = tf.train.Example()
    for name, values in features.items():
        built.features.feature[name].float_list.value.extend(values)
    return built


def fill_examples(request, rows=ROWS):
    request.input.example_list.examples.extend(example(x=row) for row in rows)
    return request


def asking(request, signature="", name="heads"):
    request.model_spec.name = name
    request.model_spec.signature_name = signature
    return request


def classification(signature="", rows=ROWS, name="heads"):
    request = classification_pb2.ClassificationRequest()
    return asking(fill_examples(request, rows), signature, name)


def regression(signature="regress", rows=ROWS, name="heads"):
    return asking(
        fill_examples(regression_pb2.RegressionRequest(), rows), signature, name
    )


def multi_inference(*tasks, rows=ROWS):
    """Tasks are `(signature, method name)` or `(signature, method name, model)`."""
    request = fill_examples(inference_pb2.MultiInferenceRequest(), rows)
    for signature, method_name, *name in tasks:
        asking(request.tasks.add(method_name=method_name), signature, *name)
    return request


def failure(method, request):
    with pytest.raises(grpc.RpcError) as caught:
        method(request, timeout=30)
    return caught.value.code(), caught.value.details()


def classes_of(result):
    return [
        [(found.label, found.score) for found in row.classes]
        for row in result.classifications
    ]


def test_classify_names_labels_and_scores(prediction):
    response = prediction.Classify(classification(), timeout=30)
    expected = [
        [("high" if i else "low", row[i]) for i in np.argsort(-row, kind="stable")]
        for row in SCORES
    ]
    assert classes_of(response.result) == expected
    spec = response.model_spec
    assert (spec.name, spec.version.value) == ("heads", 5)
    assert spec.signature_name == "serving_default"


@pytest.mark.parametrize(
    ("signature", "expected"),
    [
        ("classes", [[("low", 0), ("high", 0)]]),
        ("scores", [[("", 1.0), ("", -1.0)]]),
    ],
)
def test_classify_with_one_output(prediction, signature, expected):
    response = prediction.Classify(classification(signature, ROWS[:1]), timeout=30)
    assert classes_of(response.result) == expected
    assert response.model_spec.signature_name == signature


@pytest.mark.parametrize("signature", ["regress", "regress_column"])
def test_regress_gives_a_value_for_each_example(prediction, signature):
    response = prediction.Regress(regression(signature), timeout=30)
    values = [one.value for one in response.result.regressions]
    np.testing.assert_allclose(values, SCORES.sum(axis=1), rtol=1e-6)
    spec = response.model_spec
    assert (spec.name, spec.version.value) == ("heads", 5)
    assert spec.signature_name == signature


def test_context_is_part_of_each_example_that_does_not_override_it(prediction):
    request = asking(regression_pb2.RegressionRequest(), "regress")
    given = request.input.example_list_with_context
    given.context.CopyFrom(example(x=[9.0, 9.0], bias=[10.0]))
    given.examples.extend([example(x=[1.0, 0.0]), example(x=[1.0, 0.0], bias=[1.0])])
    given.examples.append(example())
    response = prediction.Regress(request, timeout=30)
    values = [one.value for one in response.result.regressions]
    assert values == [20.0, 2.0, 9 * 2.5 + 20]


def test_multi_inference_answers_in_the_order_of_its_tasks(prediction):
    request = multi_inference(
        ("regress", REGRESS), ("", CLASSIFY), ("classes", CLASSIFY)
    )
    regressed, both, labels = prediction.MultiInference(request, timeout=30).results
    values = [one.value for one in regressed.regression_result.regressions]
    np.testing.assert_allclose(values, SCORES.sum(axis=1), rtol=1e-6)
    alone = prediction.Classify(classification(), timeout=30)
    assert both.classification_result == alone.result
    assert classes_of(labels.classification_result)[1] == [("high", 0), ("low", 0)]
    specs = [answer.model_spec for answer in (regressed, both, labels)]
    assert [spec.signature_name for spec in specs] == [
        "regress",
        "serving_default",
        "classes",
    ]
    assert {(spec.name, spec.version.value) for spec in specs} == {("heads", 5)}


def test_a_signature_of_another_method_answers_where_its_names_fit(prediction):
    """`--enable_signature_method_name_check` is off."""
    request = predict_pb2.PredictRequest()
    asking(request, "regress").inputs["inputs"].CopyFrom(
        tf.make_tensor_proto([example(x=row).SerializeToString() for row in ROWS])
    )
    response = prediction.Predict(request, timeout=30)
    np.testing.assert_allclose(
        tf.make_ndarray(response.outputs["outputs"]), SCORES.sum(axis=1), rtol=1e-6
    )


def predict_with_default(**inputs):
    request = asking(predict_pb2.PredictRequest(), "with_default")
    for alias, value in inputs.items():
        request.inputs[alias].CopyFrom(tf.make_tensor_proto(np.float32(value)))
    return request


@pytest.mark.parametrize(
    ("inputs", "expected"),
    [({"a": [1.0, 2.0]}, [3.0, 6.0]), ({"a": [1.0, 2.0], "b": 5.0}, [5.0, 10.0])],
)
def test_an_input_with_a_default_may_be_left_out(prediction, inputs, expected):
    response = prediction.Predict(predict_with_default(**inputs), timeout=30)
    assert tf.make_ndarray(response.outputs["product"]).tolist() == expected


def test_errors_of_signatures_with_defaults(prediction):
    assert failure(prediction.Predict, predict_with_default(b=1)) == (
        INVALID,
        "Signature input alias: a(feed name: a:0) not found in request and no default "
        "value provided. Inputs expected to be in the request {b}, or default input "
        "alias set: b",
    )
    assert failure(prediction.Predict, predict_with_default(a=[1], z=1)) == (
        INVALID,
        "Inputs contains invalid name. Used request inputs: a, request input: a,z",
    )
    assert failure(prediction.Predict, predict_with_default(a=[1], b=1, z=1)) == (
        INVALID,
        "input size does not match signature: 3!=2 len({a,b,z}) != len({a,b}). "
        "Sent extra: {z}. Missing but required: {}.",
    )


def with_version(request, number):
    request.model_spec.version.value = number
    return request


def with_label(request, label):
    request.model_spec.version_label = label
    return request


def without_spec(request):
    request.ClearField("model_spec")
    return request


# What both methods answer before they look at the signature.
COMMON_ERRORS = {
    "no spec": (without_spec, INVALID, "Missing ModelSpec"),
    "no name": (
        lambda request: asking(request, name=""),
        INVALID,
        "ModelSpec has no name specified.",
    ),
    "unknown model": (
        lambda request: asking(request, name="foo"),
        NOT_FOUND,
        "Servable not found for request: Latest(foo)",
    ),
    "unknown version": (
        lambda request: with_version(request, 7),
        NOT_FOUND,
        "Servable not found for request: Specific(heads, 7)",
    ),
    "unknown label": (
        lambda request: with_label(request, "x"),
        INVALID,
        "Unrecognized servable version label: x",
    ),
    "unknown signature": (
        lambda request: asking(request, "x"),
        INVALID,
        "No signature was found with the name: x",
    ),
    "model before signature": (
        lambda request: asking(request, "x", name="foo"),
        NOT_FOUND,
        "Servable not found for request: Latest(foo)",
    ),
}


@pytest.mark.parametrize("case", COMMON_ERRORS)
@pytest.mark.parametrize(
    ("method", "make"), [("Classify", classification), ("Regress", regression)]
)
def test_error_before_the_signature(prediction, method, make, case):
    change, code, text = COMMON_ERRORS[case]
    request = change(make(rows=[]))  # the examples come last
    assert failure(getattr(prediction, method), request) == (code, text)


CLASSIFY_ERRORS = {
    "two_inputs": "Expected one input Tensor.",
    "three_outputs": "Expected one or two output Tensors, found 3",
    "input_x": "No classification inputs found in SignatureDef: ...",
    "output_y": "Expected classification signature outputs to contain at least one of "
    '"classes" or "scores". Signature was: ...',
    "regress": "Expected classification signature outputs to contain at least one of "
    '"classes" or "scores". Signature was: ...',
    "flat_classes": "Expected Tensor shape: [batch_size num_classes] but got [3]",
    "integer_classes": "Expected classes Tensor of DT_STRING. Got: DT_INT32",
    "one_row_of_classes": "Expected classes output batch size of 3. Got: 1",
    "flat_scores": "Expected Tensor shape: [batch_size num_classes] but got [3]",
    "double_scores": "Expected scores Tensor of DT_FLOAT. Got: DT_DOUBLE",
    "one_row_of_scores": "Expected scores output batch size of 3. Got: 1",
    "unequal": "Tensors class and score should match in dim_size(1). Got 2 vs. 1",
}

REGRESS_ERRORS = {
    "two_inputs": "Expected one input Tensor.",
    "": "Expected one output Tensor.",
    "regress_two_outputs": "Expected one output Tensor.",
    "regress_input_x": "No regression inputs found in SignatureDef: ...",
    "regress_output_y": "No regression outputs found in SignatureDef: ...",
    "classes": "No regression outputs found in SignatureDef: ...",
    "regress_matrix": "Expected output Tensor shape to be either [batch_size] or "
    "[batch_size, 1] but got [3,2]",
    "regress_one_row": "Input batch size did not match output batch size: 3 vs. 1",
    "regress_double": "Expected output Tensor of DT_FLOAT.  Got: DT_DOUBLE",
}


def assert_text(given, expected):
    if expected.endswith("..."):
        assert given.startswith(expected.removesuffix("..."))
    else:
        assert given == expected


@pytest.mark.parametrize("signature", CLASSIFY_ERRORS)
def test_classify_error(prediction, signature):
    code, text = failure(prediction.Classify, classification(signature))
    assert code == INVALID
    assert_text(text, CLASSIFY_ERRORS[signature])


@pytest.mark.parametrize("signature", REGRESS_ERRORS)
def test_regress_error(prediction, signature):
    code, text = failure(prediction.Regress, regression(signature))
    assert code == INVALID
    assert_text(text, REGRESS_ERRORS[signature])


def empty_context():
    request = asking(classification_pb2.ClassificationRequest())
    request.input.example_list_with_context.context.CopyFrom(example(x=[1, 2]))
    return request


@pytest.mark.parametrize(
    "request_",
    [
        classification(rows=[]),
        asking(classification_pb2.ClassificationRequest()),
        empty_context(),
    ],
    ids=["no example", "no input", "context alone"],
)
def test_empty_input(prediction, request_):
    assert failure(prediction.Classify, request_) == (INVALID, "Input is empty.")


def test_signature_before_input(prediction):
    code, text = failure(prediction.Classify, classification("input_x", rows=[]))
    assert code == INVALID
    assert text.startswith("No classification inputs found")


def test_an_example_without_its_feature(prediction):
    request = classification(rows=[])
    request.input.example_list.examples.append(example(bias=[1.0]))
    code, text = failure(prediction.Classify, request)
    assert code == INVALID
    assert "Feature: x (data type: float) is required but could not be found" in text


MULTI_ERRORS = {
    "no task": (multi_inference(), INVALID, "ModelSpec has no name specified."),
    "no name": (
        multi_inference(("", CLASSIFY, "")),
        INVALID,
        "ModelSpec has no name specified.",
    ),
    "unknown model": (
        multi_inference(("", CLASSIFY, "foo")),
        NOT_FOUND,
        "Servable not found for request: Latest(foo)",
    ),
    "second without a name": (
        multi_inference(("", CLASSIFY), ("regress", REGRESS, "")),
        INVALID,
        "Found ModelSpec with an empty model name.",
    ),
    "another model": (
        multi_inference(("", CLASSIFY), ("regress", REGRESS, "toolbox")),
        INVALID,
        "All ModelSpecs in a MultiInferenceRequest must access the same model name.",
    ),
    "signature twice": (
        multi_inference(("", CLASSIFY), ("serving_default", CLASSIFY)),
        INVALID,
        "Duplicate evaluation of signature: serving_default",
    ),
    "unknown signature": (
        multi_inference(("x", CLASSIFY)),
        INVALID,
        "Requested signature not found in model graph: x",
    ),
    "method of another API": (
        multi_inference(("predict", PREDICT)),
        UNIMPLEMENTED,
        f"Unsupported signature method_name: {PREDICT}",
    ),
    "no method": (
        multi_inference(("regress", "")),
        UNIMPLEMENTED,
        "Unsupported signature method_name: ",
    ),
    "unfit signature": (
        multi_inference(("two_inputs", CLASSIFY)),
        INVALID,
        "Expected one input Tensor.",
    ),
    "another input": (
        multi_inference(("", CLASSIFY), ("other_input", CLASSIFY)),
        INVALID,
        "Input tensor must be the same for all Signatures.",
    ),
    "no example": (
        multi_inference(("", CLASSIFY), rows=[]),
        INVALID,
        "Input is empty.",
    ),
    "unfit output": (
        multi_inference(("", CLASSIFY), ("regress_matrix", REGRESS)),
        INVALID,
        "Expected output Tensor shape to be either [batch_size] or [batch_size, 1] "
        "but got [3,2]",
    ),
    # The order of checks.
    "name before signature": (
        multi_inference(("", CLASSIFY), ("x", REGRESS, "toolbox")),
        INVALID,
        "All ModelSpecs in a MultiInferenceRequest must access the same model name.",
    ),
    "signature before method": (
        multi_inference(("x", PREDICT)),
        INVALID,
        "Requested signature not found in model graph: x",
    ),
    "first task before second": (
        multi_inference(("two_inputs", CLASSIFY), ("x", CLASSIFY)),
        INVALID,
        "Expected one input Tensor.",
    ),
    "method before input": (
        multi_inference(("", PREDICT), rows=[]),
        UNIMPLEMENTED,
        f"Unsupported signature method_name: {PREDICT}",
    ),
}


@pytest.mark.parametrize("case", MULTI_ERRORS)
def test_multi_inference_error(prediction, case):
    request, code, text = MULTI_ERRORS[case]
    assert failure(prediction.MultiInference, request) == (code, text)


def test_a_signature_that_names_what_the_graph_lacks(prediction):
    request = asking(predict_pb2.PredictRequest(), "missing_node")
    request.inputs["inputs"].CopyFrom(tf.make_tensor_proto([b""]))
    code, text = failure(prediction.Predict, request)
    assert (code, text) == (
        NOT_FOUND,
        "FetchOutputs node no_such_node:0: not found",
    )


def test_the_init_op_is_no_signature_to_ask(prediction):
    request = asking(predict_pb2.PredictRequest(), "__saved_model_init_op", "toolbox")
    code, text = failure(prediction.Predict, request)
    assert code == INVALID
    assert text.startswith("Tried to fetch data for 'NoOp', which produces no output.")
