"""The contract of an adapter: which answer it returns, so that a broken adapter costs one check and no other."""

from __future__ import annotations

import contextlib
import dataclasses
import functools
import io
from collections.abc import Callable, Sequence

import numpy as np

from adapters import Adapter
from adapters.conformance.report import Result
from reference import Case, Evaluation, Mismatch, Precision, Verdict, certify
from reference.trial import trial
from reference.verdict import QUANTITIES

AXES = {"hs": "TNH", "dxs": "TND", "dh0": "NH", "dWx": "DH", "dWh": "HH", "db": "H"}
AXES |= {f"{name}_dot": axes for name, axes in AXES.items()}


class Unusable(Mismatch):
    """The answer of a subject cannot be judged: its kind, a shape or a dtype is wrong, or there is none."""


def guarded(adapter: Adapter, printed: list[str] | None = None) -> Adapter:
    """Return an adapter that raises Unusable instead of ending the process or breaking the contract.

    Args:
        adapter: any.
        printed: receives one entry a call that printed something; None leaves standard output alone.
    """

    def guard(run: Callable[[Case], Evaluation], offers: Sequence[str] | None) -> Callable[[Case], Evaluation]:
        @functools.wraps(run)
        def guarded_run(case: Case) -> Evaluation:
            out = io.StringIO()
            capture = contextlib.nullcontext() if printed is None else contextlib.redirect_stdout(out)
            # NumPy's warnings of NaN and infinity are no fault: such inputs are part of the checks.
            with np.errstate(all="ignore"), capture:
                try:
                    answer = run(case)
                except SystemExit as error:
                    raise Unusable(f"contract: expected an Evaluation, got sys.exit({error.code!r})") from error
                finally:
                    if printed is not None and out.getvalue():
                        printed.append(out.getvalue())
            expect_answer(case, answer, offers)
            return answer

        return guarded_run

    # An option may leave a quantity out: an initial state that is omitted has no gradient.
    options = {name: guard(run, None) for name, run in adapter.options.items()}
    return dataclasses.replace(adapter, run=guard(adapter.run, adapter.offers), options=options)


def expect_answer(case: Case, answer: object, offers: Sequence[str] | None) -> None:
    """Raise Unusable unless an answer has all quantities on offer, in the shapes and the dtype of the case."""
    if not isinstance(answer, Evaluation):
        raise Unusable(f"contract: expected an Evaluation, got {kind_of(answer)} ({case.spelled})")
    for name, array in answer.fields().items():
        has_bias = case.params.b is not None or not name.startswith("db")
        if offers is not None and (offered := QUANTITIES[name] in offers and has_bias) != (array is not None):
            what = f"{'a' if offered else 'no'} {name} of {list(offers)}"
            raise Unusable(f"contract: expected {what}, got {kind_of(array)} ({case.spelled})")
        if array is None:
            continue
        if not isinstance(array, np.ndarray) or array.dtype != case.xs.dtype:
            raise Unusable(f"contract: expected {name} as an array of {case.dtype}, got {kind_of(array)}")
        if array.shape != (shape := shape_of(case, name)):
            where = f"{name} of shape {axes_of(case, name)} = {shape}"
            raise Unusable(f"contract: expected {where}, got {array.shape} ({case.spelled})")


def shape_of(case: Case, field: str) -> tuple[int, ...]:
    """Return the shape of a field of the evaluation of a case."""
    return (*(() if case.K is None else (case.K,)), *(case.sizes[axis] for axis in AXES[field]))


def axes_of(case: Case, field: str) -> str:
    """Return the axes of a field in letters: "(T, N, H)"."""
    letters = ["K"] * (case.K is not None) + list(AXES[field])
    return f"({', '.join(letters)}{',' * (len(letters) == 1)})"


def kind_of(value: object) -> str:
    """Return the kind of a value in words: "None", "a list of 6", "an array of float64", "a torch.Tensor"."""
    if value is None:
        return "None"
    if isinstance(value, np.ndarray):
        return f"an array of {value.dtype}"
    if isinstance(value, (list, tuple, dict)):
        return f"a {type(value).__name__} of {len(value)}"
    module = type(value).__module__.partition(".")[0]
    name = type(value).__name__ if module == "builtins" else f"{module}.{type(value).__name__}"
    return f"{'an' if name[0] in 'aeiouAEIOU' else 'a'} {name}"


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
        single = verdict if verdict.case.K is None else verdict.of(verdict.statuses.index("fail"))
        raise Mismatch(f"{where}{single}", single)


def with_options(adapter: Adapter, case: Case, precision: Precision, result: Result) -> None:
    """Judge the options that a framework offers, on a single row that starts from zeros."""
    if not adapter.options:
        result.note_unsupported(f"{adapter.name}: no options")
    for name, run in adapter.options.items():
        try:
            accept(certify(case, run(case), precision), result)
        except Mismatch as error:
            raise type(error)(f"{name}: {error}", error.verdict) from error
