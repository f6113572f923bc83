"""Haiku: ``VanillaRNN``, stepped and under ``hk.dynamic_unroll``. Its only nonlinearity is relu."""

from __future__ import annotations

from functools import partial
from typing import Any

import haiku as hk
import jax.numpy as jnp

from adapters import Adapter, Way, _jax
from adapters._jax import ULPS, by_two_pull_backs, by_vjp, run, tanh
from adapters._way import unroll

# https://dm-haiku.readthedocs.io/en/latest/api.html, "VanillaRNN" and "Linear". Haiku ignores unused parameters.
LAYOUTS = {
    "VanillaRNN": {
        "vanilla_rnn/linear/w": "Wx",
        "vanilla_rnn/linear/b": "b or 0",
        "vanilla_rnn/linear_1/w": "Wh",
        "vanilla_rnn/linear_1/b": "0?",
    }
}
NONLINEARITIES = ("relu",)


def apply(function: Any, weights: Any, *inputs: Any) -> Any:
    """Call a function of modules with these parameters."""
    modules = dict[str, Any]()
    for name, array in weights.items():
        modules.setdefault(name.rpartition("/")[0], {})[name.rpartition("/")[2]] = array
    return hk.without_apply_rng(hk.transform(function)).apply(modules, *inputs)


def stepped(nonlinearity: str, weights: Any, xs: Any, states: Any) -> Any:
    """Step ``VanillaRNN`` with one bias."""
    step = partial(apply, lambda x, h: hk.VanillaRNN(h.shape[-1], double_bias=False)(x, h)[1], weights)
    return jnp.stack(unroll(step, xs, states)[1:])


def unrolled(nonlinearity: str, weights: Any, xs: Any, states: Any, double_bias: bool = False) -> Any:
    """Run ``VanillaRNN`` under ``hk.dynamic_unroll``, time first."""
    core = partial(hk.VanillaRNN, states[0].shape[-1], double_bias=double_bias)
    return apply(lambda xs, h0: hk.dynamic_unroll(core(), xs, h0)[0], weights, xs, *states)


def last_state(nonlinearity: str, weights: Any, xs: Any, states: Any) -> Any:
    """Run ``unrolled``, and take the last step from the second output, the last state."""
    core = partial(hk.VanillaRNN, states[0].shape[-1], double_bias=False)
    outputs, last = apply(lambda xs, h0: hk.dynamic_unroll(core(), xs, h0), weights, xs, *states)
    return jnp.concatenate([outputs[:-1], last[None]])


def with_two_biases(nonlinearity: str, weights: Any, xs: Any, states: Any) -> Any:
    """Run ``unrolled`` with two biases, the default of ``VanillaRNN``. Each is half of the bias of the case."""
    half = weights["vanilla_rnn/linear/b"] / 2
    halves = {"vanilla_rnn/linear/b": half, "vanilla_rnn/linear_1/b": half}
    return unrolled(nonlinearity, weights | halves, xs, states, double_bias=True)


# For the registry alone.


def environment() -> dict[str, str]:
    """Return the versions and the flags that decide the precision."""
    return {"haiku": hk.__version__} | _jax.environment()


of = partial(Adapter, tanh=tanh, tanh_ulps=ULPS, nonlinearities=NONLINEARITIES)
way = partial(Way, LAYOUTS, run, "VanillaRNN")
OPTIONS = {"two biases": way((with_two_biases, by_vjp)), "last state": way((last_state, by_vjp))}
OPTIONS |= {"second pull-back": way((unrolled, by_two_pull_backs))}
ADAPTERS = (
    of("haiku.VanillaRNN", way((stepped, by_vjp)), "VanillaRNN stepped, jit", max_T=32, unsupported=("T=0",)),
    of("haiku.dynamic_unroll", way((unrolled, by_vjp)), "dynamic_unroll of VanillaRNN, jit", options=OPTIONS),
)
