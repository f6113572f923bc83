"""The allowed imports, checked in the sources and in the modules that a process has loaded."""

import ast
import importlib.util
import re
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
STANDARD = sys.stdlib_module_names


def sources(folder: str, pattern: str = "**/*.py") -> list[Path]:
    return sorted(path.relative_to(ROOT) for path in (ROOT / folder).glob(pattern))


def imported(text: str) -> Iterator[str]:
    """Yield the full name of every module that a source imports, also inside functions."""
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert not node.level, f"expected absolute imports, got a relative one in line {node.lineno}"
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


def foreign(path: Path, *allowed: str) -> set[str]:
    """Return the imports of a source that are neither in the standard library nor in the allowed packages."""
    names = set(imported((ROOT / path).read_text("utf-8")))
    return {
        name for name in names if not any(f"{name}.".startswith(f"{package}.") for package in (*STANDARD, *allowed))
    }


def by_path(path: Path) -> str:
    return path.as_posix()


DRAWN = {"strategies.py", "mutation_score.py"}  # modules that draw cases need Hypothesis
ADAPTERS = [path for path in sources("adapters", "*.py") if path.stem != "__init__"]
CONFORMANCE = [*sources("adapters", "__init__.py"), *sources("adapters/conformance")]
# Files that several adapters share and that need only NumPy.
SHARED = {"layout", "_drop_in", "_errors", "_layers", "_offers", "_places", "_source", "_way"}
BFLOAT16 = {"archive.py"}  # NumPy has no bfloat16, so ml_dtypes is imported on first use


@pytest.mark.parametrize("path", sources("reference"), ids=by_path)
def test_reference_imports_numpy_and_itself(path: Path) -> None:
    others = ["hypothesis"] * (path.name in DRAWN) + ["ml_dtypes"] * (path.name in BFLOAT16)
    assert foreign(path, "numpy", "reference", *others) == set()


@pytest.mark.parametrize("path", ADAPTERS, ids=by_path)
def test_an_adapter_imports_its_own_framework_and_no_other_adapter(path: Path) -> None:
    public = {adapter.stem for adapter in ADAPTERS if adapter.stem[0] != "_"} - SHARED
    others = {f"adapters.{stem}" for stem in public} | {"adapters.conformance"}
    assert foreign(path, "numpy", "reference", "adapters", *packages_of(path.stem)) == set()
    assert not [name for name in imported((ROOT / path).read_text("utf-8")) if name.startswith(tuple(others))]


@pytest.mark.parametrize("path", [path for path in ADAPTERS if path.stem in SHARED], ids=by_path)
def test_files_that_adapters_share_import_only_numpy(path: Path) -> None:
    assert foreign(path, "numpy", "reference", "adapters.Adapter", *(f"adapters.{stem}" for stem in SHARED)) == set()


def packages_of(stem: str) -> set[str]:
    """Return the packages of the extra of a file; a shared file has those of the framework in its name."""
    name = re.sub("_(cells|file|layers|module)$", "", stem.lstrip("_")).replace("_", "-")
    extras = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]["optional-dependencies"]
    lines = [line for extra in extras if f"{extra}-".startswith(f"{name}-") for line in extras[extra]]
    named = {re.split("[^A-Za-z0-9_-]", line)[0] for line in lines}
    # dm-haiku, tensorflow-cpu and paddlepaddle install modules with shorter names, and jax installs jaxlib.
    shorter = {package.removeprefix("dm-").removesuffix("-cpu").replace("paddlepaddle", "paddle") for package in named}
    return shorter | {f"{name}lib"}


@pytest.mark.parametrize("path", CONFORMANCE, ids=by_path)
def test_conformance_imports_no_framework(path: Path) -> None:
    frameworks = {adapter.stem for adapter in ADAPTERS} - {"numpy", *SHARED}
    names = set(imported((ROOT / path).read_text("utf-8")))
    assert not {name for name in names if name.removeprefix("adapters.").partition(".")[0] in frameworks}
    assert not foreign(path, "reference", "adapters", "pytest", *declared())


def declared() -> list[str]:
    """Return the dependencies of the package without extras, from pyproject.toml."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]
    return [re.split("[^A-Za-z0-9_-]", line)[0] for line in project["dependencies"]]


def test_sources_are_found() -> None:
    assert {Path("reference/layer.py"), Path("reference/cells/rnn.py")} <= set(sources("reference"))


@pytest.mark.parametrize(
    "line", ["import torch", "import torch.nn as nn", "from torch.nn import RNN", "def f(): import torch"]
)
def test_a_foreign_import_is_detected(line: str, tmp_path: Path) -> None:
    (tmp_path / "module.py").write_text(f"import os.path\nfrom numpy.typing import NDArray\n{line}\n")
    assert {name.partition(".")[0] for name in foreign(tmp_path / "module.py", "numpy")} == {"torch"}


def loaded_by(statement: str) -> set[str]:
    """Return the packages that a fresh process has loaded after a statement."""
    script = f"import sys\n{statement}\nprint(*{{name.partition('.')[0] for name in sys.modules}})"
    done = subprocess.run([sys.executable, "-c", script], cwd=ROOT, capture_output=True, text=True, check=True)
    return set(done.stdout.split())


def test_importing_the_oracle_loads_only_numpy() -> None:
    found = loaded_by("import reference")
    assert {"numpy", "reference"} <= found
    assert not found & {"hypothesis", "torch", "jax", "flint", "ml_dtypes", "rich", "safetensors", "adapters", "pytest"}


def test_importing_the_adapters_loads_no_framework() -> None:
    assert not loaded_by("import adapters") & {adapter.stem for adapter in ADAPTERS}


@pytest.mark.parametrize("words", [["--help"], ["check", "--help"], ["chek"]], ids=" ".join)
def test_the_command_line_shows_its_help_without_its_dependencies(words: list[str]) -> None:
    run = f"import contextlib, adapters.conformance.cli as cli\nwith contextlib.suppress(SystemExit): cli.main({words})"
    found = loaded_by(run)
    assert "adapters" in found
    ours = {name.replace("-", "_") for name in declared()} - {"numpy"}
    assert not found & (ours | {adapter.stem for adapter in ADAPTERS})


def test_a_loaded_package_is_detected() -> None:
    assert importlib.util.find_spec("hypothesis") is not None
    assert "hypothesis" in loaded_by("import reference.strategies")
