"""The time of the oracle against frameworks: forward and backward of a sequence, and the unavoidable operations."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

import jax
import numpy as np
import torch

import adapters.jax
from adapters._jax import by_vjp
from adapters._places import to_framework
from adapters.torch import LAYOUTS, as_tensor
from reference import Case, evaluate
from tests.benchmarks.timing import Table, times

# T, N, D, H
SIZES = ((1, 1, 8, 8), (1000, 1, 8, 8), (32, 16, 32, 32), (64, 32, 128, 128), (128, 32, 256, 256), (50, 128, 256, 512))


def states_of(case: Case) -> tuple[Any, ...]:
    """Return the initial states of a case."""
    return tuple(getattr(case, f"{state}0") for state in case.cell_type.states)


def torch_layer(case: Case) -> Callable[[], Any]:
    """Return forward and backward of the layer of ``torch.nn``, with its module and its inputs prepared."""
    x, states = (
        as_tensor(case.xs).requires_grad_(),
        [as_tensor(state)[None].requires_grad_() for state in states_of(case)],
    )
    name = case.cell.upper()
    layer = getattr(torch.nn, name)(*case.params.sizes.values(), dtype=x.dtype)
    held = to_framework(LAYOUTS[name], case.params.fields())
    layer.load_state_dict({name: as_tensor(array) for name, array in held.items()})
    upstream, sources = as_tensor(case.upstream), (x, *states, *layer.parameters())
    if case.upstream_c is None:
        return lambda: torch.autograd.grad(layer(x, states[0])[0], sources, upstream)
    above = upstream, as_tensor(case.upstream_c)[None]

    def both() -> Any:
        outputs, (_, c) = layer(x, tuple(states))
        return torch.autograd.grad((outputs, c), sources, above)

    return both


def jax_scan(case: Case) -> Callable[[], Any]:
    """Return forward and vjp of a jitted ``lax.scan``, compiled before it is timed."""
    forward = partial(adapters.jax.scanned, case.nonlinearity if case.cell == "rnn" else case.cell)
    upstream = case.upstream if case.upstream_c is None else (case.upstream, case.upstream_c)
    with jax.enable_x64(case.dtype == "float64"):
        arrays = jax.tree.map(jax.numpy.asarray, (case.params.fields(), case.xs, states_of(case), upstream))

    def run() -> None:
        with jax.enable_x64(case.dtype == "float64"):
            jax.block_until_ready(by_vjp(forward, *arrays))

    return run


def products(case: Case) -> Callable[[], Any]:
    """Return only the matrix products and a tanh of each gate, on arrays that are already float64."""
    T, N, D, H = case.sizes.values()
    arrays = (case.params.Wx, case.params.Wh, case.h0, case.xs.reshape(T * N, D), case.upstream.reshape(T * N, H))
    Wx, Wh, h, x, h_prev = (array.astype(np.float64) for array in arrays)
    A = np.tile(h_prev, Wh.shape[1] // H)

    def run() -> None:
        _ = x @ Wx
        for _ in range(T):
            _ = np.tanh(h @ Wh)
        for A_t in A.reshape(T, N, -1):
            _ = A_t @ Wh.T
        _ = A @ Wx.T, x.T @ A, h_prev.T @ A

    return run


def compare() -> Table:
    """Return the table: times of frameworks divided by those of the oracle, which always computes in float64."""
    rows: list[list[str | float]] = []
    for cell, dtype in (("rnn", "float64"), ("rnn", "float32"), ("lstm", "float64"), ("gru", "float64")):
        for T, N, D, H in SIZES:
            case = Case.random(T, N, D, H, dtype=dtype, cell=cell)
            found = times(
                {
                    "oracle": partial(evaluate, case),
                    "torch": torch_layer(case),
                    "jax": jax_scan(case),
                    "products": products(case),
                }
            )
            ratios = (found[name] / found["oracle"] for name in ("torch", "jax", "products"))
            rows.append([cell, f"{T}, {N}, {D}, {H}", dtype, *ratios])
    return Table(("cell", "T, N, D, H", "dtype", "torch.nn", "lax.scan", "bare products and tanh"), rows)
