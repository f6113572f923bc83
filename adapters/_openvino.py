"""Shared by the ways of OpenVINO: its operators by cell, inputs, and models on the CPU."""

from __future__ import annotations

from functools import partial
from typing import Any

import numpy as np
import openvino
from openvino import opset13 as ops

TYPES = {"float32": openvino.Type.f32, "bfloat16": openvino.Type.bf16, "float16": openvino.Type.f16}
TYPES |= {"int32": openvino.Type.i32}
SEQUENCES = {
    "tanh": partial(ops.rnn_sequence, activations=["tanh"]),
    "lstm": ops.lstm_sequence,
    "gru": partial(ops.gru_sequence, linear_before_reset=True),
    "gru_reset_before": ops.gru_sequence,
}
CELLS = {
    "tanh": partial(ops.rnn_cell, activations=["tanh"], activations_alpha=[], activations_beta=[]),
    "lstm": ops.lstm_cell,
    "gru": partial(ops.gru_cell, linear_before_reset=True),
    "gru_reset_before": ops.gru_cell,
}


def parameters(dtype: str, *shapes: Any) -> list[Any]:
    """Return inputs of these shapes."""
    return [ops.parameter(shape, TYPES[dtype]) for shape in shapes]


def compiled(results: Any, inputs: Any) -> Any:
    """Return a CPU model in the precision of its inputs. If the CPU has no float16, float16 is computed in float32."""
    core, kind = openvino.Core(), inputs[0].get_element_type().to_string()
    hint = kind if kind != "f16" or "FP16" in core.get_property("CPU", "OPTIMIZATION_CAPABILITIES") else "f32"
    return core.compile_model(openvino.Model(results, inputs), "CPU", {"INFERENCE_PRECISION_HINT": hint})


def call(model: Any, inputs: Any) -> list[Any]:
    """Return copies of the results, because the next call reuses their memory. bfloat16 is returned as float16."""
    found = model([np.ascontiguousarray(array) for array in inputs])
    return [found[k].view(inputs[0].dtype).copy() for k in range(len(model.outputs))]
