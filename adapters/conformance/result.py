"""The result of one check with one adapter and dtype, and the map of its first failure."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Annotated, Self, TypeVar

import msgspec
import numpy as np
from numpy.typing import NDArray

from reference import Case, Verdict

T = TypeVar("T")

# From the worst to the best. A row has the status of its worst check.
STATUSES = ("fail", "xpass", "not judged", "interrupted", "inconclusive", "xfail", "pass", "unsupported")
# The account of a status that is not good although no case failed.
WITHOUT_FAILURE = {
    "xpass": "expected a failure, got none: {0.expected_failure}",
    "inconclusive": "expected bounds that can decide, got {0.inconclusive} of {0.cases} cases that are inconclusive",
    "not judged": "expected cases with numbers to be judged, got none",
}
DECLARE = "It raised Unsupported in every case. Declare it in an Adapter (max_T, nonlinearities), or skip the check."
# Rows and columns of an error map, at most. A person cannot tell more of them apart.
LARGEST = 64


@dataclass(frozen=True)
class ErrorMap:
    """|error| / bound of a quantity as a matrix: the columns are the last axis, the rows are all others.

    Raises:
        ValueError: the ratios are no matrix, or the element ``first`` is not outside its bound.
    """

    quantity: str
    shape: tuple[int, ...]  # of the quantity
    ratios: tuple[tuple[float | None, ...], ...]  # at most LARGEST x LARGEST; None is infinite, as in JSON
    offset: tuple[int, int]  # row and column of the first ratio
    first: tuple[int, ...]  # index of the first element outside; of dx, in the last step, where backward begins
    cut: bool  # whether the quantity has more elements than ratios

    def __post_init__(self) -> None:
        if len({len(line) for line in self.ratios}) != 1 or not self.shape or len(self.first) != len(self.shape):
            raise ValueError("expected a matrix of ratios and an index for each axis")
        row, column = self.mark
        inside = 0 <= row < len(self.ratios) and 0 <= column < len(self.ratios[0])
        ratio = self.ratios[row][column] if inside else 0.0
        if ratio is not None and ratio <= 1:
            raise ValueError(f"expected an element outside its bound at {list(self.first)}")

    @classmethod
    def of(cls, verdict: Verdict) -> Self | None:
        """Return the map of the first quantity that is wrong in a verdict on a single case; None if none is."""
        if not verdict.wrong:
            return None
        return cls.from_ratios(verdict.wrong[0], verdict.compared[verdict.wrong[0]].ratio)

    @classmethod
    def from_ratios(cls, quantity: str, ratio: NDArray[np.float64]) -> Self:
        """Return the map of an array of ratios, cut around the first that exceeds 1."""
        outside = np.argwhere(ratio > 1)
        if quantity.endswith("dx"):
            outside = outside[outside[:, 0] == outside[-1, 0]]
        first = tuple(int(i) for i in outside[0])
        matrix = ratio.reshape(-1, ratio.shape[-1])
        top, left = (
            max(0, min(at - LARGEST // 2, size - LARGEST))
            for at, size in zip(_place(first, ratio.shape), matrix.shape, strict=True)
        )
        kept = matrix[top : top + LARGEST, left : left + LARGEST]
        ratios = tuple(tuple(float(f"{r:.3g}") if np.isfinite(r) else None for r in line) for line in kept)
        return cls(quantity, ratio.shape, ratios, (top, left), first, kept.size < ratio.size)

    @property
    def mark(self) -> tuple[int, int]:
        """Row and column of the first element outside, in ``ratios``."""
        row, column = _place(self.first, self.shape)
        return row - self.offset[0], column - self.offset[1]


def _place(index: tuple[int, ...], shape: tuple[int, ...]) -> tuple[int, int]:
    """Return row and column of an element in the matrix whose columns are the last axis."""
    return (int(np.ravel_multi_index(index[:-1], shape[:-1])) if len(shape) > 1 else 0), index[-1]


# Above 2**53, most readers of JSON round an integer.
Count = Annotated[int, msgspec.Meta(ge=0, le=2**53)]


@dataclass
class Failure:
    """The failure of a check: its first case that failed, in words."""

    message: str
    crashed: bool = False  # an error was raised, rather than a wrong number returned
    diagnosis: str | None = None
    reproduction: list[Path] = field(default_factory=list)
    script: str | None = None  # the text of the script among them
    error_map: ErrorMap | None = None

    def __add__(self, other: Failure) -> Failure:
        """Return the accounts of both failures, with the script and the map of the first."""
        diagnoses = [one.diagnosis for one in (self, other) if one.diagnosis]
        return replace(
            self,
            message="\n\n".join(once([self.message, other.message])),
            crashed=self.crashed or other.crashed,
            diagnosis="\n\n".join(once(diagnoses)) or None,
            reproduction=once(self.reproduction + other.reproduction),
        )


@dataclass
class Findings:
    """The fields that a result and a results file have in common."""

    name: str
    cases: Count = 0
    examples: Count = 0  # stacks of cases that passed
    inconclusive: Count = 0
    unsupported: list[str] = field(default_factory=list)  # inputs that the framework does not take, with its error
    undeclared: bool = False  # whether the subject itself raised Unsupported where its adapter declares nothing
    undetermined: list[str] = field(default_factory=list)  # what the bound is too wide to decide, and why
    expected_failure: str | None = None  # reason and reference
    failure: Failure | None = None


@dataclass
class Result(Findings):
    """The result of one check with one adapter and dtype, kept up to date while the check runs."""

    worst: dict[str, float] = field(default_factory=dict)  # quantity: largest |error| / bound
    relative_bounds: list[float] = field(default_factory=list)  # of every case, the largest over its quantities
    counterexample: Case | None = None
    interrupted: bool = False

    @property
    def status(self) -> str:
        """Return one of ``STATUSES``.

        An xfail is a failure that was expected. An xpass is a check that passed although a failure was expected. A
        check is unsupported if its adapter declares that it takes none of the cases. It is not judged if no case with
        numbers was judged although the adapter declares nothing.
        """
        if self.failure is not None:
            return "xfail" if self.expected_failure else "fail"
        if self.interrupted:
            return "interrupted"
        if self.expected_failure:
            return "xpass"
        if self.inconclusive:
            return "inconclusive"
        if not self.cases:
            return "unsupported" if self.unsupported and not self.undeclared else "not judged"
        return "pass"

    @property
    def unexpected(self) -> Failure | None:
        """The failure; None if it was expected, or if the failing case is not at hand."""
        return self.failure if self.status == "fail" and self.counterexample is not None else None

    @property
    def relative_bound(self) -> float | None:
        """Median over the cases of bound / scale of the value; None before the first case."""
        return float(np.median(self.relative_bounds)) if self.relative_bounds else None

    @property
    def account(self) -> list[str]:
        """The lines that a person reads: the failure, its diagnosis, and the files that reproduce it."""
        if self.failure is None:
            more = self.undetermined if self.status == "inconclusive" else [DECLARE] * self.undeclared
            return [WITHOUT_FAILURE.get(self.status, self.status).format(self), *more]
        diagnosis, reproduction = self.failure.diagnosis, self.failure.reproduction
        written = [f"written: {path}" for path in reproduction]
        return [self.failure.message, *([diagnosis] if diagnosis else []), *written]

    @property
    def is_partial(self) -> bool:
        """Whether an input was unsupported or a quantity undetermined beside the cases that were judged."""
        return bool(self.unsupported or self.undetermined)

    def add(self, verdict: Verdict) -> None:
        """Count the cases of a verdict; cases without steps, rows or units have no numbers, and count as none."""
        if not np.size(verdict.evaluation.hs):
            return
        self.cases += len(verdict.statuses)
        self.inconclusive += verdict.statuses.count("inconclusive")
        ratios = {name: worst.ratio for name, worst in verdict.worst.items()}
        self.worst = largest(self.worst, ratios)
        self.relative_bounds += verdict.relative_bounds.tolist()
        for name in verdict.undetermined:
            self.note_undetermined(f"{name}: its bound is above {verdict.precision.coarsest:.2g} x the value's scale")

    def note_unsupported(self, text: str, *, declared: bool = True) -> None:
        """Note an unsupported input, once, and whether its adapter declares it."""
        self.unsupported = once([*self.unsupported, text])
        self.undeclared |= not declared

    def note_undetermined(self, text: str) -> None:
        """Note a quantity whose bound is too wide to decide, once."""
        self.undetermined = once([*self.undetermined, text])

    def __add__(self, other: Result) -> Result:
        """Return the result of two runs of one check."""
        # The failure that one run expects excuses no failure that the other run did not expect.
        unexpected = "fail" in (self.status, other.status)
        return Result(
            self.name,
            self.cases + other.cases,
            self.examples + other.examples,
            self.inconclusive + other.inconclusive,
            once(self.unsupported + other.unsupported),
            self.undeclared or other.undeclared,
            once(self.undetermined + other.undetermined),
            None if unexpected else self.expected_failure or other.expected_failure,
            self.failure + other.failure if self.failure and other.failure else self.failure or other.failure,
            worst=largest(self.worst, other.worst),
            relative_bounds=self.relative_bounds + other.relative_bounds,
            interrupted=self.interrupted or other.interrupted,
        )


def once(entries: list[T]) -> list[T]:
    """Return a list without repetitions."""
    return [*dict.fromkeys(entries)]


def largest(*ratios: dict[str, float]) -> dict[str, float]:
    """Return the largest ratio of each quantity."""
    return {name: max(found.get(name, 0.0) for found in ratios) for one in ratios for name in one}
