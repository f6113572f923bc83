"""Keras on each of its backends: its cells, stepped, and its layers over (N, T, D).

``stateless_call`` calls Keras as a function of its weights. Importing Keras fixes the backend, so each process has one
of the three backends.
"""

from __future__ import annotations

from functools import cache
from typing import Any

import keras

from adapters import Adapter, LayersWay, Way, gated
from adapters._way import unroll

# https://keras.io/api/layers/recurrent_layers/. The variables of a cell and of a layer have the same names.
# fmt: off
LAYOUTS = {
    "SimpleRNN": {"kernel": "Wx", "recurrent_kernel": "Wh", "bias": "b"},
    "SimpleRNNCell": {"kernel": "Wx", "recurrent_kernel": "Wh", "bias": "b"},
    "LSTM": {"cell": "lstm i f g o", "kernel": "Wx", "recurrent_kernel": "Wh", "bias": "b"},
    "LSTMCell": {"cell": "lstm i f g o", "kernel": "Wx", "recurrent_kernel": "Wh", "bias": "b"},
    "GRU": {"cell": "gru z r n", "kernel": "Wx", "recurrent_kernel": "Wh", "bias": "[b; [0, bn]]"},
    "GRUCell": {"cell": "gru z r n", "kernel": "Wx", "recurrent_kernel": "Wh", "bias": "[b; [0, bn]]"},
    "GRU.reset_before": {"cell": "gru_reset_before z r n", "kernel": "Wx", "recurrent_kernel": "Wh", "bias": "b"},
    "GRUCell.reset_before": {"cell": "gru_reset_before z r n", "kernel": "Wx", "recurrent_kernel": "Wh", "bias": "b"},
}
# fmt: on
KINDS: dict[str, Any] = {"lstm": ("LSTM", {}), "gru": ("GRU", {"reset_after": True})}
KINDS |= {"gru_reset_before": ("GRU", {"reset_after": False})}
KINDS |= {name: ("SimpleRNN", {"activation": name}) for name in ("tanh", "relu")}
# The initial weights of a module are not used.
ZEROS: dict[str, Any] = {"kernel_initializer": "zeros", "recurrent_initializer": "zeros"}


def called(module: Any, weights: Any, *inputs: Any) -> Any:
    """Call a cell or layer as a function of its weights."""
    own, others = module.trainable_variables, [variable.value for variable in module.non_trainable_variables]
    return module.stateless_call([weights[variable.name] for variable in own], others, *inputs)[0]


def stepped(cell: Any, weights: Any, xs: Any, states: Any) -> Any:
    """Step a cell."""
    found = unroll(lambda x, states: called(cell, weights, x, list(states))[1], xs, [states])
    hs = keras.ops.stack([each[0] for each in found])[1:]
    return (hs, found[-1][1]) if len(states) > 1 else hs


def layer(module: Any, weights: Any, xs: Any, states: Any) -> Any:
    """Run a layer; an LSTM with ``return_state=True``, for its last c."""
    found = called(module, weights, keras.ops.swapaxes(xs, 0, 1), list(states))
    return (keras.ops.swapaxes(found[0], 0, 1), found[2]) if len(states) > 1 else keras.ops.swapaxes(found, 0, 1)


def last_state(module: Any, weights: Any, xs: Any, states: Any) -> Any:
    """Run a layer with ``return_state=True``, and take the last step from the last state."""
    outputs, *last = called(module, weights, keras.ops.swapaxes(xs, 0, 1), list(states))
    hs = keras.ops.concatenate([keras.ops.swapaxes(outputs, 0, 1)[:-1], last[0][None]])
    return (hs, last[1]) if len(states) > 1 else hs


@cache
def module_of(forward: Any, cell: str, D: int, H: int, dtype: str, use_bias: bool, **activations: Any) -> Any:
    """Return the cell or layer of these sizes for a forward."""
    (kind, own), is_cell = KINDS[cell], forward is stepped
    returned = {"return_sequences": True, "return_state": forward is last_state or cell == "lstm"}
    options = ZEROS | own | activations | ({} if is_cell else returned)
    module = getattr(keras.layers, f"{kind}Cell" if is_cell else kind)(H, dtype=dtype, use_bias=use_bias, **options)
    module.build((None, None, D))
    return module


def module_for(forward: Any, cell: str, weights: Any, **activations: Any) -> Any:
    """Return the cell or layer for a forward, in the sizes and dtype of the weights, perhaps with other activations."""
    Wx, Wh, *biases = weights.values()
    return module_of(forward, cell, len(Wx), len(Wh), Wx.dtype.name, bool(biases), **activations)


# For the registry alone.


def require(backend: str) -> None:
    """Raise ModuleNotFoundError if Keras was imported with another backend in this process."""
    if (found := keras.backend.backend()) != backend:
        message = f"adapters: keras_{backend} needs its own process, because keras already runs on {found} in this one"
        raise ModuleNotFoundError(message, name="keras")


def rows(
    backend: str, run: Any, several: Any, by: str, of_cell: Any, of_lstm: tuple[str, ...] = (), **fields: Any
) -> tuple[Adapter, ...]:
    """Return the adapters of the cells and of the layers on a backend.

    Args:
        backend: name of the backend.
        run: as of ``Way``.
        several: as of ``LayersWay``.
        by: name of the differentiator, for the description.
        of_cell: fields of the adapters of cells only.
        of_lstm: what the LSTM does not support besides.
        fields: fields of all adapters.
    """
    found = list[Adapter]()
    for kind, places in LAYOUTS.items():
        cell, _, is_gated = places.get("cell", "").partition(" ")
        own = fields | (gated(cell) if is_gated else {})
        forward = stepped if "Cell" in kind else layer
        options = {"options": {"last state as h[-1]": Way(LAYOUTS, run, kind, (last_state,))}, "unsupported": ("T=0",)}
        own |= of_cell if forward is stepped else options | {"layers": LayersWay(LAYOUTS, several, kind)}
        # Under a mask, XLA computes a state twice: for the output, and for backward with a fused multiply-add.
        own |= {"recomputes": ("states",)} if (backend, kind) == ("jax", "GRU.reset_before") else {}
        own["unsupported"] = (*own.get("unsupported", ()), *(of_lstm if cell == "lstm" else ()))
        what = f"{kind}{' stepped' if forward is stepped else ''}, {by}"
        found.append(Adapter(f"keras_{backend}.{kind}", Way(LAYOUTS, run, kind, (forward,)), what, **own))
    return tuple(found)


def environment(backend: str) -> dict[str, str]:
    """Return the version of Keras and the settings that decide its precision."""
    return {f"keras_{backend}": keras.__version__, "floatx": keras.config.floatx(), "precision": "that of each layer"}
