"""What arithmetic errors look like: too few digits, or errors of the size that a coarser format makes."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from reference.precision import FORMATS, Precision

if TYPE_CHECKING:
    from reference.verdict import Judged, Verdict

# The largest |error| / bound of correct code is about this, and never below the second, however long its sums are.
USUAL, LEAST = 0.2, 0.02
# The largest part of a value that its rounding may be, in the median: 512 terms added up in bfloat16 lose a twelfth.
LITTLE = 0.25


def computed_as_if(verdict: Verdict) -> str | None:
    """Say in which coarser arithmetic a failing evaluation would be right; None if in none, or if it is another fault.

    The digits show where a format stored what was returned. The size of the errors says something only if most of the
    elements that can be wrong are, by little of what they should be, and all are within the bounds of a coarser
    arithmetic: it is the one in which the largest comes as near to its bound as that of correct code usually does.

    Args:
        verdict: on one case or a stack.

    Returns:
        The account, with the name of the format.
    """
    wrong = [judged for judged in verdict.judged.values() if (judged.ratio > 1).any()]
    if not wrong:
        return None
    for form in reversed(FORMATS.values()):
        if form.u > verdict.precision.u and all(
            fits(judged.got, form.u) and has_digits(judged.got) and not fits(judged.want, form.u) for judged in wrong
        ):
            return f"Computed as if in {form.name}: every number in what is wrong has as few digits as that holds."
    if not all(rounded(judged) for judged in wrong if (judged.want != 0).any()):
        return None
    name, share = likeliest(verdict)
    return f"Computed as if in {name}, by the size of its errors: the largest is {share}." if name else None


def rounded(judged: Judged) -> bool:
    """Tell whether most elements of a quantity that are not zero are wrong, and by little of what they should be."""
    there = judged.want != 0
    with np.errstate(invalid="ignore", over="ignore"):
        part = np.abs(judged.got - judged.want)[there] / np.abs(judged.want[there])
    return bool(np.median(judged.ratio[there]) > 1 and np.median(part) < LITTLE)


def likeliest(verdict: Verdict) -> tuple[str | None, str]:
    """Return the arithmetic that the size of the errors is likeliest to come from, None if none, and that size."""
    sizes = {}
    for name, model in coarser(verdict.precision):
        found = verdict.again(verdict.case, verdict.evaluation, model)
        largest = max(worst.ratio for worst in found.worst.values())
        if found.status != "fail" and largest > LEAST:
            sizes[name] = largest
    if not sizes:
        return None, ""
    name = min(sizes, key=lambda name: abs(np.log(sizes[name] / USUAL)))
    return name, f"{sizes[name]:.2g} x the bound of a correct run in it"


def coarser(precision: Precision) -> Iterator[tuple[str, Precision]]:
    """Give the arithmetics that may hide under the face of a precision, the finest first, and their names."""
    if precision.is_mixed:
        yield f"{precision.name}, sums included", precision.with_accumulator(precision.name)
    for form in FORMATS.values():
        if form.u > precision.u:
            yield form.name, precision.as_if(form)


def has_digits(array: NDArray[Any]) -> bool:
    """Tell whether there is a number that digits can be seen of: neither zero, nor infinite, nor NaN."""
    return bool(np.any(array[np.isfinite(array)]))


def fits(array: NDArray[Any], u: float) -> bool:
    """Tell whether a format of unit roundoff u has digits enough for all numbers of an array."""
    found = array[np.isfinite(array)].astype(np.float64)
    return bool((chop(found, 1 - round(np.log2(2 * u))) == found).all())


def chop(array: Any, bits: int) -> Any:
    """Round to a significand of ``bits`` bits, the leading one included; ties to even, any exponent."""
    significand, exponent = np.frexp(array)
    return np.ldexp(np.rint(significand * 2.0**bits), exponent - bits)
