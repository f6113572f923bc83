"""Keras on TensorFlow: its cells and layers, differentiated by ``GradientTape``."""

from __future__ import annotations

import os
from functools import partial
from typing import Any

os.environ["KERAS_BACKEND"] = "tensorflow"

import keras
import tensorflow as tf

from adapters import _keras, _keras_layers
from adapters._keras import LAYOUTS as LAYOUTS
from adapters._keras import module_for
from adapters._tensorflow import LONGEST, ULPS, by_tape, run


def differentiate(forward: Any, module: Any, *arrays: Any) -> Any:
    """Run on NumPy arrays and differentiate."""
    return run(forward, by_tape, module, *arrays)


def run_module(forward: Any, cell: str, weights: Any, *arrays: Any) -> Any:
    """Run a cell or layer."""
    return differentiate(forward, module_for(forward, cell, weights), weights, *arrays)


# For the registry alone.

_keras.require("tensorflow")


def tanh(array: Any) -> Any:
    """Return the tanh of a NumPy array by Keras, which calls TensorFlow."""
    return keras.ops.tanh(tf.constant(array)).numpy()


def sigmoid(array: Any) -> Any:
    """Return the sigmoid of a NumPy array by Keras, which calls TensorFlow."""
    return keras.ops.sigmoid(tf.constant(array)).numpy()


def environment() -> dict[str, str]:
    """Return the versions and the settings that decide the precision."""
    return _keras.environment("tensorflow") | {"tensorflow": tf.__version__}


OF_ALL: dict[str, Any] = {"tanh": tanh, "tanh_ulps": ULPS, "sigmoid": sigmoid, "max_T": LONGEST}
SEVERAL = partial(_keras_layers.run, differentiate, lambda cell, dtype: {})
# N=0: keras.ops.add takes the second of two empty products for a bias.
ADAPTERS = _keras.rows("tensorflow", run_module, SEVERAL, "GradientTape", {}, ("N=0",), **OF_ALL)
