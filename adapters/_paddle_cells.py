"""PaddlePaddle's cells, stepped, and layers. Weights are written into a new module."""

from __future__ import annotations

import warnings
from functools import partial
from typing import Any

import numpy as np

# The import warns about a compiler cache that is not needed here.
warnings.filterwarnings("ignore", "No ccache found", UserWarning)

import paddle
from paddle import nn

from adapters import facts
from adapters._way import flat, listed, mapped, unflattened, unroll

CELLS = {"lstm": nn.LSTMCell, "gru": nn.GRUCell}
CELLS |= {name: partial(nn.SimpleRNNCell, activation=name) for name in ("tanh", "relu")}
# Always with biases; without biases, backward crashes (FINDINGS.md).
LAYERS = {"lstm": partial(nn.LSTM, time_major=True), "gru": partial(nn.GRU, time_major=True)}
LAYERS |= {name: partial(nn.SimpleRNN, activation=name, time_major=True) for name in ("tanh", "relu")}


def variable(array: Any) -> Any:
    """Return a tensor with ``stop_gradient=False``."""
    return paddle.to_tensor(np.ascontiguousarray(array), stop_gradient=False)


def module_for(kinds: Any, cell: str, weights: Any, **options: Any) -> tuple[Any, dict[str, Any]]:
    """Return a module with the dtype and the values of the weights, and its parameters by their names."""
    (Wx, Wh, *_), before = weights.values(), paddle.get_default_dtype()
    paddle.set_default_dtype(Wx.dtype.name)
    module = kinds[cell](Wx.shape[-1], Wh.shape[-1], **options)
    paddle.set_default_dtype(before)
    parameters = {name: getattr(module, name) for name in weights}
    for name, parameter in parameters.items():
        parameter.set_value(np.ascontiguousarray(weights[name]))
    return module, parameters


def run(forward: Any, cell: str, weights: Any, *arrays: Any) -> Any:
    """Run a module on NumPy arrays."""
    module, parameters = module_for(CELLS if forward is stepped else LAYERS, cell, weights)
    results = by_grad(partial(forward, module), parameters, *mapped(variable, arrays))
    return mapped(lambda tensor: tensor.numpy(), results)


def by_grad(forward: Any, weights: Any, xs: Any, states: Any, upstream: Any) -> Any:
    """Differentiate with ``paddle.grad``."""
    outputs = forward(xs, states)
    return outputs, unflattened(weights, paddle.grad(listed(outputs), flat(weights, xs, states), listed(upstream)))


def stepped(cell: Any, xs: Any, states: Any) -> Any:
    """Step a cell."""
    found = unroll(lambda x, state: cell(x, state)[1], xs, [states if len(states) > 1 else states[0]])[1:]
    return (paddle.stack([h for h, _ in found]), found[-1][1]) if len(states) > 1 else paddle.stack(found)


def called(module: Any, xs: Any, states: Any) -> Any:
    """Run a layer over the sequence; return its outputs and a list of its last states."""
    if 0 in xs.shape[:2]:
        raise ValueError("a layer ends the process on no steps, and leaves db unset on no rows: FINDINGS.md")
    first = tuple(state[None] for state in states)
    outputs, last = module(xs, first if len(states) > 1 else first[0])
    return outputs, list(last) if len(states) > 1 else [last]


def layer(module: Any, xs: Any, states: Any) -> Any:
    """Run a layer over the sequence."""
    outputs, last = called(module, xs, states)
    return (outputs, last[1][0]) if len(states) > 1 else outputs


def last_state(module: Any, xs: Any, states: Any) -> Any:
    """Run a layer, and take the last step from its second output, the last state."""
    outputs, last = called(module, xs, states)
    outputs = paddle.concat([outputs[:-1], last[0]])
    return (outputs, last[1][0]) if len(states) > 1 else outputs


# For the registry alone.


def tanh(array: Any) -> Any:
    """Return paddle.tanh of a NumPy array."""
    return paddle.tanh(paddle.to_tensor(array)).numpy()


def sigmoid(array: Any) -> Any:
    """Return the sigmoid of a NumPy array by PaddlePaddle."""
    return nn.functional.sigmoid(paddle.to_tensor(array)).numpy()


environment = facts(paddle=paddle.__version__, device=paddle.get_device(), precision="that of each tensor")
