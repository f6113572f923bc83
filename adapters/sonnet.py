"""Sonnet: ``snt.VanillaRNN``, stepped and unrolled by ``snt.dynamic_unroll``, differentiated by ``GradientTape``."""

from __future__ import annotations

from functools import partial
from typing import Any

import sonnet as snt
import tensorflow as tf

from adapters import Adapter, Way, facts
from adapters._tensorflow import LONGEST, ULPS, by_tape
from adapters._way import mapped, unroll

# https://sonnet.readthedocs.io/en/latest/api.html, "VanillaRNN"
LAYOUTS = {"VanillaRNN": {"input_to_hidden/w": "Wx", "hidden_to_hidden/w": "Wh", "b": "b or 0"}}


def run_core(forward: Any, nonlinearity: str, weights: Any, *arrays: Any) -> Any:
    """Run an ``snt.VanillaRNN`` with these weights on NumPy arrays. The first call creates its variables."""
    D, H = next(iter(weights.values())).shape
    dtype, inits = tf.as_dtype(arrays[0].dtype), (snt.initializers.Constant(0.0),) * 2
    core = snt.VanillaRNN(H, getattr(tf.nn, nonlinearity), *inits, dtype=dtype)
    core(tf.zeros((1, D), dtype), core.initial_state(1))
    variables = {one.name.partition("/")[2].removesuffix(":0"): one for one in core.variables}
    for name, array in weights.items():
        variables[name].assign(array)
    results = by_tape(partial(forward, core), variables, *mapped(tf.constant, arrays))
    return mapped(lambda tensor: tensor.numpy(), results)


def stepped(core: Any, weights: Any, xs: Any, states: Any) -> Any:
    """Step a core."""
    return tf.stack(unroll(lambda x, h: core(x, h)[0], tf.unstack(xs), states))[1:]


def unrolled(core: Any, weights: Any, xs: Any, states: Any) -> Any:
    """Unroll a core over the sequence."""
    return snt.dynamic_unroll(core, xs, *states)[0]


def last_state(core: Any, weights: Any, xs: Any, states: Any) -> Any:
    """Unroll a core, and take the last step from the second output, the last state."""
    outputs, last = snt.dynamic_unroll(core, xs, *states)
    return tf.concat([outputs[:-1], last[None]], axis=0)


# For the registry alone.


def tanh(array: Any) -> Any:
    """Return tf.tanh of a NumPy array."""
    return tf.tanh(tf.constant(array)).numpy()


environment = facts(sonnet=snt.__version__, tensorflow=tf.__version__, precision="that of each core")
way = partial(Way, LAYOUTS, run_core, "VanillaRNN")
of = partial(Adapter, tanh=tanh, tanh_ulps=ULPS, max_T=LONGEST)
OPTIONS = {"last state": way((last_state,))}
UNROLLED = "snt.VanillaRNN, snt.dynamic_unroll, GradientTape"
ADAPTERS = (
    of("sonnet.VanillaRNN", way((stepped,)), "snt.VanillaRNN stepped, GradientTape"),
    of("sonnet.dynamic_unroll", way((unrolled,)), UNROLLED, unsupported=("T=0",), options=OPTIONS),
)
