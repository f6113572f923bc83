"""Time functions in turn, A B C A B C, in one process, so that a change of the machine's speed affects all."""

from __future__ import annotations

import platform
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from statistics import median
from typing import Any

# Rounds of every comparison, and seconds after which no further round starts.
ROUNDS, ENOUGH = 9, 8.0


def times(subjects: Mapping[str, Callable[[], Any]], rounds: int = ROUNDS) -> dict[str, float]:
    """Return the median wall time of every subject in seconds, after one run of each subject that is not counted."""
    for subject in subjects.values():
        subject()
    found: dict[str, list[float]] = {name: [] for name in subjects}
    begun = time.perf_counter()
    while len(next(iter(found.values()))) < rounds and (
        time.perf_counter() - begun < ENOUGH or not all(found.values())
    ):
        for name, subject in subjects.items():
            found[name].append(seconds(subject))
    return {name: median(taken) for name, taken in found.items()}


def seconds(subject: Callable[[], Any]) -> float:
    """Return the wall time of one call in seconds."""
    begun = time.perf_counter()
    subject()
    return time.perf_counter() - begun


@dataclass(frozen=True)
class Table:
    """A table of words and ratios; ``str`` returns Markdown."""

    head: tuple[str, ...]
    rows: list[list[str | float]]

    def __str__(self) -> str:
        lines = [self.head, ["---"] * len(self.head), *(map(spelled, row) for row in self.rows)]
        return "".join(f"| {' | '.join(line)} |\n" for line in lines)


def spelled(entry: str | float) -> str:
    """Return an entry of a table as text; a ratio has two or three digits."""
    if isinstance(entry, str):
        return entry
    return f"{entry:.2f}" if entry < 10 else f"{entry:.0f}"


def machine() -> str:
    """Return a description of the machine."""
    model = platform.processor() or platform.machine()
    try:
        with open("/proc/cpuinfo", encoding="utf-8") as file:
            model = next(line.partition(":")[2].strip() for line in file if line.startswith("model name"))
    except (OSError, StopIteration):
        pass
    return f"{model}, Python {platform.python_version()}, one core"
