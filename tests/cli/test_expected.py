"""A failure that is expected, in a run that is cut into shards and put together again."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from adapters.conformance.cli import main
from adapters.conformance.results import read_merged

# One of the six cases of the check "shapes" has 512 inputs: the fifth, which is in the first of two shards.
MODULE = """
import dataclasses
import numpy as np
from adapters import Adapter, ExpectedFailure
from reference.faults import compute

def wide(case):
    answer = compute(case)
    return dataclasses.replace(answer, dWx=2 * answer.dWx) if case.sizes["D"] > 512 > case.sizes["H"] else answer

KNOWN = {"shapes": ExpectedFailure("dWx is doubled from 512 inputs on", "our list")}
failing = Adapter("mine.failing", wide, "known to be wrong", np.tanh, {"float32": 2.5}, expected_failures=KNOWN)
mended = Adapter("mine.mended", compute, "no longer wrong", np.tanh, {"float32": 2.5}, expected_failures=KNOWN)
"""


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Be where the cells are."""
    (tmp_path / "known_cell.py").write_text(MODULE)
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.delitem(sys.modules, "known_cell", raising=False)


def status(name: str, *parts: str) -> str:
    """Return the status of the check once these shards are put together."""
    files = [f"{part.replace('/', '-')}.json" for part in parts]
    for part, file in zip(parts, files, strict=True):
        asked = ("--adapter", f"known_cell:{name}", "--only", "shapes", "--shard", part, "--json", file)
        assert main(["check", *asked]) == (1 if (name, part) == ("mended", "1/1") else 0)
    (run,) = read_merged(files)
    return run.rows[0].status


@pytest.mark.parametrize(
    ("name", "parts", "expected"),
    [
        ("failing", ("1/1",), "known"),
        ("failing", ("1/2",), "known"),
        ("failing", ("2/2",), "pass"),
        ("failing", ("1/2", "2/2"), "known"),
        ("mended", ("1/1",), "stale"),
        ("mended", ("1/2",), "pass"),
        ("mended", ("1/3", "3/3"), "pass"),
        ("mended", ("1/2", "2/2"), "stale"),
    ],
)
def test_shards_together_say_what_the_whole_run_says(name: str, parts: tuple[str, ...], expected: str) -> None:
    assert status(name, *parts) == expected


def test_the_page_and_junit_of_all_shards_tell_that_it_is_stale() -> None:
    assert status("mended", "1/2", "2/2") == "stale"
    assert main(["report", "1-2.json", "2-2.json", "-o", "r.html", "--junit", "r.xml"]) == 0
    told = "expected a failure, got none: dWx is doubled from 512 inputs on (our list)"
    assert f'<failure type="stale" message="{told}">' in Path("r.xml").read_text()
    assert "1 of 1 checks did not pass." in Path("r.html").read_text("utf-8")
