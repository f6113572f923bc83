"""Bounded: each rule, tested with floats and exactly with fractions."""

import re
from collections.abc import Callable
from fractions import Fraction
from functools import reduce
from itertools import product
from typing import Any

import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from reference import PRECISIONS
from reference import Bounded as BoundedArray
from reference.precision import STORED

Bounded: Any = BoundedArray  # Any, because type checkers do not accept a Bounded as an array
Operation = Callable[[Any, Any], Any]

# Each rule runs on Bounded arrays, on floats, and on object arrays of fractions; p and q are vectors.
EXACT: dict[str, Operation] = {
    "-p": lambda p, q: -p,
    "maximum(p, 0)": lambda p, q: np.maximum(p, 0),
    "p > 0": lambda p, q: p > 0,
    "p > q": lambda p, q: p > q,
}
ROUNDED: dict[str, Operation] = {
    "p + q": lambda p, q: p + q,
    "p - q": lambda p, q: p - q,
    "p * q": lambda p, q: p * q,
    "p + q - p + 1": lambda p, q: p + q - p + 1,
    "sum": lambda p, q: p.reshape((1, -1)).sum(axis=-1),
    "p @ q": lambda p, q: p.reshape((1, -1)) @ q.reshape((-1, 1)),
    "p @ q + q @ q": lambda p, q: p.reshape((1, -1)) @ q.reshape((-1, 1)) + q.reshape((1, -1)) @ q.reshape((-1, 1)),
    "(p + q) * (p - q)": lambda p, q: (p + q) * (p - q),
    "q - q*p*p": lambda p, q: q - q * p * p,
}
OPERATIONS = EXACT | ROUNDED
DTYPES = st.sampled_from(["float64", "float32"])


@st.composite
def uncertain(draw: st.DrawFn, dtype: str, size: int) -> tuple[Any, Any, Any]:
    """Draw values, bounds on their errors, and floats within these bounds of the values."""
    numbers = st.floats(-1e6, 1e6, width=32 if dtype == "float32" else 64)
    value = draw(arrays(dtype, size, elements=numbers))
    error = np.abs(value.astype(float)) * draw(st.sampled_from([0.0, 2.0**-20, 0.01, 2.0]))
    share = draw(arrays(float, size, elements=st.floats(-1, 1)))
    held = (value + share * error).astype(dtype)
    exact = (fractions(array) for array in (held, value, error))
    inside = [abs(h - v) <= e for h, v, e in zip(*exact, strict=True)]
    return value, error, np.where(inside, held, value)


def as_list(array: Any) -> Any:
    return array.astype(float).ravel().tolist()


def fractions(array: Any) -> Any:
    return np.vectorize(Fraction, otypes=[object])(array.astype(float))


def excess(bounded: Any, found: Any) -> Fraction:
    """Return the largest |found - value| - error, exactly; it is positive if an element is outside its bound."""
    bounded = bounded.rounded()
    triples = zip(found.ravel().tolist(), as_list(bounded.value), as_list(bounded.error), strict=True)
    return max(abs(Fraction(one) - Fraction(value)) - Fraction(error) for one, value, error in triples)


@pytest.mark.parametrize("name", OPERATIONS)
@given(data=st.data(), dtype=DTYPES, size=st.integers(1, 9))
def test_rule_holds(name: str, data: st.DataObject, dtype: str, size: int) -> None:
    operation, model = OPERATIONS[name], PRECISIONS[dtype]
    (v, e, p), (w, f, q) = (data.draw(uncertain(dtype, size)) for _ in range(2))
    bounded = operation(Bounded(v, model, e), Bounded(w, model, f))
    assert excess(bounded, operation(fractions(p), fractions(q))) <= 0
    assert excess(bounded, operation(p, q)) <= 0
    assert excess(bounded, operation(p[::-1], q[::-1])[::-1]) <= 0


@pytest.mark.parametrize("dtype", ["float64", "float32"])
@pytest.mark.parametrize("name", ROUNDED)
def test_rule_charges_no_more_than_it_must(name: str, dtype: str) -> None:
    """Some of a thousand sums and products exceed a hundredth of the bound, in float32 and against fractions."""
    operation, model = OPERATIONS[name], PRECISIONS[dtype]
    rng = np.random.default_rng(0)
    left = 0
    for _ in range(50):
        p, q = rng.standard_normal((2, 20)).astype(dtype)
        bounded = operation(Bounded(p, model), Bounded(q, model)).rounded()
        truth = operation(fractions(p), fractions(q)) if dtype == "float64" else operation(p, q)
        left += excess(Bounded(bounded.value, model, bounded.error / 100), truth) > 0
    assert left > 0


