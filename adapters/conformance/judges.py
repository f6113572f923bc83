"""The ways in which an adapter is judged on a case: as a whole, in other memory, with options, by laws."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable

from adapters import Adapter
from adapters.conformance import memory
from adapters.conformance.laws import LAWS
from adapters.conformance.report import Result
from reference import Case, Evaluation, Mismatch, Precision, Verdict, certify
from reference.trial import trial
from reference.verdict import QUANTITIES

Judge = Callable[[Adapter, Case, Precision, Result], None]


def whole(adapter: Adapter, case: Case, precision: Precision, result: Result) -> None:
    """Judge all that an adapter returns for a case, and that it returns it again."""
    subject = offering(adapter, precision)
    fields, why = untold(adapter, case, precision)
    if gone := [QUANTITIES[name] for name in fields if QUANTITIES[name] in adapter.offers]:
        result.note_undetermined(f"{', '.join(gone)} {why}")
    verdict = trial(subject, case, precision, repeat=adapter.takes_stacks)
    if not adapter.takes_stacks and case.K:
        trial(subject, case[0], precision, repeat=True)
    accept(verdict, result)


def accept(verdict: Verdict, result: Result) -> None:
    """Count a verdict, and raise Mismatch with the first case that failed."""
    if result.failure is None:
        result.add(verdict)
    if verdict.status == "fail":
        single = verdict if verdict.case.K is None else verdict.of(verdict.statuses.index("fail"))
        raise Mismatch(str(single), single)


def offering(adapter: Adapter, precision: Precision) -> Callable[[Case], Evaluation]:
    """Return the adapter, held to all that it offers, without what nothing can be told of."""

    def subject(case: Case) -> Evaluation:
        evaluation = adapter(case)
        if not isinstance(evaluation, Evaluation):
            return evaluation
        for name, quantity in QUANTITIES.items():
            wanted = quantity in adapter.offers and (case.params.b is not None or not name.startswith("db"))
            if wanted != (getattr(evaluation, name) is not None):
                what = f"{'a' if wanted else 'no'} {name}"
                raise Mismatch(f"contract: expected {what}, as {adapter.name} offers {list(adapter.offers)}")
        gone, _ = untold(adapter, case, precision)
        return dataclasses.replace(evaluation, **dict.fromkeys(gone))

    return subject


def untold(adapter: Adapter, case: Case, precision: Precision) -> tuple[list[str], str]:
    """Return the fields of which no bound can tell anything, and why.

    Where the accumulator is wider than the storage, each step's share of the weight gradients is rounded to storage:
    after some fifty steps of bfloat16 that may be all there is. And of one unit, whose steps a compiler fuses into one
    loop for each gradient, one loop rounds to storage at every step what another does not.
    """
    T, H = case.sizes["T"], case.sizes["H"]
    if not precision.is_mixed:
        return [], ""
    shares = T * (2 if adapter.takes_direction else 1)
    if precision.storing(shares).stored * precision.u > precision.coarsest / 2:
        summed = [name for name in QUANTITIES if name.startswith(("dW", "db"))]
        return summed, f"after {T} steps, whose shares, rounded to storage, may err by as much"
    if "steps" in precision.recomputes and H == 1 and T > 1:
        others = [name for name in QUANTITIES if name.startswith(("dh0", "dW", "db"))]
        return others, "of one unit, each from a loop over all steps of its own, which rounds to storage or not"
    return [], ""


def in_memory(adapter: Adapter, case: Case, precision: Precision, result: Result) -> None:
    """Judge an adapter on a case in every layout of its memory."""
    verdicts, refusals = memory.judge(adapter, case, precision)
    for verdict in verdicts:
        accept(verdict, result)
    for refusal in refusals:
        result.note_unsupported(refusal)


def with_options(adapter: Adapter, case: Case, precision: Precision, result: Result) -> None:
    """Judge the options that a framework offers, on a single row that starts from zeros."""
    if not adapter.options:
        result.note_unsupported(f"{adapter.name}: no options")
    for name, run in adapter.options.items():
        try:
            accept(certify(case, run(case), precision), result)
        except Mismatch as error:
            raise Mismatch(f"{name}: {error}", error.verdict) from error


def lawful(adapter: Adapter, case: Case, precision: Precision, result: Result) -> None:
    """Hold an adapter to the laws that need no oracle."""
    for law in LAWS.values():
        law(adapter, case, precision)
        result.cases += 1
