"""OpenVINO on the CPU, forward only: the operators ``RNNCell``, stepped, and ``RNNSequence``, over (N, T, D)."""

from __future__ import annotations

from functools import lru_cache
from typing import Any

import numpy as np
import openvino
from openvino import opset13 as ops

from adapters import Adapter, Idiom
from adapters._layout import laid_out

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
    """Return a model for the CPU that computes in the precision of its inputs; in float32 where it has no float16."""
    core, kind = openvino.Core(), inputs[0].get_element_type().to_string()
    hint = kind if kind != "f16" or "FP16" in core.get_property("CPU", "OPTIMIZATION_CAPABILITIES") else "f32"
    return core.compile_model(openvino.Model(results, inputs), "CPU", {"INFERENCE_PRECISION_HINT": hint})


def call(model: Any, inputs: Any) -> Any:
    """Return what a model gives, copied, for its memory serves the next call; bfloat16 comes under float16's name."""
    return model([np.ascontiguousarray(array) for array in inputs])[0].view(inputs[0].dtype).copy()


@lru_cache(maxsize=256)
def sequence(T: int, N: int, D: int, H: int, nonlinearity: str, dtype: str) -> Any:
    """Return a compiled ``RNNSequence``."""
    x, h, W, R, B = inputs = parameters(dtype, (N, T, D), (N, 1, H), (1, H, D), (1, H, H), (1, H))
    lengths = ops.constant(np.full(N, T, np.int32))
    return compiled([ops.rnn_sequence(x, h, lengths, W, R, B, H, "forward", [nonlinearity]).output(0)], inputs)


@lru_cache(maxsize=256)
def cell(N: int, D: int, H: int, nonlinearity: str, dtype: str) -> Any:
    """Return a compiled ``RNNCell``."""
    x, h, W, R, B = inputs = parameters(dtype, (N, D), (N, H), (H, D), (H, H), (H,))
    return compiled([ops.rnn_cell(x, h, W, R, B, H, [nonlinearity], [], [])], inputs)


def run_sequence(xs: Any, h0: Any, Wx: Any, Wh: Any, b: Any, upstream: Any, nonlinearity: str) -> list[Any]:
    """Run ``RNNSequence``, with a bias of zero where there is none."""
    model = sequence(*xs.shape, len(Wh), nonlinearity, xs.dtype.name)
    held = laid_out(LAYOUTS["RNNSequence"], Wx, Wh, b).values()
    return [call(model, (xs.swapaxes(0, 1), h0[:, None], *held))[:, 0].swapaxes(0, 1)]


def step_cell(xs: Any, h0: Any, Wx: Any, Wh: Any, b: Any, upstream: Any, nonlinearity: str) -> list[Any]:
    """Step an ``RNNCell``, with a bias of zero where there is none."""
    model, hs = cell(*xs.shape[1:], len(Wh), nonlinearity, xs.dtype.name), [h0]
    for x in xs:
        hs.append(call(model, (x, hs[-1], *laid_out(LAYOUTS["RNNCell"], Wx, Wh, b).values())))
    return [np.stack(hs)[1:]]


def tanh(array: Any) -> Any:
    """Return the operator Tanh of a NumPy array."""
    (x,) = inputs = parameters(array.dtype.name, array.shape)
    return call(compiled([ops.tanh(x)], inputs), [array])


def environment() -> dict[str, str]:
    """Return the version of OpenVINO and what decides its precision."""
    return {"openvino": openvino.__version__.partition("-")[0], "device": "CPU", "precision": "hinted by the inputs"}


TANH_ULPS = {"float32": 2.5, "bfloat16": 1.0, "float16": 1.0}  # FINDINGS.md: why neither float64 nor relu is here
IMPORTS = "from functools import lru_cache\n\nimport openvino\nfrom openvino import opset13 as ops"
PARTS = (f"LAYOUTS = {LAYOUTS}", laid_out, parameters, compiled, call)
CELL, SEQUENCE = Idiom(IMPORTS, (*PARTS, cell, step_cell)), Idiom(IMPORTS, (*PARTS, sequence, run_sequence))
LIMITS: dict[str, Any] = {"offers": ("h",), "nonlinearities": ("tanh",)}
OF_CELL, OF_SEQUENCE = ("N=0", "D=0"), ("T=0", "N=0", "D=0")
ADAPTERS = (
    Adapter.of_arrays("openvino.RNNCell", CELL, "RNNCell, stepped", tanh, TANH_ULPS, unsupported=OF_CELL, **LIMITS),
    Adapter.of_arrays(
        "openvino.RNNSequence", SEQUENCE, "RNNSequence", tanh, TANH_ULPS, unsupported=OF_SEQUENCE, **LIMITS
    ),
)
