"""Adapters judged against the oracle: one list of checks and three front ends; no framework is named here.

The front ends are ``check`` for scripts and notebooks, ``parametrize`` for pytest, and the command line.
``check_case`` judges one case. ``forward_only`` decorates a function that returns the states alone.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from adapters.conformance.api import check, check_case, forward_only, parametrize

# The checks in the order in which they run, and the cases of each. The command line's help needs no more than this.
CASES = {
    "step": "one step, forward and back",
    "sequence": "2 to 20 steps",
    "extremes": "saturated, subnormal, huge, cancelling, one-hot, zeros of both signs",
    "nonfinite": "NaN or infinity in one row or one weight",
    "long": "1,000 steps",
    "trained": "a trained character RNN of 64 units",
    "shapes": "no steps, no rows, no inputs, one of each, 512 inputs, 512 units",
    "strides": "transposed, strided, reversed, read-only, misaligned, repeated inputs",
    "options": "the framework's other options: unbatched, h0 omitted",
    "invariants": "independent rows, cut sequences, a linear pull-back: no oracle is needed",
    "10k-steps": "10,000 steps",
    "layers": "1 to 3 layers in one or two directions, rows of different lengths, dropout masks",
}
NAMES = tuple(CASES)
STACKS = 8  # stacks of cases a check
TIMEOUT = 300.0  # seconds a check in one dtype

__all__ = ["check", "check_case", "forward_only", "parametrize"]


def __getattr__(name: str) -> Any:
    """Import a front end at its first use: the command line's help needs neither."""
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(importlib.import_module("adapters.conformance.api"), name)
