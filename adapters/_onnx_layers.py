"""Several layers of the recurrent operators of ONNX, as one model: a chain of a node for each layer."""

from __future__ import annotations

from functools import cache
from typing import Any

import numpy as np
from onnx import TensorProto, helper, numpy_helper

from adapters._layers import expect_offered
from adapters._onnx import KINDS, OPERATORS
from reference import LayersCase


@cache
def session_of(
    start: Any, cell: str, states: Any, layers: int, directions: int, H: int, use_bias: bool, ragged: bool, dtype: str
) -> Any:
    """Return what ``start`` makes of a model of all layers; its outputs are those of the last, and all last states."""
    kind, options = OPERATORS[cell]
    options = {name: value * directions if isinstance(value, list) else value for name, value in options.items()}
    options |= {"hidden_size": H, "direction": ("forward", "bidirectional")[directions - 1]}
    nodes, inputs, last, x = list[Any](), ["X"], list[str](), "X"
    for end in (f"_l{k}" for k in range(layers)):
        own = [f"W{end}", f"R{end}", f"B{end}" * use_bias, "lengths" * ragged, *(f"{s}0{end}" for s in states)]
        after = [f"{state}n{end}" for state in states]
        nodes.append(helper.make_node(kind, [x, *own], [f"Y{end}", *after], **options))
        # From (T, directions, N, H) to (T, N, directions * H).
        nodes.append(helper.make_node("Transpose", [f"Y{end}"], [f"turned{end}"], perm=[0, 2, 1, 3]))
        nodes.append(helper.make_node("Reshape", [f"turned{end}", "sizes"], [x := f"X{end}"]))
        inputs, last = [*inputs, *own], [*last, *after]
    kinds = {"lengths": TensorProto.INT32}
    ends = [
        [
            helper.make_tensor_value_info(name, kinds.get(name, getattr(TensorProto, KINDS[dtype])), None)
            for name in names
        ]
        for names in (dict.fromkeys(filter(None, inputs)), [x, *last])
    ]
    graph = helper.make_graph(nodes, "graph", *ends, [numpy_helper.from_array(np.array([0, 0, -1]), "sizes")])
    return start(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 22)], ir_version=10))


def run(start: Any, cell: str, weights: Any, xs: Any, states: Any, upstream: Any, case: LayersCase) -> Any:
    """Run several layers, as of ``LayersWay.run``, without gradients; ``start`` makes a session of a model."""
    expect_offered("ONNX", case, masks="its operators have none", copies="its operators return zeros")
    inputs = {"X": xs}
    for name, array in weights.items():
        own = name.removesuffix("_reverse")
        inputs[own] = array if own == name else np.concatenate([inputs[own], array])
    for letter, state in zip(case.cell_type.states, states, strict=True):
        inputs |= {f"{letter}0_l{k}": own for k, own in enumerate(np.split(state, case.layers))}
    inputs |= {} if case.lengths is None else {"lengths": np.array(case.lengths, np.int32)}
    shape = case.cell_type.states, case.layers, case.directions, case.sizes["H"]
    session = session_of(start, cell, *shape, "B_l0" in weights, case.lengths is not None, case.dtype)
    outputs, *last = session.run(None, {name: np.ascontiguousarray(array) for name, array in inputs.items()})
    return (outputs, *(np.concatenate(last[at :: len(states)]) for at in range(len(states)))), None
