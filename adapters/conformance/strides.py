"""The same numbers in other memory: transposed, strided, reversed, read-only, misaligned, repeated without a copy."""

from __future__ import annotations

from collections.abc import Callable
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
    "repeated": np.array,  # the first step at every step: the stride of x along time is zero
}


def laid_out(case: Case, layout: str) -> Case:
    """Return a case with its arrays in another layout."""
    moved = case.map(np.array)
    for record in (moved, moved.params, moved.direction):
        for name, array in vars(record).items() if record is not None else ():
            if isinstance(array, np.ndarray):
                # The constructor of a case would make its arrays contiguous and read-only again.
                object.__setattr__(record, name, LAYOUTS[layout](array))
    if layout == "repeated" and case.sizes["T"]:
        first = np.array(case.xs[..., :1, :, :])
        strides = (*first.strides[:-3], 0, *first.strides[-2:])
        object.__setattr__(moved, "xs", np.lib.stride_tricks.as_strided(first, case.xs.shape, strides))
    return moved


def judge(adapter: Adapter, case: Case, precision: Precision, result: Result) -> None:
    """Judge an adapter on one case in every layout.

    Args:
        adapter: the subject. It is run on an unsupported layout, too, and has to raise there.
        case: a single case.
        precision: the model of its arithmetic.
        result: receives the verdicts and the unsupported layouts.

    Raises:
        Mismatch: a layout changed the result, or its memory was written to.
        Exception: raised by the adapter, with a note of the layout.
        UnexpectedlySupported: an unsupported layout raised nothing.
    """
    asked = adapter.taken(case)
    for layout in LAYOUTS:
        moved = laid_out(asked, layout)
        numbers = moved.map(np.array)
        try:
            if layout in adapter.unsupported:
                adapter.expect_unsupported(f"{layout} memory", partial(adapter.run, moved))
            evaluation = adapter.run(moved)
        except Unsupported as error:
            result.note_unsupported(str(error), declared=error.declared)
            continue
        except Exception as error:
            error.add_note(f"{layout} inputs")
            raise
        if bits_of(moved) != bits_of(numbers):
            raise Mismatch(f"contract: expected {layout} inputs unchanged, got others ({case.spelled})")
        accept(certify(numbers, evaluation.map(np.array), precision), result, f"{layout} inputs: ")
