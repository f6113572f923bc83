"""The course of ``rnn-oracle check`` in one process: from names to adapters, to a plan, to what is found."""

from __future__ import annotations

import argparse
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path

from rich.console import Console

import adapters
from adapters import Adapter
from adapters.conformance import subjects
from adapters.conformance.bar import bar
from adapters.conformance.checks import CHECKS, Check
from adapters.conformance.choices import EXAMPLES, LIMIT, NAMES
from adapters.conformance.guard import TimedOut, guarded, time_limit
from adapters.conformance.plan import Plan, diagnose, first_failure, judge
from adapters.conformance.port import read_params
from adapters.conformance.report import Report, Row
from adapters.conformance.reproduce import TRIES, reproduce
from reference.archive import DTYPES


def named(names: Sequence[str]) -> list[str]:
    """Return the names that are asked for; without any those of every framework that is installed.

    Raises:
        ValueError: there is no name and no framework.
    """
    found = list(names) or [name for name in adapters.frameworks() if adapters.is_installed(name)]
    if not found:
        lines = [f"  {adapters.install_line(name)}" for name in adapters.frameworks()]
        raise ValueError(
            "\n".join(["check: expected at least one framework, got none installed; install one:", *lines])
        )
    return found


def grouped(names: Sequence[str]) -> dict[str, list[str]]:
    """Return the names by where their adapters are: the framework, the plug-in, or a module.

    Raises:
        ValueError: a name is unknown.
        ModuleNotFoundError: a framework that is named is not installed.
    """
    found: dict[str, list[str]] = {}
    for name in names:
        found.setdefault(subjects.home(name), []).append(name)
    return found


def choose(names: Sequence[str]) -> list[Adapter]:
    """Return the adapters of the names, each once, and guarded.

    Raises:
        ValueError: a name is unknown.
        ModuleNotFoundError: a framework that is named is not installed.
    """
    found = {adapter.name: adapter for name in names for adapter in subjects.find(name)}
    return [guarded(adapter) for adapter in found.values()]


def plan_for(
    options: argparse.Namespace,
    chosen: Sequence[Adapter],
    takes: Callable[[Adapter, Check], bool] = lambda adapter, check: True,
) -> Plan:
    """Return what is judged as the options say.

    Args:
        options: of the command line.
        chosen: the adapters, guarded.
        takes: tells of an adapter whether it is judged on a check.

    Raises:
        ValueError: the shard has nothing to judge.
    """
    params = read_params(options.params) if options.params else None
    asked = set(options.only or NAMES) - set(options.skip)
    checks = [check for check in CHECKS if check.name in asked and check.suits(params)]
    rows = [
        (adapter, dtype, [check for check in checks if takes(adapter, check)])
        for adapter in chosen
        for dtype in adapter.dtypes
        if dtype in (options.dtype or DTYPES)
    ]
    limit = options.limit or LIMIT * max(1, options.examples / EXAMPLES)
    plan = Plan(rows, options.examples, options.seed, params, options.shard, limit)
    most = max((check.count(options.examples) for check in checks), default=0)
    if checks and options.shard[0] > most:
        raise ValueError(f"--shard: expected one of at most {most}, the examples of a check, got {options.shard[0]}")
    return plan


def judge_here(options: argparse.Namespace, chosen: Sequence[Adapter], report: Report, console: Console) -> None:
    """Judge adapters in this process, then say what each first failure looks like, and write down what is asked for.

    Args:
        options: of the command line.
        chosen: the adapters, guarded.
        report: where the findings go, as they come.
        console: where bars are shown.
    """
    plan = plan_for(options, chosen)
    by_name = {adapter.name: adapter for adapter in chosen}
    with bar(console, plan.total) as update:
        judge(report, plan, lambda what: update(description=what), partial(update, advance=1))
    for row in report.rows:
        explain_row(row, by_name[row.adapter], console, plan.limit)
    if options.reproduce:
        for row in report.rows:
            write_down(report, row, by_name[row.adapter], Path(options.reproduce), console, plan.limit)


def explain_row(row: Row, adapter: Adapter, console: Console, limit: float | None = None) -> None:
    """Say what the first failure of a row looks like; the others are as likely its consequence."""
    failed = first_failure(row)
    if failed is not None:
        with bar(console, TRIES, f"what it looks like: {row.adapter} {row.dtype}") as update:
            diagnose(adapter, failed, row.dtype, partial(update, advance=1), limit=limit)


def write_down(
    report: Report, row: Row, adapter: Adapter, folder: Path, console: Console, limit: float | None = None
) -> None:
    """Write a reproduction of every failure of a row, but of one that hangs while its case is made smaller."""
    for check in row.checks:
        if check.failed and check.counterexample is not None:
            name = f"{row.adapter}-{row.dtype}-{check.name}"
            facts = report.environment["oracle"] | report.environment[row.framework]
            try:
                with time_limit(limit), bar(console, TRIES, f"smallest case: {name}") as update:
                    tried = partial(update, advance=1)
                    written = reproduce(adapter, check.counterexample, facts, folder, name, progress=tried)
            except TimedOut as late:
                report.notes.append(f"unwritten  {name}: {late}")
                continue
            check.reproduction = written
            check.script = next((path.read_text("utf-8") for path in written if path.suffix == ".py"), None)
