"""Keras on PyTorch: its cells and layers, differentiated by PyTorch's autograd."""

from __future__ import annotations

import os
from functools import partial
from typing import Any

os.environ["KERAS_BACKEND"] = "torch"

import keras
import torch

from adapters import _keras, _keras_layers
from adapters._keras import LAYOUTS as LAYOUTS
from adapters._keras import module_for
from adapters._torch import as_array, by_autograd
from adapters._way import mapped


def convert(array: Any) -> Any:
    """Return a NumPy array as a tensor that can require a gradient."""
    return keras.ops.convert_to_tensor(array, dtype=array.dtype.name).clone()


def differentiate(forward: Any, module: Any, *arrays: Any) -> Any:
    """Run on NumPy arrays and differentiate."""
    return mapped(as_array, by_autograd(partial(forward, module), *mapped(convert, arrays)))


def run_module(forward: Any, cell: str, weights: Any, *arrays: Any) -> Any:
    """Run a cell or layer."""
    return differentiate(forward, module_for(forward, cell, weights), weights, *arrays)


# For the registry alone.

_keras.require("torch")


def tanh(array: Any) -> Any:
    """Return the tanh of a NumPy array by Keras, which calls PyTorch."""
    return as_array(keras.ops.tanh(convert(array)))


def sigmoid(array: Any) -> Any:
    """Return the sigmoid of a NumPy array by Keras, which calls PyTorch."""
    return as_array(keras.ops.sigmoid(convert(array)))


def environment() -> dict[str, str]:
    """Return the versions and the flags that decide the precision."""
    precision = {"torch": torch.__version__, "float32 matmul precision": torch.get_float32_matmul_precision()}
    return _keras.environment("torch") | precision


# float64 is left out, because its products are computed in float32 without a warning. In bfloat16, PyTorch's products
# carry NaN into another row. FINDINGS.md describes both.
ULPS = {"float32": 1.0, "bfloat16": 1.0, "float16": 1.0}
CELL = {"unsupported": ("T=0",)}
BOTH: dict[str, Any] = {"tanh": tanh, "tanh_ulps": ULPS, "sigmoid": sigmoid, "finite": ("bfloat16",)}
SEVERAL = partial(_keras_layers.run, differentiate, lambda cell, dtype: {})
ADAPTERS = _keras.rows("torch", run_module, SEVERAL, "autograd of PyTorch", CELL, **BOTH)
