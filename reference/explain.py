"""The diagnosis of a failure: the wrong quantities, the element where they start, and the faults that match.

    print(explain(case, evaluation, PRECISIONS[case.dtype]))

Every fault of the catalogue is run on the same case in the same dtype. A fault is named if all results of the subject
equal those of the fault up to rounding and differ from those of correct code (``reference.likeness``).
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import cache
from typing import Any

import numpy as np

from reference.blame import Blame, spelled
from reference.candidates import Calling, Matches, matching
from reference.case import Case
from reference.faults import named
from reference.history import remembering
from reference.layers import LayersCase
from reference.likeness import BROKEN, Observed, called, returned, tried
from reference.precision import Precision
from reference.shrink import alike, kind_of, shrink_subject, singles
from reference.trial import Subject

# Sizes and lengths of the fresh cases on which a subject is tried. They are long enough for every fault to show, and
# small enough to distinguish faults.
MODERATE, LENGTHS = {"N": 3, "D": 2, "H": 4}, (6, 9)
NONE = Matches()
# Number of matching faults to print, so that the text fits on one screen.
SHOWN = 6
REMEMBERS = "It is right when it is the first call of a shape: what came before matters."
NOTHING, HIDDEN = "no fault of the catalogue returns this", "rounding leaves too few digits to recognise a fault"


@dataclass(frozen=True)
class Start:
    """The element where a failure starts."""

    quantity: str  # name as in a verdict; "A" is the gradient at the pre-activations, returned by the probe
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
    """The diagnosis of an evaluation or a subject; ``str`` returns it as text."""

    case: Case  # the case that shows the failure
    status: str  # "pass", "fail" or "inconclusive", as of a verdict; "contract" if the contract was broken
    blame: Blame  # the quantities that are wrong or right, and those that follow from wrong ones
    start: Start | None  # None if every quantity is right
    account: str | None  # how the contract was broken
    matches: Matches = NONE  # faults that match every result
    arithmetic: str | None = None  # text that names the lower precision that the errors look like
    comparable: bool = True  # False if rounding leaves too few digits to recognise a fault
    elsewhere: tuple[str, ...] = ()  # quantities that are wrong in other cases only
    ended: int | None = None  # number of trials after which the search for a smaller case ended, if it was not done
    remembers: bool = False  # whether it is right when it is the first call of a shape

    @property
    def names(self) -> frozenset[str]:
        """Names of the faults that match every result; several are indistinguishable here."""
        return frozenset(self.matches.names)

    @property
    def wrong(self) -> tuple[str, ...]:
        """Names of the quantities out of their bounds."""
        return self.blame.wrong

    @property
    def right(self) -> tuple[str, ...]:
        """Names of the quantities within their bounds and equal to the oracle's own."""
        return self.blame.right

    def __str__(self) -> str:
        sizes = self.case.spelled
        if self.status == "pass":
            return f"No fault: {self.blame} ({sizes})."
        if self.status == "inconclusive":
            return f"No diagnosis: the bounds are too wide to decide ({sizes})."
        wrong = f"{self.blame} ({sizes})." if self.wrong else None
        others = f"In other cases, {spelled(self.elsewhere)} wrong, too." if self.elsewhere else None
        before = REMEMBERS if self.remembers else None
        ended = f"The search for a smaller case ended after {self.ended:,} trials." if self.ended is not None else None
        lines = (self.account, wrong, self.start, others, before, *self._likeness(), ended)
        return "\n".join(str(line) for line in lines if line)

    def _likeness(self) -> Iterator[str | None]:
        """Yield the lines on the faults that match."""
        names = self.matches.names
        if not names:
            yield self.arithmetic or f"No diagnosis: {NOTHING if self.comparable else HIDDEN}."
            return
        which = "this fault:" if len(names) == 1 else "each of these faults, which are indistinguishable here:"
        what = "the exact gradient of the forward of " if self.matches.is_differentiated else ""
        yield f"Everything returned equals {what or 'the result of '}{which}"
        yield from (f"  `{name}`: {named(name, self.case).description}" for name in names[:SHOWN])
        yield f"  and {len(names) - SHOWN} more" if len(names) > SHOWN else None


def explain(case: Any, evaluation: Any, precision: Precision) -> Diagnosis:
    """Return the diagnosis of an evaluation: the wrong quantities, where they start, and the faults that match.

    Args:
        case: a ``Case`` or a ``LayersCase``; for a stack, the first failing case is explained.
        evaluation: the results of an implementation for the case.
        precision: the model of the implementation's arithmetic.
    """
    pairs = [(case, evaluation)] if case.K is None else [(case[k], evaluation[k]) for k in range(case.K)]
    seen = [returned(*pair, precision) for pair in pairs]
    return diagnose([next((one for one in seen if one.status in BROKEN), seen[0])], called)


