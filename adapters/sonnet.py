"""Sonnet: its cores, stepped and unrolled by ``snt.dynamic_unroll``, differentiated by ``GradientTape``."""

from __future__ import annotations

from functools import partial
from typing import Any

import sonnet as snt
import tensorflow as tf

from adapters import Adapter, Way, facts, gated
from adapters._tensorflow import LONGEST, ULPS, by_tape
from adapters._way import mapped, unroll

# https://sonnet.readthedocs.io/en/latest/api.html, "VanillaRNN", "LSTM" and "GRU".
LAYOUTS = {
    "VanillaRNN": {"input_to_hidden/w": "Wx", "hidden_to_hidden/w": "Wh", "b": "b or 0"},
    "LSTM": {"cell": "lstm i f g o", "w_i": "Wx", "w_h": "Wh", "b": "b or 0"},
    "GRU": {"cell": "gru_reset_before -z r n", "w_i": "Wx", "w_h": "Wh", "b": "b or 0"},
}
KINDS = {"lstm": snt.LSTM, "gru_reset_before": snt.GRU}
KINDS |= {name: partial(snt.VanillaRNN, activation=getattr(tf.nn, name)) for name in ("tanh", "relu")}


def run_core(forward: Any, cell: str, weights: Any, *arrays: Any) -> Any:
    """Run a core with these weights on NumPy arrays. The first call creates its variables."""
    Wx, Wh, _ = weights.values()
    dtype, zeros = tf.as_dtype(arrays[0].dtype), snt.initializers.Constant(0.0)
    core = KINDS[cell](len(Wh), w_i_init=zeros, w_h_init=zeros, dtype=dtype)
    core(tf.zeros((1, len(Wx)), dtype), core.initial_state(1))
    variables = {one.name.partition("/")[2].removesuffix(":0"): one for one in core.variables}
    for name, array in weights.items():
        variables[name].assign(array)
    results = by_tape(partial(forward, core), {name: variables[name] for name in weights}, *mapped(tf.constant, arrays))
    return mapped(lambda tensor: tensor.numpy(), results)


def state_of(states: Any) -> Any:
    """Return the state of a core."""
    return snt.LSTMState(*states) if len(states) > 1 else states[0]


def stepped(core: Any, weights: Any, xs: Any, states: Any) -> Any:
    """Step a core."""
    found = unroll(lambda x, state: core(x, state)[1], tf.unstack(xs), [state_of(states)])
    hs = tf.stack([tf.nest.flatten(state)[0] for state in found])[1:]
    return (hs, found[-1].cell) if len(states) > 1 else hs


def unrolled(core: Any, weights: Any, xs: Any, states: Any) -> Any:
    """Unroll a core over the sequence."""
    outputs, last = snt.dynamic_unroll(core, xs, state_of(states))
    return (outputs, last.cell) if len(states) > 1 else outputs


def last_state(core: Any, weights: Any, xs: Any, states: Any) -> Any:
    """Unroll a core, and take the last step from the second output, the last state."""
    outputs, last = snt.dynamic_unroll(core, xs, state_of(states))
    outputs = tf.concat([outputs[:-1], tf.nest.flatten(last)[0][None]], axis=0)
    return (outputs, last.cell) if len(states) > 1 else outputs


# For the registry alone.


def tanh(array: Any) -> Any:
    """Return tf.tanh of a NumPy array."""
    return tf.tanh(tf.constant(array)).numpy()


def sigmoid(array: Any) -> Any:
    """Return tf.sigmoid of a NumPy array."""
    return tf.sigmoid(tf.constant(array)).numpy()


def complement(array: Any) -> Any:
    """Return 1 - tf.sigmoid(-a) of a NumPy array, as ``GRU`` computes the weight of h."""
    return 1 - sigmoid(-array)


environment = facts(sonnet=snt.__version__, tensorflow=tf.__version__, precision="that of each core")
way = partial(Way, LAYOUTS, run_core)
of = partial(Adapter, tanh=tanh, tanh_ulps=ULPS, max_T=LONGEST)


def rows(kind: str, name: str, **own: Any) -> tuple[Adapter, Adapter]:
    """Return the adapters of a core: stepped, and unrolled under this name."""
    what, options = f"snt.{kind}, snt.dynamic_unroll, GradientTape", {"last state as h[-1]": way(kind, (last_state,))}
    return (
        of(f"sonnet.{kind}", way(kind, (stepped,)), f"snt.{kind} stepped, GradientTape", **own),
        of(f"sonnet.{name}", way(kind, (unrolled,)), what, unsupported=("T=0",), options=options, **own),
    )


OF_GRU: dict[str, Any] = {"sigmoid": complement, "sigmoid_absolute": dict.fromkeys(ULPS, 4.0)}
ADAPTERS = (
    *rows("VanillaRNN", "dynamic_unroll"),
    *rows("LSTM", "LSTM.dynamic_unroll", sigmoid=sigmoid, **gated("lstm")),
    # 1 - s(-a) is accurate relative to 1 alone.
    *rows("GRU", "GRU.dynamic_unroll", **gated("gru_reset_before"), **OF_GRU),
)
