"""PaddlePaddle: its cells, stepped, and its layers."""

from __future__ import annotations

from functools import partial
from typing import Any

from adapters import Adapter, ExpectedFailure, LayersWay, Way, _paddle_layers, gated
from adapters._paddle_cells import environment, last_state, layer, run, sigmoid, stepped, tanh

__all__ = ["ADAPTERS", "environment"]

# https://www.paddlepaddle.org.cn/documentation/docs/en/api/paddle/nn/SimpleRNN_en.html, "Variables"; likewise LSTM, GRU
# and the cells.
# fmt: off
LAYOUTS = {
    "SimpleRNN": {"weight_ih_l0": "Wx.T", "weight_hh_l0": "Wh.T", "bias_ih_l0": "b or 0", "bias_hh_l0": "0?"},
    "SimpleRNNCell": {"weight_ih": "Wx.T", "weight_hh": "Wh.T", "bias_ih": "b or 0", "bias_hh": "0?"},
    "LSTM": {"cell": "lstm i f g o",
             "weight_ih_l0": "Wx.T", "weight_hh_l0": "Wh.T", "bias_ih_l0": "b or 0", "bias_hh_l0": "0?"},
    "LSTMCell": {"cell": "lstm i f g o",
                 "weight_ih": "Wx.T", "weight_hh": "Wh.T", "bias_ih": "b or 0", "bias_hh": "0?"},
    "GRU": {"cell": "gru r z n",
            "weight_ih_l0": "Wx.T", "weight_hh_l0": "Wh.T", "bias_ih_l0": "b or 0", "bias_hh_l0": "[0, bn] or 0"},
    "GRUCell": {"cell": "gru r z n",
                "weight_ih": "Wx.T", "weight_hh": "Wh.T", "bias_ih": "b or 0", "bias_hh": "[0, bn] or 0"},
}
# fmt: on

# For the registry alone.

# On a CPU, tanh has no kernel for half precisions.
ULPS = {"float64": 2.5, "float32": 5.0}
of, way = partial(Adapter, tanh=tanh, tanh_ulps=ULPS, sigmoid=sigmoid), partial(Way, LAYOUTS, run)


def rows(kind: str, of_cell: Any, of_layer: Any) -> tuple[Adapter, Adapter]:
    """Return the adapters of a cell and of its layer, with the fields of each."""
    fields = of_layer | {
        "unsupported": ("T=0", "N=0", "D=0"),
        "options": {"last state as h[-1]": way(kind, (last_state,))},
    }
    fields |= {"layers": LayersWay(LAYOUTS, _paddle_layers.run, kind)}
    cell, step = f"{kind}Cell", way(f"{kind}Cell", (stepped,))
    return (
        of(f"paddle.{cell}", step, f"nn.{cell} stepped", unsupported=("T=0",), **of_cell),
        of(f"paddle.{kind}", way(kind, (layer,)), f"nn.{kind}", **fields),
    )


PLAIN = {"expected_failures": {"nonfinite": ExpectedFailure("relu makes 0 of NaN", "FINDINGS.md")}}
CLOSED = {
    "expected_failures": {"extremes": ExpectedFailure("a closed reset gate makes NaN of gradients", "FINDINGS.md")}
}
ADAPTERS = (
    *rows("SimpleRNN", PLAIN, PLAIN),
    *rows("LSTM", gated("lstm"), gated("lstm")),
    *rows("GRU", gated("gru"), gated("gru") | CLOSED),
)
