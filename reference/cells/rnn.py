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


class OpenedRNNCell(RNNCell):
    """Compute the cell of relu with the units open that an implementation's outputs show: h = (u + v) * open.

    Its derivative is certain where the bound of a sum admits both signs.

    Args:
        hs: outputs of each step, one by one.
    """

    def __init__(self, hs: list[Array]) -> None:
        super().__init__("relu")
        self.left = [1.0 * (h > 0) for h in hs]

    def forward(self, u: Array, v: Array, states: States, **lent: Any) -> tuple[States, States]:
        """Return h, and which units are open."""
        open_ = self.left.pop(0)
        return ((u + v) * open_,), (open_,)

    def backward(self, d_states: States, saved: States, **lent: Any) -> tuple[Array, States]:
        """Return A."""
        return d_states[0] * saved[0], (None,)
