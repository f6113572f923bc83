"""Advice for a subject that is being written: one small case, and in words what is wrong with its answer.

All sizes of the case differ, so that the length of an axis identifies it.
"""

from __future__ import annotations

import itertools
import traceback
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from adapters import Adapter, Unsupported
from adapters.conformance.contract import AXES, axes_of, guarded, kind_of, shape_of
from reference import Case, Evaluation, Mismatch, Precision, Verdict, certify
from reference.archive import spell
from reference.explain import explain
from reference.trial import trial
from reference.verdict import QUANTITIES

SIZES: dict[str, Any] = {"T": 3, "N": 2, "D": 4, "H": 5}
GIVEN = {"xs": "TND", "h0": "NH", "upstream": "TNH"}
# Cases of another kind: their difference, and the condition that identifies them.
KINDS: dict[str, tuple[dict[str, Any], str]] = {
    "With relu": ({"nonlinearity": "relu"}, 'case.nonlinearity is "relu"'),
    "Without a bias": ({"bias": False}, "case.params.b is None"),
    "Without a step": ({"T": 0}, "len(case.xs) is 0"),
    "Without a row": ({"N": 0}, "len(case.h0) is 0"),
}
NAMES = {"T": "the time", "N": "the batch", "D": "the input", "H": "the unit", "K": "the stack's"}
WHY = {
    ("db", 2.0): ": of two biases that are added, each has the whole gradient; return one, not their sum",
    ("db", 0.5): ": of two biases that are added, each has the whole gradient; over rows, here two, it is summed",
}


def advise(adapter: Adapter, dtype: str | None = None) -> list[str]:
    """Return what is wrong with the answer of an adapter to one small case.

    Args:
        adapter: any.
        dtype: of the case; float32 by default, or the first that the adapter offers.

    Returns:
        Sentences, the first of which names the adapter and the case; none if the answer is right. Cases of other
        kinds, such as relu, follow once it is.

    Raises:
        Unsupported: the adapter does not offer the dtype.
    """
    dtype = dtype or ("float32" if "float32" in adapter.dtypes else adapter.dtypes[0])
    precision = adapter.precision(dtype)
    T = min(SIZES["T"], SIZES["T"] if adapter.max_T is None else adapter.max_T)
    case = _case(adapter, dtype, T=T, nonlinearity=adapter.nonlinearities[0])
    found = [*_faults(adapter, case, precision)] or [*_faults_of_other_kinds(adapter, dtype, precision)]
    title = f"{adapter.name} {dtype}, one case of {case.nonlinearity} ({spell(case.sizes)}):"
    return [title, *found] if found else []


def _case(adapter: Adapter, dtype: str, **options: Any) -> Case:
    return Case.random(**(SIZES | {"seed": 0, "dtype": dtype, "direction": adapter.takes_direction} | options))


def _stacked(adapter: Adapter, case: Case) -> Case:
    return case.map(lambda array: array[None]) if adapter.takes_stacks else case


def _faults(adapter: Adapter, case: Case, precision: Precision) -> Iterator[str]:
    """Yield what is wrong, sentence by sentence: the answer, its fields, their numbers, or its memory."""
    asked = _stacked(adapter, case)
    try:
        answer: Any = adapter.run(asked.map(np.copy))  # a changed copy leaves the numbers as they are
    except Unsupported as error:
        yield f"It does not support the case: {error}"
        return
    except (Exception, SystemExit) as error:
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
    fields = {name: _field(asked, name, getattr(answer, name)) for name in offered}
    yield from (sentence for sentence, _ in fields.values() if sentence)
    corrected = {name: array for name, (_, array) in fields.items() if array is not None}
    wrong = any(sentence for sentence, _ in fields.values())
    if "hs" in corrected:
        yield from _numbers(asked, Evaluation(**corrected), precision, beside_other_faults=wrong)
    if not wrong:
        try:
            trial(guarded(adapter), case, precision, repeat=True)
        except Mismatch as error:
            yield f"{error}."
        except Exception as error:
            yield _raised(error)


def _faults_of_other_kinds(adapter: Adapter, dtype: str, precision: Precision) -> Iterator[str]:
    """Yield what is wrong in cases of another kind than the small one, and how to declare them unsupported."""
    for where, (options, condition) in KINDS.items():
        try:
            verdict = trial(guarded(adapter), _stacked(adapter, _case(adapter, dtype, **{"T": 1} | options)), precision)
            wrong = [name for name, worst in verdict.worst.items() if worst.ratio > 1]
            what = f"{', '.join(wrong)} {'is' if len(wrong) == 1 else 'are'} wrong" if wrong else ""
        except Unsupported:
            continue
        except Mismatch as error:
            what = str(error)
        except Exception as error:
            what = _raised(error).removeprefix("It ").removesuffix(".")
        if what:
            yield f"{where}: {what}. If it does not support such cases, raise Unsupported where {condition}."


