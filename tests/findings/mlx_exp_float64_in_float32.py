"""mlx: on the CPU, mx.exp and mx.sigmoid of float64 numbers have the accuracy of float32; mx.tanh has not.

Needs only NumPy and MLX. Exit status: 1 while the fault is there, 0 once it is fixed.
Found with mlx 0.32.4 on CPU: nn.LSTM and nn.GRU of float64 arrays are wrong from the eighth digit on.
"""

import sys

import mlx.core as mx
import numpy as np

x = np.linspace(0.5, 3, 6)
expected = {"exp": np.exp(x), "sigmoid": 1 / (1 + np.exp(-x)), "tanh": np.tanh(x)}
errors = {}
with mx.stream(mx.cpu):
    for name, right in expected.items():
        actual = np.array(getattr(mx, name)(mx.array(x, dtype=mx.float64)))
        errors[name] = np.max(np.abs(actual / right - 1))
        print(f"mx.{name} of {actual.dtype}: largest relative error {errors[name]:.1e}")
wrong = errors["exp"] > 1e-12 or errors["sigmoid"] > 1e-12
print("WRONG" if wrong else "right")
sys.exit(1 if wrong else 0)
