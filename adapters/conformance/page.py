"""The report as one HTML page that needs nothing else (no network, no script, no font), and in Markdown."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from math import inf
from pathlib import Path

from adapters.conformance import CASES, rendering
from adapters.conformance.rendering import markdown, spell_ratio
from adapters.conformance.report import GOOD, STATUSES, Report, Result, Row
from reference.archive import DTYPES

# The largest ratio of each tint of an error map.
TINTS = (0.1, 1.0, 10.0, 1e3, 1e308, inf)


@dataclass(frozen=True)
class Line:
    """One row of the matrix: an adapter in one dtype in one environment."""

    row: Row
    run: int  # number of the environment, from 0 on
    checks: dict[str, Result]

    def anchor(self, check: str) -> str:
        """Return the id of the section to which the cell of a check links."""
        return f"{self.row.adapter}-{self.row.dtype}-{check}-{self.run}".replace(" ", "_")


def render(runs: Sequence[Report]) -> str:
    """Return the page.

    Args:
        runs: one report for each environment, as ``merge`` returns them.

    Returns:
        The text of one HTML file, with the rows of one adapter and dtype next to one another.
    """
    lines = [
        Line(row, i, {check.name: check for check in row.checks}) for i, run in enumerate(runs) for row in run.rows
    ]
    order = list(dict.fromkeys((line.row.adapter, line.row.dtype) for line in lines))
    lines.sort(key=lambda line: order.index((line.row.adapter, line.row.dtype)))
    checks = [(line, check) for line in lines for check in line.checks.values()]
    counts = Counter(check.status for _, check in checks)
    made = dict.fromkeys(name for run in runs for name in run.checks)
    return rendering.render(
        "report.html.jinja",
        {"ratio": spell_ratio, "tint": tint},
        runs=runs,
        lines=lines,
        columns=sorted(made, key=[*CASES, *made].index),
        describe=CASES,
        counts=sorted(counts.items(), key=lambda item: STATUSES.index(item[0])),
        judged=sum(count for status, count in counts.items() if status != "unsupported"),
        bad=[(line, check) for line, check in checks if check.status not in (*GOOD, "unsupported")],
        cases=sum(line.row.cases for line in lines),
    )


def tint(ratio: float | None) -> int:
    """Return the number of a ratio's tint, from 0 on; None is infinite."""
    return [(inf if ratio is None else ratio) <= limit for limit in TINTS].index(True)


def render_markdown(runs: Sequence[Report]) -> str:
    """Return the reports one after the other in Markdown: versions, tables, remarks and failures."""
    return rendering.render("report.md.jinja", {"fenced": fenced}, runs=runs)


def fenced(text: str) -> str:
    """Return a block of code with a fence longer than any within the text."""
    fence = "`" * max(3, *(len(found) + 1 for found in re.findall("`+", text)), 3)
    return f"{fence}\n{text}\n{fence}"


def summary(runs: Sequence[Report]) -> str:
    """Return one table of all runs in Markdown, with a line for each adapter and version.

    The cell of a dtype has the largest |error| / bound, and the status unless it is a pass. A dash stands for a dtype
    without results. The last cell has the unsupported checks, with their dtypes unless these are all.
    """
    found: dict[tuple[str, str], list[Row]] = {}
    for row in (row for run in runs for row in run.rows):
        found.setdefault((row.adapter, row.version), []).append(row)
    lines = []
    for adapter, rows in found.items():
        cells = {row.dtype: f"{max(row.worst.values()):.2f}" if row.worst else "" for row in rows}
        cells |= {row.dtype: f"{cells[row.dtype]} {row.status}".strip() for row in rows if row.status != "pass"}
        lacks = {row.dtype: [check.name for check in row.checks if check.status == "unsupported"] for row in rows}
        every = [name for names in lacks.values() for name in names]
        some = {name: tuple(dtype for dtype in lacks if name in lacks[dtype]) for name in every}
        names = {dtypes: ", ".join(n for n in some if some[n] == dtypes) for dtypes in some.values()}
        unsupported = [n + f" in {' and '.join(dtypes)}" * (len(dtypes) < len(lacks)) for dtypes, n in names.items()]
        cases = f"{sum(row.cases for row in rows):,}"
        lines.append((*adapter, cases, *(cells.get(dtype, "-") for dtype in DTYPES), "; ".join(unsupported) or "-"))
    return markdown(("adapter", "version", "cases", *DTYPES, "unsupported"), lines)


def write(text: str, path: str | Path) -> None:
    """Write a text, with a question mark for every character that UTF-8 cannot encode."""
    Path(path).write_bytes(text.encode("utf-8", "replace"))
