"""Shapes as large as real data: T up to 300 and N up to 100. Correct code passes, and faults of such sizes fail."""

from __future__ import annotations

import dataclasses
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from adapters.conformance import check
from reference import PRECISIONS, Case, Evaluation, certify
from reference.faults import compute
from reference.strategies import LARGE, cases, large
from tests.reference.test_soundness import WAYS


@pytest.mark.parametrize("dtype", ["float64", "float32"])
@settings(max_examples=8)
@given(data=st.data(), way=WAYS)
def test_correct_code_passes(dtype: str, data: st.DataObject, way: Any, plain_rnn: Any) -> None:
    stack = data.draw(cases(dtype=dtype, shape=large(), stack=1, norms=(0.5, 1.0)))
    assert (stack.sizes["T"], stack.sizes["N"]) in LARGE
    certify(stack, plain_rnn(**way)(stack), PRECISIONS[dtype]).require()


def beyond_32_rows(case: Case) -> Evaluation:
    """Leave all rows after the 32nd as they are."""
    answer = compute(case)
    hs = np.array(answer.hs)
    hs[..., 32:, :] = 0
    return dataclasses.replace(answer, hs=hs)


def beyond_32_steps(case: Case) -> Evaluation:
    """Lose the gradient of all steps after the 32nd."""
    answer = compute(case)
    dxs = np.array(answer.dxs)
    dxs[..., 32:, :, :] = 0
    return dataclasses.replace(answer, dxs=dxs)


@pytest.mark.parametrize("wrong", [beyond_32_rows, beyond_32_steps])
def test_a_fault_of_large_sizes_alone_fails_in_a_default_run(wrong: Any) -> None:
    asked: dict[str, Any] = {"dtypes": ["float32"], "only": ["step", "sequence", "extremes", "shapes"]}
    (row,) = check(wrong, on_fail="report", **asked).rows
    assert [found.status for found in row.checks] == ["pass", "pass", "pass", "fail"]
