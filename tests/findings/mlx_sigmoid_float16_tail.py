"""mlx: on the CPU, in float16, mx.sigmoid returns 0 below -11.09, where the sigmoid is 1.5e-5.

Needs only NumPy and MLX. Exit status: 1 while the fault is there, 0 once it is fixed.
Found with mlx 0.32.4 on CPU, by the sweep that compares an adapter's sigmoid with certified enclosures.

exp(-x) overflows in float16 from x = -11.09 on, because exp(11.09) is above 65504. The exact values down to 6e-8 are
float16 numbers.
"""

import sys

import mlx.core as mx
import numpy as np

x = np.array([-8, -11, -11.1, -12, -14, -16], np.float16)
expected = (1 / (1 + np.exp(-x.astype(np.float64)))).astype(np.float16)
with mx.stream(mx.cpu):
    actual = np.array(mx.sigmoid(mx.array(x)))
for argument, right, found in zip(x, expected, actual, strict=True):
    print(f"sigmoid({argument:g}): expected {right:.3g}, got {found:.3g}")
wrong = np.any((actual == 0) & (expected > 0))
print("WRONG" if wrong else "right")
sys.exit(1 if wrong else 0)
