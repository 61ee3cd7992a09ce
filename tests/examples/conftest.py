import importlib
from pathlib import Path

import pytest

EXAMPLES = Path(__file__).parents[2] / "examples"


@pytest.fixture
def example(monkeypatch):
    """A function that imports an example by its name."""
    if not EXAMPLES.exists():
        pytest.skip("a source archive has no examples")
    monkeypatch.syspath_prepend(EXAMPLES)
    return importlib.import_module
