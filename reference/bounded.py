"""Bounded arrays: values with a rigorous bound on their rounding errors, in any order of summation."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from reference.array_like import ArrayLike
from reference.cells.cell import sigmoid, sigmoid_slope
from reference.precision import PRECISIONS, Precision

Values = NDArray[np.float64]

U64 = 2.0**-53
# NumPy's float64 tanh errs by at most this many ulp on any instruction set; a test measures it.
NUMPY_TANH_ULPS = 2.5
# The float64 sigmoid of ``cells.cell`` errs by at most this many ulp; a test measures it.
NUMPY_SIGMOID_ULPS = 3.0
# A bound takes fewer than 2**30 operations an element, in float64, on numbers that are not negative. Each operation is
# right to 2**-53, so the bound is right to 2**-23. This factor makes it an upper bound.
INFLATE = 1 + 2.0**-20
# Roundings and underflows inside the derivative of tanh. Its forms are 1 - h*h, (1-h)*(1+h), g - g*h*h,
# (g + g*h)*(1-h) and 1/cosh**2. They take at most 7 roundings relative to the result. The sum counts one of
# these. At most 5 intermediate results underflow.
DERIVATIVE = 6


class Bounded(ArrayLike):
    """A float64 array with a bound on its distance from what any correct implementation computes.

    ``value`` is the number that the oracle computes in float64. ``error`` bounds its distance from the same number
    computed by an implementation in ``precision``, with sums in any order. ``scale`` is the sum of the absolute values
    of the terms of the last sum; ``error`` is compared with it.

    A sum stays *pending* until ``rounded`` charges its rounding: at most terms * u * abs_sum in any order. ``terms``
    counts its additions and products. ``abs_sum`` is the sum of the absolute values of its terms, errors included.

    The class supports ``+ - * @``, ``>``, ``np.tanh``, ``np.maximum(a, 0)``, ``.mT``, ``.sum(axis)``, indexing,
    ``reshape``, ``np.stack``, ``np.concatenate`` and ``np.zeros_like``. Plain arrays and numbers are taken as exact.

    Args:
        value: any shape; converted to float64.
        precision: the model of the arithmetic.
        error: bound on the absolute error; broadcasts against value; not negative.
        scale: magnitude that the error is compared with; by default the absolute value.
        relative: one bound on error / abs(value) for all elements; None if there is none.
        abs_sum: sum of the absolute values of the terms of a pending sum; None if no sum is pending.
        terms: number of additions and products in the pending sum.
        factors: factors of the elementwise products in the array; a change of shape drops them.
        entered: scale of what entered gates that are rounded against 1, as far as they let it through.

    Source: Jeannerod and Rump, Improved error bounds for inner products in floating-point arithmetic, SIAM J.
        Matrix Anal. Appl. 34 (2013); Higham, Accuracy and Stability of Numerical Algorithms, 2nd
        ed. (2002), chapters 3 and 4. Derivation in reference/README.md, section "The bound".
    """

    def __init__(
        self,
        value: Any,
        precision: Precision,
        error: Any = 0.0,
        scale: Any = None,
        *,
        relative: float | None = None,
        abs_sum: Values | None = None,
        terms: int = 0,
        factors: tuple[Bounded, ...] = (),
        entered: Any = 0.0,
    ) -> None:
        self.value: Values = np.asarray(value, np.float64)
        self.precision = precision
        self.error: Values = _shaped(error, self.value.shape)
        self.scale: Values = np.abs(self.value) if scale is None else _shaped(scale, self.value.shape)
        self.relative, self.abs_sum, self.terms, self.factors = relative, abs_sum, terms, factors
        self.entered = entered

    @classmethod
    def exact(cls, value: Any, precision: Precision) -> Self:
        """Return exact numbers. A subnormal number may also be read as zero, unless the format keeps subnormals."""
        value = np.asarray(value, np.float64)
        magnitude = np.abs(value)
        small = magnitude < precision.storage.tiny
        if not small.any():
            return cls(value, precision, 0.0, magnitude, relative=0.0)
        return cls(value, precision, np.where(small, np.minimum(magnitude, precision.underflow), 0.0), magnitude)

    @classmethod
    def observed(cls, value: Any, precision: Precision) -> Self:
        """Return numbers that an implementation returned; internally it may have used more digits of them.

        If the accumulator is wider than storage, a returned zero may be a number that underflowed in storage.
        """
        seen = cls.exact(value, precision)
        underflow = precision.underflow if precision.is_mixed else 0.0
        seen.error = seen.error + precision.u * np.abs(seen.value) + underflow
        seen.relative = precision.u if seen.relative == 0 and not precision.is_mixed else None
        return seen

    @classmethod
    def activated(cls, h: Any, precision: Precision, nonlinearity: str) -> Self:
        """Return observed outputs as arguments of a derivative; tanh may have been stored or recomputed.

        A zero of relu is taken as exact. If it could be an underflow, the derivative would be undetermined.
        """
        seen = cls.observed(h, precision)
        if nonlinearity == "tanh":
            seen.error, seen.relative = seen.error + tanh_error(np.abs(seen.value), precision), None
        if nonlinearity == "relu":
            seen.error = np.where(seen.value == 0, 0.0, seen.error)
        return seen

    @property
    def magnitude(self) -> Values:
        """Upper bound on the absolute value, or on the sum of the absolute values of the terms of a pending sum."""
        if self.abs_sum is not None:
            return self.abs_sum
        if self.relative == 0:
            return self.scale
        magnitude: Values = np.abs(self.value)
        magnitude += self.error
        return magnitude

    def rounded(self) -> Bounded:
        """Return the array after adding the rounding of its pending sum to ``error``."""
        if self.abs_sum is None:
            return self
        model, inner = self.precision, self.precision.accumulator
        share, lost = self.terms * (inner.u + U64), 2 * self.terms * inner.underflow
        if inner.u < model.u:
            share, lost = share + model.stored * model.u, lost + model.stored * model.underflow
        error = share * self.abs_sum
        error += self.error
        error += lost
        error *= INFLATE
        # Each term may have lost a part that is small against the floor.
        scale = self.scale + self.terms * model.floor
        return Bounded(self.value, model, error, scale, factors=self.factors, entered=self.entered)

    def through(self, a: Bounded) -> Bounded:
        """Return gate * a, what a step passes on. The scale of a is its own magnitude.

        If the scale were multiplied or added up from step to step, it would grow until no error is large against it.
        Digits that a gate loses against 1 stay lost behind open gates. So the scale is at least that of what entered
        any of the gates, times the gates after it.
        """
        a = a.rounded()
        product, scale, entered = self * a, self.scale * a.magnitude, a.entered
        if self.precision.sigmoid_is_a_sum:
            scale = entered = np.maximum(scale, self.value * entered)
        return Bounded(product.value, a.precision, product.error, scale, factors=product.factors, entered=entered)

    def passed(self) -> Bounded:
        """Return the rounded array as a term of the sums of the next step, without its factors."""
        sum_ = self.rounded()
        scale = np.maximum(sum_.scale, sum_.magnitude)
        return Bounded(sum_.value, self.precision, sum_.error, scale, entered=sum_.entered)

    def under(self, precision: Precision) -> Bounded:
        """Return the rounded array with another model for its next errors; the present errors stay."""
        self = self.rounded()
        return Bounded(self.value, precision, self.error, self.scale, relative=self.relative)

    def tanh_slope(self) -> Bounded:
        """Return 1 - h**2 with the roundings of all its forms, alone or in a product."""
        h = self.rounded()
        square, model = h.value * h.value, h.precision
        value = 1 - square
        error = (2 * np.abs(h.value) + h.error) * h.error + (model.u + U64) * (1 + (DERIVATIVE + 1) * square)
        error += (DERIVATIVE - 1) * (model.u + U64) * (np.abs(value) + error)
        return Bounded(value, model, INFLATE * (error + DERIVATIVE * model.underflow), 1 + square)

    def tanh_slope_tangent(self, t: Bounded) -> Bounded:
        """Return -2 h t, the derivative of 1 - h**2 where h has the tangent t.

        The form (1 - h) * (1 + h) gives (1 - h) * t - (1 + h) * t. Its two terms cancel, so the roundings are relative
        to 2 t, not to 2 h t.
        """
        h, t, model = self.rounded(), t.rounded(), self.precision
        error = 2 * (np.abs(h.value) * t.error + t.magnitude * h.error)
        error += (DERIVATIVE + 1) * ((model.u + U64) * 2 * t.magnitude + model.underflow)
        return Bounded(-2 * h.value * t.value, model, INFLATE * error, 2 * t.magnitude)

    def sigmoid(self) -> Bounded:
        """Return 1 / (1 + exp(-a))."""
        a = self.rounded()
        value, model = sigmoid(a.value), self.precision
        # The slope is largest where the interval comes nearest to 0; on the negative side it does not cancel.
        slope = sigmoid_slope(sigmoid(np.minimum(a.error - np.abs(a.value), 0.0)))
        spread = np.minimum(a.error * slope, 1.0)
        error = spread + sigmoid_error(value + spread, model) + sigmoid_error(value, NUMPY)
        return Bounded(value, model, INFLATE * error, value + spread + model.sigmoid_is_a_sum)

    def sigmoid_slope(self) -> Bounded:
        """Return s * (1 - s) with the roundings that it or s - s * s takes, alone or in a product."""
        s, model = self.rounded(), self.precision
        value, square = s.value * (1 - s.value), s.value * s.value
        error = (np.abs(1 - 2 * s.value) + s.error) * s.error
        error += (model.u + U64) * (square + DERIVATIVE * (np.abs(value) + error))
        return Bounded(
            value, model, INFLATE * (error + DERIVATIVE * model.underflow), s.value + square + model.sigmoid_is_a_sum
        )

    def sigmoid_slope_tangent(self, t: Bounded) -> Bounded:
        """Return (1 - 2 s) t, the derivative of s * (1 - s) where s has the tangent t.

        Automatic differentiation makes it of two terms that cancel, (1 - s) * t - s * t.
        """
        s, t, model = self.rounded(), t.rounded(), self.precision
        terms = (1 + 2 * np.abs(s.value)) * t.magnitude
        error = np.abs(1 - 2 * s.value) * t.error + 2 * s.error * t.magnitude
        error += (DERIVATIVE + 1) * ((model.u + U64) * terms + model.underflow)
        return Bounded((1 - 2 * s.value) * t.value, model, INFLATE * error, terms)

    def mixed(self, n: Bounded, h: Bounded) -> Bounded:
        """Return (1 - z) * n + z * h with the roundings of n + z * (h - n), too.

        That form rounds h - n, z times that, and the sum: three times relative to z (abs(n) + abs(h)), once more than
        the other.
        """
        sum_ = ((1 - self) * n + self.through(h)).rounded()
        more = (self.precision.u + U64) * self.magnitude * (n.rounded().magnitude + h.rounded().magnitude)
        return Bounded(sum_.value, self.precision, sum_.error + INFLATE * more, sum_.scale, entered=sum_.entered)

    def each(self, change: Callable[[Values], Any]) -> Self:
        """Return the array with one change of shape applied to all its parts; a pending sum stays pending."""
        value, error, scale = change(self.value), change(self.error), change(self.scale)
        abs_sum = None if self.abs_sum is None else change(self.abs_sum)
        more: dict[str, Any] = {"relative": self.relative, "abs_sum": abs_sum, "terms": self.terms}
        return type(self)(value, self.precision, error, scale, **more)

    def joined(self, arrays: Sequence[Any], join: Callable[[list[Any]], Any]) -> Self:
        """Return several arrays as one; plain arrays are exact."""
        parts = [one.rounded() if isinstance(one, Bounded) else Bounded.exact(one, self.precision) for one in arrays]
        value, error, scale = (join([getattr(part, name) for part in parts]) for name in ("value", "error", "scale"))
        shares = [part.relative for part in parts if part.value.size]
        relative = None if None in shares else max((share for share in shares if share is not None), default=0.0)
        return type(self)(value, self.precision, error, scale, relative=relative)

    def sum(self, axis: int) -> Bounded:
        """Return the sum over one axis, pending: n terms, n - 1 additions."""
        self = self.rounded()
        parts = (self.value, self.error, self.magnitude)
        value, error, abs_sum = (part.sum(axis=axis) for part in parts)
        terms = max(self.shape[axis] - 1, 0)
        return Bounded(value, self.precision, error, abs_sum, abs_sum=abs_sum, terms=terms)

    def __array_ufunc__(self, ufunc: np.ufunc, method: str, *inputs: Any, **kwargs: Any) -> Any:
        operands = [p if isinstance(p, Bounded) else Bounded.exact(p, self.precision) for p in inputs]
        with np.errstate(invalid="ignore", over="ignore", under="ignore"):
            return super().__array_ufunc__(ufunc, method, *operands, **kwargs)


def _shaped(part: Any, shape: tuple[int, ...]) -> Values:
    """Return a part in the shape of the values. Broadcasting to the same shape would cost as much as a small sum."""
    part = np.asarray(part, np.float64)
    return part if part.shape == shape else np.broadcast_to(part, shape)


def _add(p: Bounded, q: Bounded) -> Bounded:
    value, error, abs_sum = p.value + q.value, p.error + q.error, p.magnitude + q.magnitude
    pending: dict[str, Any] = {"abs_sum": abs_sum, "terms": p.terms + q.terms + 1, "factors": p.factors + q.factors}
    entered = np.maximum(p.entered, q.entered)
    return Bounded(value, p.precision, error, p.scale + q.scale, entered=entered, **pending)


def _negative(p: Bounded) -> Bounded:
    return Bounded(-p.value, p.precision, p.error, p.scale, abs_sum=p.magnitude, terms=p.terms)


def _matmul(p: Bounded, q: Bounded) -> Bounded:
    p, q = p.rounded(), q.rounded()
    of_p, of_q = p.magnitude, q.magnitude
    abs_sum = of_p @ of_q
    # If the error of a factor is at most one share of its values, its contribution is a share of abs_sum.
    # This saves a matrix product.
    share = sum(one.relative / (1 + one.relative) for one in (p, q) if one.relative is not None)
    error = share * abs_sum if share else np.zeros_like(abs_sum)
    if q.relative is None:
        error += of_p @ q.error
    if p.relative is None:
        error += p.error @ np.abs(q.value)
    return Bounded(p.value @ q.value, p.precision, error, abs_sum, abs_sum=abs_sum, terms=p.shape[-1])


def _multiply(p: Bounded, q: Bounded) -> Bounded:
    p, q = p.rounded(), q.rounded()
    model, value = p.precision, p.value * q.value
    error = p.magnitude * q.error + p.error * np.abs(q.value)
    # An implementation may compute g * (h * k) as (g * h) * k. If g * h underflows, its error is multiplied by k.
    most: Any = 1.0
    factors = (p.factors or (p,)) + (q.factors or (q,))
    for factor in factors if len(factors) > 2 else ():
        most = most * np.maximum(1.0, factor.magnitude)
    # Zero times a number is zero in every form, so nothing underflows.
    underflow = np.where((p.magnitude == 0) | (q.magnitude == 0), 0.0, DERIVATIVE * model.underflow * most)
    rounding = (model.u + U64) * (np.abs(value) + error) + underflow
    return Bounded(value, model, INFLATE * (error + rounding), p.scale * q.scale, factors=factors)


def _tanh(p: Bounded) -> Bounded:
    p = p.rounded()
    value = np.tanh(p.value)
    # The slope is largest at the end of the interval nearest to 0. Beyond 350 it is below 1e-303.
    nearest = np.clip(np.abs(p.value) - p.error, 0, 350)
    spread = np.minimum(p.error / np.cosh(nearest) ** 2, 2.0)
    error = spread + tanh_error(np.abs(value) + spread, p.precision) + tanh_error(np.abs(value), NUMPY)
    return Bounded(value, p.precision, INFLATE * error, np.minimum(p.scale, 1.0))


def tanh_error(magnitude: Values, precision: Precision) -> Values:
    """Return the largest error of a tanh of this magnitude; an ulp of v is at most 2 u abs(v)."""
    error: Values = 2 * precision.tanh_ulps * precision.u * np.minimum(magnitude, 1.0) + precision.underflow
    return error


def sigmoid_error(magnitude: Values, precision: Precision) -> Values:
    """Return how far a sigmoid of this magnitude may be from the exact one."""
    relative = 2 * precision.sigmoid_ulps * precision.u * np.minimum(magnitude, 1.0)
    error: Values = relative + precision.sigmoid_absolute * precision.u + precision.underflow
    return error


NUMPY = PRECISIONS["float64"].with_tanh(NUMPY_TANH_ULPS).with_sigmoid(NUMPY_SIGMOID_ULPS)


def _maximum(p: Bounded, zero: Bounded) -> Bounded:
    p = p.rounded()
    if zero.value.any() or zero.error.any():
        raise ValueError(f"Bounded: expected np.maximum(a, 0), got a second operand of {zero.value}")
    # If the upper end of the interval is below zero, every implementation returns exactly zero.
    error = np.minimum(p.error, np.maximum(p.value + p.error, 0.0))
    return Bounded(np.maximum(p.value, 0.0), p.precision, error, p.scale)


def _greater(p: Bounded, q: Bounded) -> Bounded:
    difference = _add(p.rounded(), _negative(q.rounded()))
    unsure = (np.abs(difference.value) <= difference.error) & (difference.error > 0)
    return Bounded(difference.value > 0, p.precision, unsure, 1.0)


Bounded.rules = {
    np.add: _add,
    np.subtract: lambda p, q: _add(p, _negative(q)),
    np.negative: _negative,
    np.matmul: _matmul,
    np.multiply: _multiply,
    np.tanh: _tanh,
    np.maximum: _maximum,
    np.greater: _greater,
}
