"""The sigmoid, its slope and the gated cells against certified enclosures (Arb, 200 bits)."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from reference import PRECISIONS, Bounded, Case
from reference.bounded import NUMPY_SIGMOID_ULPS
from reference.cells import CELLS, sigmoid, sigmoid_slope, through
from reference.certify import enclose
from reference.layer import evaluate_in
from reference.verdict import QUANTITIES

flint: Any = pytest.importorskip("flint")
GATED = [name for name in CELLS if name != "rnn"]
SWEEPS = {
    "uniform": np.linspace(-3, 3, 6001),
    "logarithmic": np.concatenate([sign * np.logspace(-300, 1.5, 6001) for sign in (1, -1)]),
    "both ends": np.linspace(-40, 40, 6001),
    "tail": np.linspace(-708, -30, 6001),
}


@pytest.fixture(autouse=True)
def precise() -> Iterator[None]:
    before, flint.ctx.prec = flint.ctx.prec, 200
    yield
    flint.ctx.prec = before


def exact(a: Any) -> Any:
    """Return the sigmoid of a ball."""
    return 1 / (1 + (-a).exp())


def sigmoid_ulps(points: Any) -> float:
    """Return the largest error of the oracle's sigmoid at these points, in units in the last place."""
    worst = 0.0
    for point, found in zip(points.tolist(), sigmoid(points).tolist(), strict=True):
        truth = exact(flint.arb(point))
        ulp = np.spacing(min(float(truth.mid()), 1 - 2.0**-53))
        worst = max(worst, float(abs((flint.arb(found) - truth) / flint.arb(float(ulp))).upper()))
    return worst


@pytest.mark.parametrize("sweep", SWEEPS)
def test_the_sigmoid_of_the_oracle_is_as_accurate_as_declared(sweep: str) -> None:
    assert sigmoid_ulps(SWEEPS[sweep]) <= NUMPY_SIGMOID_ULPS


def test_the_declared_accuracy_is_not_generous() -> None:
    assert max(map(sigmoid_ulps, SWEEPS.values())) >= NUMPY_SIGMOID_ULPS / 4


POINT = {
    "value": st.floats(-60, 60),
    "relative": st.sampled_from([0.0, 2.0**-52, 1e-10, 1e-3, 0.3]),
    "share": st.floats(-1, 1),
    "ulps": st.floats(-1, 1),
    "dtype": st.sampled_from(["float64", "float32"]),
    "absolute": st.sampled_from([0.0, 4.0]),
}


@given(**POINT)
def test_the_rule_of_the_sigmoid_holds(
    value: float, relative: float, share: float, ulps: float, dtype: str, absolute: float
) -> None:
    model, error = PRECISIONS[dtype].with_sigmoid(4.0, absolute), relative * abs(value)
    bounded = sigmoid(Bounded(np.array(value), model, error)).rounded()
    truth = exact(flint.arb(value) + flint.arb(share) * flint.arb(error))
    truth += flint.arb(ulps) * flint.arb(model.u) * (flint.arb(2 * model.sigmoid_ulps) * truth + flint.arb(absolute))
    assert abs(flint.arb(float(bounded.value)) - truth) <= flint.arb(float(bounded.error))


@given(**POINT)
def test_the_rule_of_its_slope_holds(
    value: float, relative: float, share: float, ulps: float, dtype: str, absolute: float
) -> None:
    model = PRECISIONS[dtype].with_sigmoid(4.0, absolute)
    s = sigmoid(Bounded(np.array(value), model, relative * abs(value)))
    bounded = sigmoid_slope(s).rounded()
    within = flint.arb(float(s.value)) + flint.arb(share) * flint.arb(float(s.error))
    rounding = 1 + flint.arb(ulps) * flint.arb(model.u)
    for form in (within * (1 - within) * rounding, (within - within * within * rounding) * rounding):
        assert abs(flint.arb(float(bounded.value)) - form) <= flint.arb(float(bounded.error))


@pytest.mark.parametrize("absolute", [0.0, 4.0])
def test_an_absolute_error_exceeds_the_tail_but_not_its_scale(absolute: float) -> None:
    model = PRECISIONS["float32"].with_sigmoid(4.0, absolute)
    found = sigmoid(Bounded(np.array(-30.0), model))
    for part in (found, sigmoid_slope(found)):
        assert (part.error > part.value) == bool(absolute)
        assert part.error <= 40 * model.u * part.scale


@pytest.mark.parametrize("absolute", [0.0, 4.0])
@pytest.mark.parametrize("gates", [[-10.0] * 7, [-10.0] + [30.0] * 50, [1.0] * 50])
def test_the_scale_of_what_passes_gates_neither_loses_nor_outgrows_its_error(
    gates: list[float], absolute: float
) -> None:
    model = PRECISIONS["float32"].with_sigmoid(4.0, absolute)
    passing = Bounded(np.array(1.0), model)
    for step, gate in enumerate(gates):
        passing = through(sigmoid(Bounded(np.array(gate), model)), passing).passed()
        assert model.u <= passing.error / passing.scale <= 40 * (step + 1) * model.u


@pytest.mark.parametrize("cell", GATED)
@pytest.mark.parametrize("bias", [True, False])
def test_the_whole_run_is_enclosed(cell: str, bias: bool) -> None:
    case = Case.random(T=3, N=2, D=2, H=2, cell=cell, bias=bias, seed=3)
    ball = np.vectorize(flint.arb, otypes=[object])
    truth = evaluate_in(case, ball).fields()
    bounds = enclose(case, PRECISIONS["float64"]).fields()
    assert {name for name, array in truth.items() if array is not None} <= {*QUANTITIES}
    for name, array in truth.items():
        if array is None:
            continue
        bound = bounds[name].rounded()
        for index in np.ndindex(array.shape):
            distance = abs(flint.arb(float(bound.value[index])) - array[index])
            assert distance <= flint.arb(float(bound.error[index])), f"{name}{index}"
            assert bound.error[index] < 1e-13, f"{name}{index}"
