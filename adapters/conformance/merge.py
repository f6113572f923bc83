"""Reports put together: those of one environment are added up, those of different ones stand side by side."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from adapters.conformance.read import read
from adapters.conformance.report import Report, Row
from adapters.conformance.result import Result


def merge(reports: Sequence[Report]) -> list[Report]:
    """Return one report for each environment, in order of appearance.

    Two reports are of one environment if the oracle's version is the same, and so are all facts of every framework
    that both of them name. Reports that are equal in everything are one run, and counted once.

    Args:
        reports: of any number of runs; they are left as they are.

    Returns:
        The reports of the environments; none of them shares a row with those given.
    """
    runs: list[Report] = []
    for i, report in enumerate(reports):
        if report in reports[:i]:
            continue
        same = next((run for run in runs if _is_same_environment(run, report)), None)
        if same is None:
            same = Report({}, [], report.oracle)
            runs.append(same)
        same.environment |= report.environment
        same.runs += report.runs
        for row in report.rows:
            add_row(same.rows, row)
    return runs


def _is_same_environment(one: Report, other: Report) -> bool:
    shared = one.environment.keys() & other.environment.keys()
    return one.oracle == other.oracle and all(one.environment[name] == other.environment[name] for name in shared)


def add_row(rows: list[Row], new: Row) -> None:
    """Add a row to those of its environment, check by check if its adapter and dtype are there; it is left as it is."""
    names = (new.adapter, new.dtype, new.version)
    old = next((row for row in rows if (row.adapter, row.dtype, row.version) == names), None)
    if old is None:
        old = Row(new.adapter, new.framework, new.version, new.dtype)
        rows.append(old)
    checks = {check.name: check for check in old.checks}
    for check in new.checks:
        checks[check.name] = add_up(checks[check.name], check) if check.name in checks else replace(check)
    old.checks = list(checks.values())


def add_up(one: Result, other: Result) -> Result:
    """Return what two shards of one check found together; of two failures both accounts, and the first one's map."""
    failed = [result for result in (one, other) if result.failure is not None]
    first = failed[0] if failed else one
    accounts = dict.fromkeys(result.failure for result in failed if result.failure)
    diagnoses = dict.fromkeys(result.diagnosis for result in failed if result.diagnosis)
    return replace(
        first,
        cases=one.cases + other.cases,
        examples=one.examples + other.examples,
        inconclusive=one.inconclusive + other.inconclusive,
        worst={name: max(one.worst.get(name, 0.0), other.worst.get(name, 0.0)) for name in [*one.worst, *other.worst]},
        histogram=[a + b for a, b in zip(one.histogram, other.histogram, strict=True)],
        resolutions=one.resolutions + other.resolutions,
        refusals=list(dict.fromkeys(one.refusals + other.refusals)),
        untold=list(dict.fromkeys(one.untold + other.untold)),
        failure="\n\n".join(accounts) or None,
        crashed=any(result.crashed for result in failed),
        # What is known to fail in one shard excuses no failure that the other did not expect.
        known=None if "fail" in (one.status, other.status) else one.known or other.known,
        diagnosis="\n\n".join(diagnoses) or None,
        reproduction=list(dict.fromkeys(one.reproduction + other.reproduction)),
        interrupted=one.interrupted or other.interrupted,
        asked=list(dict.fromkeys(one.asked + other.asked)) if one.asked and other.asked else [],
    )


def merged(paths: Sequence[str | Path]) -> list[Report]:
    """Return the reports that files hold, one for each environment."""
    return merge([read(path) for path in paths])
