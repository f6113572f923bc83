"""The shapes of a run: enough to tell right from wrong, also where it is short."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest

from adapters.conformance import check
from adapters.conformance.checks import CHECKS, Drawn, pool_of_shapes
from reference import Case, Evaluation
from reference.faults import compute
from reference.strategies import Shape

DRAWN = {check.name: check for check in CHECKS if isinstance(check, Drawn)}


@pytest.mark.parametrize("seed", range(5))
@pytest.mark.parametrize("name", DRAWN)
def test_no_run_rests_on_the_simplest_shape(name: str, seed: int) -> None:
    asked = DRAWN[name]
    pool = pool_of_shapes(asked, seed, asked.pool)
    assert len(pool) == asked.pool
    assert all(shape.T in asked.lengths for shape in pool)
    # One row, one input and one unit, with which Hypothesis begins, hide most of what can be wrong.
    assert min(np.prod(shape[1:4]) for shape in pool) > 1


def test_shapes_with_a_bias_come_first() -> None:
    pool = pool_of_shapes(DRAWN["sequence"], 0, 30)
    biased = [shape.bias for shape in pool]
    assert biased == sorted(biased, reverse=True)
    assert set(biased) == {True, False}


def test_a_pool_is_the_same_each_time_and_another_with_another_seed() -> None:
    def pool(seed: int) -> tuple[Shape, ...]:
        pool_of_shapes.cache_clear()
        return pool_of_shapes(DRAWN["sequence"], seed, 3)

    assert pool(0) == pool(0) != pool(1)


def test_each_drawn_check_tells_a_transposed_gradient_by_itself() -> None:
    def transposed(case: Case) -> Evaluation:
        answer = compute(case)
        return dataclasses.replace(answer, dWh=answer.dWh.mT)

    report = check(transposed, dtypes=["float32"], only=list(DRAWN), on_fail="report")
    assert {found.name: found.status for found in report.rows[0].checks} == dict.fromkeys(DRAWN, "fail")
