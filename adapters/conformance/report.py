"""The report has one row for each adapter and dtype, the runs behind them, and the versions of the machine."""

from __future__ import annotations

import dataclasses
import io
import platform
from collections.abc import Sequence
from dataclasses import dataclass, field
from importlib import metadata

import numpy as np
from rich.console import Console
from rich.table import Table
from rich.text import Text

from adapters.conformance.conclusion import LEGEND, reasons, sentence, ways
from adapters.conformance.rendering import ENDLESS, as_html, drawn, markdown, printable, spell_ratio
from adapters.conformance.result import STATUSES as STATUSES
from adapters.conformance.result import ErrorMap as ErrorMap
from adapters.conformance.result import Failure as Failure
from adapters.conformance.result import Result as Result
from adapters.conformance.result import largest
from reference.verdict import GRADIENTS

GOOD = ("pass", "xfail")
BY_QUANTITY = ("adapter", "precision", *GRADIENTS, "jvp", "hvp")
# On a narrow screen a number stands for the checks of these.
COUNTED = ("pass", "unsupported")
BRIEFLY = ("adapter", "precision", "cases", "checks", "worst", "verdict")


@dataclass
class Row:
    """One adapter in one dtype."""

    adapter: str
    framework: str
    version: str
    dtype: str
    checks: list[Result] = field(default_factory=list)

    @property
    def status(self) -> str:
        """The worst status among the checks; "not judged" without any."""
        return min({check.status for check in self.checks} or {"not judged"}, key=STATUSES.index)

    @property
    def verdict(self) -> str:
        """The status, and the number of finished checks unless all are: "interrupted, 4 of 11"."""
        return self.status if self.done == len(self.checks) else f"{self.status}, {self.done} of {len(self.checks)}"

    @property
    def done(self) -> int:
        """Number of checks that were finished."""
        return sum(not check.interrupted for check in self.checks)

    @property
    def is_begun(self) -> bool:
        """Whether the row has a verdict, or needs none."""
        return bool(self.done or not self.checks)

    @property
    def cases(self) -> int:
        """Number of cases judged."""
        return sum(check.cases for check in self.checks)

    @property
    def worst(self) -> dict[str, float]:
        """Largest |error| / bound of each quantity over all checks except expected failures."""
        return largest(*(check.worst for check in self.checks if check.status != "xfail"))

    @property
    def relative_bound(self) -> float | None:
        """Median of bound / scale of the value: over all cases, that of their check, which is all that a file has."""
        bounds = ([check.relative_bound] * len(check.relative_bounds) for check in self.checks)
        found = [bound for own in bounds for bound in own if bound is not None]
        return float(np.median(found)) if found else None

    def cells(self, checks: Sequence[str]) -> tuple[str, ...]:
        """Return the row as text, with the verdict of every check."""
        by_name = {check.name: _cell(check) for check in self.checks}
        worst = spell_ratio(max(self.worst.values())) if self.worst else "-"
        bound = "-" if self.relative_bound is None else f"{self.relative_bound:.0e}"
        verdicts = (by_name.get(name, "-") for name in checks)
        return self.adapter, self.dtype, f"{self.cases:,}", *verdicts, worst, bound, self.verdict

    def briefly(self) -> tuple[str, ...]:
        """Return the row as text for a narrow screen: the number of checks of each status, or their names."""
        adapter, dtype, cases, worst, _, verdict = self.cells(())
        found: dict[str, list[Result]] = {}
        for check in self.checks:
            found.setdefault(check.status, []).append(check)
        found.pop("interrupted", None)
        stars = {status: "*" * any("*" in _cell(check) for check in checks) for status, checks in found.items()}
        counts = [
            f"{len(checks)} {status}{stars[status]}"
            if status in COUNTED
            else f"{status} {', '.join(check.name for check in checks)}"
            for status, checks in sorted(found.items(), key=lambda one: STATUSES.index(one[0]))
        ]
        return adapter, dtype, cases, ", ".join(counts) or "-", worst, verdict

    def by_quantity(self) -> tuple[str, ...]:
        """Return the largest |error| / bound of each quantity as text, a dash for a quantity that was not judged."""
        hvp = [ratio for name, ratio in self.worst.items() if name.startswith("hvp")]
        columns = [self.worst.get(name) for name in (*GRADIENTS, "jvp h")] + [max(hvp, default=None)]
        return self.adapter, self.dtype, *("-" if ratio is None else spell_ratio(ratio) for ratio in columns)


