"""How one check judges one adapter in one dtype: what is judged of a case, and the result."""

from __future__ import annotations

import dataclasses
import itertools
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import hypothesis
import numpy as np

from adapters import Adapter, Unsupported
from adapters._offers import ENCLOSED
from adapters.conformance.contract import Unusable
from adapters.conformance.invariants import rows_of
from adapters.conformance.report import ErrorMap, Failure, Result
from reference import Case, Evaluation, LayersCase, Mismatch, Precision, Verdict, certify
from reference.cells import CELLS
from reference.certify import LONGEST_DIRECTION
from reference.strategies import longest
from reference.trial import trial
from reference.verdict import QUANTITIES

if TYPE_CHECKING:
    from adapters.conformance.checks import Check, Plan

TOO_LONG = f"derivatives along a direction are enclosed over at most {LONGEST_DIRECTION} steps"
# Checks that do not suit derivatives along a direction, and why.
BEYOND = {
    "nonfinite": "the place of infinity times zero along a direction depends on the form of the formula",
    "trained": "the bound on derivatives along a direction is too wide to decide for 64 trained units",
    "long": f"{TOO_LONG}, not 1,000",
    "10k-steps": f"{TOO_LONG}, not 10,000",
}


# Steps of the checks with many.
MANY_STEPS = {"trained": 12, "long": 1000, "10k-steps": 10_000}
# Weights of trained character models of 64 units, by cell; tests/trained has the text and the script.
TRAINED = {cell: Path(__file__).parent / f"char_{cell}.npz" for cell in ("rnn", "lstm")}


def expected_failure(adapter: Adapter, check: str, dtype: str) -> str | None:
    """Return the reason and the reference of the failure that is expected of a check; None without one."""
    found = adapter.expected_failures.get(check) or adapter.expected_failures.get(f"{check} {dtype}")
    return f"{found.reason} ({found.reference})" if found else None


def not_judged(check: Check, adapter: Adapter, dtype: str) -> str | None:
    """Return why a check does not suit an adapter in a dtype; None if it does."""
    if adapter.takes_direction and check.name in BEYOND:
        return BEYOND[check.name]
    if check.name == "trained" and adapter.cell not in TRAINED:
        return f"there are no trained weights of a {adapter.cell}"
    if check.name == "layers" and (adapter.layers is None or dtype not in ENCLOSED):
        return "this is a way of a single layer" if adapter.layers is None else f"in {dtype} the bounds are too wide"
    most = longest(dtype, adapter.cell)
    if check.name in ("long", "trained", "10k-steps") and most < MANY_STEPS[check.name]:
        return f"in {dtype} the bound on what the cell carries is too wide to decide beyond {most} steps"
    return None


def judge(check: Check, adapter: Adapter, dtype: str, plan: Plan) -> Result:
    """Return the result of one check with one adapter in one dtype."""
    precision = adapter.precision(dtype)
    result = Result(check.name, expected_failure=expected_failure(adapter, check.name, dtype))
    for nonlinearity in {*check.nonlinearities} & {*CELLS[adapter.cell].nonlinearities} & {*plan.nonlinearities}:
        try:
            adapter.expect_nonlinearity(nonlinearity)
        except Unsupported as error:
            result.note_unsupported(str(error))
    if why := not_judged(check, adapter, dtype):
        result.note_unsupported(f"{adapter.name}: {why}")
        return result

    def judge_case(case: Any) -> None:
        case = case if plan.params else adapter.suited(case)
        try:
            check.judge(adapter, case, precision, result)
        except Unsupported as error:
            result.note_unsupported(str(error), declared=error.declared)
        except Exception as error:
            verdict = error.verdict if isinstance(error, Mismatch) else None
            result.counterexample = verdict.case if verdict else case
            result.failure = Failure(
                f"{adapter.name} {_account(error, case)}",
                crashed=not isinstance(error, Mismatch) or isinstance(error, Unusable),
                error_map=ErrorMap.of(verdict) if verdict and verdict.case.K is None else None,
            )
            raise
        # After a failure every call only shrinks it.
        if result.failure is None:
            result.examples += 1

    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", hypothesis.errors.HypothesisWarning)
            check.cases(adapter, dtype, plan, judge_case)
    except Exception:
        if result.failure is None:
            raise
    return result


