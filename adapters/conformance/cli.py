"""The command line, ``rnn-oracle``: list the adapters, and check them against the oracle."""

from __future__ import annotations

import argparse
import itertools
import sys
from collections.abc import Sequence
from functools import partial
from pathlib import Path

from rich.console import Console
from rich.table import Table

import adapters
from adapters import Adapter
from adapters.conformance import mutation, subjects
from adapters.conformance.bar import bar
from adapters.conformance.checks import EXAMPLES, NAMES
from adapters.conformance.course import choose, grouped, judge_here, named
from adapters.conformance.frontend import LIMIT
from adapters.conformance.junit import write_junit
from adapters.conformance.markdown import summary, write_markdown
from adapters.conformance.merge import merged
from adapters.conformance.moving import move
from adapters.conformance.page import write_page
from adapters.conformance.processes import apart, cores, judge_apart
from adapters.conformance.report import Report, machine
from adapters.conformance.reproduce import TRIES
from adapters.conformance.smoke import smoke
from reference import Case
from reference.archive import DTYPES
from reference.explain import explain_subject
from reference.faults import COMPUTED
from reference.minimise import outcome

# Columns of the widest table.
WIDTH = 160
OWN = "one of your own: a module of the path or of this folder, and an adapter or a function in it; may be repeated"

