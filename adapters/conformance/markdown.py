"""The report in Markdown, for a comment or a summary: tables of verdicts and errors, remarks and failures."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path

from adapters.conformance.report import Report, Row
from adapters.conformance.tables import markdown
from reference.archive import DTYPES


def render(runs: Sequence[Report]) -> str:
    """Return the reports of one or more environments one after the other, each with its versions and flags."""
    heads = [f"## Environment {i}\n" for i in range(1, len(runs) + 1)] if len(runs) > 1 else [""]
    return "\n".join(part for head, run in zip(heads, runs, strict=False) for part in _parts(head, run) if part)


def write_markdown(runs: Sequence[Report], path: str | Path) -> None:
    """Write the Markdown, with a question mark for every character that UTF-8 cannot encode."""
    Path(path).write_bytes(render(runs).encode("utf-8", "replace"))


def _parts(head: str, run: Report) -> list[str]:
    facts = {name: ", ".join(f"{key} {fact}" for key, fact in facts.items()) for name, facts in run.environment.items()}
    asked = {"run": "; ".join(map(str, run.runs))} if run.runs else {}
    versions = [f"{name}: {fact}" for name, fact in ({"rnn-oracle": run.oracle} | asked | facts).items()]
    accounts = [
        f"### {row.adapter} {row.dtype} {check.name}: {check.status}\n\n{_fenced(chr(10).join(check.account))}"
        for row in run.rows
        for check in row.checks
        if check.status in ("fail", "xpass")
    ]
    tables = run.markdown(), run.markdown(by_quantity=True)
    return [head, _listed(versions), *tables, _listed(run.remarks()), *accounts]


def _listed(lines: Sequence[str]) -> str:
    return "".join(f"- {' '.join(line.split())}\n" for line in lines)


def _fenced(text: str) -> str:
    """Return a block of code with a fence longer than any within the text."""
    fence = "`" * max(3, *(len(found) + 1 for found in re.findall("`+", text)), 3)
    return f"{fence}\n{text}\n{fence}\n"


def summary(runs: Sequence[Report]) -> str:
    """Return one table of all runs with a line for each adapter and version.

    The cell of a dtype has the largest |error| / bound, and the status unless it is a pass. A dash stands for a dtype
    without results.
    """
    rows: dict[tuple[str, str], list[Row]] = {}
    for row in (row for run in runs for row in run.rows):
        rows.setdefault((row.adapter, row.version), []).append(row)
    lines = []
    for names, found in rows.items():
        by_dtype = {row.dtype: row for row in found}
        cells = (_verdict(by_dtype[dtype]) if dtype in by_dtype else "-" for dtype in DTYPES)
        cases = sum(row.cases for row in found)
        lines.append((*names, f"{cases:,}", *cells, _unsupported(found) or "-"))
    return markdown(("adapter", "version", "cases", *DTYPES, "unsupported"), lines)


def _verdict(row: Row) -> str:
    worst = f"{max(row.worst.values()):.2f}" if row.worst else ""
    return worst if row.status == "pass" else f"{worst} {row.status}".strip()


def _unsupported(rows: Sequence[Row]) -> str:
    """Return the checks that are unsupported, with their dtypes unless these are all."""
    found: dict[str, list[str]] = {}
    for row in rows:
        for check in row.checks:
            if check.status == "unsupported":
                found.setdefault(check.name, []).append(row.dtype)
    return ", ".join(
        name if len(dtypes) == len(rows) else f"{name} in {' and '.join(dtypes)}" for name, dtypes in found.items()
    )
