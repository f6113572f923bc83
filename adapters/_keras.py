"""Keras on each of its backends: ``SimpleRNNCell``, stepped, and the layer ``SimpleRNN`` over (N, T, D).

``stateless_call`` calls Keras as a function of its weights. Importing Keras fixes the backend, so each process has one
of the three backends.
"""

from __future__ import annotations

from functools import cache
from typing import Any

import keras

from adapters import Adapter, Way
from adapters._way import unroll

# https://keras.io/api/layers/recurrent_layers/simple_rnn/. The variables of a cell and of a layer have the same names.
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


def last_state(module: Any, weights: Any, xs: Any, states: Any) -> Any:
    """Run ``SimpleRNN(return_state=True)``, and take the last step from the last state."""
    outputs, last = called(module, weights, keras.ops.swapaxes(xs, 0, 1), *states)
    return keras.ops.concatenate([keras.ops.swapaxes(outputs, 0, 1)[:-1], last[None]])


@cache
def module_of(forward: Any, D: int, H: int, activation: Any, dtype: str, use_bias: bool) -> Any:
    """Return the cell or layer of these sizes for a forward. Its own weights are zeros and are not used."""
    zeros = {"kernel_initializer": "zeros", "recurrent_initializer": "zeros"}
    kind = keras.layers.SimpleRNNCell if forward is stepped else keras.layers.SimpleRNN
    options = {} if forward is stepped else {"return_sequences": True, "return_state": forward is last_state}
    module = kind(H, activation=activation, dtype=dtype, use_bias=use_bias, **zeros, **options)
    module.build((None, None, D))
    return module


def module_for(forward: Any, activation: Any, weights: Any) -> Any:
    """Return the cell or layer for a forward, in the sizes and dtype of the weights."""
    first, *others = weights.values()
    return module_of(forward, *first.shape, activation, first.dtype.name, len(others) > 1)


# For the registry alone.


def require(backend: str) -> None:
    """Raise ModuleNotFoundError if Keras was imported with another backend in this process."""
    if (found := keras.backend.backend()) != backend:
        message = f"adapters: keras_{backend} needs its own process, because keras already runs on {found} in this one"
        raise ModuleNotFoundError(message, name="keras")


def rows(backend: str, run: Any, by: str, of_cell: Any, **fields: Any) -> tuple[Adapter, Adapter]:
    """Return the adapters of the cell and of the layer on a backend.

    Args:
        backend: name of the backend.
        run: as of ``Way``.
        by: name of the differentiator, for the description.
        of_cell: fields of the adapter of the cell only.
        fields: fields of both adapters.
    """
    name, cell = f"keras_{backend}.SimpleRNN", Way(LAYOUTS, run, "SimpleRNNCell", (stepped,))
    options = {"last state": Way(LAYOUTS, run, "SimpleRNN", (last_state,))}
    of_layer = fields | {"unsupported": ("T=0",), "options": options}
    return (
        Adapter(f"{name}Cell", cell, f"SimpleRNNCell stepped, {by}", **fields, **of_cell),
        Adapter(name, Way(LAYOUTS, run, "SimpleRNN", (layer,)), f"SimpleRNN, {by}", **of_layer),
    )


def environment(backend: str) -> dict[str, str]:
    """Return the version of Keras and the settings that decide its precision."""
    return {f"keras_{backend}": keras.__version__, "floatx": keras.config.floatx(), "precision": "that of each layer"}
