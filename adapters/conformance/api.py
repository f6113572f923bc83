"""The front ends for Python: ``check(adapter)`` for scripts and notebooks, ``parametrize(adapter)`` for pytest.

    @parametrize(my_cell)
    def test_my_cell(check):
        check()

pytest is imported by the call of ``parametrize``.
"""

from __future__ import annotations

import contextlib
import dataclasses
import io
import time
from collections.abc import Callable, Mapping, Sequence
from numbers import Integral
from typing import TYPE_CHECKING, Literal, NamedTuple

import hypothesis

from adapters import Adapter, ExpectedFailure
from adapters._drop_in import forward_only as forward_only
from adapters.conformance import NAMES, STACKS, discovery
from adapters.conformance.advice import advise, pace
from adapters.conformance.checks import CHECKS, Check, Plan
from adapters.conformance.contract import guarded
from adapters.conformance.judge import expected_failure, judge, subject_of
from adapters.conformance.report import Report, Run, machine
from adapters.conformance.run import diagnose, judge_row, planned, read_as
from reference import Case, Evaluation, LayersCase, Mismatch, Verdict
from reference.kinds import expect_kinds
from reference.trial import trial

if TYPE_CHECKING:
    import pytest

Own = Adapter | type | Callable[[Case], Evaluation]


def check(
    adapter: Own,
    *,
    on_fail: Literal["raise", "report"] = "raise",
    expected_failures: Mapping[str, str] | None = None,
    stacks: int = STACKS,
    seed: int = 0,
    only: Sequence[str] | None = None,
    dtypes: Sequence[str] | None = None,
) -> Report:
    """Judge a cell on every check in every dtype, in this process.

    Args:
        adapter: an Adapter, a function that returns the Evaluation of a single case, or a class of modules.
        on_fail: "raise" once all checks have run, or "report" only.
        expected_failures: "check" or "check dtype", and the reason. If such a check passes, that is a failure.
        stacks: stacks of cases a check.
        seed: of the cases.
        only: names of checks; all by default.
        dtypes: all that the adapter offers by default; for a function float64 and float32.

    Returns:
        The report; ``report.exit_status`` is 0 if every check passed.

    Raises:
        Mismatch: a check did not pass and ``on_fail`` is "raise". The message has the advice from one small case and
            the account of the first such check.
        ValueError: an argument that names nothing, too few stacks, or a negative seed.
        TypeError: the adapter is none.
    """
    if on_fail not in ("raise", "report"):
        raise ValueError(f"check: expected on_fail as 'raise' or 'report', got {on_fail!r}")
    _expect_numbers("check", stacks, seed)
    subject, checks = _prepared(adapter, dtypes, expected_failures, only)
    begun, printed, report = time.monotonic(), list[str](), Report({"oracle": machine()})
    judged = guarded(subject, printed)
    report.environment[subject.framework] = discovery.facts(subject)
    with contextlib.redirect_stdout(io.StringIO()):
        advice = advise(subject, None if dtypes is None or "float32" in dtypes else dtypes[0])
        read = [note] if (note := read_as(subject)) else []
        report.notes += read + (advice or pace(subject, subject.judged(dtypes)[0]))
    plan = Plan(stacks, seed, checks=[each.name for each in checks], dtypes=subject.judged(dtypes))
    report.rows += [planned(subject, report.environment[subject.framework], dtype, plan) for dtype in plan.dtypes]
    for row in report.rows:
        judge_row(report, row, lambda request, _, *arguments: request(judged, *arguments), subject, plan)
    report.runs.append(Run(seed, stacks, round(time.monotonic() - begun, 1)))
    if printed:
        first = (printed[0].strip().splitlines() or [""])[0]
        report.notes.append(f"printed  {subject.name}: in {len(printed)} calls, the first line {first!r}")
    if on_fail == "raise":
        _require(report, read + advice)
    return report


def check_case(adapter: Own, case: Case | LayersCase) -> Verdict:
    """Judge a cell on one case, as ``check`` judges it on many: in two calls, which must return the same bits.

    Args:
        adapter: as of ``check``.
        case: a case or a stack, or a case of several layers.

    Raises:
        Mismatch: the cell broke the contract of an adapter.
        Unsupported: the cell does not support the case.
        TypeError, ValueError: the adapter is none.
    """
    subject = guarded(discovery.as_adapter(adapter))
    return trial(subject_of(subject, case), case, subject.precision(case.dtype), repeat=True)


