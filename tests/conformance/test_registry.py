"""The registry: frameworks by name, frameworks that are not installed, and errors that must not be hidden."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest

import adapters

HIDE = """
import sys
import importlib.machinery
find = importlib.machinery.PathFinder.find_spec
importlib.machinery.PathFinder.find_spec = lambda name, *rest: None if name in {names} else find(name, *rest)
{code}
"""


def run_without(framework: str, code: str) -> subprocess.CompletedProcess[str]:
    """Run code in a process in which the packages of a framework cannot be imported."""
    needed = adapters.packages(Path(adapters.__file__).with_name(f"{framework}.py")) - {"numpy"}
    script = HIDE.format(names=set(needed), code=code)
    return subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=False)


def test_the_frameworks_are_the_files() -> None:
    files = {path.stem for path in Path(adapters.__file__).parent.glob("[!_]*.py")}
    assert adapters.frameworks() == sorted(files - {"layout"})


def test_an_unknown_framework_is_named() -> None:
    names = re.escape(str(adapters.frameworks()))
    with pytest.raises(ValueError, match=f"adapters: expected a framework among {names}, got 'caffe'"):
        adapters.load("caffe")


@pytest.mark.parametrize("framework", adapters.frameworks())
def test_a_framework_that_is_absent_comes_with_its_install_line(framework: str) -> None:
    ran = run_without(framework, f"import adapters; adapters.load({framework!r})")
    last = ran.stderr.strip().splitlines()[-1]
    assert re.search(rf'{framework}.* is not installed; install it with: python -m pip install "[][\w.-]+[>=]=', last)


@pytest.mark.parametrize("framework", adapters.frameworks())
def test_a_named_framework_that_is_absent_ends_with_status_2(framework: str) -> None:
    code = f"from adapters.conformance.cli import main; sys.exit(main(['check', {framework!r}]))"
    ran = run_without(framework, code)
    assert ran.returncode == 2
    assert re.match(rf"rnn-oracle: adapters: {framework}.* is not installed; install it with: python", ran.stderr)
    assert len(ran.stderr.splitlines()) == 1


@pytest.fixture
def toy(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Create a framework called toy. Its file imports its own package and a file that frameworks share."""
    (tmp_path / "toy.py").write_text("import os\n\nimport toy_package.layers\nfrom adapters._toys import shared\n")
    (tmp_path / "_toys.py").write_text("import numpy\nimport another_package\n")
    monkeypatch.setattr(adapters, "__path__", [str(tmp_path)])
    monkeypatch.syspath_prepend(tmp_path / "site")
    monkeypatch.delitem(sys.modules, "adapters.toy", raising=False)
    return tmp_path


@pytest.mark.usefixtures("toy")
def test_a_framework_needs_what_its_file_imports_and_what_it_shares_imports() -> None:
    assert adapters.frameworks() == ["toy"]
    assert adapters.missing("toy") == ["another_package", "toy_package"]
    with pytest.raises(ModuleNotFoundError, match=r"toy \(another_package, toy_package\) is not installed; install it"):
        adapters.load("toy")


def test_a_broken_dependency_of_a_framework_is_not_taken_for_its_absence(toy: Path) -> None:
    for name in ("toy_package", "another_package"):
        (toy / "site" / name).mkdir(parents=True)
        (toy / "site" / name / "__init__.py").write_text("import a_package_that_is_not_there\n")
    assert adapters.is_installed("toy")
    with pytest.raises(ModuleNotFoundError, match="No module named 'a_package_that_is_not_there'"):
        adapters.load("toy")
