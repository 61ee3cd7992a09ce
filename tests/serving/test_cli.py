"""`keras-attn` as a person or a script types it."""

import io
import json
import subprocess
import sys
import threading
import time

import pytest

from keras_attn import cli
from keras_attn.serving import Client, Server
from tests.serving.conftest import free_port
from tests.serving.fronts import GrpcFront
from tests.serving.judge import save_judge


def test_help_brings_no_framework():
    code = (
        "import sys\nfrom keras_attn import cli\n"
        "for arguments in (['--help'], ['ask', '--help'], ['nope']):\n"
        "    try:\n        cli.main(arguments)\n    except SystemExit: pass\n"
        "cli.main(['serve', '--help'])\ncli.main(['serve', '--port=x'])\n"
        "assert not {'keras', 'tensorflow', 'grpc', 'numpy'} & set(sys.modules)"
    )
    shown = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True
    )
    assert "quickstart" in shown.stdout
    assert "--model_base_path=''" in shown.stdout
    assert "Couldn't interpret value x for flag port" in shown.stderr


def test_ask_with_text(embedded_address, capsys):
    arguments = ["--address", embedded_address, "--model", "toolbox"]
    signature = ["--signature", "months", "--output", "id"]
    assert cli.main(["ask", *arguments, *signature, "mai", "août"]) == 0
    assert capsys.readouterr().out == "id: [5, -1]\n"


def test_ask_with_numbers(embedded_address, capsys):
    arguments = ["--address", embedded_address, "--model", "toolbox"]
    assert cli.main(["ask", *arguments, "[1, 0, 0]", "[0, 1, 0]"]) == 0
    assert "y: [[1.0, -1.0], [2.0, 0.5]]\n" in capsys.readouterr().out


def test_ask_with_json(embedded_address, capsys):
    arguments = ["--address", embedded_address, "--model", "toolbox"]
    inputs = json.dumps({"x": [[1, 0, 0]]})
    assert cli.main(["ask", *arguments, "--inputs", inputs]) == 0
    assert "total: 0.0\n" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("arguments", "problem"),
    [
        ([], "either rows of text or --inputs"),
        (["--inputs", "{"], "--inputs is not JSON"),
        (["--inputs", "[1]"], "must be a JSON object"),
        (["--inputs", '{"z": 1}'], "Expected: x: float32"),
        (["--signature", "types", "1"], "Several inputs"),
        (["--signature", "nope", "1"], "--signature must be one of"),
        (["abc"], "Not a number or a list: 'abc'"),
    ],
)
def test_ask_wrongly(embedded_address, capsys, arguments, problem):
    server = ["--address", embedded_address, "--model", "toolbox"]
    assert cli.main(["ask", *server, *arguments]) == 1
    assert problem in capsys.readouterr().err


def test_inspect(embedded_address, capsys):
    arguments = ["--address", embedded_address, "--model", "toolbox"]
    assert cli.main(["inspect", *arguments]) == 0
    shown = capsys.readouterr().out
    assert "version 3: AVAILABLE\n" in shown
    assert "    inputs:  x: float32 (?, 3)\n" in shown


def test_inspect_as_json(embedded_address, capsys):
    arguments = ["--address", embedded_address, "--model", "toolbox", "--json"]
    assert cli.main(["inspect", *arguments]) == 0
    shown = json.loads(capsys.readouterr().out)
    assert (shown["version"], shown["versions"][0]["state"]) == (3, "AVAILABLE")
    x = {"dtype": "float32", "shape": [-1, 3]}
    assert shown["signatures"]["serving_default"]["inputs"] == {"x": x}


@pytest.mark.parametrize("folder", ["", "3"])
def test_inspect_a_folder(embedded_address, toolbox, capsys, folder):
    server = ["--address", embedded_address, "--model", "toolbox"]
    assert cli.main(["inspect", *server]) == 0
    _, _, of_server = capsys.readouterr().out.partition("signatures")
    assert cli.main(["inspect", str(toolbox / folder)]) == 0
    _, _, of_folder = capsys.readouterr().out.partition("signatures")
    assert of_folder.partition(":")[2] == of_server.partition(":")[2]
    assert "toolbox" not in of_folder


def test_inspect_a_folder_brings_no_tensorflow(toolbox):
    code = (
        "import sys\nfrom keras_attn import cli\n"
        "assert cli.main(['inspect', sys.argv[1]]) == 0\n"
        "assert not {'keras', 'tensorflow', 'google.protobuf'} & set(sys.modules)"
    )
    subprocess.run([sys.executable, "-c", code, str(toolbox)], check=True)


@pytest.mark.parametrize(
    ("make", "problem"),
    [
        (lambda path: path, "has no SavedModel; its versions: []"),
        (lambda path: path / "nope", "has no SavedModel"),
        (lambda path: write(path / "7" / "saved_model.pb"), "is no SavedModel: "),
    ],
)
def test_inspect_what_is_no_model(tmp_path, capsys, make, problem):
    assert cli.main(["inspect", str(make(tmp_path))]) == 1
    assert problem in capsys.readouterr().err


def write(file):
    file.parent.mkdir()
    file.write_bytes(b"\x0f")
    return file.parent.parent


@pytest.fixture(scope="module")
def judge(tmp_path_factory):
    """A server with both APIs, and a model that takes examples."""
    path = tmp_path_factory.mktemp("models") / "judge"
    save_judge(path / "1")
    with Server(path, rest_api_port=-1) as server:
        yield server


