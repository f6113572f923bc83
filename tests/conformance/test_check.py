"""``check``: the report on a user's cell, also if the cell misbehaves."""

from __future__ import annotations

import dataclasses
import re
import subprocess
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import adapters.conformance
from adapters import Adapter
from adapters.conformance import NAMES, check, checks
from adapters.conformance.checks import CHECKS, Plan
from adapters.conformance.discovery import as_adapter
from adapters.conformance.judge import judge
from adapters.conformance.report import Result, Row
from reference import Case, Evaluation, Mismatch
from reference.strategies import LARGEST_STACK
from tests.conformance import cells, exact

QUICK: dict[str, Any] = {"stacks": 2, "dtypes": ["float32"], "only": ["step", "sequence"]}


def statuses(cell: Callable[[Case], Any], **options: Any) -> list[str]:
    """Return the status of every check of the only dtype."""
    (row,) = check(cell, on_fail="report", **(QUICK | options)).rows
    return [found.status for found in row.checks]


def test_a_function_is_judged_in_float64_and_float32_on_all_checks() -> None:
    report = check(cells.right, stacks=1)
    assert [row.dtype for row in report.rows] == ["float64", "float32"]
    assert {row.adapter for row in report.rows} == {"right"}
    assert report.checks == list(NAMES)
    assert report.exit_status == 0
    assert all(row.cases > 100 for row in report.rows)
    assert "right    float32    " in str(report)


@pytest.mark.parametrize("dtype", ["bfloat16", "float16"])
def test_a_function_is_judged_in_a_half_precision_on_request(dtype: str) -> None:
    report = check(cells.right, stacks=1, dtypes=[dtype], only=["step", "sequence"])
    assert [(row.dtype, row.status) for row in report.rows] == [(dtype, "pass")]


@pytest.mark.parametrize(
    ("dtype", "inside"), [("bfloat16", "float32"), ("float32", "float64"), ("float32", "bfloat16")]
)
def test_a_cell_may_be_wider_inside_and_never_narrower(dtype: str, inside: str) -> None:
    def mixed(case: Case) -> Evaluation:
        return cells.right(case.astype(inside)).astype(case.dtype)

    assert set(statuses(mixed, dtypes=[dtype])) == {"fail" if inside == "bfloat16" else "pass"}


def test_a_warning_of_numpy_s_about_nan_is_no_fault() -> None:
    def warned(case: Case) -> Evaluation:
        np.log(-np.ones(1))
        return cells.right(case)

    assert statuses(warned) == ["pass", "pass"]


def test_an_adapter_is_judged_as_it_is() -> None:
    own = Adapter("mine.fused", cells.doubled, "wrong", np.tanh, {"float32": 2.5, "float64": 2.5})
    report = check(own, on_fail="report", stacks=1, only=["step"])
    assert [(row.adapter, row.framework, row.dtype) for row in report.rows] == [
        ("mine.fused", "mine", "float32"),
        ("mine.fused", "mine", "float64"),
    ]
    assert report.exit_status == 1


