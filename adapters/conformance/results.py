"""Results files, the JSON of ``rnn-oracle check --json``: written, read back and checked against their structure."""

from __future__ import annotations

import json
import math
import re
from collections.abc import Sequence
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

import msgspec

from adapters.conformance.report import Report, Row, Run, merge
from adapters.conformance.result import Findings, Result

# A file has the median of the relative bounds alone. In the median of a row it counts once a case, up to this number.
HEAVIEST = 10_000


@dataclass(kw_only=True)
class _Check(Findings):
    status: str
    relative_bound: float | None
    worst: dict[str, float | None]

    def __post_init__(self) -> None:
        # A failure without its message must not turn into a pass.
        _expect_status(self.status, self.result().status)

    @classmethod
    def of(cls, result: Result) -> _Check:
        worst = {name: _finite(ratio) for name, ratio in result.worst.items()}
        bound = _finite(result.relative_bound)
        return cls(**_findings(result), status=result.status, relative_bound=bound, worst=worst)

    def result(self) -> Result:
        bound = math.inf if self.relative_bound is None else self.relative_bound
        return Result(
            **_findings(self),
            worst={name: math.inf if ratio is None else ratio for name, ratio in self.worst.items()},
            relative_bounds=[bound] * min(self.cases, HEAVIEST),
            interrupted=self.status == "interrupted",
        )


@dataclass
class _Dtype:
    status: str
    checks: list[_Check]

    def __post_init__(self) -> None:
        names = [check.name for check in self.checks]
        if len(set(names)) < len(names):
            raise ValueError(f"expected each check once, got {names}")
        _expect_status(self.status, Row("", "", "", "", [check.result() for check in self.checks]).status)


@dataclass
class _Adapter:
    name: str
    framework: str
    version: str
    dtypes: dict[str, _Dtype]


@dataclass
class _Oracle:
    version: str


@dataclass
class _File:
    oracle: _Oracle
    environment: dict[str, dict[str, str]]
    runs: list[Run]
    adapters: list[_Adapter]


def _findings(record: Findings) -> dict[str, Any]:
    return {field.name: getattr(record, field.name) for field in fields(Findings)}


def _finite(number: float | None) -> float | None:
    """Return a number as JSON spells it, with null for infinity."""
    return number if number is not None and math.isfinite(number) else None


def _expect_status(status: str, follows: str) -> None:
    if status != follows:
        raise ValueError(f"expected status {follows!r}, which follows from the rest, got {status!r}")


def as_json(report: Report) -> Any:
    """Return a report as plain data."""
    found: dict[str, _Adapter] = {}
    for row in report.rows:
        entry = found.setdefault(row.adapter, _Adapter(row.adapter, row.framework, row.version, {}))
        entry.dtypes[row.dtype] = _Dtype(row.status, [_Check.of(check) for check in row.checks])
    file = _File(_Oracle(report.oracle), report.environment, report.runs, list(found.values()))
    return msgspec.to_builtins(file, enc_hook=str)


def write(report: Report, path: str | Path) -> None:
    """Write a report as JSON, with every list of numbers on one line."""
    text = json.dumps(as_json(report), indent=1, allow_nan=False, ensure_ascii=False)
    lines = re.sub(r"\[\n(?:[-+.,\s\deE]|null)*\]", lambda found: " ".join(found[0].split()), text)
    # A lone surrogate, as in the path of a file, becomes a question mark.
    Path(path).write_bytes(f"{lines}\n".encode("utf-8", "replace"))


def read(path: str | Path) -> Report:
    """Return the report in a file.

    Args:
        path: a file that ``rnn-oracle check --json`` wrote.

    Returns:
        The report. The median of a check's relative bounds stands for all of them.

    Raises:
        FileNotFoundError: there is no such file.
        ValueError: the file is damaged or is not a results file.
    """
    if not Path(path).is_file():
        raise FileNotFoundError(f"report: expected a file, got {path}")
    try:
        found = msgspec.json.decode(Path(path).read_bytes(), type=_File, dec_hook=lambda kind, value: kind(value))
    except (msgspec.MsgspecError, RecursionError) as error:
        words = str(error)
        if not words.lower().startswith("expected"):
            words = f"expected the JSON of rnn-oracle check, got an error: {words}"
        raise ValueError(f"report: {words[0].lower()}{words[1:]} ({path})") from error
    rows = [
        Row(adapter.name, adapter.framework, adapter.version, dtype, [check.result() for check in part.checks])
        for adapter in found.adapters
        for dtype, part in adapter.dtypes.items()
    ]
    return Report(found.environment, rows, found.oracle.version, [], found.runs)


def read_merged(paths: Sequence[str | Path]) -> list[Report]:
    """Return the reports in several files, one for each environment."""
    return merge([read(path) for path in paths])
