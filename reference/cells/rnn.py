"""The textbook cell, also called vanilla RNN or Elman cell."""

from __future__ import annotations

from typing import Any

from reference.cells.cell import Array, Cell, States


class RNNCell(Cell):
    """Compute the elementwise part of one step.

        h = f(u + v)            A = dh * f'(u + v), with f' written in terms of h; relu'(0) = 0

    Source: Elman, Finding structure in time, Cognitive Science 14 (1990), with one bias. The README derives the
        gradient in the section "The equations".
    """

    gates = ("a",)
    nonlinearities = ("tanh", "relu")

    def forward(self, u: Array, v: Array, states: States, **lent: Any) -> tuple[States, States]:
        """Return h; ``backward`` needs no other array."""
        after = (self.f(u + v),)
        return after, after

    def backward(self, d_states: States, saved: States, **lent: Any) -> tuple[Array, States]:
        """Return A. The whole gradient passes through the product with Wh."""
        (dh,), (h,) = d_states, saved
        return dh * self.derivative(h), (None,)

    def observed(self, saved: States, h: Array) -> States:
        """Return the output h of the implementation."""
        return (h,)


class OpenedRNNCell(RNNCell):
    """Compute the relu cell with the open units given: h = (u + v) * open.

    A unit is open if the implementation's output is positive. So the derivative is certain even if the bound of the sum
    admits both signs.

    Args:
        hs: outputs of an implementation, one array for each step.
    """

    def __init__(self, hs: list[Array]) -> None:
        super().__init__("relu")
        self.left = [1.0 * (h > 0) for h in hs]

    def forward(self, u: Array, v: Array, states: States, **lent: Any) -> tuple[States, States]:
        """Return h, and 1 for each open unit."""
        open_ = self.left.pop(0)
        return ((u + v) * open_,), (open_,)

    def backward(self, d_states: States, saved: States, **lent: Any) -> tuple[Array, States]:
        """Return A."""
        return d_states[0] * saved[0], (None,)
