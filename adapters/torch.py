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

from adapters import Adapter
from reference import Case, Evaluation


def run_cell(case: Case) -> Evaluation:
    """Step one ``nn.RNNCell`` through the sequence; autograd propagates back through all steps."""
    xs, h0, cell = _tensor(case.xs), _tensor(case.h0), _module(nn.RNNCell, case)
    states = [h0]
    for x in xs.unbind():
        states.append(cell(x, states[-1]))
    return _evaluation(case, torch.stack(states[1:]), xs, h0, cell)


def run_layer(case: Case) -> Evaluation:
    """Run ``nn.RNN`` over the sequence, time first as is its default."""
    xs, h0, layer = _tensor(case.xs), _tensor(case.h0), _module(nn.RNN, case)
    hs, _ = layer(xs, h0[None])
    return _evaluation(case, hs, xs, h0, layer)


def _tensor(array: Any) -> Tensor:
    return torch.tensor(array).requires_grad_()


def _module(kind: Any, case: Case) -> nn.Module:
    sizes, params = case.sizes, case.params
    bias, dtype = params.b is not None, getattr(torch, case.dtype)
    module: nn.Module = kind(sizes["D"], sizes["H"], bias=bias, nonlinearity=case.nonlinearity, dtype=dtype)
    values = [params.Wx.T, params.Wh.T, params.b, np.zeros(sizes["H"])]
    with torch.no_grad():
        for parameter, value in zip(module.parameters(), values, strict=False):
            parameter.copy_(torch.tensor(value))
    return module


def _evaluation(case: Case, hs: Tensor, xs: Tensor, h0: Tensor, module: nn.Module) -> Evaluation:
    weights = list(module.parameters())[: 3 if case.params.b is not None else 2]
    dxs, dh0, dWx, dWh, *db = torch.autograd.grad(hs, (xs, h0, *weights), torch.tensor(case.upstream))
    arrays = (tensor.detach().numpy() for tensor in (hs, dxs, dh0, dWx.T, dWh.T, *db))
    return Evaluation(*arrays)


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

ADAPTERS = (
    Adapter("torch.RNNCell", run_cell, "nn.RNNCell stepped through time, autograd", tanh, TANH_ULPS),
    Adapter("torch.RNN", run_layer, "nn.RNN, autograd", tanh, TANH_ULPS),
)
