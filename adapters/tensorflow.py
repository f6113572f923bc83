"""TensorFlow: composed cells in ``tf.scan`` (TensorFlow has none outside Keras), in reverse and in forward mode."""

from __future__ import annotations

from functools import lru_cache, partial
from typing import Any

import tensorflow as tf

from adapters import JVP, Adapter, Way, facts, gated
from adapters._composed import cells
from adapters._tensorflow import ULPS, by_tape, run
from adapters._way import unroll

# The composed cells have the parameters of the reference.
# fmt: off
LAYOUTS = {
    "function": {"Wx": "Wx", "Wh": "Wh", "b": "b"},
    "lstm.function": {"cell": "lstm i f g o", "Wx": "Wx", "Wh": "Wh", "b": "b"},
    "gru.function": {"cell": "gru r z n", "Wx": "Wx", "Wh": "Wh", "b": "b", "bn": "bn"},
    "gru_reset_before.function": {"cell": "gru_reset_before r z n", "Wx": "Wx", "Wh": "Wh", "b": "b"},
}
# fmt: on
CELLS = cells(tf.tanh, tf.sigmoid, tf.nn.relu)


def scanned(cell: str, weights: Any, xs: Any, states: Any) -> Any:
    """Run a cell in ``tf.scan``."""
    if cell.startswith("gru") and xs.shape[-1] == 0:
        raise ValueError("x @ Wx + b of no inputs ends the process: FINDINGS.md")
    hs, *cs = tf.scan(lambda states, x: CELLS[cell](weights, x, states), xs, states)
    return (hs, cs[0][-1]) if cs else hs


def stepped(cell: str, weights: Any, xs: Any, states: Any) -> Any:
    """Step a cell."""
    found = unroll(partial(CELLS[cell], weights), tf.unstack(xs), [states])
    hs = tf.stack([each[0] for each in found])[1:]
    return (hs, found[-1][1]) if len(states) > 1 else hs


@lru_cache(maxsize=256)
def traced(forward: Any, jit: bool, *signature: Any) -> Any:
    """Return ``by_tape`` as a ``tf.function``. Each signature has its own, so that it is traced once."""
    return tf.function(partial(by_tape, forward), jit_compile=jit, autograph=False)


def by_function(forward: Any, *arguments: Any, jit: bool = False) -> Any:
    """Differentiate with ``tf.GradientTape`` in a ``tf.function``."""
    weights, xs, states, _ = arguments
    return traced(forward, jit, xs.dtype, *xs.shape, *states[0].shape, len(weights))(*arguments)


def by_xla(forward: Any, *arguments: Any) -> Any:
    """Differentiate with ``tf.GradientTape`` in a ``tf.function`` that XLA compiles."""
    return by_function(forward, *arguments, jit=True)


def by_accumulator(forward: Any, weights: Any, xs: Any, states: Any, upstream: Any, tangents: Any) -> Any:
    """Differentiate along a direction with ``ForwardAccumulator``. It fails for ``tf.scan`` in a ``tf.function``."""
    with tf.autodiff.ForwardAccumulator((weights, xs, states), tangents) as accumulator:
        outputs = forward(weights, xs, states)
    return (outputs, None), (accumulator.jvp(outputs), None)


# For the registry alone.


def tanh(array: Any, jit: bool = False) -> Any:
    """Return tf.tanh of a NumPy array."""
    return tf.function(tf.tanh, jit_compile=jit)(tf.constant(array)).numpy()


def sigmoid(array: Any, jit: bool = False) -> Any:
    """Return tf.sigmoid of a NumPy array."""
    return tf.function(tf.sigmoid, jit_compile=jit)(tf.constant(array)).numpy()


environment = facts(tensorflow=tf.__version__, precision="that of each tensor")
XLA, XLA_SIGMOID = partial(tanh, jit=True), partial(sigmoid, jit=True)
of = partial(Adapter, tanh_ulps=ULPS)
way = partial(Way, LAYOUTS, run)


def rows(kind: str) -> tuple[Adapter, ...]:
    """Return the adapters of a cell."""
    cell, name = kind.rpartition(".")[0], f"tensorflow.{kind.removesuffix('function')}"
    by, what = partial(way, kind), "tf.scan in a tf.function, GradientTape"
    eager: dict[str, Any] = {"tanh": tanh, "sigmoid": sigmoid}
    along = gated(cell, derivatives="jvp") if cell else JVP
    own: dict[str, Any] = gated(cell) if cell else {}
    # T=0: c of an LSTM is taken from the last step, and XLA has no empty tf.scan.
    none = ("D=0",) * cell.startswith("gru")
    xla: dict[str, Any] = {"tanh": XLA, "sigmoid": XLA_SIGMOID, "unsupported": ("T=0", *none)} | own
    # In float16, the sigmoid of XLA returns 0 below -11.09, as in JAX (FINDINGS.md).
    xla |= {"sigmoid_absolute": {"float16": 0.032}}
    own |= {"unsupported": ("T=0",) if cell == "lstm" else none}
    return (
        of(f"{name}function", by((scanned, by_function)), what, **eager, **own),
        of(f"{name}xla", by((scanned, by_xla)), "the same, jit_compile=True", **xla),
        of(f"{name}jvp", by((stepped, by_accumulator)), "steps, ForwardAccumulator", **eager, **along),
    )


ADAPTERS = tuple(adapter for kind in LAYOUTS for adapter in rows(kind))
