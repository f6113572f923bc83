"""PyTorch: ``nn.RNNCell`` stepped through time, and ``nn.RNN``, in every way in which PyTorch differentiates."""

from __future__ import annotations

from dataclasses import replace
from functools import cache, partial
from typing import Any

import torch
from torch import nn
from torch.func import functional_call

from adapters import JVP, TWICE, Adapter, ExpectedFailure, Way, _torch
from adapters._torch import as_array, as_tensor, by_autograd, environment, pull_back, read_state_dict, run, tanh
from adapters._way import unroll

__all__ = ["ADAPTERS", "as_array", "as_tensor", "environment", "pull_back", "read_state_dict"]

# https://docs.pytorch.org/docs/stable/generated/torch.nn.RNN.html, "Variables"; likewise RNNCell.
LAYOUTS = {
    "RNN": {"weight_ih_l0": "Wx.T", "weight_hh_l0": "Wh.T", "bias_ih_l0": "b", "bias_hh_l0": "0"},
    "RNNCell": {"weight_ih": "Wx.T", "weight_hh": "Wh.T", "bias_ih": "b", "bias_hh": "0"},
}


@cache
def module_of(kind: Any, D: int, H: int, bias: bool, nonlinearity: str, dtype: torch.dtype, **options: Any) -> Any:
    """Return a module. It is cached, because creating one takes longer than a step."""
    return kind(D, H, bias=bias, nonlinearity=nonlinearity, dtype=dtype, **options)


def module_for(kind: Any, nonlinearity: str, weights: Any, **options: Any) -> Any:
    """Return a module of this kind that fits the weights."""
    first, *others = weights.values()
    return module_of(kind, *reversed(first.shape), len(others) > 1, nonlinearity, first.dtype, **options)


def steps(cell: Any, weights: Any, xs: Any, states: Any) -> Any:
    """Step a cell through the sequence. Without a state, the cell creates one in the first step."""
    outputs = unroll(lambda *inputs: functional_call(cell, weights, inputs), xs.unbind(), states)
    return torch.stack(outputs[len(states) :])


def stepped(nonlinearity: str, weights: Any, xs: Any, states: Any) -> Any:
    """Step ``nn.RNNCell``."""
    return steps(module_for(nn.RNNCell, nonlinearity, weights), weights, xs, states)


def stepped_unbatched(nonlinearity: str, weights: Any, xs: Any, states: Any) -> Any:
    """Step ``nn.RNNCell`` on vectors: x (D,), h (H,)."""
    return stepped(nonlinearity, weights, xs[:, 0], [state[0] for state in states])[:, None]


def compiled(nonlinearity: str, weights: Any, xs: Any, states: Any) -> Any:
    """Step ``nn.RNNCell``, compiled for each new shape as one graph."""
    cell = module_for(nn.RNNCell, nonlinearity, weights)
    # After more than eight shapes, its default limit, the compiler would run the code uncompiled and only log this.
    with torch._dynamo.config.patch(recompile_limit=10_000):
        return _torch.compiler(steps, dynamic=False, fullgraph=True)(cell, weights, xs, states)


def layer(nonlinearity: str, weights: Any, xs: Any, states: Any) -> Any:
    """Run ``nn.RNN`` over the sequence, time first, which is the default."""
    inputs = (xs, *(state[None] for state in states))
    return functional_call(module_for(nn.RNN, nonlinearity, weights), weights, inputs)[0]


def last_state(nonlinearity: str, weights: Any, xs: Any, states: Any) -> Any:
    """Run ``nn.RNN``, and take the last step from its second output, the last state."""
    outputs, last = functional_call(module_for(nn.RNN, nonlinearity, weights), weights, (xs, states[0][None]))
    return torch.cat([outputs[:-1], last])


def batch_first(nonlinearity: str, weights: Any, xs: Any, states: Any) -> Any:
    """Run ``nn.RNN(batch_first=True)``."""
    module = module_for(nn.RNN, nonlinearity, weights, batch_first=True)
    return functional_call(module, weights, (xs.transpose(0, 1), states[0][None]))[0].transpose(0, 1)


def unbatched(nonlinearity: str, weights: Any, xs: Any, states: Any) -> Any:
    """Run ``nn.RNN`` on one sequence without a batch axis: x (T, D), h (1, H)."""
    return functional_call(module_for(nn.RNN, nonlinearity, weights), weights, (xs[:, 0], states[0]))[0][:, None]


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

cell, rnn = partial(Way, LAYOUTS, run, "RNNCell"), partial(Way, LAYOUTS, run, "RNN")
STEPS, LOOP, TWO = cell((stepped, by_autograd)), rnn((layer, by_autograd)), rnn((layer, _torch.twice))
OF_STEPS = {"unbatched": cell((stepped_unbatched, by_autograd)), "h0 omitted": replace(STEPS, has_state=False)}
OF_LOOP = {"batch first": rnn((batch_first, by_autograd)), "unbatched": rnn((unbatched, by_autograd))}
OF_LOOP |= {"h0 omitted": replace(LOOP, has_state=False), "last state": rnn((last_state, by_autograd))}
OF_LOOP |= {"second pull-back": rnn((layer, _torch.by_two_pull_backs))}
OF_STEPS |= {"second pull-back": cell((stepped, _torch.by_two_pull_backs))}
of = partial(Adapter, tanh=tanh, tanh_ulps=ULPS)
of_compiled = partial(Adapter, tanh=lambda x: as_array(_torch.compiler(torch.tanh)(as_tensor(x))), tanh_ulps=COMPILED)
ADAPTERS = (
    of("torch.RNNCell", STEPS, "nn.RNNCell stepped through time, autograd", options=OF_STEPS, **CELL),
    of("torch.RNN", LOOP, "nn.RNN, autograd", options=OF_LOOP, **LAYER),
    of("torch.func", rnn((layer, _torch.by_vjp)), "nn.RNN under functional_call, torch.func.vjp", **LAYER),
    of("torch.vmap", cell((stepped, _torch.by_vmap)), "nn.RNNCell, vmap over stacked parameters", **STACKS),
    of("torch.jvp", rnn((layer, _torch.by_jvp)), "nn.RNN, torch.func.jvp: forward mode", unsupported=OF_JVP, **JVP),
    of("torch.twice", TWO, "nn.RNN, autograd of autograd: second derivatives", unsupported=OF_LAYER, **TWICE),
    of_compiled("torch.compile", cell((compiled, by_autograd)), "nn.RNNCell stepped, torch.compile, autograd", **SLOW),
)
