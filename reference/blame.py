"""Three words for the quantities of a verdict: wrong, right, or follows from what is wrong.

A quantity is *wrong* if an element is outside its bound. The bounds are computed from the neighbouring values that the
implementation returned, so a quantity within its bound can still differ from the oracle's own: it then *follows* from
wrong neighbours. It is *right* if it is within its bound and equals the oracle's own, up to the rounding of all steps.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from reference.bounded import Bounded
from reference.comparison import Comparison


@dataclass(frozen=True)
class Blame:
    """Which quantities are wrong, which are right, and which follow from wrong ones."""

    wrong: tuple[str, ...] = ()  # outside their bounds
    right: tuple[str, ...] = ()  # within their bounds, and equal to the oracle's own
    follows: tuple[str, ...] = ()  # within their bounds, but not equal to the oracle's own
    sources: tuple[str, ...] = ()  # the wrong values that others are computed from: "h", "cs", "A"
    off: float | None = None  # largest |error| of what follows, relative to the largest element of its quantity

    def __str__(self) -> str:
        names = [f"{name} (A)" if name == "dx" and "A" in self.sources else name for name in self.wrong]
        parts = [f"{spelled(names)} wrong"] if names else []
        parts += [f"{spelled(self.right)} right"] if self.right else []
        if self.follows:
            verb = "follows" if len(self.follows) == 1 else "follow"
            off = "" if self.off is None else f": off by up to {percent(self.off)} from the oracle's own"
            parts.append(f"{', '.join(self.follows)} {verb} from the wrong {' and '.join(self.sources)}{off}")
        return "; ".join(parts)


def spelled(names: Sequence[str]) -> str:
    """Return "h is" or "h, dx are"."""
    return f"{', '.join(names)} {'is' if len(names) == 1 else 'are'}"


def percent(share: float) -> str:
    """Return a share in percent, with two digits: "65 %"."""
    return f"{100 * share:,.0f} %" if share >= 0.1 else f"{100 * share:.2g} %"


def blame(compared: dict[str, Comparison], own: dict[str, Bounded], probe: Sequence[int], coarsest: float) -> Blame:
    """Sort the quantities of an evaluation by the three words.

    If a quantity is within its bound and nothing that it is computed from is wrong, every step up to it is right. Then
    it is right, even if rounding over all steps leaves nothing to compare.

    Args:
        compared: the comparison of each quantity, whose bounds come from the neighbouring values.
        own: the oracle's own values, with bounds on the rounding of all steps.
        probe: the columns of dx that are A.
        coarsest: largest median of bound / scale with which a comparison decides.
    """
    wrong = tuple(name for name, each in compared.items() if (each.ratio > 1).any())
    sources: tuple[str, ...] = tuple(name for name in ("h", "cs") if name in wrong)
    if "dx" in wrong and probe and (compared["dx"].ratio[..., list(probe)] > 1).any():
        sources += ("A",)
    right, follows, off = [], [], 0.0
    for name in (name for name in compared if name not in wrong):
        array = own[name].rounded()
        distance, differs = _distance(compared[name].actual, array)
        if _used_by(name, sources) and (differs or (distance and not _decides(array, coarsest))):
            follows.append(name)
            off = max(off, distance)
        else:
            right.append(name)
    known = off if follows and np.isfinite(off) and off > 0 else None
    return Blame(wrong, tuple(right), tuple(follows), sources, known)


def _used_by(name: str, sources: Sequence[str]) -> bool:
    """Return whether a quantity is computed from one of the wrong values.

    A state is not used by itself, and A is used by gradients only. Derivatives along a direction are bounded from the
    inputs, not from neighbouring values.
    """
    return " " not in name and bool({*sources} - {name} - ({"A"} if name[0] != "d" else set()))


def _distance(actual: Any, own: Bounded) -> tuple[float, bool]:
    """Return the largest distance from the oracle's own, relative to its largest element, and whether it is too large.

    Only elements count of which both numbers are finite.
    """
    with np.errstate(all="ignore"):
        distance = np.abs(actual - own.value)
        counted = np.isfinite(distance)
        largest = np.max(np.abs(own.value), initial=0, where=counted)
        differs = bool((counted & (distance > own.error)).any())
        return float(np.max(distance, initial=0, where=counted) / largest), differs


def _decides(own: Bounded, coarsest: float) -> bool:
    """Return whether the rounding of all steps is small enough to tell right from wrong."""
    with np.errstate(all="ignore"):
        # Zeros, such as the probe's rows of dWx, decide nothing.
        relative = (own.error / np.maximum(own.scale, own.precision.floor))[own.value != 0]
    relative = relative[~np.isnan(relative)]
    return bool(np.median(relative) <= coarsest) if relative.size else True