@pytest.mark.parametrize("name", EXACT)
def test_exact_operations_have_no_error(name: str) -> None:
    p, q = np.array([-1.5, 0.0, 2.5]), np.array([-1.5, 1.0, 2.0])
    bounded = EXACT[name](Bounded(p, PRECISIONS["float32"]), Bounded(q, PRECISIONS["float32"])).rounded()
    assert bounded.value.tolist() == [float(x) for x in EXACT[name](p, q)]
    assert not bounded.error.any()


def test_zero_times_anything_has_no_error() -> None:
    p = Bounded([0.0, 0.0, 1.0], PRECISIONS["float16"]) * Bounded([3.0, 3.0, 0.0], PRECISIONS["float16"], [0, 1, 0.5])
    assert p.error.tolist()[:2] == [0, 0]
    assert p.error[2] > 0


# In float16, one product of these magnitudes underflows and another does not. Twice a product does not overflow.
SPREAD = st.builds(lambda sign, power: sign * 2.0**power, st.sampled_from([-1.0, 1.0]), st.floats(-22, 7))


@given(factors=st.tuples(SPREAD, SPREAD, SPREAD))
def test_a_product_of_products_holds_in_every_order_even_where_some_underflow(
    factors: tuple[float, float, float],
) -> None:
    g, h, k = (np.array([factor], np.float16) for factor in factors)
    model = PRECISIONS["float16"].with_accumulator("float16")
    bounded = Bounded(g, model) * (Bounded(h, model) * Bounded(k, model) + Bounded(k, model) * Bounded(h, model))
    assume(np.isfinite(bounded.value).all() and np.abs(bounded.value).max() < model.largest / 2)
    for found in (g * (h * k + k * h), g * h * k + g * k * h, (g * h + g * h) * k, (g * k + g * k) * h):
        assert excess(bounded, found) <= 0


def test_an_underflow_is_multiplied_by_the_remaining_factor() -> None:
    g, h, k = (np.array([factor], np.float16) for factor in (-5.4e-7, 0.02, -22.5))
    model = PRECISIONS["float16"]
    product_ = Bounded(h, model) * Bounded(k, model)
    assert g * h * k == 0
    assert excess(Bounded(g, model) * product_, g * h * k) <= 0
    product_.factors = ()
    assert excess(Bounded(g, model) * product_, g * h * k) > 0


@given(data=st.data(), terms=st.integers(2, 30), dtype=DTYPES)
def test_a_sum_holds_in_every_order(data: st.DataObject, terms: int, dtype: str) -> None:
    numbers = data.draw(arrays(dtype, (terms, 3), elements=st.floats(-1e6, 1e6, width=32)))
    order = data.draw(st.permutations(range(terms)))
    bounded = reduce(lambda p, q: p + q, [Bounded(row, PRECISIONS[dtype]) for row in numbers])
    assert excess(bounded, reduce(lambda p, q: p + q, numbers[order])) <= 0
    assert excess(bounded, fractions(numbers).sum(axis=0)) <= 0


def test_a_sum_is_charged_once() -> None:
    u, ones = 2.0**-24, [Bounded(np.ones(1), PRECISIONS["float32"]) for _ in range(101)]
    error = float(reduce(lambda p, q: p + q, ones).rounded().error[0])
    assert 100 * 101 * u <= error <= 100 * 101 * u * 1.00001


def test_an_uncertain_sign_leaves_the_slope_of_relu_open() -> None:
    a = Bounded(np.array([0.5, -0.5, 0.5, -0.5, 0.0, 0.0]), PRECISIONS["float32"], [0.1, 0.1, 0.6, 0.6, 0.0, 0.1])
    slope = np.maximum(a, 0) > 0
    assert slope.value.tolist() == [1, 0, 1, 0, 0, 0]
    assert slope.error.tolist() == [0, 0, 1, 1, 0, 1]


def test_small_numbers_may_be_read_as_zero() -> None:
    tiny = 2.0**-126
    assert Bounded.exact([tiny / 2, tiny, -tiny / 4, 0.0], PRECISIONS["float32"]).error.tolist() == [
        tiny / 2,
        0.0,
        tiny / 4,
        0.0,
    ]


# A storage format narrower than its accumulator.

BFLOAT16 = PRECISIONS["bfloat16"]


def stored(array: Any) -> Any:
    """Round float32 to the nearest number of eight significant bits, ties to even."""
    bits = np.ascontiguousarray(array, np.float32).view(np.uint32)
    return ((bits + 0x7FFF + ((bits >> 16) & 1)) & np.uint32(0xFFFF0000)).view(np.float32)


