"""The mutation score: which faults of the catalogue a trial catches, after how many cases, by which quantity.

Cases come from the strategy that judges real adapters, and the same ``trial`` judges: what is measured is the suite.

The sensitivity is the smallest error of a single element that is detected. Correct code is run on many cases of
everyday sizes. In each, an error of a random element leaves its bound for certain, whatever its sign, from

    bound + |error of correct code| + rounding of the wrong number to storage

on, which is taken relative to the largest element of the quantity in that case.
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
from numpy.typing import NDArray

from reference.bounded import INFLATE
from reference.case import Case
from reference.certify import certify
from reference.evaluation import Evaluation
from reference.faults import COMPUTED, FAULTS, Fault, compute
from reference.precision import PRECISIONS
from reference.strategies import VALUES, cases
from reference.trial import Subject, trial
from reference.verdict import GRADIENTS, Mismatch, Verdict

# A fault has to be caught within so many cases.
LIMIT = 50
# Of the sensitivity: T, N, D and H, the number of cases, and the share of them in which an error has to be detected.
SIZES, CASES, SHARE = (5, 4, 3, 6), 1000, 0.99


@dataclass(frozen=True)
class Catch:
    """The end of a fault: how many cases it took, and what gave it away."""

    cases: int
    by: str  # the quantity furthest out of its bounds, or "contract"
    account: str  # the message of the failure


@dataclass(frozen=True)
class Row:
    """One line of the mutation score: a fault in one precision."""

    fault: Fault
    dtype: str
    catches: tuple[Catch | None, ...]  # one a seed; None if it got through

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
    """Return the cases of a run: as many stacks as ``limit``, the same for the same arguments."""
    found: list[Case] = []
    options: dict[str, Any] = {"phases": [Phase.generate], "database": None, "deadline": None, "derandomize": False}

    @hypothesis.seed(seed)
    @settings(max_examples=limit, suppress_health_check=list(HealthCheck), **options)
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
        RuntimeError: the subject raised an error. An error catches nothing: a fault has to return what is wrong.
    """

    def returning(case: Case) -> Evaluation:
        try:
            return subject(case)
        except Exception as error:
            raised = f"{type(error).__name__}: {error}"
            raise RuntimeError(f"mutation_score: expected an evaluation, got {raised} ({case.spelled})") from error

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
    """Try every fault of the catalogue in every precision that can show it.

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


@dataclass(frozen=True, eq=False)
class Detectable:
    """The smallest errors of one element each of one quantity, in a stack of cases."""

    place: tuple[NDArray[np.intp], ...]  # index of the element of each case
    error: NDArray[np.float64]  # (K,): absolute, the smallest that leaves the element's bound whatever its sign
    largest: NDArray[np.float64]  # (K,): largest absolute value of the quantity

    @property
    def relative(self) -> float:
        """The error, relative to the largest element, that is detected in ``SHARE`` of the cases."""
        return float(np.quantile(self.error / self.largest, SHARE, method="higher"))


def everyday(dtype: str, seed: int = 0) -> Case:
    """Return the stack of cases, of tanh, with a bias and the probe, last."""
    return Case.random(*SIZES, seed=seed, dtype=dtype, stack=CASES).probed()


def detectable(verdict: Verdict, quantity: str, seed: int = 0) -> Detectable:
    """Return the smallest errors that the bounds of a quantity detect.

    Args:
        verdict: on correct code, of a stack whose probe is last.
        quantity: h, dx, dh0, dWx, dWh or db; only those parts of it that are not the probe's.
        seed: of the choice of elements.

    Returns:
        One error a case, of an element chosen at random.
    """
    compared, form, D = verdict.compared[quantity], verdict.precision.storage, len(verdict.case.inputs)
    part = {"dx": np.s_[..., :D], "dWx": np.s_[..., :D, :]}.get(quantity, np.s_[...])
    actual, expected, bound = (array[part] for array in (compared.actual, compared.expected, compared.bound))
    K = len(actual)
    flat = np.random.default_rng(seed).integers(actual[0].size, size=K)
    place = (np.arange(K), *np.unravel_index(flat, actual.shape[1:]))
    used, value = np.abs(actual - expected)[place], np.abs(actual[place])
    size = INFLATE * (bound[place] + used + form.u * (value + form.tiny)) / (1 - form.u)
    return Detectable(place, size, np.abs(actual).reshape(K, -1).max(axis=1))


def sensitivity(dtype: str, seed: int = 0) -> dict[str, float]:
    """Return the smallest error of an element that is detected in 99 % of 1,000 cases, per quantity.

    Args:
        dtype: one of those that the catalogue computes in.
        seed: of the cases and of the elements.

    Returns:
        The error by quantity (h, dx, dh0, dWx, dWh, db), relative to the quantity's largest element.
    """
    case = everyday(dtype, seed)
    verdict = certify(case, compute(case), PRECISIONS[dtype])
    return {quantity: detectable(verdict, quantity, seed).relative for quantity in GRADIENTS}
