"""Results files: the JSON that ``rnn-oracle check --json`` writes, read back and held to its structure."""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated

import msgspec

from adapters.conformance.report import ErrorMap, Report, Result, Row, Run, merge

# The file has the median of the relative bounds alone. In the median of a row it counts once a case, up to this number.
HEAVIEST = 10_000

# Above 2**53, most readers of JSON round an integer.
Count = Annotated[int, msgspec.Meta(ge=0, le=2**53)]


class _Failure(msgspec.Struct):
    message: str
    crashed: bool
    diagnosis: str | None
    reproduction: list[str]
    script: str | None
    error_map: ErrorMap | None


class _Check(msgspec.Struct):
    name: str
    status: str
    cases: Count
    examples: Count
    inconclusive: Count
    relative_bound: float | None
    unsupported: list[str]
    undetermined: list[str]
    expected_failure: str | None
    worst: dict[str, float | None]
    failure: _Failure | None

    def __post_init__(self) -> None:
        # A failure without its message must not turn into a pass.
        _expect_status(self.status, self.result().status)

    def result(self) -> Result:
        result = Result(
            self.name,
            self.cases,
            self.examples,
            self.inconclusive,
            {name: math.inf if ratio is None else ratio for name, ratio in self.worst.items()},
            [math.inf if self.relative_bound is None else self.relative_bound] * min(self.cases, HEAVIEST),
            self.unsupported,
            self.undetermined,
            expected_failure=self.expected_failure,
            interrupted=self.status == "interrupted",
        )
        if found := self.failure:
            result.failure, result.crashed, result.diagnosis = found.message, found.crashed, found.diagnosis
            result.script, result.error_map = found.script, found.error_map
            result.reproduction = [Path(path) for path in found.reproduction]
        return result


class _Dtype(msgspec.Struct):
    status: str
    checks: list[_Check]

    def __post_init__(self) -> None:
        names = [check.name for check in self.checks]
        if len(set(names)) < len(names):
            raise ValueError(f"expected each check once, got {names}")
        _expect_status(self.status, Row("", "", "", "", [check.result() for check in self.checks]).status)


def _expect_status(status: str, follows: str) -> None:
    if status != follows:
        raise ValueError(f"expected status {follows!r}, which follows from the rest, got {status!r}")


class _Adapter(msgspec.Struct):
    name: str
    framework: str
    version: str
    dtypes: dict[str, _Dtype]


class _Oracle(msgspec.Struct):
    version: str


class _File(msgspec.Struct):
    oracle: _Oracle
    environment: dict[str, dict[str, str]]
    runs: list[Run]
    adapters: list[_Adapter]


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
        found = msgspec.json.decode(Path(path).read_bytes(), type=_File)
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