def stored_step(x: Any, h: Any, Wx: Any, Wh: Any, b: Any) -> Any:
    """Compute the pre-activation of a step with as many roundings to storage as the model allows."""
    return stored(stored(stored(stored(h @ Wh) + stored(x @ Wx)) + stored(b / 2)) + stored(b / 2))


@given(seed=st.integers(0, 2**32 - 1), D=st.integers(1, 40), H=st.integers(1, 40))
def test_a_wide_accumulator_with_narrow_storage_is_within_the_bound(seed: int, D: int, H: int) -> None:
    draw = np.random.default_rng(seed).standard_normal
    arrays_ = [stored(draw(shape)) for shape in ((8, D), (8, H), (D, H), (H, H), (H,))]
    x, h, Wx, Wh, b = (Bounded.exact(array, BFLOAT16) for array in arrays_)
    bounded = h @ Wh + x @ Wx + b
    assert excess(bounded, stored_step(*arrays_)) <= 0
    assert excess(bounded, fractions_of_step(*arrays_)) <= 0


def fractions_of_step(x: Any, h: Any, Wx: Any, Wh: Any, b: Any) -> Any:
    return fractions(h) @ fractions(Wh) + fractions(x) @ fractions(Wx) + fractions(b)


def test_narrow_storage_is_outside_the_bound_of_the_accumulator() -> None:
    draw = np.random.default_rng(0).standard_normal
    arrays_ = [stored(draw(shape)) for shape in ((8, 3), (8, 4), (3, 4), (4, 4), (4,))]
    x, h, Wx, Wh, b = (Bounded.exact(array, PRECISIONS["float32"]) for array in arrays_)
    assert excess(h @ Wh + x @ Wx + b, stored_step(*arrays_)) > 0


def test_storage_is_charged_where_the_accumulator_is_wider() -> None:
    narrow, wide = (np.ones((1, 1)) @ Bounded(np.ones((1, 1)), model) for model in (BFLOAT16, PRECISIONS["float32"]))
    assert float(narrow.rounded().error[0, 0]) > STORED * BFLOAT16.u > float(wide.rounded().error[0, 0])


@pytest.mark.parametrize(("first", "second"), [*product(("exact", "observed"), repeat=2)])
def test_a_relative_error_gives_the_bound_of_its_elements(first: str, second: str) -> None:
    model, rng = PRECISIONS["float32"], np.random.default_rng(0)
    factors = [stored(rng.standard_normal((5, 5))) for _ in range(2)]
    of_share = [getattr(Bounded, kind)(array, model) for kind, array in zip((first, second), factors, strict=True)]
    one_by_one = [Bounded(part.value, model, part.error) for part in of_share]
    shared, summed = (p.mT @ q for p, q in (of_share, one_by_one))
    np.testing.assert_allclose(shared.error, summed.error, rtol=1e-6)
    assert (shared.error >= summed.error * (1 - 1e-12)).all()
    assert shared.error.any() == ("observed" in (first, second))


def test_the_largest_share_of_the_errors_holds_for_joined_arrays() -> None:
    model = PRECISIONS["float32"]
    exact, seen = (getattr(Bounded, kind)(np.ones((2, 2)), model) for kind in ("exact", "observed"))
    tiny = Bounded.observed(np.full((2, 2), 1e-45), model)
    states = Bounded.activated(np.full((2, 2), 0.5), model, "tanh")
    both: tuple[Any, ...] = np.stack([seen, seen]), np.concatenate([exact, seen])
    assert [one.relative for one in (exact, seen.mT, *both)] == [0.0, model.u, model.u, model.u]
    joined: Any = np.concatenate([exact, tiny])
    assert {one.relative for one in (tiny, states, joined, exact + exact)} == {None}


def test_accuracy_of_tanh_is_part_of_the_model() -> None:
    model = PRECISIONS["float32"]
    errors = [np.tanh(Bounded(np.ones(1), model.with_tanh(ulps))).error[0] for ulps in (1.0, 8.0)]
    assert errors[1] > 7 * errors[0]
    assert model.with_tanh(8.0).name == "float32"


# Operations that arrays in the formula need.


def test_arrays_and_numbers_beside_a_bounded_one_are_exact() -> None:
    p = Bounded(np.ones(3), PRECISIONS["float32"], 0.5)
    assert (np.ones(3) + p - 1).rounded().value.tolist() == [1.0] * 3
    assert (2 * p).error.min() >= 1.0


