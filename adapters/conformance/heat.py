"""The heat map of a failure: |error| / bound of every element of the first quantity that is wrong, as a matrix."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from reference.verdict import Verdict

# Rows and columns that are kept at most: a person cannot tell more of them apart.
LARGEST = 64


@dataclass(frozen=True)
class Heat:
    """|error| / bound of a quantity; its last axis runs along the columns, all others, one after the other, down."""

    quantity: str
    shape: tuple[int, ...]  # of the quantity
    ratios: tuple[tuple[float, ...], ...]  # what is kept, at most LARGEST x LARGEST; above 1 is outside
    offset: tuple[int, int]  # row and column of the first number that is kept
    first: tuple[int, ...]  # index of the first element outside: of dx, which is computed from the end, the last step's

    @classmethod
    def of(cls, verdict: Verdict) -> Self | None:
        """Return the map of the first quantity that is wrong in a verdict on a single case; None if none is."""
        for quantity, judged in verdict.judged.items():
            if (judged.ratio > 1).any():
                return cls.from_ratios(quantity, judged.ratio)
        return None

    @classmethod
    def from_ratios(cls, quantity: str, ratio: NDArray[np.float64]) -> Self:
        """Return the map of an array of ratios, some of which exceed 1, cut around the first that does."""
        outside = np.argwhere(ratio > 1)
        if quantity.endswith("dx"):
            outside = outside[outside[:, 0] == outside[-1, 0]]
        first = tuple(int(i) for i in outside[0])
        matrix = ratio.reshape(-1, ratio.shape[-1])
        row = int(np.ravel_multi_index(first[:-1], ratio.shape[:-1])) if ratio.ndim > 1 else 0
        top, left = (_start(at, size) for at, size in zip((row, first[-1]), matrix.shape, strict=True))
        kept = matrix[top : top + LARGEST, left : left + LARGEST]
        rounded = tuple(tuple(float(f"{number:.3g}") for number in line) for line in kept)
        return cls(quantity, ratio.shape, rounded, (top, left), first)

    @property
    def is_cut(self) -> bool:
        """Whether the quantity has more elements than are kept."""
        return sum(map(len, self.ratios)) < int(np.prod(self.shape))

    @property
    def mark(self) -> tuple[int, int]:
        """Row and column of the first element outside, among what is kept."""
        row = int(np.ravel_multi_index(self.first[:-1], self.shape[:-1])) if len(self.shape) > 1 else 0
        return row - self.offset[0], self.first[-1] - self.offset[1]

    def as_json(self) -> dict[str, Any]:
        """Return the map as plain data; JSON has no infinity, so that null stands for it."""
        ratios = [[number if np.isfinite(number) else None for number in line] for line in self.ratios]
        return {
            "quantity": self.quantity,
            "shape": list(self.shape),
            "ratios": ratios,
            "offset": list(self.offset),
            "first": list(self.first),
            "cut": self.is_cut,
        }

    @classmethod
    def from_json(cls, data: dict[str, Any]) -> Self:
        """Return the map that was written as plain data."""
        ratios = tuple(tuple(np.inf if number is None else float(number) for number in line) for line in data["ratios"])
        top, left = data["offset"]
        return cls(str(data["quantity"]), tuple(data["shape"]), ratios, (top, left), tuple(data["first"]))


def _start(at: int, size: int) -> int:
    """Return where a window of at most LARGEST begins that holds a place near its middle."""
    return max(0, min(at - LARGEST // 2, size - LARGEST))
