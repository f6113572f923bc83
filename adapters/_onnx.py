"""Shared by the evaluators of ONNX: the recurrent operators and a model of one node."""

from __future__ import annotations

from typing import Any

from onnx import TensorProto, helper

KINDS = {"float64": "DOUBLE", "float32": "FLOAT", "bfloat16": "BFLOAT16", "float16": "FLOAT16"}
OPERATORS: dict[str, Any] = {
    "lstm": ("LSTM", {}),
    "gru": ("GRU", {"linear_before_reset": 1}),
    "gru_reset_before": ("GRU", {}),
}
OPERATORS |= {name: ("RNN", {"activations": [name.capitalize()]}) for name in ("tanh", "relu")}


def node_of(cell: str, H: int, has_bias: bool) -> Any:
    """Return the operator of a cell, with initial states."""
    kind, options = OPERATORS[cell]
    initial, last = (["initial_h", "initial_c"], ["", "Y_c"]) if cell == "lstm" else (["initial_h"], [])
    names = ["X", "W", "R", "B" if has_bias else "", "", *initial]
    return helper.make_node(kind, names, ["Y", *last], hidden_size=H, **options)


def inputs_of(weights: Any, xs: Any, states: Any) -> dict[str, Any]:
    """Return the inputs of a node by name."""
    initial = dict(zip(("initial_h", "initial_c"), (state[None] for state in states), strict=False))
    return {"X": xs, **initial, **weights}


def outputs_of(found: Any) -> Any:
    """Return the states, and the last c of an LSTM, from the outputs of a model."""
    hs, *cs = found
    return (hs[:, 0], cs[0][0]) if cs else hs[:, 0]


def model_of(node: Any, dtype: str, shapes: Any) -> Any:
    """Return a model of one node, with inputs and outputs of these shapes by name; without a shape, any fits."""
    kind = getattr(TensorProto, KINDS[dtype])
    ends = [
        [helper.make_tensor_value_info(name, kind, shapes.get(name)) for name in names if name]
        for names in (node.input, node.output)
    ]
    graph = helper.make_graph([node], "graph", *ends)
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 22)], ir_version=10)
