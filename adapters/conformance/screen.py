"""The progress of a run: a table that fills on a terminal, a line for each finished row elsewhere."""

from __future__ import annotations

import contextlib
import math
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from typing import Any

from rich.console import Console, Group
from rich.live import Live
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TaskID, TextColumn, TimeElapsedColumn
from rich.table import Table

from adapters.conformance.rendering import ENDLESS
from adapters.conformance.report import Report, Row

# Measured on one core, for a verdict and for each stack of its cases. They serve the estimate alone.
SECONDS, SECONDS_A_STACK = 0.4, 0.1
# Lines of a terminal for the head of the table and for the empty lines around it.
HEAD = 6


class Screen:
    """The display of a run, until the body of a ``with`` statement ends. On a terminal it then goes away.

    Elsewhere its lines go to standard error, so that standard output has the results alone.

    Args:
        console: receives the results.
        reports: returns the reports of the run, each of which grows.
    """

    def __init__(self, console: Console, reports: Callable[[], Sequence[Report]]) -> None:
        plain: dict[str, Any] = {"markup": False, "highlight": False}
        self.console, self.reports = console, reports
        self.lines = console if console.is_terminal else Console(stderr=True, width=ENDLESS, **plain)
        self.bars = progress(console)
        self.tables: tuple[Table, ...] = ()  # none before the first verdict
        self.live = Live(console=console, get_renderable=self.render, transient=True) if console.is_terminal else None

    def __enter__(self) -> Screen:
        """Begin to show."""
        if self.live:
            self.live.start()
        return self

    def __exit__(self, *error: object) -> None:
        """Leave the lines, and remove the rest."""
        if self.live:
            self.live.stop()

    def render(self) -> Group:
        """Return the table of the rows that have begun, as many as there is room for, and a bar for each group."""
        return Group(*self.tables, self.bars)

    def line(self, text: str) -> None:
        """Show a line that stays."""
        self.lines.print(text)

    def group(self, name: str) -> TaskID:
        """Show a bar for a group whose checks are not known yet."""
        return self.bars.add_task(name, total=None)

    def update(self, task: TaskID, row: Row | None = None, **changes: Any) -> None:
        """Change a bar, and the table; show the line of a row that has just been finished."""
        self.bars.update(task, **changes)
        if self.live is None:
            if row:
                self.line(f"{row.adapter} {row.dtype}: {row.verdict}, {row.cases:,} cases")
            return
        whole = Report({}, [row for report in self.reports() for row in report.rows])
        rows = [row for row in whole.rows if row.is_begun]
        # If the terminal is too low for all, the rows that still change have precedence.
        room = self.console.height - HEAD - len(self.bars.tasks)
        finished = [id(row) for row in rows if row.done == len(row.checks)]
        hidden = finished[: max(0, len(rows) - room)]
        if rows:
            self.tables = (whole.table(self.console, [row for row in rows if id(row) not in hidden]),)
        self.live.refresh()


def estimate(verdicts: int, stacks: int) -> str:
    """Return the time that a number of verdicts takes, in words such as "about 4 minutes"."""
    minutes = math.ceil(verdicts * (SECONDS + SECONDS_A_STACK * stacks) / 60)
    return "less than a minute" if minutes <= 1 else f"about {minutes} minutes"


def progress(console: Console) -> Progress:
    """Return a display of bars that leaves nothing on a terminal, and writes nothing anywhere else."""
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
    return Progress(*columns, console=console, transient=True, disable=not console.is_terminal)


@contextlib.contextmanager
def bar(console: Console, total: int, description: str) -> Iterator[Callable[..., Any]]:
    """Show one bar in the body of a ``with`` statement, and yield the function that updates it."""
    with progress(console) as bars:
        yield partial(bars.update, bars.add_task(description, total=total))
