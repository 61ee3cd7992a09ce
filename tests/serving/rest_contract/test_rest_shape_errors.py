"""Predict requests whose values make no tensors, or tensors that make no rows."""

import pytest

from tests.serving.rest_calls import predict
from tests.serving.rest_contract.refusals import NAMED, ROW, assert_refused, failed

ERRORS = {
    "ragged rows": failed(
        400,
        ROW.format(1) + "Expecting tensor size: 2 but got: 1",
        signature_name="echo",
        instances=[[1, 2], [3]],
    ),
    "rows of other shapes": failed(
        400,
        ROW.format(1) + "Expecting shape [2,1] but got: [1,2]",
        signature_name="echo",
        instances=[[[1], [2]], [[3, 4]]],
    ),
    "ragged column": failed(
        400,
        "Encountered list at unexpected size: 1 at level: 1 expected size: 2",
        signature_name="echo",
        inputs=[[1, 2], [3]],
    ),
    "list too deep": failed(
        400,
        "Encountered list at unexpected level: 1 expected < 1",
        signature_name="echo",
        inputs=[1, [2]],
    ),
    "value too high": failed(
        400,
        "JSON Value: 2 found at incorrect level: 2 in the JSON DOM. "
        "Expected at level: 2",
        signature_name="echo",
        inputs=[[1], 2],
    ),
    "list for objects": failed(
        400,
        "instances is a plain list, but expecting list of objects as multiple input "
        "tensors required as per tensorinfo_map",
        signature_name="pair",
        instances=[1],
    ),
    "value for objects": failed(
        400,
        "inputs is a plain value/list, but expecting an object as multiple input "
        "tensors required as per tensorinfo_map",
        signature_name="pair",
        inputs=[1],
    ),
    "unknown key in a row": failed(
        400,
        NAMED.format(0, "z") + "JSON object: does not have named input: z",
        instances=[{"z": 1}],
    ),
    "one key too many in a row": failed(
        400,
        NAMED.format(1, "z") + "JSON object: does not have named input: z",
        instances=[{"x": 1}, {"x": 1, "z": 2}],
    ),
    "missing key in a row": failed(
        400,
        "Failed to process element: 1 of 'instances' list. JSON object: "
        '{\n    "b": 1\n} keys must be equal to: a,b',
        signature_name="pair",
        instances=[{"a": [1, 2], "b": 3}, {"b": 1}],
    ),
    "list after objects": failed(
        400,
        "Expecting object but got list at item 1 of input list",
        instances=[{"x": 1}, 2],
    ),
    "object after values": failed(
        400,
        "Expecting value/list but got object at item 1 of input list",
        instances=[1, {"x": 2}],
    ),
    "missing column": failed(
        400,
        "Missing named input: b in 'inputs' object.",
        signature_name="pair",
        inputs={"a": [[1, 2]]},
    ),
    "answer without rows": failed(
        400,
        "Tensor name: y has no shape information ",
        signature_name="total",
        instances=[1],
    ),
}


@pytest.mark.parametrize("case", ERRORS)
def test_shape_is_refused(server, case):
    assert_refused(server, ERRORS[case])


def test_uneven_outputs_are_no_rows(server):
    request = {"signature_name": "uneven", "instances": [1, 2]}
    answer = predict(server, request)
    assert answer.status == 400
    assert answer.error in [  # a map has no order
        "Tensor name: z has inconsistent batch size: 1 expecting: 2",
        "Tensor name: y has inconsistent batch size: 2 expecting: 1",
    ]


def test_the_graph_has_its_say(server):
    answer = predict(server, {"instances": [[1, 2]]}, "toolbox")
    assert answer.status == 400
    assert answer.error.startswith("Matrix size-incompatible: In[0]: [1,2], In[1]: [3,")
