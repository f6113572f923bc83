"""The contract of an adapter: which answer it returns, so that a broken adapter costs one check and no other."""

from __future__ import annotations

import contextlib
import dataclasses
import functools
import io
import itertools
import math
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

import numpy as np

from adapters import Adapter, Unsupported
from reference import Case, Evaluation, LayersCase, LayersEvaluation, Mismatch
from reference.archive import DTYPES
from reference.cells import CELLS
from reference.verdict import QUANTITIES

# The end of the description of an error without words.
WORDLESS = ", whose __str__ raises an error"


class Unusable(Mismatch):
    """The answer of a subject cannot be judged: its kind, a shape or a dtype is wrong, or there is none."""


def guarded(adapter: Adapter, printed: list[str] | None = None) -> Adapter:
    """Return an adapter that raises Unusable instead of ending the process or breaking the contract.

    Args:
        adapter: any.
        printed: receives one entry a call that printed something; None leaves standard output alone.
    """

    def guard(run: Callable[[Any], Any], expect: Callable[[Any, object], None]) -> Callable[[Any], Any]:
        @functools.wraps(run)
        def guarded_run(case: Any) -> Any:
            out = io.StringIO()
            capture = contextlib.nullcontext() if printed is None else contextlib.redirect_stdout(out)
            # NumPy's warnings of NaN and infinity are no fault: such inputs are part of the checks.
            with np.errstate(all="ignore"), capture:
                try:
                    answer = run(case)
                except KeyboardInterrupt:
                    raise  # of the user
                except BaseException as error:
                    expect_usable(error)
                    raise
                finally:
                    if printed is not None and out.getvalue():
                        printed.append(out.getvalue())
            expect(case, answer)
            return answer

        return guarded_run

    # An option may leave a quantity out: an initial state that is omitted has no gradient.
    options = {name: guard(run, partial(expect_answer, offers=None)) for name, run in adapter.options.items()}
    forward_only = not any(name.startswith("d") for name in adapter.offers)
    layers = adapter.layers and guard(adapter.layers, partial(expect_layers, forward_only=forward_only))
    own = guard(adapter.run, partial(expect_answer, offers=adapter.offers))
    return dataclasses.replace(adapter, run=own, options=options, layers=layers)


def expect_usable(error: BaseException) -> None:
    """Raise Unusable unless an error of a subject can be reported as it is; mark its own Unsupported as undeclared."""
    words = described(error)
    if not isinstance(error, Unusable) and (not isinstance(error, Exception) or words.endswith(WORDLESS)):
        raise Unusable(f"contract: expected an Evaluation, got {words}") from error
    if isinstance(error, Unsupported):
        vars(error).setdefault("declared", False)  # unless the reader of a drop-in has decided


def described(error: BaseException) -> str:
    """Return the kind of an error and its message, if it has one."""
    kind = type(error).__name__
    try:
        if isinstance(error, SystemExit):
            return f"sys.exit({error.code!r})"
        words = str(error)
    except Exception:
        return f"{kind}{WORDLESS}"
    return f"{kind}: {words}" if words else kind


def expect_answer(case: Case, answer: object, offers: Sequence[str] | None) -> None:
    """Raise Unusable unless an answer has all quantities on offer, in the shapes and the dtype of the case."""
    if not isinstance(answer, Evaluation):
        raise Unusable(f"contract: expected an Evaluation, got {kind_of(answer)} ({case.spelled})")
    for name, quantity in QUANTITIES.items():
        actual = getattr(answer, name)
        if offers is not None or actual is not None:
            fault, _ = field(case, name, actual, offered=offers is None or quantity in offers)
            if fault is not None:
                own = str(getattr(actual, "dtype", None))
                is_narrower = own in DTYPES and DTYPES.index(own) > DTYPES.index(case.dtype)
                alone = f"; a cell in {own} alone is judged with --dtype {own}" * is_narrower
                raise Unusable(f"contract: {fault}{alone} ({case.spelled})")


