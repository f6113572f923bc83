"""The diagnosis of a failure: what is wrong, where it starts, and which mistake does exactly that.

    print(explain(case, evaluation, PRECISIONS[case.dtype]))

When does a fault of the catalogue reproduce what was returned? The certificate splits every evaluation into what one
step makes of its neighbouring values and the deviation from that, and the deviations determine the evaluation. So
the fault is run on the same case in the same dtype, and two evaluations are alike if their deviations agree in every
element of every quantity, to within

    bound + bound' + 2 * accuracy * largest deviation of the quantity

The bounds are those of one step, one for either evaluation: a deviation that no fault causes is never larger. A
deviation that a fault causes depends on states and gradients that either evaluation has with the rounding of all
steps up to there: ``accuracy`` is the relative error that correct arithmetic may pile up through all of them. A
fault that does little is thus told to within the bound of one step, and one that does much to a few digits. It is
named only if all is alike that was returned, in all cases that were looked at, while correct code is not: some
element is too far out for that, and a quantity that fails without such an element fails with the fault, too.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import cache, cached_property, lru_cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

from reference.archive import spell
from reference.arithmetic import chop
from reference.case import Case, Evaluation
from reference.cells import NONLINEARITIES, RNN, Array
from reference.certify import certify
from reference.faults import FAULTS, Fault, compute
from reference.faults.fault import taped, unaware, unrolled, with_params
from reference.minimise import singles, smallest
from reference.rounding import FORMATS, Bounded, Precision
from reference.sequence import TimeRNN, evaluate, evaluate_arrays, rows
from reference.trial import Subject, trial
from reference.verdict import QUANTITIES, Judged, Mismatch, Verdict

Make = Callable[[], Subject]

# Correct arithmetic comes at least this near to its bound (README, "A thousand steps").
NEAR = 0.1
# Of many matches so many are spelt out, to stay on one screen.
SHOWN = 6
# Fresh cases that a subject is tried on: long enough for every fault, small enough to tell them apart.
MODERATE, DRAWN = {"T": 6, "N": 3, "D": 2, "H": 4}, 2


@dataclass(frozen=True)
class Start:
    """The element that a failure starts from."""

    quantity: str  # as in a verdict; "A" for the gradient at a, which the probe shows
    index: tuple[int, ...]
    got: float
    want: float
    bound: float
    ratio: float

    def __str__(self) -> str:
        error = abs(self.got - self.want)
        where = f"{self.quantity}{list(self.index)}: got {self.got:.9g}, want {self.want:.9g}"
        return f"It starts at {where}, |error| {error:.3g} is {self.ratio:.3g} x its bound {self.bound:.3g}."


@dataclass(frozen=True, eq=False)
class Diagnosis:
    """What is wrong with an evaluation, or with a subject, and what it looks like; ``str`` gives the account."""

    case: Case  # where it is shown
    status: str  # "pass", "fail" or "inconclusive", as of a verdict; "contract" where that was broken
    wrong: tuple[str, ...]  # quantities out of their bounds
    right: tuple[str, ...]  # quantities within them
    start: Start | None = None  # None where every quantity is right
    account: str | None = None  # of the contract that was broken
    matches: tuple[tuple[str, ...], ...] = ()  # faults, or pairs of faults, that reproduce everything
    order: tuple[str, tuple[int, ...]] | None = None  # units of what are in which order
    arithmetic: str | None = None  # what the size of the errors is like
    comparable: bool = True  # False where rounding may hide what a fault does

    @property
    def names(self) -> set[str]:
        """Names of the single faults that reproduce everything; more than one are indistinguishable here."""
        return {match[0] for match in self.matches if len(match) == 1}

    def __str__(self) -> str:
        return "\n".join(self._lines())

    def _lines(self) -> Iterator[str]:
        sizes = spell(self.case.sizes)
        if self.status in ("pass", "inconclusive"):
            yield (
                f"No fault: {', '.join(self.right)} are right ({sizes})."
                if self.status == "pass"
                else (f"Nothing is known to be wrong, but the bounds say too little to tell ({sizes}).")
            )
            return
        if self.account:
            yield self.account
        if self.wrong:
            right = f"; {spelt(self.right)} right" if self.right else ""
            yield f"{spelt(self.wrong)} wrong{right} ({sizes})."
        if self.start:
            yield str(self.start)
        yield from self._likeness()

    def _likeness(self) -> Iterator[str]:
        if self.order:
            what, order = self.order
            yield f"Everything returned equals the oracle's with the hidden units of {what} in the order {list(order)}."
        elif len(self.matches) == 1:
            yield "Everything returned equals the oracle's with"
            yield described(self.matches[0])
        elif self.matches:
            yield "Everything returned equals the oracle's with each of these, which are indistinguishable here:"
            yield from (described(match) for match in self.matches[:SHOWN])
            if len(self.matches) > SHOWN:
                yield f"  and {len(self.matches) - SHOWN} more"
        elif not self.comparable:
            yield "Rounding may hide what a fault does here, after so many steps or so near to a bound."
        else:
            yield "It matches nothing known: no fault of the catalogue, no two at once, no order of hidden units."
        if self.arithmetic and not self.matches:
            yield self.arithmetic


def spelt(names: Sequence[str]) -> str:
    """Return "h is" or "h, dx are"."""
    return f"{', '.join(names)} {'is' if len(names) == 1 else 'are'}"


def described(match: tuple[str, ...]) -> str:
    """Return the name of a fault, or of two at once, and what their authors did wrong, indented."""
    return " and\n".join(f"  `{name}`: {FAULTS[name].description}" for name in match)


def explain(case: Case, evaluation: Evaluation, precision: Precision) -> Diagnosis:
    """Say what is wrong with an evaluation, where it starts, and which fault reproduces it.

    Args:
        case: one case or a stack; of a stack, the first case that fails is explained.
        evaluation: what an implementation returned for it.
        precision: the model of its arithmetic.

    Returns:
        The diagnosis. A fault is named only if it reproduces everything that was returned, and with it all others
        that do; nothing is named where nothing does.
    """
    if case.K is not None:
        seen = [returned(case[k], evaluation[k], precision) for k in range(case.K)]
        return diagnose([next((one for one in seen if one.status == "fail"), seen[0])], once)
    return diagnose([returned(case, evaluation, precision)], once)


def explain_subject(
    subject: Subject,
    case: Case,
    precision: Precision,
    *,
    progress: Callable[[], Any] = lambda: None,
    tries: int = 2000,
) -> Diagnosis:
    """Say what is wrong with a subject, shown in the smallest counterexample.

    The smallest case says best where a failure starts, and worst what caused it: many faults do the same to it. So
    a fault is named only if it reproduces what the subject does in the given case and in fresh ones, two calls each.

    Args:
        subject: returns an evaluation; it is given copies. Nobody should have called it before, if it keeps a state.
        case: one case or a stack that it fails.
        precision: the model of its arithmetic.
        progress: called after every trial of the minimisation.
        tries: largest number of these.

    Returns:
        The diagnosis, with the smallest counterexample as its case.

    Raises:
        ValueError: the subject does not fail the case.
    """
    seen = [watched(subject, one, precision) for one in moderate(case)]
    for one in singles(case):
        seen.append(watched(subject, one, precision))
        if seen[-1].status in BROKEN:
            break
    small = watched(subject, smallest(subject, case, precision, progress=progress, tries=tries), precision)
    # Whoever keeps a state has to be compared over all that it was shown.
    if all(one.account is None for one in seen):
        seen = [one for one in seen if comparable(one)]
    if not any(one.status in BROKEN for one in seen):
        seen.append(small)
    found = diagnose(seen, watched)
    # A fault that is a matter of history need not show in one case alone.
    shown = small if small.status in BROKEN else next(one for one in seen if one.status in BROKEN)
    wrong = tuple(name for name in QUANTITIES.values() if any(name in one.wrong for one in seen))
    right = tuple(name for name in (*found.wrong, *found.right) if name not in wrong)
    return replace(found, case=shown.case, wrong=wrong, right=right, start=shown.start, account=shown.account)


def moderate(case: Case) -> list[Case]:
    """Return fresh cases of the kind of another, of moderate sizes, with the probe."""
    sizes: dict[str, int] = MODERATE | {"H": min(max(case.sizes["H"], 2), 2 * MODERATE["H"])}
    bias = case.params.b is not None
    like: dict[str, Any] = {"dtype": case.dtype, "nonlinearity": case.nonlinearity, "bias": bias}
    return [fresh_case(seed, **sizes, **like) for seed in range(DRAWN)]


@cache
def fresh_case(seed: int, **options: Any) -> Case:
    """Return a case drawn with these options, probed; the same object for the same options."""
    return Case.random(seed=seed, **options).probed()


# What was seen of a subject.

BROKEN = ("fail", "contract")


@dataclass(frozen=True, eq=False)
class Observed:
    """What a subject was seen to do with one case, in one call or two."""

    case: Case
    precision: Precision
    account: str | None  # of the contract that it broke
    evaluations: tuple[Evaluation, ...]

    @cached_property
    def verdicts(self) -> tuple[Verdict | None, ...]:
        """The verdict on each call; None where shapes allow none."""
        return tuple(judge(self.case, evaluation, self.precision) for evaluation in self.evaluations)

    @property
    def status(self) -> str:
        """Give "contract" if that was broken, else the status of the last call."""
        if self.account is not None or self.verdicts[-1] is None:
            return "contract"
        return self.verdicts[-1].status

    @property
    def judged(self) -> dict[str, Judged]:
        """The quantities of the last call."""
        last = self.verdicts[-1] if self.verdicts else None
        return {} if last is None else last.judged

    @cached_property
    def wrong(self) -> tuple[str, ...]:
        """Names of the quantities out of their bounds."""
        return tuple(name for name, judged in self.judged.items() if (judged.ratio > 1).any())

    @property
    def start(self) -> Start | None:
        """Where the failure starts; None if nothing is out of its bounds."""
        return start(self.judged[self.wrong[0]], self.wrong[0], self.case) if self.wrong else None


def returned(case: Case, evaluation: Evaluation, precision: Precision) -> Observed:
    """Return what is to be seen in one evaluation."""
    account = None
    try:
        certify(case, evaluation, precision)
    except (TypeError, ValueError) as error:
        account = str(error)
    return Observed(case, precision, account, (evaluation,))


def once(subject: Subject, case: Case, precision: Precision) -> Observed:
    """Run a subject once, and look at nothing but what it returns."""
    return returned(case, subject(case.map(np.array)), precision)


def watched(subject: Subject, case: Case, precision: Precision) -> Observed:
    """Run a trial of a subject, twice, and write down all that it did."""
    evaluations: list[Evaluation] = []

    def recorded(case: Case) -> Evaluation:
        evaluation = subject(case)
        if isinstance(evaluation, Evaluation):
            evaluations.append(evaluation.map(np.array))
        return evaluation

    account = None
    try:
        trial(recorded, case.map(np.array), precision, repeat=True)
    except (Mismatch, TypeError, ValueError) as error:
        account = str(error)
    except Exception as error:
        account = f"raised {type(error).__name__}: {error}"
    return Observed(case, precision, account, tuple(evaluations))


def judge(case: Case, evaluation: Evaluation, precision: Precision) -> Verdict | None:
    """Return the verdict on an evaluation taken in the shapes and the dtype of the case; None if it does not fit."""
    like = {"hs": case.upstream, "dxs": case.xs, "dh0": case.h0}
    like |= {f"d{name}": array for name, array in case.params.fields().items() if array is not None}
    fields = {name: array for name, array in evaluation.fields().items() if array is not None}
    try:
        with np.errstate(over="ignore"):
            fitted = {name: np.reshape(array, like[name].shape).astype(case.dtype) for name, array in fields.items()}
        return certify(case, Evaluation(**fitted), precision)
    except (TypeError, ValueError, KeyError):
        return None


def start(judged: Judged, quantity: str, case: Case) -> Start:
    """Return the element of a failing quantity that the failure starts from.

    Every step is held to its own neighbours: of the states, that is the first step out of its bounds; of dx, which
    backward computes from the end, the last.
    """
    ratio = judged.ratio
    if quantity in ("h", "dx"):
        steps = np.flatnonzero((ratio > 1).any(axis=(-2, -1)))
        t = steps[0] if quantity == "h" else steps[-1]
        ratio = np.where(np.arange(len(ratio))[:, None, None] == t, ratio, 0)
    D = case.unprobed().sizes["D"]
    probe = quantity == "dx" and case.is_probed and (ratio[..., D:] > 1).any()
    if probe:
        ratio = np.where(np.arange(ratio.shape[-1]) >= D, ratio, 0)
    index = tuple(int(i) for i in np.unravel_index(np.argmax(ratio), ratio.shape))
    # Minus zero is no news to a reader.
    got, want, bound, worst = (float(a[index]) + 0.0 for a in (judged.got, judged.want, judged.bound, judged.ratio))
    place = (*index[:-1], index[-1] - D) if probe else index
    return Start("A" if probe else quantity, place, got, want, bound, worst)


# Who did it.


def diagnose(seen: list[Observed], watch: Callable[..., Observed]) -> Diagnosis:
    """Say what was seen, and what reproduces all of it.

    Args:
        seen: of one subject, at least one observation; the first that is of a failure is the one that is shown.
        watch: how they were made, one after the other, from a subject that was fresh.

    Returns:
        The diagnosis.
    """
    first = next((one for one in seen if one.status in BROKEN), seen[0])
    right = tuple(name for name in first.judged if name not in first.wrong)
    found = Diagnosis(first.case, first.status, first.wrong, right, first.start, first.account)
    if first.status not in BROKEN:
        return found
    known = catalogue(watch, tuple(one.case for one in seen), first.precision)
    suspects = [name for name, others in known.items() if same_all(seen, others)]
    if suspects or first.account is not None:
        return replace(found, matches=tuple((name,) for name in suspects))
    if not any(telling(one) for one in seen):
        return replace(found, comparable=False, arithmetic=as_if(first))
    order = next((order for order in orders(first) if reproduced(partial_order(*order), seen, watch)), None)
    alone = {name: set(others[seen.index(first)].wrong) for name, others in known.items()}
    matches = () if order else tuple(pairs(alone, set(first.wrong), seen, watch))
    return replace(found, order=order, matches=matches, arithmetic=None if order or matches else as_if(first))


@lru_cache(maxsize=16)
def catalogue(
    watch: Callable[..., Observed], cases: tuple[Case, ...], precision: Precision
) -> dict[str, list[Observed]]:
    """Return what every fault that concerns this dtype does with some cases, one after the other."""
    found = {}
    for name, fault in FAULTS.items():
        if precision.name in fault.precisions:
            subject = fault.subject()
            try:
                found[name] = [watch(subject, case, precision) for case in cases]
            except Exception:  # code that breaks down in these cases is not the code that did not
                continue
    return found


def reproduced(make: Make, seen: list[Observed], watch: Callable[..., Observed]) -> bool:
    """Tell whether a subject, made afresh, does all that was seen, in the same order."""
    subject = make()
    try:
        return same_all(seen, (watch(subject, one.case, one.precision) for one in seen))
    except Exception:
        return False


def same_all(seen: list[Observed], others: Iterable[Observed]) -> bool:
    """Tell whether others do the same with all cases, and with one of them what correct code does not."""
    told = False
    for one, other in zip(seen, others, strict=True):
        if not alike(one, other):
            return False
        far = telling(one)
        told = told or one.account is not None or (bool(far) and set(one.wrong) - far <= set(other.wrong))
    return told


def alike(one: Observed, other: Observed) -> bool:
    """Tell whether two subjects did the same with a case, but for rounding."""
    if one.account != other.account or not same_shapes(one, other):
        return False
    accuracy = accuracies(one.case, one.precision)
    return all(
        p is None or q is None or all(near(judged, q.judged[name], accuracy[name]) for name, judged in p.judged.items())
        for p, q in zip(one.verdicts, other.verdicts, strict=True)
    )


def same_shapes(one: Observed, other: Observed) -> bool:
    """Tell whether all that the one returned has the shapes of what the other returned."""
    return len(one.evaluations) == len(other.evaluations) and all(
        np.shape(array) == np.shape(q.fields()[name])
        for p, q in zip(one.evaluations, other.evaluations, strict=True)
        for name, array in p.fields().items()
        if array is not None
    )


def near(one: Judged, other: Judged, accuracy: float) -> bool:
    """Tell whether one quantity deviates in two evaluations by the same, but for rounding."""
    with np.errstate(all="ignore"):
        p, q = deviation(one), deviation(other)
        same = np.abs(p - q) <= closeness(one, other, accuracy)
    both_right = (one.ratio <= 1) & (other.ratio <= 1)
    equal = (one.got == other.got) | (np.isnan(one.got) & np.isnan(other.got))
    # Of numbers that are not finite there is no difference.
    return bool((np.where(np.isfinite(p) & np.isfinite(q), same, equal) | both_right).all())


def deviation(judged: Judged) -> NDArray[np.float64]:
    """Return what a quantity has beyond what one step makes of its neighbours."""
    with np.errstate(all="ignore"):
        return np.asarray(judged.got.astype(np.float64) - judged.want)


def closeness(one: Judged, other: Judged, accuracy: float) -> NDArray[np.float64]:
    """Return how far two deviations of one cause may be apart by rounding, as this module's docstring derives."""
    found = np.abs(deviation(other))
    largest = np.max(found, initial=0, where=np.isfinite(found) & (other.ratio > 1))
    return np.asarray(one.bound + other.bound + 2 * accuracy * largest)


