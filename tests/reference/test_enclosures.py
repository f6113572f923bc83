"""Certified enclosures: the oracle is compared with exact results, from the same code on Arb's balls."""

from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from reference import PRECISIONS, Bounded, Case, Evaluation, evaluate
from reference.bounded import NUMPY_SIGMOID_ULPS, NUMPY_TANH_ULPS
from reference.cells import RNNCell
from reference.layer import evaluate_in
from reference.strategies import cases, shapes

flint = pytest.importorskip("flint")

SMALL = shapes(lengths=(3, 1, 2, 4), batches=(2, 1, 3))


def finite_cases(**options: Any) -> st.SearchStrategy[Case]:
    return cases(**options).filter(lambda case: case.finite)


@pytest.fixture(scope="module", autouse=True)
def two_hundred_bits() -> Iterator[None]:
    before, flint.ctx.prec = flint.ctx.prec, 200
    yield
    flint.ctx.prec = before


def balls(array: Any) -> Any:
    return np.vectorize(flint.arb, otypes=[object])(array.astype(np.float64))


def enclosure(case: Case) -> Evaluation:
    """Enclose the exact result of a case, computed with real numbers instead of floats."""
    return evaluate_in(case, balls)


def assert_encloses(actual: Any, truth: Any, bound: Any, name: str) -> None:
    """Raise unless every number of ``actual`` is certainly within its bound of the exact number."""
    assert actual.shape == truth.shape == bound.shape, f"{name}: {actual.shape}, {truth.shape}, {bound.shape}"
    for index in np.ndindex(actual.shape):
        error = abs(flint.arb(float(actual[index])) - truth[index])
        assert error <= flint.arb(float(bound[index])), (
            f"{name}{list(index)}: {actual[index]!r} is {error.str(5)} from the exact value, bound {bound[index]:.3g}"
        )


def assert_all_enclosed(actual: Evaluation, truth: Evaluation, bounds: Evaluation, shrink: float = 1.0) -> None:
    for name, array in actual.fields().items():
        if array is not None:
            assert_encloses(array, truth.fields()[name], bounds.fields()[name].rounded().error * shrink, name)


@given(stack=finite_cases(shape=SMALL, stack=2))
def test_oracle_is_within_its_bound_of_the_exact_result(stack: Case, bounds_of: Any) -> None:
    assert_all_enclosed(evaluate(stack), enclosure(stack), bounds_of(stack))


@given(stack=finite_cases(shape=SMALL, stack=2))
def test_bounded_values_are_within_their_own_errors(stack: Case, bounds_of: Any) -> None:
    bounds = bounds_of(stack)
    values = {name: None if array is None else array.rounded().value for name, array in bounds.fields().items()}
    assert_all_enclosed(Evaluation(**values), enclosure(stack), bounds)


@pytest.mark.parametrize("name", ["hs", "dxs", "dh0", "dWx", "dWh", "db"])
def test_the_oracle_is_outside_a_bound_a_million_times_smaller(name: str, bounds_of: Any) -> None:
    case = Case.random(T=3)
    found, truth, bounds = (
        Evaluation(evaluation.hs, **({name: evaluation.fields()[name]} if name != "hs" else {}))
        for evaluation in (evaluate(case), enclosure(case), bounds_of(case))
    )
    assert_all_enclosed(found, truth, bounds)
    with pytest.raises(AssertionError, match="from the exact value"):
        assert_all_enclosed(found, truth, bounds, shrink=1e-6)


class WrongSlope(RNNCell):
    """A cell with a mistake: its derivative is 1 - h."""

    def backward(self, d_states: Any, saved: Any, **lent: Any) -> tuple[Any, Any]:
        """Return a wrong gradient at u."""
        (dh,), (h,) = d_states, saved
        return dh * (1 - h), (None,)


def test_a_wrong_formula_is_outside_the_bounds(bounds_of: Any) -> None:
    case = Case.random(T=1)
    wrong = evaluate_in(case, lambda array: array, cell=WrongSlope())
    with pytest.raises(AssertionError, match=r"^dxs\[.*from the exact value"):
        assert_all_enclosed(wrong, enclosure(case), bounds_of(case))


# The bound of the oracle relies on the accuracy of NumPy's tanh.

SWEEPS = {
    "uniform": np.linspace(-3, 3, 6001),
    "logarithmic": np.concatenate([sign * np.logspace(-300, 1.5, 6001) for sign in (1, -1)]),
    "small": np.linspace(0, 0.7, 6001),
    "saturation": np.concatenate([np.linspace(8, 23, 6001), [100.0, 710.0, 1e300]]),
    "subnormal": np.arange(1, 2001) * 2.0**-1074 * 12345678,
}


