"""What the proof costs: certify beside evaluate, in time and in memory, and how both grow with the sizes."""

from __future__ import annotations

import tracemalloc
from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np

from reference import PRECISIONS, Case, certify, evaluate
from tests.benchmarks.oracle import SIZES
from tests.benchmarks.timing import table, times

LENGTHS = (100, 1000, 10_000)


def judged(case: Case) -> Callable[[], Any]:
    """Return the certificate of a right answer."""
    answer = evaluate(case).astype(case.dtype)
    return lambda: certify(case, answer, PRECISIONS[case.dtype]).status


def peak(subject: Callable[[], Any]) -> int:
    """Return the largest number of bytes that a call holds at once."""
    tracemalloc.start()
    subject()
    _, most = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    return most


def compare() -> str:
    """Return the table: certify over evaluate, and the memory of certify over that of the case."""
    rows = []
    for T, N, D, H in SIZES:
        case = Case.random(T, N, D, H, dtype="float32").probed()
        certificate = judged(case)
        found = times({"certify": certificate, "evaluate": partial(evaluate, case)})
        size = sum(array.nbytes for array in (*case.moving().values(), case.upstream))
        ratios = found["certify"] / found["evaluate"], peak(certificate) / size
        rows.append([f"{T}, {N}, {D}, {H}", *(f"{ratio:.1f}" for ratio in ratios)])
    return table(("T, N, D, H", "certify / evaluate, time", "certify / case, memory"), rows)


def slopes() -> str:
    """Return the table: the slope of the time over T, on axes of logarithms; 1 is linear."""
    taken: dict[str, list[float]] = {"evaluate": [], "certify": []}
    for T in LENGTHS:
        case = Case.random(T, N=1, D=8, H=8, dtype="float32").probed()
        found = times({"evaluate": partial(evaluate, case), "certify": judged(case)}, rounds=5)
        for name, seconds in found.items():
            taken[name].append(seconds)
    rows = [[name, f"{np.polyfit(np.log(LENGTHS), np.log(seconds), 1)[0]:.2f}"] for name, seconds in taken.items()]
    return table(("T from 100 to 10,000", "slope"), rows)