# The check "long" has only tanh cases. The check "strides" has one case with a nonlinearity that the cell supports.
@pytest.mark.parametrize(
    ("own", "other", "never", "unsupported"),
    [
        ("tanh", "relu", [], ["step", "extremes", "shapes"]),
        ("relu", "tanh", ["long"], ["step", "extremes", "long", "shapes", "strides"]),
    ],
)
def test_what_has_one_nonlinearity_is_asked_for_it_in_all_cases(
    own: str, other: str, never: list[str], unsupported: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    # The shapes differ from those of the other cell. Without this limit, large shapes would have fewer cases.
    monkeypatch.setattr(checks, "NUMBERS", LARGEST_STACK)
    asked: dict[str, Any] = {"stacks": 8, "only": ["step", "extremes", "long", "shapes", "strides"]}
    single = Adapter("mine.single", cells.right, own, np.tanh, {"float32": 2.5}, nonlinearities=(own,))
    (one,), (both,) = check(single, **asked).rows, check(cells.right, dtypes=["float32"], **asked).rows
    assert {found.name: found.cases for found in one.checks} == {
        found.name: 0 if found.name in never else found.cases for found in both.checks
    }
    words = f"mine.single: expected one of ['{own}'], got '{other}'"
    assert {found.name: found.unsupported for found in one.checks if found.unsupported} == {
        name: [words] for name in unsupported
    }
    assert [found.name for found in one.checks if found.status != "pass"] == never


def test_a_wrong_cell_gets_its_report_after_all_checks() -> None:
    told = (
        r"^doubled float32, one case of tanh (.|\n)*\ndb is wrong(.|\n)*`db summed twice`.*\n\n"
        r"doubled float32, step: fail\ndoubled float32 db\[\d\]: expected \S+, got \S+\n.* x its bound .*\n"
        r"db is wrong; h, dx, dh0, dWx, dWh are right (.|\n)*`db summed twice`"
    )
    with pytest.raises(Mismatch, match=told):
        check(cells.doubled, stacks=2, dtypes=["float32"], only=["step", "trained", "options"])
    assert check(cells.doubled, on_fail="report", **QUICK).exit_status == 1


# A thousand roundings of bfloat16 may be as large as the sum, so a doubled db is undetermined.
@pytest.mark.parametrize(("dtype", "status"), [("float32", "fail"), ("bfloat16", "pass")])
def test_undetermined_quantities_are_reported(dtype: str, status: str) -> None:
    # Without the diagnosis, which takes longer than the rest of the test.
    (long,) = (each for each in CHECKS if each.name == "long")
    found = judge(long, as_adapter(cells.doubled, [dtype]), dtype, Plan(stacks=1, seed=0))
    assert found.status == status
    words = "dWx, dWh, db after 1000 steps: the rounding of each step's share to storage may be as large"
    assert found.undetermined == [words] * (status == "pass")
    assert Row("doubled", "doubled", "-", dtype, [found]).cells(["long"])[3] == status + "*" * (status == "pass")


BAD: dict[Callable[[Case], Any], str] = {
    cells.crashing: "raised RuntimeError: the kernel died",
    cells.nothing: r"contract: expected an Evaluation, got None \(T=1, ",
    cells.a_list: r"contract: expected an Evaluation, got a list of 6 \(T=1, ",
    cells.leaving: r"contract: expected an Evaluation, got sys.exit\(3\)",
    cells.in_float64: "contract: expected hs as an array of float32, got an array of float64",
    cells.lists: "contract: expected dh0 as an array of float32, got a list of",
    cells.objects: "contract: expected dh0 as an array of float32, got a function",
    cells.unsummed: r"contract: expected db of shape \(H,\) = \(\d,\), got \(\d, \d\); it is not summed over T or N \(",
    cells.mutating: r"contract: expected the case unchanged, got a write to a read-only array \(assignment destination",
    cells.without_dwh: r"contract: expected dWh of shape \(H, H\) = \(\d, \d\), got None \(T=1, ",
    cells.without_hs: r"contract: expected hs of shape \(T, N, H\) = \(1, \d, \d\), got None \(T=1, ",
}


@pytest.mark.parametrize("cell", BAD, ids=lambda cell: cell.__name__)
def test_a_broken_cell_is_reported_in_one_sentence_and_every_check_runs(cell: Callable[[Case], Any]) -> None:
    report = check(cell, on_fail="report", **QUICK)
    (row,) = report.rows
    assert [found.status for found in row.checks] == ["fail", "fail"]
    sentence = row.checks[0].account[0]
    assert re.match(f"{cell.__name__} float32: {BAD[cell]}", sentence), sentence
    with pytest.raises(Mismatch, match=BAD[cell]):
        check(cell, **QUICK)


def test_a_cell_in_a_narrower_precision_is_told_how_to_be_judged() -> None:
    def single(case: Case) -> Evaluation:
        return cells.right(case.astype("float32"))

    told = "as an array of float64, got an array of float32; a cell in float32 alone is judged with --dtype float32 "
    with pytest.raises(Mismatch, match=told):
        check(single, **QUICK | {"dtypes": ["float64"]})


def test_a_crash_on_other_memory_is_reported_with_its_layout() -> None:
    told = r"float32: reversed xs: raised ValueError: negative strides \(T=4, N=2, D=8, H=5\)$"
    with pytest.raises(Mismatch, match=told):
        check(cells.crashing_on_reversed_memory, **QUICK | {"only": ["strides"]})


def test_results_before_a_crash_are_kept() -> None:
    (row,) = check(cells.crashing_on_sequences, on_fail="report", **QUICK).rows
    assert [found.status for found in row.checks] == ["pass", "fail"]
    assert row.checks[0].cases == 2 * 52
    assert row.checks[0].worst["dWh"] > 0


def test_an_interrupt_passes() -> None:
    with pytest.raises(KeyboardInterrupt):
        check(cells.interrupting, **QUICK)


def test_output_of_a_cell_is_captured_and_reported_once(capsys: pytest.CaptureFixture[str]) -> None:
    report = check(cells.printing, **QUICK)
    assert capsys.readouterr().out == ""
    assert re.search(r"printed  printing: in \d+ calls, the first line 'step by step'", str(report))
    assert check(cells.right, **QUICK).notes == []


@pytest.mark.parametrize("key", ["sequence", "sequence float32"])
def test_a_failure_that_is_expected_is_none(key: str) -> None:
    expected = {key: "the loop dies, see our list"}
    report = check(cells.crashing_on_sequences, expected_failures=expected, **QUICK)
    assert [found.status for found in report.rows[0].checks] == ["pass", "xfail"]
    assert "xfail  sequence: the loop dies, see our list (expected_failures)" in str(report)


def test_an_expected_failure_that_does_not_fail_is_a_failure() -> None:
    expected = {"step": "was wrong once"}
    assert statuses(cells.right, expected_failures=expected) == ["xpass", "pass"]
    with pytest.raises(Mismatch, match=r"step: xpass\nexpected a failure, got none: was wrong once"):
        check(cells.right, expected_failures=expected, **QUICK)
    assert statuses(cells.right, expected_failures={"step float32": "was wrong once"}) == ["xpass", "pass"]


@pytest.mark.parametrize(
    ("expected", "message"),
    [
        ({"stpe": "typo"}, r"^expected_failures: expected one of \['step', .*\], alone or before .*, got 'stpe'$"),
        ({"step float64": "not asked"}, r"before one of \['float32'\], got 'step float64'$"),
        ({"step": " "}, "^expected_failures: expected a reason for 'step', got ' '$"),
    ],
)
def test_an_expected_failure_names_a_check_and_has_a_reason(expected: Mapping[str, str], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        check(cells.right, expected_failures=expected, **QUICK)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"only": ["steps"]}, r"^only: expected some of \['step', .*\], got \['steps'\]$"),
        ({"only": []}, r"^only: expected some of \['step', .*\], got \[\]$"),
        ({"dtypes": ["float8"]}, r"^dtypes: expected some of \['float64', .*\], got \['float8'\]$"),
        ({"dtypes": []}, r"^dtypes: expected some of .*, got \[\]$"),
        ({"stacks": 0}, "^check: expected stacks of at least 1, got 0$"),
        ({"seed": -1}, "^check: expected a seed of at least 0, got -1$"),
        ({"on_fail": "shout"}, "^check: expected on_fail as 'raise' or 'report', got 'shout'$"),
    ],
)
def test_bad_arguments_are_reported(options: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        check(cells.right, **options)


@pytest.mark.parametrize("subject", [3, dict, None])
def test_a_subject_that_is_no_function_is_an_error(subject: Any) -> None:
    with pytest.raises(TypeError, match=r"^adapter: expected an Adapter or a function of a case, got "):
        check(subject)


def test_nothing_but_unsupported_cases_is_no_success() -> None:
    none = Adapter("mine.none", cells.right, "takes no step", np.tanh, {"float32": 2.5}, max_T=0)
    with pytest.raises(
        Mismatch, match=r"^check: expected something to be judged, got only unsupported cases: \['mine.none: expected T"
    ):
        check(none, **QUICK)


@pytest.mark.parametrize(
    ("result", "message"),
    [
        (Result("step", cases=9, inconclusive=2), "expected bounds that can decide, got 2 of 9 cases that"),
        (Result("step"), "expected cases with numbers to be judged, got none"),
    ],
)
def test_results_that_neither_fail_nor_pass_are_reported(result: Result, message: str) -> None:
    assert result.account[0].startswith(message)


def test_the_command_line_offers_all_checks_in_their_order() -> None:
    assert list(NAMES) == [kind.name for kind in CHECKS]


def test_derivatives_along_a_direction_are_asked_over_few_steps_and_that_is_reported() -> None:
    asked: dict[str, Any] = {
        "stacks": 24,
        "dtypes": ["float32"],
        "only": ["sequence", "nonfinite", "long", "trained", "10k-steps"],
    }
    (row,) = check(exact.ADAPTERS[1], on_fail="report", **asked).rows
    assert {found.name: (found.status, found.unsupported) for found in row.checks} == {
        "sequence": ("pass", []),
        "nonfinite": (
            "unsupported",
            ["exact.twice: the place of infinity times zero along a direction depends on the form of the formula"],
        ),
        "long": (
            "unsupported",
            ["exact.twice: derivatives along a direction are enclosed over at most 8 steps, not 1,000"],
        ),
        "trained": (
            "unsupported",
            ["exact.twice: the bound on derivatives along a direction is too wide to decide for 64 trained units"],
        ),
        "10k-steps": (
            "unsupported",
            ["exact.twice: derivatives along a direction are enclosed over at most 8 steps, not 10,000"],
        ),
    }


def test_an_option_may_leave_a_quantity_out_but_not_be_wrong() -> None:
    def without_dh0(case: Case) -> Evaluation:
        return dataclasses.replace(cells.right(case), dh0=None)

    for run_option, status in ((without_dh0, "pass"), (cells.doubled, "fail"), (cells.in_float64, "fail")):
        own = dataclasses.replace(as_adapter(cells.right, ["float32"]), options={"h0 omitted": run_option})
        (row,) = check(own, on_fail="report", only=["options"]).rows
        assert row.status == status
    assert "h0 omitted: contract: expected hs as an array of float32" in str(row.checks[0].failure)


def test_the_package_has_no_other_front_ends() -> None:
    with pytest.raises(AttributeError, match=r"module 'adapters\.conformance' has no attribute 'chek'"):
        _ = adapters.conformance.chek


def test_importing_the_front_ends_imports_no_pytest() -> None:
    front_ends = "from adapters.conformance import check, parametrize"
    code = f"import sys; {front_ends}; print('pytest' in sys.modules, 'hypothesis' in sys.modules)"
    root = Path(__file__).parents[2]
    ran = subprocess.run([sys.executable, "-c", code], cwd=root, capture_output=True, text=True, check=True)
    assert ran.stdout.split() == ["False", "True"]
