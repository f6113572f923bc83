"""The bounds of a run, step by step: what each value may be, given its neighbours as they were returned."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray

from reference.case import Case
from reference.cells import RNN, Array
from reference.evaluation import Evaluation
from reference.precision import Precision
from reference.rounding import POINTWISE, Bounded, Values
from reference.sequence import adjoints, lift, rows, steps, unpacked
from reference.tangent import Dual, value_of

# Elements of an array of a block: what is computed of a block one after the other stays in the cache of a core.
BLOCK = 2**15


def bounds(case: Case, evaluation: Evaluation, precision: Precision) -> Iterator[tuple[slice, dict[str, Bounded]]]:
    """Give each quantity of an evaluation with its bound: of a block of steps after the other, then those of the run.

    Args:
        case: one case or a stack.
        evaluation: what an implementation returned; of the shapes and the dtype of the case.
        precision: the model of its arithmetic.

    Returns:
        Blocks of steps, and bounded arrays, sealed, by field of an ``Evaluation``.
    """
    with np.errstate(all="ignore"):
        run = _Run(case, evaluation, precision)
    for block in run.blocks():
        with np.errstate(all="ignore"):
            want = _sealed(run.bound(block))
        yield block, want
    with np.errstate(all="ignore"):
        want = _sealed(run.sums())
    yield slice(0, 0), want


def _sealed(want: dict[str, Bounded]) -> dict[str, Bounded]:
    return {name: array.sealed() for name, array in want.items()}


class _Run:
    """An evaluation of which each step is bounded from its neighbours; what a block needs of those before is kept."""

    def __init__(self, case: Case, evaluation: Evaluation, precision: Precision) -> None:
        self.plain, self.seen, self.precision = case.unprobed(), evaluation, precision
        self.T, self.N, self.D, self.H = self.plain.sizes.values()
        self.f, self.is_probed = case.nonlinearity, case.is_probed
        self.moves = evaluation.hs_dot is not None
        self.goes_back = any(name[0] == "d" and array is not None for name, array in evaluation.fields().items())
        self.moves_back = self.moves and evaluation.dxs_dot is not None
        self.sees_A = case.is_probed and evaluation.dxs is not None
        # With one unit the product with Wh is no more than a factor, and a loop that a compiler fuses goes through all
        # steps. Where sums are wider, that of dx has A as it is returned, and any other may not have rounded it at all.
        alone = "steps" in precision.recomputes and self.H == 1
        self.chained, self.apart = alone and self.moves_back and not precision.is_mixed, alone and precision.is_mixed
        self.back = self._cell(precision, self.moves_back)
        # The sum that moves has twice the products.
        self.ahead = self._cell(precision.storing(2), True) if self.moves else self.back
        # Where the accumulator is wider than the storage, frameworks still add the steps' shares up in storage.
        self.over_steps = precision.storing(2 * self.T if self.moves_back else self.T)
        self.gates = self._gates("dxs", "dxs_dot")
        self.gates_ahead = self._gates("hs_dot")
        self.reached = _reached(self.plain, self.gates) if self.sees_A else np.zeros((0, 0, 0), np.bool_)
        self.zeros: dict[str, Values] = {}
        self.dh0: Array = None
        self.gradients: list[Array] = []

    def _lift(self, model: Precision, moves: bool, *only: str, of: slice = slice(0)) -> list[Array]:
        lifted = lift(self.plain, lambda array: Bounded.exact(array, model), moves=moves, only=only, of=of)
        return [lifted[name] for name in only]

    def _cell(self, model: Precision, moves: bool) -> RNN:
        Wx, Wh, b = self._lift(model, moves, "Wx", "Wh", "b")
        return RNN(Wx, Wh, b, self.f)

    def blocks(self) -> Iterator[slice]:
        """Give blocks of the steps, one at least; all are one where A, or how it moves, is taken from step to step."""
        step = max(self.plain.xs.size, self.plain.upstream.size) // max(1, self.T)
        length = max(1, BLOCK // max(1, step))
        if self.goes_back and (self.moves_back or not self.sees_A or self.apart):
            length = max(1, self.T)
        for start in range(0, max(1, self.T), length):
            yield slice(start, min(start + length, self.T))

    def bound(self, block: slice) -> dict[str, Bounded]:
        """Return the bounds of a block; the next has to be the one after it."""
        before = self._before(block)
        want = self._forward(block, before)
        return want | self._backward(block, before, want) if self.goes_back else want

    def _before(self, block: slice) -> Array:
        """Return the state before each step, as observed: h0 and all states but the last."""
        of = slice(max(block.start - 1, 0), max(block.stop - 1, 0))
        hs: Array = Bounded.observed(self.seen.hs[..., of, :, :], self.precision)
        if self.moves:
            hs = Dual(hs, Bounded.observed(self.seen.hs_dot[..., of, :, :], self.precision))
        if block.start or not self.T:
            return hs
        (h0,) = self._lift(self.precision, self.moves, "h0")
        return np.concatenate([h0[..., None, :, :], hs], axis=-3)

    def _gates(self, *fields: str) -> NDArray[Any]:
        """Return the states as the derivative sees them through which these gradients came.

        Under a wider accumulator relu may be open where it returned zero, for a sum that underflows in storage; where
        a gradient came through, it was.
        """
        hs: NDArray[Any] = self.seen.hs
        if self.f != "relu" or not self.precision.is_mixed:
            return hs
        came = np.zeros(hs.shape, np.bool_)
        for name in fields:
            seen = getattr(self.seen, name)
            if seen is not None and (name == "hs_dot" or self.is_probed):
                came |= seen[..., -self.H :] != 0
        hidden = came & (hs == 0)
        if not hidden.any():
            return hs
        return np.asarray(np.where(hidden & self._underflow(), np.asarray(self.precision.floor, hs.dtype), hs))

    def _underflow(self) -> NDArray[np.bool_]:
        """Return which sums, if relu returned zero for them, may have been positive and underflow in storage.

        One that is just zero is none, for relu has its kink there, unless a state that underflowed is in it.
        """
        blocks = [(block, self._sums(block, self._before(block))) for block in self.blocks()]
        sums = [steps(value_of(a), block.stop - block.start, self.N) for block, a in blocks]
        a: Bounded = np.concatenate(sums, axis=-3)  # type: ignore[assignment]
        lost = ((self.seen.hs == 0) & (a.value + a.error > 0)).any(axis=-1, keepdims=True)
        lost_before = np.concatenate([np.zeros_like(lost[..., :1, :, :]), lost[..., :-1, :, :]], axis=-3)
        near = np.abs(a.value) < a.error + self.precision.underflow
        return np.asarray(near & ((a.value != 0) | lost_before))

    def _sums(self, block: slice, before: Array) -> Array:
        """Return the sums inside the cell, and how they move, each from the state before it."""
        cell, model = self.ahead, value_of(self.ahead.params[0]).precision
        (xs,) = self._lift(model, self.moves, "xs", of=block)
        return cell.activate(cell.drive(rows(xs)), rows(before.under(model)))

    def _forward(self, block: slice, before: Array) -> dict[str, Bounded]:
        """Return the states, and how they move, each from the ones before it."""
        cell, a, T = self.ahead, self._sums(block, before), block.stop - block.start
        want = {"hs": steps(cell.f(value_of(a)), T, self.N)}
        if self.moves:
            h = Bounded.activated(rows(self.gates_ahead[..., block, :, :]), self.precision, self.f)
            want["hs_dot"] = steps(cell.adjoint(a.tangent, h), T, self.N)
        return want

    def _backward(self, block: slice, before: Array, want: dict[str, Bounded]) -> dict[str, Bounded]:
        """Return the gradients of the inputs, each from A of the step after it; add up those of the parameters."""
        cell, T = self.back, block.stop - block.start
        xs, upstream = self._lift(self.precision, self.moves_back, "xs", "upstream", of=block)
        h: Array = self._activated(block, want)
        if self.moves_back:
            h = self._moving(h, want["hs_dot"])
        if self.sees_A:
            A = self._adjoints_seen(block)
            if self.moves_back or "gradients" in self.precision.recomputes:
                A = self._as_taken_anew(A, h, upstream, block.stop)
            probe = [self._one_step_back(A, h, upstream)]
            A = A[..., :T, :, :]
            if not (self.plain.finite or self.moves_back):
                # The probe spreads NaN over a row, for 0 * NaN is NaN: what else is there is what one step back gives.
                A = _where(np.isnan(A.value) & np.isfinite(probe[0].value), probe[0].sealed(), A)
        else:
            A, probe = adjoints(cell, h, upstream), []
        elsewhere = A.known_to(adjoints(cell, h, upstream)) if self.apart else A
        if block.start == 0:
            (h0,) = self._lift(self.precision, self.moves_back, "h0")
            self.dh0 = cell.to_state(elsewhere[..., 0, :, :]) if T else np.zeros_like(h0)
        # The probe's columns of x are zero: one stands for all.
        columns = [xs, np.zeros_like(upstream[..., :1])] if self.is_probed else [xs]
        arrays = elsewhere, np.concatenate(columns, axis=-1), self._known(before, want)
        gradients = cell.to_params(*(rows(array).under(self.over_steps) for array in arrays))
        self.gradients = [p + q for p, q in zip(self.gradients, gradients, strict=True)] if block.start else gradients
        dxs = np.concatenate([steps(cell.to_inputs(rows(A)), T, self.N), *probe], axis=-1)
        return given(Evaluation(None, dxs))

    def sums(self) -> dict[str, Bounded]:
        """Return the gradients that rest on all steps; none before the last block."""
        if not self.goes_back:
            return {}
        dWx, dWh, *db = self.gradients
        if self.is_probed:
            dWx = dWx[..., [*range(self.D), *[self.D] * self.H], :]
        flat = [gradient.reshape((*self.dh0.shape[:-2], self.H)) for gradient in db]
        return given(Evaluation(None, None, self.dh0, dWx, dWh, *flat))

    def _one_step_back(self, A: Array, h: Array, upstream: Array) -> Array:
        """Return what A is by one step back from the A of the step after it; A may have one step more than h."""
        later = self.back.to_state(rows(A[..., 1:, :, :]))
        many = max(A.shape[-3] - 1, 0)
        dh = upstream[..., :many, :, :] + steps(later, many, self.N)
        # After the last step of the run there is none.
        dh = np.concatenate([dh, upstream[..., many:, :, :]], axis=-3)
        return self.back.adjoint(dh, h)

    def _activated(self, of: slice, want: dict[str, Bounded]) -> Bounded:
        """Return the states of some steps as their derivative sees them."""
        anew = want["hs"] if "states" in self.precision.recomputes else None
        return Bounded.activated(self.gates[..., of, :, :], self.precision, self.f, anew)

    def _as_taken_anew(self, A: Array, h: Array, upstream: Array, next_step: int) -> Array:
        """Return A as observed, but known to its own bound: it may be taken anew, with other roundings, and cancels.

        So may a second derivative be, wherever it is used. And of two loops that a compiler fuses, one may keep what
        the other rounds to the storage: of 1 - h * h, where h is near 1, that is most of it.
        """
        own = adjoints(self.back, h, upstream) if self.chained else self._one_step_back(A, h, upstream)
        if self.moves_back:
            known = A.known_to(own)
            return known if "gradients" in self.precision.recomputes else Dual(A.value, known.tangent)
        if A.shape[-3] > h.shape[-3]:
            of = slice(next_step, next_step + 1)
            later = self._activated(of, self._forward(of, self._before(of)))
            (above,) = self._lift(self.precision, False, "upstream", of=of)
            own = np.concatenate([own, self._one_step_back(self._adjoints_seen(of), later, above)], axis=-3)
        return A.known_to(own)

    def _moving(self, h: Bounded, hs_dot: Bounded) -> Dual:
        """Return the states with how they move, as second derivatives see them.

        Whoever differentiates twice may take the derivative of a state anew, as well as one that was returned. And
        tanh's slope in its form (1 - h) * (1 + h) moves by (1 - h) * h_dot - (1 + h) * h_dot, two terms that cancel:
        their seven roundings are relative to 2 * h_dot, as an h that is off by so many makes it, not to 2 * h * h_dot.
        """
        model = h.precision
        moved = Bounded.observed(self.seen.hs_dot, model)
        slope = h if self.f == "relu" else Bounded(h.value, model, h.error + (POINTWISE + 1) * model.u, 1.0)
        return Dual(slope, moved.known_to(hs_dot))

    def _adjoints_seen(self, block: slice) -> Array:
        """Return the gradients at a as observed, of a block and of the step after it.

        What no upstream gradient reaches, or relu does not let through, is zero, and not a number that underflowed.
        """
        of = slice(block.start, block.stop + 1)
        open_, upstream = _open(self.gates[..., of, :, :], self.f), self.plain.upstream[..., of, :, :]
        # A later step's gradient reaches all units, a step's own the units it is for.
        own, later = upstream != 0, self.reached[..., block.start + 1 : block.stop + 2, :, :]
        shut = ~((own | later) & open_)
        fields = ("dxs", "dxs_dot") if self.moves_back else ("dxs",)
        parts = [Bounded.observed(getattr(self.seen, name)[..., of, :, self.D :], self.precision) for name in fields]
        for part in parts:
            part.sure_of(shut)
        return Dual(*parts) if self.moves_back else parts[0]

    def _known(self, before: Array, want: dict[str, Bounded]) -> Array:
        """Return the states before each step; where just zero was wanted, it is that: a closed relu's."""
        parts = {"hs": value_of(before)}
        if self.moves_back:
            parts["hs_dot"] = before.tangent
        for name, part in parts.items():
            zero = (want[name].value == 0) & (want[name].error == 0)
            # Of h0 nothing is wanted.
            first = self.zeros.get(name, np.zeros_like(zero[..., :1, :, :]))
            self.zeros[name] = zero[..., -1:, :, :]
            zero = np.concatenate([first, zero[..., :-1, :, :]], axis=-3)
            part.sure_of(zero)
        return Dual(*parts.values()) if self.moves_back else parts["hs"]


