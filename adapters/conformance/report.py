"""The report: what was found, as a table for people and as JSON for programs."""

from __future__ import annotations

import dataclasses
import io
import json
import platform
import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from importlib import metadata
from pathlib import Path
from typing import Any

import numpy as np
from rich import box
from rich.console import Console
from rich.table import Table

from adapters.conformance.result import HIGHEST, LOWEST, Result
from reference.verdict import GRADIENTS

# From the worst to the best: a row is as good as its worst check.
STATUSES = ("fail", "error", "stale", "empty", "interrupted", "inconclusive", "known", "pass", "refused")
GOOD = ("pass", "known")
COLOURS = {"pass": "green", "known": "cyan", "refused": "yellow", "interrupted": "yellow", "inconclusive": "yellow"}
BY_QUANTITY = ("adapter", "precision", *GRADIENTS, "jvp", "hvp")
BRIEFLY = ("adapter", "precision", "cases", "checks", "worst", "verdict")
# Columns that no table fills.
ENDLESS = 1000


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
        """The worst status among the checks; a refusal beside a pass is a pass; "empty" without any."""
        found = {check.status for check in self.checks} or {"empty"}
        return min(found, key=STATUSES.index)

    @property
    def cases(self) -> int:
        """Number of cases judged."""
        return sum(check.cases for check in self.checks)

    @property
    def worst(self) -> dict[str, float]:
        """Largest |error| / bound of each quantity over all checks but those that are known to fail."""
        found = [check.worst for check in self.checks if check.status != "known"]
        return {name: max(worst.get(name, 0.0) for worst in found) for worst in found for name in worst}

    @property
    def resolution(self) -> float | None:
        """Median over all cases of bound / scale of value, of the coarsest quantity."""
        found = [resolution for check in self.checks for resolution in check.resolutions]
        return float(np.median(found)) if found else None

    def cells(self, checks: Sequence[str]) -> tuple[str, ...]:
        """Return the row as text: a verdict for every check, a star where something beside it is refused or untold."""
        by_name = {check.name: check for check in self.checks}
        verdicts = [_cell(by_name[name]) if name in by_name else "empty" for name in checks]
        worst = _short(max(self.worst.values())) if self.worst else "-"
        resolution = "-" if self.resolution is None else f"{self.resolution:.0e}"
        return self.adapter, self.dtype, f"{self.cases:,}", *verdicts, worst, resolution, self.status

    def briefly(self) -> tuple[str, ...]:
        """Return the row as text for a narrow screen: how many checks passed, and which of them are anything else."""
        adapter, dtype, cases, worst, _, status = self.cells(())
        found: dict[str, list[str]] = {"pass": []}
        for check in self.checks:
            found.setdefault(_cell(check), []).append(check.name)
        passed = f"{len(found.pop('pass'))} pass"
        others = [f"{cell} {', '.join(names)}" for cell, names in found.items()]
        return adapter, dtype, cases, "; ".join([passed, *others]), worst, status

    def ratios(self) -> tuple[str, ...]:
        """Return the largest |error| / bound of each quantity as text, a dash for what is not on offer."""
        found = self.worst
        hvp = [ratio for name, ratio in found.items() if name.startswith("hvp")]
        columns = [found.get(name) for name in (*GRADIENTS, "jvp h")] + [max(hvp, default=None)]
        return self.adapter, self.dtype, *("-" if ratio is None else _short(ratio) for ratio in columns)


@dataclass(frozen=True)
class Run:
    """What was asked for, and how long it took."""

    seed: int
    examples: int
    shard: tuple[int, int]
    seconds: float

    def __str__(self) -> str:
        """Return it in words: "seed 0, 8 examples, shard 2/5, 31.4 s"."""
        shard = "" if self.shard == (1, 1) else f", shard {self.shard[0]}/{self.shard[1]}"
        return f"seed {self.seed}, {self.examples:,} examples{shard}, {self.seconds:g} s"


