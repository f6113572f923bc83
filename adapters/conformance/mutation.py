"""The mutation score of the suite itself: whether it catches every fault of the catalogue, and after how many cases."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from functools import partial
from operator import attrgetter

from rich.console import Console
from rich.table import Table
from rich.text import Text

from adapters.conformance.screen import bar
from reference.faults import CATALOGUE, COMPUTED
from reference.mutation_score import CASES, LIMIT, SHARE, Row, false_alarms, score, sensitivity

# Stacks of cases on which correct code is tried, and the number of cases in each.
EXAMPLES, STACK = 20, 50


def run(cells: Sequence[str], dtypes: Sequence[str], seeds: int, console: Console) -> int:
    """Run the catalogue of each cell, print the tables, and return the exit status.

    Args:
        cells: as of ``Case``.
        dtypes: of the cases.
        seeds: number of independent runs of each fault.
        console: prints the tables.

    Returns:
        0 if every fault was caught for every seed and correct code raised no alarm, else 1.
    """
    return max(run_cell(cell, dtypes, seeds, console) for cell in cells)


def run_cell(cell: str, dtypes: Sequence[str], seeds: int, console: Console) -> int:
    """Do the same for one cell."""
    faults = CATALOGUE[cell].values()
    total = sum(dtype not in fault.hidden_in(cell) for fault in faults for dtype in dtypes)
    with bar(console, total, f"faults of the {cell} and precisions") as update:
        rows = score(dtypes, range(seeds), partial(update, advance=1), cell=cell)
        alarms = {dtype: false_alarms(dtype, EXAMPLES, stack=STACK, cell=cell) for dtype in dtypes}
        smallest = {dtype: sensitivity(dtype, cell=cell) for dtype in dtypes}
    for found in (table(rows), hidden_table(cell, dtypes), sensitivity_table(smallest)):
        console.print(found)
    for dtype, (judged, raised) in alarms.items():
        console.print(f"correct code in {dtype}: {raised} alarms in {judged:,} cases")
    missed = [f"{row.fault.name} in {row.dtype}" for row in rows if row.caught < 1]
    caught = len(rows) - len(missed)
    counted = f"{caught} of {len(rows)} caught within {LIMIT} cases, {seeds} seeds each"
    console.print(f"{cell}: {counted}; {len(faults)} faults")
    for name in missed:
        console.print(Text.assemble(("missed", "red"), f"  {name}"))
    return 1 if missed or not rows or any(raised for _, raised in alarms.values()) else 0


def table(rows: Sequence[Row]) -> Table:
    """Return the table of all faults: the cases that each took in every precision, and what gave it away."""
    dtypes = sorted({row.dtype for row in rows}, key=COMPUTED.index)
    title = "mutation score: cases until caught, and by what"
    found = Table("family", "fault", *dtypes, title=title, title_style="dim")
    for fault, group in itertools.groupby(rows, key=attrgetter("fault")):
        cells = {row.dtype: cell(row) for row in group}
        found.add_row(fault.family, fault.name, *(cells.get(dtype, "-") for dtype in dtypes))
    return found


def cell(row: Row) -> Text:
    """Return the median number of cases and what gave the fault away, or the share of seeds for which it was caught."""
    return Text(f"{row.cases:g}  {row.by}") if row.caught == 1 else Text(f"{row.caught:.0%}", "red")


def hidden_table(cell: str, dtypes: Sequence[str]) -> Table:
    """Return the table of the faults that are no more than a rounding in a precision, with the reason."""
    found = Table("fault", "hidden in", "because", title="faults that a precision hides", title_style="dim")
    for fault in CATALOGUE[cell].values():
        reasons = fault.hidden_in(cell)
        hiding = [dtype for dtype in dtypes if dtype in reasons]
        for why, group in itertools.groupby(hiding, key=reasons.__getitem__):
            found.add_row(fault.name, ", ".join(group), why)
    return found


def sensitivity_table(smallest: dict[str, dict[str, float]]) -> Table:
    """Return the table of the smallest detected errors, a row for every precision."""
    title = f"error of one element, relative to the largest, detected in {SHARE:.0%} of {CASES:,} cases"
    found = Table("precision", *next(iter(smallest.values()), {}), title=title, title_style="dim")
    for dtype, errors in smallest.items():
        found.add_row(dtype, *(f"{error:.1e}" for error in errors.values()))
    return found
