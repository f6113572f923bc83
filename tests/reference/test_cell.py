"""RNN: the textbook layer, one step forward and backward."""

import re
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from reference import RNN, Case, Evaluation
from reference.cells import RNNCell
from reference.layer import evaluate_in
from reference.strategies import cases, shapes

ONE_STEP = shapes(lengths=(1,))


def smooth_cases(**options: Any) -> st.SearchStrategy[Case]:
    """Draw small finite cases without pre-activations at relu's kink, where the complex-step method fails."""
    small = options.pop("shape").filter(lambda shape: shape.D * shape.H <= 40)
    return cases(shape=small, **options).filter(lambda case: case.finite and bool((case.xs % 1).any()))


def cell_of(case: Case) -> RNN:
    return RNN(case.params.Wx, case.params.Wh, case.params.b, case.nonlinearity)


def one_step(case: Case, cell: RNN | None = None) -> Evaluation:
    """Evaluate a case of T = 1 with the textbook layer only."""
    cell = cell_of(case) if cell is None else cell
    h = cell.forward(case.xs[..., 0, :, :], case.h0)
    dx, dh0 = cell.backward(case.upstream[..., 0, :, :])
    return Evaluation(h[..., None, :, :], dx[..., None, :, :], dh0, *cell.grads)


def textbook(**sizes: Any) -> tuple[RNN, Any, Any]:
    case = Case.random(**({"T": 1, "N": 4, "D": 1, "H": 5} | sizes))
    return cell_of(case), case.xs[0], case.h0


def test_layer_is_used_as_in_the_textbook() -> None:
    cell, x, h_prev = textbook()
    h_next = cell.forward(x, h_prev)
    dx, dh_prev = cell.backward(np.ones_like(h_next))
    assert [array.shape for array in cell.params] == [(1, 5), (5, 5), (5,)] == [array.shape for array in cell.grads]
    assert (h_next.shape, dx.shape, dh_prev.shape) == ((4, 5), (4, 1), (4, 5))
    assert {array.dtype for array in (h_next, dx, dh_prev, *cell.grads)} == {np.dtype(np.float64)}


def test_params_are_the_arrays_given() -> None:
    Wx, Wh, b = np.ones((1, 5)), np.ones((5, 5)), np.ones(5)
    assert [id(array) for array in RNN(Wx, Wh, b).params] == [id(Wx), id(Wh), id(b)]


def test_an_optimiser_may_keep_references_to_the_gradients() -> None:
    cell, x, h_prev = textbook()
    held = list(cell.grads)
    h_next = cell.forward(x, h_prev)
    for scale in (1.0, 2.0):  # each backward overwrites them
        cell.backward(scale * np.ones_like(h_next))
        A = scale * (1 - h_next**2)
        np.testing.assert_array_equal(held[2], A.sum(axis=0))
    assert all(mine is grad for mine, grad in zip(held, cell.grads, strict=True))


def test_a_step_of_a_held_optimiser_changes_the_next_forward() -> None:
    cell, x, h_prev = textbook()
    Wx, Wh, b = params = [np.array(array) for array in cell.params]
    cell = RNN(Wx, Wh, b)
    before = cell.forward(x, h_prev)
    cell.backward(np.ones_like(before))
    for param, grad in zip(params, cell.grads, strict=True):
        param -= 0.1 * grad
    assert cell.forward(x, h_prev).sum() < before.sum()


@given(stack=smooth_cases(shape=ONE_STEP, stack=1))
def test_gradients_are_those_of_the_complex_step(stack: Case, complex_step: Any, bounds_of: Any, within: Any) -> None:
    case = stack[0]
    within(complex_step(case), bounds_of(case))
    within(one_step(case), bounds_of(case))


class WrongSlope(RNNCell):
    """A cell with a mistake: its derivative is 1 - h."""

    def backward(self, d_states: Any, saved: Any, **lent: Any) -> tuple[Any, Any]:
        """Return a wrong gradient at u."""
        (dh,), (h,) = d_states, saved
        return dh * (1 - h), (None,)


class WrongRNN(RNN):
    """The layer of this cell."""

    Cell = WrongSlope


def test_a_wrong_derivative_is_outside_the_bounds(bounds_of: Any, within: Any) -> None:
    case = Case.random(T=1)
    wrong = one_step(case, WrongRNN(case.params.Wx, case.params.Wh, case.params.b))
    with pytest.raises(AssertionError, match=r"^dxs: \|error\| is"):
        within(wrong, bounds_of(case))
    with pytest.raises(AssertionError, match=r"^dxs: \|error\| is"):
        within(evaluate_in(case, lambda array: array, cell=WrongSlope()), bounds_of(case))


@pytest.mark.parametrize("name", ["hs", "dxs", "dh0", "dWx", "dWh", "db"])
def test_a_wrong_complex_step_is_outside_the_bounds(name: str, complex_step: Any, bounds_of: Any, within: Any) -> None:
    case = Case.random(T=1)
    step = complex_step(case)
    with pytest.raises(AssertionError, match=rf"^{name}: \|error\| is"):
        within(replace(step, **{name: step.fields()[name] * (1 + 1e-12)}), bounds_of(case))


def test_derivative_of_relu_at_zero_is_zero() -> None:
    cell = RNN(np.eye(3), np.zeros((3, 3)), np.zeros(3), nonlinearity="relu")
    cell.forward(np.array([[-1.0, 0.0, 2.0]]), np.zeros((1, 3)))
    dx, _ = cell.backward(np.full((1, 3), 5.0))
    assert dx.tolist() == [[0.0, 0.0, 5.0]]


