"""Half precisions of the catalogue: sums in float32 and results in storage, for every product of a fault."""

from __future__ import annotations

import dataclasses
from typing import Any

import numpy as np
import pytest

from reference import PRECISIONS, Case, Params
from reference.faults import FAULTS, HALVES, compute
from reference.faults.storage import carried
from reference.precision_loss import fits

IN_HALVES = pytest.mark.parametrize("dtype", HALVES)


def array(dtype: str, *numbers: float) -> Any:
    """Return numbers in the kind of array that a half precision uses."""
    wide, kind = carried(dtype)
    return np.array(numbers, wide).view(kind)


@pytest.mark.parametrize("dtype", ["float64", "float32"])
def test_a_precision_without_a_wider_accumulator_uses_plain_arrays(dtype: str) -> None:
    assert carried(dtype) == (np.dtype(dtype), np.ndarray)


@IN_HALVES
def test_each_result_is_stored(dtype: str) -> None:
    third, u = array(dtype, 1.0) / 3, PRECISIONS[dtype].u
    results = (third, third + 1, third * third, np.tanh(third), np.stack([third, third]) * third, third.sum(axis=0) / 7)
    assert all(fits(np.asarray(result), u) for result in results)
    assert not fits(np.asarray(third) * np.asarray(third), u)


@IN_HALVES
def test_sums_are_not_stored_before_their_end(dtype: str) -> None:
    count = 3 * int(1 / PRECISIONS[dtype].u)
    ones = array(dtype, *np.ones(count))
    assert ones.sum(axis=0) == (ones[None] @ ones[:, None]).item() == count


@IN_HALVES
def test_a_faulty_product_is_stored_too(dtype: str) -> None:
    seen: list[Any] = []

    def thirds(layer: Any, right: Any, p: Any, q: Any) -> Any:
        seen.append((type(p), type(q)))
        return right(p, q) / 3

    case = Case.random(dtype=dtype)
    evaluation = compute(case, ({"product": thirds, "f": lambda layer, right, a: a},))
    assert {each for pair in seen for each in pair} == {np.ndarray}
    zero = compute(dataclasses.replace(case, h0=0 * case.h0), ({"f": lambda layer, right, a: a},))
    assert fits(evaluation.hs, PRECISIONS[dtype].u)
    assert (evaluation.hs[0] != zero.hs[0]).any()


@IN_HALVES
def test_sums_of_too_few_bits_are_kept_so(dtype: str) -> None:
    ones = np.ones((1, 1, 1000), dtype)
    params = Params(ones[0].mT, ones[0, :, :1], None)
    case = Case(ones, 0 * ones[0, :, :1], params, ones[..., :1], nonlinearity="relu")
    assert compute(case).hs.item() == 1000
    assert FAULTS["sums in bfloat16"].subject()(case).hs.item() == 256


@IN_HALVES
def test_results_have_the_dtype_of_the_case_and_their_own_memory(dtype: str) -> None:
    case = Case.random(dtype=dtype).probed()
    for result in compute(case).fields().values():
        assert (type(result), result.dtype, result.base) == (np.ndarray, case.xs.dtype, None)
