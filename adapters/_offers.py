"""The quantities that adapters offer: of the cell that they run, and of derivatives along a direction."""

from __future__ import annotations

from typing import Any

from reference.certify import LONGEST_DIRECTION
from reference.verdict import GRADIENTS, derivatives_of, quantities_of

# Fields of an adapter that differentiates along a direction. The certificate encloses these derivatives from the inputs
# alone. Beyond LONGEST_DIRECTION steps, or beyond one step in half precisions, its bound is too wide to decide.
JVP: dict[str, Any] = {"offers": ("h", "jvp h"), "max_T": LONGEST_DIRECTION, "main": False}
TWICE: dict[str, Any] = {"offers": (*GRADIENTS, *derivatives_of("rnn")), "max_T": LONGEST_DIRECTION, "main": False}
ENCLOSED = ("float64", "float32")


def gated(cell: str, *, derivatives: str = "", lacks: tuple[str, ...] = ()) -> dict[str, Any]:
    """Return the fields of an adapter of a gated cell.

    Args:
        cell: of ``Case``.
        derivatives: "jvp" for forward mode alone, "hvp" for second derivatives beside the gradients.
        lacks: parameters that the framework does not have.
    """
    offers, along = quantities_of(cell), derivatives_of(cell)
    offers = tuple(name for name in offers if name not in {f"d{parameter}" for parameter in lacks})
    fields: dict[str, Any] = {"cell": cell, "nonlinearities": ("tanh",), "offers": offers, "lacks": lacks}
    if derivatives == "jvp":
        states = tuple(name for name in offers if name[0] != "d")
        fields["offers"] = (*states, *(f"jvp {name}" for name in states))
    if derivatives == "hvp":
        fields["offers"] = (*offers, *along)
    return fields | ({"max_T": LONGEST_DIRECTION, "main": False} if derivatives else {})
