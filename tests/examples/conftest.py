"""Environments as users make them: empty, then the package in it, from a wheel or as an editable clone."""

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
# An environment takes seconds to make: those who need one share it, on one worker of xdist.
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
        AssertionError: it fails; the message is what it says.
    """
    ran = subprocess.run([sys.executable, "-m", "pip", "--quiet", *arguments], capture_output=True, text=True)
    assert ran.returncode == 0, ran.stderr


@dataclass(frozen=True)
class Environment:
    """A virtual environment with the package in it."""

    folder: Path
    how: str  # the package came: "wheel" or "editable"

    def run(self, program: str, *arguments: str, where: Path) -> subprocess.CompletedProcess[str]:
        """Run one of its programs in a folder that has nothing of the clone; give what it prints."""
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
    """Return a wheel of the clone as it is."""
    if not pytestconfig.getoption("network"):
        pytest.skip("--network was not given: pip would install packages")
    folder = tmp_path_factory.mktemp("wheel")
    pip("wheel", "--no-deps", "--wheel-dir", folder, ROOT)
    (built,) = folder.glob("*.whl")
    return built


@pytest.fixture(scope="session")
def empty(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Environment]:
    """Return what makes, once, an environment with the package, what it depends on, and nothing else."""
    return cache(lambda how: new(tmp_path_factory.mktemp("empty"), how, wheel))


@pytest.fixture(params=["wheel", "editable"])
def installed(request: pytest.FixtureRequest, empty: Callable[[str], Environment]) -> Environment:
    """Return an environment with the package, either way."""
    return empty(request.param)


@pytest.fixture(scope="session")
def beside(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Environment:
    """Return one with the wheel alone, and behind it what is installed where the tests run: frameworks are large."""
    made = new(tmp_path_factory.mktemp("beside"), "wheel", wheel, "--no-deps")
    (site,) = made.folder.glob("lib/python*/site-packages")
    # What such a file names comes behind the environment's own packages, and the files like it there are not read.
    (site / "beside.pth").write_text(sysconfig.get_path("purelib") + "\n")
    return made
