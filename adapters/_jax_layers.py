"""Several layers composed of ``lax.scan``, in two directions, with lengths and dropout masks, as users of JAX do it."""

from __future__ import annotations

from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from adapters._jax_cells import CELLS
from adapters._way import mapped
from reference import LayersCase


def one(cell: str, weights: Any, xs: Any, states: Any, lengths: Any, reverse: bool, copies: bool) -> Any:
    """Scan one direction of one layer; beyond its length, a row keeps its state.

    Its outputs there are zero, or with ``copies`` those of its last step.
    """
    T = len(xs)
    # Within its length, the steps of each row are reversed; this is its own inverse.
    order = ((lengths - 1 - jnp.arange(T)[:, None]) % T)[..., None]
    xs = jnp.take_along_axis(xs, order, axis=0) if reverse else xs

    def step(states: Any, inputs: Any) -> Any:
        t, x = inputs
        runs = (t < lengths)[:, None]
        states = tuple(
            jnp.where(runs, new, old) for new, old in zip(CELLS[cell](weights, x, states), states, strict=True)
        )
        return states, jnp.where(runs | copies, states[0], 0)

    last, outputs = jax.lax.scan(step, states, (jnp.arange(T), xs))
    return jnp.take_along_axis(outputs, order, axis=0) if reverse else outputs, last


def layer(cell: str, copies: bool, each: Any, xs: Any, states: Any, lengths: Any) -> tuple[Any, list[Any]]:
    """Run the directions of one layer; return their outputs side by side, and the last states of each."""
    ran = [
        one(cell, own, xs, before, lengths, bool(d), copies and not d)
        for d, (own, before) in enumerate(zip(each, states, strict=True))
    ]
    return jnp.concatenate([hs for hs, _ in ran], axis=-1), [after for _, after in ran]


def several(kind: Any, weights: Any, xs: Any, states: Any, lengths: Any, masks: Any) -> Any:
    """Run all layers; return the outputs and the last states of each layer and direction.

    Args:
        kind: a function like ``layer``, its first two arguments, and the number of directions.
        weights: arrays by name.
        xs: inputs; shape (T, N, D).
        states: initial states, each (L, N, H).
        lengths: numbers of steps of the rows; shape (N,).
        masks: of dropout, or None.
    """
    layer, cell, copies, directions = kind
    last = list[Any]()
    for k in range(0, len(states[0]), directions):
        if k and masks is not None:
            xs = xs * masks[k // directions - 1]
        ends = [f"_l{k // directions}{'_reverse' * d}" for d in range(directions)]
        each = [{n.removesuffix(end): array for n, array in weights.items() if n.endswith(end)} for end in ends]
        before = [tuple(state[k + d] for state in states) for d in range(directions)]
        xs, after = layer(cell, copies, each, xs, before, lengths)
        last += after
    return (xs, *(jnp.stack(each) for each in zip(*last, strict=True)))


@partial(jax.jit, static_argnums=0)
def by_vjp(kind: Any, weights: Any, xs: Any, states: Any, upstream: Any, lengths: Any, masks: Any) -> Any:
    """Differentiate with ``jax.vjp``, with forward and pull-back jitted together."""

    def forward(weights: Any, xs: Any, states: Any) -> Any:
        return several(kind, weights, xs, states, lengths, masks)

    outputs, pull_back = jax.vjp(forward, weights, xs, states)
    return outputs, pull_back(upstream)


def run(layer: Any, cell: str, weights: Any, xs: Any, states: Any, upstream: Any, case: LayersCase) -> Any:
    """Run on NumPy arrays, with a function like ``layer``."""
    T, N, *_ = case.sizes.values()
    lengths = np.array(case.lengths or (T,) * N, np.int32)
    kind = layer, cell, case.padding == "last", case.directions
    with jax.enable_x64(xs.dtype == np.float64):
        return mapped(np.array, by_vjp(kind, weights, xs, states, upstream, lengths, case.masks))
