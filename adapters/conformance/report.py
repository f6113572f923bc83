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
from rich.text import Text

from adapters.conformance.rendering import ENDLESS, drawn, markdown, printable, spell_ratio
from adapters.conformance.result import STATUSES as STATUSES
from adapters.conformance.result import ErrorMap as ErrorMap
from adapters.conformance.result import Failure as Failure
from adapters.conformance.result import Result as Result
from adapters.conformance.result import largest
from reference.verdict import GRADIENTS

GOOD = ("pass", "xfail")
BY_QUANTITY = ("adapter", "precision", *GRADIENTS, "jvp", "hvp")
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
    def cases(self) -> int:
        """Number of cases judged."""
        return sum(check.cases for check in self.checks)

    @property
    def worst(self) -> dict[str, float]:
        """Largest |error| / bound of each quantity over all checks except expected failures."""
        return largest(*(check.worst for check in self.checks if check.status != "xfail"))

    @property
    def relative_bound(self) -> float | None:
        """Median over all cases of bound / scale of the value."""
        found = [bound for check in self.checks for bound in check.relative_bounds]
        return float(np.median(found)) if found else None

    def cells(self, checks: Sequence[str]) -> tuple[str, ...]:
        """Return the row as text, with the verdict of every check."""
        by_name = {check.name: _cell(check) for check in self.checks}
        worst = spell_ratio(max(self.worst.values())) if self.worst else "-"
        bound = "-" if self.relative_bound is None else f"{self.relative_bound:.0e}"
        verdicts = (by_name.get(name, "-") for name in checks)
        return self.adapter, self.dtype, f"{self.cases:,}", *verdicts, worst, bound, self.status

    def briefly(self) -> tuple[str, ...]:
        """Return the row as text for a narrow screen: the number of passed checks and the names of all others."""
        adapter, dtype, cases, worst, _, status = self.cells(())
        found: dict[str, list[str]] = {"pass": []}
        for check in self.checks:
            found.setdefault(_cell(check), []).append(check.name)
        passed = f"{len(found.pop('pass'))} pass"
        others = [f"{cell} {', '.join(names)}" for cell, names in found.items()]
        return adapter, dtype, cases, "; ".join([passed, *others]), worst, status

    def by_quantity(self) -> tuple[str, ...]:
        """Return the largest |error| / bound of each quantity as text, a dash for a quantity that was not judged."""
        hvp = [ratio for name, ratio in self.worst.items() if name.startswith("hvp")]
        columns = [self.worst.get(name) for name in (*GRADIENTS, "jvp h")] + [max(hvp, default=None)]
        return self.adapter, self.dtype, *("-" if ratio is None else spell_ratio(ratio) for ratio in columns)


def _cell(check: Result) -> str:
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


@dataclass
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
        """Add another report of the same environment; it stays unchanged."""
        self.environment |= other.environment
        self.notes += other.notes
        self.runs += other.runs
        for row in other.rows:
            add_row(self.rows, row)

    def remarks(self) -> list[str]:
        """Return each unsupported input, undetermined quantity and expected failure once, with its dtypes."""
        found: dict[str, dict[str, None]] = {}
        for row in self.rows:
            for check in row.checks:
                expected = [f"{row.adapter}: {check.expected_failure}"] if check.status == "xfail" else []
                kinds = {"unsupported": check.unsupported, "undetermined": check.undetermined, "xfail": expected}
                for kind, texts in kinds.items():
                    for text in texts:
                        found.setdefault(f"{kind}  {check.name}: {text}", {})[row.dtype] = None
        return [*(f"{line} ({', '.join(dtypes)})" for line, dtypes in found.items()), *self.notes]

    def show(self, console: Console, *, by_quantity: bool = False) -> None:
        """Print the environment, the table, the largest errors by quantity if asked for, remarks and failures."""
        for name, facts in self.environment.items():
            listed = ", ".join(f"{key} {value}" for key, value in facts.items())
            console.print(Text.assemble((printable(name), "bold"), printable(f"  {listed}")), soft_wrap=True)
        table = drawn(self.header, [row.cells(self.checks) for row in self.rows], "verdicts")
        if console.measure(table, options=console.options.update(width=ENDLESS)).maximum > console.width:
            table = drawn(BRIEFLY, [row.briefly() for row in self.rows], "verdicts")
        console.print(table)
        if by_quantity:
            console.print(drawn(BY_QUANTITY, [row.by_quantity() for row in self.rows], "largest |error| / bound"))
        lines = self.remarks()
        for row in self.rows:
            accounts: dict[tuple[str, ...], list[str]] = {}
            for check in row.checks:
                if check.status in ("fail", "xpass", "not judged"):
                    accounts.setdefault((check.status.upper(), *check.account), []).append(check.name)
            for (status, *account), names in accounts.items():
                lines += [f"\n{status} in {', '.join(names)}", *account]
        for line in lines:
            style = "red" if line.startswith(("\nFAIL", "\nXPASS", "\nNOT JUDGED")) else None
            console.print(printable(line), highlight=False, markup=False, soft_wrap=True, style=style)

    def __str__(self) -> str:
        """Return the text that ``show`` prints, without colours."""
        text = io.StringIO()
        self.show(Console(file=text, width=ENDLESS, no_color=True))
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


def add_row(rows: list[Row], new: Row) -> None:
    """Add a row to those of its environment, check by check if adapter and dtype are there; ``new`` stays unchanged."""
    names = (new.adapter, new.dtype, new.version)
    old = next((row for row in rows if (row.adapter, row.dtype, row.version) == names), None)
    if old is None:
        old = Row(new.adapter, new.framework, new.version, new.dtype)
        rows.append(old)
    checks = {check.name: check for check in old.checks}
    for check in new.checks:
        checks[check.name] = checks[check.name] + check if check.name in checks else dataclasses.replace(check)
    old.checks = list(checks.values())
