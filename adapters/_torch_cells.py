"""PyTorch's recurrent modules as functions of their weights: cells stepped through time, and layers."""

from __future__ import annotations

import logging
from functools import cache
from typing import Any

import torch
from torch import nn
from torch.func import functional_call

from adapters._torch import as_array, as_tensor

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
    found = []
    for x in xs.unbind():
        now = functional_call(module, weights, (x, now))
        found.append(now)
    return (torch.stack([h for h, _ in found]), now[1]) if isinstance(now, tuple) else torch.stack(found)


@cache
def compiler(function: Any, **options: Any) -> Any:
    """Return a compiled function. It is created on first use, because importing the compiler takes seconds."""
    # If the compiler cannot trace a function, it raises an error and also logs a traceback.
    logging.getLogger("torch._subclasses.fake_tensor").setLevel(logging.CRITICAL)
    return torch.compile(function, **options)


def compiled_function(function: Any) -> Any:
    """Return an elementwise function of a NumPy array, compiled."""
    return lambda array: as_array(compiler(function)(as_tensor(array)))


def stepped(cell: str, weights: Any, xs: Any, states: Any) -> Any:
    """Step a cell, such as ``nn.RNNCell``."""
    return steps(module_for(CELLS, cell, weights), weights, xs, states)


def stepped_unbatched(cell: str, weights: Any, xs: Any, states: Any) -> Any:
    """Step a cell on vectors: x (D,), h (H,)."""
    found = stepped(cell, weights, xs[:, 0], [state[0] for state in states])
    return (found[0][:, None], found[1][None]) if isinstance(found, tuple) else found[:, None]


def compiled(cell: str, weights: Any, xs: Any, states: Any) -> Any:
    """Step a cell, compiled for each new shape as one graph."""
    module = module_for(CELLS, cell, weights)
    # After more than eight shapes, its default limit, the compiler would run the code uncompiled and only log this.
    with torch._dynamo.config.patch(recompile_limit=10_000):
        return compiler(steps, dynamic=False, fullgraph=True)(module, weights, xs, states)


def called(module: Any, weights: Any, xs: Any, states: Any, last: bool = False) -> Any:
    """Call a layer on its inputs and states; return its outputs, and the last c of an LSTM.

    Args:
        module: the layer.
        weights: tensors by name.
        xs: inputs, as the layer takes them.
        states: initial states, each (1, N, H), or (1, H) without a batch axis.
        last: whether to take the last of the outputs from the last state.
    """
    outputs, final = functional_call(module, weights, (xs, states if len(states) > 1 else (*states, None)[0]))
    h, *others = final if isinstance(final, tuple) else (final,)
    outputs = torch.cat([outputs[:-1], h]) if last else outputs
    return (outputs, *others) if others else outputs


def layer(cell: str, weights: Any, xs: Any, states: Any, last: bool = False) -> Any:
    """Run a layer over the sequence, time first, which is the default."""
    found = called(module_for(LAYERS, cell, weights), weights, xs, [state[None] for state in states], last)
    return (found[0], found[1][0]) if isinstance(found, tuple) else found


def last_state(cell: str, weights: Any, xs: Any, states: Any) -> Any:
    """Run a layer, and take the last step from the last state."""
    return layer(cell, weights, xs, states, last=True)


def batch_first(cell: str, weights: Any, xs: Any, states: Any) -> Any:
    """Run a layer with ``batch_first=True``."""
    module = module_for(LAYERS, cell, weights, batch_first=True)
    found = called(module, weights, xs.transpose(0, 1), [state[None] for state in states])
    return (found[0].transpose(0, 1), found[1][0]) if isinstance(found, tuple) else found.transpose(0, 1)


def unbatched(cell: str, weights: Any, xs: Any, states: Any) -> Any:
    """Run a layer on one sequence without a batch axis: x (T, D), h (1, H)."""
    found = called(module_for(LAYERS, cell, weights), weights, xs[:, 0], states)
    return (found[0][:, None], found[1]) if isinstance(found, tuple) else found[:, None]