def test_a_cell_without_bias_is_one_with_a_bias_of_zero() -> None:
    case = Case.random(T=1, bias=False)
    zero = replace(case, params=replace(case.params, b=np.zeros(case.sizes["H"])))
    without, with_zero = one_step(case), one_step(zero)
    assert without.db is None
    assert len(cell_of(case).params) == len(cell_of(case).grads) == 2
    for name in ("hs", "dxs", "dh0", "dWx", "dWh"):
        np.testing.assert_array_equal(without.fields()[name], with_zero.fields()[name])


@given(stack=cases(shape=ONE_STEP, stack=5))
def test_a_stack_is_its_cases(stack: Case, bounds_of: Any, within: Any) -> None:
    together = one_step(stack)
    for k in range(5):
        within(together[k], bounds_of(stack[k]))
        within(one_step(stack[k]), bounds_of(stack)[k])


def test_a_stack_in_another_order_is_outside_the_bounds(bounds_of: Any, within: Any) -> None:
    stack = Case.random(T=1, stack=2)
    with pytest.raises(AssertionError, match="hs"):
        within(one_step(stack)[1], bounds_of(stack[0]))


@pytest.mark.parametrize(("N", "D"), [(0, 3), (4, 0), (0, 0)])
def test_batch_and_inputs_may_be_empty(N: int, D: int) -> None:
    cell, x, h_prev = textbook(N=N, D=D)
    h_next = cell.forward(x, h_prev)
    dx, dh_prev = cell.backward(np.ones_like(h_next))
    assert (h_next.shape, dx.shape, dh_prev.shape) == ((N, 5), (N, D), (N, 5))
    assert N or not any(grad.any() for grad in cell.grads)


def test_float32_stays_float32() -> None:
    case = Case.random(T=1, dtype="float32")
    assert {array.dtype for array in one_step(case).fields().values()} == {np.dtype(np.float32)}


Z = np.zeros


@pytest.mark.parametrize(
    ("arguments", "error", "message"),
    [
        ((Z((3, 5)), Z((5, 4))), ValueError, "RNN: expected Wh of shape (5, 5), got (5, 4) (D=3, H=5)"),
        ((Z((3, 5)), Z((5, 5)), Z((1, 5))), ValueError, "RNN: expected b of shape (5,), got (1, 5) (D=3, H=5)"),
        (
            (Z((2, 3, 5)), Z((2, 5, 5)), Z((2, 1, 5))),
            ValueError,
            "RNN: expected b of shape (2, 5), got (2, 1, 5) (D=3, H=5)",
        ),
        ((Z(5), Z((5, 5))), ValueError, "RNN: expected Wx of shape (D, H), got (5,)"),
        ((Z((3, 5), int), Z((5, 5))), TypeError, "RNN: expected floating Wx, got int64 (shape (3, 5))"),
        ((Z((3, 5)), Z((5, 5)), Z(5, bool)), TypeError, "RNN: expected floating b, got bool (shape (5,))"),
        (([[0.0]], Z((1, 1))), TypeError, "RNN: expected Wx to be an array, got list"),
        (
            (Z((3, 5)), Z((5, 5)), None, "gelu"),
            ValueError,
            "RNN: expected nonlinearity to be one of ['relu', 'tanh'], got 'gelu'",
        ),
    ],
)
def test_parameters_that_do_not_fit_raise(arguments: Any, error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=re.escape(message)):
        RNN(*arguments)


@pytest.mark.parametrize(
    ("x", "h_prev", "error", "message"),
    [
        (Z((4, 2)), Z((4, 5)), ValueError, "RNN.forward: expected x of shape (N, 3), got (4, 2) (D=3, H=5)"),
        (Z((1, 4, 3)), Z((4, 5)), ValueError, "RNN.forward: expected x of shape (N, 3), got (1, 4, 3) (D=3, H=5)"),
        (Z((4, 3)), Z((1, 5)), ValueError, "RNN.forward: expected h_prev of shape (4, 5), got (1, 5) (N=4, D=3, H=5)"),
        (Z((4, 3)), Z((4, 3)), ValueError, "RNN.forward: expected h_prev of shape (4, 5), got (4, 3) (N=4, D=3, H=5)"),
        (Z((4, 3), int), Z((4, 5)), TypeError, "RNN.forward: expected floating x, got int64 (shape (4, 3))"),
        (Z((4, 3)), None, TypeError, "RNN.forward: expected h_prev to be an array, got NoneType"),
    ],
)
def test_inputs_that_do_not_fit_raise(x: Any, h_prev: Any, error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=re.escape(message)):
        textbook(D=3)[0].forward(x, h_prev)


@pytest.mark.parametrize(
    ("dh_next", "error", "message"),
    [
        (Z((1, 5)), ValueError, "RNN.backward: expected dh_next of shape (4, 5), got (1, 5) (D=3, H=5)"),
        (Z((4, 5), int), TypeError, "RNN.backward: expected floating dh_next, got int64 (shape (4, 5))"),
    ],
)
def test_gradients_that_do_not_fit_raise(dh_next: Any, error: type[Exception], message: str) -> None:
    cell, x, h_prev = textbook(D=3)
    cell.forward(x, h_prev)
    with pytest.raises(error, match=re.escape(message)):
        cell.backward(dh_next)


def test_backward_before_forward_raises() -> None:
    with pytest.raises(RuntimeError, match=re.escape("RNN.backward: expected a call of forward before, got none")):
        textbook()[0].backward(Z((4, 5)))
