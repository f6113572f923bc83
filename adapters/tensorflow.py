"""TensorFlow: a composed cell in ``tf.scan`` (TensorFlow has no cell outside Keras), in reverse and forward mode."""

from __future__ import annotations

from functools import lru_cache, partial
from typing import Any

import tensorflow as tf

from adapters import JVP, Adapter, Way, facts
from adapters._tensorflow import ULPS, by_tape, run
from adapters._way import unroll

# The composed cell has the parameters of the reference.
LAYOUTS = {"function": {"Wx": "Wx", "Wh": "Wh", "b": "b"}}


def cell(nonlinearity: str, weights: Any, x: Any, h: Any) -> Any:
    """Return the next state of the composed cell; x (N, D), h (N, H)."""
    a = x @ weights["Wx"] + h @ weights["Wh"]
    return getattr(tf.nn, nonlinearity)(a + weights["b"] if "b" in weights else a)


def scanned(nonlinearity: str, weights: Any, xs: Any, states: Any) -> Any:
    """Run the cell in ``tf.scan``."""
    return tf.scan(lambda h, x: cell(nonlinearity, weights, x, h), xs, *states)


def stepped(nonlinearity: str, weights: Any, xs: Any, states: Any) -> Any:
    """Step the cell."""
    return tf.stack(unroll(partial(cell, nonlinearity, weights), tf.unstack(xs), states))[1:]


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


environment = facts(tensorflow=tf.__version__, precision="that of each tensor")
XLA = partial(tanh, jit=True)
way = partial(Way, LAYOUTS, run, "function")
ADAPTERS = (
    Adapter("tensorflow.function", way((scanned, by_function)), "tf.scan in a tf.function, GradientTape", tanh, ULPS),
    Adapter("tensorflow.xla", way((scanned, by_xla)), "the same, jit_compile=True", XLA, ULPS, unsupported=("T=0",)),
    Adapter("tensorflow.jvp", way((stepped, by_accumulator)), "steps, ForwardAccumulator", tanh, ULPS, **JVP),
)
