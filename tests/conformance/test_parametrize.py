"""``parametrize``: every check in every dtype is a separate test, run by pytest as a user runs it."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from adapters.conformance import parametrize
from tests.conformance import cells

ROOT = Path(__file__).parents[2]
FILE = """
from adapters.conformance import parametrize
from tests.conformance import cells

@parametrize(cells.{cell}, {options})
def test_my_cell(check):
    check()
"""
PROFILES = """
import hypothesis

hypothesis.settings.register_profile("two", max_examples=2)
hypothesis.settings.register_profile("three", max_examples=3)
"""
Run = Callable[..., str]


@pytest.fixture
def run(tmp_path: Path) -> Run:
    """Run pytest on a cell; return its output."""

    def run(cell: str, options: str, *arguments: str) -> str:
        (tmp_path / "test_mine.py").write_text(FILE.format(cell=cell, options=options))
        (tmp_path / "conftest.py").write_text(PROFILES)
        profile = [] if "--hypothesis-profile" in arguments else ["--hypothesis-profile", "two"]
        command = [
            sys.executable,
            "-m",
            "pytest",
            "-p",
            "no:cacheprovider",
            "-q",
            "-rA",
            *profile,
            *arguments,
            "test_mine.py",
        ]
        environment = os.environ | {"PYTHONPATH": str(ROOT)}
        return subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, env=environment).stdout

    return run


SOME = "only=['step', 'sequence', 'options'], dtypes=['float64', 'float32']"


def test_every_check_in_every_dtype_is_a_test(run: Run) -> None:
    out = run("right", SOME)
    assert "4 passed, 2 skipped" in out
    assert "right: no options" in out
    passed = re.findall(r"PASSED test_mine.py::test_my_cell\[(.*)\]", out)
    assert passed == ["step-float64", "step-float32", "sequence-float64", "sequence-float32"]


def test_ids_are_chosen_by_k(run: Run) -> None:
    assert "2 passed, 4 deselected" in run("right", SOME, "-k", "float32 and not options")


def test_workers_of_xdist_collect_the_same(run: Run) -> None:
    assert "4 passed, 2 skipped" in run("right", SOME, "-n", "1")


def test_a_failure_is_its_account_and_no_traceback(run: Run) -> None:
    out = run("doubled", SOME, "-k", "step-float32")
    assert "1 failed" in out
    assert re.search(r"Mismatch: doubled float32 db\[\d\]: expected \S+, got ", out)
    assert "`db summed twice`" in out
    assert "api.py" not in out.split("= FAILURES =")[1].split("short test summary")[0]


def test_an_expected_failure_is_a_strict_xfail(run: Run) -> None:
    expected = f"{SOME}, expected_failures={{'sequence': 'the loop dies'}}"
    out = run("crashing_on_sequences", expected)
    assert "2 passed, 2 skipped, 2 xfailed" in out
    assert "the loop dies" in out
    out = run("right", expected)
    assert "2 failed, 2 passed, 2 skipped" in out
    assert "[XPASS(strict)] the loop dies" in out


def test_the_profile_has_the_number_of_stacks_unless_it_is_given(run: Run) -> None:
    def calls(options: str, profile: str) -> int:
        only = f"only=['step'], dtypes=['float32'], {options}"
        return run("printing", only, "--hypothesis-profile", profile).count("step by step\n")

    two, three = calls("", "two"), calls("", "three")
    # A stack of 52 cases, and one of them twice more.
    assert (two, three) == (2 * (52 + 2), 3 * (52 + 2))
    assert calls("stacks=3", "two") == three


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"stacks": 0}, "^parametrize: expected stacks of at least 1, got 0$"),
        ({"seed": -1}, "^parametrize: expected a seed of at least 0, got -1$"),
        ({"expected_failures": {"stpe": "typo"}}, "^expected_failures: expected one of .*, got 'stpe'$"),
        ({"dtypes": ["float8"]}, r"^dtypes: expected some of .*, got \['float8'\]$"),
        ({"only": ["steps"]}, r"^only: expected some of .*, got \['steps'\]$"),
    ],
)
def test_bad_arguments_are_reported_when_the_tests_are_made(options: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        parametrize(cells.right, **options)
