"""The long short-term memory."""

from __future__ import annotations

from typing import Any

import numpy as np

from reference.cells.cell import Array, Cell, States, blocks, through


class LSTMCell(Cell):
    """Compute the elementwise part of one step; s is the sigmoid.

        i, f, g, o = the blocks of u + v
        c = s(f) * c_prev + s(i) * tanh(g)            h = s(o) * tanh(c)

        dc   = dc + dh * s(o) * tanh'(c)              dc_prev = dc * s(f)
        A[i] = dc * tanh(g) * s'(i)                   A[f] = dc * c_prev * s'(f)
        A[g] = dc * s(i) * tanh'(g)                   A[o] = dh * tanh(c) * s'(o)

    Source: Hochreiter and Schmidhuber, Long short-term memory, Neural Computation 9 (1997); Gers, Schmidhuber and
        Cummins, Learning to forget, Neural Computation 12 (2000), for the forget gate; no peepholes; gradient derived
        in reference/README.md, section "The equations".
    """

    gates, candidates, states, carries = ("i", "f", "g", "o"), ("g",), ("h", "c"), True

    def forward(self, u: Array, v: Array, states: States, **lent: Any) -> tuple[States, States]:
        """Return h and c."""
        c_prev = states[1]
        i, f, g, o = (self.activation(*each) for each in zip(self.gates, blocks(u + v, 4), strict=True))
        c = through(f, c_prev) + i * g
        y = self.f(c)
        return (o * y, c), (i, f, g, o, c_prev, y)

    def backward(self, d_states: States, saved: States, **lent: Any) -> tuple[Array, States]:
        """Return A of all gates; the gradient of c passes the step along f."""
        (dh, dc), (i, f, g, o, c_prev, y) = d_states, saved
        dc = dh * o * self.derivative(y) + dc
        A_i, A_f = dc * g * self.slope("i", i), dc * c_prev * self.slope("f", f)
        A_g, A_o = dc * i * self.slope("g", g), dh * y * self.slope("o", o)
        return np.concatenate([A_i, A_f, A_g, A_o], axis=-1), (None, through(f, dc))
