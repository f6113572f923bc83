"""Correct arithmetic stays within the bounds: another implementation, in real floats, in every order."""

from dataclasses import replace
from functools import reduce
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from reference import PRECISIONS, Case, Evaluation, Params, Verdict, certify, evaluate
from reference.cells import RNNCell
from reference.layer import Layer, evaluate_in
from reference.strategies import EDGES, FINITE, cases, shapes
from tests.reference.conftest import ORDERS

WAYS = st.fixed_dictionaries(
    {
        "summation": st.sampled_from(ORDERS),
        "fused": st.booleans(),
        "biases": st.sampled_from([1, 2]),
        "derivative": st.sampled_from(["1 - h*h", "(1-h)*(1+h)", "g - g*h*h", "(g + g*h)*(1-h)", "1/cosh(a)**2"]),
        "flush": st.booleans(),
        "seed": st.integers(0, 2**32 - 1),
    }
)
SMALL = shapes(lengths=(3, 1, 2, 5), batches=(2, 1, 3, 5))
RELU = shapes(lengths=(3, 1, 2, 5), batches=(2, 1, 3, 5), nonlinearities=("relu",))


def whole(case: Case) -> bool:
    """Return whether all numbers are integers, whose sums are exact and often 0."""
    return not (case.xs % 1).any()


def finite_cases(**options: Any) -> st.SearchStrategy[Case]:
    return cases(**options).filter(lambda case: case.finite)


def assert_no_failure(verdict: Verdict) -> None:
    """Raise if an element is outside its bound; an inconclusive verdict is allowed."""
    assert verdict.status != "fail", str(verdict)


@given(stack=cases(dtype="float32", shape=SMALL, stack=16), way=WAYS)
def test_float32_passes(stack: Case, way: Any, plain_rnn: Any) -> None:
    certify(stack, plain_rnn(**way)(stack), PRECISIONS["float32"]).require()


@given(stack=cases(dtype="float64", shape=SMALL, stack=16), way=WAYS)
def test_float64_passes(stack: Case, way: Any, plain_rnn: Any) -> None:
    certify(stack, plain_rnn(**way)(stack), PRECISIONS["float64"]).require()


HALVES = pytest.mark.parametrize("dtype", ["bfloat16", "float16"])


@HALVES
@given(data=st.data(), way=WAYS)
def test_a_half_precision_under_float32_sums_is_within_the_bounds(
    dtype: str, data: st.DataObject, way: Any, plain_rnn: Any
) -> None:
    stack = data.draw(cases(dtype=dtype, shape=SMALL, stack=16))
    assert_no_failure(certify(stack, plain_rnn(**way)(stack), PRECISIONS[dtype]))


@HALVES
@given(data=st.data(), way=WAYS)
def test_a_half_precision_that_sums_in_itself_is_within_the_bounds_of_such_a_model(
    dtype: str, data: st.DataObject, way: Any, plain_rnn: Any
) -> None:
    stack = data.draw(cases(dtype=dtype, shape=SMALL, stack=16))
    answer = plain_rnn(**(way | {"narrow": True}))(stack)
    assert_no_failure(certify(stack, answer, PRECISIONS[dtype].with_accumulator(dtype)))


@HALVES
def test_a_half_precision_that_sums_in_itself_is_outside_the_bounds_of_float32_sums(dtype: str, plain_rnn: Any) -> None:
    # With terms of one sign, a large partial sum loses every term that is below its last digit.
    case = Case.random(T=1, N=8, D=512, H=8, dtype=dtype, nonlinearity="relu", stack=4).map(np.abs)
    verdict = certify(case, plain_rnn("left", narrow=True)(case), PRECISIONS[dtype])
    assert verdict.statuses == ["fail"] * 4
    assert_no_failure(certify(case, plain_rnn("left")(case), PRECISIONS[dtype]))


