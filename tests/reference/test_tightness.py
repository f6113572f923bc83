"""The width of the bounds at the sizes of everyday tests."""

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from reference import PRECISIONS, Case, Evaluation, certify
from reference.cells import CELLS
from tests.reference.plain_gated import PlainGated

QUANTITIES = ["h", "dx", "dh0", "dWx", "dWh", "db"]
GATED = [name for name in CELLS if name != "rnn"]
WIDEST = {"float32": 1e-5, "float64": 3e-14}


def median_width(case: Case, quantity: str, plain_rnn: Any) -> float:
    return median_widths(case, plain_rnn())[quantity]


def median_widths(case: Case, run: Callable[[Case], Evaluation]) -> dict[str, float]:
    """Return the median of bound / value of each quantity."""
    compared = certify(case, run(case), PRECISIONS[case.dtype].with_sigmoid(4.0, 0.0)).compared
    shares = {
        name: one.bound[one.expected != 0] / np.abs(one.expected[one.expected != 0]) for name, one in compared.items()
    }
    return {name: float(np.median(share)) for name, share in shares.items()}


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


@pytest.mark.parametrize("cell", GATED)
@pytest.mark.parametrize("dtype", WIDEST)
def test_bounds_of_gated_cells_are_narrow(cell: str, dtype: str) -> None:
    case = Case.random(T=10, N=4, D=3, H=5, cell=cell, dtype=dtype, stack=50).probed()
    widths = median_widths(case, PlainGated())
    assert len(widths) >= 6
    assert max(widths.values()) < 2 * WIDEST[dtype]


@pytest.mark.parametrize("dtype", WIDEST)
def test_bounds_through_many_steps_without_a_probe_are_wide(dtype: str, plain_rnn: Any) -> None:
    case = Case.random(T=40, N=4, D=3, H=5, dtype=dtype, stack=50, norm=3.0)
    assert median_width(case, "dh0", plain_rnn) > WIDEST[dtype]
