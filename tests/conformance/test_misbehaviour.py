"""``check`` in Python: errors that cannot be reported as they are, and arrays with arithmetic of their own."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from adapters.conformance import check
from reference import PRECISIONS, Case, Evaluation, certify
from reference.faults import compute


class Wordless(Exception):
    """An error without a message."""

    def __str__(self) -> str:
        raise RuntimeError("no words")


class Other(BaseException):
    """An error that is no Exception."""


def raising(error: BaseException) -> Callable[[Case], Evaluation]:
    def run(case: Case) -> Evaluation:
        raise error

    return run


@pytest.mark.parametrize(
    ("error", "words"),
    [
        (Wordless(), "Wordless, whose __str__ raises an error"),
        (Other("of its own"), "Other: of its own"),
        (GeneratorExit(), "GeneratorExit"),
        (SystemExit(3), r"sys\.exit\(3\)"),
    ],
)
def test_an_error_of_any_kind_is_reported_in_words(error: BaseException, words: str) -> None:
    (row,) = check(raising(error), on_fail="report", stacks=1, dtypes=["float32"], only=["step", "shapes"]).rows
    assert [found.status for found in row.checks] == ["fail", "fail"]
    expected = f"run float32: contract: expected an Evaluation, got {words}".replace("\\", "")
    assert row.checks[0].account[0] == expected


class Agreeing(np.ndarray):
    """An array whose differences and comparisons are those of the right answer."""

    def __array_ufunc__(self, ufunc: Any, method: str, *inputs: Any, **options: Any) -> Any:
        plain = [np.asarray(each) for each in inputs]
        return np.zeros_like(plain[0]) if ufunc is np.subtract else getattr(ufunc, method)(*plain, **options)

    def astype(self, *arguments: Any, **options: Any) -> Any:
        """Stay what it is."""
        return self

    def tobytes(self, *arguments: Any) -> bytes:
        """Return no bytes."""
        return b""


def masked(array: Any) -> Any:
    """Return an array all of whose elements are masked."""
    return np.ma.array(2 * array, mask=True)


# Each makes a wrong array that an arithmetic of its own hides.
DISGUISES: dict[str, Callable[[Any], Any]] = {
    "agreeing": lambda array: (2 * array).view(Agreeing),
    "masked": masked,
}


@pytest.mark.parametrize("name", DISGUISES)
def test_an_arithmetic_of_its_own_does_not_hide_a_wrong_array(name: str) -> None:
    def subject(case: Case) -> Evaluation:
        right = compute(case)
        return dataclasses.replace(right, dWh=DISGUISES[name](right.dWh))

    (row,) = check(subject, on_fail="report", stacks=1, dtypes=["float32"], only=["step", "sequence"]).rows
    assert [found.status for found in row.checks] == ["fail", "fail"]
    case = Case.random(seed=1)
    verdict = certify(case.probed(), subject(case.probed()), PRECISIONS["float64"])
    assert verdict.wrong == ("dWh",)


def test_a_subclass_is_taken_as_a_plain_array() -> None:
    case = Case.random(seed=1).probed()
    answer = compute(case)
    moved = dataclasses.replace(answer, dWh=answer.dWh.view(Agreeing))
    assert type(moved.dWh) is np.ndarray
    assert certify(case, moved, PRECISIONS["float64"]).status == "pass"
