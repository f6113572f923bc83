"""The report as one HTML page that needs nothing else: no network, no script, no font."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from math import inf
from pathlib import Path

import jinja2

from adapters.conformance import CASES
from adapters.conformance.report import GOOD, STATUSES, Report, Result, Row

# Sign and meaning of every status. Colour is never the only sign.
MEANINGS = {
    "pass": ("\N{CHECK MARK}", "every element of every case is within its bound"),
    "fail": ("\N{BALLOT X}", "an element is outside its bound, or an error was raised"),
    "xpass": ("\N{BALLOT X}", "a failure was expected, and the check passed"),
    "xfail": ("\N{ALMOST EQUAL TO}", "the check failed as expected"),
    "inconclusive": ("?", "the bound is too wide to decide"),
    "unsupported": ("\N{EN DASH}", "the framework raises an error for these inputs"),
    "empty": ("\N{EMPTY SET}", "no case was judged"),
    "interrupted": ("\N{HORIZONTAL ELLIPSIS}", "the check was stopped before its end"),
}
# Name of each tint of an error map, and its largest ratio.
TINTS = {
    "up to 0.1": 0.1,
    "up to 1: inside": 1.0,
    "up to 10: outside": 10.0,
    "up to 1000": 1e3,
    "more": 1e308,
    "infinite, or NaN": inf,
}


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
        The text of one HTML file.
    """
    lines = _lines(runs)
    counts = Counter(check.status for line in lines for check in line.checks.values())
    made = dict.fromkeys(name for run in runs for name in run.checks)
    found = jinja2.Environment(
        loader=jinja2.FileSystemLoader(Path(__file__).parent),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    found.filters |= {"ratio": spell_ratio, "tint": tint}
    return found.get_template("report.html.jinja").render(
        runs=runs,
        lines=lines,
        columns=sorted(made, key=[*CASES, *made].index),
        describe=CASES,
        counts=sorted(counts.items(), key=lambda item: STATUSES.index(item[0])),
        bad=[
            (line, check)
            for line in lines
            for check in line.checks.values()
            if check.status not in (*GOOD, "unsupported")
        ],
        cases=sum(line.row.cases for line in lines),
        meanings=MEANINGS,
        tints=list(TINTS),
    )


def write_page(runs: Sequence[Report], path: str | Path) -> None:
    """Write the page, with a question mark for every character that UTF-8 cannot encode."""
    Path(path).write_bytes(render(runs).encode("utf-8", "replace"))


def _lines(runs: Sequence[Report]) -> list[Line]:
    """Return the rows of all runs, those of one adapter and dtype next to one another."""
    lines = [
        Line(row, i, {check.name: check for check in row.checks}) for i, run in enumerate(runs) for row in run.rows
    ]
    order = list(dict.fromkeys((line.row.adapter, line.row.dtype) for line in lines))
    return sorted(lines, key=lambda line: order.index((line.row.adapter, line.row.dtype)))


def spell_ratio(ratio: float | None) -> str:
    """Return a ratio in few characters; None is infinite."""
    if ratio is None or ratio == inf:
        return "\N{INFINITY}"
    if ratio == 0 or 0.005 <= ratio < 100:
        return f"{ratio:.2f}" if ratio else "0"
    return f"{ratio:.0e}".replace("e-0", "e-").replace("e+0", "e").replace("e+", "e")


def tint(ratio: float | None) -> int:
    """Return the number of a ratio's tint, from 0 on; None is infinite."""
    return [(inf if ratio is None else ratio) <= limit for limit in TINTS.values()].index(True)
