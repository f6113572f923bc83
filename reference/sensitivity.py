"""How small an error of a single element is told from rounding: what the suite resolves, by precision and quantity.

Correct code is run on many cases of everyday sizes. In each a random element of a quantity is looked at: an error
leaves its bound for certain, whatever its sign, from

    bound + |error of correct code| + rounding of the wrong number to storage

on, which is taken relative to the largest element of the quantity in that case.
"""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from reference.case import Case
from reference.certify import certify
from reference.evaluation import Evaluation
from reference.faults import compute
from reference.precision import PRECISIONS
from reference.rounding import INFLATE, Values
from reference.verdict import GRADIENTS, QUANTITIES, Verdict

# Everyday sizes, T, N, D and H, and the number of cases.
SIZES, CASES = (5, 4, 3, 6), 1000
# The share of the cases in which an error has to be detected to count as such.
SHARE = 0.99


@dataclass(frozen=True, eq=False)
class Detectable:
    """The smallest errors of one element each of one quantity, in a stack of cases."""

    place: tuple[NDArray[np.intp], ...]  # index of the element of each case
    error: Values  # (K,): absolute, the smallest that leaves the element's bound whatever its sign
    largest: Values  # (K,): largest absolute value of the quantity

    @property
    def relative(self) -> float:
        """The error, relative to the largest element, that is detected in ``SHARE`` of the cases."""
        return float(np.quantile(self.error / self.largest, SHARE, method="higher"))


def everyday(dtype: str, seed: int = 0) -> Case:
    """Return the stack of cases, of tanh, with a bias and probed."""
    return Case.random(*SIZES, seed=seed, dtype=dtype, stack=CASES).probed()


def detectable(verdict: Verdict, quantity: str, seed: int = 0) -> Detectable:
    """Return the smallest errors that the bounds of a quantity detect.

    Args:
        verdict: on correct code, of a stack.
        quantity: h, dx, dh0, dWx, dWh or db; of those that a probe lengthens, what is not the probe's.
        seed: of the choice of elements.

    Returns:
        One error a case, of an element chosen at random.
    """
    judged, form = verdict.judged[quantity], verdict.precision.storage
    got, error, bound = (
        unprobed(array, quantity, verdict.case) for array in (judged.got, judged.got - judged.want, judged.bound)
    )
    K = len(got)
    flat = np.random.default_rng(seed).integers(got[0].size, size=K)
    place = (np.arange(K), *np.unravel_index(flat, got.shape[1:]))
    used, value = np.abs(error[place]), np.abs(got[place])
    size = INFLATE * (bound[place] + used + form.u * (value + form.tiny)) / (1 - form.u)
    return Detectable(place, size, np.abs(got).reshape(K, -1).max(axis=1))


def unprobed(array: NDArray[Any], quantity: str, case: Case) -> NDArray[Any]:
    """Return a quantity without what the probe adds: columns of dx, rows of dWx."""
    D = case.unprobed().sizes["D"]
    return array[..., :D] if quantity == "dx" else array[..., :D, :] if quantity == "dWx" else array


def displaced(evaluation: Evaluation, quantity: str, place: tuple[NDArray[np.intp], ...], by: Values) -> Evaluation:
    """Return the evaluation with one element of each case displaced, and rounded to storage."""
    field = next(field for field, name in QUANTITIES.items() if name == quantity)
    array = np.array(getattr(evaluation, field))
    array[place] = (array[place].astype(np.float64) + by).astype(array.dtype)
    return dataclasses.replace(evaluation, **{field: array})


def sensitivity(dtype: str, seed: int = 0) -> dict[str, float]:
    """Return the smallest error of an element that is detected in 99 % of 1,000 cases, per quantity.

    Args:
        dtype: one of those that the catalogue computes in.
        seed: of the cases and of the elements.

    Returns:
        The error by quantity (h, dx, dh0, dWx, dWh, db), relative to the quantity's largest element.
    """
    case = everyday(dtype, seed)
    verdict = certify(case, compute(case), PRECISIONS[dtype])
    return {quantity: detectable(verdict, quantity, seed).relative for quantity in GRADIENTS}
