"""Faults that are themselves a rounding: known again by the digits that they leave, not by the numbers."""

from __future__ import annotations

from reference.arithmetic import fits
from reference.explain.observed import Observed, judge
from reference.precision import FORMATS, Precision


def same_digits(one: Observed, other: Observed) -> bool:
    """Tell whether two subjects did the same with a case, but for rounding in a format coarser than the case's.

    Where the mistake is a rounding, no two implementations share it. They share what they leave in so few digits,
    which is the same of all that they get wrong, and both are right to within what that format rounds.
    """
    offered = set(one.judged)
    if one.account is not None or other.account is not None or set(one.wrong) != set(other.wrong) & offered:
        return False
    models = [one.precision.as_if(form) for form in FORMATS.values() if form.u > one.precision.u]
    return any(
        short(one, model) == short(other, model) & offered != set() and is_right(one, model) and is_right(other, model)
        for model in models
    )


def is_right(seen: Observed, model: Precision) -> bool:
    """Tell whether all evaluations would be right in another arithmetic."""
    verdicts = [judge(seen.case, evaluation, model) for evaluation in seen.evaluations]
    return all(verdict is not None and verdict.status != "fail" for verdict in verdicts)


def short(seen: Observed, model: Precision) -> set[str]:
    """Return the quantities that are wrong and have no more digits than a format holds, where that is news."""
    wrong = {name: seen.judged[name] for name in seen.wrong}
    return {name for name, judged in wrong.items() if fits(judged.got, model.u) and not fits(judged.want, model.u)}
