"""What several tests need of a diagnosis: the cases that show every fault, and that it is named."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Sequence
from functools import cache
from typing import Any

import numpy as np

from reference import Case, Precision
from reference.explain import Diagnosis, explain
from reference.faults import COMPUTED, Fault
from reference.trial import Subject

# Faults that do the same to some cases, in every element.
TWINS = (
    {"relu's derivative of h >= 0", "derivative forgotten"},
    {"upstream of the last step only", "recurrent gradient replaces upstream"},
    {"products in TF32", "products in float16"},
    {"dh0 missing where D <= H", "h0 detached"},
    {"Wx transposed where D = H", "Wx reshaped instead of transposed"},
    {"inputs squeezed where D = 1", "batch first read as time first"},
)
# Faults of other families than "contract" that only a second call of the same case brings to light.
SECOND_CALL = {"state kept from the last call", "gradients grow from call to call"}

SIZES: dict[str, Any] = {"T": 6, "N": 3, "D": 2, "H": 4, "seed": 1}


@cache
def plain(dtype: str = "float64", **options: Any) -> Case:
    """Return a probed case of moderate sizes; the same object for the same options."""
    return Case.random(**(SIZES | {"dtype": dtype} | options)).probed()


def scaled(case: Case, **powers: int) -> Case:
    """Return a case with some arrays multiplied by a power of two."""
    arrays = {name: np.ldexp(getattr(case, name), power) for name, power in powers.items()}
    return dataclasses.replace(case, **arrays)


# Each fault is shown in the first of these cases in which it can be recognised.
CASES = {
    dtype: (
        plain(dtype),
        plain(dtype, nonlinearity="relu"),
        plain(dtype, nonlinearity="relu", values="integers", seed=2),
        plain(dtype, values="nan"),
        plain(dtype, N=1),
        scaled(plain(dtype), xs=2),
        scaled(plain(dtype), upstream=-16),
        Case.random(**SIZES | {"dtype": dtype, "T": 3}),
        Case.random(**SIZES | {"dtype": dtype, "T": 3, "D": 4}),
        Case.random(**SIZES | {"dtype": dtype, "T": 3, "D": 1}),
        plain(dtype, D=7),
        plain(dtype, H=6),
    )
    for dtype in COMPUTED
}


def diagnosed(make: Callable[[], Subject], dtype: str, precision: Precision) -> Diagnosis:
    """Return the diagnosis of a subject, made afresh for each case, in the first case in which it can be recognised.

    Raises:
        AssertionError: there is none.
    """
    for case in CASES[dtype]:
        found = explain(case, make()(case.map(np.array)), precision)
        if found.status == "fail" and found.comparable:
            return found
    raise AssertionError("expected a case that shows the fault, got none")


def is_seen_by_a_trial_alone(fault: Fault) -> bool:
    """Return whether one evaluation never shows a fault, but a trial, of two calls, does."""
    return (fault.family == "contract" and fault.name != "NaN laundered into 0") or fault.name in SECOND_CALL


def case_of_a_trial(fault: Fault, dtype: str) -> Case:
    """Return the case that shows a fault that is seen by a trial alone."""
    return plain(dtype, N=1) if fault.name == "axes of length 1 squeezed" else plain(dtype)


def assert_named(found: Diagnosis, *names: str, twins: Sequence[set[str]] = TWINS) -> None:
    """Raise unless these are named and no other but one that does the same, and that is said."""
    allowed = set(names).union(*(each for each in twins if each & set(names)))
    if not set(names) <= found.names <= allowed:
        raise AssertionError(f"expected {names}, got {found.names}: {found}")
    if ("indistinguishable" in str(found)) != (len(found.names) > 1):
        raise AssertionError(f"expected the account to state whether {found.names} are distinguishable, got: {found}")
    if set(found.wrong) & set(found.right):
        raise AssertionError(f"expected quantities to be right or wrong, got both: {found}")
