"""One small case, and in words what is wrong with an adapter that is being written.

All sizes of the case differ, so that every axis can be told from the others by its length.
"""

from __future__ import annotations

import itertools
import traceback
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from adapters import Adapter, Unsupported
from adapters.conformance.guard import AXES, axes_of, expect_answer, guarded, kind_of, shape_of
from adapters.conformance.judges import offering
from reference import Case, Evaluation, Mismatch, Precision, Verdict, certify
from reference.archive import spell
from reference.explain import explain
from reference.trial import trial
from reference.verdict import QUANTITIES

SIZES: dict[str, Any] = {"T": 3, "N": 2, "D": 4, "H": 5}
# Arrays of a case whose axes are a matter of taste elsewhere.
CAME = {"xs": "TND", "h0": "NH", "upstream": "TNH"}
# Where it is of another kind: how, and what tells such a case.
KINDS: dict[str, tuple[dict[str, Any], str]] = {
    "With relu": ({"nonlinearity": "relu"}, 'case.nonlinearity is "relu"'),
    "Without a bias": ({"bias": False}, "case.params.b is None"),
    "Without a step": ({"T": 0}, "len(case.xs) is 0"),
    "Without a row": ({"N": 0}, "case.h0 is of length 0"),
}
WRITE = "write Evaluation(hs, dxs, dh0, dWx, dWh, db)"


def small_case(adapter: Adapter, dtype: str) -> Case:
    """Return the case that an adapter is asked; its sizes are as far from one another as its limit on T allows."""
    T = min(SIZES["T"], SIZES["T"] if adapter.max_T is None else adapter.max_T)
    return Case.random(
        **(SIZES | {"T": T}),
        seed=0,
        dtype=dtype,
        nonlinearity=adapter.nonlinearities[0],
        direction=adapter.takes_direction,
    )


def smoke(adapter: Adapter, dtype: str | None = None) -> list[str]:
    """Say what is wrong with an adapter, from one small case.

    Args:
        adapter: any.
        dtype: of the case; float32 by default, or the first on offer.

    Returns:
        Sentences, the first of which names the adapter and the case; none if all is right. Cases of other kinds, as
        of relu, are looked at once this one is right.

    Raises:
        Unsupported: the dtype is not on offer.
    """
    dtype = dtype or ("float32" if "float32" in adapter.dtypes else adapter.dtypes[0])
    precision = adapter.precision(dtype)
    case = small_case(adapter, dtype)
    found = list(faults(adapter, case, precision)) or list(other_kinds(adapter, dtype))
    if not found:
        return []
    return [f"{adapter.name} {dtype}, one case of {case.nonlinearity} ({spell(case.sizes)}):", *found]


def faults(adapter: Adapter, case: Case, precision: Precision) -> Iterator[str]:
    """Give what is wrong, sentence by sentence: with the answer, its fields, their numbers, and its memory."""
    asked = case.map(lambda array: array[None]) if adapter.takes_stacks else case
    try:
        answer: Any = adapter.run(asked.map(np.copy))  # whatever is done to the copy, the numbers are judged
    except Unsupported as refusal:
        yield f"It refuses the case: {refusal}"
        return
    except (Exception, SystemExit) as error:
        yield from raised(error)
        if isinstance(error, Exception):
            came = ", ".join(
                f"{name} ({', '.join(axes)}) = {getattr(asked, name).shape}" for name, axes in CAME.items()
            )
            yield f"It was given {came}."
        return
    if not isinstance(answer, Evaluation):
        yield f"It returned {kind_of(answer)}: expected an Evaluation; {WRITE}."
        return
    told, mended = fields(adapter, asked, answer)
    yield from told
    yield from numbers(asked, mended, precision, mending=bool(told))
    if not told:
        yield from contract(adapter, case, precision)


def other_kinds(adapter: Adapter, dtype: str) -> Iterator[str]:
    """Say what is wrong where a case is of another kind than the small one, and what to do if that is not on offer."""
    precision, like = adapter.precision(dtype), {"seed": 0, "dtype": dtype, "direction": adapter.takes_direction}
    for where, (options, condition) in KINDS.items():
        case = Case.random(**(SIZES | {"T": 1} | like | options))
        case = case.map(lambda array: array[None]) if adapter.takes_stacks else case
        try:
            verdict = trial(offering(guarded(adapter), precision), case, precision)
            wrong = [name for name, worst in verdict.worst.items() if worst.ratio > 1]
            what = f"{', '.join(wrong)} {'is' if len(wrong) == 1 else 'are'} wrong" if wrong else ""
        except Unsupported:
            continue
        except Mismatch as broken:
            what = str(broken)
        except Exception as error:
            what = " ".join(raised(error)).removeprefix("It ").removesuffix(".")
        if what:
            yield f"{where}: {what}. If there is no such thing in it, raise Unsupported where {condition}."


def raised(error: BaseException) -> Iterator[str]:
    """Say how the adapter ended, and where: in its own code rather than in what that calls of a framework."""
    frames = traceback.extract_tb(error.__traceback__)
    own = [frame for frame in frames if "site-packages" not in Path(frame.filename).parts] or frames
    where = f" ({own[-1].filename}:{own[-1].lineno})" if own else ""
    if isinstance(error, SystemExit):
        yield f"It called sys.exit({error.code!r}): expected an Evaluation{where}."
    elif isinstance(error, ValueError) and "read-only" in str(error):
        yield f"It wrote to a read-only array, as those of the case are: copy what you change{where}."
    else:
        yield f"It raised {type(error).__name__}: {error}{where}."


