"""PyTorch: ``nn.RNNCell`` stepped through time, and ``nn.RNN``, in every way in which PyTorch differentiates.

PyTorch keeps transposed weights, weight_ih (H, D) = Wx.T and weight_hh (H, H) = Wh.T, and two biases that it adds;
the second is set to zero here, and db is the gradient of the first (both have the same one).
"""

from __future__ import annotations

import logging
import pickle
import warnings
from functools import cache, partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.func import functional_call, jvp, vjp, vmap

from adapters import Adapter, ExpectedFailure, Idiom
from adapters._layout import laid_out
from reference.verdict import QUANTITIES

# https://docs.pytorch.org/docs/stable/generated/torch.nn.RNN.html, "Variables"; likewise RNNCell.
LAYOUTS = {
    "RNN": {"weight_ih_l0": "Wx.T", "weight_hh_l0": "Wh.T", "bias_ih_l0": "b", "bias_hh_l0": "0"},
    "RNNCell": {"weight_ih": "Wx.T", "weight_hh": "Wh.T", "bias_ih": "b", "bias_hh": "0"},
}


def as_tensor(array: Any) -> Tensor:
    """Share the memory of a NumPy array, strides and all; a read-only one is copied. NumPy has no bfloat16."""
    own = array if array.flags.writeable else array.copy()
    if own.dtype.name != "bfloat16":
        return torch.from_numpy(own)
    return torch.from_numpy(own.view(np.int16)).view(torch.bfloat16)


def as_array(tensor: Tensor) -> Any:
    """Return a NumPy array; bfloat16 under the name that ml_dtypes gives it."""
    still = tensor.detach()
    return still.view(torch.int16).numpy().view("bfloat16") if tensor.dtype == torch.bfloat16 else still.numpy()


@cache
def module_of(kind: Any, D: int, H: int, bias: bool, nonlinearity: str, dtype: torch.dtype, **options: Any) -> Any:
    """Return the ``nn.RNN`` or ``nn.RNNCell`` of this kind, the same each time: making one takes longer than a step."""
    return kind(D, H, bias=bias, nonlinearity=nonlinearity, dtype=dtype, **options)


def load_module(kind: Any, Wx: Any, Wh: Any, b: Any, nonlinearity: str, **options: Any) -> nn.Module:
    """Return the ``nn.RNN`` or ``nn.RNNCell`` of this kind with these parameters, until others are loaded."""
    module: nn.Module = module_of(kind, *Wx.shape, b is not None, nonlinearity, as_tensor(Wx).dtype, **options)
    with torch.no_grad():
        for name, value in laid_out(LAYOUTS[type(module).__name__], Wx, Wh, b).items():
            getattr(module, name).copy_(as_tensor(value))
    return module


def pull_back(hs: Tensor, x: Tensor, h: Tensor, module: nn.Module, upstream: Any) -> list[Any]:
    """Return hs, dxs, dh0, dWx, dWh and, with a bias, db as NumPy arrays."""
    weights = list(module.parameters())[:3]
    dxs, dh0, dWx, dWh, *db = torch.autograd.grad(hs, (x, h, *weights), as_tensor(upstream))
    return [as_array(tensor) for tensor in (hs, dxs, dh0, dWx.T, dWh.T, *db)]


def step_cell(xs: Any, h0: Any, Wx: Any, Wh: Any, b: Any, upstream: Any, nonlinearity: str) -> list[Any]:
    """Step one ``nn.RNNCell`` through the sequence; autograd propagates back through all steps."""
    x, h = as_tensor(xs).requires_grad_(), as_tensor(h0).requires_grad_()
    cell = load_module(nn.RNNCell, Wx, Wh, b, nonlinearity)
    states = [h]
    for t in range(len(xs)):
        states.append(cell(x[t], states[-1]))
    return pull_back(torch.stack(states[1:]), x, h, cell, upstream)


def run_layer(xs: Any, h0: Any, Wx: Any, Wh: Any, b: Any, upstream: Any, nonlinearity: str) -> list[Any]:
    """Run ``nn.RNN`` over the sequence, time first as is its default."""
    x, h = as_tensor(xs).requires_grad_(), as_tensor(h0).requires_grad_()
    layer = load_module(nn.RNN, Wx, Wh, b, nonlinearity)
    hs, _ = layer(x, h[None])
    return pull_back(hs, x, h, layer, upstream)


# Options of the layer and of the cell.


def run_batch_first(xs: Any, h0: Any, Wx: Any, Wh: Any, b: Any, upstream: Any, nonlinearity: str) -> list[Any]:
    """Run ``nn.RNN(batch_first=True)``."""
    x, h = as_tensor(xs).requires_grad_(), as_tensor(h0).requires_grad_()
    layer = load_module(nn.RNN, Wx, Wh, b, nonlinearity, batch_first=True)
    hs, _ = layer(x.transpose(0, 1), h[None])
    return pull_back(hs.transpose(0, 1), x, h, layer, upstream)


