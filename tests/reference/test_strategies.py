"""The strategies: shapes that can tell right from wrong, and a small counterexample when one is found."""

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from hypothesis import Phase, find, given, settings
from hypothesis import strategies as st

from reference import Case, evaluate
from reference.strategies import EDGES, LONG, Shape, cases, long_sums, shapes, shapes_for, within_range

SEARCH = settings(max_examples=500, database=None, derandomize=True, deadline=None)


def drawn(strategy: st.SearchStrategy[Shape] | None = None, count: int = 400) -> list[Shape]:
    """Draw many shapes as a test would, and keep them."""
    kept: list[Shape] = []

    @settings(max_examples=count, database=None, derandomize=True, phases=[Phase.generate], deadline=None)
    @given(shape=shapes() if strategy is None else strategy)
    def keep(shape: Shape) -> None:
        kept.append(shape)

    keep()
    return kept


@pytest.mark.parametrize(
    ("telling", "share"),
    [
        (lambda shape: shape.N >= 2, 0.6),
        (lambda shape: shape.H >= 2, 0.6),
        (lambda shape: shape.T >= 3, 0.5),
        (lambda shape: shape.D != shape.H, 0.6),
        (lambda shape: shape.bias, 0.5),
    ],
    ids=["N >= 2", "H >= 2", "T >= 3", "D != H", "bias"],
)
def test_most_shapes_can_tell_right_from_wrong(telling: Callable[[Shape], bool], share: float) -> None:
    found = drawn()
    assert sum(map(telling, found)) / len(found) >= share


@pytest.mark.parametrize(
    "rare",
    [
        lambda shape: shape.T == 1,
        lambda shape: shape.T >= 20,
        lambda shape: shape.D > shape.H > 1,
        lambda shape: shape.H >= 64,
        lambda shape: not shape.bias,
        lambda shape: shape.nonlinearity == "relu",
    ],
    ids=["T = 1", "long", "D > H", "wide", "no bias", "relu"],
)
def test_no_kind_of_shape_is_left_out(rare: Callable[[Shape], bool]) -> None:
    assert any(map(rare, drawn()))


@given(shape=shapes(lengths=(7,), batches=(9,), nonlinearities=("relu",), biases=(False,)))
def test_a_shape_is_drawn_from_what_is_given(shape: Shape) -> None:
    assert (shape.T, shape.N, shape.nonlinearity, shape.bias) == (7, 9, "relu", False)


@given(data=st.data(), K=st.integers(1, 5), dtype=st.sampled_from(["float64", "float32"]))
def test_a_stack_is_of_the_shape_and_the_size_asked_for(data: st.DataObject, K: int, dtype: str) -> None:
    shape = data.draw(shapes())
    case = data.draw(cases(shape=st.just(shape), stack=K, dtype=dtype))
    assert (case.K, case.dtype, case.nonlinearity) == (K, dtype, shape.nonlinearity)
    assert case.unprobed().sizes == {"T": shape.T, "N": shape.N, "D": shape.D, "H": shape.H}
    assert (case.params.b is not None) == shape.bias


@given(data=st.data(), shape=shapes(), K=st.integers(1, 9), numbers=st.sampled_from([1, 500, 5000]))
def test_of_a_large_shape_there_are_fewer_cases(data: st.DataObject, shape: Shape, K: int, numbers: int) -> None:
    case = data.draw(cases(shape=st.just(shape), stack=K, numbers=numbers)).unprobed()
    assert case.K is not None
    # Inputs, states and upstream, and the weights.
    each = (case.xs.size + 2 * case.upstream.size + case.params.Wx.size + case.params.Wh.size) // case.K
    assert case.K == 1 or case.K * each < numbers
    assert case.K == K or (case.K + 1) * (each + 1) > numbers


@given(case=cases(stack=2, values=("plain", "integers", "one_sided")))
def test_a_probe_is_there_wherever_there_is_more_than_one_step(case: Case) -> None:
    assert case.is_probed == (case.sizes["T"] > 1)


@pytest.mark.parametrize(
    ("dtype", "some"), [("float64", False), ("float32", False), ("bfloat16", True), ("float16", True)]
)
def test_a_half_precision_is_given_long_sums(dtype: str, some: bool) -> None:
    assert any(shape.N >= LONG for shape in drawn(shapes_for(dtype), 60)) == some


@given(case=cases(dtype="bfloat16", stack=2, shape=long_sums()))
def test_the_terms_of_long_sums_do_not_cancel(case: Case) -> None:
    assert min(case.xs.min(), case.h0.min(), case.upstream.min()) >= 0


ONE_STEP = shapes(lengths=(1,))


@pytest.mark.parametrize(
    "options",
    [{"dtype": "bfloat16"}, {"dtype": "float16"}, {"direction": True}, {"values": EDGES}],
    ids=["bfloat16", "float16", "direction", "edges"],
)
@given(data=st.data())
def test_one_step_that_says_too_little_without_a_probe_has_one(options: dict[str, Any], data: st.DataObject) -> None:
    assert data.draw(cases(stack=2, shape=ONE_STEP, **options)).is_probed


