"""Shared by the frameworks on top of TensorFlow: differentiation with ``GradientTape``."""

from __future__ import annotations

from typing import Any

import tensorflow as tf

from adapters._way import bound, mapped


def run(forward: Any, differentiate: Any, nonlinearity: Any, *arrays: Any) -> Any:
    """Run on NumPy arrays."""
    tensors = mapped(tf.constant, arrays)
    return mapped(lambda tensor: tensor.numpy(), differentiate(bound(forward, nonlinearity), *tensors))


def by_tape(forward: Any, weights: Any, xs: Any, states: Any, upstream: Any) -> Any:
    """Differentiate with ``tf.GradientTape``."""
    arguments = weights, xs, states
    with tf.GradientTape() as tape:
        tape.watch(arguments)
        outputs = forward(*arguments)
    return outputs, tape.gradient(outputs, arguments, upstream, unconnected_gradients="zero")


# For the registry alone.

ULPS = {"float64": 8.0, "float32": 6.0, "bfloat16": 1.0, "float16": 1.0}
# Largest T, because a step takes a millisecond.
LONGEST = 1000