@HALVES
@pytest.mark.parametrize("T", [20, 50])
def test_gradients_stored_at_every_step_are_within_the_bounds(dtype: str, T: int, plain_rnn: Any) -> None:
    case = Case.random(T=T, N=3, D=3, H=4, dtype=dtype, stack=8, norm=0.9).probed()
    assert_no_failure(certify(case, plain_rnn("left")(case), PRECISIONS[dtype]))


@HALVES
@pytest.mark.parametrize(("times", "status"), [(1, "pass"), (2, "fail")])
def test_a_sum_over_steps_may_be_rounded_up_at_every_step(dtype: str, times: int, status: str) -> None:
    """Beside a first share of 1, each of 40 others is just above half of the last digit."""
    share = PRECISIONS[dtype].u * 1.0625
    xs = np.array([1.0] + [share] * 40).reshape(-1, 1, 1)
    params = Params(np.ones((1, 1)), np.zeros((1, 1)))
    case = Case(xs, np.zeros((1, 1)), params, np.ones(xs.shape), "relu").astype(dtype).probed()
    total = reduce(lambda one, other: one + other, case.xs[:, 0, :1])
    answer = evaluate(case)
    dWx = answer.dWx + times * np.array([[float(total[0]) - answer.dWx[0, 0]], [0.0]])
    assert certify(case, replace(answer, dWx=dWx).astype(dtype), PRECISIONS[dtype]).status == status


@pytest.mark.parametrize("dtype", PRECISIONS)
@given(data=st.data(), way=WAYS, kept=st.booleans())
def test_values_at_the_limits_of_a_format_are_within_the_bounds(
    dtype: str, data: st.DataObject, way: Any, kept: bool, plain_rnn: Any
) -> None:
    values = (*EDGES, "poisoned")
    stack = data.draw(cases(dtype=dtype, shape=SMALL, stack=32, values=values, assorted=True, norms=(0.5, 1.0)))
    assert_no_failure(certify(stack, plain_rnn(**way, kept=kept)(stack), PRECISIONS[dtype]))


@HALVES
@pytest.mark.parametrize("summation", ["left", "right", "tree", "blas"])
def test_a_relu_that_is_open_where_its_state_underflows_is_within_the_bounds(
    dtype: str, summation: str, plain_rnn: Any
) -> None:
    case = Case.random(5, dtype=dtype, nonlinearity="relu", bias=False, stack=200, norm=0.5, seed=1)
    smallest = np.asarray(2.0 ** {"bfloat16": -133, "float16": -24}[dtype], dtype)
    case = replace(case, xs=case.xs * smallest, h0=case.h0 * smallest).probed()
    found = plain_rnn(summation, kept=True)(case)
    hidden = (found.hs == 0) & (found.dxs[..., -case.sizes["H"] :] != 0)
    assert hidden.sum() > 1000
    assert_no_failure(certify(case, found, PRECISIONS[dtype]))
    # If relu is certainly closed, its gradient must be zero.
    case = replace(case, xs=-abs(case.xs / smallest), params=replace(case.params, Wx=abs(case.params.Wx)))
    leaking = replace(found, hs=0 * found.hs)
    assert certify(case, leaking, PRECISIONS[dtype]).worst["dx"].ratio > 1


@pytest.mark.parametrize("dtype", ["float64", "float32"])
@pytest.mark.parametrize("probed", [False, True])
def test_a_relu_that_opens_when_its_sum_is_computed_again_is_within_the_bounds(
    dtype: str, probed: bool, plain_rnn: Any
) -> None:
    case = Case.random(2, 3, 3, 4, dtype=dtype, nonlinearity="relu", stack=25_000, norm=0.8, seed=1)
    # A bias that cancels the sums of the first row but for rounding.
    sums = case.xs[:, 0, 0, None] @ case.params.Wx + case.h0[:, 0, None] @ case.params.Wh
    case = replace(case, params=replace(case.params, b=-sums[:, 0]))
    case = case.probed() if probed else case
    found = plain_rnn("tree", recomputed=True)(case)
    precision = PRECISIONS[dtype].recomputing("states")
    assert certify(case, found, precision).statuses.count("fail") == 0
    # It did open, and without the declaration it is a fault.
    assert certify(case, found, PRECISIONS[dtype]).statuses.count("fail") > 1000


