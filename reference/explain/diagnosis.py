"""From an evaluation or a subject to its diagnosis: all that was seen, and what reproduces all of it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from functools import cache, lru_cache
from typing import Any

from reference.case import Case
from reference.evaluation import Evaluation
from reference.explain.account import Diagnosis
from reference.explain.arithmetic import same_digits
from reference.explain.likeness import alike, beginning, comparable, reproduced, telling
from reference.explain.observed import BROKEN, Observed, once, returned, watched
from reference.explain.orders import orders, partial_order
from reference.explain.pairs import pairs
from reference.faults import FAULTS
from reference.minimise import singles, smallest
from reference.precision import Precision
from reference.trial import Subject
from reference.verdict import QUANTITIES

# Fresh cases that a subject is tried on: long enough for every fault, small enough to tell them apart.
MODERATE, DRAWN = {"T": 6, "N": 3, "D": 2, "H": 4}, 2


def explain(case: Case, evaluation: Evaluation, precision: Precision) -> Diagnosis:
    """Say what is wrong with an evaluation, where it starts, and which fault reproduces it.

    Args:
        case: one case or a stack; of a stack, the first case that fails is explained.
        evaluation: what an implementation returned for it.
        precision: the model of its arithmetic.

    Returns:
        The diagnosis. A fault is named only if it reproduces everything that was returned, and with it all others
        that do; nothing is named where nothing does.
    """
    if case.K is not None:
        seen = [returned(case[k], evaluation[k], precision) for k in range(case.K)]
        return diagnose([next((one for one in seen if one.status == "fail"), seen[0])], once)
    return diagnose([returned(case, evaluation, precision)], once)


def explain_subject(
    subject: Subject,
    case: Case,
    precision: Precision,
    *,
    progress: Callable[[], Any] = lambda: None,
    tries: int = 2000,
) -> Diagnosis:
    """Say what is wrong with a subject, shown in the smallest counterexample.

    The smallest case says best where a failure starts, and worst what caused it: many faults do the same to it. So
    a fault is named only if it reproduces what the subject does in the given case and in fresh ones, two calls each.

    Args:
        subject: returns an evaluation; it is given copies. Nobody should have called it before, if it keeps a state.
        case: one case or a stack that it fails.
        precision: the model of its arithmetic.
        progress: called after every trial of the minimisation.
        tries: largest number of these.

    Returns:
        The diagnosis, with the smallest counterexample as its case.

    Raises:
        ValueError: the subject does not fail the case.
    """
    seen = [watched(subject, one, precision) for one in moderate(case)]
    for one in singles(case):
        seen.append(watched(subject, one, precision))
        if seen[-1].status in BROKEN:
            break
    small = watched(subject, smallest(subject, case, precision, progress=progress, tries=tries), precision)
    # Whoever keeps a state has to be compared over all that it was shown.
    if all(one.account is None for one in seen):
        seen = [one for one in seen if comparable(one)]
    if not any(one.status in BROKEN for one in seen):
        seen.append(small)
    found = diagnose(seen, watched)
    # A fault that is a matter of history need not show in one case alone.
    shown = small if small.status in BROKEN else next(one for one in seen if one.status in BROKEN)
    wrong = tuple(name for name in QUANTITIES.values() if any(name in one.wrong for one in seen))
    right = tuple(name for name in (*found.wrong, *found.right) if name not in wrong)
    return replace(found, case=shown.case, wrong=wrong, right=right, start=shown.start, account=shown.account)


def moderate(case: Case) -> list[Case]:
    """Return fresh cases of the kind of another, of moderate sizes, with the probe."""
    sizes: dict[str, int] = MODERATE | {"H": min(max(case.sizes["H"], 2), 2 * MODERATE["H"])}
    bias = case.params.b is not None
    like: dict[str, Any] = {"dtype": case.dtype, "nonlinearity": case.nonlinearity, "bias": bias}
    return [fresh_case(seed, **sizes, **like) for seed in range(DRAWN)]


@cache
def fresh_case(seed: int, **options: Any) -> Case:
    """Return a case drawn with these options, probed; the same object for the same options."""
    return Case.random(seed=seed, **options).probed()


def diagnose(seen: list[Observed], watch: Callable[..., Observed]) -> Diagnosis:
    """Say what was seen, and what reproduces all of it.

    Args:
        seen: of one subject, at least one observation; the first that is of a failure is the one that is shown.
        watch: how they were made, one after the other, from a subject that was fresh.

    Returns:
        The diagnosis.
    """
    first = next((one for one in seen if one.status in BROKEN), seen[0])
    right = tuple(name for name in first.judged if name not in first.wrong)
    found = Diagnosis(first.case, first.status, first.wrong, right, first.start, first.account)
    if first.status not in BROKEN:
        return found
    if suspects := reproducing(seen, watch):
        return replace(found, matches=tuple((name,) for name in suspects))
    known = catalogue(watch, tuple(one.case for one in seen), first.precision)
    suspects = [name for name, others in known.items() if same_but_for_digits(seen, others)]
    if suspects or first.account is not None:
        return replace(found, matches=tuple((name,) for name in suspects))
    if not any(telling(one) for one in seen):
        return replace(found, comparable=False, arithmetic=first.arithmetic)
    order = next((order for order in orders(first) if reproduced(partial_order(*order), seen, watch)), None)
    alone = {name: set(others[seen.index(first)].wrong) for name, others in known.items()}
    matches = () if order else tuple(pairs(alone, set(first.wrong), seen, watch))
    return replace(found, order=order, matches=matches, arithmetic=None if order or matches else first.arithmetic)


def reproducing(seen: list[Observed], watch: Callable[..., Observed]) -> list[str]:
    """Return the names of the faults that do all that was seen."""
    makes = {name: fault.subject for name, fault in FAULTS.items() if seen[0].precision.name in fault.precisions}
    begun = zip(makes.items(), beginning(list(makes.values()), seen[0]), strict=True)
    return [name for (name, make), same in begun if same and reproduced(make, seen, watch)]


def same_but_for_digits(seen: list[Observed], others: list[Observed]) -> bool:
    """Tell whether others do the same with all cases, but for rounding in a coarser format with those that fail."""
    return all(
        same_digits(one, other) if one.wrong else alike(one, other) for one, other in zip(seen, others, strict=True)
    )


@lru_cache(maxsize=16)
def catalogue(
    watch: Callable[..., Observed], cases: tuple[Case, ...], precision: Precision
) -> dict[str, list[Observed]]:
    """Return what every fault that concerns this dtype does with some cases, one after the other."""
    found = {}
    for name, fault in FAULTS.items():
        if precision.name in fault.precisions:
            subject = fault.subject()
            try:
                found[name] = [watch(subject, case, precision) for case in cases]
            except Exception:  # code that breaks down in these cases is not the code that did not
                continue
    return found
