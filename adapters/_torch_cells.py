"""PyTorch's recurrent modules as functions of their weights: cells stepped through time, and layers."""

from __future__ import annotations

import logging
from functools import cache
from typing import Any

import torch
from torch import nn
from torch.func import functional_call

CELLS = {"lstm": nn.LSTMCell, "gru": nn.GRUCell, "tanh": nn.RNNCell, "relu": nn.RNNCell}
LAYERS = {"lstm": nn.LSTM, "gru": nn.GRU, "tanh": nn.RNN, "relu": nn.RNN}


@cache
def module_of(kind: Any, D: int, H: int, bias: bool, dtype: torch.dtype, **options: Any) -> Any:
    """Return a module. It is cached, because creating one takes longer than a step."""
    return kind(D, H, bias=bias, dtype=dtype, **options)


def module_for(kinds: Any, cell: str, weights: Any, **options: Any) -> Any:
    """Return a module of this cell that fits the weights."""
    (first, second, *biases), plain = weights.values(), {"nonlinearity": cell} if cell in ("tanh", "relu") else {}
    sizes = first.shape[-1], second.shape[-1], bool(biases), first.dtype
    return module_of(kinds[cell], *sizes, **plain, **options)


def steps(module: Any, weights: Any, xs: Any, states: Any) -> Any:
    """Step a cell through the sequence. Without a state, the cell creates one in the first step."""
    now: Any = states if len(states) > 1 else (*states, None)[0]
    outputs = []
    for x in xs.unbind():
        now = functional_call(module, weights, (x, now))
        outputs.append(now[0] if len(states) > 1 else now)
    return (torch.stack(outputs), now[1]) if len(states) > 1 else torch.stack(outputs)


@cache
def compiler(function: Any, **options: Any) -> Any:
    """Return a compiled function. It is created on first use, because importing the compiler takes seconds."""
    # If the compiler cannot trace a function, it raises an error and also logs a traceback.
    logging.getLogger("torch._subclasses.fake_tensor").setLevel(logging.CRITICAL)
    return torch.compile(function, **options)


def stepped(cell: str, weights: Any, xs: Any, states: Any) -> Any:
    """Step a cell, such as ``nn.RNNCell``."""
    return steps(module_for(CELLS, cell, weights), weights, xs, states)


def stepped_unbatched(cell: str, weights: Any, xs: Any, states: Any) -> Any:
    """Step ``nn.RNNCell`` on vectors: x (D,), h (H,)."""
    return stepped(cell, weights, xs[:, 0], [state[0] for state in states])[:, None]


def compiled(cell: str, weights: Any, xs: Any, states: Any) -> Any:
    """Step a cell, compiled for each new shape as one graph."""
    module = module_for(CELLS, cell, weights)
    # After more than eight shapes, its default limit, the compiler would run the code uncompiled and only log this.
    with torch._dynamo.config.patch(recompile_limit=10_000):
        return compiler(steps, dynamic=False, fullgraph=True)(module, weights, xs, states)


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