@dataclass
class Report:
    """Everything that one run found, or several in one environment."""

    environment: dict[str, dict[str, str]]
    rows: list[Row] = field(default_factory=list)
    oracle: str = field(default_factory=lambda: metadata.version("rnn-oracle"))  # its version
    notes: list[str] = field(default_factory=list)  # of the run as a whole
    runs: list[Run] = field(default_factory=list)  # what was asked for, of one run or of several put together

    @property
    def exit_status(self) -> int:
        """0 if there are rows and all passed or failed as is known, else 1."""
        return 0 if self.rows and all(row.status in GOOD for row in self.rows) else 1

    @property
    def checks(self) -> list[str]:
        """Names of the checks, in order."""
        return list(dict.fromkeys(check.name for row in self.rows for check in row.checks))

    def as_json(self) -> dict[str, Any]:
        """Return the report as plain data, ready for ``json.dump``."""
        adapters: dict[str, dict[str, Any]] = {}
        for row in self.rows:
            entry = {"name": row.adapter, "framework": row.framework, "version": row.version, "dtypes": {}}
            dtypes = adapters.setdefault(row.adapter, entry)["dtypes"]
            dtypes[row.dtype] = {"status": row.status, "checks": [_plain(check) for check in row.checks]}
        return {
            "oracle": {"version": self.oracle},
            "environment": self.environment,
            "runs": [dataclasses.asdict(run) for run in self.runs],
            "adapters": list(adapters.values()),
        }

    def save(self, path: str | Path) -> None:
        """Write the report as JSON."""
        Path(path).write_text(_in_lines(json.dumps(self.as_json(), indent=1, allow_nan=False)) + "\n", encoding="utf-8")

    def show(self, console: Console, *, quantities: bool = False) -> None:
        """Print the environment, the table, the largest errors by quantity if asked for, remarks and failures."""
        for name, facts in self.environment.items():
            listed = ", ".join(f"{key} {value}" for key, value in facts.items())
            console.print(f"[bold]{name}[/]  {listed}", highlight=False, soft_wrap=True)
        table = _drawn(self.header, [row.cells(self.checks) for row in self.rows], "verdicts")
        if console.measure(table, options=console.options.update(width=ENDLESS)).maximum > console.width:
            table = _drawn(BRIEFLY, [row.briefly() for row in self.rows], "verdicts")
        console.print(table)
        if quantities:
            console.print(_drawn(BY_QUANTITY, [row.ratios() for row in self.rows], "largest |error| / bound"))
        for line in self.remarks():
            console.print(line, highlight=False, markup=False, soft_wrap=True)
        for row in self.rows:
            accounts: dict[tuple[str, ...], list[str]] = {}
            for check in row.checks:
                if check.status in ("fail", "stale"):
                    accounts.setdefault((check.status.upper(), *check.account), []).append(check.name)
            for (status, *account), names in accounts.items():
                console.print(f"\n[red]{status}[/] in {', '.join(names)}", highlight=False)
                for line in account:
                    console.print(line, highlight=False, markup=False, soft_wrap=True)

    @property
    def header(self) -> tuple[str, ...]:
        """The columns of the table."""
        return "adapter", "precision", "cases", *self.checks, "worst", "resolution", "verdict"

    def remarks(self) -> list[str]:
        """Return what was refused, left untold or known to fail, each once, with the precisions that it concerns."""
        found: dict[str, dict[str, None]] = {}
        for row in self.rows:
            for check in row.checks:
                known = [f"{row.adapter}: {check.known}"] if check.status == "known" else []
                for kind, texts in (("refused", check.refusals), ("untold ", check.untold), ("known  ", known)):
                    for text in texts:
                        found.setdefault(f"{kind}  {check.name}: {text}", {})[row.dtype] = None
        return [*(f"{line} ({', '.join(dtypes)})" for line, dtypes in found.items()), *self.notes]

    def __str__(self) -> str:
        """Return what ``show`` prints, without colours: the table, remarks and failures."""
        text = io.StringIO()
        self.show(Console(file=text, width=ENDLESS, no_color=True))
        return text.getvalue()

    def markdown(self, *, quantities: bool = False) -> str:
        """Return the table, or that of the largest errors by quantity, in Markdown."""
        header = BY_QUANTITY if quantities else self.header
        rows = [row.ratios() if quantities else row.cells(self.checks) for row in self.rows]
        return "".join(f"| {' | '.join(cells)} |\n" for cells in (header, tuple("---" for _ in header), *rows))


def _short(ratio: float) -> str:
    return f"{ratio:.2f}" if ratio < 1000 else f"{ratio:.1e}"


def _cell(check: Result) -> str:
    return f"{check.status}*" if check.is_partial and check.status != "refused" else check.status


def _drawn(header: Sequence[str], rows: Sequence[tuple[str, ...]], title: str) -> Table:
    """Return a table for the terminal, its verdicts in colour."""
    table = Table(title=title, title_style="dim", title_justify="center", box=box.SIMPLE_HEAD, padding=(0, 1, 0, 0))
    for name in header:
        numeric = name in ("cases", "worst", "resolution") or name in BY_QUANTITY[2:]
        table.add_column(name, justify="right" if numeric else "left", no_wrap=name != "checks")
    for cells in rows:
        table.add_row(*(_coloured(cell) for cell in cells))
    return table


def _coloured(cell: str) -> str:
    status = cell.removesuffix("*")
    return f"[{COLOURS.get(status, 'red')}]{cell}[/]" if status in STATUSES else cell


def machine() -> dict[str, str]:
    """Return what a reader must know of the machine and of the oracle's own arithmetic."""
    return {
        "python": platform.python_version(),
        "numpy": np.__version__,
        "machine": f"{platform.system()} {platform.machine()}",
    }


def _plain(check: Result) -> dict[str, Any]:
    """Return a result as plain data; JSON has no infinity, so that null stands for one in ``worst``."""
    names = ("name", "status", "cases", "examples", "inconclusive", "resolution", "refusals", "untold", "known")
    histogram = {"lowest": LOWEST, "highest": HIGHEST, "counts": check.histogram}
    asked = [part._asdict() for part in check.asked]
    failure = None
    if check.failure is not None:
        failure = {
            "message": check.failure,
            "crashed": check.crashed,
            "diagnosis": check.diagnosis,
            "reproduction": [str(path) for path in check.reproduction],
            "script": check.script,
            "heat": check.heat.as_json() if check.heat else None,
        }
    return {name: getattr(check, name) for name in names} | {
        "worst": {name: ratio if np.isfinite(ratio) else None for name, ratio in check.worst.items()},
        "asked": asked,
        "histogram": histogram,
        "failure": failure,
    }


def _in_lines(text: str) -> str:
    """Put every list of numbers on one line; no text within quotes has a line break to be mistaken for one."""
    return re.sub(r"\[\n(?:[-+.,\s\deE]|null)*\]", lambda found: " ".join(found[0].split()), text)
