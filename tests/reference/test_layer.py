"""TimeRNN and evaluate: the cell unrolled over time."""

import re
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from reference import RNN, Case, Evaluation, TimeRNN, evaluate
from reference.strategies import cases, shapes

SHORT = shapes(lengths=(3, 1, 2, 5), batches=(1, 2, 3))


def smooth_cases(**options: Any) -> st.SearchStrategy[Case]:
    """Draw small finite cases without pre-activations at relu's kink, where the complex-step method fails."""
    small = options.pop("shape").filter(lambda shape: shape.D * shape.H <= 40)
    return cases(shape=small, **options).filter(lambda case: case.finite and bool((case.xs % 1).any()))


def layer_of(case: Case, stateful: bool = False) -> TimeRNN:
    params = case.params
    return TimeRNN(params.Wx, params.Wh, params.b, stateful=stateful, nonlinearity=case.nonlinearity)


def unrolled(case: Case, layer: TimeRNN) -> Evaluation:
    """Evaluate a single case with a layer whose initial state is already set."""
    hs = layer.forward(case.xs)
    dxs = layer.backward(case.upstream)
    return Evaluation(hs, dxs, layer.dh, *layer.grads)


def assert_same(actual: Evaluation, expected: Evaluation) -> None:
    for name, array in expected.fields().items():
        np.testing.assert_array_equal(actual.fields()[name], array, err_msg=name)


@given(stack=smooth_cases(shape=SHORT, stack=1, norms=(1.0, 0.5)))
def test_gradients_are_those_of_the_complex_step(stack: Case, complex_step: Any, bounds_of: Any, within: Any) -> None:
    case = stack[0].unprobed()
    within(complex_step(case), bounds_of(case))
    within(evaluate(case), bounds_of(case))


@pytest.mark.parametrize("name", ["dxs", "dh0", "dWx", "dWh", "db"])
def test_a_wrong_complex_step_is_outside_the_bounds(name: str, complex_step: Any, bounds_of: Any, within: Any) -> None:
    case = Case.random(T=3)
    step = complex_step(case)
    wrong = replace(step, **{name: step.fields()[name] * (1 + 1e-9)})
    with pytest.raises(AssertionError, match=name):
        within(wrong, bounds_of(case))


@given(stack=cases(stack=1))
def test_evaluate_is_the_layer(stack: Case) -> None:
    case = stack[0]
    layer = layer_of(case, stateful=True)
    layer.set_state(case.h0)
    assert_same(unrolled(case, layer), evaluate(case))


@given(stack=cases(shape=shapes(lengths=(1,)), stack=3))
def test_one_step_is_the_cell(stack: Case) -> None:
    cell, truth = RNN(stack.params.Wx, stack.params.Wh, stack.params.b, stack.nonlinearity), evaluate(stack)
    h = cell.forward(stack.xs[:, 0], stack.h0)
    dx, dh0 = cell.backward(stack.upstream[:, 0])
    assert_same(Evaluation(h[:, None], dx[:, None], dh0, *cell.grads), truth)


@given(stack=cases(shape=SHORT, stack=5, norms=(1.0,)))
def test_a_stack_is_its_cases(stack: Case, bounds_of: Any, within: Any) -> None:
    together, bounds = evaluate(stack), bounds_of(stack)
    for k in range(5):
        within(evaluate(stack[k]), bounds[k])
        within(together[k], bounds_of(stack[k]))


def test_a_stack_in_another_order_is_outside_the_bounds(bounds_of: Any, within: Any) -> None:
    stack = Case.random(stack=2)
    with pytest.raises(AssertionError, match="hs"):
        within(evaluate(stack)[1], bounds_of(stack[0]))