def telling(seen: Observed) -> set[str]:
    """Return the quantities with an element so far out of its bounds that correct code is not alike."""
    if not comparable(seen):
        return set()
    accuracy, far = accuracies(seen.case, seen.precision), set()
    for name in seen.wrong:
        judged = seen.judged[name]
        with np.errstate(all="ignore"):
            out = ~(np.abs(deviation(judged)) <= closeness(judged, judged, accuracy[name]))
        if (out & (judged.ratio > 1)).any():
            far.add(name)
    return far


def comparable(seen: Observed) -> bool:
    """Tell whether rounding through all steps stays small enough, where something fails, to know a fault again."""
    accuracy = accuracies(seen.case, seen.precision)
    return all(2 * accuracy[name] <= seen.precision.coarsest for name in seen.wrong)


class Settled(RNN):
    """A cell whose relu has its kink where the oracle sees it: who falls to the other side is not alike."""

    def adjoint(self, dh: Array, h: Array) -> Array:
        """Return dh * f'(a), the derivative of relu without a bound."""
        return super().adjoint(dh, h.value if self.f is NONLINEARITIES["relu"][0] else h)


@lru_cache(maxsize=64)
def accuracies(case: Case, precision: Precision) -> dict[str, float]:
    """Return, of each quantity, the largest error relative to the terms of its sum that may pile up in all steps."""
    arrays = (case.xs, case.h0, *case.params.for_cell(), case.upstream)
    *inputs, upstream = (None if array is None else Bounded.exact(array, precision) for array in arrays)
    with np.errstate(all="ignore"):
        run = evaluate_arrays(*inputs, upstream=upstream, f=case.nonlinearity, Layer=unrolled(Settled))
    found = {}
    for field, quantity in run.fields().items():
        if quantity is not None:
            sealed = quantity.sealed()
            share = sealed.error / np.maximum(sealed.scale, precision.floor)
            # Zero behind a relu has no terms but the rounding of those before.
            counted = np.isfinite(sealed.value) & (sealed.value != 0)
            found[QUANTITIES[field]] = float(np.max(share, initial=0, where=counted))
    return found