def fields(adapter: Adapter, case: Case, answer: Evaluation) -> tuple[list[str], dict[str, Any]]:
    """Look at the kind, shape and dtype of each field.

    Returns:
        What is wrong, and the fields as they fit the case, as far as they can be made to.
    """
    told: list[str] = []
    mended: dict[str, Any] = {}
    for name, quantity in QUANTITIES.items():
        if quantity in adapter.offers:
            sentence, array = field(case, name, getattr(answer, name))
            told += [sentence] if sentence else []
            mended |= {} if array is None else {name: array}
    return told, mended


def field(case: Case, name: str, got: Any) -> tuple[str | None, Any]:
    """Return what is wrong with a field, or None, and the array in the shape and dtype that it should have, or None."""
    axes, shape = axes_of(case, name), shape_of(case, name)
    if got is None:
        return f"{name} is missing: expected an array of shape {axes} = {shape}.", None
    try:
        array = np.asarray(got)
        converted = array.astype(case.dtype)
    except Exception as error:
        words = (str(error).strip().splitlines() or [type(error).__name__])[0].rstrip(".")
        return f"{name} is {kind_of(got)}: expected an array of {case.dtype}; np.asarray says: {words}.", None
    wrong = []
    if not isinstance(got, np.ndarray):
        wrong.append(f"{name} is {kind_of(got)}: expected a NumPy array; np.asarray({name}) makes one")
    elif array.dtype != case.xs.dtype:
        wrong.append(f"{name} is {array.dtype}: expected the dtype of the case, {case.dtype}")
    if array.shape != shape:
        words, converted = shaped(case, name, converted)
        wrong.append(f"{name} has shape {array.shape}: expected {axes} = {shape}{words}")
    return (f"{'; '.join(wrong)}." if wrong else None), converted


def shaped(case: Case, name: str, array: Any) -> tuple[str, Any]:
    """Say how an array of a wrong shape differs from what is expected, and return it mended, or None."""
    shape, letters = shape_of(case, name), ["K"] * (case.K is not None) + list(AXES[name])
    for order in itertools.permutations(range(len(shape))):
        if array.ndim == len(shape) and tuple(shape[axis] for axis in order) == array.shape:
            came = ", ".join(letters[axis] for axis in order)
            return f"; its axes are ({came})", array.transpose(np.argsort(order))
    if tuple(size for size in array.shape if size != 1) == tuple(size for size in shape if size != 1):
        return "; an axis of length 1 is too many or missing", array.reshape(shape)
    for axis, letter in enumerate(letters):
        if array.shape == shape[:axis] + shape[axis + 1 :]:
            return f"; {AXIS[letter]} axis, {letter}, is missing", None
    if array.shape[-len(shape) :] == shape:
        more = array.shape[: -len(shape)]
        what = " over ".join(letter for letter, size in case.sizes.items() if (size,) == more)
        return f"; it is not summed{f' over {what}' if what else ''}", array.sum(axis=tuple(range(len(more))))
    twice = [axis for axis, (a, b) in enumerate(zip(array.shape, shape, strict=False)) if a == 2 * b]
    if array.ndim == len(shape) and len(twice) == 1:
        return f"; {letters[twice[0]]} is there twice, as where two biases or directions are put together", None
    return "", None


AXIS = {"T": "the time", "N": "the batch", "D": "the input", "H": "the unit", "K": "the stack's"}


def numbers(case: Case, mended: dict[str, Any], precision: Precision, *, mending: bool) -> Iterator[str]:
    """Say which numbers are wrong, of the fields in the shape and dtype that they should have."""
    if "hs" not in mended:
        return
    answer = Evaluation(**mended)
    answer, case = (answer[0], case[0]) if case.K is not None else (answer, case)
    verdict = certify(case, answer, precision)
    if mending:
        yield f"Apart from that, {'the numbers are right.' if verdict.status == 'pass' else 'numbers are wrong:'}"
    if verdict.status == "fail":
        lines = [*str(verdict).splitlines(), *factors(verdict), *str(explain(case, answer, precision)).splitlines()]
        yield from dict.fromkeys(lines)


def factors(verdict: Verdict) -> Iterator[str]:
    """Name the quantities that are a whole number of times, or that part of, what is wanted, in every element."""
    for name, judged in verdict.judged.items():
        for factor in (2.0, 0.5, -1.0, *(float(size) for size in verdict.case.sizes.values() if size > 2)):
            near = np.abs(judged.got.astype(np.float64) - factor * judged.want) <= max(abs(factor), 1) * judged.bound
            if judged.got.size and np.any(judged.want) and near.all() and verdict.worst[name].ratio > 1:
                yield f"{name} is {factor:g} times what it should be{WHY.get((name, factor), '')}."
                break


WHY = {
    ("db", 2.0): ": of two biases that are added, each has the whole gradient; return one, not their sum",
    ("db", 0.5): ": of two biases that are added, each has the whole gradient; over rows, here two, it is summed",
}


def contract(adapter: Adapter, case: Case, precision: Precision) -> Iterator[str]:
    """Say what two calls of a trial find: inputs that change, memory that is shared, bits that differ."""
    try:
        expect_answer(case, trial(guarded(adapter), case, precision, repeat=True).evaluation)
    except Mismatch as broken:
        yield f"{broken}."
    except Exception as error:
        yield from raised(error)
