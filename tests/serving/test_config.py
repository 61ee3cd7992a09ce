"""What a configuration file may say, and how it is refused."""

import pytest

from keras_attn.serving import Server
from keras_attn.serving.server.config import (
    ModelConfig,
    VersionPolicy,
    check_no_platform_changes,
    check_platforms,
    initial_configs,
    read_configs,
)
from keras_attn.serving.server.flags import Options
from keras_attn.serving.server.status import StatusError


@pytest.fixture
def read(tmp_path):
    """Reads a text as the configuration file of a server."""

    def read(text):
        file = tmp_path / "models.config"
        file.write_text(text)
        return read_configs(str(file))

    return read


def entry(more="", name="m", path="/m", platform='model_platform: "tensorflow"'):
    return f'config {{ name: "{name}" base_path: "{path}" {platform} {more} }}'


def models(*entries):
    return f"model_config_list {{ {' '.join(entries)} }}"


def model(*more, **changes):
    return models(entry(*more, **changes))


def policy(text):
    return model(f"model_version_policy {{ {text} }}")


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (model(), ModelConfig("m", "/m")),
        (model(path="/m/a://b"), ModelConfig("m", "/m/a://b")),
        (model(platform="model_type: TENSORFLOW"), ModelConfig("m", "/m")),
        (policy("latest {}"), ModelConfig("m", "/m")),
        (policy("latest { num_versions: 0 }"), ModelConfig("m", "/m")),
        (
            policy("latest { num_versions: 3 }"),
            ModelConfig("m", "/m", VersionPolicy(3)),
        ),
        (policy("all {}"), ModelConfig("m", "/m", VersionPolicy(every=True))),
        (
            policy("specific { versions: 7 versions: 3 }"),
            ModelConfig("m", "/m", VersionPolicy(specific=frozenset({3, 7}))),
        ),
        (
            policy("specific {}"),
            ModelConfig("m", "/m", VersionPolicy(specific=frozenset())),
        ),
        (
            model('version_labels { key: "stable" value: 3 }'),
            ModelConfig("m", "/m", labels={"stable": 3}),
        ),
        (
            model("logging_config {}"),
            ModelConfig("m", "/m", logs_requests=True),
        ),
        (
            model(platform='model_platform: "other"'),
            ModelConfig("m", "/m", platform="other"),
        ),
    ],
)
def test_one_model(read, text, expected):
    assert read(text) == [expected]


def test_no_models_and_nothing_said(read):
    assert read("model_config_list {}") == []
    assert read("") is None


@pytest.mark.parametrize(
    ("text", "code", "message"),
    [
        (
            models(entry(), entry(name="n"), entry()),
            "INVALID_ARGUMENT",
            "Illegal to list model m multiple times in config list",
        ),
        (
            model(path="models/m"),
            "INVALID_ARGUMENT",
            "Expected model m to have an absolute path or URI; "
            "got base_path()=models/m",
        ),
        (
            model(path="gs://bucket/m"),
            "INVALID_ARGUMENT",
            "Expected model m to have a path of the local file system, since a URI is "
            "not supported here; got base_path()=gs://bucket/m",
        ),
        (
            models(entry(path="x"), entry(name="n"), entry(name="n")),
            "INVALID_ARGUMENT",
            "Illegal to list model n multiple times in config list",
        ),
        (
            model(platform=""),
            "INVALID_ARGUMENT",
            "Illegal setting neither ModelServerConfig::model_type (deprecated) nor "
            "ModelServerConfig::model_platform.",
        ),
        (
            model("model_type: TENSORFLOW"),
            "INVALID_ARGUMENT",
            "Illegal setting both ModelServerConfig::model_type (deprecated) and "
            "ModelServerConfig::model_platform.",
        ),
        (
            model(platform="model_type: OTHER"),
            "INVALID_ARGUMENT",
            "ModelServerConfig::model_type choice 2 not supported.",
        ),
        (
            "custom_model_config {}",
            "UNIMPLEMENTED",
            "ModelServer does not yet support custom model config.",
        ),
    ],
)
def test_refusals(read, text, code, message):
    with pytest.raises(StatusError) as caught:
        read(text)
    assert (caught.value.code.name, caught.value.message) == (code, message)


@pytest.mark.parametrize(
    "text", ["nonsense", model("no_such_field: 1"), "model_config_list {", "\x00"]
)
def test_a_file_that_is_no_configuration(tmp_path, caplog, text):
    file = tmp_path / "models.config"
    file.write_text(text)
    with pytest.raises(StatusError) as caught:
        initial_configs(Options(model_config_file=str(file)))
    assert caught.value.code.name == "INVALID_ARGUMENT"
    assert caught.value.message == f"Invalid protobuf file: '{file}'"
    (record,) = caplog.records
    assert str(caught.value.__cause__) in record.message  # where, and what


def test_a_file_that_is_not_there(tmp_path):
    with pytest.raises(StatusError) as caught:
        initial_configs(Options(model_config_file=str(tmp_path / "none")))
    assert caught.value.code.name == "NOT_FOUND"
    assert caught.value.message == f"{tmp_path}/none; No such file or directory"


def test_the_model_of_the_flags(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    server = Server("models/dates")
    monkeypatch.chdir("/")
    expected = ModelConfig("dates", str(tmp_path / "models/dates"))
    assert initial_configs(server.options) == [expected]
    with pytest.raises(StatusError, match="are empty!"):
        initial_configs(Options())


def test_platforms():
    ours, other = ModelConfig("m", "/m"), ModelConfig("m", "/m", platform="other")
    check_no_platform_changes([ours], [ours, ModelConfig("n", "/n", platform="other")])
    with pytest.raises(StatusError) as caught:
        check_no_platform_changes([ours], [other])
    assert caught.value.message == (
        "Illegal to change a model's platform. For model m platform was tensorflow and "
        "new platform requested is other"
    )
    check_platforms([ours])
    with pytest.raises(StatusError) as caught:
        check_platforms([ours, other])
    assert caught.value.message == "Model m requests unsupported platform other"
