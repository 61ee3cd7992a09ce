"""The pages on serving and on the client work as they are printed."""

import ast
import asyncio
import dataclasses
import inspect
import re
import shlex
import shutil
import subprocess
from pathlib import Path

import pytest

from keras_attn import cli
from keras_attn.serving import AsyncClient, Client, Server
from keras_attn.serving.server.arguments import parse
from keras_attn.serving.server.flags import Options
from tests.serving.conftest import free_port
from tests.serving.judge import save_judge

DOCS = Path(__file__).parents[2] / "docs"
BLOCK = re.compile(r"^```(\w+)\n(.*?)^```$", re.DOTALL | re.MULTILINE)

needs_programs = pytest.mark.skipif(
    not (shutil.which("curl") and shutil.which("openssl")),
    reason="needs curl and openssl",
)


def save_dates(path):
    import tensorflow as tf

    class Dates(tf.Module):
        @tf.function(input_signature=[tf.TensorSpec([None], tf.string, "text")])
        def read(self, text):
            return {"date": tf.strings.regex_replace(text, "^3 mai ", "05-03-")}

    dates = Dates()
    signatures = {"serving_default": dates.read}
    tf.saved_model.save(dates, str(path), signatures=signatures)


@pytest.fixture(scope="module")
def models(tmp_path_factory):
    """The folder that the pages call `/models`, or `saved_models`."""
    folder = tmp_path_factory.mktemp("models")
    for version in "12":
        save_dates(folder / "dates" / version)
    save_judge(folder / "judge" / "1")
    return folder


class Reader:
    """Does what a page says. Its servers run in this process, on ports of their own."""

    def __init__(self, page, models):
        self.text = (DOCS / page).read_text()
        self.port, self.rest_port = free_port(), free_port()
        self.names = {}
        self._server = None
        self._models = models

    def blocks(self):
        """Pairs of a language and the text, for this machine."""
        text = re.sub('(?<=["=])/models/', f"{self._models}/", self.text)
        text = text.replace("8500", str(self.port)).replace("8501", str(self.rest_port))
        return BLOCK.findall(text)

    def follow(self, language, block):
        if language == "proto":
            Path(block.split()[1]).write_text(block)  # its name is in the first line
        elif language == "python":
            self._run_python(block)
        elif language == "shell":
            for line in block.replace("\\\n", " ").splitlines():
                self._run(shlex.split(line))

    def _run_python(self, block):
        code = compile(block, "page", "exec", ast.PyCF_ALLOW_TOP_LEVEL_AWAIT)
        result = eval(code, self.names)
        if inspect.iscoroutine(result):
            asyncio.run(result)

    def _run(self, words):
        match words:
            case ["keras-attn", "serve", *flags]:
                self._serve(flags)
            case ["keras-attn", *arguments]:
                asks_a_server = "--model" in arguments and "--address" not in arguments
                where = ["--address", f"127.0.0.1:{self.port}"] if asks_a_server else []
                assert cli.main([*arguments, *where]) == 0, words
            case ["curl", *arguments]:
                command = ["curl", "-sS", "--fail", "--noproxy", "*", *arguments]
                subprocess.run(command, check=True, timeout=60)
            case ["openssl", *_]:
                subprocess.run(words, check=True, timeout=60, capture_output=True)
            case _:
                assert words[:2] == ["pip", "install"], words

    def _serve(self, flags):
        self.close()
        line = parse(flags)
        assert not line.unknown
        if "port" not in line.given:
            line.options.port = self.port
        self._server = Server(**dataclasses.asdict(line.options), timeout=60).start()

    def close(self):
        if self._server is not None:
            self._server.stop()
            self._server = None


@pytest.fixture
def read(models, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "saved_models").symlink_to(models)
    readers = []

    def start(page):
        readers.append(Reader(page, models))
        return readers[-1]

    yield start
    for reader in readers:
        reader.close()


@needs_programs
def test_the_page_on_serving(read, capfd):
    reader = read("serving.md")
    for language, block in reader.blocks():
        reader.follow(language, block)
    shown = capfd.readouterr().out
    assert shown.count('date: ["05-03-1997"]') >= 4
    assert "05-03-1997" in shown.partition('"predictions"')[2]
    assert "# TYPE :tensorflow:serving:request_count counter" in shown


def test_the_page_on_serving_names_every_flag(read):
    text = read("serving.md").text
    missing = [f.name for f in dataclasses.fields(Options) if f.name not in text]
    assert not missing


def test_the_page_on_the_client(read, models, capsys):
    reader = read("client.md")
    flags = {"port": reader.port, "rest_api_port": reader.rest_port}
    config = "model_config_list {"
    for name in ("dates", "judge"):
        config += f' config {{ name: "{name}" base_path: "{models}/{name}" '
        config += 'model_platform: "tensorflow" }'
    Path("models.config").write_text(config + "}")
    address = f"127.0.0.1:{reader.port}"
    with (
        Server(model_config_file="models.config", **flags),
        Client(address, "dates") as client,
    ):
        for language, block in reader.blocks():
            if "example.org" not in block:
                reader.names |= {"AsyncClient": AsyncClient, "texts": ["3 mai 1997"]}
                reader.names["client"] = client
                reader.follow(language, block)
    assert list(reader.names["answer"]) == ["date"]
    assert capsys.readouterr().out.count("05-03-1997") >= 2
