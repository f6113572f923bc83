"""Results files: a file is read back as it was written, and a damaged or foreign file gives one sentence."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from adapters.conformance.page import render
from adapters.conformance.report import Report, Result, Run
from adapters.conformance.results import as_json, read
from tests.made import failing, passing, report_of

Save = Callable[[object], Path]


def statuses() -> Report:
    """Return a report with a check of every status."""
    expected = failing(name="long", crashed=True, reproduction=[Path("a/b.npz")])
    expected.expected_failure = "spam (an issue)"
    report = report_of(
        passing(),
        failing(),
        expected,
        Result("trained", cases=1, expected_failure="spam", relative_bounds=[0.5]),
        Result("shapes", cases=3, inconclusive=1, relative_bounds=[float("inf")]),
        Result("options", unsupported=["no options"]),
        Result("strides", interrupted=True),
        Result("invariants"),
    )
    report.runs = [Run(-7, 16, 12.5)]
    return report


def test_a_file_is_read_back_as_it_was_written(saved: Save) -> None:
    report = statuses()
    found = read(saved(report))
    assert as_json(found) == as_json(report)
    assert [check.status for check in found.rows[0].checks] == [check.status for check in report.rows[0].checks]
    assert [check.failure for check in found.rows[0].checks] == [check.failure for check in report.rows[0].checks]


def test_a_row_of_a_file_has_the_relative_bound_of_its_run(saved: Save) -> None:
    # The median of all five bounds would be 3, and that of their checks' medians is 2.
    bounds = [1.0, 2.0, 9.0], [3.0, 9.0]
    report = report_of(
        *(Result(name, cases=len(own), relative_bounds=own) for name, own in zip(("step", "long"), bounds, strict=True))
    )
    assert report.rows[0].relative_bound == read(saved(report)).rows[0].relative_bound == 2.0


def test_the_page_of_a_file_is_the_page_of_its_report(saved: Save) -> None:
    report = statuses()
    assert render([read(saved(report))]) == render([report])


def strict(text: str) -> Any:
    """Read JSON with a parser that rejects NaN and infinity, because the grammar of JSON has neither."""

    def reject(constant: str) -> None:
        raise ValueError(f"expected JSON, got {constant}")

    return json.loads(text, parse_constant=reject)


def test_an_infinite_ratio_is_written_as_every_parser_reads_it_and_read_back(saved: Save) -> None:
    path = saved(statuses())
    checks = strict(path.read_text())["adapters"][0]["dtypes"]["float32"]["checks"]
    assert checks[1]["worst"] == {"dWh": None}
    assert checks[1]["failure"]["error_map"]["ratios"] == [[0.5, 3.0], [None, 0.0]]
    assert checks[4]["relative_bound"] is None
    assert read(path).rows[0].checks[1].worst == {"dWh": float("inf")}
    with pytest.raises(ValueError, match="expected JSON, got Infinity"):
        strict('{"dWh": Infinity}')


def test_a_key_of_a_newer_version_is_ignored(saved: Save) -> None:
    report = statuses()
    assert as_json(read(saved(as_json(report) | {"spam": 1}))) == as_json(report)


def test_a_lone_surrogate_does_not_stop_the_file(saved: Save) -> None:
    path = saved(report_of(failing("spam \ud800")))
    assert read(path).rows[0].checks[0].account[0] == "spam ?"


def test_a_list_of_numbers_takes_one_line_and_no_text_is_touched(saved: Save) -> None:
    message = 'eggs [\n1,\n2] "spam"'
    text = saved(report_of(failing(message))).read_text()
    assert '"ratios": [\n        [ 0.5, 3.0 ],\n        [ null, 0.0 ]'.replace(" ", "") in text.replace(" ", "")
    assert json.loads(text)["adapters"][0]["dtypes"]["float32"]["checks"][0]["failure"]["message"] == message


def changed(path: str, value: Any) -> Any:
    """Return a report as plain data with one value changed."""
    data: Any = as_json(report_of(passing(), failing()))
    *way, last = (int(word) if word.isdecimal() else word for word in path.split())
    place = data
    for step in way:
        place = place[step]
    place[last] = value
    return data


CHECK = "adapters 0 dtypes float32 checks 0"
FAILURE = "adapters 0 dtypes float32 checks 1 failure"
WHERE = "at `$.adapters[0].dtypes[...].checks[0]"
MAP = {"quantity": "h", "shape": [1, 2], "offset": [0, 0], "first": [0, 1], "cut": False}
TEXT = json.dumps(as_json(report_of(passing())))


@pytest.mark.parametrize(
    ("what", "message"),
    [
        ("{", "expected the JSON of rnn-oracle check, got an error: Input data was truncated"),
        ('{"spam": ' + "[" * 100_000, "expected the JSON of rnn-oracle check, got an error: "),
        ([], "expected `object`, got `array`"),
        ({"eggs": 1}, "got an error: Object missing required field `oracle`"),
        (changed("adapters", 3), "expected `array`, got `int` - at `$.adapters`"),
        (changed("environment eggs", {"eggs": 1}), "expected `str`, got `int` - at `$.environment[...][...]`"),
        (changed(f"{CHECK} cases", "x" * 99), f"expected `int`, got `str` - {WHERE}.cases`"),
        (changed(f"{CHECK} cases", True), f"expected `int`, got `bool` - {WHERE}.cases`"),
        (changed(f"{CHECK} cases", -1), f"expected `int` >= 0 - {WHERE}.cases`"),
        (changed(f"{CHECK} worst", {"h": "x"}), f"expected `float | null`, got `str` - {WHERE}.worst[...]`"),
        (changed("runs", [{"seed": 0, "stacks": 8}]), "missing required field `seconds` - at `$.runs[0]`"),
        (changed(f"{CHECK} name", "sequence"), "expected each check once, got ['sequence', 'sequence'] - at `$.adapte"),
        (changed(FAILURE, None), "expected status 'pass', which follows from the rest, got 'fail'"),
        (changed("adapters 0 dtypes float32 status", "pass"), "expected status 'fail', which follows from the rest, g"),
        (changed(f"{CHECK} status", "spam"), "expected status 'pass', which follows from the rest, got 'spam'"),
        (changed(f"{FAILURE} error_map", MAP | {"ratios": [["x"]]}), "expected `float | null`, got `str` - at"),
        (changed(f"{FAILURE} error_map", MAP | {"ratios": [[0.5, 0.5]]}), "expected an element outside its bound at "),
        (TEXT.replace("104", "NaN"), "got an error: JSON is malformed: invalid character"),
        (TEXT.replace("104", "Infinity"), "got an error: JSON is malformed: invalid character"),
        (TEXT.replace("104", "1" + 400 * "0"), "expected `int` <= 9007199254740992 - "),
        (TEXT.replace("0.25", "1e400"), "Number out of range"),
    ],
    ids=range(21),
)
def test_a_damaged_or_foreign_file_is_one_sentence(saved: Save, what: object, message: str) -> None:
    path = saved(what)
    with pytest.raises(ValueError, match=f"^report: .*{re.escape(message)}.*{re.escape(f'({path})')}$") as raised:
        read(path)
    assert len(str(raised.value).splitlines()) == 1


def test_a_file_that_is_not_there_is_an_error() -> None:
    with pytest.raises(FileNotFoundError, match=r"^report: expected a file, got /no/such.json$"):
        read("/no/such.json")


def test_an_empty_result_is_read_as_empty(saved: Save) -> None:
    report = Report({}, report_of(Result("step")).rows, "0.1")
    assert read(saved(report)).rows[0].status == "not judged"
