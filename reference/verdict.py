"""The verdict on an evaluation: which elements are outside their bounds, where the worst is, and what it looks like."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from reference.arithmetic import computed_as_if
from reference.case import Case
from reference.evaluation import Evaluation
from reference.precision import Precision
from reference.rounding import Bounded

# Field of an Evaluation: the name of one state, input or parameter's gradient in verdicts and tables.
QUANTITIES = {"hs": "h", "dxs": "dx", "dh0": "dh0", "dWx": "dWx", "dWh": "dWh", "db": "db"}
GRADIENTS = tuple(QUANTITIES.values())
# The same along the direction of the case: J v, forward mode, and H v, the second derivatives.
QUANTITIES |= {f"{field}_dot": f"{'jvp' if field == 'hs' else 'hvp'} {name}" for field, name in QUANTITIES.items()}


class Mismatch(AssertionError):
    """An implementation is outside its bounds, broke the contract, or the bounds say too little to tell.

    ``verdict`` is the judgement that it rests on; None where the contract was broken.
    """

    def __init__(self, message: str, verdict: Verdict | None = None) -> None:
        super().__init__(message)
        self.verdict = verdict


@dataclass(frozen=True, eq=False, repr=False)
class Judged:
    """One quantity of one case or of a stack: what came, what was wanted, and the bound on the difference."""

    got: NDArray[Any]
    wanted: Bounded
    may_be_nan: NDArray[np.bool_] | bool  # where NaN is as good as the wanted number
    untold: NDArray[np.bool_] | bool  # where anything is as good; broadcasts
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
            error = np.abs(self.got - self.want)
            ratio = np.where(error == 0, 0.0, error / self.bound)
        # The usual case, which takes a third of the time.
        if np.isfinite(ratio).all() and self.finite:
            return ratio
        same = (self.got == self.want) | (np.isnan(self.got) & (np.isnan(self.want) | self.may_be_nan))
        ratio = np.where(np.isfinite(self.got) & np.isfinite(self.want), ratio, np.where(same, 0.0, np.inf))
        ratio = np.where(self._may_overflow | self.untold, 0.0, ratio)
        return np.where(np.isnan(ratio), np.inf, ratio)

    @property
    def _may_overflow(self) -> NDArray[np.bool_] | np.bool_:
        """Where finite inputs lead beyond the format, and what came is what some order of summation makes of it.

        The positive terms of a sum amount to (scale + want) / 2, the negative ones to (scale - want) / 2: infinity of
        a sign is legitimate where the terms of that sign may exceed the largest number, NaN where both do.
        """
        largest = self.wanted.precision.largest
        with np.errstate(invalid="ignore", over="ignore"):
            if np.all((self.wanted.scale + np.abs(self.want)) / 2 + self.bound <= largest):
                return np.False_
            plus = ~((self.wanted.scale + self.want) / 2 + self.bound <= largest)
            minus = ~((self.wanted.scale - self.want) / 2 + self.bound <= largest)
            unknown = ~np.isfinite(self.want + self.bound)
        infinite = np.where(np.isnan(self.got), plus & minus, np.where(self.got > 0, plus, minus))
        came = np.where(np.isfinite(self.got), unknown & (plus | minus), infinite)
        return np.asarray(came & self.finite)

    def worst(self, start: int = 0) -> Worst:
        """Return the element with the largest ratio, with its place; ``start`` is the number of the first step."""
        index = [int(i) for i in np.unravel_index(np.argmax(self.ratio), self.ratio.shape)]
        got, want, bound, ratio = (float(a[tuple(index)]) for a in (self.got, self.want, self.bound, self.ratio))
        if start:
            index[-3] += start
        return Worst(ratio, tuple(index), got, want, bound, int((self.ratio > 1).sum()), self.ratio.size)

    @property
    def coarse(self) -> NDArray[np.float64]:
        """Bound / scale of every element.

        NaN and infinity in the inputs' wake are compared exactly; an overflow says nothing.
        """
        floor = self.wanted.precision.floor
        with np.errstate(invalid="ignore", over="ignore"):
            coarse = self.bound / np.maximum(self.wanted.scale, floor)
        # Nothing but zeros, and what was lost in them, adds up to a zero that is told from all that does not underflow.
        zero = self.want == 0
        if zero.any():
            coarse[zero & (np.maximum(self.wanted.scale, self.bound) <= floor)] = 0.0
        if not (self.finite and np.isfinite(coarse).all()):
            coarse = np.where(np.isfinite(self.want) & ~np.isnan(coarse), coarse, np.inf if self.finite else 0.0)
        return np.where(self.untold, 0.0, coarse) if np.any(self.untold) else coarse

    def by_case(self, array: NDArray[Any]) -> NDArray[Any]:
        """Return an array of the elements with one row for each case."""
        K = self.got.shape[0] if self.stacked else 1
        return array.reshape(K, -1) if array.size else np.zeros((K, 0))

    @classmethod
    def joined(cls, parts: Sequence[Self]) -> Self:
        """Return the blocks of steps of one quantity as one."""
        if len(parts) == 1:
            return parts[0]
        got, may_be_nan, untold = (
            np.concatenate([np.broadcast_to(getattr(part, name), part.got.shape) for part in parts], axis=-3)
            for name in ("got", "may_be_nan", "untold")
        )
        wanted: Any = np.concatenate([part.wanted for part in parts], axis=-3)
        return cls(got, wanted, may_be_nan, untold, parts[0].finite, parts[0].stacked)


class Tally:
    """What is kept of one quantity of a case or a stack, whose elements are judged a block of steps after the other.

    Args:
        array: the quantity.
        K: number of cases; None for a single one.
    """

    def __init__(self, array: NDArray[Any], K: int | None) -> None:
        self.worst = Worst(0.0, (), np.nan, np.nan, np.nan, 0, 0)
        # Largest ratio of every case; shape (K,), or (1,) for a single case.
        self.ratios = np.zeros(1 if K is None else K)
        self._coarse = np.zeros((len(self.ratios), array.size // len(self.ratios)))
        self._filled = 0

    def add(self, judged: Judged, start: int) -> None:
        """Count the elements of some steps, of which ``start`` is the first."""
        if not judged.got.size:
            return
        self.ratios = np.maximum(self.ratios, judged.by_case(judged.ratio).max(axis=1))
        coarse = judged.by_case(judged.coarse)
        self._coarse[:, self._filled : self._filled + coarse.shape[1]] = coarse
        self._filled += coarse.shape[1]
        self.worst = self.worst.beside(judged.worst(start))

    @cached_property
    def resolutions(self) -> NDArray[np.float64]:
        """Median over the elements of bound / scale, for every case; of an even number of them the upper one."""
        if not self._filled:
            return np.zeros(len(self._coarse))
        # In a fifth of the time of np.median, which looks for both in the middle, and for NaN.
        middle = self._coarse.shape[1] // 2
        self._coarse.partition(middle, axis=1)
        return self._coarse[:, middle].copy()


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

    def beside(self, other: Worst) -> Worst:
        """Return the worse of two, of all elements of both."""
        worse = other if other.ratio > self.ratio or not self.size else self
        return replace(worse, exceeding=self.exceeding + other.exceeding, size=self.size + other.size)


@dataclass(frozen=True, eq=False, repr=False)
class Verdict:
    """What ``certify`` found, per quantity (h, dx, dh0, dWx, dWh, db; only those that were offered)."""

    case: Case
    evaluation: Evaluation
    precision: Precision
    tallies: dict[str, Tally]
    again: Callable[[Case, Evaluation, Precision], Verdict]  # what judged: ``certify``
    elements: Callable[[Case, Evaluation, Precision], dict[str, Judged]]

    @cached_property
    def judged(self) -> dict[str, Judged]:
        """Every element of each quantity, computed anew: it takes many times the memory of the case."""
        return self.elements(self.case, self.evaluation, self.precision)

    @cached_property
    def worst(self) -> dict[str, Worst]:
        """The worst element of each quantity: ratio, index, got, want, bound."""
        return {name: tally.worst for name, tally in self.tallies.items()}

    @cached_property
    def ratios(self) -> NDArray[np.float64]:
        """Largest |error| / bound of every case; shape (K,), or (1,) for a single case."""
        return np.asarray(np.max([tally.ratios for tally in self.tallies.values()], axis=0))

    @cached_property
    def resolutions(self) -> NDArray[np.float64]:
        """Bound / scale of the coarsest quantity of every case, as the median over its elements; shape as of ratios."""
        return np.asarray(np.max([tally.resolutions for tally in self.tallies.values()], axis=0))

    @cached_property
    def statuses(self) -> list[str]:
        """Give "pass", "fail" or "inconclusive" for every case; one entry for a single case."""
        found = np.where(self.resolutions > self.precision.coarsest, "inconclusive", "pass")
        return [str(status) for status in np.where(self.ratios > 1, "fail", found)]

    @property
    def status(self) -> str:
        """Give "fail" if any case failed, else "inconclusive" if any was, else "pass"."""
        return min(self.statuses, key=["fail", "inconclusive", "pass"].index)

    @property
    def resolution(self) -> dict[str, float]:
        """Median of bound / scale per quantity: how fine a difference it can tell."""
        return {name: float(np.median(tally.resolutions)) for name, tally in self.tallies.items()}

    def of(self, k: int) -> Verdict:
        """Return the verdict on case ``k`` of a stack alone."""
        return self.again(self.case[k], self.evaluation[k], self.precision)

    @cached_property
    def arithmetic(self) -> str | None:
        """In which coarser arithmetic the evaluation would be right, in words; None if in none."""
        return computed_as_if(self)

    def require(self, subject: str = "") -> None:
        """Return only if every case passed.

        Args:
            subject: name put before the account, such as the adapter's.

        Raises:
            Mismatch: with the readable account.
        """
        if self.status != "pass":
            raise Mismatch(f"{subject} {self}".strip(), self)

    def __repr__(self) -> str:
        """Return the account: at a prompt, or below an assertion that failed, the numbers would bury it."""
        return f"<Verdict {self}>"

    def __str__(self) -> str:
        sizes = self.case.spelled
        failing = [self._describe(name, worst) for name, worst in self.worst.items() if worst.ratio > 1]
        if failing:
            return "\n".join([*failing, *([self.arithmetic] if self.arithmetic else [])])
        if self.status == "inconclusive":
            coarsest = {name: float(tally.resolutions.max()) for name, tally in self.tallies.items()}
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
            f"{worst.exceeding} of {worst.size} elements exceed theirs ({self.case.spelled})"
        )
