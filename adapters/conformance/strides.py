"""The same numbers in other memory, as transposed or read-only, and other numbers in the same memory."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

import numpy as np

from adapters import Adapter, Unsupported
from adapters.conformance.judge import accept
from adapters.conformance.report import Result
from reference import Case, Mismatch, Precision, certify
from reference.trial import bits_of


def strided(array: Any) -> Any:
    """Lay an array out as every other element of a larger one, with NaN between."""
    larger = np.full((*array.shape, 2), np.nan).astype(array.dtype)
    larger[..., 0] = array
    return larger[..., 0]


def misaligned(array: Any) -> Any:
    """Lay an array out one byte beside its alignment, as a file format may."""
    moved = np.zeros(array.nbytes + 1, np.uint8)[1:].view(array.dtype).reshape(array.shape)
    moved[...] = array
    return moved


# Name of a layout: lays out an array. All but "read-only" are writeable.
LAYOUTS: dict[str, Callable[[Any], Any]] = {
    "transposed": np.asfortranarray,
    "strided": strided,
    "reversed": lambda array: np.flip(np.flip(array).copy()),
    "read-only": lambda array: np.frombuffer(array.tobytes(), array.dtype).reshape(array.shape),
    "misaligned": misaligned,
    "repeated": np.array,  # without a copy: a stride of zero
}
# The arguments that are laid out with strides of zero.
REPEATED = ("xs", "upstream")


def arguments(case: Case) -> list[str]:
    """Return the names of the arrays that a subject is given."""
    return [name for name, array in case.fields().items() if isinstance(array, np.ndarray)]


def laid_out(case: Case, layout: str, names: Sequence[str]) -> Case:
    """Return a case with some of its arrays in another layout, and all in writeable memory of its own.

    Under "repeated" the first step of xs stands at every step, and one number everywhere in the upstream, as in the
    gradient of a plain sum. No other array changes.
    """
    moved = case.map(np.array)
    for record in (moved, moved.params, moved.direction):
        for name, array in vars(record).items() if record is not None else ():
            if isinstance(array, np.ndarray):
                changed = _repeated(name, array) if layout == "repeated" else LAYOUTS[layout](array)
                # The constructor of a case would make its arrays contiguous and read-only again.
                object.__setattr__(record, name, changed if name in names else np.array(array))
    return moved


def _repeated(name: str, array: Any) -> Any:
    if name not in REPEATED or not array.size:
        return np.array(array)
    first = np.array(array[..., :1, :, :] if name == "xs" else array.ravel()[:1])
    strides = (*first.strides[:-3], 0, *first.strides[-2:]) if name == "xs" else (0,) * array.ndim
    return np.lib.stride_tricks.as_strided(first, array.shape, strides)


def judge(adapter: Adapter, case: Case, precision: Precision, result: Result) -> None:
    """Judge an adapter on one case in every layout, of each argument by itself and then of all; then on new weights.

    Args:
        adapter: the subject. It is run on an unsupported layout, too, and has to raise there.
        case: a single case.
        precision: the model of its arithmetic.
        result: receives the verdicts and the unsupported layouts.

    Raises:
        Mismatch: a layout changed the result, or memory was written to.
        Exception: raised by the adapter, with a note of the layout.
        UnexpectedlySupported: an unsupported layout raised nothing.
    """
    asked = adapter.taken(case)
    for layout in LAYOUTS:
        names = REPEATED if layout == "repeated" else arguments(asked)
        try:
            if layout in adapter.unsupported:
                adapter.expect_unsupported(f"{layout} memory", partial(adapter.run, laid_out(asked, layout, names)))
            for each in ([name] for name in names):
                judge_layout(adapter, asked, layout, each, precision, result)
            judge_layout(adapter, asked, layout, names, precision, result)
        except Unsupported as error:
            result.note_unsupported(str(error), declared=error.declared)
    judge_rewritten(adapter, asked, precision, result)


def judge_rewritten(adapter: Adapter, asked: Case, precision: Precision, result: Result) -> None:
    """Judge an adapter on weights that were written into the memory of others, as an optimiser does.

    Raises:
        Mismatch: the results are not those of the new weights.
    """
    moved = laid_out(asked, "read-only", ())  # none of them is: all are writeable
    adapter.run(moved)
    params, half = moved.params, moved.params.Wh.dtype.type(0.5)
    params.Wh[...] *= half
    params.Wx[..., list(asked.inputs), :] *= half  # the probe remains
    numbers = moved.map(np.array)
    accept(certify(numbers, adapter.run(moved).map(np.array), precision), result, "weights written in place: ")


def judge_layout(
    adapter: Adapter, asked: Case, layout: str, names: Sequence[str], precision: Precision, result: Result
) -> None:
    """Judge an adapter on one case with some arguments in one layout.

    Raises:
        Mismatch, Exception: as ``judge`` does.
    """
    moved, what = laid_out(asked, layout, names), f"{layout} {names[0] if len(names) == 1 else 'inputs'}"
    numbers = moved.map(np.array)
    try:
        evaluation = adapter.run(moved)
    except Unsupported:
        raise
    except Exception as error:
        error.add_note(what)
        raise
    for name, bits in bits_of(moved).items():
        if bits != bits_of(numbers)[name]:
            raise Mismatch(f"contract: expected {name} unchanged for {what}, got others ({asked.spelled})")
    accept(certify(numbers, evaluation.map(np.array), precision), result, f"{what}: ")
