"""PaddlePaddle's layers with several layers, two directions and rows of different lengths."""

from __future__ import annotations

from typing import Any

import numpy as np

from adapters import Unsupported
from adapters._layers import expect_offered
from adapters._paddle_cells import LAYERS, by_grad, module_for, variable
from adapters._way import mapped
from reference import LayersCase


def run(cell: str, weights: Any, xs: Any, states: Any, upstream: Any, case: LayersCase) -> Any:
    """Run ``nn.SimpleRNN``, ``nn.LSTM`` or ``nn.GRU`` with several layers or two directions, with ``paddle.grad``."""
    expect_offered("paddle.nn", case, masks="its layers draw their own", copies="its layers return zeros")
    if case.lengths is not None and case.directions == 2:
        raise Unsupported("backward takes zero for the initial state of a shorter row, in reverse: FINDINGS.md")
    options = {"num_layers": case.layers, "direction": ("forward", "bidirect")[case.directions - 1]}
    module, parameters = module_for(LAYERS, cell, weights, **options)
    lengths = None if case.lengths is None else variable(np.array(case.lengths))

    def forward(xs: Any, states: Any) -> Any:
        outputs, last = module(xs, states if len(states) > 1 else states[0], lengths)
        return (outputs, *last) if len(states) > 1 else (outputs, last)

    results = by_grad(forward, parameters, *mapped(variable, (xs, states, upstream)))
    return mapped(lambda tensor: tensor.numpy(), results)
