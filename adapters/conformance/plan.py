"""The course of a trial: every adapter in every dtype on every check, then what each first failure looks like."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from adapters import Adapter
from adapters.conformance.checks import Asked, Check, run
from adapters.conformance.guard import TimedOut, time_limit
from adapters.conformance.report import Report, Result, Row, Run
from adapters.conformance.reproduce import TRIES
from adapters.conformance.subjects import facts
from reference import Params
from reference.explain import explain_subject


@dataclass(frozen=True)
class Plan:
    """What is judged, and on how many cases."""

    rows: Sequence[tuple[Adapter, str, Sequence[Check]]]  # adapters that are guarded, dtypes, and checks of each
    examples: int
    seed: int
    params: Params | None = None
    shard: tuple[int, int] = (1, 1)
    limit: float | None = None  # seconds of one check and dtype

    @property
    def total(self) -> int:
        """Number of examples, at most."""
        return sum(len(check.indices(self.examples, self.shard)) for *_, checks in self.rows for check in checks)

    def ask(self, adapter: Adapter, dtype: str) -> Asked:
        """Return what is asked of one adapter in one dtype."""
        return Asked(adapter, dtype, self.examples, self.seed, self.params, self.shard)


def judge(report: Report, plan: Plan, begin: Callable[[str], Any], advance: Callable[[], Any]) -> None:
    """Run every check on every adapter and dtype, adding to the report as it goes, and how long it took at the end.

    Args:
        report: where the findings go.
        plan: what is judged.
        begin: called before every check, with what is judged in words.
        advance: called after every example.
    """
    begun = time.monotonic()
    try:
        for number in range(len(plan.rows)):
            judge_row(report, plan, number, begin, advance)
    finally:
        report.runs.append(Run(plan.seed, plan.examples, round(time.monotonic() - begun, 1)))


def judge_row(report: Report, plan: Plan, number: int, begin: Callable[[str], Any], advance: Callable[[], Any]) -> None:
    """Run the checks of one row of the plan; the other arguments are as of ``judge``, and the row is there at once."""
    adapter, dtype, checks = plan.rows[number]
    report.environment.setdefault(adapter.framework, facts(adapter))
    version = report.environment[adapter.framework].get(adapter.framework, "-")
    row = Row(adapter.name, adapter.framework, version, dtype)
    report.rows.append(row)
    for check in checks:
        # What the whole run has of this check, none of it need be in this shard.
        if check.indices(plan.examples, plan.shard):
            begin(f"{adapter.name} {dtype} {check.name}")
            row.checks.append(Result(check.name))
            run(check, plan.ask(adapter, dtype), row.checks[-1], advance, limit=plan.limit)


def diagnose(
    adapter: Adapter,
    result: Result,
    dtype: str,
    progress: Callable[[], Any] = lambda: None,
    *,
    limit: float | None = None,
) -> None:
    """Say of a failure what it looks like, where that can be told.

    Args:
        adapter: guarded.
        result: of a check that failed.
        dtype: in which.
        progress: called after every trial of the search for the smallest case.
        limit: seconds.
    """
    case = result.counterexample
    if case is None or case.direction is not None or result.crashed:
        return  # the catalogue has no faults of second derivatives, and an error speaks for itself
    try:
        with time_limit(limit):
            found = explain_subject(adapter, case, adapter.precision(dtype), progress=progress, tries=TRIES)
    except (ValueError, TimedOut):
        return  # it fails only as the check asks, or not again: the message says all there is
    result.diagnosis = str(found)


def first_failure(row: Row) -> Result | None:
    """Return the first failure of a row, None if there is none."""
    return next((check for check in row.checks if check.failed), None)
