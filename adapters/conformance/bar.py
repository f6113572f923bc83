"""The progress bar: how much is done of how much at most, gone from the screen once the work is done."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from typing import Any

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn


@contextmanager
def bar(console: Console, total: int, description: str = "") -> Iterator[Callable[..., Any]]:
    """Show a bar while the body of a ``with`` statement runs.

    Args:
        console: where it is shown; only if that is a terminal.
        total: what is to be done, at most.
        description: of what is being done, to the left of the bar.

    Yields:
        What moves it: ``update(advance=1)``, or ``update(description=...)``.
    """
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
    # Elsewhere it would leave an empty line.
    with Progress(*columns, console=console, transient=True, disable=not console.is_terminal) as progress:
        yield partial(progress.update, progress.add_task(description, total=total))
