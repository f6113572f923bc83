"""The check ``options``: several rows, and an upstream on the last step alone."""

from __future__ import annotations

import dataclasses
from typing import Any

import numpy as np
import pytest

from adapters import Adapter
from adapters.conformance import check
from reference import Case, Evaluation
from reference.faults import compute


def status(name: str, option: Any) -> str:
    """Return the verdict on a subject with one option."""
    ulps = {"float32": 2.5}
    own = Adapter("numpy.own", compute, "right", np.tanh, ulps, options={name: option})
    (row,) = check(own, only=["options"], on_fail="report").rows
    return row.status


def batch_first(case: Case) -> Evaluation:
    """Read time and rows in the wrong order, which one row hides."""
    answer = compute(case)
    hs = answer.hs.reshape(answer.hs.shape[1], answer.hs.shape[0], -1).swapaxes(0, 1)
    return dataclasses.replace(answer, hs=np.array(hs))


def without_the_last_state(case: Case) -> Evaluation:
    """Drop the gradient of the returned last state."""
    upstream = np.array(case.upstream)
    upstream[-1] = 0
    return compute(case.replacing(upstream=upstream))


def of_one_row(case: Case) -> Evaluation:
    """Take a case of one row only."""
    if case.sizes["N"] != 1:
        raise ValueError("one row")
    return compute(case)


@pytest.mark.parametrize(
    ("name", "option", "expected"),
    [
        ("batch first", compute, "pass"),
        ("batch first", batch_first, "fail"),
        ("last state as h[-1]", without_the_last_state, "fail"),
        ("unbatched", of_one_row, "pass"),
        ("batch first", of_one_row, "fail"),
    ],
)
def test_an_option_is_judged_on_several_rows(name: str, option: Any, expected: str) -> None:
    assert status(name, option) == expected


def test_an_option_is_given_an_upstream_on_the_last_step_alone() -> None:
    seen = []

    def recording(case: Case) -> Evaluation:
        seen.append([bool(step.any()) for step in case.upstream])
        return compute(case)

    assert status("any", recording) == "pass"
    assert [True] * 4 in seen
    assert [False] * 3 + [True] in seen
