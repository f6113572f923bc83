"""How a loss of precision shows: too few digits, or errors of the size that a coarser format makes."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from reference.comparison import Comparison
from reference.precision import FORMATS, Precision

# The largest |error| / bound of correct code is about this, and never below the second, however long its sums are.
USUAL, LEAST = 0.2, 0.02
# The largest part of a value that its rounding may be, in the median: 512 terms added up in bfloat16 lose a twelfth.
LITTLE = 0.25


def coarser_arithmetic(
    compared: Mapping[str, Comparison], precision: Precision, largest_ratio: Callable[[Precision], float]
) -> str | None:
    """Name the coarser arithmetic in which a failing evaluation would be right; None if there is none.

    The digits show in which format a number was stored. The size of the errors is evidence only if most of the
    elements that can be wrong are, by little of their value, and all are within the bounds of a coarser
    arithmetic: it is the one in which the largest comes as near to its bound as that of correct code usually does.

    Args:
        compared: each quantity of the evaluation.
        precision: the model in which it failed.
        largest_ratio: returns the largest |error| / bound of the same evaluation in another model.

    Returns:
        The account, with the name of the format.
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
    if not all(is_rounding(each) for each in wrong if (each.expected != 0).any()):
        return None
    ratios = {name: largest_ratio(model) for name, model in coarser(precision)}
    ratios = {name: ratio for name, ratio in ratios.items() if LEAST < ratio <= 1}
    if not ratios:
        return None
    name = min(ratios, key=lambda name: abs(np.log(ratios[name] / USUAL)))
    return f"Looks like {name}: the largest error is {ratios[name]:.2g} x the bound of a correct run in it."


def is_rounding(quantity: Comparison) -> bool:
    """Return whether most elements of a quantity that are not zero are wrong, and by little of their value."""
    there = quantity.expected != 0
    with np.errstate(invalid="ignore", over="ignore"):
        part = np.abs(quantity.actual - quantity.expected)[there] / np.abs(quantity.expected[there])
    return bool(np.median(quantity.ratio[there]) > 1 and np.median(part) < LITTLE)


def coarser(precision: Precision) -> Iterator[tuple[str, Precision]]:
    """Give the coarser arithmetics that a precision's dtype may hide, the finest first, and their names."""
    if precision.is_mixed:
        yield f"{precision.name}, sums included", precision.with_accumulator(precision.name)
    for form in FORMATS.values():
        if form.u > precision.u:
            yield form.name, precision.as_if(form)


def has_digits(array: NDArray[Any]) -> bool:
    """Return whether some number has digits to look at: it is neither zero, nor infinite, nor NaN."""
    return bool(np.any(array[np.isfinite(array)]))


def fits(array: NDArray[Any], u: float) -> bool:
    """Return whether a format of unit roundoff u has digits enough for all numbers of an array."""
    found = array[np.isfinite(array)].astype(np.float64)
    return bool((chop(found, 1 - round(np.log2(2 * u))) == found).all())


def chop(array: Any, bits: int) -> Any:
    """Round to a significand of ``bits`` bits, the leading one included; ties to even, any exponent."""
    significand, exponent = np.frexp(array)
    return np.ldexp(np.rint(significand * 2**bits), exponent - bits)  # a float would turn bfloat16 into float32
