"""Shared by the files on top of PyTorch: conversion of NumPy arrays, and differentiation with PyTorch."""

from __future__ import annotations

import logging
import warnings
import zipfile
from collections.abc import Callable
from functools import cache, partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.func import functional_call, jvp, vjp, vmap

from adapters import Unsupported
from adapters._way import flat, mapped, pulled_twice, unflattened


def as_tensor(array: Any) -> Tensor:
    """Share the memory of a NumPy array, strides and all; a read-only one is copied. NumPy has no bfloat16.

    Raises:
        Unsupported: a stride is negative. PyTorch has no such tensors.
    """
    own = array if array.flags.writeable else array.copy()
    half = own.dtype.name == "bfloat16"
    try:
        tensor = torch.from_numpy(own.view(np.int16) if half else own)
    except ValueError as error:
        raise Unsupported(f"torch.from_numpy: {error}") from error
    return tensor.view(torch.bfloat16) if half else tensor


def as_array(tensor: Tensor) -> Any:
    """Return a NumPy array. For bfloat16 its dtype is that of ml_dtypes."""
    still = tensor.detach()
    return still.view(torch.int16).numpy().view("bfloat16") if tensor.dtype == torch.bfloat16 else still.numpy()


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


def run(forward: Any, differentiate: Any, nonlinearity: str, weights: Any, *arrays: Any) -> Any:
    """Run on NumPy arrays. Weights are made contiguous, as in a module; other arrays keep their memory layout."""
    own = {name: as_tensor(array).contiguous() for name, array in weights.items()}
    return mapped(as_array, differentiate(partial(forward, nonlinearity), own, *mapped(as_tensor, arrays)))


def by_autograd(forward: Any, weights: Any, xs: Any, states: Any, upstream: Any) -> Any:
    """Differentiate with ``torch.autograd.grad``."""
    leaves = [tensor.requires_grad_() for tensor in flat(weights, xs, states)]
    outputs = forward(weights, xs, states)
    return outputs, unflattened(weights, torch.autograd.grad(outputs, leaves, upstream))


def pull_back(outputs: Any, leaves: Any, upstream: Any) -> Any:
    """Return the gradients of the leaves, pulled back twice.

    Raises:
        RuntimeError: the second pull-back returned other bits.
    """
    pull = partial(torch.autograd.grad, outputs, leaves, upstream, retain_graph=True, materialize_grads=True)
    return pulled_twice(pull, as_array)


def by_two_pull_backs(forward: Any, weights: Any, xs: Any, states: Any, upstream: Any) -> Any:
    """Differentiate with ``torch.autograd.grad`` twice, and expect equal gradients."""
    leaves = [tensor.requires_grad_() for tensor in flat(weights, xs, states)]
    outputs = forward(weights, xs, states)
    return outputs, unflattened(weights, pull_back(outputs, leaves, upstream))


def by_vjp(forward: Any, weights: Any, xs: Any, states: Any, upstream: Any) -> Any:
    """Differentiate with ``torch.func.vjp``."""
    outputs, pull_back = vjp(forward, weights, xs, states)
    return outputs, pull_back(upstream)


def by_vmap(forward: Any, *arguments: Any) -> Any:
    """Differentiate a stack with ``torch.func.vjp`` under ``vmap``; every array has one more leading axis."""
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "There is a performance drop", UserWarning)
        # A module that is created under vmap draws random parameters, although they are not used.
        return vmap(partial(by_vjp, forward), randomness="same")(*arguments)


def by_jvp(forward: Any, weights: Any, xs: Any, states: Any, upstream: Any, tangents: Any) -> Any:
    """Differentiate in forward mode, along a direction, with ``torch.func.jvp``."""
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "`torch.jit.script", DeprecationWarning)
        outputs, along = jvp(forward, (weights, xs, states), tangents)
    return (outputs, None), (along, None)


def twice(forward: Any, weights: Any, xs: Any, states: Any, upstream: Any, tangents: Any) -> Any:
    """Differentiate the product of the gradient and a direction: ``torch.autograd.grad`` twice, with ``create_graph``.

    In the second pull-back, the gradient of upstream is the forward-mode derivative.
    """
    leaves = [tensor.requires_grad_() for tensor in flat(weights, xs, states)]
    above = [tensor.requires_grad_() for tensor in (upstream if isinstance(upstream, tuple) else (upstream,))]
    outputs = forward(weights, xs, states)
    first = torch.autograd.grad(outputs, leaves, upstream, create_graph=True)
    found = torch.autograd.grad(first, (*leaves, *above), flat(*tangents), materialize_grads=True)
    return (outputs, unflattened(weights, first)), (found[len(leaves) :], unflattened(weights, found[: len(leaves)]))


# For the registry alone.


def tanh(array: Any) -> Any:
    """Return torch.tanh of a NumPy array."""
    return as_array(torch.tanh(as_tensor(array)))


def sigmoid(array: Any) -> Any:
    """Return torch.sigmoid of a NumPy array."""
    return as_array(torch.sigmoid(as_tensor(array)))


def environment() -> dict[str, str]:
    """Return the version of PyTorch and the flags that decide its precision."""
    return {
        "torch": torch.__version__,
        "float32 matmul precision": torch.get_float32_matmul_precision(),
        "flush denormal": str(bool((torch.tensor([1e-310], dtype=torch.float64) * 1).item() == 0)),
        "threads": str(torch.get_num_threads()),
        "capability": torch.backends.cpu.get_cpu_capability(),
    }


def read_state_dict(path: Path, needed: Callable[[str], bool] = lambda name: True) -> dict[str, Any]:
    """Read arrays of a ``.pt`` state dict with ``weights_only``, so that no code in the file runs.

    Args:
        path: the file.
        needed: of a name, whether its array is read; in place of another array comes an empty one.

    Raises:
        ValueError: the file is damaged, or is not a dict of tensors by name.
    """
    try:
        if zipfile.is_zipfile(path):
            unpacked = sum(info.file_size for info in zipfile.ZipFile(path).infolist())
            if unpacked > path.stat().st_size:
                raise ValueError(f"it unpacks to {unpacked} bytes")  # torch.save does not compress
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            found = torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:  # of many kinds, if the file is damaged
        reason = (str(error).strip().splitlines() or [type(error).__name__])[0]
        raise ValueError(f"expected a whole .pt file of tensors, got {path} ({reason})") from error
    if not isinstance(found, dict) or not all(isinstance(value, Tensor) for value in found.values()):
        raise ValueError(f"expected a state dict in {path}, got a {type(found).__name__} of other things")
    named = ((str(name), tensor) for name, tensor in found.items())
    return {name: read_tensor(name, tensor) if needed(name) else np.zeros(0) for name, tensor in named}


def read_tensor(name: str, tensor: Tensor) -> Any:
    """Return a tensor of a file as an array.

    Raises:
        ValueError: it has more elements than are stored, or is of a kind that NumPy does not have.
    """
    try:
        if tensor.numel() * tensor.element_size() > tensor.untyped_storage().nbytes():
            raise ValueError("it is expanded from fewer elements")
        return as_array(tensor.resolve_conj())
    except Exception as error:
        reason = (str(error).strip().splitlines() or [type(error).__name__])[0]
        got = f"{tuple(tensor.shape)} {tensor.dtype} ({reason})"
        raise ValueError(f"expected {name} as a plain tensor, got {got}") from error
