"""A failing subject has the same account in the function, in pytest, on the command line and in the report."""

from __future__ import annotations

import html
import os
import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from adapters.conformance import check
from adapters.conformance.cli import main
from reference import Case, Mismatch
from tests.conformance import cells

ROOT = Path(__file__).parents[2]
ASKED: dict[str, Any] = {"stacks": 2, "seed": 3, "dtypes": ["float32"], "only": ["sequence"]}
WORDS = ("--stacks", "2", "--seed", "3", "--dtype", "float32", "--only", "sequence")
FILE = """
from adapters.conformance import parametrize
from tests.conformance import cells

@parametrize(cells.{cell}, **{asked})
def test_my_cell(check):
    check()
"""


def of_the_function(cell: Callable[[Case], Any]) -> str:
    """Return the account that ``check`` raises."""
    with pytest.raises(Mismatch) as told:
        check(cell, **ASKED)
    return str(told.value).split(f"{cell.__name__} float32, sequence: fail\n")[1]


def of_pytest(cell: Callable[[Case], Any], folder: Path) -> str:
    """Return the account in the output of pytest."""
    (folder / "test_mine.py").write_text(FILE.format(cell=cell.__name__, asked=ASKED))
    command = [sys.executable, "-m", "pytest", "-p", "no:cacheprovider", "-q", "test_mine.py"]
    environment = os.environ | {"PYTHONPATH": str(ROOT)}
    out = subprocess.run(command, cwd=folder, capture_output=True, text=True, env=environment).stdout
    lines = re.findall(r"^E {7}(.*)$", out, re.MULTILINE)
    return "\n".join(lines).partition("Mismatch: ")[2]


def of_the_command_line(cell: Callable[[Case], Any], folder: Path, capsys: pytest.CaptureFixture[str]) -> str:
    """Return the account that ``rnn-oracle check`` prints; the results are written to r.json."""
    own = (f"tests.conformance.cells:{cell.__name__}", "--json", str(folder / "r.json"))
    assert main(["check", *own, *WORDS]) == 1
    return capsys.readouterr().out.split("\nFAIL in sequence\n")[1].partition(f"\n\n{cell.__name__} is ")[0]


def of_the_report(folder: Path) -> tuple[str, str]:
    """Return the account on the page and in the Markdown that ``rnn-oracle report`` writes from r.json."""
    page, table = folder / "r.html", folder / "r.md"
    asked = ("-o", str(page), "--markdown", str(table))
    assert main(["report", str(folder / "r.json"), *asked]) == 0
    shown = re.findall(r'<pre tabindex="0">(.*?)</pre>', page.read_text("utf-8"), re.DOTALL)
    fenced = table.read_text("utf-8").split("```\n")[1]
    return html.unescape("\n".join(shown)), fenced.rstrip("\n")


TOLD: dict[Callable[[Case], Any], str] = {
    cells.only_dwh_transposed: "`dWh transposed`",
    cells.doubled: "`db summed twice`",
    cells.negative: "dh0 is wrong; h, dx, dWx, dWh are right",
    cells.without_dwh: "contract: expected dWh of shape (H, H) = ",
    cells.crashing_on_sequences: "raised RuntimeError: the loop died",
}


@pytest.mark.parametrize("cell", TOLD, ids=lambda cell: cell.__name__)
def test_all_front_ends_give_the_same_account(
    cell: Callable[[Case], Any], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    account = of_the_function(cell)
    assert TOLD[cell] in account
    assert of_pytest(cell, tmp_path) == account
    assert of_the_command_line(cell, tmp_path, capsys) == account
    assert of_the_report(tmp_path) == (account, account)


def test_another_subject_has_another_account(tmp_path: Path) -> None:
    assert of_pytest(cells.negative, tmp_path) != of_the_function(cells.doubled)
