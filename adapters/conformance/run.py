"""A run: each framework, module or plug-in has a process of its own, and each check of an adapter is one request.

A crash, an exit or a hang costs the check that was requested and no other.
"""

from __future__ import annotations

import contextlib
import signal
import tempfile
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import FIRST_EXCEPTION, ThreadPoolExecutor, wait
from dataclasses import dataclass, field
from functools import partial
from multiprocessing import resource_tracker
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

from adapters import Adapter
from adapters.conformance.advice import advise
from adapters.conformance.checks import CHECKS, Job, run
from adapters.conformance.process import Ended, Stopped, Subject, Worker
from adapters.conformance.report import Report, Result, Row, Run, add_row, machine
from adapters.conformance.reproduce import TRIES, reproduce
from reference import Params
from reference.explain import explain_subject


@dataclass(frozen=True)
class Plan:
    """The checks of a run, and the number and the seed of their cases."""

    checks: Sequence[str]
    dtypes: Sequence[str]
    stacks: int
    seed: int
    timeout: float  # seconds a check in one dtype
    params: Params | None = None  # instead of drawn ones
    reproduce: Path | None = None  # folder for reproductions


@dataclass
class Group:
    """The names of one framework, module or plug-in, and what was found of its adapters."""

    origin: str
    names: Sequence[str]
    is_own: bool  # a subject that somebody is writing gets advice
    rows: list[Row] = field(default_factory=list)
    environment: dict[str, dict[str, str]] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)


# Requests: functions of an adapter, which run in its process.


def judge(adapter: Adapter, dtype: str, check: str, plan: Plan) -> Result:
    """Judge an adapter on one check."""
    job = Job(adapter, dtype, plan.stacks, plan.seed, plan.params)
    return run(next(each for each in CHECKS if each.name == check), job, Result(check))


def diagnose(adapter: Adapter, dtype: str, result: Result) -> str | None:
    """Return what the failure of a check looks like; None if its message is all there is."""
    case = result.counterexample
    # The catalogue has no faults along a direction, and an error explains itself.
    if case is None or case.direction is not None or result.crashed:
        return None
    try:
        return str(explain_subject(adapter, case, adapter.precision(dtype), tries=TRIES))
    except ValueError:
        return None  # it fails only in this check, or not again


def write_down(adapter: Adapter, dtype: str, result: Result, folder: Path, facts: dict[str, str]) -> tuple[Any, ...]:
    """Write the reproduction of a failure; return the paths, and the text of the script among them."""
    name = f"{adapter.name}-{dtype}-{result.name}"
    paths = reproduce(adapter, result.counterexample, machine() | facts, folder, name) if result.counterexample else []
    return paths, next((path.read_text("utf-8") for path in paths if path.suffix == ".py"), None)


def judge_all(groups: Sequence[Group], plan: Plan, jobs: int, report: Report, console: Console) -> None:
    """Judge all groups, each in a process of its own.

    Args:
        groups: the subjects.
        plan: the checks.
        jobs: number of groups that are judged side by side.
        report: receives the results, in the order of the groups, of their adapters and of the dtypes.
        console: shows advice and a bar for each group.

    Raises:
        ValueError: a name is unknown, or cannot be imported.
        KeyboardInterrupt: the user interrupted the run. The report has the results until then.
    """
    stopped, begun = threading.Event(), time.monotonic()
    # The start of the tracker unblocks interrupts, so that it must come before the threads that block them.
    resource_tracker.ensure_running()
    try:
        with (
            tempfile.TemporaryDirectory() as folder,
            ThreadPoolExecutor(jobs, initializer=_block_interrupts) as threads,
            progress(console) as bars,
        ):
            files = (Path(folder, str(number)) for number in range(len(groups)))
            workers = [Worker(group.names, next(files), plan.timeout, stopped) for group in groups]
            futures = [threads.submit(judge_group, *pair, plan, bars) for pair in zip(groups, workers, strict=True)]
            try:
                wait(futures, return_when=FIRST_EXCEPTION)
            finally:
                stopped.set()
                done = [future for future in futures if not future.cancel()]
            for future in done:
                future.result()
    finally:
        for group in groups:
            report.environment |= group.environment
            report.notes += group.notes
            for row in group.rows:
                add_row(report.rows, row)
        report.runs.append(Run(plan.seed, plan.stacks, round(time.monotonic() - begun, 1)))