def _account(error: Exception, case: Case) -> str:
    if isinstance(error, ValueError) and "read-only" in str(error):
        got = f"a write to a read-only array ({error})"
        return f"{case.dtype}: contract: expected the case unchanged, got {got}"
    if isinstance(error, Mismatch):
        return str(error) if error.verdict else f"{case.dtype}: {error}"
    where = "".join(f"{note}: " for note in getattr(error, "__notes__", ()))
    return f"{case.dtype}: {where}raised {type(error).__name__}: {error} ({case.spelled})"


def whole(adapter: Adapter, case: Case, precision: Precision, result: Result) -> None:
    """Judge everything that an adapter returns for a case, and that a second call returns it again."""
    dropped = undetermined(case, precision)
    if names := [QUANTITIES[name] for name in dropped if QUANTITIES[name] in adapter.offers]:
        share = "the rounding of each step's share to storage may be as large"
        result.note_undetermined(f"{', '.join(names)} after {case.sizes['T']} steps: {share}")

    def subject(case: Case) -> Evaluation:
        return dataclasses.replace(adapter(case), **dict.fromkeys(dropped))

    verdict = trial(subject, case, precision, repeat=adapter.takes_stacks)
    if not adapter.takes_stacks and case.K:
        trial(subject, case[0], precision, repeat=True)
    accept(verdict, result)


def undetermined(case: Case, precision: Precision) -> list[str]:
    """Return the gradients of parameters, if half precision over many steps leaves nothing to decide about them.

    Each step's share of them is rounded to storage where the accumulator is wider: after about fifty steps of bfloat16
    these roundings may be as large as the sum.
    """
    lost = precision.storing(case.sizes["T"]).stored * precision.u > precision.coarsest / 2
    return [name for name in QUANTITIES if name.startswith(("dW", "db"))] if precision.is_mixed and lost else []


def accept(verdict: Verdict, result: Result, where: str = "") -> None:
    """Count a verdict, and raise Mismatch with the first case that failed."""
    if result.failure is None:
        result.add(verdict)
    if verdict.status == "fail":
        single = verdict.of(verdict.statuses.index("fail"))
        raise Mismatch(f"{where}{single}", single)


def several(adapter: Adapter, case: LayersCase, precision: Precision, result: Result) -> None:
    """Judge what an adapter returns for several layers."""
    accept(trial(subject_of(adapter, case), case, precision, repeat=True), result)


def subject_of(adapter: Adapter, case: Case | LayersCase) -> Callable[[Any], Any]:
    """Return the function of an adapter that takes a case, of one layer or of several."""
    if not isinstance(case, LayersCase):
        return adapter
    if adapter.layers is None:
        raise Unsupported(f"{adapter.name}: expected a case of one layer, got one of several ({case.spelled})")
    return adapter.layers


def with_options(adapter: Adapter, case: Case, precision: Precision, result: Result) -> None:
    """Judge the options that a framework offers, from a state of zeros, which some leave out.

    The upstream is on every step, then on the last step alone: what a framework returns as its last state gets no
    other gradient. The option "unbatched" has one row.
    """
    case = case.replacing(**{f"{state}0": 0 * case.h0 for state in case.cell_type.states})
    if not adapter.options:
        result.note_unsupported(f"{adapter.name}: no options")
    last = np.array(case.upstream)
    last[..., :-1, :, :] = 0
    for (name, run), upstream in itertools.product(adapter.options.items(), (case.upstream, last)):
        asked = case.replacing(upstream=upstream)
        asked = rows_of(asked, np.arange(1)) if name == "unbatched" else asked
        try:
            accept(certify(asked, run(asked), precision), result)
        except Mismatch as error:
            raise type(error)(f"{name}: {error}", error.verdict) from error
        except Exception as error:
            error.add_note(name)
            raise
