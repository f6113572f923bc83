"""The commands of ``rnn-oracle``, each from what was typed to what is printed."""

from __future__ import annotations

import argparse
import itertools
import os
from collections.abc import Callable
from functools import partial
from pathlib import Path

from rich.console import Console
from rich.table import Table

import adapters
from adapters import Adapter
from adapters.conformance import mutation, page, subjects
from adapters.conformance.bar import bar
from adapters.conformance.course import choose, grouped, judge_here, named
from adapters.conformance.port import move
from adapters.conformance.processes import apart, cores, judge_apart
from adapters.conformance.report import Report, machine
from adapters.conformance.reproduce import TRIES
from adapters.conformance.results import read_merged, write
from adapters.conformance.smoke import smoke
from adapters.conformance.tables import ENDLESS
from reference import Case
from reference.archive import DTYPES
from reference.explain import explain_subject
from reference.minimise import outcome

# Given a folder for what it has compiled, JAX by itself keeps what took a second, and no cell does.
KEEP_COMPILED = {
    "JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS": "0",
    "JAX_PERSISTENT_CACHE_MIN_ENTRY_SIZE_BYTES": "-1",
}


def wide_console() -> Console:
    """Return a console on standard output; into a file or pipe it is as wide as the tables."""
    console = Console()
    return console if console.is_terminal else Console(width=ENDLESS)


def list_adapters(options: argparse.Namespace, console: Console) -> int:
    """Print every adapter of every framework, installed or not."""
    table = Table("adapter", "what it calls", "version", "dtypes", "nonlinearities", "T")
    there = [name for name in adapters.frameworks() if adapters.is_installed(name)]
    absent = [name for name in adapters.frameworks() if name not in there]
    rows, missing = apart(of_framework, there) if len(there) > 1 else ([of_framework(name) for name in there], [])
    missing += [adapters.absence(name) for name in absent]
    for entry in subjects.plugins().values():
        try:
            offered = subjects.from_plugin(entry)
        except (ValueError, TypeError) as error:
            missing.append(str(error))
            continue
        rows.append([listed(adapter, entry.dist.version if entry.dist else "-") for adapter in offered])
    for row in itertools.chain.from_iterable(rows):
        table.add_row(*row)
    console.print(table)
    for line in missing:
        console.print(line, highlight=False, markup=False, soft_wrap=True)
    return 0


def of_framework(name: str) -> list[tuple[str, ...]]:
    """Return the rows of a framework's adapters in the list."""
    module = adapters.load_framework(name)
    return [listed(adapter, module.environment()[name]) for adapter in module.ADAPTERS]


def listed(adapter: Adapter, version: str) -> tuple[str, ...]:
    """Return the row of an adapter in the list."""
    limit = "any" if adapter.max_T is None else f"up to {adapter.max_T}"
    offers = (", ".join(adapter.dtypes), ", ".join(adapter.nonlinearities))
    return adapter.name, adapter.describe, version, *offers, limit


def check_adapters(options: argparse.Namespace, console: Console) -> int:
    """Judge the adapters asked for, each framework in a process of its own if there are several; print the table."""
    for name in ("json", "markdown", "html"):
        expect_folder(f"--{name}", getattr(options, name))
    names = named([*options.names, *options.adapter])
    groups = grouped(names)
    report = Report({"oracle": machine()})
    status = None
    os.environ.update(KEEP_COMPILED | os.environ)
    try:
        options.jobs = options.jobs or (cores() if len(groups) > 1 else 1)
        if len(groups) > 1 or options.jobs > 1:
            judge_apart(options, groups, report, console)
        else:
            judge_here(options, choose(names), report, console)
        if not report.rows:
            asked = ", ".join(options.dtype or DTYPES)
            report.notes.append(f"unjudged  {', '.join(groups)}: expected a precision that it offers, got {asked}")
    except KeyboardInterrupt:
        status = 130
    if options.json:
        write(report, options.json)
    if options.html:
        page.write(page.render([report]), options.html)
    if options.markdown:
        tables = [report.markdown(by_quantity=by_quantity) for by_quantity in (False, True)[: 1 + options.quantities]]
        Path(options.markdown).write_text("\n".join(tables), encoding="utf-8")
    # Last: whoever reads the table may close the pipe before its end.
    report.show(console, by_quantity=options.quantities)
    if status:
        console.print("interrupted: the table holds what was judged before", style="yellow")
    return status or report.exit_status


def publish(options: argparse.Namespace, console: Console) -> int:
    """Print what runs found, and write it as a page and in Markdown if asked for; 0 once that is done."""
    for name in ("output", "markdown", "summary"):
        expect_folder(f"--{name}", getattr(options, name))
    runs = read_merged(options.results)
    if options.output:
        page.write(page.render(runs), options.output)
    if options.markdown:
        page.write(page.render_markdown(runs), options.markdown)
    if options.summary:
        page.write(page.summary(runs), options.summary)
    for run in runs:
        run.show(console)
    return 0


def smoke_adapters(options: argparse.Namespace, console: Console) -> int:
    """Judge one small case of each adapter of a name, and say what is wrong."""
    statuses = []
    for adapter in subjects.find(options.adapter):
        faults = smoke(adapter, options.dtype)
        statuses.append(1 if faults else 0)
        for line in faults or [
            f"{adapter.name}: right in small cases; now: rnn-oracle check --adapter {options.adapter}"
        ]:
            console.print(line, highlight=False, markup=False, soft_wrap=True)
    return max(statuses)


def explain_case(options: argparse.Namespace, console: Console) -> int:
    """Judge one adapter on one saved case and print the diagnosis."""
    found = subjects.find(options.adapter)
    if len(found) != 1:
        raise ValueError(f"explain: expected one adapter, got {[adapter.name for adapter in found]}")
    case = Case.load(options.case)
    precision = found[0].precision(case.dtype)
    if outcome(found[0], case, precision) == "pass":
        console.print(f"{found[0].name} {case.dtype}: no fault in this case", highlight=False)
        return 0
    with bar(console, TRIES, "smallest case, and what reproduces it") as update:
        diagnosis = explain_subject(found[0], case, precision, progress=partial(update, advance=1), tries=TRIES)
    console.print(f"{found[0].name} {case.dtype}", style="bold", highlight=False)
    console.print(str(diagnosis), highlight=False, markup=False, soft_wrap=True)
    return 1


def port_weights(options: argparse.Namespace, console: Console) -> int:
    """Move the weights of a file to another framework, and print what both compute with them."""
    expect_folder("--output", options.output)
    return move(options, console)


def judge_suite(options: argparse.Namespace, console: Console) -> int:
    """Print the mutation score of the suite."""
    expect_folder("--json", options.json)
    return mutation.run(options.dtype or DTYPES, options.seeds, console, options.json)


def expect_folder(option: str, path: str | None) -> None:
    """Raise FileNotFoundError, before any work is done, if there is no folder for a file that is to be written."""
    if path and not Path(path).absolute().parent.is_dir():
        raise FileNotFoundError(f"{option}: expected a file in a folder that is there, got {path}")


COMMANDS: dict[str, Callable[[argparse.Namespace, Console], int]] = {
    "list": list_adapters,
    "check": check_adapters,
    "report": publish,
    "explain": explain_case,
    "smoke": smoke_adapters,
    "port": port_weights,
    "faults": judge_suite,
}
