"""The tables and slopes of the benchmarks. Times are never asserted."""

import json
from pathlib import Path

import pytest

from tests.benchmarks import growth, speed
from tests.benchmarks.timing import Table, times


def test_a_table_is_markdown_for_people_and_numbers_for_programs(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(speed, "RESULTS", tmp_path)
    table = Table(("what", "ratio"), [["evaluate", 1.234], ["certify", 97.4]])
    assert str(table) == "| what | ratio |\n| --- | --- |\n| evaluate | 1.23 |\n| certify | 97 |\n"
    speed.write({"proof": table}, "a machine")
    assert json.loads((tmp_path / "speed.json").read_text("utf-8")) == {
        "machine": "a machine",
        "tables": {"proof": {"head": ["what", "ratio"], "rows": [["evaluate", 1.234], ["certify", 97.4]]}},
    }


@pytest.mark.parametrize("power", [0.5, 1.0, 2.0])
def test_a_slope_is_the_power_of_the_growth(power: float) -> None:
    sizes = (8, 64, 512)
    assert growth.slope(sizes, [3e-4 * size**power for size in sizes]) == pytest.approx(power)


def test_every_size_is_timed_and_what_is_timed_runs_once_more_than_it_counts() -> None:
    found = growth.measure((1, 2, 3), "T", {"N": 2, "D": 2, "H": 2})
    assert [len(seconds) for seconds in found.values()] == [3, 3]
    calls: list[int] = []
    times({"one": lambda: calls.append(1)}, rounds=4)
    assert len(calls) == 5
