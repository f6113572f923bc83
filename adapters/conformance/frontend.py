"""The front end for scripts and notebooks: ``check(adapter)`` judges one's own cell on every check."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Literal

from adapters import Adapter, ExpectedFailure
from adapters.conformance.checks import CHECKS, Check
from adapters.conformance.choices import EXAMPLES, LIMIT, NAMES
from adapters.conformance.guard import guarded
from adapters.conformance.plan import Plan, diagnose, first_failure, judge
from adapters.conformance.report import Report, machine
from adapters.conformance.subjects import as_adapter
from reference import Case, Evaluation, Mismatch

Own = Adapter | Callable[[Case], Evaluation]


def check(
    adapter: Own,
    *,
    on_fail: Literal["raise", "report"] = "raise",
    expected_failures: Mapping[str, str] | None = None,
    examples: int = EXAMPLES,
    seed: int = 0,
    only: Sequence[str] | None = None,
    dtypes: Sequence[str] | None = None,
    progress: Callable[[str], Any] | None = None,
    limit: float | None = LIMIT,
) -> Report:
    """Judge one's own cell on every check in every dtype.

    Args:
        adapter: an Adapter, or a function that returns the Evaluation of a single case.
        on_fail: "raise" once all checks have run, or "report" only.
        expected_failures: "check" or "check dtype", and the reason; one that does not fail any more is a failure.
        examples: stacks of cases a check.
        seed: of the cases.
        only: names of the checks that are made; all by default.
        dtypes: dtypes that are judged; all on offer by default, of a function all four.
        progress: called after every example with what is being judged.
        limit: seconds that one check in one dtype may take, where ``guard.time_limit`` can tell; None for any.

    Returns:
        The report; ``report.exit_status`` is 0 if all is well.

    Raises:
        Mismatch: a check did not pass and ``on_fail`` is "raise"; the message is the account of the first.
        ValueError: an argument that names nothing, too few examples, or a negative seed.
        TypeError: the adapter is none.
    """
    if on_fail not in ("raise", "report"):
        raise ValueError(f"check: expected on_fail as 'raise' or 'report', got {on_fail!r}")
    if examples < 1:
        raise ValueError(f"check: expected examples of at least 1, got {examples}")
    if seed < 0:
        raise ValueError(f"check: expected a seed of at least 0, got {seed}")
    subject, kinds = prepared(adapter, dtypes, expected_failures), selected(only)
    printed: list[str] = []
    judged = guarded(subject, printed)
    plan = Plan([(judged, dtype, kinds) for dtype in dtypes or subject.dtypes], examples, seed, limit=limit)
    report, now = Report({"oracle": machine()}), [""]
    judge(report, plan, lambda what: now.__setitem__(0, what), lambda: progress(now[0]) if progress else None)
    for row in report.rows:
        if failed := first_failure(row):
            diagnose(judged, failed, row.dtype, limit=limit)
    if printed:
        first = (printed[0].strip().splitlines() or [""])[0]
        report.notes.append(f"printed  {subject.name}: in {len(printed)} calls, first {first!r}")
    if on_fail == "raise":
        require(report)
    return report


def prepared(adapter: Own, dtypes: Sequence[str] | None, expected_failures: Mapping[str, str] | None) -> Adapter:
    """Return an adapter with the failures that are expected of it.

    Raises:
        ValueError: an expected failure names no check or dtype, or has no reason; a dtype that is not on offer.
        TypeError: the adapter is none.
    """
    subject = as_adapter(adapter, dtypes)
    expected = dict(expected_failures or {})
    valid = [*NAMES, *(f"{name} {dtype}" for name in NAMES for dtype in subject.dtypes)]
    for key, reason in expected.items():
        if key not in valid:
            named = f"one of {list(NAMES)}, alone or before one of {list(subject.dtypes)}"
            raise ValueError(f"expected_failures: expected {named}, got {key!r}")
        if not isinstance(reason, str) or not reason.strip():
            raise ValueError(f"expected_failures: expected a reason for {key!r}, got {reason!r}")
    known = {key: ExpectedFailure(reason, "expected_failures") for key, reason in expected.items()}
    return dataclasses.replace(subject, expected_failures=dict(subject.expected_failures) | known)


def selected(only: Sequence[str] | None) -> list[Check]:
    """Return the checks of these names, all by default.

    Raises:
        ValueError: a name is none of a check.
    """
    unknown = [name for name in only or () if name not in NAMES]
    if unknown or (only is not None and not only):
        raise ValueError(f"only: expected some of {list(NAMES)}, got {list(only or ())}")
    return [check for check in CHECKS if check.name in (only or NAMES)]


def require(report: Report) -> None:
    """Raise Mismatch with the account of the first check that did not pass, if the report is no success.

    Raises:
        Mismatch: as it says.
    """
    if report.exit_status == 0:
        return
    for row in report.rows:
        for found in row.checks:
            if found.status not in ("pass", "xfail", "unsupported"):
                raise Mismatch("\n".join([f"{row.adapter} {row.dtype}, {found.name}: {found.status}", *found.account]))
    refusals = [refusal for row in report.rows for found in row.checks for refusal in found.unsupported]
    raise Mismatch(f"check: expected something to be judged, got only refusals: {refusals}")
