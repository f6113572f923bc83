"""Cases per second of each adapter in each precision, cold and warm, divided by those of a usual test."""

from __future__ import annotations

import dataclasses
import time
from collections.abc import Callable, Iterable, Mapping
from functools import partial
from statistics import median
from typing import Any

import jax

import adapters
from adapters import Adapter
from adapters.conformance import STACKS
from adapters.conformance.checks import STEP, Plan
from adapters.conformance.judge import judge
from reference import Case
from tests.benchmarks.judging import ROUNDS, check_grads, computing, gradcheck, naive, one_by_one
from tests.benchmarks.timing import Table

# Steps of the cases.
LENGTHS = (1, 8)
# The check "step" with these numbers of steps.
OF_LENGTHS = [dataclasses.replace(STEP, lengths=(T,)) for T in LENGTHS]
# From a framework to the adapter that the usual test calls, and its check by finite differences with its name.
OTHERS: dict[str, tuple[str, str, Callable[..., Any]]] = {
    "jax": ("jax.scan", "check_grads", check_grads),
    "torch": ("torch.RNNCell", "gradcheck", gradcheck),
}


def suite(adapter: Adapter, dtype: str) -> list[float]:
    """Return cases per second for each length, with all overhead: cold, and again with everything compiled."""
    found = []
    for check in OF_LENGTHS:
        jax.clear_caches()
        for _ in ("cold", "warm"):
            begun = time.perf_counter()
            result = judge(check, adapter, dtype, Plan(STACKS, seed=0))
            found.append(result.cases / (time.perf_counter() - begun))
    return found


def by_differences(judge: Callable[[Case], Any]) -> list[float]:
    """Return cases per second for each length of a check by finite differences."""
    return cold_and_warm(one_by_one(judge, T) for T in LENGTHS)


def cold_and_warm(rates: Iterable[float]) -> list[float]:
    """Return each rate twice, for methods that are equally fast cold and warm, or always start cold."""
    return [rate for rate in rates for _ in ("cold", "warm")]


def in_turn(compute: Callable[..., Any], subjects: Mapping[str, Callable[[], list[float]]]) -> dict[str, list[float]]:
    """Return medians over all rounds of the cases per second of subjects, divided by those of the usual test.

    Args:
        compute: the cell in the form that the usual test calls.
        subjects: functions by name; each returns cases per second for each of ``LENGTHS``, cold and warm.
    """
    found: dict[str, list[list[float]]] = {name: [] for name in subjects}
    for _ in range(ROUNDS):
        # Repeated in each round, because the speed of a machine may change within minutes.
        plain = cold_and_warm(naive(compute, (T,)) for T in LENGTHS)
        for name, subject in subjects.items():
            found[name].append([rate / one for rate, one in zip(subject(), plain, strict=True)])
    return {name: list(map(median, zip(*rounds, strict=True))) for name, rounds in found.items()}


def compare() -> Table:
    """Return the table: cases per second divided by those of the usual test, cold, with the same framework and T."""
    rows: list[list[str | float]] = []
    for framework, (name, other, differences) in OTHERS.items():
        compute = computing(name)
        found = in_turn(compute, {"float64": partial(by_differences, differences)})
        rows += [[f"{framework}: {other}", dtype, *ratios] for dtype, ratios in found.items()]
        for adapter in adapters.load(f"{framework}.*"):
            found = in_turn(compute, {dtype: partial(suite, adapter, dtype) for dtype in adapter.dtypes})
            rows += [[adapter.name, dtype, *ratios] for dtype, ratios in found.items()]
    return Table(("judged by", "dtype", *(f"T = {T}, {how}" for T in LENGTHS for how in ("cold", "warm"))), rows)
