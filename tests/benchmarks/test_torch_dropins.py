"""The table of faulty drop-ins: its faults can be made, and each method rejects a fault and accepts correct code."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

torch = pytest.importorskip("torch")
from tests.benchmarks import dropins  # noqa: E402

README = Path(__file__).with_name("README.md").read_text("utf-8")


def test_there_are_twenty_faults_of_each_family_and_each_can_be_made() -> None:
    made = [(family, name) for family, name, _ in dropins.kinds()]
    assert [family for family, _ in made] == ["forward"] * 20 + ["backward"] * 20 + ["layers"] * 20
    assert len(set(made)) == 60


def test_the_table_in_the_readme_has_all_of_them_and_no_false_alarm() -> None:
    table = README.split("<!-- table: tests.benchmarks.dropins -->\n")[1].split("<!-- end of table")[0]
    rows = {line.split("|")[1].strip(): re.findall(r"(\d+) of (\d+)", line) for line in table.splitlines()[2:]}
    assert rows["all"][-1] == ("60", "60")
    assert {caught for caught, _ in rows["modules without a fault"]} == {"0"}
    for k in range(len(dropins.METHODS)):
        assert sum(int(rows[family][k][0]) for family in dropins.FAMILIES) == int(rows["all"][k][0])


@pytest.mark.parametrize("method", dropins.METHODS)
def test_a_method_rejects_a_fault_and_accepts_correct_code(method: str) -> None:
    kinds = {(family, name): kind for family, name, kind in dropins.kinds()}
    family = "backward" if method == "gradcheck" else "layers"
    name = "sign of z" if method == "gradcheck" else "directions exchanged"
    wrong = kinds[family, name]
    (correct,) = (kind for each, kind in dropins.right() if each == family and kind.__name__ == wrong.__name__)
    asked = dropins.METHODS[method]
    assert dropins.rejects(asked, wrong, family == "layers")
    assert method == "this suite" or not dropins.rejects(asked, correct, family == "layers")
