"""The width of the bounds at the sizes of everyday tests."""

from typing import Any

import numpy as np
import pytest

from reference import PRECISIONS, Case, certify

QUANTITIES = ["h", "dx", "dh0", "dWx", "dWh", "db"]
WIDEST = {"float32": 1e-5, "float64": 3e-14}


def median_width(case: Case, quantity: str, plain_rnn: Any) -> float:
    compared = certify(case, plain_rnn()(case), PRECISIONS[case.dtype]).compared[quantity]
    size = np.abs(compared.expected)
    return float(np.median(compared.bound[size > 0] / size[size > 0]))


@pytest.mark.parametrize("quantity", QUANTITIES)
@pytest.mark.parametrize("dtype", WIDEST)
def test_bounds_of_one_step_are_narrow(quantity: str, dtype: str, plain_rnn: Any) -> None:
    case = Case.random(T=1, N=4, D=3, H=5, dtype=dtype, stack=50)
    assert median_width(case, quantity, plain_rnn) < WIDEST[dtype]


@pytest.mark.parametrize("quantity", QUANTITIES)
@pytest.mark.parametrize("dtype", WIDEST)
def test_bounds_of_a_probed_sequence_are_narrow(quantity: str, dtype: str, plain_rnn: Any) -> None:
    case = Case.random(T=5, N=4, D=3, H=5, dtype=dtype, stack=50).probed()
    assert median_width(case, quantity, plain_rnn) < WIDEST[dtype]


@pytest.mark.parametrize("dtype", WIDEST)
def test_bounds_through_many_steps_without_a_probe_are_wide(dtype: str, plain_rnn: Any) -> None:
    case = Case.random(T=40, N=4, D=3, H=5, dtype=dtype, stack=50, norm=3.0)
    assert median_width(case, "dh0", plain_rnn) > WIDEST[dtype]