JOBS = "processes at once; default: as many as cores for several frameworks, and this very process for one"
PATIENCE = f"that one check may take in one precision, inf for any; default: {LIMIT:g}, and more for more examples"


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line.

    Args:
        arguments: the words after ``rnn-oracle``; those of the process by default.

    Returns:
        The exit status: 0 all judged and passed, 1 a mismatch or nothing judged, 2 usage or a backend that was asked
        for and is not there, 130 interrupted.
    """
    options = parser().parse_args(arguments)
    console = wide_console()
    try:
        status: int = options.command(options, console)
    except (ValueError, TypeError, OSError, ModuleNotFoundError) as error:
        sys.stderr.write(f"rnn-oracle: {error}\n")
        return 2
    return status


def wide_console() -> Console:
    """Return a console on standard output; into a file or pipe it is as wide as the tables."""
    console = Console()
    return console if console.is_terminal else Console(width=WIDTH)


def parser() -> argparse.ArgumentParser:
    """Return the parser of the command line."""
    top = argparse.ArgumentParser(prog="rnn-oracle", description=__doc__)
    commands = top.add_subparsers(required=True, metavar="COMMAND")
    listing = commands.add_parser("list", help="list the adapters and what each can do")
    listing.set_defaults(command=list_adapters)
    check = commands.add_parser("check", help="judge adapters against the oracle")
    check.set_defaults(command=check_adapters)
    check.add_argument("names", nargs="*", metavar="NAME", help="torch, or torch.RNN; default: all that are installed")
    check.add_argument("--adapter", action="append", default=[], metavar="MODULE:NAME", help=OWN)
    check.add_argument("--dtype", nargs="+", choices=DTYPES, metavar="D", help=f"of {', '.join(DTYPES)}; default: all")
    check.add_argument("--only", nargs="+", choices=NAMES, metavar="CHECK", help=f"of {', '.join(NAMES)}; default: all")
    check.add_argument("--quantities", action="store_true", help="show the largest error of each quantity, too")
    check.add_argument("--examples", type=positive, default=EXAMPLES, metavar="N", help="stacks of cases a check")
    check.add_argument("--seed", type=int, default=0, metavar="S", help="of the cases; default: 0")
    check.add_argument("--shard", type=shard, default=(1, 1), metavar="I/N", help="judge the I-th of N parts alone")
    check.add_argument("--limit", type=seconds, metavar="SECONDS", help=PATIENCE)
    check.add_argument("--jobs", type=positive, metavar="N", help=JOBS)
    check.add_argument("--params", metavar="FILE", help="judge on these weights: .npz, .safetensors or .pt")
    check.add_argument("--reproduce", metavar="DIR", help="write every failure down: the case, a script, a bug report")
    check.add_argument("--json", metavar="FILE", help="write the report as JSON")
    check.add_argument("--markdown", metavar="FILE", help="write the table in Markdown")
    check.add_argument("--html", metavar="FILE", help="write the report as a page")
    publishing = commands.add_parser("report", help="show what check --json wrote, once or more often, and make a page")
    publishing.set_defaults(command=publish)
    publishing.add_argument("results", nargs="+", metavar="RESULTS.json", help="of one run, its shards, or many")
    publishing.add_argument("-o", "--output", metavar="FILE.html", help="the page")
    publishing.add_argument("--markdown", metavar="FILE", help="write the same in Markdown")
    publishing.add_argument("--summary", metavar="FILE", help="write one line for each adapter, in Markdown")
    publishing.add_argument("--junit", metavar="FILE", help="write the same as JUnit XML")
    explain = commands.add_parser("explain", help="say what is wrong with an adapter on a saved case")
    explain.set_defaults(command=explain_case)
    explain.add_argument("case", metavar="CASE.npz", help="as --reproduce writes it")
    explain.add_argument("--adapter", required=True, metavar="NAME", help="one adapter, as torch.RNN or MODULE:NAME")
    smoke = commands.add_parser("smoke", help="judge one small case and say what is wrong with an adapter")
    smoke.set_defaults(command=smoke_adapters)
    smoke.add_argument("--adapter", required=True, metavar="NAME", help="as torch.RNN or MODULE:NAME")
    smoke.add_argument("--dtype", choices=DTYPES, metavar="D", help="default: float32, or the first on offer")
    porting = commands.add_parser("port", help="move weights from one framework to another, with a proof")
    porting.set_defaults(command=port_weights)
    porting.add_argument("model", metavar="MODEL", help="the weights: .npz, .safetensors or .pt")
    porting.add_argument("--from", dest="source", required=True, metavar="NAME", help="torch, or torch.RNN")
    porting.add_argument("--to", required=True, metavar="NAME", help="flax, or flax.nnx.RNN")
    porting.add_argument("-o", "--output", required=True, metavar="FILE", help=".npz or .safetensors")
    porting.add_argument("--dtype", choices=DTYPES, metavar="D", help="round to it; default: that of the file")
    porting.add_argument("--nonlinearity", choices=("tanh", "relu"), help="of the model; default: the source's first")
    porting.add_argument("--no-proof", dest="proof", action="store_false", help="write the file, and run nothing")
    faults = commands.add_parser("faults", help="judge the suite itself: which faults of its catalogue it catches")
    faults.set_defaults(command=judge_suite)
    faults.add_argument("--dtype", nargs="+", choices=COMPUTED, metavar="D", help=f"of {', '.join(COMPUTED)}")
    faults.add_argument("--seeds", type=positive, default=5, metavar="N", help="runs of each fault; default: 5")
    faults.add_argument("--json", metavar="FILE", help="write the same as JSON")
    return top


def positive(text: str) -> int:
    """Return a positive whole number.

    Raises:
        argparse.ArgumentTypeError: the text is none.
    """
    if not text.isdecimal() or int(text) < 1:
        raise argparse.ArgumentTypeError(f"expected a whole number of at least 1, got {text!r}")
    return int(text)


def seconds(text: str) -> float:
    """Return a number above 0, infinity included.

    Raises:
        argparse.ArgumentTypeError: the text is none.
    """
    try:
        number = float(text)
    except ValueError:
        number = 0.0
    if not number > 0:
        raise argparse.ArgumentTypeError(f"expected seconds above 0, or inf, got {text!r}")
    return number


def shard(text: str) -> tuple[int, int]:
    """Return I and N of "I/N".

    Raises:
        argparse.ArgumentTypeError: the text is none such.
    """
    part, _, parts = text.partition("/")
    if not (part.isdecimal() and parts.isdecimal() and 1 <= int(part) <= int(parts)):
        raise argparse.ArgumentTypeError(f"expected I/N with 1 <= I <= N, got {text!r}")
    return int(part), int(parts)


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
    try:
        options.jobs = options.jobs or (cores() if len(groups) > 1 else 1)
        if len(groups) > 1 or options.jobs > 1:
            judge_apart(options, groups, report, console)
        else:
            judge_here(options, choose(names), report, console)
    except KeyboardInterrupt:
        status = 130
    if options.json:
        report.save(options.json)
    if options.html:
        write_page([report], options.html)
    if options.markdown:
        tables = [report.markdown(quantities=quantities) for quantities in (False, True)[: 1 + options.quantities]]
        Path(options.markdown).write_text("\n".join(tables), encoding="utf-8")
    # Last: whoever reads the table may close the pipe before its end.
    report.show(console, quantities=options.quantities)
    if status:
        console.print("interrupted: the table holds what was judged before", style="yellow")
    return status or report.exit_status


def publish(options: argparse.Namespace, console: Console) -> int:
    """Print what runs found, and write it as a page, in Markdown and in JUnit XML if asked for; 0 once that is done."""
    for name in ("output", "markdown", "summary", "junit"):
        expect_folder(f"--{name}", getattr(options, name))
    runs = merged(options.results)
    if options.output:
        write_page(runs, options.output)
    if options.markdown:
        write_markdown(runs, options.markdown)
    if options.summary:
        Path(options.summary).write_text(summary(runs), encoding="utf-8")
    if options.junit:
        write_junit(runs, options.junit)
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
    return mutation.run(options.dtype or COMPUTED, options.seeds, console, options.json)


def expect_folder(option: str, path: str | None) -> None:
    """Raise FileNotFoundError, before any work is done, if there is no folder for a file that is to be written."""
    if path and not Path(path).absolute().parent.is_dir():
        raise FileNotFoundError(f"{option}: expected a file in a folder that is there, got {path}")
