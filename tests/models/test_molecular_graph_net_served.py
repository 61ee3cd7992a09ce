"""Molecules asked over gRPC: one request, and several that share a batch."""

from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest

from keras_attn import MolecularGraphNet
from tests.gradients import BACKEND

if BACKEND != "tensorflow":
    pytest.skip("exports are TensorFlow graphs", allow_module_level=True)

pytest.importorskip("rdkit")

from keras_attn.data import pad_graphs
from keras_attn.data.molecules import featurize, serving_inputs
from keras_attn.serving import Client, InvalidArgumentError, Server, export

REQUESTS = [["CCO", "C"], ["[Na+]"], ["CC(=O)Oc1ccccc1C(=O)O"]]
BATCHING = """
max_batch_size { value: 4 }
batch_timeout_micros { value: 60000000 }
pad_variable_length_inputs: true
"""


@pytest.fixture(scope="module")
def model():
    made = MolecularGraphNet(3, "classification", units=8, num_layers=2)
    rng = np.random.default_rng(1)
    for weight in made.trainable_weights:
        weight.assign(rng.normal(scale=0.3, size=weight.shape))
    return made


@pytest.fixture(scope="module")
def folder(model, tmp_path_factory):
    rows = serving_inputs([featurize(smiles) for smiles in ("CCO", "CCCC")])
    path = tmp_path_factory.mktemp("models") / "toxicity"
    export(model, path, examples={"serving_default": rows}, allowed_batch_sizes=(1, 4))
    return path


def expected(model, smiles):
    answer = model.explain(pad_graphs([featurize(smiles)]))
    return {name: np.array(value)[0] for name, value in answer.items()}


def assert_answered(answer, model, request):
    for row, smiles in enumerate(request):
        for name, value in expected(model, smiles).items():
            found = answer[name][row]
            np.testing.assert_allclose(found[: len(value)], value, atol=1e-5)
            assert not found[len(value) :].any()


def test_a_request_of_several_molecules(model, folder):
    request = [smiles for part in REQUESTS for smiles in part]
    with Server(folder) as server, Client(server.address, "toxicity") as client:
        answer = client.predict(serving_inputs([featurize(s) for s in request]))
    assert answer["probabilities"].shape == (4, 3)
    assert answer["attention_scores"].shape == (4, 13)
    np.testing.assert_allclose(answer["attention_scores"].sum(axis=1), 1.0, atol=1e-6)
    assert_answered(answer, model, request)


def test_a_request_whose_lengths_do_not_fit_is_refused(folder):
    rows = serving_inputs([featurize("CCO")])
    message = "`lengths` must lie between 0 and the size of `nodes`"
    with (
        Server(folder) as server,
        Client(server.address, "toxicity") as client,
        pytest.raises(InvalidArgumentError, match=message),
    ):
        client.predict({**rows, "lengths": rows["lengths"] + 1})


@pytest.mark.parametrize("pad_by_lengths", [False, True])
def test_requests_that_share_a_batch_get_what_they_would_get_alone(
    model, folder, tmp_path, pad_by_lengths
):
    """A server pads with an edge from an atom to itself, or with the edge 0 to 0."""
    file = tmp_path / "batching.config"
    file.write_text(BATCHING)
    server = Server(
        folder,
        enable_batching=True,
        batching_parameters_file=str(file),
        pad_by_lengths=pad_by_lengths,
        enable_model_warmup=False,
    )
    with (
        server,
        Client(server.address, "toxicity", timeout=60) as client,
        ThreadPoolExecutor(len(REQUESTS)) as threads,
    ):
        rows = [serving_inputs([featurize(s) for s in part]) for part in REQUESTS]
        answers = [*threads.map(client.predict, rows)]
    for answer, request in zip(answers, REQUESTS, strict=True):
        assert_answered(answer, model, request)
