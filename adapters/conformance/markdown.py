"""The report in Markdown, for a comment or a summary: tables of verdicts and errors, what is refused, what failed."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path

from adapters.conformance.report import Report, Row
from reference.archive import DTYPES


def render(runs: Sequence[Report]) -> str:
    """Return the reports of one or more environments one after the other, each with its versions and flags."""
    return "\n".join(part for i, run in enumerate(runs) for part in _parts(run, i + 1 if len(runs) > 1 else None))


def write_markdown(runs: Sequence[Report], path: str | Path) -> None:
    """Write the Markdown."""
    Path(path).write_bytes(render(runs).encode("utf-8", "replace"))


def summary(runs: Sequence[Report]) -> str:
    """Return one table of all runs, a line for each adapter: versions, cases, and the worst of every precision.

    Of a precision it has the largest |error| / bound, with the status where that is not a pass; a dash where the
    precision is not on offer.
    """
    rows: dict[tuple[str, str], list[Row]] = {}
    for run in runs:
        for row in run.rows:
            rows.setdefault((row.adapter, row.version), []).append(row)
    head = ("adapter", "version", "cases", *DTYPES, "refused")
    lines = [head, tuple("---" for _ in head)]
    for (adapter, version), found in rows.items():
        by_dtype = {row.dtype: row for row in found}
        cells = (_verdict(by_dtype[dtype]) if dtype in by_dtype else "-" for dtype in DTYPES)
        lines.append((adapter, version, f"{sum(row.cases for row in found):,}", *cells, _refused(found) or "-"))
    return "".join(f"| {' | '.join(line)} |\n" for line in lines)


def _refused(rows: Sequence[Row]) -> str:
    """Return the checks of which nothing was taken, with the precisions where it is so in some alone."""
    refused: dict[str, list[str]] = {}
    for row in rows:
        for check in row.checks:
            if check.status == "refused":
                refused.setdefault(check.name, []).append(row.dtype)
    told = (
        name if len(dtypes) == len(rows) else f"{name} in {' and '.join(dtypes)}" for name, dtypes in refused.items()
    )
    return ", ".join(told)


def _verdict(row: Row) -> str:
    worst = f"{max(row.worst.values()):.2f}" if row.worst else ""
    return worst if row.status == "pass" else f"{worst} {row.status}".strip()


def _parts(run: Report, number: int | None) -> list[str]:
    asked = "; ".join(map(str, run.runs))
    facts = (
        {"rnn-oracle": run.oracle}
        | ({"run": asked} if asked else {})
        | {name: ", ".join(f"{key} {fact}" for key, fact in facts.items()) for name, facts in run.environment.items()}
    )
    versions = "".join(f"- {name}: {fact}\n" for name, fact in facts.items())
    remarks = "".join(f"- {' '.join(line.split())}\n" for line in run.remarks())
    accounts = [
        f"### {row.adapter} {row.dtype} {check.name}: {check.status}\n\n{_fenced(chr(10).join(check.account))}"
        for row in run.rows
        for check in row.checks
        if check.status in ("fail", "stale")
    ]
    head = [f"## Environment {number}\n"] if number else []
    return [*head, versions, run.markdown(), run.markdown(quantities=True), *([remarks] if remarks else []), *accounts]


def _fenced(text: str) -> str:
    """Return a block of code, its fence longer than any within."""
    fence = "`" * max(3, *(len(found) + 1 for found in re.findall("`+", text)), 3)
    return f"{fence}\n{text}\n{fence}\n"
