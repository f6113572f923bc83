"""Sonnet: ``snt.VanillaRNN``, stepped and unrolled by ``snt.dynamic_unroll``, differentiated by ``GradientTape``.

Its weights are shaped as here, and it has a bias always.
"""

from __future__ import annotations

from typing import Any

import sonnet as snt
import tensorflow as tf

from adapters import Adapter, Idiom, _tensorflow
from adapters._layout import laid_out
from adapters._tensorflow import TANH_ULPS, pull_back

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


def weights(core: Any, has_bias: bool) -> list[Any]:
    """Return the variables of a core, its bias last and only if the case has one."""
    return [core.input_to_hidden, core.hidden_to_hidden, core._b][: 2 + has_bias]


def step_cell(xs: Any, h0: Any, Wx: Any, Wh: Any, b: Any, upstream: Any, nonlinearity: str) -> list[Any]:
    """Step one ``snt.VanillaRNN`` through the sequence."""
    core = loaded(Wx, Wh, b, nonlinearity)

    def states(x: Any, h: Any) -> Any:
        hs = [h]
        for x_t in tf.unstack(x):
            hs.append(core(x_t, hs[-1])[0])
        return tf.stack(hs)[1:]

    return pull_back(states, weights(core, b is not None), xs, h0, upstream)


def unroll(xs: Any, h0: Any, Wx: Any, Wh: Any, b: Any, upstream: Any, nonlinearity: str) -> list[Any]:
    """Unroll an ``snt.VanillaRNN`` over the sequence."""
    core = loaded(Wx, Wh, b, nonlinearity)
    held = weights(core, b is not None)
    return pull_back(lambda x, h: snt.dynamic_unroll(core, x, h)[0], held, xs, h0, upstream)


def tanh(array: Any) -> Any:
    """Return tf.tanh of a NumPy array."""
    return tf.tanh(tf.constant(array)).numpy()


def environment() -> dict[str, str]:
    """Return the versions and what decides the precision."""
    return {"sonnet": snt.__version__, "tensorflow": tf.__version__, "precision": "that of each core"}


IMPORTS = f"{_tensorflow.IMPORTS}\nimport sonnet as snt"
PARTS = (f"LAYOUTS = {LAYOUTS}", laid_out, loaded, pull_back, weights)

# A step takes a millisecond.
LONGEST = 1000

ADAPTERS = tuple(
    Adapter.of_arrays(
        f"sonnet.{name}",
        Idiom(IMPORTS, (*PARTS, run)),
        describe,
        tanh,
        TANH_ULPS,
        max_T=LONGEST,
        unsupported=unsupported,
    )
    for name, run, describe, unsupported in (
        ("VanillaRNN", step_cell, "snt.VanillaRNN stepped, GradientTape", ()),
        ("dynamic_unroll", unroll, "snt.VanillaRNN, snt.dynamic_unroll, GradientTape", ("T=0",)),
    )
)
