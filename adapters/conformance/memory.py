"""The same numbers in other memory: transposed, strided, reversed, read-only, repeated without a copy, misaligned."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from adapters import Adapter, Unsupported
from reference import Case, Evaluation, Mismatch, Precision, Verdict, certify


def transposed(array: Any) -> Any:
    """Lay an array out with its first axis innermost, as a framework that thinks in columns does."""
    return np.asfortranarray(array)


def strided(array: Any) -> Any:
    """Lay an array out as every other element of a larger one, the ones between being NaN."""
    larger = np.full((*array.shape, 2), np.nan).astype(array.dtype)
    larger[..., 0] = array
    return larger[..., 0]


def reversed_(array: Any) -> Any:
    """Lay an array out backwards, with negative strides."""
    backwards = (slice(None, None, -1),) * array.ndim
    return np.ascontiguousarray(array[backwards])[backwards]


def read_only(array: Any) -> Any:
    """Forbid writing to an array."""
    copy = array.copy()
    copy.flags.writeable = False
    return copy


def misaligned(array: Any) -> Any:
    """Lay an array out one byte beside where its numbers belong, as a file format may."""
    buffer = np.zeros(array.nbytes + 1, np.uint8)
    moved = buffer[1:].view(array.dtype).reshape(array.shape)
    moved[...] = array
    return moved


LAYOUTS: dict[str, Callable[[Any], Any]] = {
    "transposed": transposed,
    "strided": strided,
    "reversed": reversed_,
    "read-only": read_only,
    "misaligned": misaligned,
    "repeated": np.array,  # as it is: see ``repeat``
}


def laid_out(case: Case, layout: str) -> Case:
    """Return a case with its arrays in another layout, writeable but for those that are read-only.

    Under "repeated", x is that of the first step at every step, without a copy: its stride along time is zero.
    """
    moved = case.map(np.array)
    for record in (moved, moved.params, moved.direction):
        for name, array in vars(record).items() if record is not None else ():
            if isinstance(array, np.ndarray):
                # A case keeps its arrays contiguous and read-only, which is what this is about.
                object.__setattr__(record, name, LAYOUTS[layout](array))
    if layout == "repeated" and case.sizes["T"]:
        first = np.array(case.xs[..., :1, :, :])
        object.__setattr__(moved, "xs", np.lib.stride_tricks.as_strided(first, case.xs.shape, _still(first)))
    return moved


def _still(first: Any) -> tuple[int, ...]:
    """Return the strides of an array that stays where it is along time, the last axis but two."""
    *stack, _, N, D = first.strides
    return (*stack, 0, N, D)


def judge(adapter: Adapter, case: Case, precision: Precision) -> tuple[list[Verdict], list[str]]:
    """Judge an adapter on one case in every layout.

    Args:
        adapter: the subject; what it refuses has to be refused.
        case: a single case.
        precision: the model of its arithmetic.

    Returns:
        The verdicts, and the refusals in the framework's own words.

    Raises:
        Mismatch: a layout changed the result, or its memory was written to.
        Exception: what the adapter raised, with a note of the layout.
        UnexpectedlySupported: the framework took a layout that it was to refuse.
    """
    asked = case.map(lambda array: array[None]) if adapter.takes_stacks else case
    verdicts, refusals = [], []
    for layout in LAYOUTS:
        moved = laid_out(asked, layout)
        numbers = moved.map(np.array)
        try:
            evaluation = _run(adapter, moved, layout)
        except Unsupported as refusal:
            refusals.append(str(refusal))
            continue
        except Exception as error:
            error.add_note(f"{layout} inputs")
            raise
        if any(a.tobytes() != b.tobytes() for a, b in _pairs(moved, numbers)):
            raise Mismatch(f"contract: expected {layout} inputs unchanged, got others")
        verdicts.append(certify(numbers, evaluation.map(np.array), precision))
        if verdicts[-1].status == "fail":
            raise Mismatch(f"{layout} inputs: {verdicts[-1]}", verdicts[-1])
    return verdicts, refusals


def _run(adapter: Adapter, case: Case, layout: str) -> Evaluation:
    if layout in adapter.unsupported:
        adapter.expect_unsupported(f"{layout} memory", lambda: adapter.run(case))
    return adapter.run(case)


def _pairs(one: Case, other: Case) -> list[tuple[Any, Any]]:
    fields = other.fields()
    return [(array, fields[name]) for name, array in one.fields().items() if isinstance(array, np.ndarray)]
