"""Fixtures of the tests of the report: files of results."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from adapters.conformance.report import Report
from adapters.conformance.results import write


@pytest.fixture
def saved(tmp_path: Path) -> Callable[[object], Path]:
    """Write a report, plain data or text to a file."""

    def save(what: object) -> Path:
        path = tmp_path / f"{len(list(tmp_path.iterdir()))}.json"
        if isinstance(what, Report):
            write(what, path)
        else:
            path.write_text(what if isinstance(what, str) else json.dumps(what))
        return path

    return save
