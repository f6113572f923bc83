"""Results read back and put together: shards are added up, environments stand side by side, what is broken is told."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from adapters.conformance.merge import merge, merged
from adapters.conformance.page import render
from adapters.conformance.read import read
from adapters.conformance.report import Report
from adapters.conformance.result import BINS, EDGES, Result
from tests.made import failing, passing, report_of

Save = Callable[[object], Path]


def test_what_is_read_is_what_was_written(saved: Save) -> None:
    report = report_of(passing(), failing())
    assert read(saved(report)).as_json() == report.as_json()


def test_results_of_before_the_histogram_are_read(saved: Save) -> None:
    data = report_of(passing(), failing()).as_json()
    for check in data["adapters"][0]["dtypes"]["float32"]["checks"]:
        del check["histogram"]
        if check["failure"]:
            check["failure"] = {name: check["failure"][name] for name in ("message", "diagnosis", "reproduction")}
    (run,) = merged([saved(data)])
    assert run.rows[0].checks[0].histogram == [0] * BINS
    assert "eggs.a float32 dWh[0, 1]: got 1, want 2" in render([run])


def test_shards_of_one_environment_are_added_up(saved: Save) -> None:
    one, other = passing(cases=100), passing(cases=50)
    other.worst = {"h": 0.75, "db": 0.125}
    other.refusals = ["eggs.a: spam"]
    (run,) = merged([saved(report_of(one)), saved(report_of(other, failing()))])
    step, sequence = run.rows[0].checks
    assert (step.cases, step.examples, sum(step.histogram)) == (150, 4, 150)
    assert step.worst == {"h": 0.75, "dWh": 0.5, "db": 0.125}
    assert step.refusals == ["eggs.a: T=0 is refused", "eggs.a: spam"]
    assert (step.status, sequence.status, run.rows[0].status) == ("pass", "fail", "fail")


def test_a_failure_in_one_shard_is_kept_and_both_accounts_of_two() -> None:
    (run,) = merge([report_of(passing("sequence")), report_of(failing("eggs")), report_of(failing("spam"))])
    (check,) = run.rows[0].checks
    assert (check.failure, check.status, check.cases) == ("eggs\n\nspam", "fail", 108)
    assert check.heat is not None


def test_a_failure_that_one_shard_knows_excuses_none_of_the_other() -> None:
    known = failing("eggs")
    known.known = "spam"
    (run,) = merge([report_of(known), report_of(failing("spam"))])
    assert run.rows[0].status == "fail"


def test_the_same_results_twice_are_counted_once(saved: Save) -> None:
    path = saved(report_of(passing(cases=100)))
    (run,) = merged([path, path])
    assert run.rows[0].cases == 100


def test_different_environments_stand_side_by_side() -> None:
    runs = merge([report_of(passing()), report_of(failing(name="step"), version="2.0")])
    assert [run.rows[0].checks[0].status for run in runs] == ["pass", "fail"]
    page = render(runs)
    for words in ("1.0 · environment 1", "2.0 · environment 2", "eggs 2.0, flush denormal False"):
        assert words in page
    assert page.count('<th scope="row">eggs.a') == 2


def test_frameworks_of_one_machine_are_one_environment() -> None:
    other = report_of(passing(), adapter="spam.a")
    other.environment = {"oracle": other.environment["oracle"], "spam": {"spam": "3"}}
    (run,) = merge([report_of(passing()), other])
    assert [row.adapter for row in run.rows] == ["eggs.a", "spam.a"]
    assert set(run.environment) == {"oracle", "eggs", "spam"}


def test_the_reports_that_are_merged_stay_as_they_are() -> None:
    report = report_of(passing(cases=1))
    merge([report, report_of(passing(cases=2))])
    assert report.rows[0].checks[0].cases == 1


def changed(path: str, value: Any) -> Any:
    """Return a report as plain data with one value changed."""
    data: Any = report_of(passing(), failing()).as_json()
    *way, last = (int(word) if word.isdecimal() else word for word in path.split())
    place = data
    for step in way:
        place = place[step]
    place[last] = value
    return data


CHECK = "adapters 0 dtypes float32 checks 0"
FAILURE = "adapters 0 dtypes float32 checks 1 failure"


@pytest.mark.parametrize(
    ("what", "message"),
    [
        ("{", "json: expected JSON, got JSONDecodeError: "),
        ("[" * 100_000, "json: expected JSON, got RecursionError: "),
        ([], "json: expected an object, got []"),
        ({"eggs": 1}, "json: expected 'environment', got ['eggs']"),
        (changed("adapters", 3), "json adapters: expected a list, got 3"),
        (changed("environment eggs", {"eggs": 1}), "json environment eggs eggs: expected text, got 1"),
        (changed(f"{CHECK} cases", "x" * 99), f"cases: expected a whole number, got '{'x' * 56}..."),
        (changed(f"{CHECK} cases", True), "cases: expected a whole number, got True"),
        (changed(f"{CHECK} cases", -1), "cases: expected at least 0, got -1"),
        (changed(f"{CHECK} worst", {"h": None}), "worst h: expected a number, got None"),
        (changed(f"{CHECK} name", "sequence"), "expected each check once, got ['sequence', 'sequence']"),
        (changed(f"{CHECK} histogram counts", [1]), "histogram: expected bins (-4, 1, 20), got (-4, 1, 1)"),
        (changed(FAILURE, None), "status: expected 'pass'"),
        (changed(f"{FAILURE} heat ratios", [["x"]]), "heat: expected a matrix of ratios, got ValueError: "),
        (changed(f"{FAILURE} heat ratios", [[0.5, 0.5]]), "got IndexError: no element outside at (0, 1)"),
    ],
    ids=range(15),
)
def test_a_broken_or_foreign_file_is_told_in_one_sentence(saved: Save, what: object, message: str) -> None:
    with pytest.raises(ValueError, match=re.escape(message)) as told:
        read(saved(what))
    assert len(str(told.value).splitlines()) == 1


def test_a_file_that_is_not_there_is_told() -> None:
    with pytest.raises(FileNotFoundError, match="report: expected a file, got /no/such"):
        read("/no/such.json")


def test_a_list_of_numbers_takes_one_line_and_no_text_is_touched(saved: Save) -> None:
    message = 'eggs [\n1,\n2] "spam"'
    text = saved(report_of(failing(message))).read_text()
    assert '"ratios": [\n        [ 0.5, 3.0 ],\n        [ null, 0.0 ]'.replace(" ", "") in text.replace(" ", "")
    assert json.loads(text)["adapters"][0]["dtypes"]["float32"]["checks"][0]["failure"]["message"] == message


def test_the_bound_is_the_edge_between_two_bins() -> None:
    assert EDGES[15] == 1.0
    assert len(EDGES) == BINS - 1


def test_an_empty_result_is_read_as_empty(saved: Save) -> None:
    report = Report({}, report_of(Result("step")).rows, "0.1")
    assert read(saved(report)).rows[0].status == "empty"
