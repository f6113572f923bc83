"""The gated recurrent unit, with the reset after the product with Wh or before it."""

from __future__ import annotations

from typing import Any

import numpy as np

from reference.cells.cell import Array, Cell, States, blocks, mixed, through


class GRUCell(Cell):
    """Compute the elementwise part of one step, with the reset after the product; s is the sigmoid.

        r = s(u_r + v_r)        z = s(u_z + v_z)        n = tanh(u_n + r * v_n)        v_n has the bias bn
        h = (1 - z) * n + z * h_prev

        A[n] = dh * (1 - z) * tanh'(n)                  A[z] = dh * (h_prev - n) * s'(z)
        A[r] = A[n] * v_n * s'(r)                       A_h[n] = A[n] * r        dh_prev = A_h @ Wh.T + dh * z

    Source: Cho et al., Learning phrase representations using RNN encoder-decoder, arXiv:1406.1078v1 (2014), with z for
        1 - z; gradient derived in reference/README.md, section "The equations".
    """

    gates, candidates, biased, carries = ("r", "z", "n"), ("n",), "n", True

    def forward(self, u: Array, v: Array, states: States, **lent: Any) -> tuple[States, States]:
        """Return h."""
        (h_prev,), (u_r, u_z, u_n), (v_r, v_z, v_n) = states, blocks(u, 3), blocks(v, 3)
        r, z = self.activation("r", u_r + v_r), self.activation("z", u_z + v_z)
        n = self.activation("n", u_n + r * v_n)
        return (mixed(z, n, h_prev),), (r, z, n, v_n, h_prev)

    def backward(self, d_states: States, saved: States, **lent: Any) -> tuple[Array, States]:
        """Return A of all gates; the gradient of h passes the step along z."""
        (dh,), (r, z, n, v_n, h_prev) = d_states, saved
        A_n = dh * (1 - z) * self.slope("n", n)
        A_r, A_z = A_n * v_n * self.slope("r", r), dh * (h_prev - n) * self.slope("z", z)
        return np.concatenate([A_r, A_z, A_n], axis=-1), (through(z, dh),)

    def recurrent(self, A: Array, saved: States) -> Array:
        """Return A with its last block times r."""
        A_r, A_z, A_n = blocks(A, 3)
        return np.concatenate([A_r, A_z, A_n * saved[0]], axis=-1)


class ResetBeforeCell(Cell):
    """Compute the elementwise part of one step, with the reset before the product.

        n = tanh(u_n + (r * h_prev) @ Wh_n)             all else as in ``GRUCell``, without bn

        d_rh = A[n] @ Wh_n.T                            A[r] = d_rh * h_prev * s'(r)        dh_prev gains d_rh * r

    Source: Cho et al., arXiv:1406.1078v3 (2014), equation 8.
    """

    gates, candidates, inner, carries = ("r", "z", "n"), ("n",), ("n",), True

    def forward(self, u: Array, v: Array, states: States, **lent: Any) -> tuple[States, States]:
        """Return h."""
        (h_prev,), (u_r, u_z, u_n), (v_r, v_z) = states, blocks(u, 3), blocks(v, 2)
        r, z = self.activation("r", u_r + v_r), self.activation("z", u_z + v_z)
        n = self.activation("n", u_n + lent["product"](r * h_prev))
        return (mixed(z, n, h_prev),), (r, z, n, h_prev)

    def backward(self, d_states: States, saved: States, **lent: Any) -> tuple[Array, States]:
        """Return A of all gates; the gradient of h passes the step along z, and along r behind the inner product."""
        (dh,), (r, z, n, h_prev) = d_states, saved
        A_n, A_z = dh * (1 - z) * self.slope("n", n), dh * (h_prev - n) * self.slope("z", z)
        d_rh = lent["transposed"](A_n)
        A_r = d_rh * h_prev * self.slope("r", r)
        return np.concatenate([A_r, A_z, A_n], axis=-1), (d_rh * r + through(z, dh),)

    def recurrent(self, A: Array, saved: States) -> Array:
        """Return A of the gates whose product the layer takes."""
        return A[..., : 2 * A.shape[-1] // 3]
