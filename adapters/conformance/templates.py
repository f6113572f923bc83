"""The templates of pages, tables, scripts and bug reports, rendered by Jinja."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import jinja2


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