# Two at once.


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
    for one, two in itertools.combinations(possible, 2):
        if alone[one] | alone[two] == wrong:
            makes = [both(FAULTS[one], FAULTS[two]), both(FAULTS[two], FAULTS[one])]
            if any(make is not None and reproduced(make, seen, watch) for make in makes):
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


# Hidden units in another order.


def orders(seen: Observed) -> Iterator[tuple[str, tuple[int, ...]]]:
    """Give the orders of hidden units that would explain what was seen: of what, and which.

    Each unit is assigned to the one that comes nearest to it, the nearest first.
    """
    if not seen.case.finite or seen.case.sizes["H"] < 2:
        return
    for what, distance in distances(seen.case, seen.evaluations[-1]):
        order = assigned(distance)
        if order != tuple(range(len(order))):
            yield what, order


def distances(case: Case, evaluation: Evaluation) -> Iterator[tuple[str, NDArray[Any]]]:
    """Give, for all that could have its units in another order, how far unit j is from what unit k would be."""
    truth = evaluate(case)
    for field, name in QUANTITIES.items():
        got, want = getattr(evaluation, field), getattr(truth, field)
        if field != "dxs" and got is not None:
            yield name, apart(columns(got), columns(want)[:, None, :])
    f, derivative = NONLINEARITIES[case.nonlinearity]
    wide, hs = case.unprobed().astype("float64"), evaluation.hs.astype("float64")
    before = np.concatenate([wide.h0[None], hs])[:-1]
    b = np.zeros(wide.sizes["H"]) if wide.params.b is None else wide.params.b
    parts = {"Wh": rows(before) @ wide.params.Wh, "Wx": rows(wide.xs) @ wide.params.Wx, "b": 0 * rows(hs) + b}
    for name, part in parts.items():
        rest = sum(parts.values()) - part
        yield name, apart(columns(hs), f(rest[:, :, None] + part[:, None, :]))
    if case.is_probed and evaluation.dxs is not None:
        A = evaluation.dxs[..., -case.sizes["H"] :].astype("float64")
        later = np.concatenate([A[1:] @ wide.params.Wh.T, 0 * A[:1]])
        dh = rows(wide.upstream)[:, None, :] + rows(later)[:, :, None]
        yield "upstream", apart(rows(A), dh * derivative(rows(hs))[:, :, None])


