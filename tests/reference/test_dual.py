"""Forward mode and second derivatives: the code of the cell on dual arrays, tested by independent evidence."""

from __future__ import annotations

import dataclasses
from typing import Any

import flint
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from reference import PRECISIONS, Case, Evaluation, Params, certify, evaluate
from reference.cells import RNNCell
from reference.certify import LONGEST_DIRECTION, enclose
from reference.dual import Dual
from reference.layer import Layer, evaluate_in
from reference.params import Direction
from reference.strategies import EDGES, FINITE, cases, shapes

SMALL = shapes(lengths=(3, 1, 2, 5), batches=(2, 1, 3))
STEP = 2.0**-100  # step of the complex-step method: its square vanishes against 1, and no terms cancel
DOTS = [f"{name}_dot" for name in ("hs", "dxs", "dh0", "dWx", "dWh", "db")]


def complex_step(case: Case) -> dict[str, Any]:
    """Return the derivative of every quantity along the direction of a case, by a complex step in the plain layer."""
    assert case.direction is not None
    along = case.direction.fields()
    moved = {
        name: array + 1j * STEP * along[f"{name}_dot"]
        for name, array in case.arrays().items()
        if not name.startswith("upstream")
    }
    layer = Layer(RNNCell(case.nonlinearity), {name: moved.get(name) for name in ("Wx", "Wh", "b")})
    hs, _ = layer.forward(moved["xs"], (moved["h0"],))
    dxs, (dh0,), gradients = layer.backward(case.upstream.astype(complex), ())
    found = {"hs": hs, "dxs": dxs, "dh0": dh0} | {f"d{name}": array for name, array in gradients.items()}
    return {f"{name}_dot": array.imag / STEP for name, array in found.items()}


@given(case=cases(shape=shapes(lengths=(3, 1, 2, 5), nonlinearities=("tanh",)), stack=4, norms=(1.0,), direction=True))
def test_all_derivatives_are_those_of_the_complex_step(case: Case) -> None:
    found = evaluate(case)
    bounds = enclose(case, PRECISIONS["float64"])
    for name, array in complex_step(case).items():
        bound = 8 * getattr(bounds, name).rounded().error
        assert (np.abs(array - getattr(found, name)) <= bound).all(), name


def test_a_wrong_derivative_is_not_that_of_the_complex_step() -> None:
    case = Case.random(T=3, direction=True)
    bounds, right = enclose(case, PRECISIONS["float64"]), complex_step(case)
    for name, array in right.items():
        wrong = getattr(evaluate(case), name) * (1 + 1e-9)
        assert (np.abs(array - wrong) > 8 * getattr(bounds, name).rounded().error).any(), name


