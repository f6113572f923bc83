"""The faults that match a subject: as the catalogue has them, with another period, or differentiated by a framework."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache

import numpy as np

from reference.case import Case
from reference.differentiated import differentiated, is_small
from reference.faults import CATALOGUE, PERIODIC, catalogue, compute, named
from reference.likeness import Observed, alike, reproduced, returned
from reference.precision import FORMATS, Precision
from reference.trial import Subject

# Size of xs up to which the evaluations of all faults are cached. Together they take 600 times the memory of xs.
SMALL = 2**14

Calling = Callable[[Subject, Case, Precision], Observed]


@dataclass(frozen=True)
class Matches:
    """The faults that return the same as a subject; several of them are indistinguishable."""

    names: tuple[str, ...] = ()
    is_differentiated: bool = False  # whether the gradient is the exact one of the fault's forward


def matching(seen: Sequence[Observed], calling: Calling) -> Matches:
    """Return the faults that match a subject in all observations.

    Args:
        seen: observations of the subject.
        calling: function that observes a fault in the way the subject was observed.
    """
    known = catalogue(seen[0].case)
    if names := _written(seen, [*known, *_periodic(seen, known)], calling):
        return Matches(tuple(names))
    names = [name for name in known if _matches_differentiated(name, seen, calling)]
    return Matches(tuple(names), is_differentiated=bool(names))


def _written(seen: Sequence[Observed], names: Iterable[str], calling: Calling) -> list[str]:
    """Return the faults that match as they are written in the catalogue."""
    imitate = imitated if all(one.case.xs.size <= SMALL for one in seen) else imitated.__wrapped__
    precision, case = seen[0].precision.name, seen[0].case
    suspects = [name for name in names if precision not in named(name, case).hidden_in(case.cell)]
    others = ((name, [imitate(name, one.case, one.precision, calling) for one in seen]) for name in suspects)
    return [name for name, imitations in others if reproduced(seen, imitations)]


def _periodic(seen: Sequence[Observed], known: Collection[str]) -> Iterator[str]:
    """Yield the faults with a period that fits the steps at which dx is wrong, without those that are known."""
    found: set[int] = set()
    for one in seen:
        if "dx" in one.wrong and "h" not in one.wrong:
            wrong = np.flatnonzero((one.compared["dx"].ratio > 1).any(axis=(-2, -1)))
            found |= {int(wrong[0]) + 1, int(wrong[-1]) + 1, one.case.sizes["T"] - 1 - int(wrong[-1])}
    for period in sorted(found - {0, 1}):
        names = (f"{before}{period}{after}" for before, after in PERIODIC)
        yield from (name for name in names if name not in known)


def _matches_differentiated(name: str, seen: Sequence[Observed], calling: Calling) -> bool:
    """Return whether the forward of a fault, with its exact gradient, matches a subject in all observations.

    The forward is compared first, because it is there. In large cases, it is all that is compared.
    """
    precision, case = seen[0].precision, seen[0].case
    if precision.name in named(name, case).hidden_in(case.cell) or any(one.account is not None for one in seen):
        return False
    others = [imitated(name, one.case, one.precision, calling) for one in seen]
    pairs = [(one, other) for one, other in zip(seen, others, strict=True) if other is not None]
    forward = {name for one in seen for name in one.compared if name[0] != "d"}
    if len(pairs) < len(seen) or not any(forward & {*other.wrong} for _, other in pairs):
        return False
    if not all(alike(one, other, only=forward) for one, other in pairs):
        return False
    # Differences have fewer digits than float64.
    model = precision.as_if(FORMATS["float32"]) if precision.name == "float64" else precision
    small = [one.under(model) for one in seen if is_smooth(one.case, model)]
    return reproduced(small, [exactly(name, one.case, model) for one in small])


@lru_cache(maxsize=16 * sum(map(len, CATALOGUE.values())))
def imitated(name: str, case: Case, precision: Precision, calling: Calling) -> Observed | None:
    """Return the observation of a fault; None if the fault raises an error for this case."""
    try:
        return calling(named(name, case).subject(), case, precision)
    except Exception:
        return None


@lru_cache(maxsize=64)
def is_smooth(case: Case, precision: Precision) -> bool:
    """Return whether differences give the gradient of right code: the case is small, and no unit is at relu's kink."""
    if not is_small(case) or not case.finite:
        return False
    return returned(case, differentiated(compute, case), precision).status == "pass"


@lru_cache(maxsize=2 * sum(map(len, CATALOGUE.values())))
def exactly(name: str, case: Case, precision: Precision) -> Observed | None:
    """Return the observation of the forward of a fault with its exact gradient; None if the fault raises an error."""
    try:
        return returned(case, differentiated(named(name, case).subject(), case), precision)
    except Exception:
        return None
