"""Cases judged in a second by each adapter in each precision, cold and warm, over a test as people write it."""

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
# The check "step", of so many steps.
OF_LENGTHS = [dataclasses.replace(STEP, lengths=(T,)) for T in LENGTHS]
# Framework: the adapter that the test calls, the name of its check by finite differences, and that check.
OTHERS: dict[str, tuple[str, str, Callable[..., Any]]] = {
    "jax": ("jax.scan", "check_grads", check_grads),
    "torch": ("torch.RNNCell", "gradcheck", gradcheck),
}


def suite(adapter: Adapter, dtype: str) -> list[float]:
    """Return cases a second of each length, everything included: cold, and once more, when all is compiled."""
    found = []
    for check in OF_LENGTHS:
        jax.clear_caches()
        for _ in ("cold", "warm"):
            begun = time.perf_counter()
            result = judge(check, adapter, dtype, Plan(STACKS, seed=0))
            found.append(result.cases / (time.perf_counter() - begun))
    return found


def by_differences(judge: Callable[[Case], Any]) -> list[float]:
    """Return cases a second of each length of a check by finite differences."""
    return cold_and_warm(one_by_one(judge, T) for T in LENGTHS)


def cold_and_warm(rates: Iterable[float]) -> list[float]:
    """Return each rate twice: of what is as fast cold as it is warm, or always from cold."""
    return [rate for rate in rates for _ in ("cold", "warm")]


def in_turn(compute: Callable[..., Any], subjects: Mapping[str, Callable[[], list[float]]]) -> dict[str, list[float]]:
    """Return the medians over all rounds of what subjects judge a second, over the test that people write beside them.

    Args:
        compute: the cell as that test calls it.
        subjects: name: what returns cases a second for each of ``LENGTHS``, cold and warm.
    """
    found: dict[str, list[list[float]]] = {name: [] for name in subjects}
    for _ in range(ROUNDS):
        # Anew in each round: a machine may change its speed within minutes.
        plain = cold_and_warm(naive(compute, (T,)) for T in LENGTHS)
        for name, subject in subjects.items():
            found[name].append([rate / one for rate, one in zip(subject(), plain, strict=True)])
    return {name: list(map(median, zip(*rounds, strict=True))) for name, rounds in found.items()}


def compare() -> Table:
    """Return the table: cases a second over those of the test that people write, cold, of the same framework and T."""
    rows: list[list[str | float]] = []
    for framework, (name, other, differences) in OTHERS.items():
        compute = computing(name)
        found = in_turn(compute, {"float64": partial(by_differences, differences)})
        rows += [[f"{framework}: {other}", dtype, *ratios] for dtype, ratios in found.items()]
        for adapter in adapters.load(framework):
            found = in_turn(compute, {dtype: partial(suite, adapter, dtype) for dtype in adapter.dtypes})
            rows += [[adapter.name, dtype, *ratios] for dtype, ratios in found.items()]
    return Table(("judged by", "dtype", *(f"T = {T}, {how}" for T in LENGTHS for how in ("cold", "warm"))), rows)
