"""keras: ``Bidirectional`` of a float64 layer returns float32 without a warning.

Needs Keras and PyTorch; it is the same on JAX and TensorFlow. Exit status: 1 while the fault is there, 0 once it is
fixed.
Found with keras 3.15.1; T=1, N=2, D=3, H=2, by the check "layers".

``Bidirectional`` casts the outputs of both directions to a dtype of its own, which is ``keras.config.floatx()`` if none
is given. The last states keep the dtype of the layer.
"""

import os
import sys

os.environ["KERAS_BACKEND"] = "torch"

import keras
import numpy as np

x = np.random.default_rng(0).standard_normal((2, 1, 3))
layer = keras.layers.SimpleRNN(2, dtype="float64", return_sequences=True, return_state=True)
outputs, *states = keras.layers.Bidirectional(layer)(x)
dtypes = keras.backend.standardize_dtype(outputs.dtype), keras.backend.standardize_dtype(states[0].dtype)
print(f"dtype of the layer: {layer.compute_dtype}; of the outputs: {dtypes[0]}; of the last states: {dtypes[1]}")
right = dtypes == ("float64", "float64")
print("right" if right else "WRONG")
sys.exit(0 if right else 1)
