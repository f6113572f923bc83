"""The report as one page of HTML that needs nothing else: no network, no script, no font."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import jinja2

from adapters.conformance.choices import CHECKED
from adapters.conformance.drawing import TINT_NAMES, heat_map, histogram, spell_ratio
from adapters.conformance.report import GOOD, STATUSES, Report, Row
from adapters.conformance.result import Result

# A sign for every status, so that colour is never the only one.
SIGNS = dict.fromkeys(STATUSES, "\N{BALLOT X}") | {
    "pass": "\N{CHECK MARK}",
    "known": "\N{ALMOST EQUAL TO}",
    "refused": "\N{EN DASH}",
    "inconclusive": "?",
    "interrupted": "\N{HORIZONTAL ELLIPSIS}",
    "empty": "\N{EMPTY SET}",
}
ACCEPTED = (*GOOD, "refused")
MEANINGS = {
    "pass": "every element of every case is within its bound",
    "fail": "an element is outside its bound, or an error was raised",
    "stale": "a failure was expected, and there is none",
    "known": "it fails as is known and written down",
    "inconclusive": "the bound says too little about the value, so that nothing was shown",
    "refused": "the framework does not offer it",
    "empty": "nothing was judged",
    "interrupted": "it was stopped before the end",
}


@dataclass(frozen=True)
class Line:
    """One row of the matrix: an adapter in one precision in one environment."""

    row: Row
    run: int  # of the environments, from 0 on
    checks: dict[str, Result]

    def anchor(self, check: str) -> str:
        """Return the id of what stands behind a cell."""
        return f"{self.row.adapter}-{self.row.dtype}-{check}-{self.run}".replace(" ", "_")


def render(runs: Sequence[Report]) -> str:
    """Return the page.

    Args:
        runs: one report for each environment, as ``merge`` gives them; several stand side by side.

    Returns:
        The text of one HTML file.
    """
    lines = _lines(runs)
    counts = Counter(check.status for line in lines for check in line.checks.values())
    found = jinja2.Environment(
        loader=jinja2.FileSystemLoader(Path(__file__).parent),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    found.filters |= {"ratio": spell_ratio, "histogram": histogram, "heat_map": heat_map}
    return found.get_template("report.html.jinja").render(
        runs=runs,
        lines=lines,
        columns=_columns(runs),
        describe=CHECKED,
        counts=sorted(counts.items(), key=lambda item: STATUSES.index(item[0])),
        bad=[(line, check) for line in lines for check in line.checks.values() if check.status not in ACCEPTED],
        cases=sum(line.row.cases for line in lines),
        signs=SIGNS,
        meanings=MEANINGS,
        tints=TINT_NAMES,
    )


def write_page(runs: Sequence[Report], path: str | Path) -> None:
    """Write the page; what no encoding can hold, as a lone surrogate of a foreign file, becomes a question mark."""
    Path(path).write_bytes(render(runs).encode("utf-8", "replace"))


def _lines(runs: Sequence[Report]) -> list[Line]:
    """Return the rows of all runs, those of one adapter and precision next to one another."""
    lines = [
        Line(row, i, {check.name: check for check in row.checks}) for i, run in enumerate(runs) for row in run.rows
    ]
    order = list(dict.fromkeys((line.row.adapter, line.row.dtype) for line in lines))
    return sorted(lines, key=lambda line: order.index((line.row.adapter, line.row.dtype)))


def _columns(runs: Sequence[Report]) -> list[str]:
    """Return the checks that were made, in their usual order, and then those that this version does not know."""
    made = dict.fromkeys(name for run in runs for name in run.checks)
    usual = [name for name in CHECKED if name in made]
    return [*usual, *(name for name in made if name not in usual)]
