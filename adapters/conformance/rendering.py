"""Results as text: tables for the terminal and in Markdown, and templates, which Jinja renders."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from html import escape
from pathlib import Path
from typing import Any

import jinja2
from rich import box
from rich.table import Table
from rich.text import Text

from adapters.conformance.result import STATUSES

COLOURS = dict.fromkeys(STATUSES, "red") | {"pass": "green", "xfail": "cyan"}
COLOURS |= dict.fromkeys(("unsupported", "interrupted", "inconclusive"), "yellow")
# Columns of text; all others have numbers, but for verdicts.
TEXT = ("adapter", "precision", "checks")
# Columns that no table fills.
ENDLESS = 1000


def spell_ratio(ratio: float | None) -> str:
    """Return |error| / bound in few characters; None is infinite."""
    return "inf" if ratio is None else f"{ratio:.2f}" if ratio < 1000 else f"{ratio:.1e}"


def printable(text: str) -> str:
    """Return a text with a question mark for every control character, which a terminal would obey."""
    return re.sub(r"[^\n\t -~\xa0-\U0010ffff]", "?", text)


def drawn(header: Sequence[str], rows: Sequence[tuple[str, ...]], title: str | None = None) -> Table:
    """Return a table for the terminal, with its verdicts in colour."""
    table = Table(title=title, title_style="dim", title_justify="center", box=box.SIMPLE_HEAD, padding=(0, 1, 0, 0))
    for i, name in enumerate(header):
        verdicts = any(colour(row[i]) for row in rows)
        table.add_column(name, justify="left" if verdicts or name in TEXT else "right", no_wrap=name != "checks")
    for cells in rows:
        # As Text, because an adapter's name may have brackets, which are markup in a string.
        table.add_row(*(Text(printable(cell), style=colour(cell)) for cell in cells))
    return table


def colour(cell: str) -> str:
    """Return the colour of a cell with a verdict, such as "pass*" or "interrupted, 4 of 11"; "" for other cells."""
    return COLOURS.get(re.split("[*,]", cell)[0], "")


def as_html(header: Sequence[str], rows: Sequence[tuple[str, ...]], caption: str) -> str:
    """Return a table in HTML, with its verdicts in colour."""
    lines = ["".join(f"<th>{escape(name)}</th>" for name in header)]
    lines += ["".join(f'<td style="color: {colour(cell)}">{escape(cell)}</td>' for cell in cells) for cells in rows]
    body = "\n".join(f"<tr>{line}</tr>" for line in lines)
    return f"<table>\n<caption>{escape(caption)}</caption>\n{body}\n</table>"


def markdown(header: Sequence[str], rows: Sequence[tuple[str, ...]]) -> str:
    """Return a table in Markdown."""
    return "".join(f"| {' | '.join(cells)} |\n" for cells in (header, tuple("---" for _ in header), *rows))


def render(name: str, filters: dict[str, Callable[..., Any]] | None = None, **values: Any) -> str:
    """Return the text of a template of this folder; a template of HTML escapes all values.

    Raises:
        jinja2.UndefinedError: the template has a name that is not among the values.
    """
    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(Path(__file__).parent),
        autoescape=".html" in name,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )
    environment.filters |= filters or {}
    return environment.get_template(name).render(values)