@given(stack=cases(shape=SHORT, stack=1, norms=(1.0,)), share=st.floats(0, 1))
def test_a_sequence_cut_in_two_is_the_whole(stack: Case, share: float, bounds_of: Any, within: Any) -> None:
    case = stack[0].unprobed()
    cut = round(share * case.sizes["T"])
    first, second = layer_of(case, stateful=True), layer_of(case, stateful=True)
    first.set_state(case.h0)
    early = first.forward(case.xs[:cut])
    second.set_state(first.h)
    late = second.forward(case.xs[cut:])
    late_dxs = second.backward(case.upstream[cut:])
    # The gradient from the second half reaches the last state of the first half, or h0 if the first half has no steps.
    upstream = np.array(case.upstream[:cut])
    upstream[-1:] += np.asarray(second.dh)
    early_dxs = first.backward(upstream)
    dh0 = first.dh if cut else second.dh
    grads = [one + other for one, other in zip(first.grads, second.grads, strict=True)]
    whole = Evaluation(np.concatenate([early, late]), np.concatenate([early_dxs, late_dxs]), dh0, *grads)
    within(whole, bounds_of(case))


def test_a_sequence_cut_without_the_gradient_of_the_later_half_is_outside_the_bounds(
    bounds_of: Any, within: Any
) -> None:
    case = Case.random(T=4)
    layer = layer_of(case, stateful=True)
    layer.set_state(case.h0)
    layer.forward(case.xs[:2])
    wrong = replace(evaluate(case), dxs=np.concatenate([layer.backward(case.upstream[:2]), evaluate(case).dxs[2:]]))
    with pytest.raises(AssertionError, match="dxs"):
        within(wrong, bounds_of(case))


def test_evaluate_widens_to_float64_without_change() -> None:
    case = Case.random(dtype="float32")
    assert_same(evaluate(case), evaluate(case.astype("float64")))
    assert {array.dtype for array in evaluate(case).fields().values()} == {np.dtype(np.float64)}


def test_a_layer_without_memory_starts_from_zeros() -> None:
    case = Case.random()
    layer = layer_of(case)
    first = layer.forward(case.xs)
    np.testing.assert_array_equal(layer.forward(case.xs), first)


def test_a_layer_without_memory_takes_no_state() -> None:
    message = "TimeRNN.set_state: expected a stateful layer, got stateful=False (D=3, H=6)"
    with pytest.raises(ValueError, match=f"^{re.escape(message)}$"):
        layer_of(Case.random()).set_state(Z((4, 6)))


def test_a_stateful_layer_goes_on_where_it_stopped() -> None:
    case = Case.random(T=6)
    whole, halves = layer_of(case, stateful=True), layer_of(case, stateful=True)
    hs = whole.forward(case.xs)
    parts = [halves.forward(half) for half in (case.xs[:3], case.xs[3:])]
    np.testing.assert_array_equal(np.concatenate(parts), hs)
    np.testing.assert_array_equal(halves.h, hs[-1])


def test_after_reset_state_forward_starts_from_zeros() -> None:
    case = Case.random()
    layer = layer_of(case, stateful=True)
    first = layer.forward(case.xs)
    assert (layer.forward(case.xs) != first).all()
    layer.reset_state()
    np.testing.assert_array_equal(layer.forward(case.xs), first)


def test_set_state_is_where_the_next_forward_starts() -> None:
    case = Case.random()
    layer = layer_of(case, stateful=True)
    layer.set_state(case.h0)
    np.testing.assert_array_equal(layer.forward(case.xs), evaluate(case).hs)


def test_gradients_are_written_in_place_and_dh_is_that_of_the_first_state() -> None:
    case = Case.random()
    layer = layer_of(case)
    held = list(layer.grads)
    assert layer.dh is None
    layer.forward(case.xs)
    layer.backward(case.upstream)
    assert all(mine is grad for mine, grad in zip(held, layer.grads, strict=True))
    start = replace(case, h0=np.zeros_like(case.h0))
    np.testing.assert_array_equal(held[1], evaluate(start).dWh)
    np.testing.assert_array_equal(layer.dh, evaluate(start).dh0)


