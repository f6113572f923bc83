"""Models of ONNX: the initialisers of their recurrent nodes, and what the attributes record. Nothing is run."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import onnx
from onnx import helper, numpy_helper

from adapters.layout import Recorded, layouts
from reference.archive import LARGEST

# https://onnx.ai/onnx/operators/, "RNN", "LSTM" and "GRU", "Inputs" and "Attributes"
INPUTS = ("X", "W", "R", "B", "sequence_lens", "initial_h", "initial_c", "P")
ACTIVATIONS = {"RNN": ["tanh"], "LSTM": ["sigmoid", "tanh", "tanh"], "GRU": ["sigmoid", "tanh"]}
DIRECTIONS = {"forward": [""], "reverse": [""], "bidirectional": [".forward", ".reverse"]}


def read_model(path: Path) -> tuple[dict[str, Any], dict[str, Recorded]]:
    """Read W, R and B of each recurrent node, and what the node records, by path.

    Args:
        path: the file, ``.onnx``.

    Returns:
        Arrays, such as "encoder.lstm.LSTM.W" of the node "/encoder/lstm/LSTM", and for each node the cell and its
        activation. A node of two directions is two layers, "LSTM.forward" and "LSTM.reverse".

    Raises:
        ValueError: the file is damaged or too large, or the weights of a node are in another file.
    """
    try:
        if (size := path.stat().st_size) > LARGEST:
            raise ValueError(f"{size} bytes, which is more than {LARGEST}")
        graph = onnx.load_model_from_string(path.read_bytes()).graph
        stored = {tensor.name: tensor for tensor in graph.initializer}
        constants = [node for node in graph.node if node.op_type == "Constant"]
        stored |= {node.output[0]: one.t for node in constants for one in node.attribute if one.name == "value"}
        arrays, recorded = dict[str, Any](), dict[str, Recorded]()
        for i, node in enumerate(graph.node):
            if node.op_type in ACTIVATIONS and not node.domain:
                name = node.name.strip("/").replace("/", ".") or f"{node.op_type}_{i}"
                read_node(node, name if name not in recorded else f"{name}_{i}", stored, arrays, recorded)
        return arrays, recorded
    except Exception as error:  # of many kinds, if the file is damaged
        words = " ".join(str(error).split()) or type(error).__name__
        raise ValueError(f"expected a whole .onnx file, got {path} ({words})") from error


def read_node(node: Any, name: str, stored: Any, arrays: dict[str, Any], recorded: dict[str, Recorded]) -> None:
    """Add the arrays of a node, and what it records of each direction."""
    given = dict(zip(INPUTS, node.input, strict=False))
    of = {one.name: helper.get_attribute_value(one) for one in node.attribute}
    way, default, held = of.get("direction", b"forward").decode(), ACTIVATIONS[node.op_type], layouts("onnx")
    ends, kind = DIRECTIONS[way], f"onnx.{node.op_type}"
    functions = [f.decode().lower() for f in of.get("activations", [])] or default * len(ends)
    before = f"{kind}.reset_before"
    cell = held[before if before in held and not of.get("linear_before_reset") else kind].cell
    more = [f"{key}={of[key]:g}" for key in ("clip", "input_forget") if of.get(key)]
    more += ["peepholes"] * bool(given.get("P"))
    for k, end in enumerate(ends):
        for key in ("W", "R", "B"):
            if (tensor := stored.get(given.get(key))) is not None:
                if tensor.data_location == tensor.EXTERNAL:
                    raise ValueError(f"{key} of {name} is in another file; save all in one")
                arrays[f"{name}{end}.{key}"] = numpy_helper.to_array(tensor)[k : k + 1]
        own = functions[k * len(default) : (k + 1) * len(default)]
        usual = [own[-1] if f == "tanh" else f for f in default]
        f = own[-1] if own == usual else " and ".join(own)
        recorded[name + end] = Recorded(cell, ", ".join([f, *more]), backwards=way == "reverse" or end == ".reverse")
