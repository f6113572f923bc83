"""PyTorch: ``nn.RNNCell`` stepped through time, and ``nn.RNN``; gradients by autograd.

PyTorch keeps transposed weights, weight_ih (H, D) = Wx.T and weight_hh (H, H) = Wh.T, and two biases that it adds;
the second is set to zero here, and db is the gradient of the first (both have the same one).
"""

from __future__ import annotations

import pickle
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from adapters import Adapter, Idiom


def load_module(kind: Any, Wx: Any, Wh: Any, b: Any, nonlinearity: str) -> nn.Module:
    """Return an ``nn.RNN`` or ``nn.RNNCell`` with these parameters."""
    D, H = Wx.shape
    dtype = torch.tensor(Wx).dtype
    module: nn.Module = kind(D, H, bias=b is not None, nonlinearity=nonlinearity, dtype=dtype)
    with torch.no_grad():
        for parameter, value in zip(module.parameters(), (Wx.T, Wh.T, b, np.zeros(H)), strict=False):
            parameter.copy_(torch.tensor(value))
    return module


def pull_back(hs: Tensor, x: Tensor, h: Tensor, module: nn.Module, upstream: Any) -> list[Any]:
    """Return hs, dxs, dh0, dWx, dWh and, with a bias, db as NumPy arrays."""
    weights = list(module.parameters())[:3]
    dxs, dh0, dWx, dWh, *db = torch.autograd.grad(hs, (x, h, *weights), torch.tensor(upstream))
    return [tensor.detach().numpy() for tensor in (hs, dxs, dh0, dWx.T, dWh.T, *db)]


def step_cell(xs: Any, h0: Any, Wx: Any, Wh: Any, b: Any, upstream: Any, nonlinearity: str) -> list[Any]:
    """Step one ``nn.RNNCell`` through the sequence; autograd propagates back through all steps."""
    x, h = torch.tensor(xs, requires_grad=True), torch.tensor(h0, requires_grad=True)
    cell = load_module(nn.RNNCell, Wx, Wh, b, nonlinearity)
    states = [h]
    for t in range(len(xs)):
        states.append(cell(x[t], states[-1]))
    return pull_back(torch.stack(states[1:]), x, h, cell, upstream)


def run_layer(xs: Any, h0: Any, Wx: Any, Wh: Any, b: Any, upstream: Any, nonlinearity: str) -> list[Any]:
    """Run ``nn.RNN`` over the sequence, time first as is its default."""
    x, h = torch.tensor(xs, requires_grad=True), torch.tensor(h0, requires_grad=True)
    layer = load_module(nn.RNN, Wx, Wh, b, nonlinearity)
    hs, _ = layer(x, h[None])
    return pull_back(hs, x, h, layer, upstream)


def tanh(array: Any) -> Any:
    """Return torch.tanh of a NumPy array."""
    return torch.tanh(torch.tensor(array)).numpy()


def environment() -> dict[str, str]:
    """Return the version of PyTorch and the flags that decide its precision."""
    return {
        "torch": torch.__version__,
        "float32 matmul precision": torch.get_float32_matmul_precision(),
        "flush denormal": str(bool((torch.tensor([1e-310], dtype=torch.float64) * 1).item() == 0)),
        "threads": str(torch.get_num_threads()),
        "capability": torch.backends.cpu.get_cpu_capability(),
    }


def read_state_dict(path: Path) -> dict[str, Any]:
    """Read the arrays of a ``.pt`` state dict with weights only: no code of the file is run.

    Raises:
        ValueError: it is damaged, or holds something else than tensors by name.
    """
    try:
        found = torch.load(path, map_location="cpu", weights_only=True)
    except (RuntimeError, EOFError, pickle.UnpicklingError) as error:
        reason = str(error).splitlines()[0]
        raise ValueError(f"--params: expected a whole .pt file of tensors, got {path} ({reason})") from error
    if not isinstance(found, dict) or not all(isinstance(value, Tensor) for value in found.values()):
        raise ValueError(f"--params: expected a state dict in {path}, got a {type(found).__name__} of other things")
    return {name: tensor.detach().numpy() for name, tensor in found.items()}


TANH_ULPS = {"float64": 1.0, "float32": 1.0}

IMPORTS = "import torch\nfrom torch import Tensor, nn"

ADAPTERS = (
    Adapter.of_arrays(
        "torch.RNNCell",
        Idiom(IMPORTS, (load_module, pull_back, step_cell)),
        "nn.RNNCell stepped through time, autograd",
        tanh,
        TANH_ULPS,
    ),
    Adapter.of_arrays(
        "torch.RNN", Idiom(IMPORTS, (load_module, pull_back, run_layer)), "nn.RNN, autograd", tanh, TANH_ULPS
    ),
)
