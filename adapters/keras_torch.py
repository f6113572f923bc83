"""Keras on PyTorch: ``SimpleRNNCell`` and ``SimpleRNN``, differentiated by PyTorch's autograd."""

from __future__ import annotations

import os
from typing import Any

os.environ["KERAS_BACKEND"] = "torch"

import keras
import torch

from adapters import Adapter, Idiom, _keras
from adapters._keras import HELD, built, in_order

_keras.require("torch")


def as_tensor(array: Any) -> Any:
    """Return a tensor of a NumPy array, of which a gradient can be taken."""
    return keras.ops.convert_to_tensor(array, dtype=array.dtype.name).clone().requires_grad_()


def as_array(tensor: Any) -> Any:
    """Return a NumPy array; bfloat16 under the name that ml_dtypes gives it."""
    still = tensor.detach()
    return still.view(torch.int16).numpy().view("bfloat16") if tensor.dtype == torch.bfloat16 else still.numpy()


def loaded(kind: str, Wx: Any, Wh: Any, b: Any, nonlinearity: str, **options: Any) -> Any:
    """Return a cell or layer with these parameters."""
    module = built(kind, Wx, b, nonlinearity, **options)
    module.set_weights(in_order(kind, Wx, Wh, b))
    return module


def pull_back(hs: Any, x: Any, h: Any, module: Any, upstream: Any) -> list[Any]:
    """Return hs, dxs, dh0, dWx, dWh and, with a bias, db as NumPy arrays."""
    weights = [weight.value for weight in module.trainable_weights]
    gradients = torch.autograd.grad(hs, (x, h, *weights), as_tensor(upstream))
    return [as_array(tensor) for tensor in (hs, *gradients)]


def step_cell(xs: Any, h0: Any, Wx: Any, Wh: Any, b: Any, upstream: Any, nonlinearity: str) -> list[Any]:
    """Step one ``SimpleRNNCell`` through the sequence."""
    x, h = as_tensor(xs), as_tensor(h0)
    cell, states = loaded("SimpleRNNCell", Wx, Wh, b, nonlinearity), [h]
    for t in range(len(xs)):
        states.append(cell(x[t], [states[-1]])[0])
    return pull_back(torch.stack(states[1:]), x, h, cell, upstream)


def run_layer(xs: Any, h0: Any, Wx: Any, Wh: Any, b: Any, upstream: Any, nonlinearity: str) -> list[Any]:
    """Run ``SimpleRNN`` over the sequence."""
    x, h = as_tensor(xs), as_tensor(h0)
    layer = loaded("SimpleRNN", Wx, Wh, b, nonlinearity, return_sequences=True)
    return pull_back(layer(x.swapaxes(0, 1), initial_state=[h]).swapaxes(0, 1), x, h, layer, upstream)


def tanh(array: Any) -> Any:
    """Return the tanh of Keras, which is PyTorch's, of a NumPy array."""
    return as_array(keras.ops.tanh(as_tensor(array)))


def environment() -> dict[str, str]:
    """Return the versions and the flags that decide the precision."""
    return _keras.environment("torch") | {
        "torch": torch.__version__,
        "float32 matmul precision": torch.get_float32_matmul_precision(),
    }


# Not float64, in which products are float32 and nothing says so: tests/findings has it.
TANH_ULPS = {"float32": 1.0, "bfloat16": 1.0, "float16": 1.0}
IMPORTS = 'import os\n\nos.environ["KERAS_BACKEND"] = "torch"\nimport keras\nimport torch'
PARTS = (*HELD, as_tensor, as_array, loaded, pull_back)
STEPPED, LAYER = Idiom(IMPORTS, (*PARTS, step_cell)), Idiom(IMPORTS, (*PARTS, run_layer))

ADAPTERS = tuple(
    # PyTorch's products in bfloat16 let NaN into another row: FINDINGS.md.
    Adapter.of_arrays(
        f"keras_torch.{name}", idiom, describe, tanh, TANH_ULPS, unsupported=("T=0",), finite=("bfloat16",)
    )
    for name, idiom, describe in (
        ("SimpleRNNCell", STEPPED, "SimpleRNNCell stepped, autograd of PyTorch"),
        ("SimpleRNN", LAYER, "SimpleRNN, autograd of PyTorch"),
    )
)
