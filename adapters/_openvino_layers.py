"""Several layers of the sequences of OpenVINO, as one model: a chain of an operator for each layer."""

from __future__ import annotations

from functools import lru_cache
from typing import Any

import numpy as np
from openvino import opset13 as ops

from adapters._layers import expect_offered
from adapters._openvino import SEQUENCES, call, compiled, parameters
from reference import LayersCase


@lru_cache(maxsize=64)
def model_of(cell: str, directions: int, dtype: str, shape: Any, *layers: Any) -> Any:
    """Return a compiled chain: for xs of a shape, and the shapes of the states and the weights of each layer."""
    (x,), (lengths,), direction = parameters(dtype, shape), parameters("int32", shape[:1]), ("forward", "bidirectional")
    inputs, last = [x, lengths], list[Any]()
    for shapes in layers:
        *states, W, R, B = own = parameters(dtype, *shapes)
        hs, *after = SEQUENCES[cell](x, *states, lengths, W, R, B, shapes[0][-1], direction[directions - 1]).outputs()
        inputs, last = [*inputs, *own], [*last, *after]
        # From (N, directions, T, H) to (N, T, directions * H).
        x = ops.reshape(ops.transpose(hs, np.array([0, 2, 1, 3])), np.array([0, 0, -1]), special_zero=True)
    return compiled([x.output(0), *last], inputs)


def run(cell: str, weights: Any, xs: Any, states: Any, upstream: Any, case: LayersCase) -> Any:
    """Run several layers, as of ``LayersWay.run``, without gradients."""
    expect_offered("OpenVINO", case, masks="its operators have none", copies="its operators return zeros")
    T, N, *_ = case.sizes.values()
    layers = list[list[Any]]()
    for k in range(case.layers):
        ends = case.suffixes[k * case.directions :][: case.directions]
        initial = [np.split(state, case.layers)[k].swapaxes(0, 1) for state in states]
        layers.append([*initial, *(np.concatenate([weights[name + end] for end in ends]) for name in "WRB")])
    shapes = (tuple(array.shape for array in own) for own in layers)
    model = model_of(cell, case.directions, case.dtype, (N, T, xs.shape[-1]), *shapes)
    lengths = np.array(case.lengths or (T,) * N, np.int32)
    hs, *last = call(model, [xs.swapaxes(0, 1), lengths, *(array for own in layers for array in own)])
    stacked = (np.concatenate([one.swapaxes(0, 1) for one in last[at :: len(states)]]) for at in range(len(states)))
    return (hs.swapaxes(0, 1), *stacked), None
