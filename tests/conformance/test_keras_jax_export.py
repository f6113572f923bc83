"""The line that exports the weights of a Keras model, which ``port`` prints for a file that it does not read."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("adapters.keras_jax")  # chooses the backend of Keras

import keras

from adapters import port
from adapters.conformance.port import EXPORT, read_arrays
from adapters.layout import layouts


@pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning")  # in Keras
def test_the_exported_model_is_moved(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    model = keras.Sequential([keras.layers.Input((5, 3)), keras.layers.SimpleRNN(4), keras.layers.Dense(2)])
    exec(EXPORT, {"np": np, "model": model})
    arrays = read_arrays("port", "model.npz", [*layouts("keras_jax").values()])
    moved = port({name: array for name, array in arrays.items() if array.size}, "keras_jax", "torch")
    assert moved["weight_hh_l0"].tobytes() == np.ascontiguousarray(model.layers[0].weights[1].numpy().T).tobytes()
