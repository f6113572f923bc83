"""Bounded arrays: values that carry a rigorous bound on what rounding may do to them, in any order of summation."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Self

import numpy as np
from numpy.lib.mixins import NDArrayOperatorsMixin
from numpy.typing import NDArray

from reference.precision import PRECISIONS, Precision

Values = NDArray[np.float64]

U64 = 2.0**-53
# NumPy's float64 tanh errs by at most this many ulp on any instruction set; a test measures it.
NUMPY_TANH_ULPS = 2.5
# A bound is computed in float64 by fewer than 2**30 operations an element on numbers that are not negative, each
# within 2**-53 relative, so that it is right to 2**-23; inflated by this it is an upper bound.
INFLATE = 1 + 2.0**-20
# Roundings, and numbers flushed to zero, that a pointwise product may hide: the forms 1 - h*h, (1-h)*(1+h),
# g - g*h*h, (g + g*h)*(1-h) and 1/cosh**2 of one derivative take at most 7 roundings relative to the result, one of
# which the sum before it already counts, and may lose 5 intermediate results below the smallest normal number.
POINTWISE = 6


class Bounded(NDArrayOperatorsMixin):
    """A float64 array with a bound on its distance from what any correct implementation computes.

    ``value`` is what the oracle computes in float64; ``error`` bounds its distance from the number that an
    implementation in ``precision`` holds in its place, whatever the order of its sums; ``scale`` is what the terms of
    the last sum amount to without their signs, against which ``error`` is small or large. A sum is kept *pending*
    (``terms`` additions and products so far, ``mass`` the sum of the absolute values of all terms, errors included)
    and its rounding is charged once, when it is sealed: at most terms * u * mass in any order.

    It takes part in ``+ - * @``, ``>``, ``np.tanh``, ``np.maximum(a, 0)``, ``.mT``, ``.sum(axis)``, indexing,
    ``reshape``, ``np.stack``, ``np.concatenate`` and ``np.zeros_like``; plain arrays and numbers in it are exact.

    Args:
        value: any shape; converted to float64.
        precision: the model of the arithmetic.
        error: bound on the absolute error; broadcasts against value; not negative.
        scale: magnitude that the error is to be seen against; that of the value by default.

    Source: Jeannerod and Rump, Improved error bounds for inner products in floating-point arithmetic, SIAM J.
        Matrix Anal. Appl. 34 (2013); Higham, Accuracy and Stability of Numerical Algorithms, 2nd
        ed. (2002), chapters 3 and 4. Derivation in the README, section "The bound".
    """

    def __init__(self, value: Any, precision: Precision, error: Any = 0.0, scale: Any = None) -> None:
        self.value: Values = np.asarray(value, np.float64)
        self.precision = precision
        self.error: Values = _shaped(error, self.value.shape)
        self.scale: Values = np.abs(self.value) if scale is None else _shaped(scale, self.value.shape)
        self.carries_scale = False  # whether what is summed from it has a scale summed from this one's
        self.relative: float | None = None  # share of abs(value) that the error is at most, where one holds for all
        self.mass: Values | None = None
        self.terms = 0
        self.factors: tuple[Bounded, ...] = ()  # of the pointwise products in it; a change of shape drops them

    @classmethod
    def exact(cls, value: Any, precision: Precision) -> Self:
        """Return exact numbers, but for those so small that an implementation may read them as zero."""
        value = np.asarray(value, np.float64)
        magnitude = np.abs(value)
        small = magnitude < precision.storage.tiny
        if small.any():
            return cls(value, precision, np.where(small, np.minimum(magnitude, precision.underflow), 0.0), magnitude)
        found = cls(value, precision, 0.0, magnitude)
        found.relative = 0.0
        return found

    @classmethod
    def observed(cls, value: Any, precision: Precision) -> Self:
        """Return numbers that an implementation returned: it may have held more digits of them inside.

        Under a wider accumulator it may have held a number where a zero was returned: one that underflows in storage.
        """
        seen = cls.exact(value, precision)
        underflow = precision.underflow if precision.is_mixed else 0.0
        seen.error = seen.error + precision.u * np.abs(seen.value) + underflow
        seen.relative = precision.u if seen.relative == 0 and not precision.is_mixed else None
        return seen

    @classmethod
    def activated(cls, h: Any, precision: Precision, nonlinearity: str, anew: Bounded | None = None) -> Self:
        """Return observed states as a derivative sees them: tanh may have been kept, or taken anew, more exactly.

        Where the whole step was taken ``anew``, they have its bound besides. A zero of relu is one: were it a number
        that underflows, nothing would be known of the derivative.
        """
        seen = cls.observed(h, precision)
        if nonlinearity == "tanh":
            seen.error, seen.relative = seen.error + tanh_error(np.abs(seen.value), precision), None
        if anew is not None:
            seen.error, seen.relative = seen.error + anew.error, None
        if nonlinearity == "relu":
            seen.error = np.where(seen.value == 0, 0.0, seen.error)
        return seen

    @classmethod
    def _pending(
        cls,
        value: Any,
        precision: Precision,
        error: Any,
        mass: Any,
        terms: int,
        scale: Any = None,
        factors: tuple[Bounded, ...] = (),
    ) -> Self:
        sum_ = cls(value, precision, error, mass if scale is None else scale)
        sum_.mass, sum_.terms, sum_.factors = mass, terms, factors
        return sum_

    @property
    def magnitude(self) -> Values:
        """Largest absolute value that the number, or the sum of its terms' absolute values, may have."""
        if self.mass is not None:
            return self.mass
        magnitude: Values = np.abs(self.value)
        magnitude += self.error
        return magnitude

    def sealed(self) -> Bounded:
        """Return the array with the rounding of its pending sum charged to ``error``."""
        if self.mass is None:
            return self
        model, inner = self.precision, self.precision.accumulator
        share, lost = self.terms * (inner.u + U64), 2 * self.terms * inner.underflow
        if inner.u < model.u:
            share, lost = share + model.stored * model.u, lost + model.stored * model.underflow
        error = share * self.mass
        error += self.error
        error += lost
        error *= INFLATE
        # Of so many terms each may have lost what is small against the floor.
        sum_ = Bounded(self.value, model, error, self.scale + self.terms * model.floor)
        sum_.factors = self.factors
        return sum_

    def known_to(self, other: Bounded) -> Bounded:
        """Return the array with the error of another besides, which is small against the other's scale."""
        other = other.sealed()
        found = Bounded(self.value, self.precision, self.error + other.error, other.scale)
        found.carries_scale = True
        return found

    def sure_of(self, zeros: NDArray[np.bool_]) -> None:
        """Take some of the zeros that were observed as such.

        Any other may have been a number that underflows: what it is multiplied by is large or small against the floor.
        """
        lost = (self.value == 0) & (self.error > 0) & ~zeros
        if zeros.any():
            self.error = np.where(zeros, 0.0, self.error)
        if lost.any():
            self.scale, self.carries_scale = np.where(lost, self.precision.floor, self.scale), True

    def _like(self, other: Bounded) -> Bounded:
        self.carries_scale, self.relative = other.carries_scale, other.relative
        return self

    def under(self, precision: Precision) -> Bounded:
        """Return the sealed array as part of another model: its errors stay, those to come are that model's."""
        self = self.sealed()
        return Bounded(self.value, precision, self.error, self.scale)._like(self)

    # The parts of an ndarray that the formula touches.

    @property
    def shape(self) -> tuple[int, ...]:
        """Shape of the array."""
        return self.value.shape

    @property
    def ndim(self) -> int:
        """Number of axes."""
        return self.value.ndim

    @property
    def dtype(self) -> np.dtype[np.float64]:
        """Dtype of the values, always float64."""
        return self.value.dtype

    def _each(self, change: Callable[[Values], Any]) -> Bounded:
        """Return the array with a change of shape applied to all its parts; a pending sum stays one."""
        changed = Bounded(change(self.value), self.precision, change(self.error), change(self.scale))
        changed.mass, changed.terms = None if self.mass is None else change(self.mass), self.terms
        return changed._like(self)

    @property
    def mT(self) -> Bounded:
        """The array with its last two axes exchanged."""
        return self._each(lambda part: part.mT)

    def reshape(self, shape: tuple[int, ...]) -> Bounded:
        """Return the array in another shape of the same size."""
        return self._each(lambda part: part.reshape(shape))

    def __getitem__(self, index: Any) -> Bounded:
        return self._each(lambda part: part[index])

    def __setitem__(self, index: Any, other: Bounded) -> None:
        other = other.sealed()
        self.error, self.scale, self.relative = np.array(self.error), np.array(self.scale), None
        self.value[index], self.error[index], self.scale[index] = other.value, other.error, other.scale

    def sum(self, axis: int) -> Bounded:
        """Return the sum over one axis, pending: n terms, n - 1 additions."""
        self = self.sealed()
        terms = max(self.shape[axis] - 1, 0)
        parts = (self.value, self.error, self.magnitude)
        value, error, mass = (part.sum(axis=axis) for part in parts)
        scale = self.scale.sum(axis=axis) if self.carries_scale else None
        return Bounded._pending(value, self.precision, error, mass, terms, scale)

    def __array_ufunc__(self, ufunc: np.ufunc, method: str, *inputs: Any, **kwargs: Any) -> Any:
        rule = RULES.get(ufunc)
        if rule is None or method != "__call__" or kwargs:
            return NotImplemented
        operands = [p if isinstance(p, Bounded) else Bounded.exact(p, self.precision) for p in inputs]
        with np.errstate(invalid="ignore", over="ignore", under="ignore"):
            return rule(*operands)

    def __array_function__(self, function: Any, types: Any, args: Any, kwargs: Any) -> Any:
        if function is np.zeros_like:
            return Bounded(np.zeros(self.shape), self.precision)
        if function not in (np.stack, np.concatenate):
            return NotImplemented
        parts = [
            part.sealed() if isinstance(part, Bounded) else Bounded.exact(part, self.precision) for part in args[0]
        ]
        names = ("value", "error", "scale")
        value, error, scale = (function([getattr(part, name) for part in parts], **kwargs) for name in names)
        joined = Bounded(value, self.precision, error, scale)
        joined.relative = parts[0].relative if len({part.relative for part in parts}) == 1 else None
        return joined


