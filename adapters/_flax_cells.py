"""Flax's cells as functions of their weights, in both interfaces: stepped, and in the layer ``RNN``."""

from __future__ import annotations

from functools import partial
from typing import Any

import flax
import jax
import jax.numpy as jnp
from flax import linen, nnx

from adapters._jax import run
from adapters._way import bound, unroll

LINEN = {"lstm": linen.LSTMCell, "gru": linen.GRUCell, "optimized lstm": linen.OptimizedLSTMCell}
NNX = {"lstm": nnx.LSTMCell, "gru": nnx.GRUCell, "optimized lstm": nnx.OptimizedLSTMCell}
LINEN |= {name: partial(linen.SimpleCell, activation_fn=getattr(linen, name)) for name in ("tanh", "relu")}
NNX |= {name: partial(nnx.SimpleCell, activation_fn=getattr(nnx, name)) for name in ("tanh", "relu")}


def run_flax(interface: Any, forward: Any, differentiate: Any, *arguments: Any) -> Any:
    """Run on NumPy arrays, in one of the two interfaces."""
    return run(bound(forward, interface), differentiate, *arguments)


def of_linen(options: Any, cell: str, weights: Any, xs: Any, states: Any) -> Any:
    """Return a cell of linen as a function, or ``linen.RNN`` over it, time first, if there are options."""
    module = LINEN[cell](states[0].shape[-1])
    module = module if options is None else linen.RNN(module, time_major=True, **options)
    return partial(module.apply, {"params": flax.traverse_util.unflatten_dict(weights, sep="/")})


def of_nnx(options: Any, cell: str, weights: Any, xs: Any, states: Any) -> Any:
    """Return a cell of nnx, or ``nnx.RNN`` over it, time first, without drawing other parameters first."""

    def module() -> Any:
        cell_of = NNX[cell](xs.shape[-1], states[0].shape[-1], dtype=xs.dtype, param_dtype=xs.dtype, rngs=nnx.Rngs(0))
        return cell_of if options is None else nnx.RNN(cell_of, time_major=True, rngs=False, **options)

    graph, state = nnx.split(nnx.eval_shape(module))
    nnx.replace_by_pure_dict(state, flax.traverse_util.unflatten_dict(weights, sep="/"))
    return nnx.merge(graph, state)


def carry_of(states: Any) -> Any:
    """Return the carry of Flax: the state, or (c, h)."""
    return states[::-1] if len(states) > 1 else states[0]


def stepped(interface: Any, *arguments: Any) -> Any:
    """Step a cell."""
    module, (*_, xs, states) = interface(None, *arguments), arguments
    carries = unroll(lambda x, carry: module(carry, x)[0], xs, [carry_of(states)])[1:]
    hs = jnp.stack([jax.tree.leaves(carry)[-1] for carry in carries])
    return (hs, carries[-1][0]) if len(states) > 1 else hs


def layer(interface: Any, *arguments: Any) -> Any:
    """Run ``RNN`` over a cell; over an LSTM with ``return_carry=True``, for its last c."""
    *_, xs, states = arguments
    options = {"return_carry": True} if len(states) > 1 else {}
    found = interface(options, *arguments)(xs, initial_carry=carry_of(states))
    return (found[1], found[0][0]) if options else found


def optimized(interface: Any, cell: str, *arguments: Any) -> Any:
    """Run ``RNN`` over ``OptimizedLSTMCell``."""
    return layer(interface, f"optimized {cell}", *arguments)


def last_state(interface: Any, *arguments: Any) -> Any:
    """Run ``RNN(return_carry=True)`` over a cell, and take the last step from the last state."""
    *_, xs, states = arguments
    carry, outputs = interface({"return_carry": True}, *arguments)(xs, initial_carry=carry_of(states))
    outputs = jnp.concatenate([outputs[:-1], jax.tree.leaves(carry)[-1][None]])
    return (outputs, carry[0]) if len(states) > 1 else outputs
