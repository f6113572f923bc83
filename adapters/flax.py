"""Flax: ``SimpleCell`` stepped and under the layer ``RNN``, of both of its interfaces, linen and nnx.

Its weights are shaped as here. The cell has one bias, always: where a case has none it is zero, and has no gradient.
"""

from __future__ import annotations

from typing import Any

import flax
import jax.numpy as jnp
from flax import linen, nnx

from adapters import _jax
from adapters._jax import differentiated, of_states


def linen_params(Wx: Any, Wh: Any, b: Any) -> Any:
    """Return the parameters of ``linen.SimpleCell``."""
    return {"i": {"kernel": Wx, "bias": jnp.zeros_like(Wh[0]) if b is None else b}, "h": {"kernel": Wh}}


@differentiated
def linen_cell(f: str, xs: Any, h0: Any, Wx: Any, Wh: Any, b: Any) -> Any:
    """Return all states of ``linen.SimpleCell``, stepped."""
    cell = linen.SimpleCell(h0.shape[-1], activation_fn=getattr(linen, f))
    states = [h0]
    for x in xs:
        states.append(cell.apply({"params": linen_params(Wx, Wh, b)}, states[-1], x)[0])
    return jnp.stack(states[1:])


@differentiated
def linen_rnn(f: str, xs: Any, h0: Any, Wx: Any, Wh: Any, b: Any) -> Any:
    """Return all states of ``linen.RNN`` over ``linen.SimpleCell``, time first."""
    layer = linen.RNN(linen.SimpleCell(h0.shape[-1], activation_fn=getattr(linen, f)), time_major=True)
    return layer.apply({"params": {"cell": linen_params(Wx, Wh, b)}}, xs, initial_carry=h0)


def nnx_module(f: str, Wx: Any, Wh: Any, b: Any) -> Any:
    """Return an ``nnx.SimpleCell`` with these parameters; ``eval_shape`` draws no others before."""
    like = {"dtype": Wx.dtype, "param_dtype": Wx.dtype, "activation_fn": getattr(nnx, f)}
    graph, state = nnx.split(nnx.eval_shape(lambda: nnx.SimpleCell(*Wx.shape, **like, rngs=nnx.Rngs(0))))
    bias = jnp.zeros_like(Wh[0]) if b is None else b
    nnx.replace_by_pure_dict(state, {"dense_i": {"kernel": Wx, "bias": bias}, "dense_h": {"kernel": Wh}})
    return nnx.merge(graph, state)


@differentiated
def nnx_cell(f: str, xs: Any, h0: Any, Wx: Any, Wh: Any, b: Any) -> Any:
    """Return all states of ``nnx.SimpleCell``, stepped."""
    cell, states = nnx_module(f, Wx, Wh, b), [h0]
    for x in xs:
        states.append(cell(states[-1], x)[0])
    return jnp.stack(states[1:])


@differentiated
def nnx_rnn(f: str, xs: Any, h0: Any, Wx: Any, Wh: Any, b: Any) -> Any:
    """Return all states of ``nnx.RNN`` over ``nnx.SimpleCell``, time first."""
    return nnx.RNN(nnx_module(f, Wx, Wh, b), time_major=True, rngs=False)(xs, initial_carry=h0)


def environment() -> dict[str, str]:
    """Return the versions and the flags that decide the precision."""
    return {"flax": flax.__version__} | _jax.environment()


IMPORTS = "from flax import linen, nnx"
# An initialiser that is never drawn from divides by D. The steps of a cell are unrolled, and of none there is no state.
LAYER: dict[str, Any] = {"refuses": ("D=0",)}
STEPPED: dict[str, Any] = {"refuses": ("D=0", "T=0"), "max_T": 32}

ADAPTERS = (
    of_states("flax.linen.SimpleCell", IMPORTS, (linen_params, linen_cell), "linen.SimpleCell stepped, jit", **STEPPED),
    of_states("flax.linen.RNN", IMPORTS, (linen_params, linen_rnn), "linen.RNN over linen.SimpleCell, jit", **LAYER),
    of_states("flax.nnx.SimpleCell", IMPORTS, (nnx_module, nnx_cell), "nnx.SimpleCell stepped, jit", **STEPPED),
    of_states("flax.nnx.RNN", IMPORTS, (nnx_module, nnx_rnn), "nnx.RNN over nnx.SimpleCell, jit", **LAYER),
)
