"""The example with a mistake gives the message in the README, and passes after the fix in the README."""

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
from tests.progress import besides_progress

EXAMPLE = Path(numpy_by_hand.__file__)
SOURCE = EXAMPLE.read_text("utf-8")
README = (ROOT / "adapters/README.md").read_text("utf-8")
WRONG, RIGHT = "dh = A[t] @ Wh\n", "dh = A[t] @ Wh.T\n"


def in_the_readme() -> doctest.Example:
    """Return the cell in the README."""
    (found,) = (each for each in doctest.DocTestParser().get_examples(README) if each.source.startswith("def my_cell("))
    return found


def message_lines() -> list[str]:
    """Return the lines of the message in the README, as patterns."""
    (call,) = (each for each in doctest.DocTestParser().get_examples(README) if each.source.startswith("check(my_cell"))
    lines = call.want.splitlines()[1:]
    return [re.escape(line).replace(re.escape("..."), ".*") for line in lines]


def test_the_readme_shows_the_example_as_it_is() -> None:
    assert in_the_readme().source == inspect.getsource(numpy_by_hand.my_cell)


@ONCE
def test_check_prints_the_message_of_the_readme(installed: Environment, tmp_path: Path) -> None:
    ran = installed.run("python", str(EXAMPLE), where=tmp_path)
    assert ran.returncode == 1
    assert re.search("\n".join(message_lines()) + r"\n\Z", ran.stderr), ran.stderr


@ONCE
def test_it_passes_once_the_line_is_fixed(installed: Environment, tmp_path: Path) -> None:
    assert SOURCE.count(WRONG) == 1
    (tmp_path / "fixed.py").write_text(SOURCE.replace(WRONG, RIGHT))
    ran = installed.run("python", "fixed.py", where=tmp_path)
    assert (ran.returncode, ran.stderr) == (0, "")
    assert re.search(r"my_cell +float32 .* pass +\n", ran.stdout)
    quick = ("--dtype", "float32", "--only", "step", "--stacks", "1")
    check_run = installed.run("rnn-oracle", "check", "fixed:my_cell", *quick, where=tmp_path)
    assert (check_run.returncode, besides_progress(check_run.stderr)) == (0, "")
    assert re.search(r"my_cell +float32 .* pass *\n", check_run.stdout)


@pytest.mark.parametrize("dtype", ["float64", "float32", "float16"])
def test_the_cell_of_the_readme_passes_once_it_is_fixed(dtype: str) -> None:
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