def columns(array: NDArray[Any]) -> NDArray[Any]:
    """Return an array as a matrix with a column for each unit."""
    return array.reshape(-1, array.shape[-1])


def apart(got: NDArray[Any], units: NDArray[Any]) -> NDArray[Any]:
    """Return the largest distance, over rows, of column j of ``got`` from ``units[:, j, k]``; shape (H, H)."""
    with np.errstate(all="ignore"):
        return np.asarray(np.abs(got[:, :, None] - units).max(axis=0, initial=0))


def assigned(distance: NDArray[Any]) -> tuple[int, ...]:
    """Return which k each j is assigned to, the nearest pair first, each of them once."""
    left, order = np.where(np.isnan(distance), np.inf, distance), np.zeros(len(distance), int)
    taken = np.zeros(distance.shape, bool)
    for _ in order:
        j, k = np.unravel_index(np.argmin(np.where(taken, np.inf, left)), left.shape)
        order[j] = k
        taken[j], taken[:, k] = True, True
    return tuple(int(k) for k in order)


def partial_order(what: str, order: tuple[int, ...]) -> Make:
    """Return what makes a subject that has the hidden units of ``what`` in another order."""

    def subject(case: Case) -> Evaluation:
        unit = list(order)
        if what == "upstream":
            return compute(replace(unaware(case), upstream=case.upstream[..., unit]))
        if what in ("Wx", "Wh", "b"):
            return compute(with_params(unaware(case), **{what: getattr(case.params, what)[..., unit]}))
        field = next(field for field, name in QUANTITIES.items() if name == what)
        evaluation = compute(case)
        return replace(evaluation, **{field: getattr(evaluation, field)[..., unit]})

    return lambda: subject


