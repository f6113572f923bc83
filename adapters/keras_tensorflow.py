"""Keras on TensorFlow: ``SimpleRNNCell`` and ``SimpleRNN``, differentiated by ``GradientTape``."""

from __future__ import annotations

import os
from functools import partial
from typing import Any

os.environ["KERAS_BACKEND"] = "tensorflow"

import keras
import tensorflow as tf

from adapters import Adapter, Way, _keras
from adapters._keras import LAYOUTS, layer, module_for, stepped
from adapters._tensorflow import LONGEST, ULPS, by_tape, run


def run_module(forward: Any, nonlinearity: str, weights: Any, *arrays: Any) -> Any:
    """Run on NumPy arrays."""
    return run(forward, by_tape, module_for(forward, nonlinearity, weights), weights, *arrays)


# For the registry alone.

_keras.require("tensorflow")


def tanh(array: Any) -> Any:
    """Return the tanh of Keras, which is TensorFlow's, of a NumPy array."""
    return keras.ops.tanh(tf.constant(array)).numpy()


def environment() -> dict[str, str]:
    """Return the versions and what decides the precision."""
    return _keras.environment("tensorflow") | {"tensorflow": tf.__version__}


of, way = partial(Adapter, tanh=tanh, tanh_ulps=ULPS, max_T=LONGEST), partial(Way, LAYOUTS, run_module)
ADAPTERS = (
    of("keras_tensorflow.SimpleRNNCell", way("SimpleRNNCell", (stepped,)), "SimpleRNNCell stepped, GradientTape"),
    of("keras_tensorflow.SimpleRNN", way("SimpleRNN", (layer,)), "SimpleRNN, GradientTape", unsupported=("T=0",)),
)
