"""PyTorch: recurrent cells stepped through time, and layers, in every way in which PyTorch differentiates."""

from __future__ import annotations

from dataclasses import replace
from functools import partial
from typing import Any

import torch

from adapters import (
    JVP,
    TWICE,
    Adapter,
    ExpectedFailure,
    LayersWay,
    Way,
    _torch,
    _torch_cells,
    _torch_layers,
    _torch_module,
    gated,
)
from adapters._torch import as_array, as_tensor, by_autograd, environment, pull_back, run
from adapters._torch_cells import layer, stepped

__all__ = ["ADAPTERS", "as_array", "as_tensor", "drop_in", "environment", "module", "pull_back"]

# https://docs.pytorch.org/docs/stable/generated/torch.nn.RNN.html, "Variables"; likewise LSTM, GRU and the cells.
# fmt: off
LAYOUTS = {
    "RNN": {"weight_ih_l0": "Wx.T", "weight_hh_l0": "Wh.T", "bias_ih_l0": "b", "bias_hh_l0": "0"},
    "RNNCell": {"weight_ih": "Wx.T", "weight_hh": "Wh.T", "bias_ih": "b", "bias_hh": "0"},
    "LSTM": {"cell": "lstm i f g o",
             "weight_ih_l0": "Wx.T", "weight_hh_l0": "Wh.T", "bias_ih_l0": "b", "bias_hh_l0": "0"},
    "LSTMCell": {"cell": "lstm i f g o", "weight_ih": "Wx.T", "weight_hh": "Wh.T", "bias_ih": "b", "bias_hh": "0"},
    "GRU": {"cell": "gru r z n",
            "weight_ih_l0": "Wx.T", "weight_hh_l0": "Wh.T", "bias_ih_l0": "b", "bias_hh_l0": "[0, bn]"},
    "GRUCell": {"cell": "gru r z n", "weight_ih": "Wx.T", "weight_hh": "Wh.T", "bias_ih": "b", "bias_hh": "[0, bn]"},
}
# fmt: on

# For the registry alone.

drop_in, module = _torch_module.drop_in, _torch_module.module
ULPS = {"float64": 1.0, "float32": 1.0, "bfloat16": 1.0, "float16": 1.0}
COMPILED = {"float64": 1.5, "float32": 1.5, "bfloat16": 1.0, "float16": 1.0}
# torch.stack does not support an empty list, nn.RNN empty inputs, and torch.from_numpy negative strides.
OF_CELL, OF_LAYER = ("T=0", "reversed"), ("T=0", "D=0", "reversed")
OF_JVP = (*OF_LAYER, "repeated")
# In bfloat16, products of oneDNN carry NaN and infinity into another row, or turn infinity into NaN (FINDINGS.md).
CELL: dict[str, Any] = {"unsupported": OF_CELL, "finite": ("bfloat16",)}
LAYER: dict[str, Any] = {"unsupported": OF_LAYER, "finite": ("bfloat16",)}
OVERWRITTEN = ExpectedFailure("backward writes over the states of a single step, in half precisions", "FINDINGS.md")
FAILURES = {f"{check} {dtype}": OVERWRITTEN for check in ("step", "shapes") for dtype in ("bfloat16", "float16")}
STACKS, SLOW = CELL | {"takes_stacks": True}, CELL | {"max_T": 8, "slow": True, "expected_failures": FAILURES}

way, by = partial(Way, LAYOUTS, run), by_autograd
layers = partial(LayersWay, LAYOUTS, _torch_layers.run)
cell, rnn = partial(way, "RNNCell"), partial(way, "RNN")
STEPS, LOOP, TWO, VMAP = cell((stepped, by)), rnn((layer, by)), (layer, _torch.twice), (stepped, _torch.by_vmap)
OF_STEPS = {"unbatched": cell((_torch_cells.stepped_unbatched, by)), "h0 omitted": replace(STEPS, has_state=False)}
OF_STEPS |= {"second pull-back": cell((stepped, _torch.by_two_pull_backs))}
OF_LOOP = {"batch first": rnn((_torch_cells.batch_first, by)), "unbatched": rnn((_torch_cells.unbatched, by))}
OF_LOOP |= {"h0 omitted": replace(LOOP, has_state=False), "last state": rnn((_torch_cells.last_state, by))}
OF_LOOP |= {"second pull-back": rnn((layer, _torch.by_two_pull_backs))}
of = partial(Adapter, tanh=_torch.tanh, tanh_ulps=ULPS, sigmoid=_torch.sigmoid)
of_compiled = partial(
    Adapter, tanh=lambda x: as_array(_torch_cells.compiler(torch.tanh)(as_tensor(x))), tanh_ulps=COMPILED
)


def of_gated(cell: str, name: str) -> tuple[Adapter, ...]:
    """Return the adapters of a gated cell: the layer, and the cell stepped in five ways.

    If its backward can be differentiated, nn.LSTM recomputes all states from the first step: dWh has other states than
    the returned ones. So the cell is differentiated in other ways, and not the layer.
    """
    own, along, second = gated(cell), gated(cell, derivatives="jvp"), gated(cell, derivatives="hvp")
    step, what, others = partial(way, f"{name}Cell"), f"nn.{name}Cell", dict[str, Any](main=False)
    along, stacks = along | {"unsupported": (*OF_CELL, "repeated")}, STACKS | others
    return (
        of(f"torch.{name}", way(name, (layer, by)), f"nn.{name}, autograd", layers=layers(name), **LAYER, **own),
        of(f"torch.{name}Cell", step((stepped, by)), f"{what} stepped, autograd", **CELL, **own),
        of(f"torch.{name}.func", step((stepped, _torch.by_vjp)), f"{what}, torch.func.vjp", **CELL, **others, **own),
        of(f"torch.{name}.vmap", step(VMAP), f"{what}, vmap over stacked parameters", **stacks, **own),
        of(f"torch.{name}.jvp", step((stepped, _torch.by_jvp)), f"{what}, torch.func.jvp", **along),
        of(f"torch.{name}.twice", step((stepped, _torch.twice)), f"{what}, twice", unsupported=OF_CELL, **second),
    )


ADAPTERS = (
    of("torch.RNNCell", STEPS, "nn.RNNCell stepped through time, autograd", options=OF_STEPS, **CELL),
    of("torch.RNN", LOOP, "nn.RNN, autograd", options=OF_LOOP, layers=layers("RNN"), **LAYER),
    of("torch.func", rnn((layer, _torch.by_vjp)), "nn.RNN, torch.func.vjp", main=False, **LAYER),
    of("torch.vmap", cell(VMAP), "nn.RNNCell, vmap over stacked parameters", **STACKS),
    of("torch.jvp", rnn((layer, _torch.by_jvp)), "nn.RNN, torch.func.jvp", unsupported=OF_JVP, **JVP),
    of("torch.twice", rnn(TWO), "nn.RNN, autograd of autograd", unsupported=OF_LAYER, **TWICE),
    of_compiled("torch.compile", cell((_torch_cells.compiled, by)), "nn.RNNCell, torch.compile", **SLOW),
    *of_gated("lstm", "LSTM"),
    *of_gated("gru", "GRU"),
)
