"""The diagnosis of a failure: the quantities that are wrong, where it starts, and the faults that do exactly that.

    print(explain(case, evaluation, PRECISIONS[case.dtype]))

Every fault of the catalogue is run on the same case in the same dtype. It is named only if everything returned equals
what the fault does, but for rounding, while correct code differs (``reference.likeness``).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import cache, lru_cache
from typing import Any

import numpy as np

from reference.case import Case
from reference.evaluation import Evaluation
from reference.faults import FAULTS
from reference.likeness import BROKEN, Observed, called, reproduced, returned, tried
from reference.precision import Precision
from reference.shrink import kind_of, shrink_subject, singles
from reference.trial import Subject
from reference.verdict import QUANTITIES

# A subject is tried on so many fresh cases: long enough for every fault, small enough to tell them apart.
MODERATE, DRAWN = {"T": 6, "N": 3, "D": 2, "H": 4}, 2
# So many of several matching faults are printed, to stay on one screen.
SHOWN = 6
# Numbers of xs up to which the faults' evaluations of a case are kept: all of them take 600 times the memory of xs.
SMALL = 2**14

Calling = Callable[[Subject, Case, Precision], Observed]


@dataclass(frozen=True)
class Start:
    """The element that a failure starts from."""

    quantity: str  # as in a verdict; "A" for the gradient at the pre-activations, which the probe shows
    index: tuple[int, ...]
    actual: float
    expected: float
    bound: float
    ratio: float

    def __str__(self) -> str:
        numbers = f"expected {self.expected:.9g}, got {self.actual:.9g}"
        error = f"|error| {abs(self.actual - self.expected):.3g} is {self.ratio:.3g} x its bound {self.bound:.3g}"
        return f"It starts at {self.quantity}{list(self.index)}: {numbers}; {error}."


@dataclass(frozen=True, eq=False)
class Diagnosis:
    """The findings on an evaluation or a subject; ``str`` gives the account."""

    case: Case  # in which the failure is shown
    status: str  # "pass", "fail" or "inconclusive", as of a verdict; "contract" if that was broken
    wrong: tuple[str, ...]  # quantities out of their bounds
    right: tuple[str, ...]  # quantities within them
    start: Start | None  # None if every quantity is right
    account: str | None  # of the contract that was broken
    names: frozenset[str] = frozenset()  # faults that do everything; more than one are indistinguishable here
    arithmetic: str | None = None  # the coarser arithmetic that the errors look like
    comparable: bool = True  # False if rounding is as large as the error

    def __str__(self) -> str:
        sizes, right = self.case.spelled, f"; {spelled(self.right)} right" if self.right else ""
        if self.status == "pass":
            return f"No fault: {', '.join(self.right)} are right ({sizes})."
        if self.status == "inconclusive":
            return f"No diagnosis: the bounds are too wide to decide ({sizes})."
        wrong = f"{spelled(self.wrong)} wrong{right} ({sizes})." if self.wrong else None
        return "\n".join(str(line) for line in (self.account, wrong, self.start, *self._likeness()) if line)

    def _likeness(self) -> Iterator[str | None]:
        """Give the lines on the faults that do the same."""
        names = [name for name in FAULTS if name in self.names]
        if not names:
            none = "no fault of the catalogue returns this" if self.comparable else None
            yield f"No diagnosis: {none or 'rounding over these steps is as large as the error'}."
            yield self.arithmetic
            return
        which = "this fault:" if len(names) == 1 else "each of these faults, which are indistinguishable here:"
        yield f"Everything returned equals the result of {which}"
        yield from (f"  `{name}`: {FAULTS[name].description}" for name in names[:SHOWN])
        yield f"  and {len(names) - SHOWN} more" if len(names) > SHOWN else None


def spelled(names: Sequence[str]) -> str:
    """Return "h is" or "h, dx are"."""
    return f"{', '.join(names)} {'is' if len(names) == 1 else 'are'}"


def explain(case: Case, evaluation: Evaluation, precision: Precision) -> Diagnosis:
    """Return the diagnosis of an evaluation: what is wrong, where it starts, and which faults do the same.

    Args:
        case: one case or a stack; of a stack, the first case that fails is explained.
        evaluation: what an implementation returned for it.
        precision: the model of its arithmetic.
    """
    pairs = [(case, evaluation)] if case.K is None else [(case[k], evaluation[k]) for k in range(case.K)]
    seen = [returned(*pair, precision) for pair in pairs]
    return diagnose([next((one for one in seen if one.status in BROKEN), seen[0])], called)


def explain_subject(
    subject: Subject, case: Case, precision: Precision, *, progress: Callable[[], Any] = lambda: None, tries: int = 2000
) -> Diagnosis:
    """Return the diagnosis of a subject, shown in the smallest counterexample.

    The smallest case shows best where a failure starts, but many faults do the same to it. So a fault is named only
    if it does what the subject does in fresh cases and in the given one, up to the first broken contract.

    Args:
        subject: returns an evaluation; it is given copies, each of them twice.
        case: one case or a stack that it fails.
        precision: the model of its arithmetic.
        progress: called after every trial of the search for the smallest case.
        tries: largest number of these.

    Returns:
        The diagnosis, with the smallest counterexample as its case.

    Raises:
        ValueError: the subject does not fail the case.
    """
    seen = [tried(subject, one, precision) for one in moderate(case)]
    for one in singles(case):
        seen.append(tried(subject, one, precision))
        if seen[-1].status in BROKEN:
            break
    small = tried(subject, shrink_subject(subject, case, precision, progress=progress, tries=tries), precision)
    broken = [i for i, one in enumerate(seen) if one.account is not None]
    # A subject that keeps a state is like a fresh fault in its first calls alone.
    seen = seen[: broken[0] + 1] if broken else [one for one in seen if one.is_comparable]
    seen = seen if any(one.status in BROKEN for one in seen) else [*seen, small]
    shown = small if small.status in BROKEN else next(one for one in seen if one.status in BROKEN)
    return diagnose(seen, tried, shown)


def moderate(case: Case) -> list[Case]:
    """Return fresh cases of the kind of another, of moderate sizes, with the probe."""
    sizes = MODERATE | {"H": min(max(case.sizes["H"], 2), 2 * MODERATE["H"])}
    return [_fresh(seed=seed, **kind_of(case), **sizes) for seed in range(DRAWN)]


@cache
def _fresh(**options: Any) -> Case:
    """Return a probed case drawn with these options; the same object for the same options."""
    return Case.random(**options).probed()


def diagnose(seen: Sequence[Observed], calling: Calling, shown: Observed | None = None) -> Diagnosis:
    """Return the diagnosis of one subject.

    Args:
        seen: observations of it, at least one.
        calling: observes a fault as the subject was observed.
        shown: the observation in which the failure is shown; the first failure among ``seen`` by default.
    """
    first = next((one for one in seen if one.status in BROKEN), seen[0])
    shown = shown or first
    wrong = tuple(name for name in QUANTITIES.values() if any(name in one.wrong for one in (*seen, shown)))
    right = tuple(name for name in shown.compared if name not in wrong)
    found = Diagnosis(shown.case, shown.status, wrong, right, start_of(shown), shown.account)
    if shown.status not in BROKEN:
        return found
    arithmetic = first.last.arithmetic if first.last else None
    if first.account is None and not any(one.telling for one in seen):
        return replace(found, comparable=False, arithmetic=arithmetic)
    imitate = imitated if all(one.case.xs.size <= SMALL for one in seen) else imitated.__wrapped__
    suspects = [name for name, fault in FAULTS.items() if first.precision.name in fault.precisions]
    others = ((name, [imitate(name, one.case, one.precision, calling) for one in seen]) for name in suspects)
    names = frozenset(name for name, imitations in others if reproduced(seen, imitations))
    return replace(found, names=names, arithmetic=None if names else arithmetic)


@lru_cache(maxsize=16 * len(FAULTS))
def imitated(name: str, case: Case, precision: Precision, calling: Calling) -> Observed | None:
    """Return the observation of a fault; None if such code raises an error in this case."""
    try:
        return calling(FAULTS[name].subject(), case, precision)
    except Exception:
        return None


def start_of(seen: Observed) -> Start | None:
    """Return the element that a failure starts from; None if nothing is out of its bounds.

    Each step is compared with its own neighbours. A failure of the states starts at their first wrong step, one of dx
    at the last, for backward computes it from the end.
    """
    if not seen.wrong:
        return None
    name, probe = seen.wrong[0], list(seen.case.probe or ())
    quantity = seen.compared[name]
    ratio = quantity.ratio
    if name in ("h", "dx"):
        steps = np.flatnonzero((ratio > 1).any(axis=(-2, -1)))
        t = steps[0] if name == "h" else steps[-1]
        ratio = np.where(np.arange(len(ratio))[:, None, None] == t, ratio, 0)
    of_probe = name == "dx" and bool((ratio[..., probe] > 1).any())
    if of_probe:
        ratio = np.where(np.isin(np.arange(ratio.shape[-1]), probe), ratio, 0)
    index = tuple(int(i) for i in np.unravel_index(np.argmax(ratio), ratio.shape))
    # Adding zero turns minus zero into zero.
    numbers = (float(part[index]) + 0.0 for part in (quantity.actual, quantity.expected, quantity.bound, ratio))
    return Start("A", (*index[:-1], probe.index(index[-1])), *numbers) if of_probe else Start(name, index, *numbers)
