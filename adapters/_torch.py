"""Shared by the files on top of PyTorch: conversion of NumPy arrays, and differentiation with PyTorch."""

from __future__ import annotations

import warnings
import zipfile
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.func import jvp, vjp, vmap

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


def write_state_dict(path: str | Path, arrays: dict[str, Any]) -> None:
    """Write arrays by name as a ``.pt`` file, a dict of tensors alone."""
    torch.save({name: as_tensor(array) for name, array in arrays.items()}, path)


def read_tensor(name: str, tensor: Tensor) -> Any:
    """Return a tensor of a file as an array.

    Raises:
        ValueError: it has more elements than are stored, or is of a kind that NumPy does not have.
    """
    if tensor.is_nested:  # it has no shape
        raise ValueError(f"expected {name} as a plain tensor, got a nested one")
    try:
        if tensor.numel() * tensor.element_size() > tensor.untyped_storage().nbytes():
            raise ValueError("it is expanded from fewer elements")
        return as_array(tensor.resolve_conj())
    except Exception as error:
        reason = (str(error).strip().splitlines() or [type(error).__name__])[0]
        got = f"{tuple(tensor.shape)} {tensor.dtype} ({reason})"
        raise ValueError(f"expected {name} as a plain tensor, got {got}") from error
