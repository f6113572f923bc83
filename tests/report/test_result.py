"""The result of one check: its status, its report, the sum of two results, and the map of its failure."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from adapters.conformance.report import ErrorMap, Failure, Result, Row
from adapters.conformance.result import LARGEST, STATUSES
from reference import PRECISIONS, Case, certify, evaluate
from reference.evaluation import Evaluation
from reference.faults import compute
from tests.made import failing, passing, report_of


@pytest.mark.parametrize(
    ("check", "status", "account"),
    [
        (passing(), "pass", ["pass"]),
        (failing("spam"), "fail", ["spam", "dWh is wrong"]),
        (Result("step", failure=Failure("spam"), expected_failure="eggs", inconclusive=1), "xfail", ["spam"]),
        (Result("step", cases=9, expected_failure="eggs"), "xpass", ["expected a failure, got none: eggs"]),
        (Result("step", cases=9, expected_failure="eggs", interrupted=True), "interrupted", ["interrupted"]),
        (
            Result("step", cases=9, inconclusive=2),
            "inconclusive",
            ["expected bounds that can decide, got 2 of 9 cases that are inconclusive"],
        ),
        (Result("step", unsupported=["T=0"]), "unsupported", ["unsupported"]),
        (Result("step"), "not judged", ["expected cases with numbers to be judged, got none"]),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_the_status_follows_from_the_rest(check: Result, status: str, account: list[str]) -> None:
    assert check.status == status
    assert status in STATUSES
    assert check.account == account


def test_a_row_has_the_status_of_its_worst_check_and_is_empty_without_any() -> None:
    row = Row("a", "a", "1", "float32")
    assert row.status == "not judged"
    unsupported = Result("options", unsupported=["no options"])
    row.checks = [unsupported]
    assert row.status == "unsupported"
    row.checks = [unsupported, passing()]
    assert row.status == "pass"
    row.checks = [unsupported, passing(), failing()]
    assert row.status == "fail"


@pytest.mark.parametrize(("expected", "largest"), [("spam", 0.5), (None, np.inf)])
def test_the_largest_ratios_of_a_row_are_those_without_expected_failures(expected: str | None, largest: float) -> None:
    failed = failing()
    failed.expected_failure = expected
    assert Row("a", "a", "1", "float32", [passing(), failed]).worst == {"h": 0.25, "dWh": largest}


def test_the_files_that_reproduce_a_failure_are_in_its_account() -> None:
    check = failing("spam", reproduction=[Path("out/a.npz")])
    assert check.account[-1] == "written: out/a.npz"


def test_a_failure_without_its_case_is_not_diagnosed() -> None:
    check = failing()
    assert check.unexpected is None
    check.counterexample = Case.random()
    assert check.unexpected is check.failure
    check.expected_failure = "spam"
    assert check.unexpected is None


def test_an_input_that_is_unsupported_twice_is_noted_once() -> None:
    check = Result("step")
    for text in ("T=0", "N=0", "T=0"):
        check.note_unsupported(text)
        check.note_undetermined(text)
    assert check.unsupported == check.undetermined == ["T=0", "N=0"]


@pytest.fixture
def answers() -> tuple[Case, Evaluation]:
    """Return a stack of two cases, and an evaluation in which one element of the second case is wrong."""
    case = Case.random(T=2, N=2, D=3, H=4, stack=2)
    answer = evaluate(case)
    dWh = np.array(answer.dWh)
    dWh[1, 2, 3] += 1
    return case, Evaluation(**answer.fields() | {"dWh": dWh})


def test_a_verdict_is_counted_case_by_case(answers: tuple[Case, Evaluation]) -> None:
    verdict = certify(*answers, PRECISIONS["float64"])
    check = Result("step", worst={"dWh": 1.0})
    check.add(verdict)
    check.add(verdict)
    assert (check.cases, check.inconclusive, len(check.relative_bounds)) == (4, 0, 4)
    assert check.worst["dWh"] == verdict.worst["dWh"].ratio > 1e9
    assert check.worst["h"] < 1
    assert check.relative_bound == np.median(check.relative_bounds)


def test_the_inconclusive_cases_of_all_verdicts_are_counted() -> None:
    case = Case.random(T=6, N=2, D=3, H=4, dtype="bfloat16", stack=2)
    verdict, check = certify(case, compute(case), PRECISIONS["bfloat16"]), Result("step")
    check.add(verdict)
    check.add(verdict)
    assert check.inconclusive == 2 * verdict.statuses.count("inconclusive") > 0


def test_an_inconclusive_check_names_the_quantities_whose_bound_is_too_wide() -> None:
    def judged(T: int) -> Result:
        case = Case.random(T=T, N=2, D=3, H=4, dtype="bfloat16", stack=2)
        check = Result("step")
        check.add(certify(case, compute(case), PRECISIONS["bfloat16"]))
        return check

    check, words = judged(6), "dh0: its bound is above 0.38 x the value's scale"
    assert check.account == [
        f"expected bounds that can decide, got {check.inconclusive} of 2 cases that are inconclusive",
        words,
    ]
    report = report_of(check)
    assert f"\nundetermined  step: {words} (eggs.a in float32)\n" in str(report)
    assert report.rows[0].cells(["step"])[3] == "inconclusive"
    assert judged(1).undetermined == []


def test_the_map_is_that_of_the_first_quantity_that_is_wrong(answers: tuple[Case, Evaluation]) -> None:
    verdict = certify(*answers, PRECISIONS["float64"])
    found = ErrorMap.of(verdict.of(1))
    assert found is not None
    assert (found.quantity, found.shape, found.first, found.mark, found.cut) == ("dWh", (4, 4), (2, 3), (2, 3), False)
    assert [ratio for line in found.ratios for ratio in line if ratio and ratio > 1] == [found.ratios[2][3]]
    assert ErrorMap.of(verdict.of(0)) is None


def test_a_large_map_is_cropped_around_the_first_element_outside() -> None:
    ratios = np.zeros((500, 2, 100))
    ratios[300, 1, 90] = ratios[400, 0, 5] = 7.0
    found = ErrorMap.from_ratios("h", ratios)
    assert (found.first, found.offset, found.cut) == ((300, 1, 90), (569, 36), True)
    assert (len(found.ratios), len(found.ratios[0])) == (LARGEST, LARGEST)
    assert found.ratios[found.mark[0]][found.mark[1]] == 7.0
    # Backward starts at the last step.
    assert ErrorMap.from_ratios("dx", ratios).first == (400, 0, 5)


def test_a_vector_is_a_map_of_one_row() -> None:
    found = ErrorMap.from_ratios("db", np.array([0.0, np.inf]))
    assert (found.first, found.mark, found.ratios, found.cut) == ((1,), (0, 1), ((0.0, None),), False)


@pytest.mark.parametrize(
    ("ratios", "first", "message"),
    [
        (((0.5, 1.0),), (0, 1), r"expected an element outside its bound at \[0, 1\]"),
        (((0.5, 3.0),), (1, 1), r"expected an element outside its bound at \[1, 1\]"),
        (((0.5, 3.0), (0.5,)), (0, 1), "expected a matrix of ratios and an index for each axis"),
        ((), (0, 1), "expected a matrix of ratios and an index for each axis"),
        (((0.5, 3.0),), (1,), "expected a matrix of ratios and an index for each axis"),
    ],
)
def test_a_map_that_is_no_matrix_or_frames_no_element_outside_is_an_error(
    ratios: tuple[tuple[float, ...], ...], first: tuple[int, ...], message: str
) -> None:
    with pytest.raises(ValueError, match=message):
        ErrorMap("dWh", (2, 2), ratios, (0, 0), first, cut=False)
