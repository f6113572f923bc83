"""The comparison of one quantity with the oracle: elements outside their bounds, and the width of the bounds."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from reference.bounded import Bounded

Flags = NDArray[np.bool_]


@dataclass(frozen=True, eq=False, repr=False)
class Comparison:
    """One quantity of a case or a stack: actual numbers, expected numbers, and bounds on the difference."""

    actual: NDArray[Any]
    bounded: Bounded
    may_be_nan: Flags | bool  # elements for which NaN is accepted too
    undetermined: Flags | bool  # elements for which any number is accepted; broadcasts
    finite: bool  # whether all inputs were finite
    stacked: bool

    @property
    def expected(self) -> NDArray[np.float64]:
        """The numbers that the oracle computes in float64 from the actual neighbouring values."""
        return self.bounded.value

    @property
    def bound(self) -> NDArray[np.float64]:
        """Bounds on the distance from ``expected``."""
        return self.bounded.error

    def parts(self) -> list[Any]:
        """Return the arrays: actual, expected, bound, scale, and both flags."""
        return [self.actual, self.expected, self.bound, self.bounded.scale, self.may_be_nan, self.undetermined]

    def blank(self, shape: tuple[int, ...]) -> Comparison:
        """Return a comparison of zeros in another shape."""
        (actual, value, error, scale), (nan, loose) = np.zeros((4, *shape)), np.zeros((2, *shape), np.bool_)
        bounded = Bounded(value, self.bounded.precision, error, scale)
        return Comparison(actual, bounded, nan, loose, self.finite, self.stacked)

    @cached_property
    def ratio(self) -> NDArray[np.float64]:
        """|error| / bound of every element; infinite if only one of the two numbers is NaN or infinite."""
        with np.errstate(invalid="ignore", divide="ignore", over="ignore"):
            error = np.abs(self.actual - self.expected)
            ratio = np.where(error == 0, 0.0, error / self.bound)
        # Returning here in the usual case takes a third of the time.
        if np.isfinite(ratio).all() and self.finite:
            return ratio
        actual, expected = self.actual, self.expected
        same = (actual == expected) | (np.isnan(actual) & (np.isnan(expected) | self.may_be_nan))
        ratio = np.where(np.isfinite(actual) & np.isfinite(expected), ratio, np.where(same, 0.0, np.inf))
        ratio = np.where(self._may_overflow | self.undetermined, 0.0, ratio)
        return np.where(np.isnan(ratio), np.inf, ratio)

    @property
    def _may_overflow(self) -> Flags | np.bool_:
        """Elements that may overflow for finite inputs, and whose actual number results from some order of summation.

        The positive terms of a sum amount to (scale + expected) / 2, the negative terms to (scale - expected) / 2. An
        infinity is accepted if the terms of its sign may exceed the largest number, NaN if the terms of both signs may.
        """
        largest, scale = self.bounded.precision.largest, self.bounded.scale
        with np.errstate(invalid="ignore", over="ignore"):
            if np.all((scale + np.abs(self.expected)) / 2 + self.bound <= largest):
                return np.False_
            plus = ~((scale + self.expected) / 2 + self.bound <= largest)
            minus = ~((scale - self.expected) / 2 + self.bound <= largest)
            unknown = ~np.isfinite(self.expected + self.bound)
        infinite = np.where(np.isnan(self.actual), plus & minus, np.where(self.actual > 0, plus, minus))
        possible = np.where(np.isfinite(self.actual), unknown & (plus | minus), infinite)
        return np.asarray(possible & self.finite)

    @property
    def relative_bound(self) -> NDArray[np.float64]:
        """Bound / scale of every element.

        If the inputs cause a NaN or an infinity, it is compared exactly. If a sum overflows, its bound is infinite.
        """
        floor = self.bounded.precision.floor
        with np.errstate(invalid="ignore", over="ignore"):
            found = self.bound / np.maximum(self.bounded.scale, floor)
        # A sum of zeros and underflowed terms is distinguished from every number that does not underflow.
        zero = self.expected == 0
        if zero.any():
            found[zero & (np.maximum(self.bounded.scale, self.bound) <= floor)] = 0.0
        if not (self.finite and np.isfinite(found).all()):
            found = np.where(np.isfinite(self.expected) & ~np.isnan(found), found, np.inf if self.finite else 0.0)
        return np.where(self.undetermined, 0.0, found) if np.any(self.undetermined) else found

    def by_case(self, array: NDArray[Any]) -> NDArray[Any]:
        """Return an array of all elements with one row for each case."""
        K = self.actual.shape[0] if self.stacked else 1
        return array.reshape(K, -1) if array.size else np.zeros((K, 0))

    def worst(self, offset: tuple[int, ...]) -> Worst:
        """Return the element with the largest ratio; ``offset`` is the index of the first element in the quantity."""
        index = tuple(int(i) for i in np.unravel_index(np.argmax(self.ratio), self.ratio.shape))
        parts = (self.ratio, self.actual, self.expected, self.bound)
        ratio, actual, expected, bound = (float(part[index]) for part in parts)
        place = tuple(i + start for i, start in zip(index, offset, strict=True))
        return Worst(ratio, place, actual, expected, bound, int((self.ratio > 1).sum()), self.ratio.size)


@dataclass(frozen=True)
class Worst:
    """The worst element of a quantity, and how many elements are outside their bounds."""

    ratio: float
    index: tuple[int, ...]
    actual: float
    expected: float
    bound: float
    exceeding: int
    size: int

    def beside(self, other: Worst) -> Worst:
        """Return the worse of two elements, with the elements of both counted."""
        worse = other if other.ratio > self.ratio or not self.size else self
        return replace(worse, exceeding=self.exceeding + other.exceeding, size=self.size + other.size)


class Tally:
    """The summary of one quantity of a case or a stack, compared chunk by chunk.

    Args:
        size: number of elements in each case.
        K: number of cases; None for a single case.
    """

    def __init__(self, size: int, K: int | None) -> None:
        self.worst = Worst(0.0, (), np.nan, np.nan, np.nan, 0, 0)
        # Largest ratio of every case; shape (K,), or (1,) for a single case.
        self.ratios = np.zeros(1 if K is None else K)
        self._relative_bound = np.zeros((len(self.ratios), size))
        self._filled = np.zeros(len(self.ratios), int)

    def add(self, compared: Comparison, cases: slice, offset: tuple[int, ...]) -> None:
        """Add the elements of some cases and rows; ``offset`` is the index of the first element."""
        if not compared.actual.size:
            return
        self.ratios[cases] = np.maximum(self.ratios[cases], compared.by_case(compared.ratio).max(axis=1))
        found = compared.by_case(compared.relative_bound)
        start = self._filled[cases][0]
        self._relative_bound[cases, start : start + found.shape[1]] = found
        self._filled[cases] += found.shape[1]
        self.worst = self.worst.beside(compared.worst(offset))

    @cached_property
    def relative_bounds(self) -> NDArray[np.float64]:
        """Median over the elements of bound / scale, for every case; the upper median of an even number of elements."""
        if not self._filled.any():
            return np.zeros(len(self._relative_bound))
        # This takes a fifth of the time of np.median, which averages the two middle elements and looks for NaN.
        middle = self._relative_bound.shape[1] // 2
        self._relative_bound.partition(middle, axis=1)
        return self._relative_bound[:, middle].copy()
