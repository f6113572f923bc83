"""The wheel and the source distribution are complete, and the wheel works in an empty environment."""

from __future__ import annotations

import doctest
import subprocess
import sys
import tarfile
from pathlib import Path
from zipfile import ZipFile

import pytest

from tests.examples.conftest import ONCE, PINNED, ROOT, Environment, pip
from tests.progress import besides_progress

pytestmark = ONCE

README = (ROOT / "README.md").read_text("utf-8")


def contents(wheel: Path) -> set[str]:
    """Return the files of the packages in a wheel."""
    return {name for name in ZipFile(wheel).namelist() if not name.startswith("rnn_oracle-")}


@pytest.fixture(scope="module")
def sdist(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a source distribution of the clone."""
    folder = tmp_path_factory.mktemp("sdist")
    pip("install", *PINNED, "--target", folder / "backend", "hatchling")
    build = [sys.executable, "-m", "hatchling", "build", "--target", "sdist", "--directory", str(folder)]
    subprocess.run(build, cwd=ROOT, env={"PYTHONPATH": str(folder / "backend")}, capture_output=True, check=True)
    (built,) = folder.glob("*.tar.gz")
    return built


def test_the_wheel_has_every_file_of_the_packages_and_no_other(wheel: Path) -> None:
    files = {
        path.relative_to(ROOT).as_posix()
        for package in ("reference", "adapters")
        for path in (ROOT / package).rglob("*")
        if path.is_file() and "__pycache__" not in path.parts
    }
    # The console entry is a module of its own in the wheel; where hatchling moves it, it is not in its folder any more.
    assert contents(wheel) | {"adapters/conformance/rnn_oracle.py"} == files | {"rnn_oracle.py"}
    needed = {"char_rnn.npz", "report.html.jinja"}
    assert {"adapters/py.typed", "reference/py.typed", *(f"adapters/conformance/{name}" for name in needed)} <= files


def test_a_wheel_of_the_source_distribution_is_the_same(wheel: Path, sdist: Path, tmp_path: Path) -> None:
    pip("wheel", "--no-deps", "--wheel-dir", tmp_path, sdist)
    (again,) = tmp_path.glob("*.whl")
    assert contents(again) == contents(wheel)


def test_the_source_distribution_has_what_its_tests_read(sdist: Path) -> None:
    with tarfile.open(sdist) as archive:
        names = {name.partition("/")[2] for name in archive.getnames()}
    expected = {"README.md", "FINDINGS.md", "CHANGELOG.md", "LICENSE", "noxfile.py", "pyproject.toml"}
    assert expected | {"tests/README.md", "tests/constraints.txt", "tests/trained/text.txt"} <= names


def test_it_is_this_package_that_is_installed(installed: Environment, tmp_path: Path) -> None:
    code = "import reference, adapters, sys; print(reference.__file__, adapters.__file__, 'torch' in sys.modules)"
    reference, adapters, torch = installed.run("python", "-c", code, where=tmp_path).stdout.split()
    home = installed.folder if installed.how == "wheel" else ROOT
    assert Path(reference).is_relative_to(home)
    assert Path(adapters).is_relative_to(home)
    assert torch == "False"


def test_the_first_example_of_the_readme_prints_its_output(installed: Environment, tmp_path: Path) -> None:
    first = README.split("```python\n")[1].split("```")[0]
    assert doctest.DocTestParser().get_examples(first)
    (tmp_path / "first.txt").write_text(first)
    ran = installed.run("python", "-m", "doctest", "first.txt", where=tmp_path)
    assert (ran.returncode, ran.stdout, ran.stderr) == (0, "", "")
    (tmp_path / "first.txt").write_text(first.replace("0.021", "0.022"))
    assert installed.run("python", "-m", "doctest", "first.txt", where=tmp_path).returncode == 1


def test_the_list_has_the_install_line_of_a_framework(installed: Environment, tmp_path: Path) -> None:
    ran = installed.run("rnn-oracle", "list", where=tmp_path)
    assert (ran.returncode, ran.stderr) == (0, "")
    assert 'adapters: torch is not installed; install it with: python -m pip install "torch>=2.6"' in ran.stdout


def test_a_page_is_made_without_other_packages(installed: Environment, tmp_path: Path) -> None:
    (tmp_path / "mycell.py").write_text("from reference.faults import compute as mine\n")
    asked = ("mycell:mine", "--dtype", "float32", "--stacks", "1", "--only", "step", "trained")
    ran = installed.run("rnn-oracle", "check", *asked, "--json", "r.json", where=tmp_path)
    assert (ran.returncode, besides_progress(ran.stderr)) == (0, "")
    ran = installed.run("rnn-oracle", "report", "r.json", "-o", "r.html", where=tmp_path)
    assert (ran.returncode, ran.stderr) == (0, "")
    assert "All 2 checks were judged" in (tmp_path / "r.html").read_text("utf-8")
