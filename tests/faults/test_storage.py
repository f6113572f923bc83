"""Half precisions of the catalogue: sums in float32, results in storage, in whatever arithmetic a fault computes."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from reference import PRECISIONS, Case
from reference.arithmetic import fits
from reference.faults import HALVES, compute
from reference.faults.numerical import SumsInBFloat16
from reference.faults.storage import carried

IN_HALVES = pytest.mark.parametrize("dtype", HALVES)


def array(dtype: str, *numbers: float, arithmetic: type[np.ndarray[Any, Any]] = np.ndarray) -> Any:
    """Return numbers as a half precision carries them."""
    wide, kind = carried(dtype, arithmetic)
    return np.array(numbers, wide).view(kind)


@pytest.mark.parametrize("dtype", ["float64", "float32"])
def test_a_precision_that_adds_up_in_its_storage_is_taken_as_it_is(dtype: str) -> None:
    assert carried(dtype, SumsInBFloat16) == (np.dtype(dtype), SumsInBFloat16)


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
def test_a_faulty_arithmetic_is_stored_too(dtype: str) -> None:
    ones = array(dtype, *np.ones(1000), arithmetic=SumsInBFloat16)
    assert (ones[None] @ ones[:, None]).item() == 256
    assert (np.asarray(ones)[None] @ ones[:, None]).item() == 256


@IN_HALVES
def test_what_is_returned_is_of_the_dtype_of_the_case_and_in_memory_of_its_own(dtype: str) -> None:
    case = Case.random(dtype=dtype).probed()
    for result in compute(case).fields().values():
        assert (type(result), result.dtype, result.base) == (np.ndarray, case.xs.dtype, None)