def run_unbatched(xs: Any, h0: Any, Wx: Any, Wh: Any, b: Any, upstream: Any, nonlinearity: str) -> list[Any]:
    """Run ``nn.RNN`` on one sequence without an axis of batch: x (T, D), h (1, H)."""
    x, h = as_tensor(xs).requires_grad_(), as_tensor(h0).requires_grad_()
    layer = load_module(nn.RNN, Wx, Wh, b, nonlinearity)
    hs, _ = layer(x[:, 0], h)
    return pull_back(hs[:, None], x, h, layer, upstream)


def run_without_state(xs: Any, h0: Any, Wx: Any, Wh: Any, b: Any, upstream: Any, nonlinearity: str) -> list[Any]:
    """Run ``nn.RNN`` with no initial state, which is zero then and has no gradient."""
    x = as_tensor(xs).requires_grad_()
    layer = load_module(nn.RNN, Wx, Wh, b, nonlinearity)
    hs, _ = layer(x)
    hs_, dxs, _, *rest = pull_back(hs, x, x, layer, upstream)
    return [hs_, dxs, None, *rest]


def step_unbatched(xs: Any, h0: Any, Wx: Any, Wh: Any, b: Any, upstream: Any, nonlinearity: str) -> list[Any]:
    """Step ``nn.RNNCell`` on vectors: x (D,), h (H,)."""
    x, h = as_tensor(xs).requires_grad_(), as_tensor(h0).requires_grad_()
    cell = load_module(nn.RNNCell, Wx, Wh, b, nonlinearity)
    states = [h[0]]
    for t in range(len(xs)):
        states.append(cell(x[t, 0], states[-1]))
    return pull_back(torch.stack(states[1:])[:, None], x, h, cell, upstream)


def step_without_state(xs: Any, h0: Any, Wx: Any, Wh: Any, b: Any, upstream: Any, nonlinearity: str) -> list[Any]:
    """Step ``nn.RNNCell`` with no state before the first step, which is zero then and has no gradient."""
    x = as_tensor(xs).requires_grad_()
    cell = load_module(nn.RNNCell, Wx, Wh, b, nonlinearity)
    states = [cell(x[0])]
    for t in range(1, len(xs)):
        states.append(cell(x[t], states[-1]))
    hs_, dxs, _, *rest = pull_back(torch.stack(states), x, x, cell, upstream)
    return [hs_, dxs, None, *rest]


# torch.func: the module as a function of its parameters.


def states_of(cell: nn.Module, parameters: Any, xs: Tensor, h0: Tensor) -> Tensor:
    """Return all states of a cell as a function of its parameters."""
    states = [h0]
    for x in xs.unbind():
        states.append(functional_call(cell, parameters, (x, states[-1])))
    return torch.stack(states[1:])


def layer_of(layer: nn.Module, parameters: Any, xs: Tensor, h0: Tensor) -> Tensor:
    """Return all states of a layer as a function of its parameters."""
    hs: Tensor = functional_call(layer, parameters, (xs, h0[None]))[0]
    return hs


def flat(results: Any) -> list[Any]:
    """Return hs, dxs, dh0, dWx, dWh and, with a bias, db as NumPy arrays, of what ``vjp`` gave."""
    hs, (dparameters, dxs, dh0) = results
    dWx, dWh, *db = list(dparameters.values())[:3]
    return [as_array(tensor) for tensor in (hs, dxs, dh0, dWx.mT, dWh.mT, *db)]


def run_func(xs: Any, h0: Any, Wx: Any, Wh: Any, b: Any, upstream: Any, nonlinearity: str) -> list[Any]:
    """Pull back through ``torch.func.vjp`` of ``functional_call``."""
    layer = load_module(nn.RNN, Wx, Wh, b, nonlinearity)
    parameters = {name: parameter.detach() for name, parameter in layer.named_parameters()}
    hs, pull = vjp(partial(layer_of, layer), parameters, as_tensor(xs), as_tensor(h0))
    return flat((hs, pull(as_tensor(upstream))))


def run_vmap(xs: Any, h0: Any, Wx: Any, Wh: Any, b: Any, upstream: Any, nonlinearity: str) -> list[Any]:
    """Run a stack of cells at once, ``vmap`` over stacked parameters; every array has one more leading axis."""
    cell = load_module(nn.RNNCell, Wx[0], Wh[0], None if b is None else b[0], nonlinearity)
    stacked = laid_out(LAYOUTS["RNNCell"], Wx, Wh, b)
    # As stack_module_state puts them together, to the bit, but without a module for each.
    parameters = {name: as_tensor(stacked[name]) for name, _ in cell.named_parameters()}

    def one(parameters: Any, x: Tensor, h: Tensor, dh: Tensor) -> Any:
        hs, pull = vjp(partial(states_of, cell), parameters, x, h)
        return hs, pull(dh)

    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "There is a performance drop", UserWarning)
        return flat(vmap(one)(parameters, as_tensor(xs), as_tensor(h0), as_tensor(upstream)))