def _shaped(part: Any, shape: tuple[int, ...]) -> Values:
    """Return a part in the shape of the values; broadcasting takes as long as a small sum, even to its own shape."""
    part = np.asarray(part, np.float64)
    return part if part.shape == shape else np.broadcast_to(part, shape)


def _add(p: Bounded, q: Bounded) -> Bounded:
    value, error, mass = p.value + q.value, p.error + q.error, p.magnitude + q.magnitude
    terms, scale, factors = p.terms + q.terms + 1, p.scale + q.scale, p.factors + q.factors
    return Bounded._pending(value, p.precision, error, mass, terms, scale, factors)


def _subtract(p: Bounded, q: Bounded) -> Bounded:
    return _add(p, _negative(q))


def _negative(p: Bounded) -> Bounded:
    return Bounded._pending(-p.value, p.precision, p.error, p.magnitude, p.terms, p.scale, p.factors)


def _matmul(p: Bounded, q: Bounded) -> Bounded:
    p, q = p.sealed(), q.sealed()
    of_p, of_q = p.magnitude, q.magnitude
    mass = of_p @ of_q
    # Where the errors of a factor are one share of its values, they make that share of the mass: a product saved.
    share = sum(one.relative / (1 + one.relative) for one in (p, q) if one.relative is not None)
    error = share * mass if share else np.zeros_like(mass)
    if q.relative is None:
        error += of_p @ q.error
    if p.relative is None:
        error += p.error @ np.abs(q.value)
    scale = p.scale @ q.scale if p.carries_scale or q.carries_scale else None
    return Bounded._pending(p.value @ q.value, p.precision, error, mass, p.shape[-1], scale)


