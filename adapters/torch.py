"""PyTorch: recurrent cells stepped through time, and layers, in every way in which PyTorch differentiates."""

from __future__ import annotations

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
# In half precisions, the backward of a compiled nn.LSTMCell is no valid C++ for eight rows or more (FINDINGS.md).
OF_LSTM = {"tanh_ulps": {dtype: COMPILED[dtype] for dtype in ("float64", "float32")}}
STACKS, SLOW = CELL | {"takes_stacks": True}, CELL | {"max_T": 8, "slow": True, "tanh_ulps": COMPILED}

way, by = partial(Way, LAYOUTS, run), by_autograd
cell, rnn = partial(way, "RNNCell"), partial(way, "RNN")
TWO, VMAP, COMPILING = (layer, _torch.twice), (stepped, _torch.by_vmap), cell((_torch_cells.compiled, by))


def options(kind: str, forward: Any, **others: Any) -> dict[str, Way]:
    """Return the options of a layer or cell, by name: other forwards, no initial state, and a second pull-back."""
    named = {name.replace("_", " "): way(kind, (other, by)) for name, other in others.items()}
    omitted = {"h0 omitted": way(kind, (forward, by), has_state=False)}
    return named | omitted | {"second pull-back": way(kind, (forward, _torch.by_two_pull_backs))}


def of_cell(kind: str) -> dict[str, Any]:
    """Return what the adapter of a cell has beside its way."""
    return CELL | {"options": options(kind, stepped, unbatched=_torch_cells.stepped_unbatched)}


def of_layer(kind: str) -> dict[str, Any]:
    """Return what the adapter of a layer has beside its way."""
    forwards = {name: getattr(_torch_cells, name) for name in ("batch_first", "unbatched", "last_state")}
    several = LayersWay(LAYOUTS, _torch_layers.run, kind)
    return LAYER | {"options": options(kind, layer, **forwards), "layers": several}


of = partial(Adapter, tanh=_torch.tanh, tanh_ulps=ULPS, sigmoid=_torch.sigmoid)
TANH, SIGMOID = (_torch_cells.compiled_function(function) for function in (torch.tanh, torch.sigmoid))
of_compiled = partial(Adapter, tanh=TANH, sigmoid=SIGMOID)


def of_gated(cell: str, name: str, **compiled: Any) -> tuple[Adapter, ...]:
    """Return the adapters of a gated cell: the layer, and the cell stepped in six ways.

    If its backward can be differentiated, nn.LSTM recomputes all states from the first step: dWh has other states than
    the returned ones. So the cell is differentiated in other ways, and not the layer.
    """
    own, along, second = gated(cell), gated(cell, derivatives="jvp"), gated(cell, derivatives="hvp")
    kind, what, others, slow = f"{name}Cell", f"nn.{name}Cell", dict[str, Any](main=False), SLOW | own | compiled
    step, stacks, along = partial(way, kind), STACKS | others, along | {"unsupported": (*OF_CELL, "repeated")}
    return (
        of(f"torch.{name}", way(name, (layer, by)), f"nn.{name}, autograd", **of_layer(name), **own),
        of(f"torch.{name}Cell", step((stepped, by)), f"{what} stepped, autograd", **of_cell(kind), **own),
        of(f"torch.{name}.func", step((stepped, _torch.by_vjp)), f"{what}, torch.func.vjp", **CELL, **others, **own),
        of(f"torch.{name}.vmap", step(VMAP), f"{what}, vmap over stacked parameters", **stacks, **own),
        of(f"torch.{name}.jvp", step((stepped, _torch.by_jvp)), f"{what}, torch.func.jvp", **along),
        of(f"torch.{name}.twice", step((stepped, _torch.twice)), f"{what}, twice", unsupported=OF_CELL, **second),
        of_compiled(f"torch.{name}.compile", step((_torch_cells.compiled, by)), f"{what}, torch.compile", **slow),
    )


ADAPTERS = (
    of("torch.RNNCell", cell((stepped, by)), "nn.RNNCell stepped through time, autograd", **of_cell("RNNCell")),
    of("torch.RNN", rnn((layer, by)), "nn.RNN, autograd", **of_layer("RNN")),
    of("torch.func", rnn((layer, _torch.by_vjp)), "nn.RNN, torch.func.vjp", main=False, **LAYER),
    of("torch.vmap", cell(VMAP), "nn.RNNCell, vmap over stacked parameters", **STACKS),
    of("torch.jvp", rnn((layer, _torch.by_jvp)), "nn.RNN, torch.func.jvp", unsupported=OF_JVP, **JVP),
    of("torch.twice", rnn(TWO), "nn.RNN, autograd of autograd", unsupported=OF_LAYER, **TWICE),
    of_compiled("torch.compile", COMPILING, "nn.RNNCell, torch.compile", expected_failures=FAILURES, **SLOW),
    *of_gated("lstm", "LSTM", **OF_LSTM),
    *of_gated("gru", "GRU"),
)
