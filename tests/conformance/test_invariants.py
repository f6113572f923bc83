"""Invariants that need no oracle: right code keeps them, and wrong code breaks them."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable

import numpy as np
import pytest

from adapters import Adapter
from adapters.conformance.checks import CHECKS, Plan
from adapters.conformance.invariants import INVARIANTS, rows_of, slice_of
from adapters.conformance.judge import judge
from reference import PRECISIONS, Case, Evaluation, Mismatch
from reference.layer import evaluate_in

Subject = Callable[[Case], Evaluation]


def right(case: Case) -> Evaluation:
    """Compute the formula of the oracle in the dtype of the case."""
    return evaluate_in(case, lambda array: array)


def mean_over_rows(case: Case) -> Evaluation:
    answer = right(case)
    return dataclasses.replace(answer, hs=answer.hs - answer.hs.mean(axis=-2, keepdims=True))


def forgetful(case: Case) -> Evaluation:
    return right(dataclasses.replace(case, h0=0 * case.h0))


def leaking(case: Case) -> Evaluation:
    answer = right(case)
    return dataclasses.replace(answer, dWh=answer.dWh + np.asarray(1e-3, case.dtype))


def squared(case: Case) -> Evaluation:
    answer = right(case)
    return dataclasses.replace(answer, dxs=answer.dxs * np.abs(answer.dxs))


def clipped(case: Case) -> Evaluation:
    answer = right(case)
    return dataclasses.replace(answer, dWx=np.clip(answer.dWx, -0.5, 0.5))


def almost(case: Case) -> Evaluation:
    answer = right(case)
    return dataclasses.replace(answer, dWh=np.nextafter(answer.dWh, np.inf))


@pytest.mark.parametrize(
    ("invariant", "wrong", "message"),
    [
        ("rows are independent", mean_over_rows, r"^rows \[1, 0\]: float64 h"),
        ("a sequence may be cut", forgetful, r"^cut in two: float64 h\["),
        (
            "no upstream, no gradient",
            leaking,
            r"^expected dWh of zeros for an upstream of zeros, got 0",
        ),
        ("the pull-back scales", squared, r"^expected dx to double with the upstream, got another number"),
        (
            "small integers are exact",
            almost,
            r"^expected dWh of small integers to the bit, got another nu",
        ),
        (
            "the pull-back adds",
            clipped,
            r"^expected dWx to add up over the steps of the upstream, got",
        ),
    ],
)
def test_code_that_breaks_an_invariant_fails(invariant: str, wrong: Subject, message: str) -> None:
    case = Case.random(T=4, N=2, D=3, H=5, seed=3).probed()
    for subject, expected in ((right, False), (wrong, True)):
        adapter = Adapter("numpy.wrong", subject, "wrong", np.tanh, {"float64": 2.5}, takes_stacks=True)
        if not expected:
            INVARIANTS[invariant](adapter, case, PRECISIONS["float64"])
            continue
        with pytest.raises(Mismatch, match=message):
            INVARIANTS[invariant](adapter, case, PRECISIONS["float64"])


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        (mean_over_rows, "numpy.wrong rows [1, 0]: float64 h["),
        (almost, "numpy.wrong float64: expected dWh of zeros for an upstream of zeros, got 4.94e-324"),
    ],
)
def test_the_account_of_a_check_names_the_adapter_once(wrong: Subject, message: str) -> None:
    adapter = Adapter("numpy.wrong", wrong, "wrong", np.tanh, {"float64": 2.5}, takes_stacks=True)
    (check,) = (check for check in CHECKS if check.name == "invariants")
    result = judge(check, adapter, "float64", Plan(stacks=1, seed=0))
    assert result.failure is not None
    assert result.failure.message.startswith(message)
    assert result.failure.message.count("numpy.wrong") == 1


def test_rows_and_steps_are_taken_from_every_array() -> None:
    case = Case.random(T=4, N=3, D=2, H=2, direction=True)
    assert rows_of(case, np.array([2, 0])).sizes == {"T": 4, "N": 2, "D": 2, "H": 2}
    assert slice_of(Case.random(T=4), slice(1, 3)).sizes["T"] == 2
