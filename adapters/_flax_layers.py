"""Layers of Flax one after the other: ``RNN``, or ``Bidirectional`` over two, with the lengths of the rows."""

from __future__ import annotations

from functools import partial
from typing import Any

import flax
import jax
import jax.numpy as jnp
from flax import linen, nnx

from adapters import Unsupported, _jax_layers
from adapters._flax_cells import LINEN, NNX, carry_of
from adapters._way import bound
from reference import LayersCase


def layer_of(api: Any, cell: Any, directions: int, **options: Any) -> Any:
    """Return a layer of linen or nnx over new cells, time first."""
    options |= {"time_major": True, "return_carry": True}
    runs = [api.RNN(cell(), **options) for _ in range(directions)]
    return api.Bidirectional(*runs, **options) if directions == 2 else runs[0]


def of_linen(cell: str, directions: int, weights: Any, xs: Any, states: Any) -> Any:
    """Return a layer of linen as a function."""
    return partial(layer_of(linen, partial(LINEN[cell], states[0].shape[-1]), directions).apply, {"params": weights})


def of_nnx(cell: str, directions: int, weights: Any, xs: Any, states: Any) -> Any:
    """Return a layer of nnx, without drawing other parameters first."""
    sizes, like = (xs.shape[-1], states[0].shape[-1]), {"dtype": xs.dtype, "param_dtype": xs.dtype}

    def module() -> Any:
        return layer_of(nnx, lambda: NNX[cell](*sizes, **like, rngs=nnx.Rngs(0)), directions, rngs=False)

    graph, state = nnx.split(nnx.eval_shape(module))
    nnx.replace_by_pure_dict(state, weights)
    return nnx.merge(graph, state)


def layer(interface: Any, cell: str, _: bool, each: Any, xs: Any, states: Any, lengths: Any) -> Any:
    """Run one layer, as ``_jax_layers.layer``; Flax leaves other numbers in the padding, which are set to zero."""
    trees, carries = [flax.traverse_util.unflatten_dict(own, sep="/") for own in each], [*map(carry_of, states)]
    weights = {"forward_rnn": trees[0], "backward_rnn": trees[1]} if len(each) == 2 else trees[0]
    run = interface(cell, len(each), weights, xs, states[0])
    carry, hs = run(xs, initial_carry=tuple(carries) if len(each) == 2 else carries[0], seq_lengths=lengths)
    last = [tuple(jax.tree.leaves(own)[::-1]) for own in (carry if len(each) == 2 else (carry,))]
    return jnp.where((jnp.arange(len(xs))[:, None] < lengths)[..., None], hs, 0), last


def run(interface: Any, cell: str, weights: Any, xs: Any, states: Any, upstream: Any, case: LayersCase) -> Any:
    """Run several layers on NumPy arrays, in one of the two interfaces."""
    if case.padding == "last":
        raise Unsupported("flax: expected zeros in the padding, got copies; its layers leave other numbers there")
    return _jax_layers.run(bound(layer, interface), cell, weights, xs, states, upstream, case)