def push_forward(xs: Any, h0: Any, Wx: Any, Wh: Any, b: Any, upstream: Any, nonlinearity: str, *dots: Any) -> list[Any]:
    """Differentiate forwards, along a direction, with ``torch.func.jvp``."""
    layer = load_module(nn.RNN, Wx, Wh, b, nonlinearity)
    parameters = {name: parameter.detach() for name, parameter in layer.named_parameters()}
    x_dot, h_dot, Wx_dot, Wh_dot, b_dot = dots
    moving = laid_out(LAYOUTS["RNN"], Wx_dot, Wh_dot, b_dot)
    along = {name: as_tensor(moving[name]) for name in parameters}
    primals, tangents = (parameters, as_tensor(xs), as_tensor(h0)), (along, as_tensor(x_dot), as_tensor(h_dot))
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "`torch.jit.script", DeprecationWarning)
        return [as_array(tensor) for tensor in jvp(partial(layer_of, layer), primals, tangents)]


def differentiate_twice(
    xs: Any, h0: Any, Wx: Any, Wh: Any, b: Any, upstream: Any, nonlinearity: str, *dots: Any
) -> list[Any]:
    """Differentiate the gradient, times a direction, once more: ``torch.autograd.grad`` twice, with ``create_graph``.

    What the second pull-back gives for the upstream gradient is forward mode.
    """
    x, h, dh = (as_tensor(array).requires_grad_() for array in (xs, h0, upstream))
    layer = load_module(nn.RNN, Wx, Wh, b, nonlinearity)
    wanted = (x, h, *list(layer.parameters())[:3])
    hs, _ = layer(x, h[None])
    gradients = torch.autograd.grad(hs, wanted, dh, create_graph=True)
    directions = [as_tensor(dot) for dot in (dots[0], dots[1], dots[2].T, dots[3].T, dots[4]) if dot is not None]
    hs_dot, *second = torch.autograd.grad(gradients, (dh, *wanted), directions, materialize_grads=True)
    first = [gradient.mT if number in (2, 3) else gradient for number, gradient in enumerate(gradients)]
    second = [gradient.mT if number in (2, 3) else gradient for number, gradient in enumerate(second)]
    return [as_array(tensor) for tensor in (hs, *first, hs_dot, *second)]


# torch.compile: minutes for a session, since every new shape is compiled.

SHAPES = 10_000


@cache
def compiled() -> Any:
    """Return the compiled function, of one graph; made when first wanted, for the compiler takes seconds to import."""
    # What it cannot trace it raises, and logs with its traceback besides.
    logging.getLogger("torch._subclasses.fake_tensor").setLevel(logging.CRITICAL)
    return torch.compile(states_of, dynamic=False, fullgraph=True)


def run_compiled(xs: Any, h0: Any, Wx: Any, Wh: Any, b: Any, upstream: Any, nonlinearity: str) -> list[Any]:
    """Run the stepped cell compiled, forward and backward."""
    x, h = as_tensor(xs).requires_grad_(), as_tensor(h0).requires_grad_()
    cell = load_module(nn.RNNCell, Wx, Wh, b, nonlinearity)
    # Beyond its limit of shapes, eight by default, the compiler would run the code as it is and only log that.
    with torch._dynamo.config.patch(recompile_limit=SHAPES):
        hs = compiled()(cell, dict(cell.named_parameters()), x, h)
    return pull_back(hs, x, h, cell, upstream)


def tanh(array: Any) -> Any:
    """Return torch.tanh of a NumPy array."""
    return as_array(torch.tanh(as_tensor(array)))


def tanh_compiled(array: Any) -> Any:
    """Return torch.tanh of a NumPy array, as compiled."""
    return as_array(_compiled_tanh()(as_tensor(array)))


@cache
def _compiled_tanh() -> Any:
    return torch.compile(torch.tanh)


def environment() -> dict[str, str]:
    """Return the version of PyTorch and the flags that decide its precision."""
    return {
        "torch": torch.__version__,
        "float32 matmul precision": torch.get_float32_matmul_precision(),
        "flush denormal": str(bool((torch.tensor([1e-310], dtype=torch.float64) * 1).item() == 0)),
        "threads": str(torch.get_num_threads()),
        "capability": torch.backends.cpu.get_cpu_capability(),
    }


