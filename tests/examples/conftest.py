"""Environments as users create them: a new environment with the package, from a wheel or as an editable clone."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import sysconfig
import venv
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import pytest

from reference import Case, Evaluation

ROOT = Path(__file__).parents[2]
# Creating an environment takes seconds, so tests share one, on one worker of xdist.
ONCE = pytest.mark.xdist_group("environments")
PINNED = ("--constraint", str(ROOT / "tests" / "constraints.txt"))


def from_readme(framework: str, **names: Any) -> dict[str, Any]:
    """Return the names that the README's file for a framework defines."""
    text = (ROOT / "README.md").read_text(encoding="utf-8")
    (code,) = re.findall(rf"<!-- file: mine.py, {framework} -->\n```python\n(.*?)```", text, re.DOTALL)
    defined = {"Case": Case, "Evaluation": Evaluation} | names
    exec(code, defined)
    return defined


def pip(*arguments: str | Path) -> None:
    """Run pip.

    Raises:
        AssertionError: pip failed; the message is its output.
    """
    ran = subprocess.run([sys.executable, "-m", "pip", "--quiet", *arguments], capture_output=True, text=True)
    assert ran.returncode == 0, ran.stderr


@dataclass(frozen=True)
class Environment:
    """A virtual environment with the package in it."""

    folder: Path
    how: str  # the package came: "wheel" or "editable"

    def run(self, program: str, *arguments: str, where: Path) -> subprocess.CompletedProcess[str]:
        """Run a program of the environment in a folder without files of the clone; return its output."""
        own = {name: value for name, value in os.environ.items() if not name.startswith("PYTHON")}
        command = [str(self.folder / "bin" / program), *arguments]
        return subprocess.run(command, cwd=where, capture_output=True, text=True, env=own)


def new(folder: Path, how: str, wheel: Path, *options: str) -> Environment:
    """Make an environment and install the package."""
    venv.create(folder, symlinks=True)
    package = [wheel] if how == "wheel" else ["--editable", ROOT]
    pip("--python", folder / "bin" / "python", "install", "--no-compile", *PINNED, *options, *package)
    return Environment(folder, how)


@pytest.fixture(scope="session")
def wheel(pytestconfig: pytest.Config, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a wheel that is built from the clone."""
    if not pytestconfig.getoption("network"):
        pytest.skip("--network was not given: pip would install packages")
    folder = tmp_path_factory.mktemp("wheel")
    pip("wheel", "--no-deps", "--wheel-dir", folder, ROOT)
    (built,) = folder.glob("*.whl")
    return built


@pytest.fixture(scope="session")
def empty(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Environment]:
    """Return a function that creates, once, an environment with only the package and its dependencies."""
    return cache(lambda how: new(tmp_path_factory.mktemp("empty"), how, wheel))


@pytest.fixture(params=["wheel", "editable"])
def installed(request: pytest.FixtureRequest, empty: Callable[[str], Environment]) -> Environment:
    """Return an environment with the package, from the wheel and as an editable clone."""
    return empty(request.param)


@pytest.fixture(scope="session")
def beside(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Environment:
    """Return an environment with only the wheel that also finds the packages of this environment, which are large."""
    made = new(tmp_path_factory.mktemp("beside"), "wheel", wheel, "--no-deps")
    (site,) = made.folder.glob("lib/python*/site-packages")
    # The folder in a .pth file comes after the packages of the environment, and .pth files in that folder are not read.
    (site / "beside.pth").write_text(sysconfig.get_path("purelib") + "\n")
    return made
