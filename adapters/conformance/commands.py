"""The commands of ``rnn-oracle``, each from its options to its exit status."""

from __future__ import annotations

import argparse
import contextlib
import math
import os
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table

import adapters
from adapters import Adapter
from adapters.conformance import NAMES, STACKS, TIMEOUT, discovery, mutation, page
from adapters.conformance.checks import CHECKS, Plan, suits
from adapters.conformance.cli import status_of
from adapters.conformance.conclusion import listed
from adapters.conformance.contract import guarded
from adapters.conformance.formats import read_params
from adapters.conformance.judge import subject_of
from adapters.conformance.outputs import expect_writable
from adapters.conformance.port import move
from adapters.conformance.process import Ended, Worker
from adapters.conformance.rendering import ENDLESS
from adapters.conformance.report import Report, machine
from adapters.conformance.reproduce import TRIES
from adapters.conformance.results import read_merged, write
from adapters.conformance.run import Group, judge_all
from adapters.conformance.screen import bar
from reference import Case, LayersCase, Params
from reference.archive import DTYPES
from reference.cells import CELLS, NONLINEARITIES
from reference.explain import explain_subject
from reference.shrink import outcome

NO_FAULT = "no fault in this case"


def wide_console() -> Console:
    """Return a console on standard output; into a file or pipe it is as wide as the tables."""
    # Rich takes brackets for markup and colours numbers. Names of adapters and messages of frameworks have both.
    plain: dict[str, Any] = {"markup": False, "highlight": False}
    console = Console(**plain)
    return console if console.is_terminal else Console(width=ENDLESS, **plain)


def list_adapters(options: argparse.Namespace, console: Console) -> int:
    """Print every adapter of every framework and plug-in, installed or not; return 1 if one does not load."""
    table = Table("adapter", "what it calls", "version", "dtypes", "nonlinearities", "T")
    absent, broken = list[str](), False
    stopped, names = threading.Event(), [*adapters.frameworks(), *discovery.plugins()]
    with ThreadPoolExecutor(cores()) as threads, setting(stopped):
        for found in threads.map(partial(_subjects, stopped), names):
            if isinstance(found, Exception):
                absent.append(str(found))
                broken |= not isinstance(found, ModuleNotFoundError)
                continue
            for one, facts in found:
                steps = "any" if one.max_T is None else f"up to {one.max_T}"
                offers = ", ".join(one.dtypes), ", ".join(one.nonlinearities)
                table.add_row(one.name, one.describe, facts.get(one.framework, "-"), *offers, steps)
    console.print(table)
    for line in absent:
        console.print(line, soft_wrap=True)
    return int(broken)


def _subjects(stopped: threading.Event, name: str) -> list[tuple[Adapter, dict[str, str]]] | Exception:
    """Return the adapters of a framework or plug-in, imported in a process of its own; or why there are none."""
    try:
        if name in adapters.frameworks():
            adapters.expect_installed(name)
        with contextlib.closing(Worker([name], stopped=stopped, find=discovery.everything)) as worker:
            return worker.start()
    except Ended as error:
        return Ended(f"{name}: {error}")
    except (ValueError, ModuleNotFoundError) as error:
        return error


@contextlib.contextmanager
def setting(stopped: threading.Event) -> Iterator[None]:
    """Set an event at the end of the body, however it ends."""
    try:
        yield
    finally:
        stopped.set()


def check_adapters(options: argparse.Namespace, console: Console) -> int:
    """Judge the adapters of the names, each in a process of its own; print the table."""
    groups = _groups(options.names, every=options.all)
    if options.layer and not options.params:
        raise ValueError(f"--layer: expected a file with --params, got {options.layer} alone")
    none = dict[str, Params](), tuple(NONLINEARITIES)
    params, nonlinearities = read_params(options.params, options.layer) if options.params else none
    chosen = set(options.only or NAMES) - set(options.skip)
    checks = [check.name for check in CHECKS if check.name in chosen and suits(check, params, nonlinearities)]
    if params and not checks:
        drawn = [check.name for check in CHECKS if suits(check, params, nonlinearities)]
        raise ValueError(f"--params: expected a check of {listed(drawn)}, got {', '.join(sorted(chosen)) or 'none'}")
    plan = Plan(
        checks=checks,
        dtypes=[dtype for dtype in DTYPES if dtype in (options.dtype or ())],
        stacks=options.stacks,
        seed=options.seed,
        timeout=options.timeout or TIMEOUT * max(1, options.stacks / STACKS),
        params=params,
        nonlinearities=nonlinearities,
        reproduce=Path(options.reproduce) if options.reproduce else None,
    )
    report, interrupted, failed = Report({"oracle": machine()}), 0, None
    try:
        judge_all(groups, plan, options.jobs or cores(), report, console)
    except KeyboardInterrupt as interrupt:
        interrupted = status_of(interrupt)
    except (ValueError, TypeError, OSError) as error:
        if not report.rows:
            raise
        failed = error  # the results until then are written and printed first
    unjudged = [group.origin for group in groups if not (group.report.rows or interrupted or failed)]
    if interrupted and (waiting := [group.origin for group in groups if not group.report.rows]):
        report.notes.append(f"not begun  {', '.join(waiting)}")
    if unjudged:
        expected = f"expected a precision that it offers, got {', '.join(plan.dtypes)}"
        if params:
            expected = f"expected a way of {listed(params)} in {listed(plan.dtypes or DTYPES[:2])}, got none"
        report.notes.append(f"unjudged  {', '.join(unjudged)}: {expected}")
    try:
        save(report, options)
    except OSError as error:
        failed = error
    # Last: the reader of a pipe may close it before the end of the table.
    report.show(console, by_quantity=options.by_quantity, verbose=options.verbose)
    if failed:
        raise failed
    if interrupted:
        return interrupted
    # A framework that nobody named may lack the precision.
    return 1 if unjudged and options.names else report.exit_status


