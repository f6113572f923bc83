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
from reference.sequence import adjoints, rows, steps

# A bound wider than this share of a value's scale says too little to count as a pass.
COARSEST = 0.1

# Field of an Evaluation: the name of one state, input or parameter's gradient in verdicts and tables.
QUANTITIES = {"hs": "h", "dxs": "dx", "dh0": "dh0", "dWx": "dWx", "dWh": "dWh", "db": "db"}


class Mismatch(AssertionError):
    """An implementation is outside its bounds, or the bounds say too little to tell."""


@dataclass(frozen=True, eq=False)
class Judged:
    """One quantity of one case or of a stack: what came, what was wanted, and the bound on the difference."""

    got: NDArray[Any]
    want: NDArray[np.float64]
    bound: NDArray[np.float64]
    precision: Precision
    stacked: bool

    @cached_property
    def ratio(self) -> NDArray[np.float64]:
        """|error| / bound of every element; infinite where NaN or infinity stands on one side only."""
        with np.errstate(invalid="ignore", divide="ignore", over="ignore"):
            error = np.abs(self.got.astype(np.float64) - self.want)
            ratio = np.where(error == 0, 0.0, error / self.bound)
        same = (self.got == self.want) | (np.isnan(self.got) & np.isnan(self.want)) | self._overflows
        ratio = np.where(np.isfinite(self.got) & np.isfinite(self.want), ratio, np.where(same, 0.0, np.inf))
        return np.where(np.isnan(ratio), np.inf, ratio)

    @property
    def _overflows(self) -> NDArray[np.bool_]:
        """Where an infinity is what the format makes of a number that is, or may be, too large for it."""
        beyond = np.abs(self.want) + self.bound > self.precision.largest
        same_sign = np.sign(self.got) == np.sign(self.want)
        return np.asarray(beyond & np.isinf(self.got) & same_sign)

    @cached_property
    def ratios(self) -> NDArray[np.float64]:
        """Largest ratio of every case; shape (K,), or (1,) for a single case."""
        return np.asarray(self._by_case(self.ratio).max(axis=1, initial=0.0))

    @cached_property
    def resolutions(self) -> NDArray[np.float64]:
        """Median over the elements of bound / scale, for every case; the scale of an element is its row's largest."""
        floor = self.precision.tiny / self.precision.u
        with np.errstate(invalid="ignore", over="ignore"):
            scale = np.maximum(np.abs(self.want).max(axis=-1, keepdims=True, initial=0.0), floor)
            coarse = self._by_case(np.where(np.isnan(self.bound / scale), np.inf, self.bound / scale))
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

    precision: Precision
    judged: dict[str, Judged]
    sizes: dict[str, int]

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

    def require(self, subject: str = "") -> None:
        """Return only if every case passed.

        Args:
            subject: name put before the account, such as the adapter's.

        Raises:
            Mismatch: with the readable account.
        """
        if self.status != "pass":
            raise Mismatch(f"{subject} {self}".strip())

    def __str__(self) -> str:
        failing = [self._describe(name, worst) for name, worst in self.worst.items() if worst.ratio > 1]
        if failing:
            return "\n".join(failing)
        if self.status == "inconclusive":
            name, coarse = max(self.resolution.items(), key=lambda item: item[1])
            where = f"{self.precision.name} {name}: inconclusive, the bound is {coarse:.2g} x the value's scale"
            return f"{where} ({spell(self.sizes)})"
        name, worst = max(self.worst.items(), key=lambda item: item[1].ratio)
        return f"{self.precision.name}: pass, largest |error| / bound {worst.ratio:.2g} in {name} ({spell(self.sizes)})"

    def _describe(self, name: str, worst: Worst) -> str:
        digits = 17 if self.precision.u < 1e-10 else 9
        got, want = f"{worst.got:.{digits}g}", f"{worst.want:.{digits}g}"
        error = abs(worst.got - worst.want)
        return (
            f"{self.precision.name} {name}{list(worst.index)}: got {got}, want {want}\n"
            f"|error| {error:.3g} is {worst.ratio:.3g} x its bound {worst.bound:.3g}; "
            f"{worst.exceeding} of {worst.size} elements exceed theirs ({spell(self.sizes)})"
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
        "inconclusive" if for some quantity the median bound is wider than a tenth of the value's scale; else "pass".

    Raises:
        TypeError: the case or the evaluation is of another dtype than ``precision`` names.
        ValueError: an array of the evaluation is missing or of the wrong shape.

    Source: derived in the README, section "A thousand steps, checked at the accuracy of one".
    """
    if case.dtype != precision.name:
        raise TypeError(f"certify: expected a case of dtype {precision.name}, got {case.dtype} ({spell(case.sizes)})")
    got = _expect_fields(case, evaluation)
    want = _step_by_step(case, evaluation, precision)
    judged = {
        name: Judged(got[field], bounded.value, bounded.error, precision, case.K is not None)
        for field, name in QUANTITIES.items()
        if field in got
        for bounded in [want[field].sealed()]
    }
    return Verdict(precision, judged, case.sizes)


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
