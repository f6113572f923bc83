"""A run: each adapter has a process of its own, and each of its checks is one request.

A crash, an exit or a hang costs the check that was requested and no other.
"""

from __future__ import annotations

import contextlib
import itertools
import signal
import threading
import time
from collections.abc import Callable, Sequence
from concurrent.futures import FIRST_EXCEPTION, ThreadPoolExecutor, wait
from dataclasses import dataclass, field
from functools import partial
from multiprocessing import resource_tracker
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.progress import TaskID

from adapters import Adapter
from adapters.conformance.advice import advise, pace
from adapters.conformance.checks import CHECKS, Plan
from adapters.conformance.conclusion import listed
from adapters.conformance.contract import guarded
from adapters.conformance.judge import expected_failure, judge, subject_of
from adapters.conformance.process import Ended, Stopped, Worker
from adapters.conformance.report import Failure, Report, Result, Row, Run, machine
from adapters.conformance.reproduce import TRIES, reproduce
from adapters.conformance.screen import Screen, estimate
from reference.archive import DTYPES
from reference.explain import explain_subject


@dataclass
class Group:
    """The names of one framework, module or plug-in, and the report on its adapters."""

    origin: str
    names: Sequence[str]
    is_own: bool  # a subject that somebody is writing gets advice
    report: Report = field(default_factory=lambda: Report({}))


# Requests: functions of an adapter, which run in its process.


def judge_check(adapter: Adapter, dtype: str, check: str, plan: Plan) -> Result:
    """Judge an adapter on the check of a name."""
    return judge(next(each for each in CHECKS if each.name == check), guarded(adapter), dtype, plan)


def diagnose(adapter: Adapter, dtype: str, result: Result) -> str | None:
    """Return what the failure of a check looks like; None if its message is all there is."""
    case = result.counterexample
    # The catalogue has no faults along a direction, and an error explains itself.
    if case is None or case.direction is not None or (result.failure and result.failure.crashed):
        return None
    try:
        return str(explain_subject(subject_of(guarded(adapter), case), case, adapter.precision(dtype), tries=TRIES))
    except ValueError:
        return None  # it fails only in this check, or not again


def write_down(adapter: Adapter, dtype: str, result: Result, folder: Path, facts: dict[str, str]) -> list[Path]:
    """Write the reproduction of a failure, and return the paths."""
    name, account = f"{adapter.name}-{dtype}-{result.name}", result.failure.message if result.failure else ""
    case = result.counterexample
    return reproduce(guarded(adapter), case, machine() | facts, folder, name, account) if case else []


def judge_all(groups: Sequence[Group], plan: Plan, jobs: int, report: Report, console: Console) -> None:
    """Judge all groups, each adapter in a process of its own.

    Args:
        groups: the subjects.
        plan: the checks.
        jobs: number of groups that are judged side by side.
        report: receives the results, in the order of the groups, of their adapters and of the dtypes.
        console: shows advice, and the progress if it is a terminal.

    Raises:
        ValueError: a name is unknown, or cannot be imported.
        KeyboardInterrupt: the user interrupted the run. The report has the results until then.
    """
    stopped, begun = threading.Event(), time.monotonic()
    # The start of the tracker unblocks interrupts, so that it must come before the threads that block them.
    resource_tracker.ensure_running()
    try:
        with (
            Screen(console, lambda: [group.report for group in groups]) as screen,
            ThreadPoolExecutor(jobs, initializer=_block_interrupts) as threads,
        ):
            futures = [threads.submit(judge_group, group, plan, stopped, screen) for group in groups]
            try:
                wait(futures, return_when=FIRST_EXCEPTION)
            finally:
                stopped.set()
                done = [future for future in futures if not future.cancel()]
            for future in done:
                future.result()
    finally:
        for group in groups:
            report.add(group.report)
        report.runs.append(Run(plan.seed, plan.stacks, round(time.monotonic() - begun, 1)))


def _block_interrupts() -> None:
    # The processes that a thread starts inherit it: only the process of the command gets an interrupt.
    if hasattr(signal, "pthread_sigmask"):
        signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})


def judge_group(group: Group, plan: Plan, stopped: threading.Event, screen: Screen) -> None:
    """Judge the adapters of a group until ``stopped`` is set.

    Raises:
        ValueError: a name is unknown, or cannot be imported.
    """
    task = screen.group(group.origin)
    with contextlib.closing(Worker(group.names, plan.timeout, stopped)) as worker:
        try:
            judge_adapters(group, worker, plan, screen, task)
        except Stopped:
            return
        except Ended as error:
            failed = Result("import", failure=Failure(f"{group.origin}: {error}", crashed=True))
            group.report.rows.append(Row(group.origin, group.origin, "-", ", ".join(plan.dtypes) or "-", [failed]))
            group.report.environment.setdefault(group.origin, {})
        finally:
            screen.bars.remove_task(task)
        if group.is_own and (lines := worker.lines()):
            group.report.notes.append(f"printed  {group.origin}: {len(lines)} lines, the first {lines[0]!r}")


