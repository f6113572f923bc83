"""What the README says is what happens."""

from __future__ import annotations

import doctest
import re
from pathlib import Path

import adapters

README = Path(__file__).parents[1] / "README.md"


def test_every_example_prints_what_the_readme_says() -> None:
    failed, tried = doctest.testfile(str(README), module_relative=False, encoding="utf-8")
    assert failed == 0
    assert tried > 15


def test_the_table_has_a_row_for_every_framework() -> None:
    table = README.read_text(encoding="utf-8").split("<!-- table")[1].split("<!-- end of table")[0]
    rows = re.findall(r"^\| (\w+)\.\w+ \| float", table, re.MULTILINE)
    assert sorted(set(rows)) == adapters.frameworks()


def test_a_runnable_example_stands_in_the_first_fifteen_lines() -> None:
    assert ">>> " in "\n".join(README.read_text(encoding="utf-8").splitlines()[:15])
