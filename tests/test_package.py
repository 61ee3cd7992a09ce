import ast
import importlib
import importlib.machinery
import importlib.metadata
import os
import pkgutil
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

import keras_attn

ROOT = Path(__file__).parent.parent


def run_python(code, *arguments, **environment):
    """The standard output of `code` in a fresh process."""
    command = [sys.executable, "-W", "error::ImportWarning", "-c", code, *arguments]
    done = subprocess.run(
        command, capture_output=True, text=True, env={**os.environ, **environment}
    )
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


def test_all_is_sorted_and_every_name_is_there():
    assert keras_attn.__all__ == sorted(keras_attn.__all__)
    for name in keras_attn.__all__:
        assert getattr(keras_attn, name).__name__ == name
    assert set(keras_attn.__all__) < set(dir(keras_attn))


def test_type_checkers_see_the_names_that_python_sees():
    tree = ast.parse(Path(keras_attn.__file__).read_text())
    seen = {
        alias.asname: statement.module
        for node in tree.body
        if isinstance(node, ast.If)
        for statement in node.body
        for alias in statement.names
    }
    assert seen == keras_attn._MODULES


def test_packages_are_there_without_their_import():
    names = ", ".join(f"keras_attn.{name}.__name__" for name in keras_attn._PACKAGES)
    found = run_python(f"import keras_attn; print({names})").split()
    assert found == [f"keras_attn.{name}" for name in keras_attn._PACKAGES]


def test_layers_and_models_are_found_in_their_packages():
    found = {*dir(keras_attn.layers), *dir(keras_attn.models)}
    assert found == set(keras_attn.__all__)
    assert keras_attn.models.Seq2Seq is keras_attn.Seq2Seq
    with pytest.raises(AttributeError, match=r"attn.layers' has no .* 'Seq2Seq'"):
        keras_attn.layers.Seq2Seq  # noqa: B018


def test_an_unknown_name_is_an_attribute_error():
    with pytest.raises(
        AttributeError, match=r"'keras_attn' has no attribute 'Nothing'"
    ):
        keras_attn.Nothing  # noqa: B018


def test_the_version_is_that_of_the_distribution():
    assert keras_attn.__version__ == importlib.metadata.version("keras-attn")


def test_importing_the_package_imports_no_framework():
    loaded = run_python("import keras_attn, sys; print(*sys.modules)").split()
    assert not {"keras", "numpy", "tensorflow", "jax", "torch"} & set(loaded)


@pytest.mark.parametrize(
    "imports",
    [
        "import keras_attn, keras",
        "import keras, keras_attn",
        "import keras_attn.models.seq2seq",
        "import keras_attn, importlib; importlib.reload(keras_attn)",
    ],
)
def test_every_class_is_registered_whatever_is_imported_first(imports):
    code = f"""
{imports}
import keras
registry = keras.saving.get_custom_objects()
names = {{name: f"keras_attn>{{name}}" for name in keras_attn.__all__}}
assert set(names.values()) <= set(registry), registry
for name, registered_name in names.items():
    assert getattr(keras_attn, name) is registry[registered_name], name
"""
    run_python(code, KERAS_BACKEND="jax")


def test_every_registered_class_has_a_public_name():
    import keras

    for module in pkgutil.walk_packages(keras_attn.__path__, "keras_attn."):
        if module.name.startswith(("keras_attn.layers", "keras_attn.models")):
            importlib.import_module(module.name)
    registered = {
        name.removeprefix("keras_attn>")
        for name in keras.saving.get_custom_objects()
        if name.startswith("keras_attn>")
    }
    assert registered == set(keras_attn.__all__)


def test_threads_may_import_at_once():
    code = """
from concurrent.futures import ThreadPoolExecutor
from importlib import import_module
import keras_attn

names = ["keras", "keras_attn.models.seq2seq", "keras_attn.layers.attention_decoder"]
with ThreadPoolExecutor() as threads:
    print(*(module.__name__ for module in threads.map(import_module, names)))
"""
    assert run_python(code, KERAS_BACKEND="jax").split()[0] == "keras"


@pytest.fixture(scope="module")
def saved_model(tmp_path_factory):
    import keras

    query, value = keras.Input((3, 4)), keras.Input((5, 6))
    context = keras_attn.BahdanauAttention(units=2)(query, value)
    path = tmp_path_factory.mktemp("saved") / "model.keras"
    keras.Model([query, value], context).save(path)
    return path


@pytest.mark.parametrize("imports", ["keras_attn, keras", "keras, keras_attn"])
def test_a_fresh_process_loads_a_saved_model(imports, saved_model):
    code = (
        f"import pickle, sys, {imports}\n"
        "layer = keras.saving.load_model(sys.argv[1]).layers[-1]\n"
        "assert type(layer) is keras_attn.BahdanauAttention\n"
        "assert pickle.loads(pickle.dumps(type(layer))) is type(layer)"
    )
    run_python(code, saved_model, KERAS_BACKEND="jax")


def test_the_finder_leaves_keras_to_its_own_loader():
    import keras

    assert type(keras.__loader__) is importlib.machinery.SourceFileLoader
    assert keras.__spec__.loader is keras.__loader__


@pytest.fixture(scope="module")
def wheel(tmp_path_factory):
    folder = tmp_path_factory.mktemp("wheel")
    build = ["build", "--wheel", "--no-isolation", "--outdir", folder, ROOT]
    subprocess.run([sys.executable, "-m", *build], check=True, capture_output=True)
    (path,) = folder.iterdir()
    return path


def test_the_wheel_holds_the_package_and_nothing_else(wheel):
    names = zipfile.ZipFile(wheel).namelist()
    modules = {
        str(path.relative_to(ROOT)) for path in (ROOT / "keras_attn").rglob("*.py")
    }
    assert modules | {"keras_attn/py.typed"} <= set(names)
    folders = {name.partition("/")[0] for name in names}
    assert {name for name in folders if not name.endswith(".dist-info")} == {
        "keras_attn"
    }
    assert any(name.endswith("licenses/LICENSE") for name in names)


def test_the_wheel_works_in_a_bare_environment(wheel, tmp_path):
    def run(*command):
        done = subprocess.run(command, capture_output=True, text=True, cwd=tmp_path)
        assert done.returncode == 0, done.stderr
        return done.stdout

    run(sys.executable, "-m", "venv", "--without-pip", tmp_path / "bare")
    scripts = tmp_path / "bare" / "bin"
    python = scripts / "python"
    pip = [sys.executable, "-m", "pip", "--python", python]
    run(*pip, "install", "--no-deps", "--no-index", "--quiet", wheel)
    version = f"keras_attn.__version__ == {keras_attn.__version__!r}"
    run(python, "-c", f"import keras_attn; assert {version}")
    assert keras_attn.__version__ in run(scripts / "keras-attn", "--version")
    assert "quickstart" in run(scripts / "keras-attn", "--help")
