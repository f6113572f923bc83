"""keras_torch: on PyTorch, a layer of dtype float64 multiplies in float32 and says nothing.

Needs NumPy, Keras and PyTorch, nothing else. Exit status 1 while the fault is there, 0 once it is mended.
Found with keras 3.15.1 and torch 2.13.0 on CPU; T=1, N=1, D=1, H=1, by every check of an adapter of SimpleRNNCell.

On PyTorch and JAX, keras.backend.result_type makes float32 of float64. On PyTorch, keras.ops.matmul casts its operands
to that, and the bias, which is float64, makes float64 of the product: dtype and weights look right, the digits are not
there.
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
    got = layer(x) if kind == "Dense" else layer(x, [np.zeros((1, 1))])[0]
    value = float(got.detach().numpy()[0, 0])
    print(f"{kind:14} of 0.1 and a weight of 1 is {value!r}, of dtype {keras.backend.standardize_dtype(got.dtype)}")
    wrong = wrong or value != 0.1
print("WRONG" if wrong else "right")
sys.exit(1 if wrong else 0)
