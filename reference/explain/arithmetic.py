"""The digits of what is wrong, and the size of its errors: which coarser format they are like."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from reference.explain.observed import Observed, judge
from reference.faults.numerical import chop
from reference.rounding import Precision

# The formats in which code computes by mistake, finest first: unit roundoff, smallest normal and largest number.
FORMATS = {
    "float32": (2.0**-24, 2.0**-126, 2.0**128),
    "TF32": (2.0**-11, 2.0**-126, 2.0**128),
    "float16": (2.0**-11, 2.0**-14, 65504.0),
    "bfloat16": (2.0**-8, 2.0**-126, 2.0**128),
}
# Correct arithmetic comes at least this near to its bound (README, "A thousand steps").
NEAR = 0.1


def as_if(seen: Observed) -> str | None:
    """Say which format has so few digits, or else makes errors of this size; None if there is none.

    The digits show where the format stored what was returned. The size says something only if most of the elements
    that can be wrong are.
    """
    wrong = [seen.judged[name] for name in seen.wrong]
    coarser = coarser_than(seen.precision)
    for name, model in reversed(coarser.items()):
        if short(seen, model) == set(seen.wrong):
            return f"Every number in what is wrong has as few digits as {name} holds."
    if not all(np.median(judged.ratio[judged.want != 0]) > 1 for judged in wrong if (judged.want != 0).any()):
        return None
    for name, model in coarser.items():
        verdict = judge(seen.case, seen.evaluations[-1], model)
        if verdict is not None and verdict.status != "fail":
            worst = max(worst.ratio for worst in verdict.worst.values())
            share = f"the largest is {worst:.2g} x the bound of a correct run in it"
            return f"Its errors are of the size that {name} makes: {share}." if worst >= NEAR else None
    return None


def same_digits(one: Observed, other: Observed) -> bool:
    """Tell whether two subjects did the same with a case, but for rounding in a format coarser than the case's.

    Where the mistake is a rounding, no two implementations share it. They share what they leave in so few digits,
    which is the same of all that they get wrong, and both are right to within what that format rounds.
    """
    offered = set(one.judged)
    if one.account is not None or other.account is not None or set(one.wrong) != set(other.wrong) & offered:
        return False
    return any(
        short(one, model) == short(other, model) & offered != set() and is_right(one, model) and is_right(other, model)
        for model in coarser_than(one.precision).values()
    )


def coarser_than(precision: Precision) -> dict[str, Precision]:
    """Return the models of arithmetic in the formats with fewer digits, finest first."""
    return {
        name: replace(precision, u=u, tiny=tiny, largest=largest, u_acc=min(u, FORMATS["float32"][0]))
        for name, (u, tiny, largest) in FORMATS.items()
        if u > precision.u
    }


def is_right(seen: Observed, model: Precision) -> bool:
    """Tell whether all evaluations would be right in another arithmetic."""
    verdicts = [judge(seen.case, evaluation, model) for evaluation in seen.evaluations]
    return all(verdict is not None and verdict.status != "fail" for verdict in verdicts)


def short(seen: Observed, model: Precision) -> set[str]:
    """Return the quantities that are wrong and have no more digits than a format holds, where that is news."""
    wrong = {name: seen.judged[name] for name in seen.wrong}
    return {name for name, judged in wrong.items() if fits(judged.got, model.u) and not fits(judged.want, model.u)}


def fits(array: NDArray[Any], u: float) -> bool:
    """Tell whether a format of unit roundoff u has digits enough for all numbers of an array."""
    found = array[np.isfinite(array)].astype(np.float64)
    return bool((chop(found, 1 - round(np.log2(2 * u))) == found).all())
