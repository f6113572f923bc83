"""Shared by the tests of the oracle: a second implementation, and a comparison with given bounds.

The implementation does not use the formulas of the oracle. Every inner product is a list of products in the dtype of
the case. The products are shuffled and added one by one, in an order that its options set.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from functools import reduce
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from reference import PRECISIONS, Case, Evaluation, TimeRNN
from reference.certify import enclose

Array = NDArray[Any]

STEP = 2.0**-100  # step of the complex-step method: its square vanishes against 1, and no terms cancel
FIELDS = {"xs": "dxs", "h0": "dh0", "Wx": "dWx", "Wh": "dWh", "b": "db"}

# Orders of a sum. "lanes" has four partial sums in turn, "blocks" one for eight terms; "wide" adds in a wider format.
ORDERS = ("left", "right", "tree", "blas", "ascending", "descending", "lanes", "blocks", "wide")
WIDER = {"float32": np.float64, "float64": np.longdouble}


def by_expm1(a: Array) -> Array:
    """Return tanh from exp(-2 |a|) - 1, which is accurate near 0."""
    e = np.expm1(-2 * np.abs(a))
    return np.asarray(np.copysign(e / (2 + e), a))


# Forms of tanh; that of sinh is cut where tanh is 1 in every format. All are accurate to ROUGHEST ulp.
TANHS: dict[str, Callable[[Array], Array]] = {
    "tanh(a)": np.tanh,
    "expm1(2a)/(expm1(2a)+2)": by_expm1,
    "sinh(a)/cosh(a)": lambda a: np.sinh(a.clip(-30, 30)) / np.cosh(a.clip(-30, 30)),
}
ROUGHEST = 8.0


@dataclass
class PlainRNN:
    """An RNN in plain NumPy with options for its sums, its derivative and its flushing; call it with a case."""

    summation: str = "left"  # one of ORDERS
    tanh: str = "tanh(a)"  # one of TANHS
    fused: bool = True  # whether [h, x] has one product, or h and x have two that are added
    biases: int = 1  # number of biases; two are b / 2 each
    derivative: str = "1 - h*h"  # or "(1-h)*(1+h)", "g - g*h*h", "(g + g*h)*(1-h)", "1/cosh(a)**2"
    rough: float = 0  # units of rounding by which a state, not its slope, misses the tanh
    flush: bool = False  # numbers below the smallest normal one become zero, on the way in and after every operation
    narrow: bool = False  # of a half precision, store every partial sum, too: its accumulator is the storage type
    kept: bool = False  # of a half precision, f and its derivative see the sum in float32, before it is stored
    recomputed: bool = False  # backward computes each sum again, in another order, for the derivative
    seed: int = 0
    rng: np.random.Generator = field(init=False)
    storage: np.dtype[Any] | None = field(init=False)  # storage of a half precision, else None

    def __call__(self, case: Case) -> Evaluation:
        """Return the evaluation of a case."""
        self.rng = np.random.default_rng(self.seed)
        self.storage = case.xs.dtype if case.xs.itemsize == 2 else None
        with np.errstate(all="ignore"):
            wide = case if self.storage is None else case.astype("float32")
            return self._evaluate(wide.map(self._store)).astype(case.dtype)

    def _evaluate(self, case: Case) -> Evaluation:
        xs, upstream, Wx, Wh = case.xs, case.upstream, case.params.Wx, case.params.Wh
        T = case.sizes["T"]
        hs, drives, before = [], [], [case.h0]
        for t in range(T):
            drives.append(self._drive(case, xs[..., t, :, :], before[-1]))
            before.append(self._store(self._tanh(drives[-1]) if case.nonlinearity == "tanh" else drives[-1].clip(0)))
            hs.append(before[-1])
        A: list[Array] = []
        for t in reversed(range(T)):
            g = self._store(upstream[..., t, :, :] + self._product(A[-1], Wh.mT)) if A else upstream[..., t, :, :]
            if self.recomputed:
                drives[t] = self._drive(case, xs[..., t, :, :], before[t])
            A.append(self._slope(g, hs[t], drives[t], case.nonlinearity))
        A.reverse()
        x, h_prev, a = (np.concatenate(steps, axis=-2) for steps in ([*np.moveaxis(xs, -3, 0)], before[:-1], A))
        dxs = self._product(a, Wx.mT).reshape(xs.shape)
        dh0 = self._product(A[0], Wh.mT)
        dWx, dWh, db = self._product(x.mT, a), self._product(h_prev.mT, a), self._total(a.mT)
        if self.storage is not None:
            # As in an autograd engine, the gradient of each step is stored, and so is each sum of two.
            shares = [
                (self._product(x_t.mT, A_t), self._product(h_t.mT, A_t), self._total(A_t.mT))
                for x_t, h_t, A_t in zip(np.moveaxis(xs, -3, 0), before[:-1], A, strict=True)
            ]
            dWx, dWh, db = (
                reduce(lambda total, share: self._store(total + share), of) for of in zip(*shares, strict=True)
            )
        return Evaluation(np.stack(hs, -3), dxs, dh0, dWx, dWh, None if case.params.b is None else db)

    def _drive(self, case: Case, x: Array, h_prev: Array) -> Array:
        Wx, Wh, b, kept = case.params.Wx, case.params.Wh, case.params.b, self.kept and self.storage is not None
        bias = (
            [] if b is None else [self._store(b[..., None, :] / self.biases) + np.zeros_like(h_prev @ Wh)] * self.biases
        )
        if not self.fused:
            return self._total(np.stack([self._product(h_prev, Wh), self._product(x, Wx), *bias], axis=-1))
        if self.summation == "blas" and not self.narrow:
            product = np.concatenate([h_prev, x], axis=-1) @ np.concatenate([Wh, Wx], axis=-2)
            return (
                reduce(lambda total, part: total + part, bias, product)
                if kept
                else self._store(reduce(lambda total, part: self._partial(total + part), bias, product))
            )
        parts = [self._terms(h_prev, Wh), self._terms(x, Wx), *(part[..., None] for part in bias)]
        terms = np.concatenate(parts, axis=-1)
        return self._added(terms) if kept else self._total(terms)

    def _tanh(self, a: Array) -> Array:
        if not self.rough:
            return np.asarray(TANHS[self.tanh](a), a.dtype)
        miss = self.rough * np.finfo(a.dtype).eps / 2 * self.rng.choice([-1, 1], a.shape)  # of float32 or float64
        return np.asarray(np.tanh(a) * (1 + miss), a.dtype).clip(-1, 1)

    def _slope(self, g: Array, h: Array, a: Array, nonlinearity: str) -> Array:
        s = self._store
        if nonlinearity == "relu":
            return np.where(a > 0, g, 0 * g)
        if self.derivative == "g - g*h*h":
            return s(g - s(s(g * h) * h))
        if self.derivative == "(g + g*h)*(1-h)":
            return s(s(g + s(g * h)) * s(1 - h))
        # Computed in float64 and rounded, so that cosh is accurate on every machine.
        cosh = np.cosh(a.astype(np.float64)).astype(a.dtype)
        one = a.dtype.type(1)
        slopes = {"1 - h*h": one - s(h * h), "(1-h)*(1+h)": (one - h) * (one + h), "1/cosh(a)**2": one / s(cosh * cosh)}
        return s(g * s(slopes[self.derivative]))

    def _terms(self, p: Array, q: Array) -> Array:
        return self._partial(p[..., :, None, :] * q.mT[..., None, :, :])

    def _product(self, p: Array, q: Array) -> Array:
        return self._store(p @ q) if self.summation == "blas" and not self.narrow else self._total(self._terms(p, q))

    def _total(self, terms: Array) -> Array:
        """Add the last axis in a random order."""
        return self._store(self._added(terms))

    def _added(self, terms: Array) -> Array:
        if not terms.shape[-1]:
            return np.zeros(terms.shape[:-1], terms.dtype)
        if self.summation == "wide":
            return np.asarray(terms.sum(axis=-1, dtype=WIDER[terms.dtype.name]), terms.dtype)
        parts = self.rng.permutation(np.moveaxis(terms, -1, 0))
        if self.summation in ("ascending", "descending"):
            parts = np.take_along_axis(parts, np.argsort(np.abs(parts), axis=0), axis=0)
        if self.summation in ("lanes", "blocks"):
            count = min(4, len(parts)) if self.summation == "lanes" else -(-len(parts) // 8)
            parts = np.stack([self._in_turn(parts[k::count]) for k in range(count)])
        if self.summation == "tree":
            while len(parts) > 1:
                odd = parts[len(parts) - len(parts) % 2 :]
                parts = np.concatenate([self._partial(parts[:-1:2] + parts[1::2]), odd])
            return np.asarray(parts[0])
        return self._in_turn(parts[::-1] if self.summation in ("right", "descending") else parts)

    def _in_turn(self, parts: Array) -> Array:
        return reduce(lambda total, part: self._partial(total + part), parts)

    def _partial(self, array: Array) -> Array:
        return self._store(array) if self.narrow or self.storage is None else array

    def _store(self, array: Array) -> Array:
        if self.storage is not None:
            array = array.astype(self.storage).astype(np.float32)
        if not self.flush or self.storage == np.float16:
            return array
        return np.where(np.abs(array) < np.finfo(array.dtype).smallest_normal, 0 * array, array).astype(array.dtype)


def complex_step_evaluation(case: Case) -> Evaluation:
    """Return the forward, and every gradient of sum(upstream * h), computed from forwards only.

    dLoss/dw = imag(Loss(w + i * step)) / step       one copy of the case for each element w, all in one stack
    """
    weights = {name: case.fields()[name] for name in FIELDS if case.fields()[name] is not None}
    gradients = {}
    for name, array in weights.items():
        moved = {key: np.repeat(value[None].astype(complex), array.size, axis=0) for key, value in weights.items()}
        moved[name] += 1j * STEP * np.eye(array.size).reshape(array.size, *array.shape)
        loss = (_states(moved, case.nonlinearity) * case.upstream).sum(axis=(-3, -2, -1))
        gradients[FIELDS[name]] = (loss.imag / STEP).reshape(array.shape)
    hs = _states({name: array[None] for name, array in weights.items()}, case.nonlinearity)[0]
    return Evaluation(hs, **gradients)


def _states(fields: dict[str, Array], nonlinearity: str) -> Any:
    layer = TimeRNN(fields["Wx"], fields["Wh"], fields.get("b"), stateful=True, nonlinearity=nonlinearity)
    layer.set_state(fields["h0"])
    return layer.forward(fields["xs"])


def assert_within(actual: Evaluation, bounds: Evaluation) -> None:
    """Raise unless every element of every quantity is within its bound in ``bounds``."""
    # An implementation may leave out the c of every step.
    optional = {"cs"} if actual.cs is None else set()
    assert {*actual.present()} == {*bounds.present()} - optional
    for name, array in actual.fields().items():
        if array is None:
            continue
        bound = bounds.fields()[name].rounded()
        assert array.shape == bound.shape, f"{name}: expected shape {bound.shape}, got {array.shape}"
        # A ratio of NaN passes only if both numbers are NaN.
        ratio = np.abs(array.astype(np.float64) - bound.value) / np.maximum(bound.error, 5e-324)
        ratio = np.where(np.isnan(array) & np.isnan(bound.value), 0.0, np.where(np.isnan(ratio), np.inf, ratio))
        assert ratio.max(initial=0) <= 1, f"{name}: |error| is {ratio.max():.3g} x its bound at {ratio.argmax()}"


@pytest.fixture(scope="session")
def plain_rnn() -> type[PlainRNN]:
    return PlainRNN


@pytest.fixture(scope="session")
def complex_step() -> Callable[[Case], Evaluation]:
    return complex_step_evaluation


@pytest.fixture(scope="session")
def within() -> Callable[[Evaluation, Evaluation], None]:
    return assert_within


@pytest.fixture(scope="session")
def bounds_of() -> Callable[[Case], Evaluation]:
    return lambda case: enclose(case, PRECISIONS[case.dtype])
