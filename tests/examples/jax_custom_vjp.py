"""A layer under ``jax.custom_vjp`` with its gradient written by hand.

python jax_custom_vjp.py
rnn-oracle check jax_custom_vjp:adapter
"""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from adapters import Adapter
from adapters.conformance import check
from reference import Case, Evaluation


@jax.custom_vjp
def layer(xs: Any, h0: Any, Wx: Any, Wh: Any, b: Any) -> Any:
    """Return h[t] = tanh(h[t-1] @ Wh + x[t] @ Wx + b) for all t, (T, N, H)."""

    def step(h: Any, x: Any) -> Any:
        h = jnp.tanh(h @ Wh + x @ Wx + b)
        return h, h

    return jax.lax.scan(step, h0, xs)[1]


def forward(xs: Any, h0: Any, Wx: Any, Wh: Any, b: Any) -> Any:
    """Return all states, and the arrays that backward needs."""
    hs = layer(xs, h0, Wx, Wh, b)
    return hs, (xs, jnp.concatenate([h0[None], hs]), Wx, Wh)


def backward(saved: Any, upstream: Any) -> Any:
    """Return the gradients of the arguments of ``layer``."""
    xs, hs, Wx, Wh = saved

    def step(dh: Any, at: Any) -> Any:
        h, above = at
        A = (above + dh) * (1 - h**2)
        return A @ Wh.T, A

    dh0, A = jax.lax.scan(step, jnp.zeros_like(hs[0]), (hs[1:], upstream), reverse=True)
    dWx, dWh = (jnp.einsum("tni,tnh->ih", left, A) for left in (xs, hs[:-1]))
    return A @ Wx.T, dh0, dWx, dWh, A.sum((0, 1))


layer.defvjp(forward, backward)


@jax.jit
def all_gradients(upstream: Any, *arrays: Any) -> Any:
    """Return all states and all gradients."""
    hs, pull_back = jax.vjp(layer, *arrays)
    return hs, *pull_back(upstream)


def run(case: Case) -> Evaluation:
    """Run the layer on a case. Without x64, JAX would convert float64 to float32 without a warning."""
    with jax.enable_x64(case.dtype == "float64"):
        b = 0 * case.params.Wh[0] if case.params.b is None else case.params.b
        hs, dxs, dh0, dWx, dWh, db = map(
            np.array, all_gradients(case.upstream, case.xs, case.h0, case.params.Wx, case.params.Wh, b)
        )
    return Evaluation(hs, dxs, dh0, dWx, dWh, None if case.params.b is None else db)


def tanh(array: Any) -> Any:
    """Return JAX's tanh of a NumPy array."""
    with jax.enable_x64(array.dtype == np.float64):
        return np.array(jnp.tanh(array))


# A function without an Adapter may have a tanh with an error of 2.5 units in the last place. XLA's is off by up to 8.
# In loops that XLA fuses, the sum for db may keep digits of 1 - h**2 that A @ Wx.T rounds to a half precision.
TANH_ULPS = {"float64": 8.0, "float32": 6.0, "bfloat16": 1.0, "float16": 1.0}
adapter = Adapter(
    "mine.custom_vjp",
    run,
    "lax.scan under custom_vjp",
    tanh,
    TANH_ULPS,
    nonlinearities=("tanh",),
)


if __name__ == "__main__":
    print(check(adapter))
