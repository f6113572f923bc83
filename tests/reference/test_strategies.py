"""The strategies: shapes that distinguish right from wrong, and shrunk examples for failures."""

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from hypothesis import Phase, find, given, settings
from hypothesis import strategies as st

from reference import PRECISIONS, Case, Evaluation, certify, evaluate
from reference.strategies import EDGES, LONG, UNPROBED, Shape, cases, long_sums, shapes, shapes_for, within_range

DTYPES = list(PRECISIONS)

SEARCH = settings(max_examples=500, database=None, derandomize=True, deadline=None)


def drawn(strategy: st.SearchStrategy[Shape] | None = None, count: int = 400) -> list[Shape]:
    """Return many shapes, drawn as in a test."""
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
def test_most_shapes_distinguish_right_from_wrong(telling: Callable[[Shape], bool], share: float) -> None:
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
def test_a_shape_is_drawn_from_the_given_sizes(shape: Shape) -> None:
    assert (shape.T, shape.N, shape.nonlinearity, shape.bias) == (7, 9, "relu", False)


@given(data=st.data(), K=st.integers(1, 5), dtype=st.sampled_from(["float64", "float32"]))
def test_a_stack_has_the_given_shape_and_size(data: st.DataObject, K: int, dtype: str) -> None:
    shape = data.draw(shapes())
    case = data.draw(cases(shape=st.just(shape), stack=K, dtype=dtype))
    assert (case.K, case.dtype, case.nonlinearity) == (K, dtype, shape.nonlinearity)
    H = max(shape.H, 1 if shape.T == 1 else 2)
    assert case.unprobed().sizes == {"T": shape.T, "N": shape.N, "D": shape.D, "H": H}
    assert (case.params.b is not None) == shape.bias


@given(data=st.data(), shape=shapes(), K=st.integers(1, 9), numbers=st.sampled_from([1, 500, 5000]))
def test_a_large_shape_has_fewer_cases(data: st.DataObject, shape: Shape, K: int, numbers: int) -> None:
    case = data.draw(cases(shape=st.just(shape), stack=K, numbers=numbers)).unprobed()
    assert case.K is not None
    # The numbers in inputs, states, upstream gradients and weights.
    each = (case.xs.size + 2 * case.upstream.size + case.params.Wx.size + case.params.Wh.size) // case.K
    assert case.K == 1 or case.K * each < numbers
    assert case.K == K or (case.K + 1) * (each + 1) > numbers


@given(data=st.data(), dtype=st.sampled_from(DTYPES), direction=st.booleans())
def test_every_longer_case_has_a_probe_and_so_has_every_direction(
    data: st.DataObject, dtype: str, direction: bool
) -> None:
    case = data.draw(cases(stack=2, dtype=dtype, direction=direction))
    assert case.is_probed or (case.sizes["T"] <= UNPROBED and not direction)


@given(data=st.data(), dtype=st.sampled_from(DTYPES), direction=st.booleans())
def test_one_unit_is_drawn_only_in_single_steps_of_wide_formats(
    data: st.DataObject, dtype: str, direction: bool
) -> None:
    shape = shapes(lengths=(1, 2, 3)).map(lambda shape: shape._replace(H=1))
    case = data.draw(cases(stack=2, dtype=dtype, direction=direction, shape=shape))
    single = case.sizes["T"] == 1 and dtype in ("float64", "float32") and not direction
    assert case.sizes["H"] == (1 if single else 3 if direction else 2)


@given(data=st.data(), dtype=st.sampled_from(DTYPES))
def test_the_probe_stands_at_places_of_the_seed(data: st.DataObject, dtype: str) -> None:
    case = data.draw(cases(stack=2, dtype=dtype, shape=shapes(lengths=(5,))))
    bare, probe = case.unprobed(), case.probe
    assert case.is_probed
    assert len(probe or ()) == bare.sizes["H"]
    assert max(probe or ()) < case.sizes["D"]