def tanh_ulps(points: Any) -> float:
    """Return the largest error of ``np.tanh`` at these points, in units in the last place of the exact result."""
    worst = 0.0
    for point, tanh in zip(points.tolist(), np.tanh(points).tolist(), strict=True):
        truth = flint.arb(point).tanh()
        ulp = np.spacing(min(abs(float(truth.mid())), 1 - 2.0**-53))
        worst = max(worst, float(abs((flint.arb(tanh) - truth) / flint.arb(float(ulp))).upper()))
    return worst


@pytest.mark.parametrize("sweep", SWEEPS)
def test_tanh_of_numpy_is_as_accurate_as_declared(sweep: str) -> None:
    assert tanh_ulps(SWEEPS[sweep]) <= NUMPY_TANH_ULPS


def test_declared_accuracy_of_tanh_is_not_generous() -> None:
    assert max(map(tanh_ulps, SWEEPS.values())) >= NUMPY_TANH_ULPS / 4


@given(
    value=st.floats(-25, 25),
    relative=st.sampled_from([0.0, 2.0**-52, 1e-10, 1e-3, 0.3, 3.0]),
    share=st.floats(-1, 1),
    ulps=st.floats(-1, 1),
    dtype=st.sampled_from(["float64", "float32"]),
)
def test_tanh_rule_holds(value: float, relative: float, share: float, ulps: float, dtype: str) -> None:
    model, error = PRECISIONS[dtype], relative * abs(value)
    bounded = np.tanh(Bounded(np.array(value), model, error)).rounded()
    # An implementation may have any argument in the interval, and then the declared error of tanh.
    truth = (flint.arb(value) + flint.arb(share) * flint.arb(error)).tanh()
    truth += flint.arb(ulps) * flint.arb(model.tanh_ulps * model.u) * abs(truth)
    assert abs(flint.arb(float(bounded.value)) - truth) <= flint.arb(float(bounded.error))


FLOAT64 = PRECISIONS["float64"]
# The rule, the function, its inverse, and the declared errors in ulp of an implementation and of NumPy.
ACTIVATIONS: dict[str, tuple[Any, ...]] = {
    "tanh": (np.tanh, lambda a: a.tanh(), lambda y: y.atanh(), FLOAT64.tanh_ulps, NUMPY_TANH_ULPS),
    "sigmoid": (
        Bounded.sigmoid,
        lambda a: 1 / (1 + (-a).exp()),
        lambda y: -(1 / y - 1).log(),
        FLOAT64.sigmoid_ulps,
        NUMPY_SIGMOID_ULPS,
    ),
}


@pytest.mark.parametrize(("more", "is_within"), [(0, True), (1, False)])
@pytest.mark.parametrize("sign", [1, -1])
@pytest.mark.parametrize("name", ACTIVATIONS)
def test_an_activation_may_err_by_all_its_ulps_beside_the_error_of_numpy(
    name: str, sign: int, more: int, is_within: bool
) -> None:
    """Relative to a number, an ulp is largest just above a power of two."""
    rule, function, inverse, ulps, of_numpy = ACTIVATIONS[name]
    for power in 2.0 ** -np.arange(2, 40):
        point = float(inverse(flint.arb(power * (1 + 2.0**-40))).mid())
        bounded = rule(Bounded(np.array(point), FLOAT64))
        found = function(flint.arb(point)) + flint.arb(sign * (ulps + more * (of_numpy + 1)) * np.spacing(power))
        assert (abs(flint.arb(float(bounded.value)) - found) <= flint.arb(float(bounded.error))) == is_within


@pytest.mark.parametrize("dtype", ["float64", "float32"])
def test_tanh_rule_shrinks_errors_where_tanh_is_flat(dtype: str) -> None:
    bounded = np.tanh(Bounded(np.array([0.5, 3.0, 20.0]), PRECISIONS[dtype], 1e-3))
    assert (bounded.error < [1e-3, 1e-4, 1e-5]).all()