def given(evaluation: Evaluation) -> dict[str, Bounded]:
    """Return the fields of an evaluation that are there, dual ones in two."""
    return {name: array for name, array in unpacked(evaluation).fields().items() if array is not None}


def _where(there: NDArray[np.bool_], one: Bounded, other: Bounded) -> Bounded:
    """Return one array where it is said so, and the other elsewhere."""
    return Bounded(np.where(there, one.value, other.value), other.precision, np.where(there, one.error, other.error))


def _reached(case: Case, hs: NDArray[Any]) -> NDArray[np.bool_]:
    """Return which rows an upstream gradient reaches from a step or a later one; shape (..., T + 1, N, 1).

    On its way back, the gradient of a row gets as far as the next step at which no unit of it is open.
    """
    open_ = _open(hs, case.nonlinearity)
    own = ((case.upstream != 0) & open_).any(axis=-1, keepdims=True)
    reached = _next(own) < _next(np.asarray(~open_.any(axis=-1, keepdims=True)))
    return np.concatenate([reached, np.zeros_like(reached[..., :1, :, :])], axis=-3)


def _open(hs: NDArray[Any], nonlinearity: str) -> NDArray[np.bool_]:
    """Return which units let a gradient through: all but a closed relu's."""
    return np.asarray((hs != 0) | (nonlinearity != "relu"))


def _next(flags: NDArray[np.bool_]) -> NDArray[np.intp]:
    """Return, for every step, the first from it on that has the flag, T if none has; flags (..., T, N, 1)."""
    T = flags.shape[-3]
    found = np.where(flags, np.arange(T)[:, None, None], T)
    return np.minimum.accumulate(found[..., ::-1, :, :], axis=-3)[..., ::-1, :, :]
