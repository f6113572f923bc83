"""The mutation score: which faults of the catalogue a trial catches, after how many cases, by which quantity.

The cases come from the strategy that judges real adapters, and the same ``trial`` judges them. So the score measures
the suite.

The sensitivity is the smallest error of a single element that is detected. Correct code runs on many cases of everyday
sizes. In each case, an error of a random element is certainly outside its bound, for either sign, if it is larger than

    bound + |error of correct code| + rounding of the wrong number to storage

This number is divided by the largest element of the quantity in the case.
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
from hypothesis import strategies as st
from numpy.typing import NDArray

from reference.bounded import INFLATE
from reference.case import Case
from reference.certify import certify
from reference.faults import CATALOGUE, COMPUTED, Fault, compute
from reference.layers import LayersCase
from reference.precision import PRECISIONS
from reference.strategies import GATED, VALUES, cases, kinds_of_shapes, longest
from reference.trial import trial
from reference.verdict import Mismatch, Verdict, quantities_of

# Number of cases within which a fault has to be caught.
LIMIT = 50
# For the sensitivity: T, N, D and H, the number of cases, and the share of cases in which an error must be detected.
SIZES, CASES, SHARE = (5, 4, 3, 6), 1000, 0.99


@dataclass(frozen=True)
class Catch:
    """How a fault was caught: after how many cases, and by which quantity."""

    cases: int
    by: str  # the quantity furthest out of its bounds, or "contract"
    account: str  # the message of the failure


@dataclass(frozen=True)
class Row:
    """One row of the mutation score: a fault in one precision."""

    fault: Fault
    dtype: str
    catches: tuple[Catch | None, ...]  # one for each seed; None if the fault was not caught

    @property
    def caught(self) -> float:
        """Share of the seeds for which the fault was caught."""
        return sum(catch is not None for catch in self.catches) / len(self.catches)

    @property
    def cases(self) -> float | None:
        """Median number of cases until the fault was caught; None if it was never caught."""
        counts = [catch.cases for catch in self.catches if catch is not None]
        return median(counts) if counts else None

    @property
    def by(self) -> str | None:
        """The quantity, or "contract", that caught the fault most often; None if it was never caught."""
        quantities = Counter(catch.by for catch in self.catches if catch is not None)
        return quantities.most_common(1)[0][0] if quantities else None


@cache
def drawn(dtype: str, seed: int, limit: int, stack: int = 1, cell: str = "rnn") -> tuple[Case, ...]:
    """Return the cases of a run, ``limit`` stacks, kind by kind of shapes in turn; equal arguments give equal cases."""
    like: dict[str, Any] = {"dtype": dtype, "cell": cell, "stack": stack}
    kinds, values = kinds_of_shapes(dtype), VALUES if cell == "rnn" else (*VALUES, *GATED)
    count = -(-limit // len(kinds))
    found = [collected(cases(shape=of(), values=values, **like), f"{seed} {k}", count) for k, of in enumerate(kinds)]
    return tuple(case for each in zip(*found, strict=False) for case in each)[:limit]


def collected(strategy: st.SearchStrategy[Case], seed: str, count: int) -> list[Case]:
    """Return examples of a strategy, without the first, which is the simplest and hides most mistakes."""
    found: list[Case] = []
    options: dict[str, Any] = {"phases": [Phase.generate], "database": None, "deadline": None, "derandomize": False}

    @hypothesis.seed(seed)
    @settings(max_examples=1 + count, suppress_health_check=list(HealthCheck), **options)
    @hypothesis.given(strategy)
    def collect(case: Case) -> None:
        found.append(case)

    collect()
    return found[1:]


def try_once(subject: Callable[[Any], Any], case: Case | LayersCase) -> str | Verdict:
    """Run one trial of a subject.

    Args:
        subject: returns an evaluation.
        case: one case or a stack, or one of several layers; a copy of it is used.

    Returns:
        The verdict, or the account of a broken contract.

    Raises:
        RuntimeError: the subject raised an error. This does not count as caught; a fault has to return wrong results.
    """

    def returning(case: Any) -> Any:
        try:
            return subject(case)
        except Exception as error:
            raised = f"{type(error).__name__}: {error}"
            raise RuntimeError(f"mutation_score: expected an evaluation, got {raised} ({case.spelled})") from error

    try:
        return trial(returning, case.map(np.array), PRECISIONS[case.dtype], repeat=True)
    except (Mismatch, TypeError, ValueError) as error:
        return str(error)


def catch(fault: Fault, dtype: str, seed: int, limit: int = LIMIT, cell: str = "rnn") -> Catch | None:
    """Try a fault on one case after another until it is caught.

    Args:
        fault: a fault of the catalogue.
        dtype: a precision of ``COMPUTED``.
        seed: seed of the cases; every fault runs on the same cases.
        limit: number of cases after which to give up.
        cell: cell of the cases.

    Returns:
        The catch, or None if the fault was not caught.
    """
    subject = fault.subject()
    for count, case in enumerate(drawn(dtype, seed, limit, cell=cell), start=1):
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
    cell: str = "rnn",
) -> list[Row]:
    """Try every fault of a cell's catalogue in every precision that can show it.

    Args:
        dtypes: precisions of the cases.
        seeds: seeds of the cases, one run for each.
        progress: called after every row.
        limit: number of cases after which to give up.
        cell: the cell.

    Returns:
        One row for each fault and precision, in the order of the catalogue.
    """
    rows = []
    for fault in CATALOGUE[cell].values():
        for dtype in (dtype for dtype in dtypes if dtype not in fault.hidden_in(cell)):
            rows.append(Row(fault, dtype, tuple(catch(fault, dtype, seed, limit, cell) for seed in seeds)))
            progress()
    return rows


def false_alarms(dtype: str, examples: int, *, seed: int = 0, stack: int = 32, cell: str = "rnn") -> tuple[int, int]:
    """Try correct code on many cases.

    Args:
        dtype: a precision of ``COMPUTED``.
        examples: number of stacks.
        seed: seed of the cases.
        stack: cases in a stack.
        cell: cell of the cases.

    Returns:
        The number of cases, and the number of cases that did not pass; the second has to be 0.
    """
    count = alarms = 0
    for case in drawn(dtype, seed, examples, stack, cell):
        found = try_once(compute, case)
        statuses = ["fail"] * stack if isinstance(found, str) else found.statuses
        count, alarms = count + len(statuses), alarms + len(statuses) - statuses.count("pass")
    return count, alarms


@dataclass(frozen=True, eq=False)
class Detectable:
    """The smallest detectable errors of one quantity, one element in each case of a stack."""

    place: tuple[NDArray[np.intp], ...]  # index of the element in each case
    error: NDArray[np.float64]  # (K,): the smallest absolute error that is outside the bound for either sign
    largest: NDArray[np.float64]  # (K,): largest absolute value of the quantity

    @property
    def relative(self) -> float:
        """The error, relative to the largest element, that is detected in the share ``SHARE`` of the cases."""
        return float(np.quantile(self.error / self.largest, SHARE, method="higher"))


def everyday(dtype: str, seed: int = 0, cell: str = "rnn") -> Case:
    """Return a stack of tanh cases with a bias and with the probe in the last columns."""
    T, *sizes = SIZES
    return Case.random(min(T, longest(dtype, cell)), *sizes, seed=seed, dtype=dtype, cell=cell, stack=CASES).probed()


def detectable(verdict: Verdict, quantity: str, seed: int = 0) -> Detectable:
    """Return the smallest errors that the bounds of a quantity detect.

    Args:
        verdict: verdict on correct code, for a stack with the probe in the last columns.
        quantity: h, dx, dh0, dWx, dWh or db; the columns and rows of the probe are left out.
        seed: seed for the choice of elements.

    Returns:
        One error for each case, for an element chosen at random.
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


def sensitivity(dtype: str, seed: int = 0, cell: str = "rnn") -> dict[str, float]:
    """Return the smallest error of an element that is detected in 99 % of 1,000 cases, per quantity.

    Args:
        dtype: a precision of ``COMPUTED``.
        seed: seed of the cases and of the elements.
        cell: cell of the cases.

    Returns:
        The error by quantity (h, dx, dh0, dWx, dWh, db), relative to the quantity's largest element.
    """
    case = everyday(dtype, seed, cell)
    verdict = certify(case, compute(case), PRECISIONS[dtype])
    return {quantity: detectable(verdict, quantity, seed).relative for quantity in quantities_of(cell)}
