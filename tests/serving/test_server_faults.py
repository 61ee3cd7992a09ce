"""What breaks around a server: folders, configurations, the process itself. It keeps
serving what it had.
"""

import contextlib
import shutil

import numpy as np
import pytest
import tensorflow as tf

from keras_attn.serving import Client, Server, UnavailableError
from tests.serving.conftest import add_version, free_port
from tests.serving.waiting import wait_for

ONES = {"x": np.ones((1, 3), "float32")}
OLD, NEW = 6.0, 16.0  # what versions answer whose offsets are 0 and 10


def ask(client, **options):
    return client.predict(ONES, **options)["y"][0, 0]


def status_of(client, version):
    return {status.version: status for status in client.status()}.get(version)


def has_failed(client, version):
    status = status_of(client, version)
    return status is not None and bool(status.error_message)


def is_available(client, version):
    status = status_of(client, version)
    return status is not None and status.state == "AVAILABLE"


@contextlib.contextmanager
def serving(base, **flags):
    flags = {"file_system_poll_wait_seconds": 0.1, **flags}
    with Server(base, model_name="toolbox", **flags) as server:
        with Client(server.address, "toolbox", timeout=30) as client:
            yield client


def copy(source, target):
    """A version that appears whole."""
    target.parent.mkdir(exist_ok=True)
    shutil.copytree(source, target.parent / "copying")
    (target.parent / "copying").rename(target)
    return target


@pytest.fixture(scope="module")
def new_version(tmp_path_factory):
    return add_version(tmp_path_factory.mktemp("new") / "toolbox", 1, offset=10)


