"""Keras on each of its backends: ``SimpleRNNCell``, stepped, and the layer ``SimpleRNN`` over (N, T, D).

Keras is called as a function of its weights, by ``stateless_call``. The backend is fixed once Keras is imported, so a
process has one of the three.
"""

from __future__ import annotations

from functools import cache
from typing import Any

import keras

from adapters import Adapter, Way
from adapters._way import unroll

# https://keras.io/api/layers/recurrent_layers/simple_rnn/; a cell and a layer name their variables alike.
LAYOUTS = {
    "SimpleRNN": {"kernel": "Wx", "recurrent_kernel": "Wh", "bias": "b"},
    "SimpleRNNCell": {"kernel": "Wx", "recurrent_kernel": "Wh", "bias": "b"},
}


def called(module: Any, weights: Any, *inputs: Any) -> Any:
    """Call a cell or layer as a function of its weights."""
    own, others = module.trainable_variables, [variable.value for variable in module.non_trainable_variables]
    return module.stateless_call([weights[variable.name] for variable in own], others, *inputs)[0]


def stepped(cell: Any, weights: Any, xs: Any, states: Any) -> Any:
    """Step a ``SimpleRNNCell``."""
    return keras.ops.stack(unroll(lambda x, h: called(cell, weights, x, [h])[0], xs, states))[1:]


def layer(module: Any, weights: Any, xs: Any, states: Any) -> Any:
    """Run a ``SimpleRNN``."""
    return keras.ops.swapaxes(called(module, weights, keras.ops.swapaxes(xs, 0, 1), *states), 0, 1)


@cache
def module_of(forward: Any, D: int, H: int, activation: Any, dtype: str, use_bias: bool) -> Any:
    """Return the cell or layer of these sizes that a forward takes; its own weights are zeros, and not used."""
    zeros = {"kernel_initializer": "zeros", "recurrent_initializer": "zeros"}
    kind = keras.layers.SimpleRNNCell if forward is stepped else keras.layers.SimpleRNN
    options = {} if forward is stepped else {"return_sequences": True}
    module = kind(H, activation=activation, dtype=dtype, use_bias=use_bias, **zeros, **options)
    module.build((None, None, D))
    return module


def module_for(forward: Any, activation: Any, weights: Any) -> Any:
    """Return the cell or layer that a forward takes and that fits the weights."""
    first, *others = weights.values()
    return module_of(forward, *first.shape, activation, first.dtype.name, len(others) > 1)


# For the registry alone.


def require(backend: str) -> None:
    """Raise ModuleNotFoundError if Keras runs on another backend, with which it was imported before."""
    if (found := keras.backend.backend()) != backend:
        message = f"adapters: keras_{backend} wants a process of its own, in which keras does not run on {found}"
        raise ModuleNotFoundError(message, name="keras")


def rows(backend: str, run: Any, by: str, of_cell: Any, **fields: Any) -> tuple[Adapter, Adapter]:
    """Return the adapters of the cell and of the layer on a backend.

    Args:
        backend: its name.
        run: as of ``Way``.
        by: what differentiates.
        of_cell: fields of the adapter of the cell alone.
        fields: those of both.
    """
    name, cell = f"keras_{backend}.SimpleRNN", Way(LAYOUTS, run, "SimpleRNNCell", (stepped,))
    of_layer = fields | {"unsupported": ("T=0",)}
    return (
        Adapter(f"{name}Cell", cell, f"SimpleRNNCell stepped, {by}", **fields, **of_cell),
        Adapter(name, Way(LAYOUTS, run, "SimpleRNN", (layer,)), f"SimpleRNN, {by}", **of_layer),
    )


def environment(backend: str) -> dict[str, str]:
    """Return the version of Keras and what decides its precision."""
    return {f"keras_{backend}": keras.__version__, "floatx": keras.config.floatx(), "precision": "that of each layer"}
