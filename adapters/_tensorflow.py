"""What the frameworks on top of TensorFlow share: how its tape differentiates a function that returns all states."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import tensorflow as tf


def pull_back(states: Callable[..., Any], weights: Sequence[Any], xs: Any, h0: Any, upstream: Any) -> list[Any]:
    """Return hs, dxs, dh0 and the gradients of the weights of a function of xs and h0 as NumPy arrays."""
    x, h = tf.constant(xs), tf.constant(h0)
    with tf.GradientTape() as tape:
        tape.watch((x, h))
        hs = states(x, h)
    gradients = tape.gradient(hs, [x, h, *weights], tf.constant(upstream), unconnected_gradients="zero")
    return [tensor.numpy() for tensor in (hs, *gradients)]


TANH_ULPS = {"float64": 8.0, "float32": 6.0, "bfloat16": 1.0, "float16": 1.0}
IMPORTS = "from collections.abc import Callable, Sequence\n\nimport tensorflow as tf"
