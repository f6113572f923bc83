"""PaddlePaddle: ``nn.SimpleRNNCell``, stepped, and ``nn.SimpleRNN``, of whose two biases one is held at zero."""

from __future__ import annotations

import warnings
from functools import partial
from typing import Any

import numpy as np

# Said at import, of a compiler's cache that nothing here needs.
warnings.filterwarnings("ignore", "No ccache found", UserWarning)

import paddle
from paddle import nn

from adapters import Adapter, ExpectedFailure, Idiom
from adapters._layout import laid_out

# https://www.paddlepaddle.org.cn/documentation/docs/en/api/paddle/nn/SimpleRNN_en.html, "Variables"; likewise its cell.
LAYOUTS = {
    "SimpleRNN": {"weight_ih_l0": "Wx.T", "weight_hh_l0": "Wh.T", "bias_ih_l0": "b or 0", "bias_hh_l0": "0?"},
    "SimpleRNNCell": {"weight_ih": "Wx.T", "weight_hh": "Wh.T", "bias_ih": "b or 0", "bias_hh": "0?"},
}


def variable(array: Any) -> Any:
    """Return a tensor that gradients are wanted of."""
    return paddle.to_tensor(np.ascontiguousarray(array), stop_gradient=False)


def loaded(kind: Any, Wx: Any, Wh: Any, b: Any, nonlinearity: str, **options: Any) -> Any:
    """Return an ``nn.SimpleRNNCell`` or ``nn.SimpleRNN`` with these parameters, made in their dtype."""
    before = paddle.get_default_dtype()
    paddle.set_default_dtype(Wx.dtype.name)
    module = kind(*Wx.shape, activation=nonlinearity, **options)
    paddle.set_default_dtype(before)
    for name, value in laid_out(LAYOUTS[kind.__name__], Wx, Wh, b).items():
        getattr(module, name).set_value(np.ascontiguousarray(value))
    return module


def pull_back(hs: Any, x: Any, h: Any, module: Any, upstream: Any, has_bias: bool) -> list[Any]:
    """Return hs, dxs, dh0, dWx, dWh and, with a bias, db as NumPy arrays."""
    wanted = [x, h, *(parameter for parameter in module.parameters() if not parameter.stop_gradient)]
    dxs, dh0, dWx, dWh, *db = (one.numpy() for one in paddle.grad([hs], wanted, [variable(upstream)]))
    return [hs.numpy(), dxs, dh0, dWx.T, dWh.T, *db[:has_bias]]


def step_cell(xs: Any, h0: Any, Wx: Any, Wh: Any, b: Any, upstream: Any, nonlinearity: str) -> list[Any]:
    """Step one ``nn.SimpleRNNCell`` through the sequence."""
    x, h = variable(xs), variable(h0)
    biases = {"bias_ih_attr": False, "bias_hh_attr": False} if b is None else {}
    cell, states = loaded(nn.SimpleRNNCell, Wx, Wh, b, nonlinearity, **biases), [h]
    for t in range(len(xs)):
        states.append(cell(x[t], states[-1])[0])
    return pull_back(paddle.stack(states[1:]), x, h, cell, upstream, b is not None)


def run_layer(xs: Any, h0: Any, Wx: Any, Wh: Any, b: Any, upstream: Any, nonlinearity: str) -> list[Any]:
    """Run ``nn.SimpleRNN`` over the sequence, time first; with its biases left out it would end the process."""
    if 0 in (len(xs), len(h0)):
        raise ValueError("nn.SimpleRNN ends the process on no steps, and leaves db unset on no rows: FINDINGS.md")
    x, h = variable(xs), variable(h0)
    layer = loaded(nn.SimpleRNN, Wx, Wh, b, nonlinearity, time_major=True)
    hs, _ = layer(x, h[None])
    return pull_back(hs, x, h, layer, upstream, b is not None)


def tanh(array: Any) -> Any:
    """Return paddle.tanh of a NumPy array."""
    return paddle.tanh(paddle.to_tensor(array)).numpy()


def environment() -> dict[str, str]:
    """Return the version of PaddlePaddle and what decides its precision."""
    return {"paddle": paddle.__version__, "device": paddle.get_device(), "precision": "that of each tensor"}


# No kernel of tanh takes half precisions on a CPU.
TANH_ULPS = {"float64": 2.5, "float32": 5.0}
IMPORTS = "import paddle\nfrom paddle import nn"
PARTS = (variable, f"LAYOUTS = {LAYOUTS}", laid_out, loaded, pull_back)
CELL, LAYER = Idiom(IMPORTS, (*PARTS, step_cell)), Idiom(IMPORTS, (*PARTS, run_layer))
of = partial(
    Adapter.of_arrays,
    tanh=tanh,
    ulps=TANH_ULPS,
    expected_failures={"nan": ExpectedFailure("relu makes 0 of NaN", "FINDINGS.md")},
)

ADAPTERS = (
    of("paddle.SimpleRNNCell", CELL, "nn.SimpleRNNCell stepped", unsupported=("T=0",)),
    of("paddle.SimpleRNN", LAYER, "nn.SimpleRNN", unsupported=("T=0", "N=0", "D=0")),
)