def save(report: Report, options: argparse.Namespace) -> None:
    """Write a report to the files that the options name.

    Raises:
        OSError: a file could not be written; the others are.
    """
    more = f"\n{report.markdown(by_quantity=True)}" if options.by_quantity else ""
    writers: dict[str, Callable[[str], Any]] = {
        "json": partial(write, report),
        "html": lambda path: page.write(page.render([report]), path),
        "markdown": lambda path: page.write(report.markdown() + more, path),
    }
    failed = None
    for option, writer in writers.items():
        path = getattr(options, option)
        try:
            writer(path) if path else None
        except OSError as error:
            failed = failed or type(error)(f"--{option}: {path} was not written: {error.strerror or error}")
    if failed:
        raise failed


def _groups(names: list[str], *, every: bool = False) -> list[Group]:
    """Return the names by framework, plug-in or module; without names, all frameworks that are installed.

    With ``every``, the name of a framework stands for all of its adapters but slow ones, not for the main ones.
    """
    names = names or [name for name in adapters.frameworks() if adapters.is_installed(name)]
    if not names:
        lines = [f"  {adapters.install_line(name)}" for name in adapters.frameworks()]
        first = "check: expected at least one framework, got none installed; install one:"
        raise ValueError("\n".join([first, *lines]))
    found: dict[str, list[str]] = {}
    for name in names:
        origin = discovery.home(name)
        every_one = every and name.replace("-", "_") == origin and origin in adapters.frameworks()
        found.setdefault(origin, []).append(f"{origin}.*" if every_one else name)
    return [
        Group(origin, named, is_own=":" in named[0] or origin not in adapters.frameworks())
        for origin, named in found.items()
    ]


def cores() -> int:
    """Return the number of processes that can run at once."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def publish(options: argparse.Namespace, console: Console) -> int:
    """Print the results of one run or more, and write them as a page and in Markdown if asked for."""
    runs = read_merged(options.results)
    written = {"output": page.render, "markdown": page.render_markdown, "summary": page.summary}
    for option, render in written.items():
        if path := getattr(options, option):
            page.write(render(runs), path)
    for run in runs:
        run.show(console)
    return 0


def explain_case(options: argparse.Namespace, console: Console) -> int:
    """Judge one adapter on one saved case, in a process of its own, and print the diagnosis."""
    case = saved_case(options.case)
    discovery.home(options.name)
    with (
        contextlib.closing(Worker([options.name], math.inf)) as worker,
        bar(console, TRIES, "smallest case, and its faults") as update,
    ):
        try:
            found = worker.start()
            if len(found) != 1:
                raise ValueError(f"explain: expected one adapter, got {[adapter.name for adapter, _ in found]}")
            ((adapter, _),) = found
            adapter.precision(case.dtype)
            diagnosis = worker.call(diagnosed, adapter.name, case, progress=partial(update, advance=1))
        except Ended as error:
            raise ValueError(f"explain: {options.name}: {error}") from error
    told = f": {diagnosis}" if diagnosis == NO_FAULT else f"\n{diagnosis}"
    console.print(f"{adapter.name} {case.dtype}{told}", soft_wrap=True)
    return int(diagnosis != NO_FAULT)


def saved_case(path: str) -> Case | LayersCase:
    """Return the case in a file, of one layer or of several.

    Raises:
        FileNotFoundError, ValueError: as of ``Case.load``.
    """
    try:
        return Case.load(path)
    except ValueError as error:
        try:
            return LayersCase.load(path)
        except ValueError:
            raise error from None


def diagnosed(adapter: Adapter, case: Case | LayersCase, progress: Callable[[], Any]) -> str:
    """Return the diagnosis of an adapter on a case."""
    subject, precision = subject_of(guarded(adapter), case), adapter.precision(case.dtype)
    if outcome(subject, case, precision) == "pass":
        return NO_FAULT
    return str(explain_subject(subject, case, precision, progress=progress, tries=TRIES))


def judge_suite(options: argparse.Namespace, console: Console) -> int:
    """Print the mutation score of the suite."""
    return mutation.run(options.cell or [*CELLS], options.dtype or DTYPES, options.seeds, console)


COMMANDS: dict[str, Callable[[argparse.Namespace, Console], int]] = {
    "list": list_adapters,
    "check": check_adapters,
    "report": publish,
    "explain": explain_case,
    "port": move,
    "faults": judge_suite,
}


def run(options: argparse.Namespace) -> int:
    """Run the command of the options, and return its exit status.

    Raises:
        ValueError, OSError: before any work is done, a file cannot be written.
    """
    expect_writable(options)
    return COMMANDS[options.command](options, wide_console())
