"""PyTorch: recurrent cells stepped through time, and layers, in every way in which PyTorch differentiates."""

from __future__ import annotations

from dataclasses import replace
from functools import partial
from typing import Any

import torch
from torch.func import functional_call

from adapters import JVP, TWICE, Adapter, ExpectedFailure, Way, _torch, gated
from adapters._torch import (
    LAYERS,
    as_array,
    as_tensor,
    by_autograd,
    environment,
    module_for,
    pull_back,
    read_state_dict,
    run,
)

__all__ = ["ADAPTERS", "as_array", "as_tensor", "environment", "pull_back", "read_state_dict"]

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
def called(module: Any, weights: Any, xs: Any, states: Any) -> Any:
    """Call a layer on its inputs and states; return its outputs, and the last c of an LSTM."""
    outputs, last = functional_call(module, weights, (xs, states if len(states) > 1 else (*states, None)[0]))
    return (outputs, last[1]) if len(states) > 1 else outputs


def layer(cell: str, weights: Any, xs: Any, states: Any) -> Any:
    """Run a layer over the sequence, time first, which is the default."""
    found = called(module_for(LAYERS, cell, weights), weights, xs, tuple(state[None] for state in states))
    return (found[0], found[1][0]) if len(states) > 1 else found


def last_state(cell: str, weights: Any, xs: Any, states: Any) -> Any:
    """Run ``nn.RNN``, and take the last step from its second output, the last state."""
    module = module_for(LAYERS, cell, weights)
    outputs, last = functional_call(module, weights, (xs, *(state[None] for state in states)))
    return torch.cat([outputs[:-1], last])


def batch_first(cell: str, weights: Any, xs: Any, states: Any) -> Any:
    """Run ``nn.RNN(batch_first=True)``."""
    module = module_for(LAYERS, cell, weights, batch_first=True)
    return called(module, weights, xs.transpose(0, 1), [states[0][None]]).transpose(0, 1)


def unbatched(cell: str, weights: Any, xs: Any, states: Any) -> Any:
    """Run ``nn.RNN`` on one sequence without a batch axis: x (T, D), h (1, H)."""
    return called(module_for(LAYERS, cell, weights), weights, xs[:, 0], states)[:, None]


# For the registry alone.

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

way = partial(Way, LAYOUTS, run)
STEP, LOOPED, TWO = (_torch.stepped, by_autograd), (layer, by_autograd), (layer, _torch.twice)
STEPS, LOOP, VMAP = way("RNNCell", STEP), way("RNN", LOOPED), (_torch.stepped, _torch.by_vmap)
OF_STEPS = {"unbatched": way("RNNCell", (_torch.stepped_unbatched, by_autograd))}
OF_STEPS |= {"h0 omitted": replace(STEPS, has_state=False)}
OF_LOOP = {"batch first": way("RNN", (batch_first, by_autograd)), "unbatched": way("RNN", (unbatched, by_autograd))}
OF_LOOP |= {"h0 omitted": replace(LOOP, has_state=False), "last state": way("RNN", (last_state, by_autograd))}
OF_LOOP |= {"second pull-back": way("RNN", (layer, _torch.by_two_pull_backs))}
OF_STEPS |= {"second pull-back": way("RNNCell", (_torch.stepped, _torch.by_two_pull_backs))}
of = partial(Adapter, tanh=_torch.tanh, tanh_ulps=ULPS, sigmoid=_torch.sigmoid)
of_compiled = partial(Adapter, tanh=lambda x: as_array(_torch.compiler(torch.tanh)(as_tensor(x))), tanh_ulps=COMPILED)


def of_gated(cell: str, name: str) -> tuple[Adapter, ...]:
    """Return the adapters of a gated cell: the cell stepped, and the layer, in six ways."""
    own, along, second = gated(cell), gated(cell, derivatives="jvp"), gated(cell, derivatives="hvp")
    step, loop, by_jvp = partial(way, f"{name}Cell"), partial(way, name), (_torch.stepped, _torch.by_jvp)
    # If its backward can be differentiated, nn.LSTM recomputes all states from the first step: dWh has other states
    # than the returned ones.
    is_cell = cell == "lstm"
    again, forward, where = (step, _torch.stepped, f"nn.{name}Cell") if is_cell else (loop, layer, f"nn.{name}")
    by_vjp, by_two = again((forward, _torch.by_vjp)), again((forward, _torch.twice))
    of_again, of_jvp = CELL if is_cell else LAYER, (*OF_CELL, "repeated")
    return (
        of(f"torch.{name}Cell", step(STEP), f"nn.{name}Cell stepped through time, autograd", **CELL, **own),
        of(f"torch.{name}", loop(LOOPED), f"nn.{name}, autograd", **LAYER, **own),
        of(f"torch.{name}.func", by_vjp, f"{where}, torch.func.vjp", **of_again, **own),
        of(f"torch.{name}.vmap", step(VMAP), f"nn.{name}Cell, vmap over stacked parameters", **STACKS, **own),
        of(f"torch.{name}.jvp", step(by_jvp), f"nn.{name}Cell, torch.func.jvp", unsupported=of_jvp, **along),
        of(f"torch.{name}.twice", by_two, f"{where}, autograd twice", unsupported=of_again["unsupported"], **second),
    )


ADAPTERS = (
    of("torch.RNNCell", STEPS, "nn.RNNCell stepped through time, autograd", options=OF_STEPS, **CELL),
    of("torch.RNN", LOOP, "nn.RNN, autograd", options=OF_LOOP, **LAYER),
    of("torch.func", way("RNN", (layer, _torch.by_vjp)), "nn.RNN under functional_call, torch.func.vjp", **LAYER),
    of("torch.vmap", way("RNNCell", VMAP), "nn.RNNCell, vmap over stacked parameters", **STACKS),
    of("torch.jvp", way("RNN", (layer, _torch.by_jvp)), "nn.RNN, torch.func.jvp", unsupported=OF_JVP, **JVP),
    of("torch.twice", way("RNN", TWO), "nn.RNN, autograd of autograd", unsupported=OF_LAYER, **TWICE),
    of_compiled("torch.compile", way("RNNCell", (_torch.compiled, by_autograd)), "nn.RNNCell, torch.compile", **SLOW),
    *of_gated("lstm", "LSTM"),
    *of_gated("gru", "GRU"),
)
