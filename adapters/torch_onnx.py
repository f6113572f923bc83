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

from adapters import Adapter, ExpectedFailure, LayersWay, Unsupported, Way, _layers, facts, gated
from adapters._way import forward_only
from reference import LayersCase

# fmt: off
LAYOUTS = {  # as torch.py
    "RNN": {"weight_ih_l0": "Wx.T", "weight_hh_l0": "Wh.T", "bias_ih_l0": "b", "bias_hh_l0": "0"},
    "LSTM": {"cell": "lstm i f g o",
             "weight_ih_l0": "Wx.T", "weight_hh_l0": "Wh.T", "bias_ih_l0": "b", "bias_hh_l0": "0"},
    "GRU": {"cell": "gru r z n",
            "weight_ih_l0": "Wx.T", "weight_hh_l0": "Wh.T", "bias_ih_l0": "b", "bias_hh_l0": "[0, bn]"},
}
# fmt: on
KINDS = {"lstm": nn.LSTM, "gru": nn.GRU, "tanh": nn.RNN, "relu": partial(nn.RNN, nonlinearity="relu")}


class Layer(nn.Module):
    """A layer that takes its parameters as inputs, so that one export serves all cases of a shape."""

    def __init__(self, layer: Any) -> None:
        super().__init__()
        self.layer = layer

    def forward(self, x: Any, *arrays: Any) -> Any:
        """Return all states and the last, from the initial states and the parameters."""
        names = [name for name, _ in self.layer.named_parameters()]
        states, parameters = arrays[: -len(names)], arrays[-len(names) :]
        state = states if len(states) > 1 else states[0]
        return functional_call(self.layer, dict(zip(names, parameters, strict=True)), (x, state))


def session_of(module: nn.Module, arguments: Any) -> Any:
    """Return a session of an exported module, without the warnings and log messages of the exporter."""
    for name in ("torch.onnx", "torch._subclasses.fake_tensor"):
        logging.getLogger(name).setLevel(logging.CRITICAL)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        model = torch.onnx.export(module, arguments, dynamo=True, verbose=False).model_proto
    return onnxruntime.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"])


@lru_cache(maxsize=256)
def exported(cell: str, T: int, N: int, D: int, H: int, bias: bool, layers: int, directions: int, dtype: str) -> Any:
    """Return a session of the layer for parameters of any values."""
    like: Any = {"dtype": getattr(torch, dtype)}
    layer = KINDS[cell](D, H, layers, bias=bias, bidirectional=directions == 2, **like).eval()
    parameters = (torch.zeros(parameter.shape, **like) for parameter in layer.parameters())
    # The exporter would take one tensor in two places for one input.
    states = [torch.zeros(layers * directions, N, H, **like) for _ in range(2 if cell == "lstm" else 1)]
    return session_of(Layer(layer), (torch.zeros(T, N, D, **like), *states, *parameters))


def called(cell: str, weights: Any, xs: Any, states: Any, layers: int = 1, directions: int = 1) -> Any:
    """Run the exported layer, time first; return all states and the last."""
    if cell not in ("tanh", "relu") and 0 in xs.shape:
        raise ValueError("without steps, rows or inputs, it ends the process or returns other numbers: FINDINGS.md")
    bias = "bias_ih_l0" in weights
    session = exported(cell, *xs.shape, states[0].shape[-1], bias, layers, directions, xs.dtype.name)
    inputs = zip(session.get_inputs(), (xs, *states, *weights.values()), strict=True)
    return session.run(None, {entry.name: np.ascontiguousarray(array) for entry, array in inputs})


def layer(cell: str, weights: Any, xs: Any, states: Any) -> Any:
    """Run the exported layer."""
    hs, _, *c = called(cell, weights, xs, [state[None] for state in states])
    return (hs, c[0][0]) if c else hs


# For the registry alone.


def run_layers(cell: str, weights: Any, xs: Any, states: Any, upstream: Any, case: LayersCase) -> Any:
    """Run the exported layer with several layers or two directions."""
    _layers.expect_offered("torch.nn", case, masks="its layers draw their own", copies="")
    if case.lengths is not None:
        raise Unsupported("torch.onnx: expected no lengths, got some; torch.export cannot export pack_padded_sequence")
    return called(cell, weights, xs, states, case.layers, case.directions), None


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
# LSTM and GRU of ONNX Runtime have no float64, and compute float16 in float32. Their sigmoid is accurate relative to 1.
OF_GATED = LIMITS | {"tanh_ulps": {"float32": 16.0}, "sigmoid_absolute": {"float32": 3.0}}
WHY = ExpectedFailure("LSTM and GRU with a bias make numbers of NaN", "FINDINGS.md")
OF_GATED |= {"unsupported": ("T=0", "N=0", "D=0"), "expected_failures": {"nonfinite": WHY}}
OF_LSTM, OF_GRU = gated("lstm") | OF_GATED | {"offers": ("h", "c")}, gated("gru") | OF_GATED
tanh, sigmoid = partial(exported_function, nn.Tanh()), partial(exported_function, nn.Sigmoid())
of, way = partial(Adapter, tanh=tanh, sigmoid=sigmoid), partial(Way, LAYOUTS, forward_only)
several, WHAT = partial(LayersWay, LAYOUTS, run_layers), "exported, run by ONNX Runtime"
ADAPTERS = tuple(
    of(f"torch_onnx.{kind}", way(kind, (layer,)), f"nn.{kind} {WHAT}", layers=several(kind), **fields)
    for kind, fields in {"RNN": OF_RNN, "LSTM": OF_LSTM, "GRU": OF_GRU}.items()
)