@given(case=cases(stack=2, shape=shapes(lengths=(1,), batches=(8,)), values=("wide",)))
def test_one_step_of_wide_values_which_may_saturate_has_a_probe(case: Case) -> None:
    assert case.is_probed


@given(data=st.data(), dtype=st.sampled_from(["float64", "float32", "bfloat16", "float16"]))
def test_values_at_the_edges_are_all_drawn(data: st.DataObject, dtype: str) -> None:
    case = data.draw(
        cases(dtype=dtype, stack=4, values=("saturated",), norms=(0.5,), shape=shapes(lengths=(2,), batches=(4,)))
    )
    assert np.abs(case.xs.astype(np.float64)).max() > 4


@pytest.mark.parametrize(
    ("shape", "direction", "some"),
    [
        (Shape(2, 3, 2, 1), False, False),
        (Shape(5, 3, 2, 1), False, True),
        (Shape(5, 3, 2, 1), True, False),
        (Shape(5, 3, 2, 2), True, True),
        (Shape(5, 8, 2, 1), True, True),
    ],
)
def test_saturated_values_are_drawn_where_there_are_rows_enough(shape: Shape, direction: bool, some: bool) -> None:
    largest: list[float] = []

    @SEARCH
    @given(case=cases(shape=st.just(shape), stack=1, values=("plain", "saturated"), direction=direction))
    def keep(case: Case) -> None:
        largest.append(float(np.abs(evaluate(case).hs).max()))

    keep()
    assert (max(largest) == 1) == some


@pytest.mark.parametrize("nonlinearity", ["tanh", "relu"])
def test_a_stack_of_assorted_values_has_all_kinds_that_suit_it(nonlinearity: str) -> None:
    shape = Shape(4, 3, 2, 3, nonlinearity)
    suited = [kind for kind in EDGES if kind != "huge_inputs" or nonlinearity == "relu"]
    case = find(cases(shape=st.just(shape), stack=len(suited), values=EDGES, assorted=True), lambda case: True)
    same = Case.random(*shape[:4], seed=0, nonlinearity=nonlinearity, stack=len(suited), values=suited).probed()
    assert case.xs.tobytes() == same.xs.tobytes()
    # Of few rows most may saturate.
    few = find(cases(shape=st.just(Shape(1, 3, 2, 3)), stack=20, values=EDGES, assorted=True), lambda case: True)
    assert np.abs(few.xs).max() < 4


@given(case=cases(stack=3, norms=(0.5,), shape=shapes(nonlinearities=("tanh",))))
def test_norms_are_those_given(case: Case) -> None:
    found = np.linalg.norm(case.params.Wh, ord=2, axis=(-2, -1))
    assert (np.abs(found - 0.5) <= 50 * case.sizes["H"] * 2.0**-53).all()


@given(data=st.data())
def test_given_parameters_are_in_every_case(data: st.DataObject) -> None:
    params = Case.random(D=2, H=3).params
    case = data.draw(cases(params=params, stack=2)).unprobed()
    assert all((case[k].params.Wx == params.Wx).all() and (case[k].params.Wh == params.Wh).all() for k in range(2))


@pytest.mark.parametrize(
    ("condition", "expected"),
    [
        (lambda shape: True, Shape(1, 1, 1, 1, "tanh", True)),
        (lambda shape: shape.T > 1, Shape(3, 1, 1, 1, "tanh", True)),
        (lambda shape: shape.D != shape.H, None),
        (lambda shape: not shape.bias and shape.nonlinearity == "relu", Shape(1, 1, 1, 1, "relu", False)),
    ],
    ids=["any", "sequence", "D != H", "relu without bias"],
)
def test_counterexamples_shrink_to_small_shapes(condition: Callable[[Shape], bool], expected: Shape | None) -> None:
    found = find(shapes(), condition, settings=SEARCH)
    assert found == expected or (expected is None and found.T * found.N * found.D * found.H == 2)


@pytest.mark.parametrize("H", [2, 4])
def test_a_failing_case_shrinks_with_its_shape(H: int) -> None:
    def fails(case: Case) -> Any:
        return case.sizes["H"] >= H

    found = find(cases(stack=1), fails, settings=SEARCH)
    assert found.sizes == {"T": 1, "N": 1, "D": 1, "H": H}
    assert found.nonlinearity == "tanh"


def test_an_exploding_gradient_is_scaled_into_the_format() -> None:
    exploding = Case.random(T=200, N=2, D=2, H=8, dtype="float32", nonlinearity="relu", norm=4.0, seed=2).probed()
    scaled = within_range(exploding)
    largest = np.finfo(np.float32).max
    assert np.abs(evaluate(exploding).dWh).max() > largest
    factor = scaled.upstream[0, 0, 0] / exploding.upstream[0, 0, 0]
    assert np.log2(factor) == np.rint(np.log2(factor)) < 0
    assert np.abs(evaluate(scaled).dWh).max() < largest


def test_a_case_within_the_format_is_left_alone() -> None:
    case = Case.random(T=200).probed()
    assert within_range(case) is case