def parametrize(
    adapter: Own,
    *,
    expected_failures: Mapping[str, str] | None = None,
    stacks: int | None = None,
    seed: int = 0,
    only: Sequence[str] | None = None,
    dtypes: Sequence[str] | None = None,
) -> pytest.MarkDecorator:
    """Return a decorator that runs a test for every check in every dtype, with ids such as "step-float32".

    Args:
        adapter: an Adapter, a function that returns the Evaluation of a single case, or a class of modules.
        expected_failures: "check" or "check dtype", and the reason: a strict xfail.
        stacks: stacks of cases a check; by default the number of examples of Hypothesis's profile.
        seed: of the cases.
        only: names of checks; all by default.
        dtypes: all that the adapter offers by default; for a function float64 and float32.

    Returns:
        A mark for a test with one argument, ``check``, which the test calls.

    Raises:
        ValueError: an argument that names nothing, too few stacks, or a negative seed.
        TypeError: the adapter is none.
    """
    import pytest

    _expect_numbers("parametrize", 1 if stacks is None else stacks, seed)
    subject, checks = _prepared(adapter, dtypes, expected_failures, only)
    parameters = []
    for each in checks:
        for dtype in subject.judged(dtypes):
            expected = expected_failure(subject, each.name, dtype)
            marks = [pytest.mark.xfail(strict=True, raises=Mismatch, reason=expected)] if expected else []
            trial = _Trial(guarded(subject), each, dtype, stacks, seed)
            parameters.append(pytest.param(trial, id=f"{each.name}-{dtype}", marks=marks))
    return pytest.mark.parametrize("check", parameters)


class _Trial(NamedTuple):
    """One check in one dtype, which a test calls."""

    adapter: Adapter
    check: Check
    dtype: str
    stacks: int | None
    seed: int

    def __repr__(self) -> str:
        return f"{self.adapter.name}, {self.check.name} in {self.dtype}"

    def __call__(self) -> None:
        import pytest

        __tracebackhide__ = True
        # A profile may be loaded after the test was made.
        stacks = self.stacks or hypothesis.settings().max_examples
        result = judge(self.check, self.adapter, self.dtype, Plan(stacks, self.seed))
        if result.status in ("pass", "xpass"):
            return  # a strict xfail makes xpass a failure
        if result.status == "unsupported":
            pytest.skip("; ".join(result.unsupported))
        if failure := result.unexpected:
            failure.diagnosis = diagnose(self.adapter, self.dtype, result)
        raise Mismatch("\n".join(result.account))


def _expect_numbers(where: str, stacks: int, seed: int) -> None:
    expect_kinds(where, {"stacks": Integral, "seed": Integral}, {"stacks": stacks, "seed": seed})
    if stacks < 1:
        raise ValueError(f"{where}: expected stacks of at least 1, got {stacks}")
    if seed < 0:
        raise ValueError(f"{where}: expected a seed of at least 0, got {seed}")


def _prepared(
    adapter: Own,
    dtypes: Sequence[str] | None,
    expected_failures: Mapping[str, str] | None,
    only: Sequence[str] | None,
) -> tuple[Adapter, list[Check]]:
    """Return an adapter with the failures that are expected of it, and the checks of some names."""
    given = {"dtypes": dtypes, "only": only, "expected_failures": expected_failures}
    for name, kind, words in (
        ("dtypes", Sequence, "a sequence of names"),
        ("only", Sequence, "a sequence of names"),
        ("expected_failures", Mapping, "a mapping from checks to reasons"),
    ):
        value = given[name]
        if value is not None and (isinstance(value, str) or not isinstance(value, kind)):
            raise TypeError(f"{name}: expected {words}, got {value!r}")
    if only is not None and (not only or set(only) - set(NAMES)):
        raise ValueError(f"only: expected some of {list(NAMES)}, got {list(only)}")
    subject = discovery.as_adapter(adapter, dtypes)
    expected = dict(expected_failures or {})
    valid = [*NAMES, *(f"{name} {dtype}" for name in NAMES for dtype in subject.dtypes)]
    for key, reason in expected.items():
        if key not in valid:
            named = f"one of {list(NAMES)}, alone or before one of {list(subject.dtypes)}"
            raise ValueError(f"expected_failures: expected {named}, got {key!r}")
        if not isinstance(reason, str) or not reason.strip():
            raise ValueError(f"expected_failures: expected a reason for {key!r}, got {reason!r}")
    failures = {key: ExpectedFailure(reason, "expected_failures") for key, reason in expected.items()}
    subject = dataclasses.replace(subject, expected_failures={**subject.expected_failures, **failures})
    return subject, [each for each in CHECKS if each.name in (only or NAMES)]


def _require(report: Report, advice: Sequence[str]) -> None:
    """Raise Mismatch with the advice and the account of the first check that did not pass, if there is one."""
    for row in report.rows:
        for found in row.checks:
            if found.status not in ("pass", "xfail", "unsupported"):
                first = f"{row.adapter} {row.dtype}, {found.name}: {found.status}"
                raise Mismatch("\n".join([*advice, *([""] if advice else []), first, *found.account]))
    if report.exit_status:
        texts = [text for row in report.rows for found in row.checks for text in found.unsupported]
        raise Mismatch(f"check: expected something to be judged, got only unsupported cases: {texts}")
