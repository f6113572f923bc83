"""The example that starts wrong: it is told what the README shows, and passes once it is mended as the README says."""

from __future__ import annotations

import doctest
import inspect
import re
from pathlib import Path

import pytest

from adapters.conformance import check
from reference import Mismatch
from tests.examples import numpy_by_hand
from tests.examples.conftest import ONCE, ROOT, Environment

EXAMPLE = Path(numpy_by_hand.__file__)
SOURCE = EXAMPLE.read_text("utf-8")
README = (ROOT / "README.md").read_text("utf-8")
WRONG, RIGHT = "dh = A[t] @ Wh\n", "dh = A[t] @ Wh.T\n"


def in_the_readme() -> doctest.Example:
    """Return the cell as the README has it."""
    (found,) = (each for each in doctest.DocTestParser().get_examples(README) if each.source.startswith("def my_cell("))
    return found


def told() -> list[str]:
    """Return the lines of the message in the README, as patterns."""
    (call,) = (each for each in doctest.DocTestParser().get_examples(README) if each.source.startswith("check(my_cell"))
    lines = call.want.splitlines()[1:]
    return [re.escape(line).replace(re.escape("..."), ".*") for line in lines]


def test_the_readme_shows_the_example_as_it_is() -> None:
    assert in_the_readme().source == inspect.getsource(numpy_by_hand.my_cell)


@ONCE
def test_it_is_told_what_the_readme_shows(installed: Environment, tmp_path: Path) -> None:
    ran = installed.run("python", str(EXAMPLE), where=tmp_path)
    assert ran.returncode == 1
    assert re.search("\n".join(told()) + r"\n\Z", ran.stderr), ran.stderr


@ONCE
def test_it_passes_once_the_line_is_mended(installed: Environment, tmp_path: Path) -> None:
    assert SOURCE.count(WRONG) == 1
    (tmp_path / "mended.py").write_text(SOURCE.replace(WRONG, RIGHT))
    ran = installed.run("python", "mended.py", where=tmp_path)
    assert (ran.returncode, ran.stderr) == (0, "")
    assert re.search(r"my_cell +float32 .* pass +\n", ran.stdout)
    quick = ("--dtype", "float32", "--only", "step", "--stacks", "1")
    judged = installed.run("rnn-oracle", "check", "mended:my_cell", *quick, where=tmp_path)
    assert (judged.returncode, judged.stderr) == (0, "")
    assert re.search(r"my_cell +float32 .* pass *\n", judged.stdout)


@pytest.mark.parametrize("dtype", ["float64", "float32", "float16"])
def test_the_cell_of_the_readme_passes_once_it_is_mended(dtype: str) -> None:
    names = dict(vars(numpy_by_hand))
    exec(in_the_readme().source.replace(WRONG, RIGHT), names)
    assert "With `Wh.T` in that line it returns the report." in README
    (row,) = check(names["my_cell"], dtypes=[dtype]).rows
    assert row.status == "pass"


def test_the_cell_of_the_readme_would_have_to_cast_bfloat16() -> None:
    names = dict(vars(numpy_by_hand))
    exec(in_the_readme().source.replace(WRONG, RIGHT), names)
    with pytest.raises(Mismatch, match="expected dxs as an array of bfloat16, got an array of float32"):
        check(names["my_cell"], dtypes=["bfloat16"], only=["step"])