def _multiply(p: Bounded, q: Bounded) -> Bounded:
    p, q = p.sealed(), q.sealed()
    model, value = p.precision, p.value * q.value
    error = p.magnitude * q.error + p.error * np.abs(q.value)
    # In another order, g * (h * k) is (g * h) * k: k multiplies what is lost where g * h underflows.
    most: Any = 1.0
    for factor in p.factors + q.factors:
        most = np.maximum(most, factor.magnitude)
    # Zero times anything is zero in every form: nothing underflows.
    underflow = np.where((p.magnitude == 0) | (q.magnitude == 0), 0.0, model.underflow * most)
    rounding = POINTWISE * ((model.u + U64) * (np.abs(value) + error) + underflow)
    product = Bounded(value, model, INFLATE * (error + rounding), p.scale * q.scale)
    product.factors = (p,) if p is q else (p, q)
    return product


def _tanh(p: Bounded) -> Bounded:
    p = p.sealed()
    value = np.tanh(p.value)
    # The slope is largest where the interval comes nearest to 0; beyond 350 it is below 1e-303.
    nearest = np.clip(np.abs(p.value) - p.error, 0, 350)
    spread = np.minimum(p.error / np.cosh(nearest) ** 2, 2.0)
    error = spread + tanh_error(np.abs(value) + spread, p.precision) + tanh_error(np.abs(value), NUMPY)
    return Bounded(value, p.precision, INFLATE * error, np.minimum(p.scale, 1.0))


def tanh_error(magnitude: Values, precision: Precision) -> Values:
    """Return how far a tanh of this magnitude may be from the exact one; an ulp of v is at most 2 u abs(v)."""
    error: Values = 2 * precision.tanh_ulps * precision.u * np.minimum(magnitude, 1.0) + precision.underflow
    return error


NUMPY = PRECISIONS["float64"].with_tanh(NUMPY_TANH_ULPS)


def _maximum(p: Bounded, zero: Bounded) -> Bounded:
    p = p.sealed()
    if zero.value.any() or zero.error.any():
        raise ValueError(f"Bounded: expected np.maximum(a, 0), got a second operand of {zero.value}")
    # Where even the upper end is below zero, every implementation returns exactly zero.
    error = np.minimum(p.error, np.maximum(p.value + p.error, 0.0))
    return Bounded(np.maximum(p.value, 0.0), p.precision, error, p.scale)


def _greater(p: Bounded, q: Bounded) -> Bounded:
    difference = _subtract(p.sealed(), q.sealed())
    unsure = (np.abs(difference.value) <= difference.error) & (difference.error > 0)
    return Bounded(difference.value > 0, p.precision, unsure, 1.0)


RULES: dict[Any, Any] = {
    np.add: _add,
    np.subtract: _subtract,
    np.negative: _negative,
    np.matmul: _matmul,
    np.multiply: _multiply,
    np.tanh: _tanh,
    np.maximum: _maximum,
    np.greater: _greater,
}
