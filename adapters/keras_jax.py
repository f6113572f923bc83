"""Keras on JAX: ``SimpleRNNCell`` and ``SimpleRNN`` by ``stateless_call``, under ``jax.jit``."""

from __future__ import annotations

import os
from typing import Any

os.environ["KERAS_BACKEND"] = "jax"

import jax
import jax.numpy as jnp

from adapters import _jax, _keras
from adapters._jax import differentiated, of_states
from adapters._keras import HELD, built, in_order

_keras.require("jax")


def stateless(kind: str, f: str, Wx: Any, Wh: Any, b: Any, *inputs: Any, **options: Any) -> Any:
    """Call a cell or layer as a function of its weights."""
    # Keras's own tanh turns float64 into float32 on JAX: tests/findings has it.
    activation = jnp.tanh if f == "tanh" and Wx.dtype == "float64" else f
    with jax.ensure_compile_time_eval():
        module = built(kind, Wx, b, activation, **options)
        others = [variable.value for variable in module.non_trainable_variables]
    return module.stateless_call(in_order(kind, Wx, Wh, b), others, *inputs)[0]


@differentiated
def step_cell(f: str, xs: Any, h0: Any, Wx: Any, Wh: Any, b: Any) -> Any:
    """Return all states of ``SimpleRNNCell``, stepped."""
    states = [h0]
    for x in xs:
        states.append(stateless("SimpleRNNCell", f, Wx, Wh, b, x, [states[-1]])[0])
    return jnp.stack(states[1:])


@differentiated
def run_layer(f: str, xs: Any, h0: Any, Wx: Any, Wh: Any, b: Any) -> Any:
    """Return all states of ``SimpleRNN``."""
    inputs = xs.swapaxes(0, 1), h0
    return stateless("SimpleRNN", f, Wx, Wh, b, *inputs, return_sequences=True).swapaxes(0, 1)


def environment() -> dict[str, str]:
    """Return the versions and the flags that decide the precision."""
    return _keras.environment("jax") | _jax.environment()


IMPORTS = 'import os\n\nos.environ["KERAS_BACKEND"] = "jax"\nimport keras'
ADAPTERS = (
    of_states(
        "keras_jax.SimpleRNNCell",
        IMPORTS,
        (*HELD, stateless, step_cell),
        "SimpleRNNCell stepped, jit",
        max_T=32,
        unsupported=("T=0",),
    ),
    of_states("keras_jax.SimpleRNN", IMPORTS, (*HELD, stateless, run_layer), "SimpleRNN, jit", unsupported=("T=0",)),
)
