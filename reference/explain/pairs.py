"""Two faults at once: which pairs of the catalogue together do what was seen."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator

import numpy as np

from reference.case import Case
from reference.evaluation import Evaluation
from reference.explain.likeness import Make, beginning, reproduced
from reference.explain.observed import Observed
from reference.faults import FAULTS, Fault, compute
from reference.faults.fault import taped, unaware, unrolled
from reference.sequence import TimeRNN
from reference.trial import Subject


def pairs(
    alone: dict[str, set[str]], wrong: set[str], seen: list[Observed], watch: Callable[..., Observed]
) -> Iterator[tuple[str, str]]:
    """Give the pairs of faults that together do what was seen.

    A fault disturbs the same local relations whether or not another is there, so that two are tried only if those
    that either disturbs are among those that fail, and all that fail are disturbed by one.

    Args:
        alone: the quantities that fail with each fault, in the case in which ``wrong`` do.
        wrong: the quantities that fail.
        seen: of one subject.
        watch: how they were made.
    """
    possible = [name for name, of in alone.items() if of and of <= wrong and FAULTS[name].family != "contract"]
    candidates = [pair for pair in itertools.combinations(possible, 2) if alone[pair[0]] | alone[pair[1]] == wrong]
    orders = [order for one, two in candidates for order in ((one, two), (two, one))]
    makes = {order: make for order in orders if (make := both(*(FAULTS[name] for name in order))) is not None}
    begun = dict(zip(makes, beginning(list(makes.values()), seen[0]), strict=True))
    for one, two in candidates:
        if any(begun.get(order) and reproduced(makes[order], seen, watch) for order in ((one, two), (two, one))):
            yield one, two


def both(one: Fault, two: Fault) -> Make | None:
    """Return what makes a subject with two faults, ``two`` applied after ``one``; None if they exclude each other."""
    inner = [fault for fault in (one, two) if fault.kind not in ("case", "result")]
    run = inner_of(inner)
    if run is None:
        return None

    def subject(run: Subject) -> Subject:
        def evaluation(case: Case) -> Evaluation:
            bent = case
            for fault in (one, two):
                bent = fault.written(unaware(bent)) if fault.kind == "case" else bent
            result = run(bent)
            for fault in (one, two):
                result = fault.written(case, result) if fault.kind == "result" else result
            return result

        return evaluation

    return lambda: subject(run())


def inner_of(faults: list[Fault]) -> Make | None:
    """Return what makes a subject with faults between case and result; None if they exclude each other."""
    kinds = [fault.kind for fault in faults]
    if "subject" in kinds or kinds == ["arithmetic"] * 2:
        return faults[0].subject if len(faults) == 1 else None
    cells = tuple(fault.written for fault in faults if fault.kind == "cell")
    layers = tuple(taped(fault.written) for fault in faults if fault.kind == "tape")
    arithmetic = next((fault.written for fault in faults if fault.kind == "arithmetic"), np.ndarray)
    try:
        bases = (*layers, *([unrolled(type("Both", cells, {}))] if cells else []))
        Layer = type("Both", bases or (TimeRNN,), {})
    except TypeError:  # one cell is derived from the other
        return None
    return lambda: lambda case: compute(case, Layer, arithmetic)
