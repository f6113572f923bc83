"""The cost of the proof: certify against evaluate, in time and in memory."""

from __future__ import annotations

import itertools
import tracemalloc
from collections.abc import Callable
from functools import partial
from typing import Any

from reference import Case, evaluate
from tests.benchmarks.growth import judged
from tests.benchmarks.oracle import SIZES
from tests.benchmarks.timing import Table, times


def peak(subject: Callable[[], Any]) -> int:
    """Return the peak number of bytes that a call allocates."""
    tracemalloc.start()
    subject()
    _, most = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    return most


def compare() -> Table:
    """Return the table: the time of certify over that of evaluate, and its memory over that of the case."""
    rows: list[list[str | float]] = []
    for cell, (T, N, D, H) in itertools.product(("rnn", "lstm", "gru"), SIZES):
        case = Case.random(T, N, D, H, dtype="float32", cell=cell).probed()
        certificate = judged(case)
        found = times({"certify": certificate, "evaluate": partial(evaluate, case)})
        size = sum(array.nbytes for array in case.arrays().values())
        ratios = found["certify"] / found["evaluate"], peak(certificate) / size
        rows.append([cell, f"{T}, {N}, {D}, {H}", *ratios])
    return Table(("cell", "T, N, D, H", "certify / evaluate, time", "certify / case, memory"), rows)
