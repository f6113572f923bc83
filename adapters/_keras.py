"""What Keras is on each of its backends: ``SimpleRNNCell``, stepped, and the layer ``SimpleRNN`` over (N, T, D).

Its weights are shaped as here. The backend is fixed once Keras is imported, so that a process has one of the three.
"""

from __future__ import annotations

from typing import Any

import keras
import numpy as np

from adapters._layout import laid_out

# https://keras.io/api/layers/recurrent_layers/simple_rnn/; a cell and a layer name their variables alike.
LAYOUTS = {
    "SimpleRNN": {"kernel": "Wx", "recurrent_kernel": "Wh", "bias": "b"},
    "SimpleRNNCell": {"kernel": "Wx", "recurrent_kernel": "Wh", "bias": "b"},
}


def built(kind: str, Wx: Any, b: Any, activation: Any, **options: Any) -> Any:
    """Return a cell or layer of these sizes, whose weights are zeros."""
    D, H = Wx.shape
    like = {"activation": activation, "use_bias": b is not None, "dtype": np.dtype(Wx.dtype).name}
    zeros = {"kernel_initializer": "zeros", "recurrent_initializer": "zeros"}
    module = getattr(keras.layers, kind)(H, **like, **zeros, **options)
    module.build((None, None, D))
    return module


def in_order(kind: str, Wx: Any, Wh: Any, b: Any) -> list[Any]:
    """Return the parameters of a cell or layer as it lists them."""
    return list(laid_out(LAYOUTS[kind], Wx, Wh, b).values())


HELD = (f"LAYOUTS = {LAYOUTS}", laid_out, built, in_order)


def require(backend: str) -> None:
    """Hold Keras to a backend.

    Raises:
        ModuleNotFoundError: it was imported with another one before.
    """
    if (found := keras.backend.backend()) != backend:
        message = f"adapters: keras_{backend} wants a process of its own, in which keras does not run on {found}"
        raise ModuleNotFoundError(message, name="keras")


def environment(backend: str) -> dict[str, str]:
    """Return the version of Keras and what decides its precision."""
    return {f"keras_{backend}": keras.__version__, "floatx": keras.config.floatx(), "precision": "that of each layer"}
