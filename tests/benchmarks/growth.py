"""The growth of the times of evaluate and certify with the sizes: slopes on logarithmic axes, and a plot."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from reference import PRECISIONS, Case, certify, evaluate
from tests.benchmarks.timing import Table, times

# From a variable to its values, and to the fixed values of the other sizes.
SWEEPS: dict[str, tuple[tuple[int, ...], dict[str, int]]] = {
    "T": ((100, 300, 1000, 3000, 10_000), {"N": 16, "D": 32, "H": 32}),
    "N": ((8, 32, 128, 512), {"T": 50, "D": 32, "H": 32}),
    "H": ((32, 64, 128, 256, 512), {"T": 20, "N": 16, "D": 32}),
}
Seconds = dict[str, list[float]]  # times of evaluate and of certify for each size


def judged(case: Case) -> Callable[[], Any]:
    """Return a function that certifies a right evaluation."""
    answer = evaluate(case).astype(case.dtype)
    return lambda: certify(case, answer, PRECISIONS[case.dtype]).status


def measure(sizes: Sequence[int], variable: str, others: Mapping[str, int]) -> Seconds:
    """Return the times of evaluating and of certifying in float32, side by side for each size."""
    found: Seconds = {"evaluate": [], "certify": []}
    for size in sizes:
        sizes_of = {variable: size, **others}
        case = Case.random(*(sizes_of[name] for name in "TNDH"), dtype="float32").probed()
        for name, seconds in times({"evaluate": partial(evaluate, case), "certify": judged(case)}).items():
            found[name].append(seconds)
    return found


def slope(sizes: Sequence[int], seconds: Sequence[float]) -> float:
    """Return the slope of a line through times over sizes, both as logarithms: 1 is linear, 2 quadratic."""
    return float(np.polyfit(np.log(sizes), np.log(seconds), 1)[0])


def compare(picture: Path) -> Table:
    """Return the table of slopes, and draw the measured times."""
    found = {variable: measure(sizes, variable, others) for variable, (sizes, others) in SWEEPS.items()}
    draw(found, picture)
    rows: list[list[str | float]] = []
    for variable, (sizes, others) in SWEEPS.items():
        held = ", ".join(f"{name}={size}" for name, size in others.items())
        slopes = (slope(sizes, seconds) for seconds in found[variable].values())
        rows.append([f"{variable} from {sizes[0]:,} to {sizes[-1]:,}", held, *slopes])
    return Table(("slope of the time over", "at", "evaluate", "certify"), rows)


def draw(found: Mapping[str, Seconds], path: Path) -> None:
    """Draw the times over the sizes, one panel for each variable."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(12, 4), layout="constrained")
    for axes, (variable, (sizes, _)) in zip(figure.subplots(1, len(SWEEPS)), SWEEPS.items(), strict=True):
        for name, seconds in found[variable].items():
            axes.loglog(sizes, seconds, "o-", label=f"{name}, slope {slope(sizes, seconds):.2f}")
        axes.set(xlabel=variable, ylabel="seconds")
        axes.legend()
    figure.savefig(path)
