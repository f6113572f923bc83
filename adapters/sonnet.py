"""Sonnet: ``snt.VanillaRNN``, stepped and unrolled by ``snt.dynamic_unroll``, differentiated by ``GradientTape``.

Its weights are shaped as here, and it has a bias always.
"""

from __future__ import annotations

from typing import Any

import sonnet as snt
import tensorflow as tf

from adapters import Adapter, Idiom
from adapters._layout import laid_out

# https://sonnet.readthedocs.io/en/latest/api.html, "VanillaRNN"
LAYOUTS = {"VanillaRNN": {"input_to_hidden/w": "Wx", "hidden_to_hidden/w": "Wh", "b": "b or 0"}}


def loaded(Wx: Any, Wh: Any, b: Any, nonlinearity: str) -> Any:
    """Return an ``snt.VanillaRNN`` with these parameters; its variables are made at a first call."""
    dtype = tf.as_dtype(Wx.dtype)
    inits = (snt.initializers.Constant(0.0),) * 2
    core = snt.VanillaRNN(len(Wh), getattr(tf.nn, nonlinearity), *inits, dtype=dtype)
    core(tf.zeros((1, len(Wx)), dtype), core.initial_state(1))
    held = laid_out(LAYOUTS["VanillaRNN"], Wx, Wh, b)
    for variable in core.variables:
        variable.assign(held[variable.name.partition("/")[2].removesuffix(":0")])
    return core


def pull_back(states: Any, core: Any, xs: Any, h0: Any, upstream: Any, has_bias: bool) -> list[Any]:
    """Return hs, dxs, dh0, dWx, dWh and, with a bias, db of a function of xs and h0 as NumPy arrays."""
    x, h = tf.constant(xs), tf.constant(h0)
    weights = [core.input_to_hidden, core.hidden_to_hidden, core._b][: 2 + has_bias]
    with tf.GradientTape() as tape:
        tape.watch((x, h))
        hs = states(x, h)
    gradients = tape.gradient(hs, [x, h, *weights], tf.constant(upstream), unconnected_gradients="zero")
    return [tensor.numpy() for tensor in (hs, *gradients)]


def step_cell(xs: Any, h0: Any, Wx: Any, Wh: Any, b: Any, upstream: Any, nonlinearity: str) -> list[Any]:
    """Step one ``snt.VanillaRNN`` through the sequence."""
    core = loaded(Wx, Wh, b, nonlinearity)

    def states(x: Any, h: Any) -> Any:
        hs = [h]
        for x_t in tf.unstack(x):
            hs.append(core(x_t, hs[-1])[0])
        return tf.stack(hs)[1:]

    return pull_back(states, core, xs, h0, upstream, b is not None)


def unroll(xs: Any, h0: Any, Wx: Any, Wh: Any, b: Any, upstream: Any, nonlinearity: str) -> list[Any]:
    """Unroll an ``snt.VanillaRNN`` over the sequence."""
    core = loaded(Wx, Wh, b, nonlinearity)
    return pull_back(lambda x, h: snt.dynamic_unroll(core, x, h)[0], core, xs, h0, upstream, b is not None)


def tanh(array: Any) -> Any:
    """Return tf.tanh of a NumPy array."""
    return tf.tanh(tf.constant(array)).numpy()


def environment() -> dict[str, str]:
    """Return the versions and what decides the precision."""
    return {"sonnet": snt.__version__, "tensorflow": tf.__version__, "precision": "that of each core"}


TANH_ULPS = {"float64": 8.0, "float32": 6.0, "bfloat16": 1.0, "float16": 1.0}
IMPORTS = "import sonnet as snt\nimport tensorflow as tf"
PARTS = (f"LAYOUTS = {LAYOUTS}", laid_out, loaded, pull_back)

# A step takes a millisecond.
LONGEST = 1000

ADAPTERS = tuple(
    Adapter.of_arrays(
        f"sonnet.{name}", Idiom(IMPORTS, (*PARTS, run)), describe, tanh, TANH_ULPS, max_T=LONGEST, refuses=refuses
    )
    for name, run, describe, refuses in (
        ("VanillaRNN", step_cell, "snt.VanillaRNN stepped, GradientTape", ()),
        ("dynamic_unroll", unroll, "snt.VanillaRNN, snt.dynamic_unroll, GradientTape", ("T=0",)),
    )
)
