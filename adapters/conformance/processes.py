"""One process a framework: what crashes, hangs or ends its process costs its own row, and cores work side by side.

A process sends what it is about to judge, with the row as it stands, and what it has judged; so what came before a
crash is kept, and another process goes on with the next row. One that is through with a job is given the next of the
same framework, which it has imported.
"""

from __future__ import annotations

import argparse
import multiprocessing
import os
import signal
import sys
import tempfile
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor, ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field
from multiprocessing import resource_tracker
from multiprocessing.connection import Connection, wait
from multiprocessing.process import BaseProcess
from pathlib import Path
from typing import Any

from rich.console import Console

from adapters import Adapter
from adapters.conformance.bar import bar
from adapters.conformance.checks import Check
from adapters.conformance.choices import MOST
from adapters.conformance.course import choose, explain_row, plan_for, write_down
from adapters.conformance.plan import judge_row
from adapters.conformance.report import Report, Result, Row, Run, add_row, machine
from reference.archive import DTYPES

# Not a fork: frameworks have threads.
SPAWN = multiprocessing.get_context("spawn")
# Seconds beyond the limit of a check after which its process is ended: it is in code that does not come back to Python.
GRACE = 10.0
# Whether interrupts can wait: on Windows they cannot.
CAN_WAIT = hasattr(signal, "pthread_sigmask")
# Seconds between looks at the clock, and those that an interrupted process has to send what it has.
TICK, LAST_WORDS = 0.5, 3.0


@dataclass(frozen=True)
class Job:
    """What one process judges at a time: adapters of one framework, in one dtype or in all that are asked for.

    Of those that are vectorized, ``mass`` has only the checks of nearly all cases, or all but them.
    """

    origin: str  # framework, plug-in or module
    names: tuple[str, ...]
    dtypes: tuple[str, ...]
    mass: bool | None = None  # None: every check of every adapter

    def takes(self, adapter: Adapter, check: Check) -> bool:
        """Tell whether an adapter is judged on a check in this job."""
        return self.mass in (None, adapter.vectorized and check.name in MOST)


@dataclass
class Worker:
    """A process that does a job, and what is known of its progress."""

    job: Job
    process: BaseProcess
    connection: Connection
    printed: Path  # what it writes to its standard output and error
    rows: dict[int, Row]  # of this and of earlier processes, by number
    adapters: Sequence[str] = ()  # all that were chosen, in their order; other jobs may have some of them
    check: str | None = "import"  # what it is at in the last row; None: the search for what a failure looks like
    since: float = field(default_factory=time.monotonic)  # its last sign
    total: int = 0  # examples, at most
    finished: bool = False

    def messages(self) -> Iterator[tuple[Any, ...]]:
        """Give what the process has sent and was not read yet."""
        try:
            while self.connection.poll():
                message = self.connection.recv()
                self.since = time.monotonic()
                yield message
        except (EOFError, OSError):
            return

    def give(self, job: Job, rows: dict[int, Row]) -> None:
        """Have it do a job from the rows on that are there."""
        self.job, self.rows, self.adapters, self.total = job, rows, (), 0
        self.check, self.since, self.finished = "import", time.monotonic(), False
        try:
            self.connection.send((job, len(rows)))
        except OSError:
            return  # it has ended, which its exit status will tell

    def went_wrong(self, limit: float, *, ended: bool) -> str | None:
        """Say how the process failed to answer, in words; None if it did not fail.

        Args:
            limit: seconds that a check may take.
            ended: whether the process had ended before its last messages were read.
        """
        if self.finished or not (ended or time.monotonic() - self.since > limit + GRACE):
            return None
        if not ended:
            self.process.kill()
            return f"expected an answer within {limit:g} s, got none, and no way to stop but to end the process"
        code = self.process.exitcode or 0
        how = f"signal {-code} ({signal.strsignal(-code)})" if code < 0 else f"exit status {code}"
        lines = self.printed.read_text("utf-8", "replace").split("\n") if self.printed.exists() else []
        last = [line.strip() for line in lines if line.strip()][-1:]
        return f"expected an answer, got the end of the process by {how}{''.join(f' ({line})' for line in last)}"

    def fail(self, how: str, report: Report) -> None:
        """Put down that the process did not come to the end of a row."""
        if self.check == "import":
            origin = self.job.origin
            self.rows[len(self.rows)] = Row(origin, origin, "-", ", ".join(self.job.dtypes))
            report.environment.setdefault(origin, {})
        row = self.rows[max(self.rows)]
        if self.check is None:
            report.notes.append(f"unexplained  {row.adapter} {row.dtype}: {how}")
        else:
            row.checks.append(Result(self.check, failure=f"{row.adapter} {row.dtype}: {how}", crashed=True))