def judge_adapters(group: Group, worker: Worker, plan: Plan, screen: Screen, task: TaskID) -> None:
    """Judge the adapters of a group, each in a new process, one row after the other.

    Raises:
        Ended, Stopped, ValueError: as ``Worker.start`` does.
    """
    started = worker.start()
    if plan.params and (unsuited := [one for one, _ in started if one.cell not in plan.params]):
        started = [(one, facts) for one, facts in started if one not in unsuited]
        if named := [one for one in unsuited if one.name in group.names]:
            got = f"{named[0].name}, whose cell is {named[0].cell}"
            raise ValueError(f"--params: expected an adapter of the cell {listed(plan.params)}, got {got}")
    found = [(adapter, facts, adapter.judged(plan.dtypes)) for adapter, facts in started]
    for adapter, facts, dtypes in found:
        group.report.environment |= {adapter.framework: facts} if dtypes else {}
        group.report.rows += [planned(adapter, facts, dtype, plan) for dtype in dtypes]
    rows = iter(group.report.rows)
    screen.line(f"{group.origin}: {summary(found, plan)}")
    screen.update(task, total=sum(len(row.checks) for row in group.report.rows))
    for k, (adapter, _, dtypes) in enumerate(found):
        if k and dtypes:
            # What compilers leave behind in a process would use up its memory maps.
            worker.end()
        if note := read_as(adapter):
            screen.line(note)
        if group.is_own and dtypes:
            _advise(worker, adapter, dtypes, screen.console)
        for row in itertools.islice(rows, len(dtypes)):
            judge_row(group.report, row, worker.call, adapter, plan, partial(screen.update, task))


def read_as(adapter: Adapter) -> str:
    """Return what was read from a drop-in: "MyLSTM: judged as LSTM, a layer; gates i f g o; ..."; "" for others."""
    return f"{adapter.name}: {adapter.describe}" if adapter.describe.startswith("judged as ") else ""


def summary(found: Sequence[tuple[Adapter, Any, Sequence[str]]], plan: Plan) -> str:
    """Return what is judged: "7 ways in float64 and float32, 11 checks each: 154 verdicts, about 4 minutes"."""
    rows = sum(len(dtypes) for *_, dtypes in found)
    if not (verdicts := rows * len(plan.checks)):
        return "nothing to judge"
    ways = sum(bool(dtypes) for *_, dtypes in found)
    dtypes = listed(dtype for dtype in DTYPES if any(dtype in some for *_, some in found))
    much = f"{ways} way{'s' * (ways > 1)} in {dtypes}, {len(plan.checks)} check{'s' * (len(plan.checks) > 1)} each"
    return f"{much}: {verdicts} verdict{'s' * (verdicts > 1)}, {estimate(verdicts, plan.stacks)}"


def _advise(worker: Worker, adapter: Adapter, dtypes: Sequence[str], console: Console) -> None:
    dtype = "float32" if "float32" in dtypes else dtypes[0]
    try:
        lines = worker.call(advise, adapter.name, dtype) or worker.call(pace, adapter.name, dtype)
    except Ended as error:
        lines = [f"{adapter.name} {dtype}, one small case: {error}"]
    if lines:
        console.print("\n".join([*lines, ""]), soft_wrap=True)


def planned(adapter: Adapter, facts: dict[str, str], dtype: str, plan: Plan) -> Row:
    """Return the row of an adapter in a dtype before its first check: an interrupt leaves the others as they are."""
    checks = [Result(check, interrupted=True) for check in plan.checks]
    return Row(adapter.name, adapter.framework, facts.get(adapter.framework, "-"), dtype, checks)


def judge_row(
    report: Report,
    row: Row,
    call: Callable[..., Any],
    adapter: Adapter,
    plan: Plan,
    update: Callable[..., Any] = lambda *_, **__: None,
) -> None:
    """Run all checks of an adapter in one dtype, diagnose the first failure, and write down all if asked for.

    Args:
        report: receives the notes; it has the row, and the environment of the adapter's framework.
        row: as ``planned`` returns it; receives the results.
        call: returns what a request returns, as ``Worker.call`` does.
        adapter: the subject; none of its functions is called here.
        plan: the checks.
        update: shows the progress, and the row once it is finished.
    """
    dtype = row.dtype
    for i, check in enumerate(plan.checks):
        update(description=f"{adapter.name} {dtype} {check}")
        try:
            row.checks[i] = call(judge_check, adapter.name, dtype, check, plan)
        except Ended as error:
            ended = Failure(f"{adapter.name} {dtype}: {error}", crashed=True)
            expected = expected_failure(adapter, check, dtype)
            row.checks[i] = Result(check, failure=ended, expected_failure=expected)
        update(advance=1)
    update(row)

    def request(without: str, function: Callable[..., Any], result: Result, *others: Any) -> Any:
        """Return what a function of a result returns in the process; None, with a note, if it gives no answer."""
        try:
            return call(function, adapter.name, dtype, result, *others)
        except Ended as error:
            report.notes.append(f"{without}  {adapter.name}-{dtype}-{result.name}: {error}")

    facts = report.environment[adapter.framework]
    failed = [(result, failure) for result in row.checks if (failure := result.unexpected)]
    # The other failures of a row are likely a consequence of its first.
    for result, failure in failed[:1]:
        failure.diagnosis = request("undiagnosed", diagnose, result)
    for result, failure in failed if plan.reproduce else ():
        failure.reproduction = request("unwritten", write_down, result, plan.reproduce, facts) or []
        scripts = (path for path in failure.reproduction if path.suffix == ".py")
        failure.script = next((path.read_text("utf-8") for path in scripts), None)
