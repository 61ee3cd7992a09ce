"""The pages on layers work as they are printed."""

import re
from pathlib import Path

import keras
import pytest

PAGES = Path(__file__).parents[1] / "docs"
BACKEND = keras.backend.backend()


def run(page):
    """Runs the snippets of a page for this backend and says how many there were."""
    text = (PAGES / page).read_text()
    fences = re.findall(r"^```python(.*)\n((?s:.*?))^```$", text, re.M)
    names = {"__name__": "__main__"}
    for backend, block in fences:
        if backend.strip() in ("", BACKEND):
            exec(compile(block, page, "exec"), names)
    return len(fences)


@pytest.fixture(autouse=True)
def folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.mark.skipif(BACKEND == "torch", reason="its snippets compare with NumPy")
def test_the_page_on_attention_runs_from_top_to_bottom(folder):
    pytest.importorskip("matplotlib")
    assert run("attention.md") >= 10
    assert (folder / "heads.png").read_bytes().startswith(b"\x89PNG")


@pytest.mark.skipif(BACKEND == "torch", reason="its snippets compare with NumPy")
def test_the_page_on_graphs_runs_from_top_to_bottom():
    pytest.importorskip("rdkit")
    assert run("graphs.md") == 7


@pytest.mark.skipif(BACKEND == "torch", reason="its snippets compare with NumPy")
def test_the_page_on_glimpses_runs_from_top_to_bottom(folder):
    pytest.importorskip("matplotlib")
    assert run("glimpses.md") == 5
    assert (folder / "paths.png").read_bytes().startswith(b"\x89PNG")
    assert (folder / "glimpses.gif").read_bytes().startswith(b"GIF")


@pytest.mark.skipif(BACKEND == "torch", reason="its snippets compile with XLA")
def test_the_page_on_decoding_runs_from_top_to_bottom():
    assert run("decoding.md") >= 7
