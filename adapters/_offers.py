"""The quantities that adapters offer: of the cell that they run, and of derivatives along a direction."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from reference.certify import LONGEST_DIRECTION
from reference.verdict import GRADIENTS, derivatives_of, quantities_of

# Fields of an adapter that differentiates along a direction. The certificate encloses these derivatives from the inputs
# alone. Beyond LONGEST_DIRECTION steps, or beyond one step in half precisions, its bound is too wide to decide.
JVP: dict[str, Any] = {"offers": ("h", "jvp h"), "max_T": LONGEST_DIRECTION, "main": False}
TWICE: dict[str, Any] = {"offers": (*GRADIENTS, *derivatives_of("rnn")), "max_T": LONGEST_DIRECTION, "main": False}
ENCLOSED = ("float64", "float32")


def results(lacks: Iterable[str]) -> set[str]:
    """Return the quantities that a subject leaves out: "dh0" for "h0", "c" for "upstream_c"."""
    return {name.removeprefix("upstream_") if name.startswith("upstream_") else f"d{name}" for name in lacks}


def gated(cell: str, *, derivatives: str = "", lacks: tuple[str, ...] = ()) -> dict[str, Any]:
    """Return the fields of an adapter of a gated cell.

    Args:
        cell: of ``Case``.
        derivatives: "jvp" for forward mode alone, "hvp" for second derivatives beside the gradients.
        lacks: as of ``Adapter``.
    """
    offers, along = quantities_of(cell), derivatives_of(cell)
    offers = tuple(name for name in offers if name not in results(lacks))
    fields: dict[str, Any] = {"cell": cell, "nonlinearities": ("tanh",), "offers": offers, "lacks": lacks}
    if derivatives == "jvp":
        states = tuple(name for name in offers if name[0] != "d")
        fields["offers"] = (*states, *(f"jvp {name}" for name in states))
    if derivatives == "hvp":
        fields["offers"] = (*offers, *along)
    return fields | ({"max_T": LONGEST_DIRECTION, "main": False} if derivatives else {})
