"""The report: what was found, as a table for people and as JSON for programs."""

from __future__ import annotations

import json
import platform
from dataclasses import dataclass, field
from importlib import metadata
from pathlib import Path
from typing import Any

import numpy as np
from rich.console import Console
from rich.table import Table

from adapters.conformance.checks import Result
from reference.verdict import GRADIENTS

# From the worst to the best: a row is as good as its worst check.
STATUSES = ("fail", "error", "empty", "interrupted", "inconclusive", "pass", "refused")
HEADER = ("adapter", "precision", "cases", *GRADIENTS, "resolution", "verdict")
COLOURS = {"pass": "green", "refused": "yellow", "interrupted": "yellow", "inconclusive": "yellow"}


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
        """Largest |error| / bound of each quantity over all checks."""
        names = [name for check in self.checks for name in check.worst]
        return {name: max(check.worst.get(name, 0.0) for check in self.checks) for name in names}

    @property
    def resolution(self) -> float | None:
        """Median over all cases of bound / scale of value, of the coarsest quantity."""
        found = [resolution for check in self.checks for resolution in check.resolutions]
        return float(np.median(found)) if found else None

    def cells(self) -> tuple[str, ...]:
        """Return the row as text, a cell for every name in ``HEADER``."""
        ratios = [f"{self.worst[name]:.2f}" if name in self.worst else "-" for name in GRADIENTS]
        resolution = "-" if self.resolution is None else f"{self.resolution:.0e}"
        return self.adapter, self.dtype, f"{self.cases:,}", *ratios, resolution, self.status


@dataclass
class Report:
    """Everything that one run found."""

    environment: dict[str, dict[str, str]]
    rows: list[Row] = field(default_factory=list)

    @property
    def exit_status(self) -> int:
        """0 if there are rows and all passed, else 1."""
        return 0 if self.rows and all(row.status == "pass" for row in self.rows) else 1

    def as_json(self) -> dict[str, Any]:
        """Return the report as plain data, ready for ``json.dump``."""
        adapters: dict[str, dict[str, Any]] = {}
        for row in self.rows:
            entry = {"name": row.adapter, "framework": row.framework, "version": row.version, "dtypes": {}}
            dtypes = adapters.setdefault(row.adapter, entry)["dtypes"]
            dtypes[row.dtype] = {"status": row.status, "checks": [_plain(check) for check in row.checks]}
        oracle = {"version": metadata.version("rnn-oracle")}
        return {"oracle": oracle, "environment": self.environment, "adapters": list(adapters.values())}

    def save(self, path: str | Path) -> None:
        """Write the report as JSON."""
        Path(path).write_text(json.dumps(self.as_json(), indent=1) + "\n", encoding="utf-8")

    def show(self, console: Console) -> None:
        """Print the environment, the table, refusals and failures."""
        for name, facts in self.environment.items():
            listed = ", ".join(f"{key} {value}" for key, value in facts.items())
            console.print(f"[bold]{name}[/]  {listed}", highlight=False, soft_wrap=True)
        console.print(self.table())
        for row in self.rows:
            for check in row.checks:
                for refusal in check.refusals:
                    console.print(f"refused  {row.dtype} {check.name}: {refusal}", highlight=False, soft_wrap=True)
        for row in self.rows:
            for check in row.checks:
                if check.failure:
                    console.print(f"\n[red]FAIL[/] in {check.name}", highlight=False)
                    console.print(check.failure, highlight=False, markup=False, soft_wrap=True)
                    for path in check.reproduction:
                        console.print(f"written: {path}", highlight=False, markup=False, soft_wrap=True)

    def table(self) -> Table:
        """Return the table: a row for every adapter and dtype."""
        table = Table(title="largest |error| / bound", title_style="dim", title_justify="center")
        for number, name in enumerate(HEADER):
            middle = 1 < number < len(HEADER) - 1
            table.add_column(name, justify="right" if middle else "left", no_wrap=True)
        for row in self.rows:
            *cells, status = row.cells()
            table.add_row(*cells, f"[{COLOURS.get(status, 'red')}]{status}[/]")
        return table

    def markdown(self) -> str:
        """Return the same table in Markdown."""
        rows = [HEADER, tuple("---" for _ in HEADER), *(row.cells() for row in self.rows)]
        return "".join(f"| {' | '.join(cells)} |\n" for cells in rows)


def machine() -> dict[str, str]:
    """Return what a reader must know of the machine and of the oracle's own arithmetic."""
    return {
        "python": platform.python_version(),
        "numpy": np.__version__,
        "machine": f"{platform.system()} {platform.machine()}",
    }


def _plain(check: Result) -> dict[str, Any]:
    names = ("name", "status", "cases", "examples", "inconclusive", "resolution", "worst", "refusals")
    failure = None
    if check.failure is not None:
        failure = {"message": check.failure, "reproduction": [str(path) for path in check.reproduction]}
    return {name: getattr(check, name) for name in names} | {"failure": failure}
