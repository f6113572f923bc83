"""The digits of what is wrong, and the size of its errors: which coarser format they are like."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from reference.explain.observed import Observed, judge
from reference.faults.numerical import chop

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
    for name, (u, _, _) in reversed(FORMATS.items()):
        if u > seen.precision.u and all(fits(judged.got, u) and not fits(judged.want, u) for judged in wrong):
            return f"Every number in what is wrong has as few digits as {name} holds."
    if not all(np.median(judged.ratio[judged.want != 0]) > 1 for judged in wrong if (judged.want != 0).any()):
        return None
    for name, (u, tiny, largest) in FORMATS.items():
        if u > seen.precision.u:
            model = replace(seen.precision, u=u, tiny=tiny, largest=largest, u_acc=min(u, FORMATS["float32"][0]))
            verdict = judge(seen.case, seen.evaluations[-1], model)
            if verdict is not None and verdict.status != "fail":
                worst = max(worst.ratio for worst in verdict.worst.values())
                share = f"the largest is {worst:.2g} x the bound of a correct run in it"
                return f"Its errors are of the size that {name} makes: {share}." if worst >= NEAR else None
    return None


def fits(array: NDArray[Any], u: float) -> bool:
    """Tell whether a format of unit roundoff u has digits enough for all numbers of an array."""
    found = array[np.isfinite(array)].astype(np.float64)
    return bool((chop(found, 1 - round(np.log2(2 * u))) == found).all())
