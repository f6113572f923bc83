"""When two subjects did the same: in every element that they returned, but for rounding.

The certificate splits every evaluation into what one step makes of its neighbouring values and the deviation from
that, and the deviations determine the evaluation. So two evaluations are alike if their deviations agree in every
element of every quantity, to within

    bound + bound' + 2 * accuracy * largest deviation of the quantity

The bounds are those of one step, one for either evaluation: a deviation that no fault causes is never larger. A
deviation that a fault causes depends on states and gradients that either evaluation has with the rounding of all
steps up to there: ``accuracy`` is the relative error that correct arithmetic may pile up through all of them. A
fault that does little is thus told to within the bound of one step, and one that does much to a few digits.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from reference.case import Case
from reference.cells import NONLINEARITIES, RNN, Array
from reference.certify import certify
from reference.evaluation import Evaluation
from reference.explain.observed import Observed, fitted
from reference.faults.fault import unrolled
from reference.precision import Precision
from reference.rounding import Bounded
from reference.sequence import evaluate_arrays
from reference.trial import Subject
from reference.verdict import QUANTITIES, Judged, Verdict

Make = Callable[[], Subject]
# Numbers of xs in a stack of calls that are judged at once, at most.
AT_ONCE = 2**18


def reproduced(make: Make, seen: list[Observed], watch: Callable[..., Observed]) -> bool:
    """Tell whether a subject, made afresh, does all that was seen, in the same order."""
    subject = make()
    try:
        return same_all(seen, (watch(subject, one.case, one.precision) for one in seen))
    except Exception:
        return False


def beginning(makes: Sequence[Make], seen: Observed) -> list[bool]:
    """Tell of each subject, made afresh, whether its first call does what the first of those that were seen did.

    One call tells most apart. Those of many subjects are judged as one stack: judging one takes longer than calling it.
    """
    verdict = next(iter(seen.verdicts), None)
    if verdict is None:
        return [True] * len(makes)
    most = max(1, AT_ONCE // max(1, seen.case.xs.size))
    parts = [makes[start : start + most] for start in range(0, len(makes), most)]
    return [begun for part in parts for begun in beginning_of(part, seen, verdict)]


def beginning_of(makes: Sequence[Make], seen: Observed, verdict: Verdict) -> list[bool]:
    """Tell the same of as many subjects as fit into one stack, from the verdict on what was seen."""
    calls = [first_call(make, seen.case, verdict) for make in makes]
    called, found = [call is not None for call in calls], np.zeros(len(makes), bool)
    if any(called):
        stack = seen.case.map(lambda array: np.broadcast_to(array, (sum(called), *array.shape)))
        whole = Evaluation.stack([call for call in calls if call is not None])
        found[called] = agree(verdict, certify(stack, whole, seen.precision), accuracies(seen.case, seen.precision))
    return found.tolist()


def first_call(make: Make, case: Case, like: Verdict) -> Evaluation | None:
    """Return the quantities of a verdict from a call of a subject; None if it breaks down or lacks one of them."""
    try:
        called = fitted(case, make()(case.map(np.array))).fields()
    except Exception:
        return None
    found = {name: called[name] for name, quantity in QUANTITIES.items() if quantity in like.judged}
    return None if any(array is None for array in found.values()) else Evaluation(**found)


def same_all(seen: list[Observed], others: Iterable[Observed]) -> bool:
    """Tell whether others do the same with all cases, and with one of them what correct code does not."""
    told = False
    for one, other in zip(seen, others, strict=True):
        if not alike(one, other):
            return False
        far = telling(one)
        told = told or one.account is not None or (bool(far) and set(one.wrong) - far <= set(other.wrong))
    return told


def alike(one: Observed, other: Observed) -> bool:
    """Tell whether two subjects did the same with a case, but for rounding."""
    if one.account != other.account or not same_shapes(one, other):
        return False
    accuracy = accuracies(one.case, one.precision)
    return all(bool(agree(p, q, accuracy)) for p, q in zip(one.verdicts, other.verdicts, strict=True))


def agree(one: Verdict | None, other: Verdict | None, accuracy: Mapping[str, float]) -> NDArray[np.bool_]:
    """Tell whether two calls returned the same, but for rounding, where shapes allow a verdict on both.

    The other may be on a stack of such calls, which then are told of each; shape () or (K,).
    """
    same = np.asarray(True)
    if one is not None and other is not None:
        for name, judged in one.judged.items():
            if same.any():
                same = same & near(judged, other.judged[name], accuracy[name])
    return same


def same_shapes(one: Observed, other: Observed) -> bool:
    """Tell whether all that the one returned has the shapes of what the other returned."""
    return len(one.evaluations) == len(other.evaluations) and all(
        np.shape(array) == np.shape(q.fields()[name])
        for p, q in zip(one.evaluations, other.evaluations, strict=True)
        for name, array in p.fields().items()
        if array is not None
    )


def near(one: Judged, other: Judged, accuracy: float) -> NDArray[np.bool_]:
    """Tell whether one quantity deviates in two evaluations by the same, but for rounding; shape () or (K,)."""
    with np.errstate(all="ignore"):
        p, q = deviation(one), deviation(other)
        same = np.abs(p - q) <= closeness(one, other, accuracy)
    both_right = (one.ratio <= 1) & (other.ratio <= 1)
    equal = (one.got == other.got) | (np.isnan(one.got) & np.isnan(other.got))
    # Of numbers that are not finite there is no difference.
    told = np.where(np.isfinite(p) & np.isfinite(q), same, equal) | both_right
    return np.asarray(told.all(axis=axes(one)))


def deviation(judged: Judged) -> NDArray[np.float64]:
    """Return what a quantity has beyond what one step makes of its neighbours."""
    with np.errstate(all="ignore"):
        return np.asarray(judged.got.astype(np.float64) - judged.want)


def closeness(one: Judged, other: Judged, accuracy: float) -> NDArray[np.float64]:
    """Return how far two deviations of one cause may be apart by rounding, as this module's docstring derives."""
    found = np.abs(deviation(other))
    counted = np.isfinite(found) & (other.ratio > 1)
    largest = np.max(found, axis=axes(one), keepdims=True, initial=0, where=counted)
    return np.asarray(one.bound + other.bound + 2 * accuracy * largest)


