"""PaddlePaddle: ``nn.SimpleRNNCell``, stepped, and ``nn.SimpleRNN``. Weights are written into a new module."""

from __future__ import annotations

import warnings
from functools import partial
from typing import Any

import numpy as np

# The import warns about a compiler cache that is not needed here.
warnings.filterwarnings("ignore", "No ccache found", UserWarning)

import paddle
from paddle.nn import SimpleRNN, SimpleRNNCell

from adapters import Adapter, ExpectedFailure, Way, facts
from adapters._way import flat, mapped, unflattened, unroll

# https://www.paddlepaddle.org.cn/documentation/docs/en/api/paddle/nn/SimpleRNN_en.html, "Variables"; likewise its cell.
LAYOUTS = {
    "SimpleRNN": {"weight_ih_l0": "Wx.T", "weight_hh_l0": "Wh.T", "bias_ih_l0": "b or 0", "bias_hh_l0": "0?"},
    "SimpleRNNCell": {"weight_ih": "Wx.T", "weight_hh": "Wh.T", "bias_ih": "b or 0", "bias_hh": "0?"},
}


def variable(array: Any) -> Any:
    """Return a tensor with ``stop_gradient=False``."""
    return paddle.to_tensor(np.ascontiguousarray(array), stop_gradient=False)


def run(kind: Any, forward: Any, nonlinearity: str, weights: Any, *arrays: Any) -> Any:
    """Run a module of this kind on NumPy arrays, with the dtype and the values of the weights."""
    Wx, before = next(iter(weights.values())), paddle.get_default_dtype()
    paddle.set_default_dtype(Wx.dtype.name)
    module = kind(*reversed(Wx.shape), activation=nonlinearity)
    paddle.set_default_dtype(before)
    parameters = {name: getattr(module, name) for name in weights}
    for name, parameter in parameters.items():
        parameter.set_value(np.ascontiguousarray(weights[name]))
    results = by_grad(partial(forward, module), parameters, *mapped(variable, arrays))
    return mapped(lambda tensor: tensor.numpy(), results)


def by_grad(forward: Any, weights: Any, xs: Any, states: Any, upstream: Any) -> Any:
    """Differentiate with ``paddle.grad``."""
    outputs = forward(xs, states)
    return outputs, unflattened(weights, paddle.grad([outputs], flat(weights, xs, states), [upstream]))


def stepped(cell: Any, xs: Any, states: Any) -> Any:
    """Step a cell."""
    return paddle.stack(unroll(lambda x, h: cell(x, h)[0], xs, states)[1:])


def layer(module: Any, xs: Any, states: Any) -> Any:
    """Run a layer over the sequence."""
    if 0 in xs.shape[:2]:
        raise ValueError("nn.SimpleRNN ends the process on no steps, and leaves db unset on no rows: FINDINGS.md")
    return module(xs, states[0][None])[0]


def last_state(module: Any, xs: Any, states: Any) -> Any:
    """Run a layer, and take the last step from its second output, the last state."""
    outputs, last = module(xs, states[0][None])
    return paddle.concat([outputs[:-1], last])


def time_first(*sizes: int, **options: Any) -> Any:
    """Return an ``nn.SimpleRNN``, time first, always with biases; without biases, backward crashes (FINDINGS.md)."""
    return SimpleRNN(*sizes, time_major=True, **options)


# For the registry alone.


def tanh(array: Any) -> Any:
    """Return paddle.tanh of a NumPy array."""
    return paddle.tanh(paddle.to_tensor(array)).numpy()


environment = facts(paddle=paddle.__version__, device=paddle.get_device(), precision="that of each tensor")
# On a CPU, tanh has no kernel for half precisions.
ULPS = {"float64": 2.5, "float32": 5.0}
FAILURES = {"nonfinite": ExpectedFailure("relu makes 0 of NaN", "FINDINGS.md")}
of = partial(Adapter, tanh=tanh, tanh_ulps=ULPS, expected_failures=FAILURES)
way = partial(Way, LAYOUTS, run)
CELL, LAYER = way("SimpleRNNCell", (SimpleRNNCell, stepped)), way("SimpleRNN", (time_first, layer))
OPTIONS = {"last state": way("SimpleRNN", (time_first, last_state))}
ADAPTERS = (
    of("paddle.SimpleRNNCell", CELL, "nn.SimpleRNNCell stepped", unsupported=("T=0",)),
    of("paddle.SimpleRNN", LAYER, "nn.SimpleRNN", unsupported=("T=0", "N=0", "D=0"), options=OPTIONS),
)