def cut(file):
    file.write_bytes(file.read_bytes()[: file.stat().st_size // 2])


def cut_graph(version):
    cut(version / "saved_model.pb")


def empty_graph(version):
    (version / "saved_model.pb").write_bytes(b"")


def cut_weights(version):
    cut(version / "variables" / "variables.data-00000-of-00001")


def drop_index(version):
    (version / "variables" / "variables.index").unlink()


def drop_weights(version):
    shutil.rmtree(version / "variables")


def drop_everything(version):
    shutil.rmtree(version)
    version.mkdir()


def become_a_file(version):
    shutil.rmtree(version)
    version.write_bytes(b"")


def cut_warm_up(version):
    (version / "assets.extra").mkdir()
    file = version / "assets.extra" / "tf_serving_warmup_requests"
    with tf.io.TFRecordWriter(str(file)) as writer:
        writer.write(bytes(100))
    cut(file)


DAMAGES = [
    cut_graph,
    empty_graph,
    cut_weights,
    drop_index,
    drop_weights,
    drop_everything,
    become_a_file,
    cut_warm_up,
]


@pytest.fixture(scope="module")
def damaged_model(toolbox, tmp_path_factory):
    """A client of a server that gives a version up at once; its base path."""
    base = tmp_path_factory.mktemp("damaged") / "toolbox"
    copy(toolbox / "3", base / "1")
    with serving(base, max_num_load_retries=0) as client:
        yield client, base


@pytest.mark.parametrize("damage", DAMAGES)
def test_a_damaged_version_changes_nothing(
    damaged_model, new_version, tmp_path, damage
):
    client, base = damaged_model
    version = 2 + DAMAGES.index(damage)
    damage(copy(new_version, tmp_path / "toolbox" / "1"))
    (tmp_path / "toolbox" / "1").rename(base / str(version))
    wait_for(lambda: has_failed(client, version))
    wait_for(lambda: status_of(client, version).state == "END")
    assert ask(client) == OLD
    assert is_available(client, 1)


def test_a_half_written_version_serves_once_it_is_whole(tmp_path, toolbox, new_version):
    base = tmp_path / "toolbox"
    copy(toolbox / "3", base / "1")
    fast = {"load_retry_interval_micros": 200_000, "max_num_load_retries": 1000}
    with serving(base, **fast) as client:
        (base / "2").mkdir()
        shutil.copy(new_version / "saved_model.pb", base / "2")
        wait_for(lambda: has_failed(client, 2))
        assert status_of(client, 2).state == "LOADING"
        assert ask(client) == OLD
        shutil.copytree(new_version / "variables", base / "2" / "variables")
        wait_for(lambda: is_available(client, 2))
        assert ask(client) == NEW


def test_the_folder_disappears_and_returns(tmp_path, toolbox, new_version, caplog):
    base = tmp_path / "toolbox"
    copy(toolbox / "3", base / "1")
    with serving(base) as client:
        base.rename(tmp_path / "away")
        wait_for(lambda: "Could not find base path" in caplog.text)
        assert ask(client) == OLD
        copy(new_version, tmp_path / "away" / "2")
        (tmp_path / "away").rename(base)
        wait_for(lambda: is_available(client, 2))
        assert ask(client) == NEW


def test_ten_thousand_versions(tmp_path, toolbox, new_version):
    base = tmp_path / "toolbox"
    base.mkdir()
    for version in range(1, 10_000):
        (base / str(version)).mkdir()
    for name in ("tmp", ".export-1", "1.5", "-7", "0x10", "v20000"):
        (base / name).mkdir()
    copy(toolbox / "3", base / "10000")
    with serving(base, max_num_load_retries=0) as client:
        assert [status.version for status in client.status()] == [10_000]
        assert ask(client) == OLD
        copy(new_version, base / "10001")
        wait_for(lambda: is_available(client, 10_001))
        assert ask(client) == NEW
        wait_for(lambda: status_of(client, 10_000).state == "END")


CONFIG = """
model_config_list {{
  config {{ name: "toolbox" base_path: "{base}" model_platform: "tensorflow" {more} }}
}}
"""


@pytest.fixture(scope="module")
def configured(toolbox, tmp_path_factory):
    """A client of a server that polls its configuration; the file."""
    file = tmp_path_factory.mktemp("configured") / "models.config"
    file.write_text(CONFIG.format(base=toolbox, more=""))
    flags = {
        "model_config_file": str(file),
        "model_config_file_poll_wait_seconds": 0.1,
    }
    with Server(**flags) as server:
        with Client(server.address, "toolbox", timeout=30) as client:
            yield client, file


def nonsense(file, base):
    file.write_text("nonsense")


def no_text(file, base):
    file.write_bytes(b"\xff\xfe\0\1")


def no_file(file, base):
    file.unlink()


def a_relative_path(file, base):
    file.write_text(CONFIG.format(base="relative", more=""))


def another_platform(file, base):
    text = CONFIG.format(base=base, more="")
    file.write_text(text.replace("tensorflow", "other"))


def a_label_of_nothing(file, base):
    label = 'version_labels { key: "stable" value: 9 }'
    file.write_text(CONFIG.format(base=base, more=label))


@pytest.mark.parametrize(
    "spoil",
    [nonsense, no_text, no_file, a_relative_path, another_platform, a_label_of_nothing],
)
def test_a_config_that_cannot_be_used_changes_nothing(
    configured, toolbox, caplog, spoil
):
    client, file = configured
    good = file.read_text()
    spoil(file, toolbox)
    wait_for(lambda: any(record.levelname == "ERROR" for record in caplog.records))
    assert ask(client) == OLD
    assert is_available(client, 3)
    label = f'version_labels {{ key: "{spoil.__name__}" value: 3 }}'
    file.write_text(CONFIG.format(base=toolbox, more=label))
    wait_for(lambda: answers_to(client, spoil.__name__))
    file.write_text(good)


def answers_to(client, label):
    try:
        return ask(client, version_label=label) == OLD
    except Exception as error:
        assert "Unrecognized servable version label" in str(error)
        return False


def test_a_client_recovers_when_a_killed_server_is_back(serve, toolbox):
    port = free_port()
    flags = [f"--port={port}", "--model_name=toolbox", f"--model_base_path={toolbox}"]
    server = serve(*flags)
    with Client(f"127.0.0.1:{port}", "toolbox", timeout=30, retries=0) as client:
        client.wait_until_available(60)
        assert ask(client) == OLD
        server.kill()
        with pytest.raises(UnavailableError):
            ask(client)
        serve(*flags)
        assert client.wait_until_available(60) == 3
        assert ask(client) == OLD
