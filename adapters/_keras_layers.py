"""Layers of Keras one after the other, under ``Bidirectional``, with a mask for rows of different lengths."""

from __future__ import annotations

from functools import cache
from typing import Any

import keras
import numpy as np

from adapters._keras import KINDS, ZEROS
from adapters._layers import expect_offered
from reference import LayersCase


@cache
def module_of(
    cell: str, D: int, H: int, dtype: str, use_bias: bool, directions: int, copies: bool, **activations: Any
) -> Any:
    """Return a layer of these sizes, in one direction or two; ``copies`` is its default for steps under a mask."""
    kind, own = KINDS[cell]
    returned = {"return_sequences": True, "return_state": True, "zero_output_for_mask": not copies}
    layer = getattr(keras.layers, kind)(H, dtype=dtype, use_bias=use_bias, **ZEROS, **own, **returned)
    module = layer if directions == 1 else keras.layers.Bidirectional(layer, dtype=dtype)
    for each in (layer,) if directions == 1 else (module.forward_layer, module.backward_layer):
        for name, function in activations.items():
            setattr(each.cell, name, function)
    module.build((None, None, D))
    return module


def several(made: Any, weights: Any, xs: Any, states: Any) -> Any:
    """Run the modules; return the outputs and the last states of each layer and direction.

    Args:
        made: the modules, the names of the weights in their order, and the lengths of the rows, or None.
        weights: tensors by name.
        xs: inputs; shape (T, N, D).
        states: initial states, each (L, N, H).
    """
    modules, names, lengths = made
    arrays, last, k = [weights[name] for name in names], list[Any](), 0
    xs, mask = keras.ops.swapaxes(xs, 0, 1), None
    if lengths is not None:
        mask = keras.ops.convert_to_tensor(np.arange(xs.shape[1]) < np.array(lengths)[:, None])
    for module in modules:
        count, directions = len(module.trainable_variables), 1 + hasattr(module, "backward_layer")
        own, arrays = arrays[:count], arrays[count:]
        others = [variable.value for variable in module.non_trainable_variables]
        initial = [state[k + d] for d in range(directions) for state in states]
        (xs, *after), _ = module.stateless_call(own, others, xs, initial, mask)
        last, k = [*last, *after], k + directions
    stacked = (keras.ops.stack(last[at :: len(states)]) for at in range(len(states)))
    return (keras.ops.swapaxes(xs, 0, 1), *stacked)


def run(
    differentiate: Any, activations: Any, cell: str, weights: Any, xs: Any, states: Any, upstream: Any, case: LayersCase
) -> Any:
    """Run several layers and differentiate them, as of ``LayersWay.run``.

    Args:
        differentiate: of the backend: function of ``several``, its first argument, weights, xs, states and upstream.
        activations: of the backend: function of the cell and the dtype that returns those that are not Keras's own.
        cell: the cell.
        weights: arrays by name.
        xs: inputs.
        states: initial states of each layer and direction.
        upstream: gradients of the outputs and of each last state.
        case: for its numbers of layers and directions, its lengths and its padding.

    Raises:
        Unsupported: there are masks of dropout, or copies of outputs in the padding of two directions.
    """
    copies = "Bidirectional forces zeros" if case.directions == 2 else ""
    expect_offered("keras.layers", case, masks="its layers draw their own", copies=copies)
    D, H = case.sizes["D"], case.sizes["H"]
    widths = [D] + [case.directions * H] * (case.layers - 1)
    like = H, case.dtype, case.params[0].b is not None, case.directions, case.padding == "last"
    modules = tuple(module_of(cell, width, *like, **activations(cell, case.dtype)) for width in widths)
    return differentiate(several, (modules, tuple(weights), case.lengths), weights, xs, states, upstream)
