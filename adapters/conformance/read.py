"""Results read back from the JSON that ``rnn-oracle check --json`` writes, held to its form at the door."""

from __future__ import annotations

import json
import math
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self, TypeVar

from adapters.conformance.heat import Heat
from adapters.conformance.report import STATUSES, Report, Row, Run
from adapters.conformance.result import BINS, HIGHEST, LOWEST, Part, Result

Kind = TypeVar("Kind")

# A median of medians counts each by its cases, up to so many.
HEAVIEST = 10_000
KINDS = {str: "text", int: "a whole number", float: "a number", list: "a list", dict: "an object", bool: "a truth"}


@dataclass(frozen=True)
class Place:
    """A value in a JSON file, and where it stands, so that an error can say so."""

    where: str
    value: Any

    def __getitem__(self, name: str) -> Self:
        """Return what stands under a name; ValueError if nothing does."""
        found = self.of(dict)
        if name not in found:
            raise ValueError(f"{self.where}: expected {name!r}, got {_short(sorted(found))}")
        return type(self)(f"{self.where} {name}", found[name])

    def get(self, name: str) -> Self | None:
        """Return what stands under a name; None if nothing does, or null."""
        return None if self.of(dict).get(name) is None else self[name]

    def each(self) -> list[Self]:
        """Return the places in a list."""
        return [type(self)(f"{self.where}[{i}]", value) for i, value in enumerate(self.of(list))]

    def named(self) -> dict[str, Self]:
        """Return the places in an object."""
        return {name: self[name] for name in self.of(dict)}

    def of(self, kind: type[Kind]) -> Kind:
        """Return the value.

        Raises:
            ValueError: it is of another kind; true and false are no numbers, a whole number is a number.
        """
        value = float(self.value) if kind is float and type(self.value) is int else self.value
        if type(value) is not kind:
            raise ValueError(f"{self.where}: expected {KINDS[kind]}, got {_short(self.value)}")
        return value


def read(path: str | Path) -> Report:
    """Return the report that a file holds.

    Args:
        path: as ``rnn-oracle check --json`` writes it, with or without what newer versions add.

    Returns:
        The report; of a check's resolutions only their median is known, which stands for all.

    Raises:
        FileNotFoundError: there is no such file.
        ValueError: it is broken, or something else.
    """
    if not Path(path).is_file():
        raise FileNotFoundError(f"report: expected a file, got {path}")
    try:
        top = Place(str(path), json.loads(Path(path).read_bytes()))
    except (ValueError, RecursionError) as error:
        raise ValueError(f"{path}: expected JSON, got {type(error).__name__}: {error}") from error
    environment = {
        name: {key: fact.of(str) for key, fact in facts.named().items()}
        for name, facts in top["environment"].named().items()
    }
    rows = [
        Row(adapter["name"].of(str), adapter["framework"].of(str), adapter["version"].of(str), dtype, _checks(found))
        for adapter in top["adapters"].each()
        for dtype, found in adapter["dtypes"].named().items()
    ]
    runs = top.get("runs")
    return Report(
        environment, rows, top["oracle"]["version"].of(str), [], [_run(run) for run in runs.each()] if runs else []
    )


def _run(run: Place) -> Run:
    part, parts = _shard(_pair(run["shard"]))
    return Run(run["seed"].of(int), _count(run["examples"]), (part, parts), run["seconds"].of(float))


def _part(place: Place) -> Part:
    part, parts = _shard([place["part"], place["parts"]])
    return Part(place["seed"].of(int), part, parts, _count(place["examples"]))


def _pair(place: Place) -> list[Place]:
    if len(place.each()) != 2:
        raise ValueError(f"{place.where}: expected two numbers, got {_short(place.value)}")
    return place.each()


def _shard(pair: list[Place]) -> tuple[int, int]:
    part, parts = map(_count, pair)
    if not 1 <= part <= parts:
        raise ValueError(f"{pair[0].where}: expected I of N with 1 <= I <= N, got {part} of {parts}")
    return part, parts


def _checks(found: Place) -> list[Result]:
    checks = [_result(check) for check in found["checks"].each()]
    names = [check.name for check in checks]
    if len(set(names)) < len(names):
        raise ValueError(f"{found.where} checks: expected each check once, got {names}")
    return checks


def _result(check: Place) -> Result:
    result = Result(
        check["name"].of(str),
        cases=_count(check["cases"]),
        examples=_count(check["examples"]),
        inconclusive=_count(check["inconclusive"]),
        worst={name: _ratio(ratio) for name, ratio in check["worst"].named().items()},
        refusals=[refusal.of(str) for refusal in check["refusals"].each()],
        untold=[untold.of(str) for untold in check["untold"].each()],
        interrupted=check["status"].of(str) == "interrupted",
    )
    names = ("resolution", "known", "asked", "histogram", "failure")
    resolution, known, asked, histogram, failure = map(check.get, names)
    result.resolutions = [resolution.of(float)] * min(max(result.cases, 1), HEAVIEST) if resolution else []
    result.known = known.of(str) if known else None
    result.asked = [_part(part) for part in asked.each()] if asked else []
    if histogram:
        result.histogram = _histogram(histogram)
    if failure:
        _fail(result, failure)
    # A failure without its message must not turn into a pass.
    if check["status"].value != result.status:
        raise ValueError(
            f"{check.where} status: expected {result.status!r} of {list(STATUSES)}, as follows from the rest, "
            f"got {_short(check['status'].value)}"
        )
    return result


def _fail(result: Result, failure: Place) -> None:
    crashed, diagnosis, script, heat = map(failure.get, ("crashed", "diagnosis", "script", "heat"))
    result.failure = failure["message"].of(str)
    result.crashed = crashed.of(bool) if crashed else False
    result.diagnosis = diagnosis.of(str) if diagnosis else None
    result.reproduction = [Path(path.of(str)) for path in failure["reproduction"].each()]
    result.script = script.of(str) if script else None
    result.heat = _heat(heat) if heat else None


def _heat(heat: Place) -> Heat:
    try:
        found = Heat.from_json(heat.of(dict))
        row, column = found.mark
        if row < 0 or column < 0 or not found.ratios[row][column] > 1 or len(set(map(len, found.ratios))) != 1:
            raise IndexError(f"no element outside at {found.first}")
    except (KeyError, TypeError, ValueError, IndexError) as error:
        raise ValueError(f"{heat.where}: expected a matrix of ratios, got {type(error).__name__}: {error}") from error
    return found


def _histogram(histogram: Place) -> list[int]:
    counts = [_count(count) for count in histogram["counts"].each()]
    form = (histogram["lowest"].value, histogram["highest"].value, len(counts))
    if form != (LOWEST, HIGHEST, BINS):
        raise ValueError(f"{histogram.where}: expected bins {(LOWEST, HIGHEST, BINS)}, got {form}")
    return counts


def _ratio(place: Place) -> float:
    """Return a number; null stands for infinity."""
    return math.inf if place.value is None else place.of(float)


def _count(place: Place) -> int:
    number = place.of(int)
    if number < 0:
        raise ValueError(f"{place.where}: expected at least 0, got {number}")
    return number


def _short(value: Any) -> str:
    text = repr(value)
    return text if len(text) <= 60 else f"{text[:57]}..."