def judge_apart(
    options: argparse.Namespace, groups: Mapping[str, Sequence[str]], report: Report, console: Console
) -> None:
    """Judge each group of names in a process of its own, or in several where cores would be idle.

    Args:
        options: of the command line; ``jobs`` processes run at once.
        groups: names of adapters by framework, plug-in or module.
        report: where the findings go, in the order of the groups, of the adapters and of the dtypes.
        console: where the bar is shown.

    Raises:
        ValueError, TypeError, OSError, ModuleNotFoundError: what is asked for cannot be judged, as a process found.
        KeyboardInterrupt: once what was judged before is in the report.
    """
    limit = plan_for(options, []).limit or float("inf")
    found: dict[Job, dict[int, Row]] = {job: {} for job in jobs_of(options, groups)}
    totals, chosen = dict.fromkeys(found, 0), dict[Job, Sequence[str]](dict.fromkeys(found, ()))
    waiting, workers, begun = list(found), list[Worker](), time.monotonic()
    with tempfile.TemporaryDirectory() as folder, bar(console, 0) as update:
        try:
            while waiting or workers:
                while waiting and len(workers) < options.jobs:
                    job = waiting.pop(0)
                    workers.append(start(options, job, found[job], Path(folder)))
                wait([worker.connection for worker in workers], timeout=TICK)
                for worker in list(workers):
                    ended = not worker.process.is_alive()
                    take(worker, report, update)
                    totals[worker.job] = max(totals[worker.job], worker.total)
                    chosen[worker.job] = worker.adapters or chosen[worker.job]
                    update(total=sum(totals.values()))
                    if how := worker.went_wrong(limit, ended=ended):
                        worker.fail(how, report)
                        waiting[:0] = [] if worker.check == "import" else [worker.job]
                        workers.remove(worker)
                    elif worker.finished and (more := following(waiting, worker.job.origin)):
                        waiting.remove(more)
                        worker.give(more, found[more])
                    elif worker.finished:
                        worker.connection.close()
                        workers.remove(worker)
        except KeyboardInterrupt:
            hear_out(workers, report)
            raise
        finally:
            for worker in workers:
                worker.process.kill()
            order = [name for names in chosen.values() for name in names]
            report.rows += in_order([row for rows in found.values() for row in rows.values()], order)
            report.runs.append(Run(options.seed, options.examples, round(time.monotonic() - begun, 1)))


def apart(function: Callable[[str], Any], names: Sequence[str]) -> tuple[list[Any], list[str]]:
    """Call a function for each name in a process of its own; return the results, and what went wrong in words."""
    results, failures = [], []
    with ThreadPoolExecutor(cores()) as threads:
        for name, future in [(name, threads.submit(_one_apart, function, name)) for name in names]:
            try:
                results.append(future.result())
            except Exception as error:
                failures.append(f"{name}: {type(error).__name__}: {error}")
    return results, failures


def _one_apart(function: Callable[[str], Any], name: str) -> Any:
    with ProcessPoolExecutor(1, mp_context=SPAWN) as process:
        return process.submit(function, name).result()


def jobs_of(options: argparse.Namespace, groups: Mapping[str, Sequence[str]]) -> list[Job]:
    """Return the jobs: one a group, or one for each dtype of a group where there are few groups for the processes.

    Of several groups, the checks of nearly all cases come first, of the adapters that are vectorized: who has a minute
    has most of the cases.
    """
    dtypes = tuple(dtype for dtype in DTYPES if dtype in (options.dtype or DTYPES))
    if len(groups) >= 2 * options.jobs:
        return [Job(origin, tuple(names), dtypes) for origin, names in groups.items()]
    first, rest = (True, False) if len(groups) > 1 else (None, None)
    jobs = [Job(origin, tuple(names), (dtype,), rest) for origin, names in groups.items() for dtype in dtypes]
    return [Job(origin, tuple(names), dtypes, first) for origin, names in groups.items() if first] + jobs


def following(waiting: Sequence[Job], origin: str) -> Job | None:
    """Return the next job of a framework; None if those of others come before, or there are none."""
    return next((job for job in waiting if job.origin == origin and job.mass == waiting[0].mass), None)


def in_order(rows: Sequence[Row], adapters: Iterable[str]) -> list[Row]:
    """Return rows by framework, in order of appearance, by adapter, in the order given, and by dtype, each once."""
    together: list[Row] = []
    for row in rows:
        add_row(together, row)
    frameworks = list(dict.fromkeys(row.framework for row in rows))
    names = list(dict.fromkeys([*adapters, *(row.adapter for row in rows)]))
    dtypes = list(DTYPES)

    def place(row: Row) -> tuple[int, int, int]:
        dtype = dtypes.index(row.dtype) if row.dtype in dtypes else len(dtypes)
        return frameworks.index(row.framework), names.index(row.adapter), dtype

    return sorted(together, key=place)


