"""Recognise a loss of precision: numbers with too few digits, or errors of the size that a lower precision causes."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from reference.comparison import Comparison
from reference.precision import FORMATS, Precision

# The largest |error| / bound of correct code is usually about the first number, and never below the second.
USUAL, LEAST = 0.2, 0.02
# Largest median of |error| / |value| that counts as rounding. The sum of 512 terms in bfloat16 loses a twelfth.
LITTLE = 0.25
# Fewest wrong elements whose size counts. In few, a small term that is missing has the size of a rounding, too.
ENOUGH = 32


def lower_precision(
    compared: Mapping[str, Comparison], precision: Precision, largest_ratio: Callable[[Precision], float]
) -> str | None:
    """Name the lower precision in which a failing evaluation would be right; return None if there is none.

    The digits show the format in which a number was stored. The size of the errors is evidence only if three conditions
    hold. At least ``ENOUGH`` elements are wrong. Most non-zero elements are wrong by a small part of their value. All
    elements are within the bounds of a lower precision. If several precisions fit, the one whose largest
    |error| / bound is nearest to the usual ratio is named.

    Args:
        compared: comparisons of all quantities of the evaluation.
        precision: the model in which the evaluation failed.
        largest_ratio: function that returns the largest |error| / bound of the evaluation in another model.

    Returns:
        A sentence with the name of the format.
    """
    wrong = [quantity for quantity in compared.values() if (quantity.ratio > 1).any()]
    if not wrong:
        return None
    for form in reversed(FORMATS.values()):
        if form.u > precision.u and all(
            fits(each.actual, form.u) and has_digits(each.actual) and not fits(each.expected, form.u) for each in wrong
        ):
            bits = 1 - round(np.log2(2 * form.u))
            return f"Looks like {form.name}: every value of the wrong quantities fits in {bits} bits."
    count = sum(np.count_nonzero(each.ratio > 1) for each in wrong)
    if count < ENOUGH or not all(is_rounding(each) for each in wrong if (each.expected != 0).any()):
        return None
    ratios = {name: largest_ratio(model) for name, model in lower_precisions(precision)}
    ratios = {name: ratio for name, ratio in ratios.items() if LEAST < ratio <= 1}
    if not ratios:
        return None
    name = min(ratios, key=lambda name: abs(np.log(ratios[name] / USUAL)))
    return f"Looks like {name}: the largest error is {ratios[name]:.2g} x the bound of a correct run in it."


def is_rounding(quantity: Comparison) -> bool:
    """Return whether most non-zero elements of a quantity are wrong, and by a small part of their value."""
    there = quantity.expected != 0
    with np.errstate(invalid="ignore", over="ignore"):
        part = np.abs(quantity.actual - quantity.expected)[there] / np.abs(quantity.expected[there])
    return bool(np.median(quantity.ratio[there]) > 1 and np.median(part) < LITTLE)


def lower_precisions(precision: Precision) -> Iterator[tuple[str, Precision]]:
    """Yield the names and models of the lower precisions that a dtype may hide, the highest precision first."""
    if precision.is_mixed:
        yield f"{precision.name}, sums included", precision.with_accumulator(precision.name)
    for form in FORMATS.values():
        if form.u > precision.u:
            yield form.name, precision.as_if(form)


def has_digits(array: NDArray[Any]) -> bool:
    """Return whether an array has a number with digits: neither zero, nor infinite, nor NaN."""
    return bool(np.any(array[np.isfinite(array)]))


def fits(array: NDArray[Any], u: float) -> bool:
    """Return whether a format with unit roundoff u has enough digits for every number of an array."""
    found = array[np.isfinite(array)].astype(np.float64)
    return bool((chop(found, 1 - round(np.log2(2 * u))) == found).all())


def chop(array: Any, bits: int) -> Any:
    """Round to a significand of ``bits`` bits, the leading one included; ties to even, any exponent."""
    significand, exponent = np.frexp(array)
    return np.ldexp(np.rint(significand * 2**bits), exponent - bits)  # multiplying by a float would promote bfloat16
