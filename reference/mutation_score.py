"""The mutation score: which faults of the catalogue a trial catches, after how many cases, by which quantity.

Cases come from the strategy that judges real adapters, and the same ``trial`` judges: what is measured is the suite.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cache
from statistics import median
from typing import Any

import hypothesis
import numpy as np
from hypothesis import HealthCheck, Phase, settings

from reference.case import Case
from reference.evaluation import Evaluation
from reference.faults import COMPUTED, FAULTS, Fault, compute
from reference.precision import PRECISIONS
from reference.strategies import VALUES, cases
from reference.trial import Subject, trial
from reference.verdict import Mismatch, Verdict

# A fault has to be caught within so many cases.
LIMIT = 50


@dataclass(frozen=True)
class Catch:
    """The end of a fault: how many cases it took, and what gave it away."""

    cases: int
    by: str  # the quantity furthest out of its bounds, or "contract"
    account: str  # what a reader of the failure is told


@dataclass(frozen=True)
class Row:
    """One line of the mutation score: a fault in one precision."""

    fault: Fault
    dtype: str
    catches: tuple[Catch | None, ...]  # one a seed; None where it got through

    @property
    def caught(self) -> float:
        """Share of the seeds for which the fault was caught."""
        return sum(catch is not None for catch in self.catches) / len(self.catches)

    @property
    def cases(self) -> float | None:
        """Median number of cases until it was caught; None if it never was."""
        counts = [catch.cases for catch in self.catches if catch is not None]
        return median(counts) if counts else None

    @property
    def by(self) -> str | None:
        """What gave it away most often; None if it never was caught."""
        quantities = Counter(catch.by for catch in self.catches if catch is not None)
        return quantities.most_common(1)[0][0] if quantities else None


@cache
def drawn(dtype: str, seed: int, limit: int, stack: int = 1) -> tuple[Case, ...]:
    """Draw the cases of a run: as many stacks as ``limit``, the same for the same arguments."""
    found: list[Case] = []

    @hypothesis.seed(seed)
    @settings(
        max_examples=limit,
        phases=[Phase.generate],
        database=None,
        deadline=None,
        derandomize=False,
        suppress_health_check=list(HealthCheck),
    )
    @hypothesis.given(cases(dtype=dtype, stack=stack, values=VALUES))
    def collect(case: Case) -> None:
        found.append(case)

    collect()
    return tuple(found)


def try_once(subject: Subject, case: Case) -> str | Verdict:
    """Run one trial of a subject.

    Args:
        subject: returns an evaluation.
        case: one case or a stack; a copy of it is used.

    Returns:
        The verdict, or the account of a broken contract.

    Raises:
        RuntimeError: the subject raised an error, by which nothing is caught: it has to return what is wrong.
    """

    def returning(case: Case) -> Evaluation:
        try:
            return subject(case)
        except Exception as error:
            raise RuntimeError(f"teeth: expected an evaluation, got {type(error).__name__}: {error}") from error

    try:
        return trial(returning, case.map(np.array), PRECISIONS[case.dtype], repeat=True)
    except (Mismatch, TypeError, ValueError) as error:
        return str(error)


def catch(fault: Fault, dtype: str, seed: int, limit: int = LIMIT) -> Catch | None:
    """Try a fault on one case after the other until it is caught.

    Args:
        fault: of the catalogue.
        dtype: one of those that the catalogue computes in.
        seed: of the cases; all faults get the same.
        limit: number of cases after which to give up.

    Returns:
        What caught it, or None if nothing did.
    """
    subject = fault.subject()
    for count, case in enumerate(drawn(dtype, seed, limit), start=1):
        found = try_once(subject, case)
        if isinstance(found, str):
            return Catch(count, "contract", found)
        if found.status == "fail":
            by = max(found.worst, key=lambda name: found.worst[name].ratio)
            return Catch(count, by, str(found))
    return None


def score(
    dtypes: Sequence[str] = COMPUTED,
    seeds: Sequence[int] = range(5),
    progress: Callable[[], Any] = lambda: None,
    limit: int = LIMIT,
) -> list[Row]:
    """Try every fault of the catalogue in every precision that it applies to.

    Args:
        dtypes: of the cases.
        seeds: one run for each.
        progress: called after every row.
        limit: number of cases after which to give up.

    Returns:
        One row for each fault and precision, in the order of the catalogue.
    """
    rows = []
    for fault in FAULTS.values():
        for dtype in (dtype for dtype in dtypes if dtype in fault.precisions):
            rows.append(Row(fault, dtype, tuple(catch(fault, dtype, seed, limit) for seed in seeds)))
            progress()
    return rows


def false_alarms(dtype: str, examples: int, *, seed: int = 0, stack: int = 32) -> tuple[int, int]:
    """Try correct code on many cases.

    Args:
        dtype: one of those that the catalogue computes in.
        examples: number of stacks.
        seed: of the cases.
        stack: cases in a stack.

    Returns:
        How many cases were judged, and how many of them did not pass; the second has to be 0.
    """
    judged = alarms = 0
    for case in drawn(dtype, seed, examples, stack):
        found = try_once(compute, case)
        statuses = ["fail"] * stack if isinstance(found, str) else found.statuses
        judged, alarms = judged + len(statuses), alarms + len(statuses) - statuses.count("pass")
    return judged, alarms
