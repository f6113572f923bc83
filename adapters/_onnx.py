"""Shared by the evaluators of ONNX: the operator ``RNN`` and a model of one node."""

from __future__ import annotations

from typing import Any

from onnx import TensorProto, helper

# https://onnx.ai/onnx/operators/onnx__RNN.html, "Inputs"
LAYOUTS = {"RNN": {"W": "Wx.T[None]", "R": "Wh.T[None]", "B": "[b, 0][None]"}}
KINDS = {"float64": "DOUBLE", "float32": "FLOAT", "bfloat16": "BFLOAT16", "float16": "FLOAT16"}


def rnn(H: int, has_bias: bool, nonlinearity: str) -> Any:
    """Return an ``RNN`` with an initial state."""
    names = ["X", "W", "R", "B" if has_bias else "", "", "initial_h"]
    return helper.make_node("RNN", names, ["Y"], hidden_size=H, activations=[nonlinearity.capitalize()])


def model_of(node: Any, dtype: str, shapes: Any, output: Any) -> Any:
    """Return a model of one node with inputs of these shapes by name and an output Y; None allows any shape."""
    kind = getattr(TensorProto, KINDS[dtype])
    inputs = [helper.make_tensor_value_info(name, kind, shapes[name]) for name in node.input if name]
    graph = helper.make_graph([node], "graph", inputs, [helper.make_tensor_value_info("Y", kind, output)])
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 22)], ir_version=10)
