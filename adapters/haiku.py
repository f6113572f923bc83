"""Haiku: ``VanillaRNN``, stepped and under ``hk.dynamic_unroll``; its nonlinearity is relu, and cannot be chosen.

Its weights are shaped as here. The cell has a bias, always, and a second if asked for: where a case has none it is
zero, and has no gradient.
"""

from __future__ import annotations

from typing import Any

import haiku as hk
import jax.numpy as jnp

from adapters import _jax
from adapters._jax import differentiated, of_states
from adapters._layout import laid_out

# https://dm-haiku.readthedocs.io/en/latest/api.html, "VanillaRNN" and "Linear". Haiku leaves alone what it needs not.
LAYOUTS = {
    "VanillaRNN": {
        "vanilla_rnn/linear/w": "Wx",
        "vanilla_rnn/linear/b": "b or 0",
        "vanilla_rnn/linear_1/w": "Wh",
        "vanilla_rnn/linear_1/b": "0?",
    }
}
NONLINEARITIES = ("relu",)


def named(Wx: Any, Wh: Any, b: Any) -> Any:
    """Return the parameters under their names; the second bias is zero, and left alone by a cell that has one."""
    held = laid_out(LAYOUTS["VanillaRNN"], Wx, Wh, b)
    modules = ("vanilla_rnn/linear", "vanilla_rnn/linear_1")
    return {module: {name: held[f"{module}/{name}"] for name in ("w", "b")} for module in modules}


@differentiated
def step_cell(f: str, xs: Any, h0: Any, Wx: Any, Wh: Any, b: Any) -> Any:
    """Return all states of ``VanillaRNN``, stepped."""

    def step(x: Any, h: Any) -> Any:
        return hk.VanillaRNN(h0.shape[-1], double_bias=False)(x, h)[1]

    cell, states = hk.without_apply_rng(hk.transform(step)), [h0]
    for x in xs:
        states.append(cell.apply(named(Wx, Wh, b), x, states[-1]))
    return jnp.stack(states[1:])


@differentiated
def unroll(f: str, xs: Any, h0: Any, Wx: Any, Wh: Any, b: Any) -> Any:
    """Return all states of ``VanillaRNN`` under ``hk.dynamic_unroll``, time first."""

    def layer(xs: Any, h0: Any) -> Any:
        return hk.dynamic_unroll(hk.VanillaRNN(h0.shape[-1], double_bias=False), xs, h0)[0]

    return hk.without_apply_rng(hk.transform(layer)).apply(named(Wx, Wh, b), xs, h0)


@differentiated
def with_two_biases(f: str, xs: Any, h0: Any, Wx: Any, Wh: Any, b: Any) -> Any:
    """Return the same of a cell with two biases, its default, between which the case's is divided."""

    def layer(xs: Any, h0: Any) -> Any:
        return hk.dynamic_unroll(hk.VanillaRNN(h0.shape[-1]), xs, h0)[0]

    params = named(Wx, Wh, None if b is None else b / 2)
    params["vanilla_rnn/linear_1"]["b"] = params["vanilla_rnn/linear"]["b"]
    return hk.without_apply_rng(hk.transform(layer)).apply(params, xs, h0)


def environment() -> dict[str, str]:
    """Return the versions and the flags that decide the precision."""
    return {"haiku": hk.__version__} | _jax.environment()


IMPORTS = "import haiku as hk"
HELD = (f"LAYOUTS = {LAYOUTS}", laid_out, named)
RELU: dict[str, Any] = {"nonlinearities": NONLINEARITIES}
STEPPED: dict[str, Any] = {"recomputes": ("steps",), "max_T": 32, "unsupported": ("T=0",)} | RELU
LAYER: dict[str, Any] = {"options": {"two biases": with_two_biases}} | RELU

ADAPTERS = (
    of_states("haiku.VanillaRNN", IMPORTS, (*HELD, step_cell), "VanillaRNN stepped, jit", **STEPPED),
    of_states("haiku.dynamic_unroll", IMPORTS, (*HELD, unroll), "dynamic_unroll of VanillaRNN, jit", **LAYER),
)