def test_the_last_column_is_an_input_in_some_probed_cases_and_the_probe_in_others() -> None:
    last: set[bool] = set()

    @SEARCH
    @given(case=cases(stack=1, shape=shapes(lengths=(5,))))
    def keep(case: Case) -> None:
        last.add(case.sizes["D"] - 1 in case.inputs)

    keep()
    assert last == {False, True}


# Cases without the probe, because the probe would hide some mistakes.

DECIDED = 300
KINDS_OF_SHAPES: dict[str, Callable[[Case], bool]] = {
    "D < H": lambda case: case.sizes["D"] < case.sizes["H"],
    "D = H": lambda case: case.sizes["D"] == case.sizes["H"],
    "D > H": lambda case: case.sizes["D"] > case.sizes["H"],
    "D = 1": lambda case: case.sizes["D"] == 1,
    "relu": lambda case: case.nonlinearity == "relu",
    "T = 1": lambda case: case.sizes["T"] == 1,
    "T = 2": lambda case: case.sizes["T"] == 2,
    "T = 3": lambda case: case.sizes["T"] == 3,
}


@pytest.mark.parametrize("dtype", DTYPES)
def test_short_cases_come_without_the_probe_and_correct_code_passes_them(dtype: str, plain_rnn: Any) -> None:
    bare: list[Case] = []

    @settings(max_examples=DECIDED, database=None, derandomize=True, phases=[Phase.generate], deadline=None)
    @given(case=cases(dtype=dtype, stack=4, shape=shapes(lengths=(1, 2, 3))))
    def keep(case: Case) -> None:
        if not case.is_probed:
            bare.append(case)

    keep()
    assert len(bare) > DECIDED / 10
    for name, kind in KINDS_OF_SHAPES.items():
        assert any(map(kind, bare)), name
    for case in bare:
        for answer in (evaluate(case).astype(dtype), plain_rnn()(case)):
            certify(case, answer, PRECISIONS[dtype]).require()


def wrong_where_inputs_are_few(case: Case) -> Evaluation:
    """Evaluate a case with Wh transposed if D <= H and T > 1."""
    if case.sizes["D"] > case.sizes["H"] or case.sizes["T"] == 1:
        return evaluate(case).astype(case.dtype)
    wrong = replace(case, params=replace(case.params, Wh=case.params.Wh.mT))
    return evaluate(wrong).astype(case.dtype)


def without_the_last_input(case: Case) -> Evaluation:
    """Evaluate a case as if the last column of its inputs were zero."""
    xs = case.xs.copy()
    xs[..., -1] = 0
    return evaluate(replace(case, xs=xs)).astype(case.dtype)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("subject", [wrong_where_inputs_are_few, without_the_last_input])
def test_a_mistake_that_the_probe_would_hide_is_caught_within_fifty_cases(
    subject: Callable[[Case], Evaluation], dtype: str
) -> None:
    found = {True: 0, False: 0}

    @settings(max_examples=50, database=None, derandomize=True, phases=[Phase.generate], deadline=None)
    @given(case=cases(dtype=dtype, stack=1))
    def judge(case: Case) -> None:
        case = case[0]
        found[certify(case, subject(case), PRECISIONS[dtype]).status == "fail"] += 1

    judge()
    assert found[True]


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
    [{"direction": True}, {"values": EDGES}, {"values": EDGES, "dtype": "float16"}, {"values": ("poisoned",)}],
    ids=["direction", "limits", "limits of float16", "poisoned"],
)
@given(data=st.data())
def test_one_step_that_is_undetermined_without_a_probe_has_one(options: dict[str, Any], data: st.DataObject) -> None:
    assert data.draw(cases(stack=2, shape=ONE_STEP, **options)).is_probed


@given(case=cases(stack=2, shape=shapes(lengths=(1,), batches=(7,)), values=("plain", "wide")))
def test_wide_values_which_may_saturate_are_drawn_only_in_many_rows(case: Case) -> None:
    assert np.abs(case.xs).max() < 2


