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
from adapters._layout import laid_out

# https://flax.readthedocs.io/en/stable/api_reference/flax.linen/layers.html, "Recurrent"; likewise flax.nnx/nn.
LAYOUTS = {
    "linen.RNN": {"cell/i/kernel": "Wx", "cell/i/bias": "b or 0", "cell/h/kernel": "Wh"},
    "linen.SimpleCell": {"i/kernel": "Wx", "i/bias": "b or 0", "h/kernel": "Wh"},
    "nnx.RNN": {"cell/dense_i/kernel": "Wx", "cell/dense_i/bias": "b or 0", "cell/dense_h/kernel": "Wh"},
    "nnx.SimpleCell": {"dense_i/kernel": "Wx", "dense_i/bias": "b or 0", "dense_h/kernel": "Wh"},
}


def nested(name: str, Wx: Any, Wh: Any, b: Any) -> Any:
    """Return the parameters of a cell or layer under their names."""
    return flax.traverse_util.unflatten_dict(laid_out(LAYOUTS[name], Wx, Wh, b), sep="/")


@differentiated
def linen_cell(f: str, xs: Any, h0: Any, Wx: Any, Wh: Any, b: Any) -> Any:
    """Return all states of ``linen.SimpleCell``, stepped."""
    cell, states = linen.SimpleCell(h0.shape[-1], activation_fn=getattr(linen, f)), [h0]
    for x in xs:
        states.append(cell.apply({"params": nested("linen.SimpleCell", Wx, Wh, b)}, states[-1], x)[0])
    return jnp.stack(states[1:])


@differentiated
def linen_rnn(f: str, xs: Any, h0: Any, Wx: Any, Wh: Any, b: Any) -> Any:
    """Return all states of ``linen.RNN`` over ``linen.SimpleCell``, time first."""
    layer = linen.RNN(linen.SimpleCell(h0.shape[-1], activation_fn=getattr(linen, f)), time_major=True)
    return layer.apply({"params": nested("linen.RNN", Wx, Wh, b)}, xs, initial_carry=h0)


def nnx_module(name: str, f: str, Wx: Any, Wh: Any, b: Any) -> Any:
    """Return an ``nnx.SimpleCell``, or an ``nnx.RNN`` of it, with these parameters, and none drawn before."""
    like = {"dtype": Wx.dtype, "param_dtype": Wx.dtype, "activation_fn": getattr(nnx, f)}
    kinds = {"nnx.SimpleCell": lambda cell: cell, "nnx.RNN": lambda cell: nnx.RNN(cell, time_major=True, rngs=False)}
    module = nnx.eval_shape(lambda: kinds[name](nnx.SimpleCell(*Wx.shape, **like, rngs=nnx.Rngs(0))))
    graph, state = nnx.split(module)
    nnx.replace_by_pure_dict(state, nested(name, Wx, Wh, b))
    return nnx.merge(graph, state)


@differentiated
def nnx_cell(f: str, xs: Any, h0: Any, Wx: Any, Wh: Any, b: Any) -> Any:
    """Return all states of ``nnx.SimpleCell``, stepped."""
    cell, states = nnx_module("nnx.SimpleCell", f, Wx, Wh, b), [h0]
    for x in xs:
        states.append(cell(states[-1], x)[0])
    return jnp.stack(states[1:])


@differentiated
def nnx_rnn(f: str, xs: Any, h0: Any, Wx: Any, Wh: Any, b: Any) -> Any:
    """Return all states of ``nnx.RNN`` over ``nnx.SimpleCell``, time first."""
    return nnx_module("nnx.RNN", f, Wx, Wh, b)(xs, initial_carry=h0)


def environment() -> dict[str, str]:
    """Return the versions and the flags that decide the precision."""
    return {"flax": flax.__version__} | _jax.environment()


IMPORTS = "import flax\nfrom flax import linen, nnx"
HELD = (f"LAYOUTS = {LAYOUTS}", laid_out, nested)
# An initialiser that is never drawn from divides by D. The steps of a cell are unrolled, and of none there is no state.
LAYER: dict[str, Any] = {"unsupported": ("D=0",)}
STEPPED: dict[str, Any] = {"unsupported": ("D=0", "T=0"), "max_T": 32}

ADAPTERS = (
    of_states("flax.linen.SimpleCell", IMPORTS, (*HELD, linen_cell), "linen.SimpleCell stepped, jit", **STEPPED),
    of_states("flax.linen.RNN", IMPORTS, (*HELD, linen_rnn), "linen.RNN over linen.SimpleCell, jit", **LAYER),
    of_states("flax.nnx.SimpleCell", IMPORTS, (*HELD, nnx_module, nnx_cell), "nnx.SimpleCell stepped, jit", **STEPPED),
    of_states("flax.nnx.RNN", IMPORTS, (*HELD, nnx_module, nnx_rnn), "nnx.RNN over nnx.SimpleCell, jit", **LAYER),
)
