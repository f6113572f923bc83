"""The kinds of values: each has the property of its name in every dtype, and only kinds about NaN are not finite."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from reference import Case, evaluate
from reference.archive import DTYPES
from reference.precision import FORMATS
from reference.values import INFINITE, KINDS

PLACES = ("xs", "h0", "upstream", "Wx", "Wh", "b")
IN_EACH = pytest.mark.parametrize("dtype", DTYPES)


def drawn(values: str | tuple[str, ...], dtype: str, **options: Any) -> Case:
    """Return a stack of cases of one kind."""
    sizes = {"T": 4, "N": 3, "D": 4, "H": 5, "stack": 20, "seed": 3}
    return Case.random(**(sizes | options), values=values, dtype=dtype)


def wide(array: Any) -> Any:
    """Return an array in float64."""
    return np.asarray(array, np.float64)


@IN_EACH
@pytest.mark.parametrize("values", KINDS)
def test_only_kinds_with_infinite_numbers_are_not_finite(values: str, dtype: str) -> None:
    arrays = [array for array in drawn(values, dtype).fields().values() if isinstance(array, np.ndarray)]
    assert all(np.isfinite(wide(array)).all() for array in arrays) == (values not in INFINITE)


@pytest.mark.parametrize("empty", ["T", "N", "D", "H"])
@pytest.mark.parametrize("values", KINDS)
def test_every_kind_is_drawn_at_sizes_of_zero(values: str, empty: str) -> None:
    case = drawn(values, "float32", **{empty: 0})
    assert case.sizes[empty] == 0
    assert case.sizes == drawn("plain", "float32", **{empty: 0}).sizes


@IN_EACH
def test_one_row_of_each_case_is_poisoned(dtype: str) -> None:
    case = drawn("poisoned", dtype)
    for k in range(20):
        broken = [
            (name, int((~np.isfinite(wide(array))).sum()))
            for name, array in case[k].fields().items()
            if isinstance(array, np.ndarray) and not np.isfinite(wide(array)).all()
        ]
        ((name, count),) = broken
        assert count == {"xs": 4, "h0": 5, "upstream": 5}.get(name, 1)


@IN_EACH
def test_all_places_and_values_are_poisoned_in_one_stack(dtype: str) -> None:
    case = drawn("poisoned", dtype, stack=200)
    found = {
        (name, str(value))
        for name, array in case.fields().items()
        if isinstance(array, np.ndarray)
        for value in set(wide(array)[~np.isfinite(wide(array))].astype(str))
    }
    assert found == {(name, value) for name in PLACES for value in ("nan", "inf", "-inf")}


@pytest.mark.parametrize("stack", [None, 1, 2, 20])
def test_the_cases_of_a_stack_have_several_kinds_in_turn(stack: int | None) -> None:
    kinds = ("one_hot", "integers", "plain")
    case = drawn(kinds, "float64", stack=stack)
    for k in range(stack or 1):
        xs = case.xs if stack is None else case.xs[k]
        kind = "one_hot" if (xs.sum(axis=-1) == 1).all() else "integers" if (xs == np.rint(xs)).all() else "plain"
        assert kind == kinds[k % 3]


def test_one_kind_in_turn_is_that_kind() -> None:
    one, same = drawn("wide", "float32"), drawn(("wide",), "float32")
    assert one.xs.tobytes() == same.xs.tobytes()


def test_kinds_that_are_not_finite_make_a_case_of_that_kind() -> None:
    assert not drawn(("plain", "poisoned"), "float32").finite


@IN_EACH
def test_saturated_values_saturate_tanh(dtype: str) -> None:
    case = drawn("saturated", dtype)
    a = np.einsum("ktnd,kdh->ktnh", wide(case.xs), wide(case.params.Wx))
    assert np.median(np.abs(a)) > 4
    assert np.abs(a).max() > (1000 if dtype != "float16" else 50)


@IN_EACH
def test_subnormal_values_are_on_both_sides_of_the_smallest_normal_number(dtype: str) -> None:
    tiny = FORMATS[dtype].tiny
    size = np.abs(wide(drawn("subnormal", dtype).xs)) / tiny
    assert (size < 1).any()
    assert (size > 1).any()
    assert size.max() < 2**20


@IN_EACH
@pytest.mark.parametrize(("values", "name"), [("huge", "upstream"), ("huge_inputs", "xs")])
def test_huge_values_are_within_a_few_orders_of_the_largest_number(values: str, name: str, dtype: str) -> None:
    size = np.abs(wide(getattr(drawn(values, dtype), name))).max() / FORMATS[dtype].largest
    assert 2.0**-14 < size < 2.0**-10


@IN_EACH
def test_cancelling_terms_almost_cancel(dtype: str) -> None:
    case = drawn("cancelling", dtype)
    terms = wide(case.xs)[..., None] * wide(case.params.Wx)[:, None, None]
    sums, masses = np.abs(terms.sum(axis=-2)), np.abs(terms).sum(axis=-2)
    assert np.median(sums / masses) < 64 * FORMATS[dtype].u


@IN_EACH
def test_one_sided_values_are_not_negative(dtype: str) -> None:
    case = drawn("one_sided", dtype)
    assert min(wide(array).min() for array in (case.xs, case.h0, case.upstream)) >= 0
    assert wide(case.params.Wx).min() < 0


@IN_EACH
def test_unsaturated_values_leave_most_of_every_derivative_of_tanh(dtype: str) -> None:
    least = {values: (1 - evaluate(drawn(values, dtype)).hs ** 2).min() for values in ("unsaturated", "plain")}
    assert least["unsaturated"] > 0.4 > 0.2 > least["plain"]


@IN_EACH
def test_one_hot_rows_have_a_single_one(dtype: str) -> None:
    case = drawn("one_hot", dtype)
    assert set(wide(case.xs).sum(axis=-1).ravel()) == {1.0}
    assert set(wide(case.xs).ravel()) == {0.0, 1.0}
    assert not wide(case.h0).any()


@IN_EACH
def test_zeros_of_both_signs_put_relu_at_its_kink(dtype: str) -> None:
    case = drawn("zeros", dtype)
    assert {bool(sign) for sign in np.signbit(wide(case.h0)).ravel()} == {False, True}
    assert not wide(case.h0).any()
    a = np.einsum("ktnd,kdh->ktnh", wide(case.xs), wide(case.params.Wx))[:, 0]
    assert (a == 0).any()
    assert (a != 0).any()


def test_given_parameters_are_unchanged() -> None:
    params = Case.random(D=4, H=5).params
    for values in KINDS:
        case = drawn(values, "float64", params=params)
        assert all((case[k].params.Wx == params.Wx).all() for k in range(20)), values