@given(data=st.data(), dtype=st.sampled_from(["float64", "float32", "bfloat16", "float16"]))
def test_all_kinds_at_the_limits_of_a_format_are_drawn(data: st.DataObject, dtype: str) -> None:
    case = data.draw(
        cases(dtype=dtype, stack=4, values=("saturated",), norms=(0.5,), shape=shapes(lengths=(2,), batches=(4,)))
    )
    assert np.abs(case.xs.astype(np.float64)).max() > 4


@pytest.mark.parametrize(
    ("shape", "direction", "some"),
    [
        (Shape(2, 3, 2, 1), False, False),
        (Shape(5, 3, 2, 1), False, True),
        (Shape(2, 3, 2, 2), True, False),
        (Shape(5, 3, 2, 2), True, False),
    ],
)
def test_saturated_values_are_drawn_only_in_enough_rows(shape: Shape, direction: bool, some: bool) -> None:
    largest: list[float] = []

    @SEARCH
    @given(case=cases(shape=st.just(shape), stack=1, values=("plain", "saturated"), direction=direction))
    def keep(case: Case) -> None:
        largest.append(float(np.abs(evaluate(case).hs).max()))

    keep()
    assert (max(largest) == 1) == some


@pytest.mark.parametrize(("N", "H", "is_drawn"), [(2, 3, False), (4, 6, True)])
def test_integers_have_a_direction_only_with_enough_units(N: int, H: int, is_drawn: bool) -> None:
    shape = Shape(4, N, 3, H, "relu")
    options: dict[str, Any] = {"nonlinearity": "relu", "values": "integers", "direction": True, "stack": 512}
    case = Case.random(*shape[:4], **options).probed()
    assert ("inconclusive" not in certify(case, evaluate(case), PRECISIONS["float64"]).statuses) == is_drawn
    whole: set[bool] = set()

    @SEARCH
    @given(case=cases(shape=st.just(shape), stack=1, values=("plain", "integers"), direction=True))
    def keep(case: Case) -> None:
        whole.add(bool((case.xs % 1 == 0).all()))

    keep()
    assert whole == {False, is_drawn}


@pytest.mark.parametrize("nonlinearity", ["tanh", "relu"])
def test_a_stack_of_assorted_values_has_all_kinds_that_suit_it(nonlinearity: str) -> None:
    shape = Shape(4, 3, 2, 3, nonlinearity)
    suited = [kind for kind in EDGES if kind != "huge_inputs" or nonlinearity == "relu"]
    case = find(cases(shape=st.just(shape), stack=len(suited), values=EDGES, assorted=True), lambda case: True)
    same = Case.random(*shape[:4], seed=0, nonlinearity=nonlinearity, stack=len(suited), values=suited)
    assert case.xs.tobytes() == same.probed(0).xs.tobytes()
    # With few rows, most rows could saturate.
    few = find(cases(shape=st.just(Shape(1, 3, 2, 3)), stack=20, values=EDGES, assorted=True), lambda case: True)
    assert np.abs(few.xs).max() < 4


def test_a_seed_is_added_to_the_drawn_one() -> None:
    case = find(cases(shape=st.just(Shape(5, 3, 2, 3)), stack=1, seed=7), lambda case: True)
    expected = Case.random(5, 3, 2, 3, seed=7, stack=1).probed(7)
    assert (case.xs.tobytes(), case.probe) == (expected.xs.tobytes(), expected.probe)


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
    assert found.unprobed().sizes == {"T": 1, "N": 1, "D": 1, "H": H}
    assert found.nonlinearity == "tanh"


def test_an_exploding_gradient_is_scaled_into_the_format() -> None:
    exploding = Case.random(T=200, N=2, D=2, H=8, dtype="float32", nonlinearity="relu", norm=4.0, seed=2).probed()
    scaled = within_range(exploding)
    largest = np.finfo(np.float32).max
    assert np.abs(evaluate(exploding).dWh).max() > largest
    factor = scaled.upstream[0, 0, 0] / exploding.upstream[0, 0, 0]
    assert np.log2(factor) == np.rint(np.log2(factor)) < 0
    assert np.abs(evaluate(scaled).dWh).max() < largest


def test_a_case_within_the_format_is_returned_unchanged() -> None:
    case = Case.random(T=200).probed()
    assert within_range(case) is case
