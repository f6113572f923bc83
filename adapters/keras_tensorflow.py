"""Keras on TensorFlow: ``SimpleRNNCell`` and ``SimpleRNN``, differentiated by ``GradientTape``."""

from __future__ import annotations

import os
from typing import Any

os.environ["KERAS_BACKEND"] = "tensorflow"

import keras
import tensorflow as tf

from adapters import Adapter, Idiom, _keras, _tensorflow
from adapters._keras import HELD, built, in_order
from adapters._tensorflow import TANH_ULPS, pull_back

_keras.require("tensorflow")


def loaded(kind: str, Wx: Any, Wh: Any, b: Any, nonlinearity: str, **options: Any) -> Any:
    """Return a cell or layer with these parameters."""
    module = built(kind, Wx, b, nonlinearity, **options)
    module.set_weights(in_order(kind, Wx, Wh, b))
    return module


def weights(module: Any) -> list[Any]:
    """Return the variables of TensorFlow behind those of a cell or layer."""
    return [weight.value for weight in module.trainable_weights]


def step_cell(xs: Any, h0: Any, Wx: Any, Wh: Any, b: Any, upstream: Any, nonlinearity: str) -> list[Any]:
    """Step one ``SimpleRNNCell`` through the sequence."""
    cell = loaded("SimpleRNNCell", Wx, Wh, b, nonlinearity)

    def states(x: Any, h: Any) -> Any:
        hs = [h]
        for x_t in tf.unstack(x):
            hs.append(cell(x_t, [hs[-1]])[0])
        return tf.stack(hs)[1:]

    return pull_back(states, weights(cell), xs, h0, upstream)


def run_layer(xs: Any, h0: Any, Wx: Any, Wh: Any, b: Any, upstream: Any, nonlinearity: str) -> list[Any]:
    """Run ``SimpleRNN`` over the sequence."""
    layer = loaded("SimpleRNN", Wx, Wh, b, nonlinearity, return_sequences=True)

    def states(x: Any, h: Any) -> Any:
        return tf.transpose(layer(tf.transpose(x, (1, 0, 2)), initial_state=[h]), (1, 0, 2))

    return pull_back(states, weights(layer), xs, h0, upstream)


def tanh(array: Any) -> Any:
    """Return the tanh of Keras, which is TensorFlow's, of a NumPy array."""
    return keras.ops.tanh(tf.constant(array)).numpy()


def environment() -> dict[str, str]:
    """Return the versions and what decides the precision."""
    return _keras.environment("tensorflow") | {"tensorflow": tf.__version__}


IMPORTS = f'import os\n{_tensorflow.IMPORTS}\n\nos.environ["KERAS_BACKEND"] = "tensorflow"\nimport keras'
PARTS = (*HELD, loaded, pull_back, weights)
STEPPED, LAYER = Idiom(IMPORTS, (*PARTS, step_cell)), Idiom(IMPORTS, (*PARTS, run_layer))
# TensorFlow runs a step in a millisecond.
LONGEST = 1000

ADAPTERS = tuple(
    Adapter.of_arrays(
        f"keras_tensorflow.{name}", idiom, describe, tanh, TANH_ULPS, unsupported=unsupported, max_T=LONGEST
    )
    for name, idiom, describe, unsupported in (
        ("SimpleRNNCell", STEPPED, "SimpleRNNCell stepped, GradientTape", ()),
        ("SimpleRNN", LAYER, "SimpleRNN, GradientTape", ("T=0",)),
    )
)