def _raised(error: BaseException) -> str:
    """Return the error and its place in the subject's own code, rather than in a package that it calls."""
    frames = traceback.extract_tb(error.__traceback__)
    own = [frame for frame in frames if "site-packages" not in Path(frame.filename).parts] or frames
    where = f" ({own[-1].filename}:{own[-1].lineno})" if own else ""
    if isinstance(error, SystemExit):
        return f"It called sys.exit({error.code!r}): expected an Evaluation{where}."
    if isinstance(error, ValueError) and "read-only" in str(error):
        return f"It wrote to a read-only array, as those of the case are: copy what you change{where}."
    return f"It raised {type(error).__name__}: {error}{where}."


def _field(case: Case, name: str, actual: Any) -> tuple[str | None, Any]:
    """Return what is wrong with a field, or None; and its array in the right shape and dtype, or None."""
    axes, shape = axes_of(case, name), shape_of(case, name)
    if actual is None:
        return f"{name} is missing: expected an array of shape {axes} = {shape}.", None
    try:
        array = np.asarray(actual)
        corrected = array.astype(case.dtype)
    except Exception as error:
        words = (str(error).strip().splitlines() or [type(error).__name__])[0].rstrip(".")
        return f"{name} is {kind_of(actual)}: expected an array of {case.dtype}; np.asarray raises: {words}.", None
    wrong = []
    if not isinstance(actual, np.ndarray):
        wrong.append(f"{name} is {kind_of(actual)}: expected a NumPy array; np.asarray({name}) makes one")
    elif array.dtype != case.xs.dtype:
        wrong.append(f"{name} is {array.dtype}: expected the dtype of the case, {case.dtype}")
    if array.shape != shape:
        difference, corrected = _reshaped(case, name, corrected)
        wrong.append(f"{name} has shape {array.shape}: expected {axes} = {shape}{difference}")
    return (f"{'; '.join(wrong)}." if wrong else None), corrected


def _reshaped(case: Case, name: str, array: Any) -> tuple[str, Any]:
    """Return how an array of a wrong shape differs from the expected one, and the corrected array, or None."""
    shape, letters = shape_of(case, name), ["K"] * (case.K is not None) + list(AXES[name])
    if array.ndim == len(shape):
        for order in itertools.permutations(range(len(shape))):
            if tuple(shape[axis] for axis in order) == array.shape:
                axes = ", ".join(letters[axis] for axis in order)
                return f"; its axes are ({axes})", array.transpose(np.argsort(order))
        twice = [axis for axis, (a, b) in enumerate(zip(array.shape, shape, strict=True)) if a == 2 * b]
        if len(twice) == 1:
            return f"; {letters[twice[0]]} is there twice, as where two biases or directions are put together", None
    if [size for size in array.shape if size != 1] == [size for size in shape if size != 1]:
        return "; an axis of length 1 is too many or missing", array.reshape(shape)
    for axis, letter in enumerate(letters):
        if array.shape == shape[:axis] + shape[axis + 1 :]:
            return f"; {NAMES[letter]} axis, {letter}, is missing", None
    if array.shape[-len(shape) :] == shape:
        more = array.shape[: -len(shape)]
        over = " over ".join(letter for letter, size in case.sizes.items() if (size,) == more)
        return f"; it is not summed{f' over {over}' if over else ''}", array.sum(axis=tuple(range(len(more))))
    return "", None


def _numbers(case: Case, answer: Evaluation, precision: Precision, *, beside_other_faults: bool) -> Iterator[str]:
    """Yield which numbers are wrong, in fields of the right shape and dtype."""
    case, answer = (case, answer) if case.K is None else (case[0], answer[0])
    verdict = certify(case, answer, precision)
    if beside_other_faults:
        yield f"Apart from that, {'the numbers are right.' if verdict.status == 'pass' else 'numbers are wrong:'}"
    if verdict.status == "fail":
        lines = [*str(verdict).splitlines(), *_factors(verdict), *str(explain(case, answer, precision)).splitlines()]
        yield from dict.fromkeys(lines)


def _factors(verdict: Verdict) -> Iterator[str]:
    """Yield the quantities that differ from the expected ones by a simple factor, the same in every element."""
    for name, one in verdict.judged.items():
        for factor in (2.0, 0.5, -1.0, *(float(size) for size in verdict.case.sizes.values() if size > 2)):
            near = np.abs(one.got.astype(np.float64) - factor * one.want) <= max(abs(factor), 1) * one.bound
            if one.got.size and np.any(one.want) and near.all() and verdict.worst[name].ratio > 1:
                yield f"{name} is {factor:g} times what it should be{WHY.get((name, factor), '')}."
                break
