"""keras_jax: on JAX with x64, keras.ops.tanh turns float64 into float32, and SimpleRNN of float64 cannot run.

Needs only NumPy, Keras and JAX. Exit status: 1 while the fault is there, 0 once it is fixed.
Found with keras 3.15.1 and jax 0.10.2 on CPU; T=1, N=1, D=1, H=1, by every check of an adapter of SimpleRNN.

On PyTorch and JAX, keras.backend.result_type returns float32 for float64, even if x64 is on. A cell of dtype float64
returns float32. In the layer, lax.scan raises an error because the state changes its dtype.
"""

import os
import sys

os.environ["KERAS_BACKEND"] = "jax"
os.environ["JAX_ENABLE_X64"] = "1"

import keras
import numpy as np

x, h = np.full((1, 1), 0.1), np.zeros((1, 1))
calls = {
    "keras.ops.tanh": lambda: keras.ops.tanh(x),
    "SimpleRNNCell": lambda: keras.layers.SimpleRNNCell(1, dtype="float64")(x, [h])[0],
    "SimpleRNN": lambda: keras.layers.SimpleRNN(1, dtype="float64")(x[None]),
}
wrong = False
for name, call in calls.items():
    try:
        actual = str(call().dtype)
    except TypeError as error:
        actual = f"TypeError: {str(error).splitlines()[0]}"
    print(f"{name:14} of float64: got {actual}")
    wrong = wrong or actual != "float64"
print("WRONG" if wrong else "right")
sys.exit(1 if wrong else 0)