@given(
    g=st.floats(-1e3, 1e3),
    a=st.floats(-25, 25),
    roundings=st.lists(st.floats(-1, 1), min_size=7, max_size=7),
    form=st.sampled_from(["1 - h*h", "(1-h)*(1+h)", "g - g*h*h", "(g + g*h)*(1-h)"]),
)
def test_every_form_of_the_derivative_is_within_the_bound(
    g: float, a: float, roundings: list[float], form: str
) -> None:
    """Round every operation of a form, and its product with g, as badly as the model of float32 allows."""
    model = PRECISIONS["float32"]
    h = float(np.float32(np.tanh(a)))
    left = iter(roundings)

    def rounded(exact: Any) -> Any:
        return exact * (1 + flint.arb(next(left)) * flint.arb(model.u))

    one, H, G = flint.arb(1), flint.arb(h), flint.arb(float(np.float32(g)))
    forms = {
        "1 - h*h": lambda: rounded(G * rounded(one - rounded(H * H))),
        "(1-h)*(1+h)": lambda: rounded(G * rounded(rounded(one - H) * rounded(one + H))),
        "g - g*h*h": lambda: rounded(G - rounded(rounded(G * H) * H)),
        "(g + g*h)*(1-h)": lambda: rounded(rounded(G + rounded(G * H)) * rounded(one - H)),
    }
    dh, seen = Bounded.exact(np.array(float(G)), model), Bounded.activated(np.array(h), model, "tanh")
    A, _ = RNNCell().backward((dh,), (seen,))
    assert abs(flint.arb(float(A.value)) - forms[form]()) <= flint.arb(float(A.error))


@pytest.mark.parametrize(("share", "is_within"), [(1.0, True), (6 / 7, False)])
@pytest.mark.parametrize("sign", [1, -1])
def test_a_derivative_from_cosh_takes_all_seven_roundings(sign: int, share: float, is_within: bool) -> None:
    """In g * (1 / (cosh * cosh)), an ulp of cosh is two roundings, and its square is off by twice as much."""
    model, h = PRECISIONS["float32"], 2.0**-7
    up, down = 1 + sign * flint.arb(model.u), 1 - sign * flint.arb(model.u)
    square = down / (1 - flint.arb(h) ** 2) * (1 - 2 * sign * flint.arb(model.u)) ** 2
    found = up * (up / square)
    dh, seen = Bounded.exact(np.array(1.0), model), Bounded.activated(np.array(h), model, "tanh")
    A, _ = RNNCell().backward((dh,), (seen,))
    assert (abs(flint.arb(float(A.value)) - found) <= flint.arb(share * float(A.error))) == is_within


TANGENTS = ["t*(-2*h)", "(1-h)*t - (1+h)*t", "-(h*t + h*t)", "h*t*(-2)"]


@given(
    t=st.floats(-1e3, 1e3),
    a=st.floats(-25, 25),
    relative=st.sampled_from([0.0, 2.0**-24, 1e-3]),
    shares=st.tuples(st.floats(-1, 1), st.floats(-1, 1)),
    roundings=st.lists(st.floats(-1, 1), min_size=5, max_size=5),
    form=st.sampled_from(TANGENTS),
)
def test_every_form_of_the_tangent_of_the_derivative_is_within_the_bound(
    t: float, a: float, relative: float, shares: tuple[float, float], roundings: list[float], form: str
) -> None:
    """Round every operation as badly as the model of float32 allows, for any h and t within their errors."""
    model = PRECISIONS["float32"]
    h, t = float(np.float32(np.tanh(a))), float(np.float32(t))
    of_h, of_t = (Bounded(np.array(value), model, relative * abs(value)) for value in (h, t))
    left = iter(roundings)

    def rounded(exact: Any) -> Any:
        return exact * (1 + flint.arb(next(left)) * flint.arb(model.u))

    H, S = (
        flint.arb(value) + flint.arb(share) * flint.arb(float(part.error))
        for value, share, part in zip((h, t), shares, (of_h, of_t), strict=True)
    )
    one = flint.arb(1)
    forms = {
        "t*(-2*h)": lambda: rounded(S * (-2 * H)),
        "(1-h)*t - (1+h)*t": lambda: rounded(rounded(rounded(one - H) * S) - rounded(rounded(one + H) * S)),
        "-(h*t + h*t)": lambda: -rounded(rounded(H * S) + rounded(H * S)),
        "h*t*(-2)": lambda: rounded(H * S) * -2,
    }
    bounded = of_h.tanh_slope_tangent(of_t).rounded()
    assert abs(flint.arb(float(bounded.value)) - forms[form]()) <= flint.arb(float(bounded.error))


def test_the_tangent_of_the_derivative_costs_at_most_ten_roundings() -> None:
    model = PRECISIONS["float32"]
    h, t = (Bounded(np.array(value), model) for value in (0.5, 3.0))
    bounded = h.tanh_slope_tangent(t)
    assert (float(bounded.value), float(bounded.scale)) == (-3.0, 6.0)
    assert 5 * 6 * model.u < bounded.error < 10 * 6 * model.u
