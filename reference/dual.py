"""Dual arrays: primal values with a tangent, the derivative along a direction, in any arithmetic.

    (v, t) + (w, s) = (v + w, t + s)        (v, t) @ (w, s) = (v @ w, t @ w + v @ s)        f(v, t) = (f(v), t * f'(v))

Run on dual arrays, the forward of a cell gives Jacobian-vector products. Its backward gives Hessian-vector products,
the derivatives of the gradient. With ``Bounded`` parts, both come with bounds.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, Self

import numpy as np

from reference.array_like import ArrayLike
from reference.cells import NONLINEARITIES, Array, sigmoid, sigmoid_slope, tanh_slope, through


class Dual(ArrayLike):
    """An array and its derivative along a direction.

    The class supports the same functions as ``Bounded``. The tangent of a plain array or number is zero.

    Args:
        value: an array of floats or objects, or a ``Bounded``; any shape.
        tangent: the derivative of value; the same kind and shape.

    Source: Clifford, Preliminary sketch of biquaternions, Proc. London Math. Soc. 4 (1873), for the algebra; Griewank
        and Walther, Evaluating Derivatives, 2nd ed. (2008), section 3.1, for its use.
    """

    def __init__(self, value: Array, tangent: Array) -> None:
        self.value, self.tangent = value, tangent

    def each(self, change: Callable[[Array], Array]) -> Self:
        """Return the array with one change of shape applied to value and tangent."""
        return type(self)(change(self.value), change(self.tangent))

    def joined(self, arrays: Sequence[Any], join: Callable[[list[Any]], Any]) -> Self:
        """Return several arrays as one; the tangent of a plain array is zero."""
        parts = [part if isinstance(part, Dual) else Dual(part, 0 * part) for part in arrays]
        return type(self)(join([part.value for part in parts]), join([part.tangent for part in parts]))

    def sum(self, axis: int) -> Dual:
        """Return the sum over one axis."""
        return self.each(lambda part: part.sum(axis=axis))

    def through(self, a: Dual) -> Dual:
        """Return gate * a, what a step passes on; ``Bounded`` parts have a rule for this."""
        return Dual(through(self.value, a.value), self.tangent * a.value + through(self.value, a.tangent))

    def passed(self) -> Dual:
        """Return the array as a term of the sums of the next step; ``Bounded`` parts have a rule for this."""
        return self.each(lambda part: part.passed() if hasattr(part, "passed") else part)

    def sigmoid(self) -> Dual:
        """Return 1 / (1 + exp(-a))."""
        s = sigmoid(self.value)
        return Dual(s, self.tangent * sigmoid_slope(s))

    def sigmoid_slope(self) -> Dual:
        """Return s * (1 - s); bounded parts have a rule of their own for its tangent, (1 - 2 s) t."""
        s, t = self.value, self.tangent
        own = getattr(s, "sigmoid_slope_tangent", None)
        return Dual(sigmoid_slope(s), (1 - 2 * s) * t if own is None else own(t))

    def tanh_slope(self) -> Dual:
        """Return 1 - h**2 for h = tanh(a). ``Bounded`` parts have their own rule for its tangent, -2 h t."""
        h, t = self.value, self.tangent
        own = getattr(h, "tanh_slope_tangent", None)
        return Dual(tanh_slope(h), -2 * h * t if own is None else own(t))


def value_of(p: Any) -> Any:
    """Return the value of a dual array, and any other argument unchanged."""
    return p.value if isinstance(p, Dual) else p


def _linear(combine: Callable[..., Any]) -> Callable[[Any, Any], Dual]:
    """Return the rule of a sum or a difference; a constant has no tangent."""

    def rule(p: Any, q: Any) -> Dual:
        value = combine(value_of(p), value_of(q))
        if not isinstance(q, Dual):
            return Dual(value, p.tangent)
        return Dual(value, combine(p.tangent, q.tangent) if isinstance(p, Dual) else combine(0, q.tangent))

    return rule


def _bilinear(product: Callable[..., Any]) -> Callable[[Any, Any], Dual]:
    """Return the rule of a product."""

    def rule(p: Any, q: Any) -> Dual:
        terms = [product(p.tangent, value_of(q))] if isinstance(p, Dual) else []
        terms += [product(value_of(p), q.tangent)] if isinstance(q, Dual) else []
        return Dual(product(value_of(p), value_of(q)), terms[0] + terms[1] if len(terms) > 1 else terms[0])

    return rule


def _nonlinear(name: str) -> Callable[..., Dual]:
    """Return the rule of a nonlinearity."""
    f, derivative = NONLINEARITIES[name]

    def rule(p: Dual, *zero: Any) -> Dual:
        h = f(p.value)
        return Dual(h, p.tangent * derivative(h))

    return rule


Dual.rules = {
    np.add: _linear(np.add),
    np.subtract: _linear(np.subtract),
    np.negative: lambda p: Dual(-p.value, -p.tangent),
    np.matmul: _bilinear(np.matmul),
    np.multiply: _bilinear(np.multiply),
    np.tanh: _nonlinear("tanh"),
    np.maximum: _nonlinear("relu"),
    # A comparison has no derivative at the point where it changes, and the derivative zero at every other point.
    np.greater: lambda p, q: value_of(p) > value_of(q),
}
