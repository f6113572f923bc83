"""The mutation score of the suite itself: every fault of the catalogue, caught or not, after how many cases."""

from __future__ import annotations

import json
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table

from adapters.conformance.bar import bar
from reference.faults import FAULTS
from reference.teeth import LIMIT, Row, false_alarms, score

# Stacks of cases on which correct code is tried, and cases in each.
EXAMPLES, STACK = 20, 50


def run(dtypes: Sequence[str], seeds: int, console: Console, json_file: str | None) -> int:
    """Run the catalogue, print the table, and tell whether the suite caught everything and no correct code.

    Args:
        dtypes: of the cases.
        seeds: number of independent runs of each fault.
        console: where the table goes.
        json_file: path of a file for the same as JSON; None for none.

    Returns:
        0 if every fault was caught for every seed and correct code raised no alarm, else 1.
    """
    total = sum(dtype in fault.precisions for fault in FAULTS.values() for dtype in dtypes)
    with bar(console, total, "faults and precisions") as update:
        rows = score(dtypes, range(seeds), partial(update, advance=1))
        alarms = {dtype: false_alarms(dtype, EXAMPLES, stack=STACK) for dtype in dtypes}
    console.print(table(rows))
    for dtype, (judged, raised) in alarms.items():
        console.print(f"correct code in {dtype}: {raised} alarms in {judged:,} cases", highlight=False)
    missed = [f"{row.fault.name} in {row.dtype}" for row in rows if row.caught < 1]
    caught = len(rows) - len(missed)
    line = f"{caught} of {len(rows)} caught within {LIMIT} cases, {seeds} seeds each; {len(FAULTS)} faults"
    console.print(line, highlight=False)
    for name in missed:
        console.print(f"[red]missed[/]  {name}", highlight=False)
    if json_file:
        plain = {"limit": LIMIT, "seeds": seeds, "faults": [as_json(row) for row in rows], "false_alarms": alarms}
        Path(json_file).write_text(json.dumps(plain, indent=1) + "\n", encoding="utf-8")
    return 1 if missed or not rows or any(raised for _, raised in alarms.values()) else 0


def table(rows: Sequence[Row]) -> Table:
    """Return the table: a row for every fault and precision."""
    found = Table("family", "fault", "precision", "caught", "cases", "by", title="mutation score", title_style="dim")
    for row in rows:
        share = "yes" if row.caught == 1 else f"[red]{row.caught:.0%}[/]"
        cases = "-" if row.cases is None else f"{row.cases:g}"
        found.add_row(row.fault.family, row.fault.name, row.dtype, share, cases, row.by or "-")
    return found


def as_json(row: Row) -> dict[str, Any]:
    """Return one row as plain data."""
    fault = {"name": row.fault.name, "family": row.fault.family, "description": row.fault.description}
    return fault | {"dtype": row.dtype, "caught": row.caught, "median_cases": row.cases, "by": row.by}