@pytest.mark.parametrize("api", ["grpc", "rest"])
def test_ask_with_examples(judge, capsys, api):
    address = judge.address if api == "grpc" else f"http://{judge.rest_address}"
    arguments = ["ask", "--address", address, "--model", "judge"]
    examples = ["--examples", '[{"age": 0.5, "name": "Ada", "count": 2}]']
    assert cli.main([*arguments, *examples]) == 0
    assert capsys.readouterr().out == 'results: [[["Ada", 0.5], ["2", -0.5]]]\n'
    assert cli.main([*arguments, *examples, "--signature", "regress"]) == 0
    assert capsys.readouterr().out == "results: [2.5]\n"


def test_ask_as_json_from_stdin(judge, capsys, monkeypatch):
    monkeypatch.setattr("sys.stdin", io.StringIO('[{"age": 1.5}]'))
    address = f"http://{judge.rest_address}"
    arguments = ["--address", address, "--model", "judge", "--wait", "10"]
    regress = ["--json", "--signature", "regress", "--examples", "-"]
    assert cli.main(["ask", *arguments, *regress]) == 0
    assert json.loads(capsys.readouterr().out) == {"results": [8.5]}


def test_ask_a_label(embedded_address, capsys):
    server = ["--address", embedded_address, "--model", "toolbox"]
    assert cli.main(["ask", *server, "--model-label", "stable", "[1, 0, 0]"]) == 1
    assert "Unrecognized servable version label: stable" in capsys.readouterr().err


def test_ask_lets_itself_in(embedded_address, tmp_path, capsys):
    (tmp_path / "token").write_text("secret\n")
    token = ["--token-file", str(tmp_path / "token"), "--header", "X-Team=blue=green"]
    front = GrpcFront(embedded_address)
    with front.run() as address:
        server = ["--address", address, "--model", "toolbox"]
        assert cli.main(["ask", *server, *token, "[1, 0, 0]"]) == 0
    assert front.headers[0]["authorization"] == "Bearer secret"
    assert front.headers[0]["x-team"] == "blue=green"


@pytest.mark.parametrize("command", ["ask", "inspect"])
@pytest.mark.parametrize("scheme", ["", "http://"])
def test_nobody_there(capsys, command, scheme):
    address = f"{scheme}127.0.0.1:{free_port()}"
    arguments = [command, "--address", address, "--timeout", "0.2"]
    assert cli.main([*arguments, *(["1"] if command == "ask" else [])]) == 3
    assert f"No server answers at {address}" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("arguments", "problem"),
    [
        (["--header", "x"], "--header must be NAME=VALUE. Received: x"),
        (["--token-file", "nope"], "No such file or directory: 'nope'"),
        (["--root-certificates", "nope"], "No such file or directory: 'nope'"),
        (["--private-key", "x"], "`private_key` and `certificate_chain` belong"),
        (["--address", "http://x", "--tls"], "TLS needs https"),
        (["--timeout", "0"], "`timeout` must be positive"),
    ],
)
def test_a_server_wrongly_told(capsys, arguments, problem):
    assert cli.main(["ask", *arguments, "1"]) == 1
    assert problem in capsys.readouterr().err


def test_what_is_no_command_line(capsys):
    for arguments in (["ask", "--nope"], ["inspect", "--model-version", "x"], []):
        with pytest.raises(SystemExit) as caught:
            cli.main(arguments)
        assert caught.value.code == 2
    assert "usage: keras-attn" in capsys.readouterr().err


def test_serve_swallows_nothing_and_drains(serve, toolbox):
    process = serve(
        "--port=0",
        "--model_name=toolbox",
        f"--model_base_path={toolbox}",
        "--rest_api_port=-1",
        "--use_alts_credentials",
        "--nope",
    )
    address = process.address()
    process.wait_for_line("Exporting HTTP/REST API at:127.0.0.1:")
    assert "Engine: embedded." in process.log
    assert "--use_alts_credentials has no effect here." in process.log
    assert "unknown argument: --nope" in process.log
    with Client(address, "toolbox", timeout=60) as client:
        assert client.predict({"x": [[1, 0, 0]]})["y"].tolist() == [[1, -1]]
        with pytest.raises(Exception, match=r"XLA compilation disabled\n.*\[\[{{"):
            client.predict({"x": [[1, 0, 0]]}, signature_name="compiled")
        second = serve(f"--port={address.rpartition(':')[2]}", "--model_base_path=/x")
        assert second.wait() == 255
        assert f"Could not bind {address}" in second.log
        answers = []
        steps = {"steps": 300_000}
        thread = threading.Thread(
            target=lambda: answers.append(client.predict(steps, signature_name="count"))
        )
        thread.start()
        time.sleep(0.3)
        process.terminate()
        thread.join()
    assert process.wait() == 0
    assert answers[0]["done"] == 300_000


def test_serve_tells_why_it_cannot_start(serve, tmp_path):
    (tmp_path / "1").mkdir()
    process = serve(
        "--port=0", f"--model_base_path={tmp_path}", "--max_num_load_retries=0"
    )
    assert process.wait() == 255
    assert "Failed to start server. Error: UNKNOWN: 1 servable(s)" in process.log


def test_serve_without_versions_can_be_stopped(serve, tmp_path):
    process = serve("--port=0", f"--model_base_path={tmp_path}")
    process.wait_for_line("No versions of servable default found")
    assert "Running gRPC" not in process.log
    process.terminate()
    assert process.wait() == 0
