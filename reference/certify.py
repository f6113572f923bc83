"""The verdict: hold an implementation's outputs to the bound, step by step from its own states."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from reference.archive import spell
from reference.case import Case, Evaluation
from reference.cells import RNN
from reference.rounding import Bounded, Precision
from reference.sequence import adjoints, evaluate_arrays, rows, steps

# A bound wider than this share of a value's scale says too little to count as a pass.
COARSEST = 0.1

# Field of an Evaluation: the name of one state, input or parameter's gradient in verdicts and tables.
QUANTITIES = {"hs": "h", "dxs": "dx", "dh0": "dh0", "dWx": "dWx", "dWh": "dWh", "db": "db"}


class Mismatch(AssertionError):
    """An implementation is outside its bounds, broke the contract, or the bounds say too little to tell.

    ``verdict`` is the judgement that it rests on; None where the contract was broken.
    """

    def __init__(self, message: str, verdict: Verdict | None = None) -> None:
        super().__init__(message)
        self.verdict = verdict


@dataclass(frozen=True, eq=False)
class Judged:
    """One quantity of one case or of a stack: what came, what was wanted, and the bound on the difference."""

    got: NDArray[Any]
    wanted: Bounded
    may_be_nan: NDArray[np.bool_] | bool  # where NaN is as good as the wanted number
    finite: bool  # whether all inputs were
    stacked: bool

    @property
    def want(self) -> NDArray[np.float64]:
        """What the oracle computes in float64 from the neighbouring values that came."""
        return self.wanted.value

    @property
    def bound(self) -> NDArray[np.float64]:
        """Bound on the distance from it."""
        return self.wanted.error

    @cached_property
    def ratio(self) -> NDArray[np.float64]:
        """|error| / bound of every element; infinite where NaN or infinity stands on one side only."""
        with np.errstate(invalid="ignore", divide="ignore", over="ignore"):
            error = np.abs(self.got.astype(np.float64) - self.want)
            ratio = np.where(error == 0, 0.0, error / self.bound)
        same = (self.got == self.want) | (np.isnan(self.got) & (np.isnan(self.want) | self.may_be_nan))
        ratio = np.where(np.isfinite(self.got) & np.isfinite(self.want), ratio, np.where(same, 0.0, np.inf))
        ratio = np.where(self._may_overflow, 0.0, ratio)
        return np.where(np.isnan(ratio), np.inf, ratio)

    @property
    def _may_overflow(self) -> NDArray[np.bool_]:
        """Where finite inputs lead beyond the format, and what came is what some order of summation makes of it.

        The positive terms of a sum amount to (scale + want) / 2, the negative ones to (scale - want) / 2: infinity of
        a sign is legitimate where the terms of that sign may exceed the largest number, NaN where both do.
        """
        largest = self.wanted.precision.largest
        with np.errstate(invalid="ignore", over="ignore"):
            plus = ~((self.wanted.scale + self.want) / 2 + self.bound <= largest)
            minus = ~((self.wanted.scale - self.want) / 2 + self.bound <= largest)
            unknown = ~np.isfinite(self.want + self.bound)
        infinite = np.where(np.isnan(self.got), plus & minus, np.where(self.got > 0, plus, minus))
        came = np.where(np.isfinite(self.got), unknown & (plus | minus), infinite)
        return np.asarray(came & self.finite)

    @cached_property
    def ratios(self) -> NDArray[np.float64]:
        """Largest ratio of every case; shape (K,), or (1,) for a single case."""
        return np.asarray(self._by_case(self.ratio).max(axis=1, initial=0.0))

    @cached_property
    def resolutions(self) -> NDArray[np.float64]:
        """Median over the elements of bound / scale, for every case.

        NaN and infinity in the inputs' wake are compared exactly; an overflow says nothing.
        """
        floor = self.wanted.precision.tiny / self.wanted.precision.u
        with np.errstate(invalid="ignore", over="ignore"):
            coarse = self.bound / np.maximum(self.wanted.scale, floor)
        coarse = np.where(np.isfinite(self.want) & ~np.isnan(coarse), coarse, np.inf if self.finite else 0.0)
        coarse = self._by_case(coarse)
        return np.median(coarse, axis=1) if coarse.shape[1] else np.zeros(len(coarse))

    def _by_case(self, array: NDArray[Any]) -> NDArray[Any]:
        K = array.shape[0] if self.stacked else 1
        return array.reshape(K, -1) if array.size else np.zeros((K, 0))

    @property
    def worst(self) -> Worst:
        """The element with the largest ratio, with its place; ratio 0 and no place if there is no element."""
        if not self.ratio.size:
            return Worst(0.0, (), np.nan, np.nan, np.nan, 0, 0)
        index = tuple(int(i) for i in np.unravel_index(np.argmax(self.ratio), self.ratio.shape))
        got, want, bound = (float(array[index]) for array in (self.got, self.want, self.bound))
        exceeding = int((self.ratio > 1).sum())
        return Worst(float(self.ratio[index]), index, got, want, bound, exceeding, self.ratio.size)


@dataclass(frozen=True)
class Worst:
    """The worst element of a quantity, and how many elements are outside their bounds."""

    ratio: float
    index: tuple[int, ...]
    got: float
    want: float
    bound: float
    exceeding: int
    size: int


@dataclass(frozen=True, eq=False)
class Verdict:
    """What ``certify`` found, per quantity (h, dx, dh0, dWx, dWh, db; only those that were offered)."""

    case: Case
    evaluation: Evaluation
    precision: Precision
    judged: dict[str, Judged]

    @cached_property
    def worst(self) -> dict[str, Worst]:
        """The worst element of each quantity: ratio, index, got, want, bound."""
        return {name: quantity.worst for name, quantity in self.judged.items()}

    @cached_property
    def statuses(self) -> list[str]:
        """Give "pass", "fail" or "inconclusive" for every case; one entry for a single case."""
        ratios = np.stack([quantity.ratios for quantity in self.judged.values()])
        resolutions = np.stack([quantity.resolutions for quantity in self.judged.values()])
        found = np.where(resolutions.max(axis=0) > COARSEST, "inconclusive", "pass")
        return [str(status) for status in np.where(ratios.max(axis=0) > 1, "fail", found)]

    @property
    def status(self) -> str:
        """Give "fail" if any case failed, else "inconclusive" if any was, else "pass"."""
        return min(self.statuses, key=["fail", "inconclusive", "pass"].index)

    @property
    def resolution(self) -> dict[str, float]:
        """Median of bound / scale per quantity: how fine a difference it can tell."""
        return {name: float(np.median(quantity.resolutions)) for name, quantity in self.judged.items()}

    def of(self, k: int) -> Verdict:
        """Return the verdict on case ``k`` of a stack alone."""
        return certify(self.case[k], self.evaluation[k], self.precision)

    def require(self, subject: str = "") -> None:
        """Return only if every case passed.

        Args:
            subject: name put before the account, such as the adapter's.

        Raises:
            Mismatch: with the readable account.
        """
        if self.status != "pass":
            raise Mismatch(f"{subject} {self}".strip(), self)

    def __str__(self) -> str:
        sizes = spell(self.case.sizes)
        failing = [self._describe(name, worst) for name, worst in self.worst.items() if worst.ratio > 1]
        if failing:
            return "\n".join(failing)
        if self.status == "inconclusive":
            coarsest = {name: float(quantity.resolutions.max()) for name, quantity in self.judged.items()}
            name, coarse = max(coarsest.items(), key=lambda item: item[1])
            where = f"{self.precision.name} {name}: inconclusive, the bound is {coarse:.2g} x the value's scale"
            return f"{where} ({sizes})"
        name, worst = max(self.worst.items(), key=lambda item: item[1].ratio)
        return f"{self.precision.name}: pass, largest |error| / bound {worst.ratio:.2g} in {name} ({sizes})"

    def _describe(self, name: str, worst: Worst) -> str:
        digits = 17 if self.precision.u < 1e-10 else 9
        got, want = f"{worst.got:.{digits}g}", f"{worst.want:.{digits}g}"
        error = abs(worst.got - worst.want)
        return (
            f"{self.precision.name} {name}{list(worst.index)}: got {got}, want {want}\n"
            f"|error| {error:.3g} is {worst.ratio:.3g} x its bound {worst.bound:.3g}; "
            f"{worst.exceeding} of {worst.size} elements exceed theirs ({spell(self.case.sizes)})"
        )


def certify(case: Case, evaluation: Evaluation, precision: Precision) -> Verdict:
    """Judge an evaluation of a case, or of a stack, against what correct arithmetic in ``precision`` may return.

    Each step is held to one step of the oracle taken from the evaluation's own neighbouring values, so that errors
    do not pile up over time and the bound at T = 1000 is the bound of one step:

        h[t]   from h[t-1]                    A[t] from A[t+1] and h[t]      (A: the last H columns of dx, by the probe)
        dx[t], dh0 from A[t], A[0]            dWx, dWh, db from all x, h, A, in any order of summation

    If every local relation holds, the whole run is right. Without a probe, A comes from the bounded recursion over
    the steps, which is as good for T = 1 and soon says nothing for more.

    Args:
        case: one case or a stack, probed or not, of the dtype that ``precision`` names.
        evaluation: what the implementation returned for this very case; hs is needed, a gradient may be None.
        precision: the model of the arithmetic, with the implementation's accuracy of tanh.

    Returns:
        The verdict: "fail" if an element is outside its bound or not finite where the oracle is; else
        "inconclusive" if for some quantity the median bound is wider than a tenth of the value's scale, as it is
        where finite inputs lead beyond the largest number of the format; else "pass".

    Raises:
        TypeError: the case or the evaluation is of another dtype than ``precision`` names.
        ValueError: an array of the evaluation is missing or of the wrong shape, or the stack is empty.

    Source: derived in the README, section "A thousand steps, checked at the accuracy of one".
    """
    if case.dtype != precision.name:
        raise TypeError(f"certify: expected a case of dtype {precision.name}, got {case.dtype} ({spell(case.sizes)})")
    if case.K == 0:
        raise ValueError(f"certify: expected at least one case, got a stack of 0 ({spell(case.sizes)})")
    got = _expect_fields(case, evaluation)
    with np.errstate(all="ignore"):
        want = _step_by_step(case, evaluation, precision)
    judged = {}
    for field, name in QUANTITIES.items():
        if field in got:
            beside_nan = field == "dxs" and _beside_nan(case, want[field])
            judged[name] = Judged(got[field], want[field].sealed(), beside_nan, case.finite, case.K is not None)
    return Verdict(case, evaluation, precision, judged)


def enclose(case: Case, precision: Precision) -> Evaluation:
    """Bound what correct arithmetic may return for a whole run, from its inputs alone.

    Unlike in ``certify`` errors pile up over the steps, so that it says much for a few and little for many; but it
    needs nothing that an implementation returned.

    Args:
        case: one case or a stack.
        precision: the model of the arithmetic.

    Returns:
        The evaluation, each field a ``Bounded``: the oracle's values and bounds on the distance from them.
    """
    arrays = (case.xs, case.h0, *case.params.for_cell(), case.upstream)
    *inputs, upstream = (None if array is None else Bounded.exact(array, precision) for array in arrays)
    with np.errstate(all="ignore"):
        return evaluate_arrays(*inputs, upstream=upstream, f=case.nonlinearity)


def _expect_fields(case: Case, evaluation: Evaluation) -> dict[str, NDArray[Any]]:
    """Return the offered arrays by field, held to the shapes and the dtype of the case."""
    like = {"hs": case.upstream, "dxs": case.xs, "dh0": case.h0}
    like |= {f"d{name}": array for name, array in case.params.fields().items() if array is not None}
    sizes = spell(case.sizes)
    if evaluation.hs is None:
        raise ValueError(f"certify: expected hs of shape {case.upstream.shape}, got None ({sizes})")
    got = {name: array for name, array in evaluation.fields().items() if array is not None}
    for name, array in got.items():
        if name not in like:
            raise ValueError(f"certify: expected no {name} for a cell without bias, got {np.shape(array)} ({sizes})")
        if not isinstance(array, np.ndarray) or array.dtype != case.xs.dtype:
            kind = array.dtype if isinstance(array, np.ndarray) else type(array).__name__
            raise TypeError(f"certify: expected {name} as an array of {case.dtype}, got {kind} ({sizes})")
        if array.shape != like[name].shape:
            raise ValueError(f"certify: expected {name} of shape {like[name].shape}, got {array.shape} ({sizes})")
    return got


def _step_by_step(case: Case, evaluation: Evaluation, precision: Precision) -> dict[str, Bounded]:
    """Return each quantity with its bound, from the evaluation's own states: all T * N rows are one batch."""
    plain = case.unprobed()
    T, N, D = (plain.sizes[name] for name in "TND")
    Wx, Wh, b = (None if array is None else Bounded.exact(array, precision) for array in plain.params.for_cell())
    cell = RNN(Wx, Wh, b, plain.nonlinearity)
    before = np.concatenate([plain.h0[..., None, :, :], evaluation.hs], axis=-3)[..., :-1, :, :]
    x, h_prev = Bounded.exact(rows(plain.xs), precision), Bounded.observed(rows(before), precision)
    want = {"hs": steps(cell.forward(x, h_prev), T, N)}

    h = Bounded.activated(evaluation.hs, precision, plain.nonlinearity)
    upstream = Bounded.exact(plain.upstream, precision)
    if case.is_probed and evaluation.dxs is not None:
        A = Bounded.observed(evaluation.dxs[..., D:], precision)
        later = steps(cell.to_state(rows(A[..., 1:, :, :])), max(T - 1, 0), N)
        dh = np.concatenate([upstream[..., :-1, :, :] + later, upstream[..., -1:, :, :]], axis=-3)
        probe = [cell.adjoint(dh, h)]
    else:
        A, probe = adjoints(cell, h, upstream), []
    want["dxs"] = np.concatenate([steps(cell.to_inputs(rows(A)), T, N), *probe], axis=-1)
    want["dh0"] = cell.to_state(A[..., 0, :, :]) if T else np.zeros_like(Bounded.exact(plain.h0, precision))
    # With the probe's columns of x, all zero: the probe's rows of dWx are held to exactly that.
    x = Bounded.exact(rows(case.xs), precision)
    want["dWx"], want["dWh"], *db = cell.to_params(rows(A), x, h_prev)
    want |= zip(["db"], (gradient.reshape(case.h0.shape[:-2] + case.h0.shape[-1:]) for gradient in db), strict=False)
    return want


def _beside_nan(case: Case, dxs: Bounded) -> NDArray[np.bool_]:
    """Return where dx may be NaN beside one: in the probe's columns of a row of A, since 0 * NaN is NaN."""
    A = np.arange(case.sizes["D"]) >= case.unprobed().sizes["D"]
    broken = ~np.isfinite(dxs.value) & A
    return np.asarray(broken.any(axis=-1, keepdims=True) & A)
