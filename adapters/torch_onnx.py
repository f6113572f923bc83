"""PyTorch through ONNX: ``nn.RNN``, exported by ``torch.onnx.export`` and run by ONNX Runtime, forward only."""

from __future__ import annotations

import logging
import warnings
from functools import lru_cache
from typing import Any

import numpy as np
import onnxruntime
import torch
from torch import nn
from torch.func import functional_call

from adapters import Adapter, Way, facts
from adapters._way import forward_only

LAYOUTS = {"RNN": {"weight_ih_l0": "Wx.T", "weight_hh_l0": "Wh.T", "bias_ih_l0": "b", "bias_hh_l0": "0"}}  # as torch.py


class Layer(nn.Module):
    """An ``nn.RNN`` that takes its parameters as inputs, so that one export serves all cases of a shape."""

    def __init__(self, *sizes: int, **options: Any) -> None:
        super().__init__()
        self.layer = nn.RNN(*sizes, **options)

    def forward(self, x: Any, h: Any, *parameters: Any) -> Any:
        """Return all states."""
        names = [name for name, _ in self.layer.named_parameters()]
        return functional_call(self.layer, dict(zip(names, parameters, strict=True)), (x, h))[0]


def session_of(module: nn.Module, arguments: Any) -> Any:
    """Return a session of an exported module, without the warnings and log messages of the exporter."""
    for name in ("torch.onnx", "torch._subclasses.fake_tensor"):
        logging.getLogger(name).setLevel(logging.CRITICAL)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        model = torch.onnx.export(module, arguments, dynamo=True, verbose=False).model_proto
    return onnxruntime.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"])


@lru_cache(maxsize=256)
def exported(T: int, N: int, D: int, H: int, bias: bool, nonlinearity: str, dtype: str) -> Any:
    """Return a session of the layer for parameters of any values."""
    like: Any = {"dtype": getattr(torch, dtype)}
    layer = Layer(D, H, bias=bias, nonlinearity=nonlinearity, **like).eval()
    parameters = (torch.zeros(parameter.shape, **like) for parameter in layer.parameters())
    return session_of(layer, (torch.zeros(T, N, D, **like), torch.zeros(1, N, H, **like), *parameters))


def layer(nonlinearity: str, weights: Any, xs: Any, states: Any) -> Any:
    """Run the exported layer, time first."""
    (h0,) = states
    session = exported(*xs.shape, h0.shape[-1], len(weights) > 2, nonlinearity, xs.dtype.name)
    inputs = zip(session.get_inputs(), (xs, h0[None], *weights.values()), strict=True)
    return session.run(None, {entry.name: np.ascontiguousarray(array) for entry, array in inputs})[0]


# For the registry alone.


def tanh(array: Any) -> Any:
    """Return the exported tanh of a NumPy array."""
    session = session_of(nn.Tanh(), (torch.from_numpy(array),))
    return session.run(None, {session.get_inputs()[0].name: array})[0]


EXPORTER = f"{torch.__version__}, dynamo"
environment = facts(torch_onnx=EXPORTER, onnxruntime=onnxruntime.__version__, precision="that of the module")
# In float32, tanh is off by 14 ulp just above the smallest normal number, where a factor underflows; elsewhere by 5.
ULPS = {"float64": 8.0, "float32": 16.0, "float16": 1.0}
# max_T: a step is eight nodes of the model, and the exporter takes a second for each shape.
LIMITS: dict[str, Any] = {"offers": ("h",), "max_T": 20, "unsupported": ("T=0", "D=0")}
LAYER = Way(LAYOUTS, forward_only, "RNN", (layer,))
ADAPTERS = (Adapter("torch_onnx.RNN", LAYER, "nn.RNN exported, run by ONNX Runtime", tanh, ULPS, **LIMITS),)