def _cell(check: Result) -> str:
    if check.status == "interrupted":
        return "-"
    is_marked = check.is_partial and check.status not in ("unsupported", "inconclusive")
    return f"{check.status}*" if is_marked else check.status


@dataclass(frozen=True)
class Run:
    """The seed and the number of stacks of one run, and its duration."""

    seed: int
    stacks: int
    seconds: float

    def __str__(self) -> str:
        """Return the run in words: "seed 0, 8 stacks, 31.4 s"."""
        return f"seed {self.seed}, {self.stacks:,} stacks, {self.seconds:g} s"


@dataclass(repr=False)
class Report:
    """The results of one run, or of several in one environment."""

    environment: dict[str, dict[str, str]]  # of the oracle and of each framework: versions and flags
    rows: list[Row] = field(default_factory=list)
    oracle: str = field(default_factory=lambda: metadata.version("rnn-oracle"))  # its version
    notes: list[str] = field(default_factory=list)  # on the run as a whole
    runs: list[Run] = field(default_factory=list)

    @property
    def exit_status(self) -> int:
        """0 if there are rows and each passed or failed as expected, else 1."""
        return 0 if self.rows and all(row.status in GOOD for row in self.rows) else 1

    @property
    def checks(self) -> list[str]:
        """Names of the checks, in order."""
        return list(dict.fromkeys(check.name for row in self.rows for check in row.checks))

    @property
    def header(self) -> tuple[str, ...]:
        """The columns of the table."""
        return "adapter", "precision", "cases", *self.checks, "worst", "relative bound", "verdict"

    def add(self, other: Report) -> None:
        """Add another report of the same environment; it stays unchanged.

        Runs of one seed have the same cases, which are not added up: of two results of a check the fuller one counts.
        """
        same = not {run.seed for run in self.runs}.isdisjoint(run.seed for run in other.runs)
        self.environment |= other.environment
        self.notes += other.notes
        self.runs += other.runs
        for row in other.rows:
            add_row(self.rows, row, same=same)

    @property
    def remarks(self) -> list[str]:
        """Each reason why something was unsupported, undetermined or expected to fail, then the notes on the run."""
        return [*reasons(self.rows), *self.notes]

    @property
    def sentence(self) -> str:
        """The report in one sentence."""
        return sentence(self.rows)

    def show(self, console: Console, *, by_quantity: bool = False, verbose: bool = False, legend: bool = True) -> None:
        """Print the environment, the table, failures, notes, one sentence and the meaning of the statuses.

        Args:
            console: its width decides between the whole table and a brief one.
            by_quantity: whether the largest errors of each quantity follow the table.
            verbose: whether the reasons follow why something was unsupported, undetermined or expected to fail, and
                each failure is told in full.
            legend: whether the meaning of the statuses comes last.
        """
        for name, facts in self.environment.items():
            listed = ", ".join(f"{key} {value}" for key, value in facts.items())
            console.print(Text.assemble((printable(name), "bold"), printable(f"  {listed}")))
        if begun := any(row.is_begun for row in self.rows):
            console.print(self.table(console))
        if by_quantity:
            console.print(drawn(BY_QUANTITY, [row.by_quantity() for row in self.rows], "largest |error| / bound"))
        lines = [*(reasons(self.rows) if verbose else ()), *self.notes]
        if waiting := [(row.adapter, row.dtype) for row in self.rows if not row.is_begun]:
            lines.append(f"not begun  {ways(waiting)}")
        for line in lines:
            console.print(printable(line), highlight=False, markup=False)
        failures = self.failures(verbose=verbose)
        for line in failures:
            style = "red" if line.startswith(("\nFAIL", "\nXPASS", "\nNOT JUDGED")) else None
            console.print(printable(line), highlight=False, markup=False, soft_wrap=True, style=style)
        ends = "\n" * bool(lines or failures)
        colour = "green" if self.exit_status == 0 else "red"
        console.print(Text(f"{ends}{printable(self.sentence)}", style=f"bold {colour}"))
        if legend and begun:
            console.print(Text(LEGEND, style="dim"))

    def table(self, console: Console, running: Sequence[Row] = ()) -> Table:
        """Return the table of the rows that have begun, or of some that are running, as the console has room for."""
        shown = running or [row for row in self.rows if row.is_begun]
        wide, brief = [row.cells(self.checks) for row in shown], [row.briefly() for row in shown]
        if running:  # "4 of 11" instead of "interrupted, 4 of 11"
            wide, brief = (
                [(*row, last.rpartition("interrupted, ")[2]) for *row, last in rows] for rows in (wide, brief)
            )
        table = drawn(self.header, wide)
        if console.measure(table, options=console.options.update(width=ENDLESS)).maximum <= console.width:
            return table
        return drawn(BRIEFLY, brief)

    def failures(self, *, verbose: bool = True) -> list[str]:
        """Return the lines on each failure of each row; checks that share an account share its lines.

        Args:
            verbose: whether every failure is told in full. Otherwise the first of each way is; of another one, the
                first line and the last.
        """
        lines, told = list[str](), set[str]()
        for row in self.rows:
            accounts: dict[tuple[str, ...], list[str]] = {}
            for check in row.checks:
                if check.status in ("fail", "xpass", "not judged"):
                    accounts.setdefault((check.status.upper(), *check.account), []).append(check.name)
            for (status, message, *others), names in accounts.items():
                if row.adapter in told and not verbose:
                    first, *more = message.splitlines()
                    message = "\n".join([first, *more[-1:]])
                lines += [f"\n{status} in {', '.join(names)}", message, *others]
                told.add(row.adapter)
        return lines

    def __repr__(self) -> str:
        """Return the sentence, as a notebook or the interpreter shows it."""
        return f"<Report: {self.sentence}>"

    def _repr_html_(self) -> str:
        """Return the table and the sentence, as a notebook shows them."""
        return as_html(self.header, [row.cells(self.checks) for row in self.rows], self.sentence)

    def __str__(self) -> str:
        """Return the text that ``show`` prints with all reasons, without colours."""
        text = io.StringIO()
        self.show(Console(file=text, width=ENDLESS, no_color=True), verbose=True, legend=False)
        return text.getvalue()

    def markdown(self, *, by_quantity: bool = False) -> str:
        """Return the table, or the largest errors by quantity, in Markdown."""
        if by_quantity:
            return markdown(BY_QUANTITY, [row.by_quantity() for row in self.rows])
        return markdown(self.header, [row.cells(self.checks) for row in self.rows])


