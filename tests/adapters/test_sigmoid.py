"""Each framework's sigmoid is as accurate as its adapters declare, and a sweep against Arb checks it."""

from __future__ import annotations

from typing import Any

import flint
import numpy as np
import pytest
from numpy.typing import NDArray

from adapters import Adapter
from reference import Precision
from reference.archive import dtype_of

# No other test checks the declared accuracy of the sigmoid.
pytestmark = [pytest.mark.always, pytest.mark.gated]

RNG = np.random.default_rng(0)
# Below these arguments, the sigmoid is subnormal.
TAIL = {"float64": -708.0, "float32": -87.0, "bfloat16": -87.0, "float16": -9.7}


def sweep(dtype: str) -> NDArray[Any]:
    """Return arguments in the middle, at both ends, down the tail, and with subnormal results."""
    regions = (
        RNG.uniform(-3, 3, 4000),
        RNG.uniform(-20, 20, 4000),
        RNG.uniform(TAIL[dtype], 0, 4000),
        TAIL[dtype] - RNG.uniform(0, 8, 500),
        RNG.choice([-1, 1], 2000) * 10 ** RNG.uniform(-6, 2, 2000),
    )
    return np.concatenate(regions).astype(dtype_of(dtype))


def share_of_bound(found: NDArray[Any], arguments: NDArray[Any], model: Precision) -> float:
    """Return the largest error of a sigmoid, as a share of what the model admits."""
    flint.ctx.prec = 120
    worst = 0.0
    for value, argument in zip(found, arguments, strict=True):
        exact = 1 / (1 + (-flint.arb(float(argument))).exp())
        error = abs(float(flint.arb(float(value)) - exact))
        relative = 2 * model.sigmoid_ulps * model.u * float(exact)
        # A result below the smallest normal number may be flushed, or rounded as subnormal numbers are.
        lost = max(model.underflow, 2 * model.u * model.storage.tiny)
        worst = max(worst, error / (relative + model.sigmoid_absolute * model.u + lost))
    return worst


def test_sigmoid_is_as_accurate_as_declared_and_no_more_than_ten_times_better(adapter: Adapter, dtype: str) -> None:
    assert adapter.sigmoid is not None
    arguments = sweep(dtype)
    share = share_of_bound(adapter.sigmoid(arguments), arguments, adapter.precision(dtype))
    assert 0.1 <= share <= 1, f"the largest error is {share:.3g} x what is declared"


def test_the_sweep_detects_a_sigmoid_that_is_wrong_by_a_twentieth(adapter: Adapter, dtype: str) -> None:
    assert adapter.sigmoid is not None
    arguments = sweep(dtype)
    wrong = adapter.sigmoid(arguments) * np.asarray(1.05, arguments.dtype)
    assert share_of_bound(wrong, arguments, adapter.precision(dtype)) > 1
