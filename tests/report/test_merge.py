"""Results read back and put together: shards are added up, environments stand side by side, what is broken is told."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from adapters.conformance.merge import merge, merged
from adapters.conformance.read import read

from adapters.conformance import junit, markdown
from adapters.conformance.page import render
from adapters.conformance.report import Report, Run
from adapters.conformance.result import BINS, EDGES, Part, Result
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


def strict(text: str) -> Any:
    """Read JSON as a parser does that keeps to its grammar, which has neither NaN nor infinity."""

    def refuse(constant: str) -> None:
        raise ValueError(f"expected JSON, got {constant}")

    return json.loads(text, parse_constant=refuse)


def test_an_infinite_ratio_is_written_as_every_parser_reads_it_and_read_back(saved: Save) -> None:
    path = saved(report_of(failing()))
    check = strict(path.read_text())["adapters"][0]["dtypes"]["float32"]["checks"][0]
    assert check["worst"] == {"dWh": None}
    assert read(path).rows[0].checks[0].worst == {"dWh": float("inf")}
    with pytest.raises(ValueError, match="expected JSON, got Infinity"):
        strict('{"dWh": Infinity}')


def test_infinity_as_it_was_written_before_is_read(saved: Save) -> None:
    path = saved(report_of(failing()))
    text = path.read_text()
    assert text.count('"dWh": null') == 1
    path.write_text(text.replace('"dWh": null', '"dWh": Infinity'))
    assert read(path).rows[0].checks[0].worst == {"dWh": float("inf")}


def test_what_was_asked_for_and_how_long_it_took_is_kept_and_shown(saved: Save) -> None:
    reports = [report_of(passing(), failing()), report_of(passing())]
    for part, report in enumerate(reports, 1):
        report.runs = [Run(-7, 16, (part, 2), 12.5)]
        report.rows[0].checks[0].asked = [Part(-7, part, 2, 16)]
    paths = [saved(report) for report in reports]
    assert [read(path) for path in paths] != [read(path) for path in reversed(paths)]
    assert read(paths[1]).as_json() == reports[1].as_json()
    (run,) = merged(paths)
    assert run.runs == [Run(-7, 16, (1, 2), 12.5), Run(-7, 16, (2, 2), 12.5)]
    words = ["seed -7, 16 examples, shard 1/2, 12.5 s", "seed -7, 16 examples, shard 2/2, 12.5 s"]
    assert all(f"<dt>run {i + 1}</dt><dd>{words[i]}</dd>" in render([run]) for i in range(2))
    assert f"- run: {'; '.join(words)}\n" in markdown.render([run])
    assert all(f'name="run.{i + 1}" value="{words[i]}"' in junit.render([run]) for i in range(2))
    assert str(Run(0, 8, (1, 1), 3.0)) == "seed 0, 8 examples, 3 s"


def expecting(*asked: Part, fails: bool = False) -> Report:
    """Return a report of one check, a failure of which is expected."""
    check = failing(name="step") if fails else passing()
    check.known, check.asked = "spam", list(asked)
    return report_of(check)


WHOLE, FIRST, SECOND = Part(0, 1, 1, 5), Part(0, 1, 2, 5), Part(0, 2, 2, 5)


@pytest.mark.parametrize(
    ("reports", "status"),
    [
        ([expecting(WHOLE)], "stale"),
        ([expecting(FIRST)], "pass"),
        ([expecting(FIRST), expecting(SECOND)], "stale"),
        ([expecting(SECOND), expecting(FIRST, fails=True)], "known"),
        ([expecting(FIRST, fails=True), expecting(SECOND)], "known"),
        # Of parts of different runs, some of each are missing.
        ([expecting(FIRST), expecting(Part(1, 2, 2, 5))], "pass"),
        ([expecting(FIRST), expecting(Part(0, 2, 2, 6))], "pass"),
        ([expecting(FIRST), expecting(Part(0, 2, 3, 5))], "pass"),
        # A check of a single example is in the first part alone.
        ([expecting(Part(0, 1, 2, 1))], "stale"),
        ([expecting(FIRST), expecting(SECOND), expecting(Part(1, 1, 2, 5))], "stale"),
        ([expecting(FIRST), expecting(SECOND), expecting(Part(1, 1, 1, 5), fails=True)], "known"),
    ],
    ids=range(11),
)
def test_an_expected_failure_is_stale_once_all_parts_of_a_run_are_there_and_none_has_it(
    saved: Save, reports: list[Report], status: str
) -> None:
    (run,) = merged([saved(report) for report in reports])
    assert run.rows[0].checks[0].status == status


def test_one_part_twice_is_no_whole_run(saved: Save) -> None:
    again = expecting(FIRST)
    again.runs = [Run(0, 5, (1, 2), 9.0)]
    (run,) = merged([saved(expecting(FIRST)), saved(again)])
    assert run.rows[0].cases == 2 * 104
    assert run.rows[0].status == "pass"


def test_the_page_of_a_part_tells_that_the_failure_may_be_in_another() -> None:
    assert "A failure is expected, in this part of the cases or in another: spam" in render([expecting(FIRST)])
    assert "A failure was expected, and there is none: spam" in render([expecting(WHOLE)])


def test_shards_of_one_environment_are_added_up(saved: Save) -> None:
    one, other = passing(cases=100), passing(cases=50)
    other.worst = {"h": 0.75, "db": 0.125}
    other.refusals, other.untold = ["eggs.a: spam"], ["dWh after 1000 steps"]
    (run,) = merged([saved(report_of(one)), saved(report_of(other, failing()))])
    step, sequence = run.rows[0].checks
    assert (step.cases, step.examples, sum(step.histogram)) == (150, 4, 150)
    assert step.worst == {"h": 0.75, "dWh": 0.5, "db": 0.125}
    assert step.refusals == ["eggs.a: T=0 is refused", "eggs.a: spam"]
    assert step.untold == ["db after 1000 steps", "dWh after 1000 steps"]
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
        (changed(f"{CHECK} worst", {"h": "x"}), "worst h: expected a number, got 'x'"),
        (changed(f"{CHECK} asked", [{"seed": 0, "part": 3, "parts": 2, "examples": 1}]), "expected I of N with 1 <= I"),
        (
            changed("runs", [{"seed": 0, "examples": 8, "shard": [1, 1]}]),
            "runs[0]: expected 'seconds', got ['examples'",
        ),
        (changed("runs", [{"seed": 0, "examples": 8, "shard": [1]}]), "runs[0] shard: expected two numbers, got [1]"),
        (changed(f"{CHECK} name", "sequence"), "expected each check once, got ['sequence', 'sequence']"),
        (changed(f"{CHECK} histogram counts", [1]), "histogram: expected bins (-4, 1, 20), got (-4, 1, 1)"),
        (changed(FAILURE, None), "status: expected 'pass'"),
        (changed(f"{FAILURE} heat ratios", [["x"]]), "heat: expected a matrix of ratios, got ValueError: "),
        (changed(f"{FAILURE} heat ratios", [[0.5, 0.5]]), "got IndexError: no element outside at (0, 1)"),
    ],
    ids=range(18),
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