def machine() -> dict[str, str]:
    """Return the versions of Python and NumPy, and the kind of the machine."""
    return {
        "python": platform.python_version(),
        "numpy": np.__version__,
        "machine": f"{platform.system()} {platform.machine()}",
    }


def merge(reports: Sequence[Report]) -> list[Report]:
    """Return one report for each environment, in order of appearance.

    Two reports share an environment if the oracle's version and all facts on every common framework agree. Equal
    reports are one run, and counted once.

    Args:
        reports: of any number of runs; unchanged.

    Returns:
        The reports of the environments. None of them shares a row with the arguments.
    """
    runs: list[Report] = []
    for i, report in enumerate(reports):
        if report in reports[:i]:
            continue
        same = next((run for run in runs if _share_environment(run, report)), None)
        if same is None:
            same = Report({}, [], report.oracle)
            runs.append(same)
        same.add(report)
    return runs


def _share_environment(one: Report, other: Report) -> bool:
    shared = one.environment.keys() & other.environment.keys()
    return one.oracle == other.oracle and all(one.environment[name] == other.environment[name] for name in shared)


def add_row(rows: list[Row], new: Row, *, same: bool = False) -> None:
    """Add a row to those of its environment, check by check if adapter and dtype are there; ``new`` stays unchanged.

    Args:
        rows: those of the environment.
        new: the row.
        same: whether the cases may be the same; then of two results of a check the fuller one is taken.
    """
    names = (new.adapter, new.dtype, new.version)
    old = next((row for row in rows if (row.adapter, row.dtype, row.version) == names), None)
    if old is None:
        old = Row(new.adapter, new.framework, new.version, new.dtype)
        rows.append(old)
    checks = {check.name: check for check in old.checks}
    for check in new.checks:
        if (had := checks.get(check.name)) is None:
            checks[check.name] = dataclasses.replace(check)
        elif same:
            fuller = max(had, check, key=lambda one: (one.failure is not None, not one.interrupted, one.cases))
            checks[check.name] = dataclasses.replace(fuller)
        else:
            checks[check.name] = had + check
    old.checks = list(checks.values())