def expect_layers(case: LayersCase, answer: object, *, forward_only: bool) -> None:
    """Raise Unusable unless an answer for several layers has each quantity in the shape and the dtype of the case."""
    if not isinstance(answer, LayersEvaluation):
        raise Unusable(f"contract: expected a LayersEvaluation, got {kind_of(answer)} ({case.spelled})")
    shapes, given = case.shapes(), answer.present()
    outputs = ("hs", *(f"{state}n" for state in case.cell_type.states))
    gradients = [f"d{name}" for name in case.arrays() if not name.startswith(("upstream", "masks"))]
    for name in dict.fromkeys((*given, *outputs, *(() if forward_only else gradients))):
        actual, expected = given.get(name), shapes.get(name)
        if not isinstance(actual, np.ndarray) or (actual.dtype, actual.shape) != (case.xs.dtype, expected):
            got = f"{kind_of(actual)} of shape {actual.shape}" if isinstance(actual, np.ndarray) else kind_of(actual)
            what = f"{name} as an array of {case.dtype} of shape {expected}" if expected else f"no {name}"
            raise Unusable(f"contract: expected {what}, got {got} ({case.spelled})")


def field(case: Case, name: str, actual: Any, *, offered: bool = True) -> tuple[str | None, Any]:
    """Return what is wrong with a field of an answer, and the field as the contract has it.

    Args:
        case: a case or a stack.
        name: of the field.
        actual: the field as it was returned.
        offered: whether the adapter offers it.

    Returns:
        A sentence, or None. An array in the right shape and dtype, or None where the field cannot be corrected.
    """
    if not offered or (name.startswith("db") and case.params.fields()[name[1:].partition("_")[0]] is None):
        return None if actual is None else f"expected no {name}, got {kind_of(actual)}", None
    shape, letters = case.shapes()[name], axes_of(case, name)
    where = f"{name} of shape ({', '.join(letters)}{',' * (len(letters) == 1)}) = {shape}"
    if isinstance(actual, np.ndarray) and (actual.dtype, actual.shape) == (case.xs.dtype, shape):
        return None, actual
    if actual is None:
        return f"expected {where}, got None", None
    wrong = []
    if not isinstance(actual, np.ndarray) or actual.dtype != case.xs.dtype:
        wrong.append(f"expected {name} as an array of {case.dtype}, got {kind_of(actual)}")
    try:
        corrected = np.asarray(actual).astype(case.dtype)
    except Exception as error:
        words = described(error).removeprefix(f"{type(error).__name__}: ").strip().splitlines()[0].rstrip(".")
        return f"{wrong[0]}; np.asarray raises: {words}", None
    if corrected.shape != shape:
        got = corrected.shape
        difference, corrected = reshaped(case, name, corrected)
        wrong.append(f"expected {where}, got {got}{difference}")
    return "; ".join(wrong), corrected


def reshaped(case: Case, name: str, array: Any) -> tuple[str, Any]:
    """Return how an array of a wrong shape differs from the field that was expected, and the field, or None."""
    shape, letters = case.shapes()[name], axes_of(case, name)
    if array.ndim == len(shape):
        for order in itertools.permutations(range(len(shape))):
            if tuple(shape[axis] for axis in order) == array.shape:
                axes = ", ".join(letters[axis] for axis in order)
                return f"; its axes are ({axes})", array.transpose(np.argsort(order))
    for axis, letter in enumerate(letters):
        if array.shape == shape[:axis] + shape[axis + 1 :]:
            return f"; axis {letter} is missing", None
    if array.shape[-len(shape) :] == shape:
        more = array.shape[: -len(shape)]
        over = " or ".join(letter for letter in "TN" if (case.sizes[letter],) == more)
        return f"; it is not summed{f' over {over}' if over else ''}", array.sum(axis=tuple(range(len(more))))
    times, rest = divmod(array.size, max(1, math.prod(shape)))
    like = [cell for cell, kind in CELLS.items() if len(kind.gates) == times]
    if like and not rest and "H" in letters and len(case.cell_type.gates) == 1 < times:
        gates = f"H is there {times} times, as in {' or '.join(like)}"
        return f"; {gates}: judge it as Adapter(..., **gated({like[0]!r}))", None
    return "", None


def axes_of(case: Case, field: str) -> list[str]:
    """Return the axes of a field in letters, the stack's included."""
    return ["K"] * (case.K is not None) + list(case.axes()[field])


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
