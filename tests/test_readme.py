import re
from pathlib import Path

import keras
import numpy as np
import pytest

README = (Path(__file__).parent.parent / "README.md").read_text()


def python_blocks(markdown):
    return re.findall(r"^```python\n(.*?)^```$", markdown, re.DOTALL | re.MULTILINE)


@pytest.mark.skipif(keras.backend.backend() != "tensorflow", reason="it is exported")
def test_the_snippet_trains_serves_and_answers_right(tmp_path, monkeypatch, capsys):
    (snippet,) = python_blocks(README)
    monkeypatch.chdir(tmp_path)
    names = {"__name__": "__main__"}
    exec(compile(snippet, "README.md", "exec"), names)
    assert "how the rows go on" in capsys.readouterr().out
    np.testing.assert_allclose(names["answer"]["rest"], names["row"][:2, 4:], atol=0.5)


def test_every_file_it_points_to_exists():
    targets = re.findall(r"\]\((?!https?:)([^)#]+)\)", README)
    assert {"LICENSE", "CONTRIBUTING.md"} <= set(targets)
    for target in targets:
        assert (Path(__file__).parent.parent / target).exists(), target
