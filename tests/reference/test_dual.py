"""Forward mode and second derivatives: the cell's own lines on dual arrays, held to independent evidence."""

from __future__ import annotations

import dataclasses
from typing import Any

import flint
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from reference import PRECISIONS, RNN, Case, Evaluation, Params, certify, evaluate
from reference.case import Direction
from reference.certify import enclose
from reference.layer import adjoints, evaluate_arrays, lift, unpacked
from reference.strategies import cases, shapes
from reference.dual import Dual

SMALL = shapes(lengths=(3, 1, 2, 5), batches=(2, 1, 3))
STEP = 2.0**-100  # of the complex step: its square vanishes beside 1, and nothing cancels
DOTS = [f"{name}_dot" for name in ("hs", "dxs", "dh0", "dWx", "dWh", "db")]


def moved(case: Case, step: complex) -> dict[str, Any]:
    """Return the arrays of a case, moved along its direction by so much."""
    assert case.direction is not None
    Wx, Wh, b = case.params.for_cell()
    arrays = {"xs": case.xs, "h0": case.h0, "Wx": Wx, "Wh": Wh, "b": b}
    along = case.direction.fields()
    found = {
        name: None if array is None else array + step * along[f"{name}_dot"].reshape(array.shape)
        for name, array in arrays.items()
    }
    return found | {"upstream": case.upstream.astype(complex)}


@given(case=cases(shape=shapes(lengths=(3, 1, 2, 5), nonlinearities=("tanh",)), stack=4, norms=(1.0,), direction=True))
def test_all_derivatives_are_those_of_the_complex_step(case: Case) -> None:
    found = evaluate(case)
    step = evaluate_arrays(**moved(case, 1j * STEP), f="tanh")
    for name, array in step.fields().items():
        if array is not None:
            dot, size = getattr(found, f"{name}_dot"), enclose(case, PRECISIONS["float64"])
            bound = 8 * getattr(size, f"{name}_dot").rounded().error
            assert (np.abs(array.imag / STEP - dot) <= bound).all(), name


def test_all_derivatives_are_enclosed_by_bounds_and_by_balls() -> None:
    """The truth is that of Arb at 200 bits, through the same lines on dual arrays of balls."""
    flint.ctx.prec = 200
    case = Case.random(T=4, N=2, D=2, H=3, seed=1, direction=True)
    ball = np.vectorize(flint.arb, otypes=[object])
    arrays = lift(case, lambda array: ball(array.astype(np.float64)), moves=True)
    truth = evaluate_arrays(**arrays, f="tanh")
    bounds, found = enclose(case, PRECISIONS["float64"]), evaluate(case)
    for name, dual in truth.fields().items():
        exact = np.vectorize(float)(dual.tangent)
        bound = getattr(bounds, f"{name}_dot").rounded()
        assert (np.abs(exact - bound.value) <= bound.error).all(), name
        assert (np.abs(exact - getattr(found, f"{name}_dot")) <= 2 * bound.error).all(), name


@given(case=cases(shape=SMALL, stack=4, norms=(1.0,), direction=True))
def test_the_jacobian_and_its_transpose_are_adjoint(case: Case) -> None:
    """<upstream, J v> = <J.T upstream, v>, each side a sum whose rounding is bounded."""
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


@given(case=cases(shape=SMALL, stack=3, direction=True, dtype="float32"))
def test_a_direction_is_certified_step_by_step(case: Case) -> None:
    right = evaluate(case).astype("float32")
    verdict = certify(case, right, PRECISIONS["float32"])
    assert verdict.status != "fail", str(verdict)
    assert {"jvp h", "hvp dWh"} <= set(verdict.worst)


@pytest.mark.parametrize("dot", DOTS)
@pytest.mark.parametrize(("dtype", "size"), [("float64", 1e-13), ("float32", 1e-5)])
def test_a_derivative_that_is_wrong_is_told(dot: str, dtype: str, size: float) -> None:
    # Second derivatives may be taken anew wherever they are used, so that less is known of them.
    size = size if dot == "hs_dot" else 10 * size
    case = Case.random(T=4, N=3, D=3, H=4, dtype=dtype, direction=True, seed=2).probed()
    right = evaluate(case).astype(dtype)
    wrong = np.array(getattr(right, dot))
    wrong.flat[5 % wrong.size] += size * np.abs(wrong).max()
    verdict = certify(case, dataclasses.replace(right, **{dot: wrong}), PRECISIONS[dtype])
    assert verdict.status == "fail"
    name = {"hs_dot": "jvp h"}.get(dot, f"hvp {dot.removesuffix('_dot').replace('dxs', 'dx')}")
    assert verdict.worst[name].ratio > 1


def in_two_loops(case: Case) -> Evaluation:
    """Evaluate a case in its dtype, but all of backward anew, and more exactly, for how the gradient of h0 moves."""
    found = unpacked(evaluate_arrays(**lift(case, lambda array: array, moves=True), f=case.nonlinearity))
    wide = lift(case.unprobed(), lambda array: array.astype(np.float64), moves=True)
    cell = RNN(wide["Wx"], wide["Wh"], wide["b"], case.nonlinearity)
    h = Dual(found.hs.astype(np.float64), found.hs_dot.astype(np.float64))
    A = adjoints(cell, h, wide["upstream"])
    return dataclasses.replace(found, dh0_dot=cell.to_state(A[..., 0, :, :]).tangent.astype(case.dtype))


def test_steps_of_one_unit_may_be_taken_anew_in_another_loop() -> None:
    case = Case.random(T=6, N=5, D=8, H=1, dtype="float32", stack=200, values="wide", direction=True, norm=2).probed()
    found, model = in_two_loops(case), PRECISIONS["float32"]
    certify(case, found, model.recomputing("steps")).require()
    # Nobody else may.
    assert "fail" in certify(case, found, model).statuses
    wrong = dataclasses.replace(found, dh0_dot=found.dh0_dot * np.float32(1.001))
    assert set(certify(case, wrong, model.recomputing("steps")).statuses) == {"fail"}


def test_more_units_are_not_taken_anew() -> None:
    case = Case.random(T=6, N=5, D=8, H=2, dtype="float32", stack=20, values="wide", direction=True, norm=2).probed()
    found, model = in_two_loops(case), PRECISIONS["float32"]
    verdicts = [certify(case, found, one) for one in (model, model.recomputing("steps"))]
    for name, judged in verdicts[0].compared.items():
        np.testing.assert_array_equal(judged.bound, verdicts[1].compared[name].bound, err_msg=name)


def test_forward_mode_alone_is_judged_alone() -> None:
    case = Case.random(direction=True, dtype="float32").probed()
    right = evaluate(case).astype("float32")
    verdict = certify(case, Evaluation(right.hs, hs_dot=right.hs_dot), PRECISIONS["float32"])
    assert list(verdict.worst) == ["h", "jvp h"]
    assert verdict.status == "pass"


def test_a_thousand_steps_of_forward_mode_are_certified_at_the_accuracy_of_one() -> None:
    case = Case.random(T=1000, N=2, direction=True, dtype="float32", norm=0.9).probed()
    verdict = certify(case, evaluate(case).astype("float32"), PRECISIONS["float32"])
    verdict.require()
    assert max(verdict.relative_bound.values()) < 5e-4
    assert verdict.relative_bound["jvp h"] < 2e-5


def test_relu_at_its_kink_does_not_move() -> None:
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


@given(seed=st.integers(0, 99))
def test_an_operation_without_a_rule_raises(seed: int) -> None:
    with pytest.raises(TypeError):
        np.exp(Dual(np.ones(seed), np.ones(seed)))
