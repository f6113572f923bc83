"""OpenVINO on the CPU, forward only: the operators ``RNNCell``, stepped, and ``RNNSequence``, over (N, T, D)."""

from __future__ import annotations

from functools import lru_cache, partial
from typing import Any

import numpy as np
import openvino
from openvino import opset13 as ops

from adapters import Adapter, Way, facts
from adapters._way import forward_only, unroll

# https://docs.openvino.ai, operation specifications "RNNCell-3" and "RNNSequence-5", inputs
LAYOUTS = {
    "RNNSequence": {"W": "Wx.T[None]", "R": "Wh.T[None]", "B": "b or 0[None]"},
    "RNNCell": {"W": "Wx.T", "R": "Wh.T", "B": "b or 0"},
}


def parameters(dtype: str, *shapes: Any) -> list[Any]:
    """Return inputs of these shapes."""
    kind = {"float32": openvino.Type.f32, "bfloat16": openvino.Type.bf16, "float16": openvino.Type.f16}[dtype]
    return [ops.parameter(shape, kind) for shape in shapes]


def compiled(results: Any, inputs: Any) -> Any:
    """Return a CPU model in the precision of its inputs. If the CPU has no float16, float16 is computed in float32."""
    core, kind = openvino.Core(), inputs[0].get_element_type().to_string()
    hint = kind if kind != "f16" or "FP16" in core.get_property("CPU", "OPTIMIZATION_CAPABILITIES") else "f32"
    return core.compile_model(openvino.Model(results, inputs), "CPU", {"INFERENCE_PRECISION_HINT": hint})


def call(model: Any, inputs: Any) -> Any:
    """Return a copy of the result, because the next call reuses its memory. bfloat16 is returned as float16."""
    return model([np.ascontiguousarray(array) for array in inputs])[0].view(inputs[0].dtype).copy()


@lru_cache(maxsize=256)
def model_of(nonlinearity: str, dtype: str, *shapes: Any) -> Any:
    """Return a compiled ``RNNSequence``, or ``RNNCell`` if the inputs have two axes."""
    x, h, W, R, B = inputs = parameters(dtype, *shapes)
    H = shapes[1][-1]
    if len(shapes[0]) == 2:
        return compiled([ops.rnn_cell(x, h, W, R, B, H, [nonlinearity], [], [])], inputs)
    N, T, _ = shapes[0]
    lengths = ops.constant(np.full(N, T, np.int32))
    return compiled([ops.rnn_sequence(x, h, lengths, W, R, B, H, "forward", [nonlinearity]).output(0)], inputs)


def run_model(nonlinearity: str, *arrays: Any) -> Any:
    """Run the model for the shapes of these arrays."""
    return call(model_of(nonlinearity, arrays[0].dtype.name, *(array.shape for array in arrays)), arrays)


def sequence(nonlinearity: str, weights: Any, xs: Any, states: Any) -> Any:
    """Run ``RNNSequence``."""
    return run_model(nonlinearity, xs.swapaxes(0, 1), states[0][:, None], *weights.values())[:, 0].swapaxes(0, 1)


def stepped(nonlinearity: str, weights: Any, xs: Any, states: Any) -> Any:
    """Step an ``RNNCell``."""
    return np.stack(unroll(lambda x, h: run_model(nonlinearity, x, h, *weights.values()), xs, states))[1:]


# For the registry alone.


def tanh(array: Any) -> Any:
    """Return the result of the operator Tanh for a NumPy array."""
    (x,) = inputs = parameters(array.dtype.name, array.shape)
    return call(compiled([ops.tanh(x)], inputs), [array])


environment = facts(openvino=openvino.__version__.partition("-")[0], device="CPU", precision="hinted by the inputs")
ULPS = {"float32": 2.5, "bfloat16": 1.0, "float16": 1.0}  # no float64 and no relu: FINDINGS.md
of = partial(Adapter, tanh=tanh, tanh_ulps=ULPS, offers=("h",), nonlinearities=("tanh",))
CELL, SEQUENCE = (Way(LAYOUTS, forward_only, *way) for way in (("RNNCell", (stepped,)), ("RNNSequence", (sequence,))))
ADAPTERS = (
    of("openvino.RNNCell", CELL, "RNNCell, stepped", unsupported=("N=0", "D=0")),
    of("openvino.RNNSequence", SEQUENCE, "RNNSequence", unsupported=("T=0", "N=0", "D=0")),
)