def _block_interrupts() -> None:
    # The processes that a thread starts inherit it: only the process of the command gets an interrupt.
    if hasattr(signal, "pthread_sigmask"):
        signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})


def judge_group(group: Group, worker: Worker, plan: Plan, bars: Progress) -> None:
    """Judge the adapters of a group in its process.

    Raises:
        ValueError: a name is unknown, or cannot be imported.
    """
    task = bars.add_task(group.origin, total=None)
    try:
        chosen = [(subject, [d for d in subject.dtypes if d in plan.dtypes]) for subject in worker.start()]
        bars.update(task, total=sum(len(dtypes) for _, dtypes in chosen) * len(plan.checks))
        for subject, dtypes in chosen:
            group.environment |= {subject.framework: subject.facts} if dtypes else {}
            if group.is_own and dtypes:
                _advise(group, worker, subject, dtypes, bars)
            for dtype in dtypes:
                _judge_row(group, worker, subject, dtype, plan, partial(bars.update, task, refresh=True))
    except Stopped:
        return
    except Ended as error:
        failure = Result("import", failure=f"{group.origin}: {error}", crashed=True)
        group.rows.append(Row(group.origin, group.origin, "-", ", ".join(plan.dtypes), [failure]))
        group.environment.setdefault(group.origin, {})
    finally:
        worker.close()
        bars.remove_task(task)
    if group.is_own and (lines := worker.lines()):
        group.notes.append(f"printed  {group.origin}: {len(lines)} lines, the first {lines[0]!r}")


def _advise(group: Group, worker: Worker, subject: Subject, dtypes: Sequence[str], bars: Progress) -> None:
    dtype = "float32" if "float32" in dtypes else dtypes[0]
    try:
        lines = worker.call(advise, subject.name, dtype)
    except Ended as error:
        lines = [f"{subject.name} {dtype}, one small case: {error}"]
    if lines:
        bars.console.print("\n".join([*lines, ""]), highlight=False, markup=False, soft_wrap=True)


def _judge_row(
    group: Group, worker: Worker, subject: Subject, dtype: str, plan: Plan, update: Callable[..., Any]
) -> None:
    """Run all checks of an adapter in one dtype, diagnose the first failure, and write down all if asked for."""
    row = Row(subject.name, subject.framework, subject.facts.get(subject.framework, "-"), dtype)
    group.rows.append(row)
    for check in plan.checks:
        update(description=f"{subject.name} {dtype} {check}")
        row.checks.append(Result(check, interrupted=True))
        try:
            row.checks[-1] = worker.call(judge, subject.name, dtype, check, plan)
        except Ended as error:
            failure, expected = f"{subject.name} {dtype}: {error}", subject.expected[check, dtype]
            row.checks[-1] = Result(check, failure=failure, crashed=True, expected_failure=expected)
        update(advance=1)

    def request(without: str, function: Callable[..., Any], result: Result, *others: Any) -> Any:
        """Return what a function of a result returns in the process; None, with a note, if it gives no answer."""
        try:
            return worker.call(function, subject.name, dtype, result, *others)
        except Ended as error:
            group.notes.append(f"{without}  {subject.name}-{dtype}-{result.name}: {error}")

    failed = [result for result in row.checks if result.failed]
    # The other failures of a row are likely a consequence of its first.
    for result in failed[:1]:
        result.diagnosis = request("undiagnosed", diagnose, result)
    for result in failed if plan.reproduce else ():
        written = request("unwritten", write_down, result, plan.reproduce, subject.facts)
        result.reproduction, result.script = written or ([], None)


def progress(console: Console) -> Progress:
    """Return a display of bars that leaves nothing on a terminal, and writes nothing anywhere else."""
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
    return Progress(*columns, console=console, transient=True, disable=not console.is_terminal)


@contextlib.contextmanager
def bar(console: Console, total: int, description: str) -> Iterator[Callable[..., Any]]:
    """Show one bar in the body of a ``with`` statement, and yield the function that updates it."""
    with progress(console) as bars:
        yield partial(bars.update, bars.add_task(description, total=total))
