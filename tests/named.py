"""Shared by the tests of the diagnosis: cases that show every fault, and a check that the fault is named."""

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

# Groups of faults that have the same effect on some cases, in every element.
TWINS = (
    {"relu's derivative of h >= 0", "derivative forgotten"},
    {"upstream of the last step only", "recurrent gradient replaces upstream"},
    {"detached before the last step", "BPTT truncated at 5"},
    {"products in TF32", "products in float16"},
    {"dh0 missing where D <= H", "h0 detached", "BPTT truncated at 3, h0 included", "dh0 missing where h0 is zero"},
    {"db missing where b is zero", "db missing"},
    {"step 0 of an odd T missing", "step 0 missing"},
    {"assigned where N = 1", "overwritten instead of accumulated"},
    {"Wx transposed where D = H", "Wx reshaped instead of transposed"},
    {"inputs squeezed where D = 1", "batch first read as time first"},
)
# Faults outside the family "contract" that show only in a second call with the same case.
SECOND_CALL = {"state kept from the last call", "gradients grow from call to call", "dh kept from the last call"}
# Faults that show only after a call with other numbers of the same shape.
REMEMBERING = {"weights of the first call kept"}

SIZES: dict[str, Any] = {"T": 6, "N": 3, "D": 2, "H": 4, "seed": 1}


@cache
def plain(dtype: str = "float64", **options: Any) -> Case:
    """Return a probed case of moderate sizes; equal options give the same object."""
    return Case.random(**(SIZES | {"dtype": dtype} | options)).probed()


def scaled(case: Case, **powers: int) -> Case:
    """Return a case with some arrays multiplied by a power of two."""
    arrays = {name: np.ldexp(getattr(case, name), power) for name, power in powers.items()}
    return dataclasses.replace(case, **arrays)


# Each fault is tested on the first of these cases in which it can be recognised.
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
        # Sizes beyond a block of 32, an odd T, no bias, and zeros in the places where they have a meaning.
        plain(dtype, H=34),
        plain(dtype, N=34),
        plain(dtype, T=34),
        plain(dtype, T=5),
        plain(dtype, bias=False),
        plain(dtype, values="zeros"),
        plain(dtype, upstream="last"),
    )
    for dtype in COMPUTED
}


def diagnosed(make: Callable[[], Subject], dtype: str, precision: Precision) -> Diagnosis:
    """Return the diagnosis of a subject in the first case in which it can be recognised; each case has a new subject.

    Raises:
        AssertionError: there is no such case.
    """
    for case in CASES[dtype]:
        found = explain(case, make()(case.map(np.array)), precision)
        if found.status == "fail" and found.comparable:
            return found
    raise AssertionError("expected a case that shows the fault, got none")


def is_seen_by_a_trial_alone(fault: Fault) -> bool:
    """Return whether a fault shows only in a trial, which makes two calls, and never in one evaluation."""
    if fault.name in REMEMBERING | {"NaN laundered into 0"}:
        return False
    return fault.family == "contract" or fault.name in SECOND_CALL


def needs_calls(fault: Fault) -> bool:
    """Return whether a fault never shows in one evaluation."""
    return is_seen_by_a_trial_alone(fault) or fault.name in REMEMBERING


def case_of_a_trial(fault: Fault, dtype: str) -> Case:
    """Return the case for a fault that shows only in a trial."""
    return plain(dtype, N=1) if fault.name == "axes of length 1 squeezed" else plain(dtype)


def assert_named(found: Diagnosis, *names: str, twins: Sequence[set[str]] = TWINS) -> None:
    """Raise unless the diagnosis names these faults, and otherwise only faults that it calls indistinguishable."""
    allowed = set(names).union(*(each for each in twins if each & set(names)))
    if not set(names) <= found.names <= allowed:
        raise AssertionError(f"expected {names}, got {found.names}: {found}")
    if ("indistinguishable" in str(found)) != (len(found.names) > 1):
        raise AssertionError(f"expected the account to state whether {found.names} are distinguishable, got: {found}")
    if set(found.wrong) & set(found.right):
        raise AssertionError(f"expected quantities to be right or wrong, got both: {found}")
