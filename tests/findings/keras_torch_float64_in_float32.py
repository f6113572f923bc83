"""keras_torch: on PyTorch, a layer of dtype float64 multiplies in float32 without a warning.

Needs only NumPy, Keras and PyTorch. Exit status: 1 while the fault is there, 0 once it is fixed.
Found with keras 3.15.1 and torch 2.13.0 on CPU; T=1, N=1, D=1, H=1, by every check of an adapter of SimpleRNNCell.

On PyTorch and JAX, keras.backend.result_type returns float32 for float64. On PyTorch, keras.ops.matmul casts its
operands to float32. Adding the float64 bias makes the result float64 again. So the dtype is right, and digits are lost.
"""

import os
import sys

os.environ["KERAS_BACKEND"] = "torch"

import keras
import numpy as np

wrong = False
x = np.full((1, 1), 0.1)
for kind in ("SimpleRNNCell", "Dense"):
    layer = getattr(keras.layers, kind)(1, activation="linear", kernel_initializer="ones", dtype="float64")
    actual = layer(x) if kind == "Dense" else layer(x, [np.zeros((1, 1))])[0]
    value = float(actual.detach().numpy()[0, 0])
    print(f"{kind:14} of 0.1 and a weight of 1 is {value!r}, of dtype {keras.backend.standardize_dtype(actual.dtype)}")
    wrong = wrong or value != 0.1
print("WRONG" if wrong else "right")
sys.exit(1 if wrong else 0)