def explain_subject(
    subject: Callable[[Any], Any],
    case: Any,
    precision: Precision,
    *,
    progress: Callable[[], Any] = lambda: None,
    tries: int = 2000,
) -> Diagnosis:
    """Return the diagnosis of a subject, shown in the shrunk case.

    The shrunk case shows best where a failure starts, but many faults have the same effect on it. So a fault is named
    only if it matches the subject in fresh cases and in the given case. The comparison ends at the first broken
    contract.

    Args:
        subject: returns an evaluation; it runs twice on a copy of each case.
        case: one case or a stack that the subject fails, or one case of several layers.
        precision: the model of the subject's arithmetic.
        progress: called after every trial while the case is shrunk.
        tries: largest number of these trials.

    Returns:
        The diagnosis, with the shrunk case as its case.

    Raises:
        ValueError: the subject does not fail the case.
    """
    seen = [tried(subject, one, precision) for one in moderate(case)]
    for one in singles(case):
        seen.append(tried(subject, one, precision))
        if seen[-1].status in BROKEN:
            break
    trials: list[Any] = []
    small = _shrunk(subject, case, precision, seen, tries=tries, progress=lambda: trials.append(progress()))
    broken = [i for i, one in enumerate(seen) if one.account is not None]
    # If a subject keeps a state, only its first calls can match those of a fault, which starts fresh.
    seen = seen[: broken[0] + 1] if broken else [one for one in seen if one.is_comparable]
    seen = seen if any(one.status in BROKEN for one in seen) else [*seen, small]
    # Of a contract that a state breaks in the first calls alone, the shrunk case may show nothing.
    shows = small.account is not None if broken else small.status in BROKEN
    shown = small if shows else next(one for one in seen if one.status in BROKEN)
    ended = tries if len(trials) >= tries and shown is small else None
    found = replace(diagnose(seen, tried, shown), ended=ended)
    if (
        isinstance(case, LayersCase)
        or found.names
        or found.account
        or (matches := remembering(subject, case, precision)) is None
    ):
        return found
    return replace(found, matches=matches, remembers=True, arithmetic=None)


def _shrunk(subject: Subject, case: Any, precision: Precision, seen: list[Observed], **options: Any) -> Observed:
    """Return the observation of the shrunk case; of the first failure, if a state makes the subject pass again.

    Cases of several layers are small and stay as they are.
    """
    try:
        if isinstance(case, LayersCase):
            raise ValueError(f"explain: expected a case that the subject fails, got none ({case.spelled})")
        return tried(subject, shrink_subject(subject, case, precision, **options), precision)
    except ValueError:
        failures = [one for one in seen[len(LENGTHS) :] if one.status in BROKEN]
        if not failures:
            raise
        return failures[0]


def moderate(case: Case | LayersCase) -> list[Any]:
    """Return fresh cases of the same kind as the given case, of moderate sizes, with the probe.

    Fresh cases of several layers have the same layers, directions and lengths.
    """
    if isinstance(case, LayersCase):
        return [_other(case, seed) for seed in range(len(LENGTHS))]
    sizes = MODERATE | {"H": min(max(case.sizes["H"], 2), 2 * MODERATE["H"])}
    drawn = (_fresh(seed=seed, **kind_of(case), **sizes, T=T) for seed, T in enumerate(LENGTHS))
    return [alike(one, case) for one in drawn]


def _other(case: LayersCase, seed: int) -> LayersCase:
    """Return a case of the same layers, sizes and lengths with other numbers."""
    like = kind_of(case) | case.sizes | {"D": len(case.inputs), "dropout": 0.0 if case.masks is None else 0.3}
    like |= {name: getattr(case, name) for name in ("layers", "directions", "lengths")}
    drawn: LayersCase = alike(LayersCase.random(**like, seed=seed), case)
    return drawn if case.probe is None else drawn.probed(seed)


@cache
def _fresh(**options: Any) -> Case:
    """Return a probed case drawn with these options; equal options give the same object.

    The last column is of the probe in the first length and an input in the other, so that no mistake there hides.
    """
    drawn, is_first = Case.random(**options), options["T"] == LENGTHS[0]
    probed = (drawn.probed(seed) for seed in itertools.count())
    return next(case for case in probed if (case.sizes["D"] - 1 in (case.probe or ())) == is_first)


def diagnose(seen: Sequence[Observed], calling: Calling, shown: Observed | None = None) -> Diagnosis:
    """Return the diagnosis of one subject.

    Args:
        seen: observations of the subject, at least one.
        calling: function that observes a fault in the way the subject was observed.
        shown: the observation that shows the failure; the first failure among ``seen`` by default.
    """
    first = next((one for one in seen if one.status in BROKEN), seen[0])
    shown = shown or first
    accused = shown.last.blame if shown.last else Blame()
    found = Diagnosis(shown.case, shown.status, accused, start_of(shown), shown.account)
    if shown.status not in BROKEN:
        return found
    arithmetic = first.last.arithmetic if first.last else None
    if first.account is None and not any(one.telling for one in seen):
        return replace(found, comparable=False, arithmetic=arithmetic)
    matches = matching(seen, calling)
    beside = {name for one in seen for name in one.wrong} - {*shown.wrong}
    elsewhere = tuple(name for name in dict.fromkeys(name for one in seen for name in one.compared) if name in beside)
    return replace(found, matches=matches, elsewhere=elsewhere, arithmetic=None if matches.names else arithmetic)


def start_of(seen: Observed) -> Start | None:
    """Return the element where a failure starts; None if every element is within its bounds.

    Each step is compared with its own neighbours. If states are wrong, the failure starts at the first wrong step. If
    dx is wrong, it starts at the last wrong step, because backward runs from the end.
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