def read_state_dict(path: Path) -> dict[str, Any]:
    """Read the arrays of a ``.pt`` state dict with weights only: no code of the file is run.

    Raises:
        ValueError: it is damaged, or holds something else than tensors by name.
    """
    try:
        found = torch.load(path, map_location="cpu", weights_only=True)
    except (RuntimeError, EOFError, pickle.UnpicklingError) as error:
        reason = str(error).splitlines()[0]
        raise ValueError(f"expected a whole .pt file of tensors, got {path} ({reason})") from error
    if not isinstance(found, dict) or not all(isinstance(value, Tensor) for value in found.values()):
        raise ValueError(f"expected a state dict in {path}, got a {type(found).__name__} of other things")
    return {name: as_array(tensor) for name, tensor in found.items()}


TANH_ULPS = {"float64": 1.0, "float32": 1.0, "bfloat16": 1.0, "float16": 1.0}
COMPILED_ULPS = {"float64": 1.5, "float32": 1.5, "bfloat16": 1.0, "float16": 1.0}

IMPORTS = "from functools import cache\n\nimport torch\nfrom torch import Tensor, nn"
FUNCTIONAL = f"{IMPORTS.replace('cache', 'cache, partial')}\nfrom torch.func import functional_call, vjp"
VMAPPED = f"import warnings\n{FUNCTIONAL.replace('vjp', 'vjp, vmap')}"
CACHED = f"import logging\n{IMPORTS}\nfrom torch.func import functional_call"
ARRAYS = (as_tensor, as_array, f"LAYOUTS = {LAYOUTS}", laid_out, module_of, load_module)
# An nn.RNNCell that is stepped no times has no states.
OF_CELL, OF_LAYER = ("T=0", "reversed"), ("T=0", "D=0", "reversed")

# Products of oneDNN there let one number that is not finite into another row, or make NaN of infinity.
FINITE = ("bfloat16",)

OVERWRITTEN = ExpectedFailure("backward writes over the states of a single step, in half precisions", "FINDINGS.md")

ADAPTERS = (
    Adapter.of_arrays(
        "torch.RNNCell",
        Idiom(IMPORTS, (*ARRAYS, pull_back, step_cell)),
        "nn.RNNCell stepped through time, autograd",
        tanh,
        TANH_ULPS,
        {"unbatched": step_unbatched, "h0 omitted": step_without_state},
        unsupported=OF_CELL,
        finite=FINITE,
    ),
    Adapter.of_arrays(
        "torch.RNN",
        Idiom(IMPORTS, (*ARRAYS, pull_back, run_layer)),
        "nn.RNN, autograd",
        tanh,
        TANH_ULPS,
        {"batch first": run_batch_first, "unbatched": run_unbatched, "h0 omitted": run_without_state},
        unsupported=OF_LAYER,
        finite=FINITE,
    ),
    Adapter.of_arrays(
        "torch.func",
        Idiom(FUNCTIONAL, (*ARRAYS, layer_of, flat, run_func)),
        "nn.RNN under functional_call, torch.func.vjp",
        tanh,
        TANH_ULPS,
        unsupported=OF_LAYER,
        finite=FINITE,
    ),
    Adapter.of_arrays(
        "torch.vmap",
        Idiom(VMAPPED, (*ARRAYS, states_of, flat, run_vmap)),
        "nn.RNNCell, vmap over stacked parameters",
        tanh,
        TANH_ULPS,
        unsupported=OF_CELL,
        finite=FINITE,
        takes_stacks=True,
        vectorized=True,
    ),
    Adapter.of_arrays(
        "torch.jvp",
        Idiom(IMPORTS, (push_forward,)),
        "nn.RNN, torch.func.jvp: forward mode",
        tanh,
        TANH_ULPS,
        unsupported=(*OF_LAYER, "repeated"),
        offers=("h", "jvp h"),
    ),
    Adapter.of_arrays(
        "torch.twice",
        Idiom(IMPORTS, (differentiate_twice,)),
        "nn.RNN, autograd of autograd: second derivatives",
        tanh,
        TANH_ULPS,
        unsupported=OF_LAYER,
        offers=tuple(QUANTITIES.values()),
    ),
    Adapter.of_arrays(
        "torch.compile",
        Idiom(CACHED, (*ARRAYS, pull_back, states_of, compiled, f"SHAPES = {SHAPES}", run_compiled)),
        "nn.RNNCell stepped, torch.compile, autograd",
        tanh_compiled,
        COMPILED_ULPS,
        max_T=8,
        unsupported=OF_CELL,
        finite=FINITE,
        slow=True,
        expected_failures={
            f"{check} {dtype}": OVERWRITTEN for check in ("step", "shapes") for dtype in ("bfloat16", "float16")
        },
    ),
)
