"""Advice for a subject that is being written: one small case, and in words what is wrong with its answer.

All sizes of the case differ, so that the length of an axis identifies it.
"""

from __future__ import annotations

import traceback
from collections.abc import Iterator
from pathlib import Path
from time import perf_counter
from typing import Any

import numpy as np

from adapters import Adapter, Unsupported
from adapters.conformance.contract import described, field, guarded, kind_of
from reference import Case, Evaluation, Mismatch, Precision, certify
from reference.archive import spell
from reference.blame import spelled
from reference.cells import CELLS
from reference.explain import explain
from reference.trial import trial
from reference.verdict import QUANTITIES

SIZES: dict[str, Any] = {"T": 3, "N": 2, "D": 4, "H": 5}
GIVEN = {"xs": "TND", "h0": "NH", "upstream": "TNH"}
# Cases of another kind: their difference, the condition that identifies them, and the field that declares them.
KINDS: dict[str, tuple[dict[str, Any], str, str]] = {
    "With relu": ({"nonlinearity": "relu"}, 'case.nonlinearity is "relu"', 'nonlinearities=("tanh",)'),
    "Without a bias": ({"bias": False}, "case.params.b is None", ""),
    "Without a step": ({"T": 0}, "len(case.xs) is 0", 'unsupported=("T=0",)'),
    "Without a row": ({"N": 0}, "len(case.h0) is 0", 'unsupported=("N=0",)'),
}
# Seconds of a call on the small case. A run has thousands of calls.
SLOW = 0.05


def advise(adapter: Adapter, dtype: str | None = None) -> list[str]:
    """Return what is wrong with the answer of an adapter to one small case, as of ``advising``."""
    return [*advising(adapter, dtype)]


def advising(adapter: Adapter, dtype: str | None = None) -> Iterator[str]:
    """Yield what is wrong with the answer of an adapter to one small case, each sentence when it is known.

    Args:
        adapter: any.
        dtype: of the case; float32 by default, or the first that the adapter offers.

    Yields:
        Sentences, the first of which names the adapter and the case; none if the answer is right. Cases of other
        kinds, such as relu, follow once it is.

    Raises:
        Unsupported: the adapter does not offer the dtype.
    """
    dtype = dtype or ("float32" if "float32" in adapter.dtypes else adapter.dtypes[0])
    precision = adapter.precision(dtype)
    T = min(SIZES["T"], SIZES["T"] if adapter.max_T is None else adapter.max_T)
    case = _case(adapter, dtype, T=T, nonlinearity=adapter.nonlinearities[0])
    for faults in (_faults(adapter, case, precision), _faults_of_other_kinds(adapter, dtype, precision)):
        if (first := next(faults, None)) is not None:
            yield f"{adapter.name} {dtype}, one case of {case.nonlinearity} ({spell(case.sizes)}):"
            yield first
            yield from faults
            return


def pace(adapter: Adapter, dtype: str) -> list[str]:
    """Return a hint if a call on the small case takes long; none if it does not, or raises an error.

    The first call may compile, so that the second one counts. The hint decides nothing.
    """
    case, run = adapter.taken(_case(adapter, dtype, nonlinearity=adapter.nonlinearities[0])), guarded(adapter).run
    try:
        run(case)
        begun = perf_counter()
        run(case)
    except Exception:
        return []
    if (seconds := perf_counter() - begun) < SLOW:
        return []
    took = f"a call on a case of {spell(case.sizes)} takes {seconds:.2g} s, and a run has thousands"
    return [f"slow  {adapter.name}: {took}. If the framework has a compiler (jit), compile once, outside the function."]


def _case(adapter: Adapter, dtype: str, **options: Any) -> Case:
    like = {"seed": 0, "dtype": dtype, "cell": adapter.cell, "direction": adapter.takes_direction}
    return adapter.suited(Case.random(**(SIZES | like | options)))


