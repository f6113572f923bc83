"""What was seen of a subject, and where what is wrong with it starts."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np

from reference.case import Case
from reference.certify import certify
from reference.evaluation import Evaluation
from reference.precision import Precision
from reference.trial import Subject, trial
from reference.verdict import Judged, Mismatch, Verdict

BROKEN = ("fail", "contract")


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
class Observed:
    """What a subject was seen to do with one case, in one call or two."""

    case: Case
    precision: Precision
    account: str | None  # of the contract that it broke
    evaluations: tuple[Evaluation, ...]
    verdict: Verdict | None = None  # on every call, where they kept the contract and so returned the same bits

    @cached_property
    def verdicts(self) -> tuple[Verdict | None, ...]:
        """The verdict on each call; None where shapes allow none."""
        if self.verdict is not None:
            return (self.verdict,) * len(self.evaluations)
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
    def arithmetic(self) -> str | None:
        """In which coarser arithmetic the last call would be right, in words; None if in none."""
        last = self.verdicts[-1] if self.verdicts else None
        return None if last is None else last.arithmetic

    @property
    def start(self) -> Start | None:
        """Where the failure starts; None if nothing is out of its bounds."""
        return start(self.judged[self.wrong[0]], self.wrong[0], self.case) if self.wrong else None


def returned(case: Case, evaluation: Evaluation, precision: Precision) -> Observed:
    """Return what is to be seen in one evaluation."""
    try:
        return Observed(case, precision, None, (evaluation,), certify(case, evaluation, precision))
    except (TypeError, ValueError) as error:
        return Observed(case, precision, str(error), (evaluation,))


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

    account, verdict = None, None
    try:
        verdict = trial(recorded, case.map(np.array), precision, repeat=True)
        # On what was written down: the subject may write over its own.
        verdict = replace(verdict, case=case, evaluation=evaluations[0])
    except (Mismatch, TypeError, ValueError) as error:
        account = str(error)
    except Exception as error:
        account = f"raised {type(error).__name__}: {error}"
    return Observed(case, precision, account, tuple(evaluations), verdict)


def judge(case: Case, evaluation: Evaluation, precision: Precision) -> Verdict | None:
    """Return the verdict on an evaluation taken in the shapes and the dtype of the case; None if it does not fit."""
    try:
        return certify(case, fitted(case, evaluation), precision)
    except (TypeError, ValueError, KeyError):
        return None


def fitted(case: Case, evaluation: Evaluation) -> Evaluation:
    """Return an evaluation in the shapes and the dtype of a case.

    Raises:
        KeyError, TypeError, ValueError: it does not fit.
    """
    like = {"hs": case.upstream, "dxs": case.xs, "dh0": case.h0}
    like |= {f"d{name}": array for name, array in case.params.fields().items() if array is not None}
    fields = {name: array for name, array in evaluation.fields().items() if array is not None}
    with np.errstate(over="ignore"):
        return Evaluation(
            **{name: np.reshape(array, like[name].shape).astype(case.dtype) for name, array in fields.items()}
        )


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
