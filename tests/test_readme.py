import re
from pathlib import Path

import keras
import numpy as np
import pytest

ROOT = Path(__file__).parent.parent
README = (ROOT / "README.md").read_text()
PAGES = ["README.md", "CONTRIBUTING.md", "serving/README.md"]
PAGES += [f"docs/{page.name}" for page in (ROOT / "docs").glob("*.md")]


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


def links(page):
    return re.findall(
        r"\]\((?!https?:)([^)#]+)(?:#[^)]*)?\)", (ROOT / page).read_text()
    )


@pytest.mark.parametrize("page", PAGES)
def test_every_file_a_page_points_to_exists(page):
    for target in links(page):
        assert (ROOT / page).parent.joinpath(target).exists(), target


def test_every_page_is_found_from_the_readme():
    pages = {page for page in PAGES if page.startswith("docs/")}
    assert pages | {"LICENSE", "CONTRIBUTING.md", "CHANGELOG.md"} <= set(
        links("README.md")
    )