@given(stack=cases(dtype="float32", shape=RELU, stack=16).filter(whole), way=WAYS)
def test_integers_are_exact_to_the_bit(stack: Case, way: Any, plain_rnn: Any) -> None:
    found, truth = plain_rnn(**(way | {"biases": 1}))(stack), evaluate(stack)
    for name, array in truth.fields().items():
        np.testing.assert_array_equal(found.fields()[name], array, err_msg=name)
    assert_no_failure(certify(stack, found, PRECISIONS["float32"]))


@pytest.mark.parametrize("dtype", PRECISIONS)
@given(data=st.data(), way=WAYS)
def test_recursion_without_a_probe_is_sound(dtype: str, data: st.DataObject, way: Any, plain_rnn: Any) -> None:
    bare = data.draw(cases(dtype=dtype, shape=SMALL, stack=16, norms=(1.0, 0.5), values=(*FINITE, *EDGES))).unprobed()
    assert_no_failure(certify(bare, plain_rnn(**way)(bare), PRECISIONS[dtype]))


@pytest.mark.parametrize("dtype", PRECISIONS)
@given(data=st.data(), way=WAYS)
def test_bounds_through_all_steps_are_sound(
    dtype: str, data: st.DataObject, way: Any, plain_rnn: Any, bounds_of: Any, within: Any
) -> None:
    bare = data.draw(cases(dtype=dtype, shape=SMALL, stack=4, norms=(1.0, 0.5))).unprobed()
    within(plain_rnn(**way)(bare), bounds_of(bare))


@given(
    stack=finite_cases(dtype="float32", shape=SMALL, stack=16),
    exponents=st.tuples(*[st.sampled_from([0, -20, -75, -126, -140])] * 6),
    way=WAYS,
)
def test_tiny_numbers_kept_or_flushed_are_within_the_bounds(
    stack: Case, exponents: tuple[int, ...], way: Any, plain_rnn: Any
) -> None:
    bare = stack.unprobed()
    powers = iter(np.float32(2.0) ** np.array(exponents))
    small = bare.map(lambda array: (array.astype(np.float64) * next(powers)).astype(np.float32))
    case = small.probed() if stack.is_probed else small
    assert_no_failure(certify(case, plain_rnn(**way)(case), PRECISIONS["float32"]))


@given(
    stack=finite_cases(dtype="float32", shape=SMALL, stack=16), scale=st.sampled_from([4, 32, 2**10, 2**60]), way=WAYS
)
def test_saturated_units_are_within_the_bounds(stack: Case, scale: int, way: Any, plain_rnn: Any) -> None:
    case = replace(stack, xs=stack.xs * np.float32(scale), nonlinearity="tanh")
    assert_no_failure(certify(case, plain_rnn(**way)(case), PRECISIONS["float32"]))


@given(seed=st.integers(0, 2**32 - 1), T=st.sampled_from([1, 5]))
def test_a_rough_tanh_beside_a_better_slope_is_within_the_bounds_if_declared(seed: int, T: int, plain_rnn: Any) -> None:
    case = Case.random(T, seed=seed, dtype="float32", stack=16)
    case = case.probed() if T > 1 else case
    found = plain_rnn(rough=100, derivative="1/cosh(a)**2", seed=seed)(case)
    # A unit of rounding is between half a unit in the last place and a whole one. The error of NumPy's tanh is added.
    certify(case, found, PRECISIONS["float32"].with_tanh(102.5)).require()
    assert certify(case, found, PRECISIONS["float32"]).statuses == ["fail"] * 16


