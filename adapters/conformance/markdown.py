"""The report in Markdown, for a comment or a summary: tables of verdicts and errors, what is refused, what failed."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path

from adapters.conformance.report import Report


def render(runs: Sequence[Report]) -> str:
    """Return the reports of one or more environments one after the other, each with its versions and flags."""
    return "\n".join(part for i, run in enumerate(runs) for part in _parts(run, i + 1 if len(runs) > 1 else None))


def write_markdown(runs: Sequence[Report], path: str | Path) -> None:
    """Write the Markdown."""
    Path(path).write_bytes(render(runs).encode("utf-8", "replace"))


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