@pytest.mark.parametrize("sizes", [{"T": 0}, {"N": 0}, {"D": 0}, {"T": 0, "N": 0, "D": 0}], ids=str)
@pytest.mark.parametrize("stack", [None, 2])
def test_empty_axes_give_empty_or_zero_results(sizes: dict[str, Any], stack: int | None) -> None:
    case = Case.random(**sizes, stack=stack)
    found = evaluate(case)
    parameters = {name: array for name, array in case.arrays().items() if name in ("Wx", "Wh", "b")}
    like = {"hs": case.upstream, "dxs": case.xs, "dh0": case.h0} | {f"d{n}": a for n, a in parameters.items()}
    assert {name: array.shape for name, array in found.fields().items()} == {n: a.shape for n, a in like.items()}
    sums = [found.dWx, found.dWh, found.db] + ([] if case.sizes["T"] else [found.dh0])
    assert sizes == {"D": 0} or not any(array.any() for array in sums)


Z = np.zeros


@pytest.mark.parametrize(
    ("xs", "error", "message"),
    [
        (Z((5, 4, 2)), ValueError, "TimeRNN.forward: expected xs of shape (T, N, 3), got (5, 4, 2) (D=3, H=6)"),
        (Z((4, 3)), ValueError, "TimeRNN.forward: expected xs of shape (T, N, 3), got (4, 3) (D=3, H=6)"),
        (Z((5, 4, 3), int), TypeError, "TimeRNN.forward: expected floating xs, got int64 (shape (5, 4, 3))"),
        (
            Z((5, 2, 3)),
            ValueError,
            "TimeRNN.forward: expected h of shape (2, 6), got (4, 6) (T=5, N=2, D=3, H=6)",
        ),
    ],
)
def test_inputs_that_do_not_fit_raise(xs: Any, error: type[Exception], message: str) -> None:
    case = Case.random()
    layer = layer_of(case, stateful=True)
    layer.set_state(case.h0)
    with pytest.raises(error, match=re.escape(message)):
        layer.forward(xs)


def test_a_state_of_another_batch_raises() -> None:
    case = Case.random()
    layer = layer_of(case, stateful=True)
    layer.set_state(Z((1, 6)))
    message = "TimeRNN.forward: expected h of shape (4, 6), got (1, 6) (T=5, N=4, D=3, H=6)"
    with pytest.raises(ValueError, match=re.escape(message)):
        layer.forward(case.xs)


def test_a_state_of_integers_raises() -> None:
    with pytest.raises(TypeError, match=re.escape("TimeRNN.set_state: expected floating h, got int64 (shape (4, 6))")):
        layer_of(Case.random(), stateful=True).set_state(Z((4, 6), int))


@pytest.mark.parametrize(
    ("dhs", "error", "message"),
    [
        (Z((4, 6)), ValueError, "TimeRNN.backward: expected dhs of shape (5, 4, 6), got (4, 6) (D=3, H=6)"),
        (Z((5, 1, 6)), ValueError, "TimeRNN.backward: expected dhs of shape (5, 4, 6), got (5, 1, 6) (D=3, H=6)"),
        (Z((5, 4, 6), int), TypeError, "TimeRNN.backward: expected floating dhs, got int64 (shape (5, 4, 6))"),
    ],
)
def test_gradients_that_do_not_fit_raise(dhs: Any, error: type[Exception], message: str) -> None:
    case = Case.random()
    layer = layer_of(case)
    layer.forward(case.xs)
    with pytest.raises(error, match=re.escape(message)):
        layer.backward(dhs)


def test_backward_before_forward_raises() -> None:
    with pytest.raises(RuntimeError, match=re.escape("TimeRNN.backward: expected a call of forward before, got none")):
        layer_of(Case.random()).backward(Z((5, 4, 6)))


def test_a_parameter_that_does_not_fit_raises() -> None:
    with pytest.raises(ValueError, match=re.escape("TimeRNN: expected Wh of shape (5, 5), got (3, 5) (D=3, H=5)")):
        TimeRNN(Z((3, 5)), Z((3, 5)))