def test_parts_keep_their_errors() -> None:
    p = Bounded(np.arange(6.0).reshape(2, 3), PRECISIONS["float64"], np.arange(6.0).reshape(2, 3))
    parts = [p.mT, p.reshape((6,)), p[1], np.stack([p, p]), np.concatenate([p, p], axis=-1)]
    assert all((part.value == part.error).all() for part in parts)
    assert [part.shape for part in parts] == [(3, 2), (6,), (3,), (2, 2, 3), (2, 6)]
    zeros = np.zeros_like(p)
    assert (zeros.shape, zeros.value.any(), zeros.error.any()) == ((2, 3), False, False)


def test_a_pending_sum_stays_pending_in_another_shape() -> None:
    p = Bounded(np.arange(1.0, 7.0).reshape(2, 3), PRECISIONS["float32"])
    changed = [((p + p).mT, p.mT), ((p + p).reshape((6,)), p.reshape((6,))), ((p + p)[1], p[1])]
    for sum_, part in changed:
        parts = part + part
        assert (sum_.terms, sum_.abs_sum.tolist()) == (1, parts.abs_sum.tolist())
        assert sum_.rounded().error.tolist() == parts.rounded().error.tolist()


def test_a_product_of_two_factors_is_charged_one_rounding() -> None:
    u, factors = 2.0**-24, (Bounded(np.full(1, 1.5), PRECISIONS["float32"]) for _ in range(2))
    error = float(reduce(lambda p, q: p * q, factors).error[0])
    assert 1.5 * 1.5 * u <= error <= 1.5 * 1.5 * u * 1.00001


@pytest.mark.parametrize("absolute", [0.0, 4.0])
def test_what_a_gate_lets_through_is_compared_with_its_own_magnitude(absolute: float) -> None:
    """If digits of gates are lost relative to 1, it is compared with what entered the gates before it, too."""
    model = PRECISIONS["float32"].with_sigmoid(4.0, absolute)
    terms = Bounded(np.full((1, 2), 3.0), model, 0.25), Bounded(np.array([[1.0], [-0.5]]), model)
    state, gate = (terms[0] @ terms[1]).passed(), Bounded(np.full((1, 1), 0.5), model)
    assert (state.value, state.factors) == (1.5, ())
    assert state.scale >= 4.5 > state.magnitude
    product, plain = gate.through(state), gate * state
    assert (product.value, product.error) == (plain.value, plain.error)
    assert product.scale == 0.5 * state.magnitude
    closed = Bounded(np.zeros((1, 1)), model, model.u, 1.0).through(state).passed()
    behind = gate.through(closed)
    assert behind.scale == 0.5 * (state.magnitude if absolute else closed.magnitude)


def test_a_scale_that_is_not_rebased_hides_a_wide_bound() -> None:
    """The difference of equal numbers, a hundred times, leaves only errors, and only a rebased scale shows them."""
    model = PRECISIONS["float32"]
    one, two = (Bounded(np.full(1, value), model) for value in (1.0, 2.0))
    kept = rebased = Bounded(np.full(1, 1.0), model, 1e-3)
    for _ in range(100):
        kept = (kept * two - kept * one).rounded()
        rebased = (two.through(rebased) - one.through(rebased)).passed()
    assert (kept.value, rebased.value) == (1.0, 1.0)
    assert kept.error / kept.scale < 2e-3 < 0.1 < rebased.error / rebased.scale


def test_an_array_under_another_model_keeps_its_errors() -> None:
    model = PRECISIONS["bfloat16"]
    p = Bounded.exact(np.ones((1, 2)), model) @ Bounded.observed(np.ones((2, 1)), model)
    moved = p.under(model.storing(5))
    assert (moved.error, moved.value, moved.precision) == (p.rounded().error, 2.0, model.storing(5))
    assert (moved + 1).rounded().error > (p.rounded() + 1).rounded().error
    assert [Bounded.exact(np.ones(1), one).under(model).relative for one in (model, PRECISIONS["float32"])] == [0, 0]


def test_maximum_of_anything_but_zero_raises() -> None:
    with pytest.raises(ValueError, match=re.escape("Bounded: expected np.maximum(a, 0), got a second operand of 1.0")):
        np.maximum(Bounded(np.ones(2), PRECISIONS["float64"]), 1)


@pytest.mark.parametrize("operation", [np.exp, np.sqrt, np.flip, np.divide.reduce])
def test_an_operation_without_a_rule_raises(operation: Any) -> None:
    with pytest.raises(TypeError):
        operation(Bounded(np.ones(2), PRECISIONS["float64"]))