# By digits and by size.


def as_if(seen: Observed) -> str | None:
    """Say which format has so few digits, or else makes errors of this size; None if there is none.

    The digits show where the format stored what was returned. The size says something only if most of the elements
    that can be wrong are.
    """
    wrong = [seen.judged[name] for name in seen.wrong]
    for name, form in reversed(FORMATS.items()):
        if form.u > seen.precision.u and all(
            fits(judged.got, form.u) and not fits(judged.want, form.u) for judged in wrong
        ):
            return f"Every number in what is wrong has as few digits as {name} holds."
    if not all(np.median(judged.ratio[judged.want != 0]) > 1 for judged in wrong if (judged.want != 0).any()):
        return None
    for name, form in FORMATS.items():
        if form.u > seen.precision.u:
            verdict = judge(seen.case, seen.evaluations[-1], seen.precision.as_if(form))
            if verdict is not None and verdict.status != "fail":
                worst = max(worst.ratio for worst in verdict.worst.values())
                share = f"the largest is {worst:.2g} x the bound of a correct run in it"
                return f"Its errors are of the size that {name} makes: {share}." if worst >= NEAR else None
    return None


def fits(array: NDArray[Any], u: float) -> bool:
    """Tell whether a format of unit roundoff u has digits enough for all numbers of an array."""
    found = array[np.isfinite(array)].astype(np.float64)
    return bool((chop(found, 1 - round(np.log2(2 * u))) == found).all())
