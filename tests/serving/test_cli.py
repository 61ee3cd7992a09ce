"""`keras-attn` as a person or a script types it."""

import json
import subprocess
import sys
import threading
import time

import pytest

from keras_attn import cli
from keras_attn.serving import Client


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


def test_serve_swallows_nothing_and_drains(serve, toolbox):
    process = serve(
        "--port=0",
        "--model_name=toolbox",
        f"--model_base_path={toolbox}",
        "--rest_api_port=8501",
        "--nope",
    )
    address = process.address()
    assert "--rest_api_port has no effect yet." in process.log
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
