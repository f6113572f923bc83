"""The verdict on an evaluation: pass, fail or inconclusive, the worst element, and the report as text."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, fields
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from reference.blame import Blame, blame
from reference.case import Case
from reference.cells import CELLS
from reference.comparison import Comparison, Tally, Worst
from reference.evaluation import Evaluation
from reference.precision import Precision
from reference.precision_loss import lower_precision


def quantity_of(field: str) -> str:
    """Return the name that verdicts and tables use for a field of an ``Evaluation``.

    Derivatives along a direction have a prefix: "jvp h" is forward mode, "hvp dx" a second derivative.
    """
    primal = field.removesuffix("_dot")
    name = {"hs": "h", "dxs": "dx"}.get(primal, primal)
    return name if primal == field else f"{'hvp' if primal[0] == 'd' else 'jvp'} {name}"


def quantities_of(cell: str) -> tuple[str, ...]:
    """Return the names of the outputs and gradients of a cell: h, its other states, and all gradients."""
    kind = CELLS[cell]
    initial = (f"d{state}0" for state in kind.states)
    return "h", *kind.states[1:], "dx", *initial, *(f"d{name}" for name in kind.parameters())


QUANTITIES = {field.name: quantity_of(field.name) for field in fields(Evaluation)}
# The quantities of a vanilla RNN.
GRADIENTS = quantities_of("rnn")


def derivatives_of(cell: str) -> tuple[str, ...]:
    """Return the names of the derivatives along a direction of all quantities of a cell."""
    return tuple(f"{'hvp' if name[0] == 'd' else 'jvp'} {name}" for name in quantities_of(cell))


class Mismatch(AssertionError):
    """An implementation is outside its bounds or broke the contract, or the bounds are too wide to decide.

    ``verdict`` is the verdict that did not pass; it is None if the contract was broken.
    """

    def __init__(self, message: str, verdict: Verdict | None = None) -> None:
        super().__init__(message)
        self.verdict = verdict


@dataclass(frozen=True, eq=False, repr=False)
class Verdict:
    """The results of ``certify`` for each quantity that was returned (h, dx, dh0, dWx, dWh, db)."""

    case: Case
    evaluation: Evaluation
    precision: Precision
    tallies: dict[str, Tally]
    again: Callable[[Case, Evaluation, Precision], Verdict]  # ``certify``
    comparisons: Callable[[Case, Evaluation, Precision], dict[str, Comparison]]
    enclosed: Callable[[Case, Precision], Evaluation]  # the oracle's own results, bounded

    @cached_property
    def compared(self) -> dict[str, Comparison]:
        """Every element of each quantity. It is recomputed, because it takes many times the memory of the case."""
        return self.comparisons(self.case, self.evaluation, self.precision)

    @property
    def worst(self) -> dict[str, Worst]:
        """The worst element of each quantity: ratio, index, actual, expected, bound."""
        return {name: tally.worst for name, tally in self.tallies.items()}

    @property
    def wrong(self) -> tuple[str, ...]:
        """Names of the quantities with an element outside its bound."""
        return tuple(name for name, worst in self.worst.items() if worst.ratio > 1)

    @cached_property
    def blame(self) -> Blame:
        """The quantities that are wrong, that are right, and that follow from wrong ones."""
        if not self.wrong:
            return Blame(right=tuple(self.tallies))
        own = {quantity_of(field): array for field, array in self.enclosed(self.case, self.precision).present().items()}
        return blame(self.compared, own, self.case.probe or (), self.precision.coarsest)

    @cached_property
    def ratios(self) -> NDArray[np.float64]:
        """Largest |error| / bound of every case; shape (K,), or (1,) for a single case."""
        return np.asarray(np.max([tally.ratios for tally in self.tallies.values()], axis=0))

    @cached_property
    def relative_bounds(self) -> NDArray[np.float64]:
        """For every case, the largest median of bound / scale among the quantities; the shape of ``ratios``."""
        return np.asarray(np.max([tally.relative_bounds for tally in self.tallies.values()], axis=0))

    @cached_property
    def statuses(self) -> list[str]:
        """Return "pass", "fail" or "inconclusive" for every case; one entry for a single case."""
        found = np.where(self.relative_bounds > self.precision.coarsest, "inconclusive", "pass")
        return [str(status) for status in np.where(self.ratios > 1, "fail", found)]

    @property
    def status(self) -> str:
        """Return "fail" if any case failed, else "inconclusive" if any case was inconclusive, else "pass"."""
        return min(self.statuses, key=["fail", "inconclusive", "pass"].index)

    @property
    def undetermined(self) -> list[str]:
        """Names of the quantities whose bound is too wide to decide, in the cases that are inconclusive."""
        inconclusive = np.array(self.statuses) == "inconclusive"
        coarse = {name: tally.relative_bounds > self.precision.coarsest for name, tally in self.tallies.items()}
        return [name for name, cases in coarse.items() if (cases & inconclusive).any()]

    @property
    def relative_bound(self) -> dict[str, float]:
        """Median of bound / scale per quantity: the smallest difference that can be detected."""
        return {name: float(np.median(tally.relative_bounds)) for name, tally in self.tallies.items()}

    def of(self, k: int) -> Verdict:
        """Return the verdict on case ``k`` of a stack alone; on a single case, the verdict itself."""
        return self if self.case.K is None else self.again(self.case[k], self.evaluation[k], self.precision)

    @cached_property
    def arithmetic(self) -> str | None:
        """Sentence that names the lower precision in which the evaluation would be right; None if there is none."""

        def largest_ratio(model: Precision) -> float:
            other = self.again(self.case, self.evaluation, model)
            # A bound that decides nothing is no evidence, unless the sums alone are narrower: they are rarely better.
            is_evidence = other.status == "pass" or model.u == self.precision.u
            return float(other.ratios.max()) if is_evidence else np.inf

        return lower_precision(self.compared, self.precision, largest_ratio)

    def require(self, subject: str = "") -> None:
        """Raise an error unless every case passed.

        Args:
            subject: name at the start of the message, such as the name of the adapter.

        Raises:
            Mismatch: a case did not pass; the message is the report.
        """
        if self.status != "pass":
            raise Mismatch(f"{subject} {self}".strip(), self)

    def __repr__(self) -> str:
        """Return the report. At a prompt or below a failed assertion, all numbers would hide it."""
        return f"<Verdict {self}>"

    def __str__(self) -> str:
        sizes = self.case.spelled
        if self.wrong:
            failing = [self._describe(name, self.worst[name]) for name in self.wrong]
            lines = [*failing, f"{self.blame} ({sizes}).", *([self.arithmetic] if self.arithmetic else [])]
            return "\n".join(lines)
        if self.status == "inconclusive":
            widest = {name: float(tally.relative_bounds.max()) for name, tally in self.tallies.items()}
            name, bound = max(widest.items(), key=lambda item: item[1])
            where = f"{self.precision.name} {name}: inconclusive, the bound is {bound:.2g} x the value's scale"
            return f"{where} ({sizes})"
        name, worst = max(self.worst.items(), key=lambda item: item[1].ratio)
        return f"{self.precision.name}: pass, largest |error| / bound {worst.ratio:.2g} in {name} ({sizes})"

    def _describe(self, name: str, worst: Worst) -> str:
        digits = 17 if self.precision.u < 1e-10 else 9
        actual, expected = f"{worst.actual:.{digits}g}", f"{worst.expected:.{digits}g}"
        error = abs(worst.actual - worst.expected)
        return (
            f"{self.precision.name} {name}{list(worst.index)}: expected {expected}, got {actual}\n"
            f"|error| {error:.3g} is {worst.ratio:.3g} x its bound {worst.bound:.3g}; "
            f"{worst.exceeding} of {worst.size} elements exceed theirs ({self.case.spelled})"
        )
