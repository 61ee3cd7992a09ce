"""TensorFlow's profiler behind the port of the gRPC API."""

import threading

import grpc
import numpy as np
import pytest
import tensorflow as tf

from keras_attn.serving import Client, Server

TO_SERVER = [("grpc.enable_http_proxy", 0)]
SHORT = b"\x22\x02\x48\x32"  # the options of a profile: a duration of 50 ms


def call(address, method, message):
    with grpc.insecure_channel(address, TO_SERVER) as channel:
        path = f"/tensorflow.ProfilerService/{method}"
        return channel.unary_unary(path)(message, timeout=60)


def test_tensorflows_own_client_takes_a_profile(embedded_address, tmp_path):
    done = threading.Event()

    def keep_busy():
        with Client(embedded_address, "toolbox", timeout=30) as client:
            while not done.is_set():
                client.predict({"x": np.ones((1, 3), "float32")})

    thread = threading.Thread(target=keep_busy)
    thread.start()
    try:
        tf.profiler.experimental.client.trace(
            f"grpc://{embedded_address}", str(tmp_path), duration_ms=500
        )
    finally:
        done.set()
        thread.join()
    (profile,) = tmp_path.glob("plugins/profile/*/*.xplane.pb")
    assert b"MatMul" in profile.read_bytes()


def test_answers_are_those_of_tensorflow(embedded_address):
    """TensorFlow has the method Monitor, but nothing in it."""
    with pytest.raises(grpc.RpcError) as caught:
        call(embedded_address, "Monitor", SHORT)
    assert caught.value.code() == grpc.StatusCode.UNIMPLEMENTED
    assert caught.value.details() == "unimplemented."
    assert call(embedded_address, "Terminate", b"") == b""


def test_a_profile_for_no_folder_leaves_no_file(
    embedded_address, tmp_path, monkeypatch
):
    monkeypatch.chdir(tmp_path)
    assert call(embedded_address, "Profile", SHORT)
    assert not list(tmp_path.rglob("*"))


def test_it_can_be_left_out(toolbox):
    with Server(toolbox, enable_profiler=False) as server:
        with pytest.raises(grpc.RpcError) as caught:
            call(server.address, "Profile", SHORT)
    assert caught.value.code() == grpc.StatusCode.UNIMPLEMENTED
    assert "Method not found" in caught.value.details()
