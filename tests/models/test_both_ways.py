import keras
import numpy as np
import pytest
from keras import layers, ops
from keras.src.saving import serialization_lib

from keras_attn import ImageToMarkup, ListenAttendSpell, Seq2Seq
from keras_attn.models._both_ways import BothWays

SIZES = {"units": 3, "embedding_dim": 2}
MAKERS = {
    "sound": lambda: ListenAttendSpell(9, 4, 1, 5, 800, **SIZES),
    "markup": lambda: ImageToMarkup(9, (8, 12, 1), (3, 4), 4, **SIZES),
    "text": lambda: Seq2Seq(9, 9, **SIZES),
}


@pytest.mark.parametrize("make", [layers.LSTM, layers.GRU])
def test_it_reads_as_bidirectional_does(rng, make):
    ours = BothWays(make, 4, "float32", "test")
    x = rng.normal(size=(3, 5, 2)).astype("float32")
    mask = np.arange(5) < np.array([[5], [2], [0]])
    states = [
        [rng.normal(size=(3, 4)).astype("float32") for _ in range(count)]
        for count in [1 if make is layers.GRU else 2] * 2
    ]
    peer = layers.Bidirectional(make(4, return_sequences=True, return_state=True))
    for initial, flat in (((None, None), None), (states, [*states[0], *states[1]])):
        found, last = ours(x, mask, initial)
        peer(x)  # is built by it
        peer.set_weights([*ours.forward.get_weights(), *ours.backward.get_weights()])
        expected, *each = peer(x, mask=mask, initial_state=flat)
        np.testing.assert_allclose(
            ops.convert_to_numpy(found), ops.convert_to_numpy(expected), atol=1e-6
        )
        pairs = zip(each[: len(last)], each[len(last) :], strict=True)
        for state, pair in zip(last, pairs, strict=True):
            pair = ops.concatenate(pair, axis=-1)
            np.testing.assert_allclose(
                ops.convert_to_numpy(state), ops.convert_to_numpy(pair), atol=1e-6
            )


@pytest.mark.parametrize("kind", MAKERS)
def test_no_layer_is_configured_while_a_file_is_loaded(kind, tmp_path, monkeypatch):
    """Keras would take it for one that had the same address before."""
    MAKERS[kind]().save(tmp_path / "model.keras")
    serialize = serialization_lib.serialize_keras_object
    configured = []

    def record(value):
        configured.append(type(value))
        return serialize(value)

    monkeypatch.setattr(serialization_lib, "serialize_keras_object", record)
    keras.saving.load_model(tmp_path / "model.keras")
    assert not any(issubclass(each, layers.Layer) for each in configured)
