"""The page on attention works as it is printed."""

import re
from pathlib import Path

import keras
import pytest

pytest.importorskip("matplotlib")

PAGE = Path(__file__).parents[1] / "docs" / "attention.md"
BACKEND = keras.backend.backend()


@pytest.mark.skipif(BACKEND == "torch", reason="its snippets compare with NumPy")
def test_the_page_runs_from_top_to_bottom(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    fences = re.findall(r"^```python(.*)\n((?s:.*?))^```$", PAGE.read_text(), re.M)
    assert len(fences) >= 10
    names = {"__name__": "__main__"}
    for backend, block in fences:
        if backend.strip() in ("", BACKEND):
            exec(compile(block, "attention.md", "exec"), names)
    assert (tmp_path / "heads.png").read_bytes().startswith(b"\x89PNG")