def _faults(adapter: Adapter, case: Case, precision: Precision) -> Iterator[str]:
    """Yield what is wrong, sentence by sentence: the answer, its fields, their numbers, or its memory."""
    asked = adapter.taken(case)
    try:
        with np.errstate(all="ignore"):
            answer: Any = adapter.run(asked.map(np.copy))  # a changed copy leaves the numbers as they are
    except Unsupported as error:
        yield f"It does not support the case: {described(error).removeprefix('Unsupported: ')}"
        return
    except KeyboardInterrupt:
        raise
    except BaseException as error:
        yield _raised(error)
        if isinstance(error, Exception):
            given = (f"{name} ({', '.join(axes)}) = {getattr(asked, name).shape}" for name, axes in GIVEN.items())
            yield f"It was given {', '.join(given)}."
        return
    if not isinstance(answer, Evaluation):
        write = "write Evaluation(hs, dxs, dh0, dWx, dWh, db)"
        yield f"It returned {kind_of(answer)}: expected an Evaluation; {write}."
        return
    offered = [name for name, quantity in QUANTITIES.items() if quantity in adapter.offers]
    fields = {name: field(asked, name, getattr(answer, name)) for name in offered}
    wrong = [f"{fault}." for fault, _ in fields.values() if fault]
    yield from wrong
    corrected = {name: array for name, (_, array) in fields.items() if array is not None}
    if "hs" in corrected:
        yield from _numbers(asked, Evaluation(**corrected), precision, beside_other_faults=bool(wrong))
    if not wrong:
        try:
            trial(guarded(adapter), case, precision, repeat=True)
        except Mismatch as error:
            yield f"{error}."
        except Exception as error:
            yield _raised(error)


def _faults_of_other_kinds(adapter: Adapter, dtype: str, precision: Precision) -> Iterator[str]:
    """Yield what is wrong in cases of another kind than the small one, and how to declare them unsupported."""
    for where, (options, condition, declared) in KINDS.items():
        if options.get("nonlinearity", "tanh") not in CELLS[adapter.cell].nonlinearities:
            continue
        try:
            case = _case(adapter, dtype, **{"T": 1} | options)
            verdict = trial(guarded(adapter), adapter.taken(case), precision)
            what = f"{spelled(verdict.wrong)} wrong" if verdict.wrong else ""
        except Unsupported:
            continue
        except Mismatch as error:
            what = str(error)
        except Exception as error:
            what = _raised(error).removeprefix("It ").removesuffix(".")
        if what:
            declare = f", or declare Adapter(..., {declared})" if declared else ""
            yield f"{where}: {what}. If it does not support such cases, raise Unsupported where {condition}{declare}."


def _raised(error: BaseException) -> str:
    """Return the error and its place in the subject's own code, rather than in a package that it calls."""
    frames = traceback.extract_tb(error.__traceback__)
    own = [frame for frame in frames if "site-packages" not in Path(frame.filename).parts] or frames
    where = f" ({own[-1].filename}:{own[-1].lineno})" if own else ""
    if isinstance(error, SystemExit):
        return f"It called sys.exit({error.code!r}): expected an Evaluation{where}."
    if isinstance(error, ValueError) and "read-only" in described(error):
        return f"It wrote to a read-only array, as those of the case are: copy what you change{where}."
    return f"It raised {described(error)}{where}."


def _numbers(case: Case, answer: Evaluation, precision: Precision, *, beside_other_faults: bool) -> Iterator[str]:
    """Yield which numbers are wrong, in fields of the right shape and dtype."""
    case, answer = (case, answer) if case.K is None else (case[0], answer[0])
    verdict = certify(case, answer, precision)
    if beside_other_faults:
        yield f"Apart from that, {'the numbers are right.' if verdict.status == 'pass' else 'numbers are wrong:'}"
    if verdict.status == "fail":
        if (
            case.cell != "rnn"
            and certify(case, answer, precision.with_sigmoid(precision.sigmoid_ulps, 4.0)).status == "pass"
        ):
            declared = f'sigmoid_absolute={{"{case.dtype}": 4.0}}'
            yield f"It is right but where the sigmoid is small. If that is (1 + tanh(a / 2)) / 2, declare {declared}."
        yield from (lines := dict.fromkeys(str(verdict).splitlines()))
        yield from (
            line for line in dict.fromkeys(str(explain(case, answer, precision)).splitlines()) if line not in lines
        )