def states_recomputed(case: Case) -> Evaluation:
    """Evaluate a case in its dtype; backward recomputes each state in float64 from the previous state."""
    found = evaluate_in(case, lambda array: array)
    wide = case.astype("float64")
    layer = Layer(RNNCell(case.nonlinearity), {name: getattr(wide.params, name) for name in ("Wx", "Wh", "b")})
    before = np.concatenate([wide.h0[..., None, :, :], found.hs[..., :-1, :, :]], axis=-3)
    (hs,), _ = layer.cell.forward(layer.input_term(wide.xs), layer.recurrent_term(before), (before,))
    A, _, _ = layer.adjoints(wide.upstream, (), [(hs[..., t, :, :],) for t in range(case.sizes["T"])])
    return Evaluation(found.hs, layer.to_inputs(A).astype(case.dtype))


def test_states_that_backward_recomputes_are_within_the_bounds_if_declared() -> None:
    case = Case.random(T=5, N=4, D=6, H=3, dtype="float32", stack=20, values="cancelling", seed=1).probed()
    found, model = states_recomputed(case), PRECISIONS["float32"]
    certify(case, found, model.recomputing("states")).require()
    assert certify(case, found, model).statuses == ["fail"] * 20
    wrong = replace(found, dxs=found.dxs * np.float32(1.001))
    assert certify(case, wrong, model.recomputing("states")).statuses == ["fail"] * 20


@pytest.mark.parametrize("what", ["rows", "steps", "gradients"])
def test_recomputing_anything_but_states_raises(what: str) -> None:
    expected = rf"^Precision: expected what is recomputed to be of \['states'\], got '{what}'$"
    with pytest.raises(ValueError, match=expected):
        PRECISIONS["float32"].recomputing("states", what)


@given(seed=st.integers(0, 2**32 - 1), way=WAYS)
def test_long_inner_products_are_within_the_bounds(seed: int, way: Any, plain_rnn: Any) -> None:
    case = Case.random(2, 3, 512, 4, seed=seed, dtype="float32", stack=4).probed()
    certify(case, plain_rnn(**way)(case), PRECISIONS["float32"]).require()


@given(seed=st.integers(0, 2**32 - 1), nonlinearity=st.sampled_from(["tanh", "relu"]), way=WAYS)
def test_terms_that_cancel_are_within_the_bounds(seed: int, nonlinearity: str, way: Any, plain_rnn: Any) -> None:
    case = Case.random(1, 3, 40, 4, seed=seed, dtype="float32", stack=8, nonlinearity=nonlinearity)
    Wx = np.concatenate([case.params.Wx, -case.params.Wx * np.float32(1 + 1e-6)], axis=-2)
    xs = np.concatenate([case.xs * 1000, case.xs * 1000], axis=-1)
    case = replace(case, xs=xs, params=replace(case.params, Wx=Wx))
    assert_no_failure(certify(case, plain_rnn(**way)(case), PRECISIONS["float32"]))


@pytest.mark.parametrize("summation", ["left", "right", "tree", "blas"])
def test_float32_is_far_outside_the_bounds_of_float64(summation: str, plain_rnn: Any) -> None:
    """The tests above can fail: with the model of float64, float32 fails."""
    case = Case.random(dtype="float32", stack=8).probed()
    low = plain_rnn(summation)(case).astype("float64")
    verdict = certify(case.astype("float64"), low, PRECISIONS["float64"])
    assert verdict.statuses == ["fail"] * 8


@pytest.mark.parametrize("derivative", ["1 - h*h", "(1-h)*(1+h)", "g - g*h*h", "(g + g*h)*(1-h)", "1/cosh(a)**2"])
def test_a_slope_wrong_by_a_thousandth_fails(derivative: str, plain_rnn: Any) -> None:
    case = Case.random(dtype="float32").probed()
    louder = replace(case, upstream=case.upstream * np.float32(1.001))
    verdict = certify(case, plain_rnn(derivative=derivative)(louder), PRECISIONS["float32"])
    assert [name for name, worst in verdict.worst.items() if worst.ratio > 1] == ["dx"]
