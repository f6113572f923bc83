"""Whether a subject is right in its first call of a shape and wrong in the next: then what came before matters."""

from __future__ import annotations

import zlib
from functools import partial
from typing import Any

from reference.candidates import Matches
from reference.case import Case
from reference.faults import Fault, catalogue
from reference.likeness import Observed, reproduced, tried
from reference.precision import Precision
from reference.shrink import kind_of
from reference.trial import Subject

# Numbers of units and of inputs that hardly another case has, so that the first call of a shape is the first.
SIZES: dict[str, Any] = {"T": 2, "N": 2, "H": 7}
FEWEST, SPREAD = 11, 50


def remembering(subject: Subject, case: Case, precision: Precision) -> Matches | None:
    """Return the faults that match a subject for which earlier calls matter; None if they do not.

    Two cases of one shape are tried in both orders, each time in a new shape.
    """
    orders = _orders(case)
    seen = [[tried(subject, one, precision) for one in order] for order in orders]
    if any((first.status, second.status) != ("pass", "fail") for first, second in seen):
        return None
    suspects = [fault for fault in catalogue(case).values() if "calls" in fault.changes]
    return Matches(tuple(fault.name for fault in suspects if _matches(fault, seen, precision)))


def _orders(case: Case) -> list[list[Case]]:
    D = FEWEST + zlib.crc32(b"".join(array.tobytes() for array in case.arrays().values())) % SPREAD
    drawn = partial(Case.random, **SIZES, **kind_of(case))
    orders = ((D, (0, 1)), (D + 1, (1, 0)))
    return [[drawn(D=D, seed=seed).probed() for seed in seeds] for D, seeds in orders]


def _matches(fault: Fault, seen: list[list[Observed]], precision: Precision) -> bool:
    """Return whether a fault that starts afresh matches a subject in every order."""
    if precision.name in fault.hidden_in(seen[0][0].case.cell):
        return False
    subject = fault.subject()
    return all(reproduced(order, [tried(subject, one.case, precision) for one in order]) for order in seen)
