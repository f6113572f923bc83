"""PyTorch through ONNX: its layers, exported by ``torch.onnx.export`` and run by ONNX Runtime, forward only."""

from __future__ import annotations

import logging
import warnings
from functools import lru_cache, partial
from typing import Any

import numpy as np
import onnxruntime
import torch
from torch import nn
from torch.func import functional_call

from adapters import Adapter, ExpectedFailure, Way, facts, gated
from adapters._way import forward_only

# fmt: off
# As torch.py. nn.LSTM is left out, as LSTM of ONNX Runtime is.
LAYOUTS = {
    "RNN": {"weight_ih_l0": "Wx.T", "weight_hh_l0": "Wh.T", "bias_ih_l0": "b", "bias_hh_l0": "0"},
    "GRU": {"cell": "gru r z n",
            "weight_ih_l0": "Wx.T", "weight_hh_l0": "Wh.T", "bias_ih_l0": "b", "bias_hh_l0": "[0, bn]"},
}
# fmt: on
KINDS = {"gru": nn.GRU}
KINDS |= {name: partial(nn.RNN, nonlinearity=name) for name in ("tanh", "relu")}


class Layer(nn.Module):
    """A layer that takes its parameters as inputs, so that one export serves all cases of a shape."""

    def __init__(self, layer: Any) -> None:
        super().__init__()
        self.layer = layer

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
def exported(cell: str, T: int, N: int, D: int, H: int, bias: bool, dtype: str) -> Any:
    """Return a session of the layer for parameters of any values."""
    like: Any = {"dtype": getattr(torch, dtype)}
    layer = KINDS[cell](D, H, bias=bias, **like).eval()
    parameters = (torch.zeros(parameter.shape, **like) for parameter in layer.parameters())
    return session_of(Layer(layer), (torch.zeros(T, N, D, **like), torch.zeros(1, N, H, **like), *parameters))


def layer(cell: str, weights: Any, xs: Any, states: Any) -> Any:
    """Run the exported layer, time first."""
    if cell == "gru" and 0 in xs.shape:
        raise ValueError("GRU of ONNX Runtime ends the process on no steps, no rows and no inputs: FINDINGS.md")
    (h0,) = states
    session = exported(cell, *xs.shape, h0.shape[-1], len(weights) > 2, xs.dtype.name)
    inputs = zip(session.get_inputs(), (xs, h0[None], *weights.values()), strict=True)
    return session.run(None, {entry.name: np.ascontiguousarray(array) for entry, array in inputs})[0]


# For the registry alone.


def exported_function(module: Any, array: Any) -> Any:
    """Return the result of an exported module for a NumPy array."""
    session = session_of(module, (torch.from_numpy(array),))
    return session.run(None, {session.get_inputs()[0].name: array})[0]


EXPORTER = f"{torch.__version__}, dynamo"
environment = facts(torch_onnx=EXPORTER, onnxruntime=onnxruntime.__version__, precision="that of the module")
# In float32, tanh is off by 14 ulp just above the smallest normal number, where a factor underflows; elsewhere by 5.
ULPS = {"float64": 8.0, "float32": 16.0, "float16": 1.0}
# max_T: a step is eight nodes of the model, and the exporter takes a second for each shape.
LIMITS: dict[str, Any] = {"offers": ("h",), "max_T": 20}
OF_RNN = LIMITS | {"tanh_ulps": ULPS, "unsupported": ("T=0", "D=0")}
# GRU of ONNX Runtime has no float64, and computes float16 in float32. Its sigmoid is accurate relative to 1 alone.
OF_GRU = gated("gru") | LIMITS | {"tanh_ulps": {"float32": 16.0}, "sigmoid_absolute": {"float32": 3.0}}
OF_GRU |= {"unsupported": ("T=0", "N=0", "D=0")}
OF_GRU |= {"expected_failures": {"nonfinite": ExpectedFailure("GRU with a bias makes numbers of NaN", "FINDINGS.md")}}
tanh, sigmoid = partial(exported_function, nn.Tanh()), partial(exported_function, nn.Sigmoid())
of, way = partial(Adapter, tanh=tanh, sigmoid=sigmoid), partial(Way, LAYOUTS, forward_only)
ADAPTERS = (
    of("torch_onnx.RNN", way("RNN", (layer,)), "nn.RNN exported, run by ONNX Runtime", **OF_RNN),
    of("torch_onnx.GRU", way("GRU", (layer,)), "nn.GRU exported, run by ONNX Runtime", **OF_GRU),
)
