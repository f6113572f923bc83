"""The textbook cell, also called vanilla RNN or Elman cell."""

from __future__ import annotations

from typing import Any

from reference.cells.cell import Array, Cell, States


class RNNCell(Cell):
    """Compute the elementwise part of one step.

        h = f(u + v)            A = dh * f'(u + v), with f' written in terms of h; relu'(0) = 0

    Source: Elman, Finding structure in time, Cognitive Science 14 (1990), with one bias; gradient derived in the
        README, section "The equations".
    """

    gates = ("a",)
    nonlinearities = ("tanh", "relu")

    def forward(self, u: Array, v: Array, states: States, **lent: Any) -> tuple[States, States]:
        """Return h, which is all that ``backward`` needs."""
        after = (self.f(u + v),)
        return after, after

    def backward(self, d_states: States, saved: States, **lent: Any) -> tuple[Array, States]:
        """Return A; all of the gradient goes through the product with Wh."""
        (dh,), (h,) = d_states, saved
        return dh * self.derivative(h), (None,)

    def observed(self, saved: States, h: Array) -> States:
        """Return the returned h."""
        return (h,)
