"""Likeness: whether two subjects return equal results for a case, up to rounding, in every element.

The certificate compares each element with one oracle step from the neighbouring values. The deviations from that step
determine the evaluation. Two evaluations are alike if their deviations agree in every element to within

    bound + bound' + 2 * accuracy * largest deviation of the quantity

The bounds are those of one step. Without a fault, a deviation is never larger. A deviation caused by a fault depends on
states and gradients, and so on the rounding of all earlier steps. ``accuracy`` is the largest relative error that this
rounding may pile up to in correct arithmetic.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass, replace
from functools import cached_property, lru_cache, partial
from typing import Any

import numpy as np
from numpy.typing import NDArray

from reference.bounded import Bounded
from reference.case import Case
from reference.cells import Cell
from reference.certify import certify
from reference.certify_layers import certify_layers
from reference.comparison import Comparison
from reference.evaluation import Evaluation
from reference.layer import Layer, evaluate_in
from reference.layers import Layers, LayersCase, LayersEvaluation, evaluate_layers
from reference.precision import Precision
from reference.trial import Subject, trial
from reference.verdict import Mismatch, Verdict, quantity_of

BROKEN = ("fail", "contract")
Written = tuple[str, NDArray[Any]]


@dataclass(frozen=True, eq=False)
class Observed:
    """The results of a subject for a case: of one call, or of both calls of a trial if their bits differ."""

    case: Case
    precision: Precision
    verdicts: tuple[Verdict | None, ...]  # one for each call; None if the shapes do not allow a verdict
    account: str | None = None  # how the contract was broken
    written: tuple[Written, ...] = ()  # the arrays of the case that the subject wrote to, and what it wrote

    @property
    def last(self) -> Verdict | None:
        """The verdict on the last call."""
        return self.verdicts[-1] if self.verdicts else None

    @property
    def compared(self) -> dict[str, Comparison]:
        """The quantities of the last call."""
        return self.last.compared if self.last else {}

    @property
    def status(self) -> str:
        """Return "contract" if the contract was broken, else the status of the last call."""
        return self.last.status if self.last and self.account is None else "contract"

    @property
    def wrong(self) -> tuple[str, ...]:
        """Names of the quantities out of their bounds."""
        return self.last.wrong if self.last else ()

    @cached_property
    def telling(self) -> set[str]:
        """The quantities with an element so far out of its bounds that rounding cannot explain it."""
        wrong = {name: self.compared[name] for name in self.wrong if self.is_comparable}
        accuracy = accuracies(self.case, self.precision)
        return {name for name, each in wrong.items() if (~within(each, each, accuracy[name]) & (each.ratio > 1)).any()}

    def under(self, precision: Precision) -> Observed:
        """Return the same results, judged by another model of the arithmetic; they kept the contract."""
        verdicts = tuple(
            verdict and judged(self.case, verdict.evaluation, precision)
            for verdict in (self.verdicts if precision != self.precision else ())
        )
        return Observed(self.case, precision, verdicts) if verdicts else self

    @property
    def is_comparable(self) -> bool:
        """Whether the rounding of all steps is small enough in each wrong quantity to recognise a fault."""
        accuracy = accuracies(self.case, self.precision)
        return all(2 * accuracy[name] <= self.precision.coarsest for name in self.wrong)


def judged(case: Any, evaluation: Any, precision: Precision) -> Verdict:
    """Return the verdict on an evaluation, of one layer or of several."""
    return (certify_layers if isinstance(case, LayersCase) else certify)(case, evaluation, precision)


def returned(case: Case, evaluation: Evaluation, precision: Precision) -> Observed:
    """Return one evaluation as an observation."""
    try:
        return Observed(case, precision, (judged(case, evaluation, precision),))
    except (TypeError, ValueError) as error:
        return Observed(case, precision, (_fitted(case, evaluation, precision),), str(error))


def called(subject: Subject, case: Case, precision: Precision) -> Observed:
    """Observe one call of a subject."""
    return returned(case, subject(case.map(np.array)), precision)


def tried(subject: Subject, case: Case, precision: Precision) -> Observed:
    """Observe a trial of a subject, which makes two calls."""
    evaluations: list[Evaluation] = []

    def recorded(case: Case) -> Evaluation:
        evaluation = subject(case)
        if isinstance(evaluation, Evaluation | LayersEvaluation):
            evaluations.append(evaluation.map(np.array))  # copied, because the subject may overwrite its arrays
        return evaluation

    own = case.map(np.array)
    try:
        verdict = replace(trial(recorded, own, precision, repeat=True), case=case)
        return Observed(case, precision, (replace(verdict, evaluation=evaluations[0]),))
    except Exception as error:
        kept = isinstance(error, Mismatch | TypeError | ValueError)
        account = str(error) if kept else f"raised {type(error).__name__}: {error}"
    before = case.arrays()
    written = tuple(each for each in own.arrays().items() if each[1].tobytes() != before[each[0]].tobytes())
    return Observed(case, precision, tuple(_fitted(case, each, precision) for each in evaluations), account, written)


def _fitted(case: Case, evaluation: Evaluation, precision: Precision) -> Verdict | None:
    """Return the verdict on an evaluation converted to the shapes and dtype of the case; None if that is impossible."""
    shapes, given = case.shapes(), evaluation.present()
    try:
        with np.errstate(over="ignore"):
            fields = {name: np.reshape(a, shapes[name]).astype(case.xs.dtype) for name, a in given.items()}
        return judged(case, evaluation.replacing(**fields), precision)
    except (TypeError, ValueError, KeyError):
        return None


def reproduced(seen: Sequence[Observed], others: Sequence[Observed | None]) -> bool:
    """Return whether a fault matches a subject on all cases, and differs from correct code on at least one."""
    pairs = [(one, other) for one, other in zip(seen, others, strict=True) if other is not None]
    if len(pairs) < len(seen) or not all(alike(one, other) for one, other in pairs):
        return False
    return any(
        one.account is not None or (one.telling and {*one.wrong} - one.telling <= {*other.wrong})
        for one, other in pairs
    )


def alike(one: Observed, other: Observed, only: Collection[str] | None = None) -> bool:
    """Return whether two subjects returned equal results for a case, up to rounding, in some quantities or all."""
    if one.account != other.account or len(one.verdicts) != len(other.verdicts):
        return False
    accuracy = accuracies(one.case, one.precision)
    if not _wrote_alike(one.written, other.written, max(accuracy.values())):
        return False
    for p, q in zip(one.verdicts, other.verdicts, strict=True):
        quantities, others = ({} if verdict is None else verdict.compared for verdict in (p, q))
        if quantities.keys() - others.keys():
            return False
        for name, each in ((name, each) for name, each in quantities.items() if only is None or name in only):
            both_right = (each.ratio <= 1) & (others[name].ratio <= 1)
            if not (within(each, others[name], accuracy[name]) | both_right).all():
                return False
    return True


def _wrote_alike(one: Sequence[Written], other: Sequence[Written], accuracy: float) -> bool:
    """Return whether the same numbers were written to the same arrays, up to rounding."""
    pairs = [(p, q) for (name, p), (written, q) in zip(one, other, strict=False) if name == written]
    with np.errstate(invalid="ignore"):
        close = [np.abs(p - q) <= 2 * accuracy * np.max(np.abs(q), initial=0) for p, q in pairs]
    return len(pairs) == len(one) == len(other) and all(each.all() for each in close)


def within(one: Comparison, other: Comparison, accuracy: float) -> NDArray[np.bool_]:
    """Return the elements whose deviations are equal up to rounding.

    If both arguments are the same object, return the elements whose deviation is zero up to rounding.
    """
    with np.errstate(all="ignore"):
        p, q = one.actual - one.expected, other.actual - other.expected
        largest = np.max(np.abs(q), initial=0, where=np.isfinite(q) & (other.ratio > 1))
        distance = np.abs(p) if one is other else np.abs(p - q)
        close = distance <= one.bound + other.bound + 2 * accuracy * largest
    # The difference of numbers that are not finite is NaN, so they are compared for equality.
    equal = (one.actual == other.actual) | (np.isnan(one.actual) & np.isnan(other.actual))
    return np.asarray(np.where(np.isfinite(p) & np.isfinite(q), close, equal & (one is not other)))


@lru_cache(maxsize=64)
def accuracies(case: Case, precision: Precision) -> dict[str, float]:
    """Return, by quantity, the largest error that may pile up over all steps, relative to the terms of the sum."""
    run = evaluate_layers if isinstance(case, LayersCase) else evaluate_in
    found = {}
    with np.errstate(all="ignore"):
        bounded = run(case, lambda array: Bounded.exact(array, precision), partial(_smooth, run))
        for field, array in bounded.present().items():
            sum_ = array.rounded()
            share = sum_.error / np.maximum(sum_.scale, precision.floor)
            # If relu makes an element zero, its only terms are roundings of earlier steps.
            counted = np.isfinite(sum_.value) & (sum_.value != 0)
            found[quantity_of(field)] = float(np.max(share, initial=0, where=counted))
    # What a fault returns in the place of zeros is as accurate as the other quantities.
    return {name: share or max(found.values()) for name, share in found.items()}


def _smooth(run: Any, cell: Cell, *arguments: Any) -> Layer | Layers:
    """Return a layer, or several. Of relu, the derivative is taken as exact.

    A unit that crosses the kink of relu is a difference, not rounding.
    """
    if cell.nonlinearity == "relu":
        derivative = cell.derivative
        cell.derivative = lambda h: derivative(h.value)
    return (Layers if run is evaluate_layers else Layer)(cell, *arguments)
