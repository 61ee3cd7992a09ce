"""The page on exports works as it is printed."""

import re
from pathlib import Path

import tensorflow as tf

PAGE = Path(__file__).parents[2] / "docs" / "export.md"


def test_the_page_runs_from_top_to_bottom(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    blocks = re.findall(r"```python\n(.*?)```", PAGE.read_text(), re.DOTALL)
    page = {}
    for block in blocks:
        exec(block, page)
    signatures = tf.saved_model.load("saved_models/iris/2").signatures
    sizes = tf.zeros((3, 4))
    assert signatures["serving_default"](sizes=sizes)["name"].shape == (3,)
    assert signatures["compiled"](sizes=sizes)["scores"].shape == (3, 3)