@pytest.mark.parametrize("nonlinearity", ["tanh", "relu"])
def test_all_derivatives_are_enclosed_by_bounds_and_by_balls(
    nonlinearity: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The exact results come from the same code on dual arrays of Arb's balls, at 200 bits."""
    monkeypatch.setattr(flint.ctx, "prec", 200)
    case = Case.random(T=4, N=2, D=2, H=3, seed=1, nonlinearity=nonlinearity, direction=True)
    ball = np.vectorize(flint.arb, otypes=[object])
    truth = evaluate_in(case, lambda array: ball(array.astype(np.float64)))
    bounds, found = enclose(case, PRECISIONS["float64"]), evaluate(case)
    assert {name for name in truth.fields() if name.endswith("_dot")} == set(DOTS)
    for name in DOTS:
        exact = np.vectorize(float)(getattr(truth, name))
        bound = getattr(bounds, name).rounded()
        assert (np.abs(exact - bound.value) <= bound.error).all(), name
        assert (np.abs(exact - getattr(found, name)) <= 2 * bound.error).all(), name
        assert (bound.error < 1e-12 * np.abs(exact).max()).all(), name


@given(case=cases(shape=SMALL, stack=4, norms=(1.0,), direction=True))
def test_the_jacobian_and_its_transpose_are_adjoint(case: Case) -> None:
    """Compare <upstream, J v> with <J.T upstream, v>. The rounding of both sums is bounded."""
    found, bounds = evaluate(case), enclose(case, PRECISIONS["float64"])
    assert case.direction is not None
    left = np.sum(case.upstream * found.hs_dot, axis=(1, 2, 3))
    right, slack = 0 * left, np.sum(np.abs(case.upstream) * bounds.hs_dot.rounded().error, axis=(1, 2, 3))
    for name, array in case.direction.fields().items():
        if array is not None:
            field = f"d{name.removesuffix('_dot')}"
            axes = tuple(range(1, array.ndim))
            right = right + np.sum(getattr(found, field) * array, axis=axes)
            slack = slack + np.sum(getattr(bounds, field).rounded().error * np.abs(array), axis=axes)
    # Each side is a sum of at most 10,000 terms.
    size = np.sum(np.abs(case.upstream * found.hs_dot), axis=(1, 2, 3))
    assert (np.abs(left - right) <= 2 * slack + 1e4 * 2.0**-53 * (size + slack)).all()


@pytest.mark.parametrize("dtype", ["float64", "float32"])
@given(data=st.data())
def test_the_oracle_rounded_once_passes_along_a_direction(dtype: str, data: st.DataObject) -> None:
    case = data.draw(cases(shape=SMALL, stack=3, direction=True, dtype=dtype))
    verdict = certify(case, evaluate(case).astype(dtype), PRECISIONS[dtype])
    assert verdict.status != "fail", str(verdict)
    assert {"jvp h", "hvp dWh"} <= set(verdict.worst)


@pytest.mark.parametrize("dtype", ["float64", "float32"])
@given(data=st.data())
def test_derivatives_in_the_dtype_of_the_case_are_within_the_bounds(dtype: str, data: st.DataObject) -> None:
    case = data.draw(cases(shape=SMALL, stack=16, direction=True, dtype=dtype, values=(*FINITE, *EDGES), assorted=True))
    with np.errstate(all="ignore"):
        found = evaluate_in(case, lambda array: array)
    assert found.dxs_dot.dtype == dtype
    verdict = certify(case, found, PRECISIONS[dtype])
    assert verdict.status != "fail", str(verdict)


@pytest.mark.parametrize("dot", DOTS)
@pytest.mark.parametrize(("dtype", "size"), [("float64", 1e-13), ("float32", 1e-5)])
def test_a_wrong_derivative_fails(dot: str, dtype: str, size: float) -> None:
    # Errors also pile up over the steps backward, and are largest in the sum over all steps and rows.
    size *= {"hs_dot": 1, "db_dot": 20}.get(dot, 10)
    case = Case.random(T=4, N=3, D=3, H=4, dtype=dtype, direction=True, seed=2).probed()
    right = evaluate(case).astype(dtype)
    wrong = np.array(getattr(right, dot))
    wrong.flat[5 % wrong.size] += size * np.abs(wrong).max()
    verdict = certify(case, dataclasses.replace(right, **{dot: wrong}), PRECISIONS[dtype])
    assert verdict.status == "fail"
    name = {"hs_dot": "jvp h"}.get(dot, f"hvp {dot.removesuffix('_dot').replace('dxs', 'dx')}")
    assert verdict.worst[name].ratio > 1


def test_forward_mode_alone_is_compared_alone() -> None:
    case = Case.random(direction=True, dtype="float32").probed()
    right = evaluate(case).astype("float32")
    verdict = certify(case, Evaluation(right.hs, hs_dot=right.hs_dot), PRECISIONS["float32"])
    assert list(verdict.worst) == ["h", "jvp h"]
    assert verdict.status == "pass"


@pytest.mark.parametrize(("dtype", "widest"), [("float64", 3e-12), ("float32", 8e-4)])
@pytest.mark.parametrize("nonlinearity", ["tanh", "relu"])
@pytest.mark.parametrize("probed", [False, True])
def test_the_longest_direction_is_decided(dtype: str, widest: float, nonlinearity: str, probed: bool) -> None:
    like: dict[str, Any] = {"dtype": dtype, "nonlinearity": nonlinearity, "direction": True, "stack": 20}
    case = Case.random(LONGEST_DIRECTION, **like)
    case = case.probed(1) if probed else case
    verdict = certify(case, evaluate(case).astype(dtype), PRECISIONS[dtype])
    verdict.require()
    assert max(bound for name, bound in verdict.relative_bound.items() if name[:3] in ("jvp", "hvp")) < widest


def test_a_longer_direction_raises() -> None:
    case = Case.random(LONGEST_DIRECTION + 1, direction=True)
    answer = evaluate(case)
    message = (
        r"certify: expected a direction in float64 or float32 and T <= 8, got one in float64 \(T=9, N=4, D=3, H=6\)"
    )
    with pytest.raises(ValueError, match=f"^{message}$"):
        certify(case, answer, PRECISIONS["float64"])
    primal = {name: array for name, array in answer.fields().items() if not name.endswith("_dot")}
    certify(case, Evaluation(**primal), PRECISIONS["float64"]).require()


def test_tangents_of_relu_at_its_kink_are_zero() -> None:
    one = np.ones((1, 1))
    case = Case(
        0 * one[None], 0 * one, Params(one, one), one[None], "relu", direction=Direction(one[None], one, one, one)
    )
    found = evaluate(case)
    assert not found.hs_dot.any()
    assert not found.dxs_dot.any()


def test_a_derivative_along_no_direction_raises() -> None:
    case = Case.random(dtype="float32")
    right = evaluate(case).astype("float32")
    with pytest.raises(
        ValueError, match=r"^certify: expected no hs_dot for a case without a direction, got \(5, 4, 6\)"
    ):
        certify(case, dataclasses.replace(right, hs_dot=right.hs), PRECISIONS["float32"])


def test_a_direction_of_another_shape_raises() -> None:
    case = Case.random(direction=True)
    assert case.direction is not None
    with pytest.raises(
        ValueError, match=r"^Case: expected Wh_dot of shape \(6, 6\), got \(5, 6\) \(T=5, N=4, D=3, H=6\)"
    ):
        dataclasses.replace(case, direction=dataclasses.replace(case.direction, Wh_dot=np.zeros((5, 6))))


@pytest.mark.parametrize("operation", [np.exp, np.sqrt, np.flip, np.divide.reduce])
def test_an_operation_without_a_rule_raises(operation: Any) -> None:
    with pytest.raises(TypeError):
        operation(Dual(np.ones(2), np.ones(2)))
