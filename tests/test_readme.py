"""The README's examples, tables and numbers are those of the code."""

from __future__ import annotations

import doctest
import re
from pathlib import Path

import pytest

import adapters
from adapters.conformance import NAMES
from adapters.conformance.report import STATUSES
from reference.faults import COMPUTED, FAULTS
from reference.mutation_score import LIMIT, sensitivity

README = Path(__file__).parents[1] / "README.md"


def test_every_example_prints_its_output_in_the_readme() -> None:
    failed, tried = doctest.testfile(str(README), module_relative=False, encoding="utf-8")
    assert failed == 0
    assert tried > 15


def test_the_table_has_a_row_for_every_framework() -> None:
    table = table_after("rnn-oracle report results/*.json")
    rows = re.findall(r"^\| (\w+)\.[\w.]+ \| ", table, re.MULTILINE)
    assert sorted(set(rows)) == adapters.frameworks()


@pytest.mark.parametrize(("head", "names"), [("| check | cases |", NAMES), ("| status | meaning |", STATUSES)])
def test_the_table_of_names_has_all_of_them(head: str, names: tuple[str, ...]) -> None:
    rows = README.read_text(encoding="utf-8").split(f"{head}\n")[1].split("\n\n")[0].splitlines()[1:]
    shown = [name.strip(" *") for row in rows for name in row.split("|")[1].split(",")]
    assert set(shown) == set(names)


def table_after(marker: str) -> str:
    """Return the lines between a table's marker and the end of the table."""
    return README.read_text(encoding="utf-8").split(f"<!-- table: {marker} -->\n")[1].split("<!-- end of table")[0]


def test_the_catalogue_has_the_number_of_faults_in_the_readme() -> None:
    text = " ".join(README.read_text(encoding="utf-8").split())
    shown = sum(len(fault.precisions) for fault in FAULTS.values())
    hidden = sum(len(fault.hidden) for fault in FAULTS.values())
    assert f"a catalogue of {len(FAULTS)} realistic mistakes" in text
    assert f"all {shown} combinations of fault and precision are caught within {LIMIT} cases" in text
    assert f"The other {hidden} are no more than a rounding" in text
    assert f"| all {len(FAULTS)} |" in table_after("python tests/benchmarks/methods.py")


@pytest.mark.parametrize("dtype", COMPUTED)
def test_the_smallest_detected_errors_are_those_in_the_readme(dtype: str) -> None:
    head, _, *rows = (line.strip("| ").split(" | ") for line in table_after("rnn-oracle faults").splitlines())
    (said,) = (dict(zip(head, row, strict=True)) for row in rows if row[0] == dtype)
    # The errors of correct code use up a share of the bound that differs between machines.
    shares = {name: figure / float(said[name]) for name, figure in sensitivity(dtype).items()}
    assert all(0.8 < share < 1.25 for share in shares.values()), shares


def test_a_runnable_example_stands_in_the_first_fifteen_lines() -> None:
    assert ">>> " in "\n".join(README.read_text(encoding="utf-8").splitlines()[:15])