def cores() -> int:
    """Return how many processes can run at once."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def start(options: argparse.Namespace, job: Job, rows: dict[int, Row], folder: Path) -> Worker:
    """Start a process that judges the rows of a job after those that are there."""
    ours, theirs = SPAWN.Pipe()
    printed = folder / f"{job.origin}.{'.'.join(job.dtypes)}.{job.mass}.{len(rows)}"
    process = SPAWN.Process(target=work, args=(theirs, options, str(printed)), daemon=True)
    with interrupts_waiting():
        process.start()
    theirs.close()
    worker = Worker(job, process, ours, printed, rows)
    worker.give(job, rows)
    return worker


@contextmanager
def interrupts_waiting() -> Iterator[None]:
    """Let interrupts wait, where there is a way; a process that is started in here has them wait, too."""
    if not CAN_WAIT:
        yield
        return
    # The first process would start it, upon which interrupts are let through.
    resource_tracker.ensure_running()
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def take(worker: Worker, report: Report, update: Callable[..., Any] = lambda **moved: None) -> None:
    """Take up what a process has sent.

    Raises:
        ValueError, TypeError, OSError, ModuleNotFoundError: it says that what is asked for cannot be judged.
        KeyboardInterrupt: it was interrupted.
    """
    for message in worker.messages():
        match message:
            case ("plan", total, names):
                worker.total, worker.adapters = total, names
            case ("advance",):
                update(advance=1)
            case ("row", number, row, check, environment, notes):
                worker.rows[number], worker.check = row, check
                report.environment |= environment
                report.notes += [note for note in notes if note not in report.notes]
                update(description=f"{row.adapter} {row.dtype} {check or 'what it looks like'}")
            case ("finished",):
                worker.finished = True
            case ("error", error):
                raise error


def hear_out(workers: Sequence[Worker], report: Report) -> None:
    """Take up what processes send once they are interrupted, too."""
    until = time.monotonic() + LAST_WORDS
    left = list(workers)
    for worker in left:
        if worker.process.pid and worker.process.is_alive():
            os.kill(worker.process.pid, signal.SIGINT)
    while left and time.monotonic() < until:
        wait([worker.connection for worker in left], timeout=TICK)
        for worker in list(left):
            ended = not worker.process.is_alive()
            try:
                take(worker, report)
            except (KeyboardInterrupt, ValueError, TypeError, OSError):
                ended = True
            if ended or worker.finished:
                left.remove(worker)


def work(connection: Connection, options: argparse.Namespace, printed: str) -> None:
    """Do job after job, in a process of its own, as long as there are any.

    Args:
        connection: to the process that gives jobs, each with the number of rows that are judged already.
        options: of the command line.
        printed: file for what the framework prints, which would tear the bars.
    """
    with open(printed, "wb", buffering=0) as file:
        os.dup2(file.fileno(), 1)
        os.dup2(file.fileno(), 2)
    # What runs in the background of a shell ignores interrupts, and so would this process, which is stopped by one.
    signal.signal(signal.SIGINT, signal.default_int_handler)
    # Threads of several frameworks, times as many as there are cores, wait for one another.
    os.environ.setdefault("OMP_NUM_THREADS", "1")
    try:
        # Before, an interrupt would have ended the process with a traceback of what it was importing.
        if CAN_WAIT:
            signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGINT})
        for job, skip in received(connection):
            judge_all(connection.send, options, job, skip)
            connection.send(("finished",))
    except (KeyboardInterrupt, ValueError, TypeError, OSError, ModuleNotFoundError) as error:
        connection.send(("error", error))


def received(connection: Connection) -> Iterator[Any]:
    """Give what is received until the other end is closed."""
    try:
        while True:
            yield connection.recv()
    except EOFError:
        return


def judge_all(send: Callable[[tuple[Any, ...]], Any], options: argparse.Namespace, job: Job, skip: int) -> None:
    """Judge every row from one on, say what its first failure looks like, and write down what is asked for."""
    chosen = choose(job.names)
    taken = [adapter for adapter in chosen if adapter.vectorized or not job.mass]
    plan = plan_for(argparse.Namespace(**vars(options) | {"dtype": job.dtypes}), taken, job.takes)
    silent, report = Console(file=sys.stdout), Report({"oracle": machine()})
    send(("plan", plan.total, [adapter.name for adapter in chosen]))
    for number, (adapter, *_) in enumerate(plan.rows[skip:], start=skip):

        def tell(check: str | None, number: int = number) -> None:
            environment = {name: facts for name, facts in report.environment.items() if name != "oracle"}
            send(("row", number, report.rows[-1], check, environment, report.notes))

        try:
            judge_row(report, plan, number, lambda what: tell(what.split()[-1]), lambda: send(("advance",)))
            tell(None)
            explain_row(report.rows[-1], adapter, silent, plan.limit)
            if options.reproduce:
                write_down(report, report.rows[-1], adapter, Path(options.reproduce), silent, plan.limit)
        finally:
            tell(None)