def axes(judged: Judged) -> tuple[int, ...]:
    """Return the axes of a quantity of one case, from the end, where a stack has them, too."""
    return tuple(range(-judged.got.ndim, 0))


def telling(seen: Observed) -> set[str]:
    """Return the quantities with an element so far out of its bounds that correct code is not alike."""
    if not comparable(seen):
        return set()
    accuracy, far = accuracies(seen.case, seen.precision), set()
    for name in seen.wrong:
        judged = seen.judged[name]
        with np.errstate(all="ignore"):
            out = ~(np.abs(deviation(judged)) <= closeness(judged, judged, accuracy[name]))
        if (out & (judged.ratio > 1)).any():
            far.add(name)
    return far


def comparable(seen: Observed) -> bool:
    """Tell whether rounding through all steps stays small enough, where something fails, to know a fault again."""
    accuracy = accuracies(seen.case, seen.precision)
    return all(2 * accuracy[name] <= seen.precision.coarsest for name in seen.wrong)


class Settled(RNN):
    """A cell whose relu has its kink where the oracle sees it: who falls to the other side is not alike."""

    def adjoint(self, dh: Array, h: Array) -> Array:
        """Return dh * f'(a), the derivative of relu without a bound."""
        return super().adjoint(dh, h.value if self.f is NONLINEARITIES["relu"][0] else h)


@lru_cache(maxsize=64)
def accuracies(case: Case, precision: Precision) -> dict[str, float]:
    """Return, of each quantity, the largest error relative to the terms of its sum that may pile up in all steps."""
    arrays = (case.xs, case.h0, *case.params.for_cell(), case.upstream)
    *inputs, upstream = (None if array is None else Bounded.exact(array, precision) for array in arrays)
    with np.errstate(all="ignore"):
        run = evaluate_arrays(*inputs, upstream=upstream, f=case.nonlinearity, Layer=unrolled(Settled))
    found = {}
    for field, quantity in run.fields().items():
        if quantity is not None:
            sealed = quantity.sealed()
            share = sealed.error / np.maximum(sealed.scale, precision.floor)
            # Zero behind a relu has no terms but the rounding of those before.
            counted = np.isfinite(sealed.value) & (sealed.value != 0)
            found[QUANTITIES[field]] = float(np.max(share, initial=0, where=counted))
    return found
