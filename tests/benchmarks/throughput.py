"""Cases judged in a second by each adapter in each precision, cold and warm, over a test as people write it."""

from __future__ import annotations

import dataclasses
import time
from collections.abc import Callable
from typing import Any

import jax

import adapters.jax
import adapters.torch
from adapters import Adapter
from adapters.conformance.checks import STEP, Asked, Check, run
from adapters.conformance.choices import EXAMPLES
from adapters.conformance.result import Result
from tests.benchmarks.judging import check_grads, gradcheck, naive, one_by_one
from tests.benchmarks.timing import Table

# Steps of the cases.
LENGTHS = (1, 8)
# The check "step", of so many steps.
OF_LENGTHS = [dataclasses.replace(STEP, lengths=(T,)) for T in LENGTHS]
# Framework: its cell as that test calls it, the name of its check by finite differences, and that check.
OTHERS: dict[str, tuple[Callable[..., Any], str, Callable[..., Any]]] = {
    "jax": (adapters.jax.run_scan, "check_grads", check_grads),
    "torch": (adapters.torch.step_cell, "gradcheck", gradcheck),
}


def suite(adapter: Adapter, dtype: str, check: Check) -> list[float]:
    """Return cases a second, everything included: cold, and the same once more, when all is compiled."""
    jax.clear_caches()
    found = []
    for _ in ("cold", "warm"):
        result, begun = Result(check.name), time.perf_counter()
        run(check, Asked(adapter, dtype, examples=EXAMPLES, seed=0), result)
        found.append(result.cases / (time.perf_counter() - begun))
    return found


def compare() -> Table:
    """Return the table: cases a second over those of the test that people write, cold, of the same framework and T."""
    rows: list[list[str | float]] = []
    for framework, (compute, other, judge) in OTHERS.items():
        rates = [one_by_one(judge, T) / naive(compute, (T,)) for T in LENGTHS]
        rows.append([f"{framework}: {other}", "float64", *(rate for rate in rates for _ in ("cold", "warm"))])
        for adapter in adapters.load(framework):
            # Anew beside each: a machine may change its speed within minutes.
            plain = [naive(compute, (T,)) for T in LENGTHS]
            for dtype in adapter.dtypes:
                found = zip(OF_LENGTHS, plain, strict=True)
                ratios = [rate / one for check, one in found for rate in suite(adapter, dtype, check)]
                rows.append([adapter.name, dtype, *ratios])
    return Table(("judged by", "dtype", *(f"T = {T}, {how}" for T in LENGTHS for how in ("cold", "warm"))), rows)
