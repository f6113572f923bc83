"""jax: in float16, jax.nn.sigmoid returns 0 below -11.09, where the sigmoid is 1.4e-5.

Needs only NumPy and JAX. Exit status: 1 while the fault is there, 0 once it is fixed.
Found with jax 0.10.2 on CPU, by the sweep that compares an adapter's sigmoid with certified enclosures.

1 / (1 + exp(-x)) overflows in float16 from x = -11.09 on, because exp(11.09) is above 65504. The result is then 0. The
exact values down to 6e-8 are float16 numbers, and 1 / (1 + exp(-x)) computed in float32 and rounded returns them.
"""

import sys

import jax
import numpy as np

x = np.array([-8, -11, -11.1, -12, -14, -16], np.float16)
expected = (1 / (1 + np.exp(-x.astype(np.float64)))).astype(np.float16)
actual = np.array(jax.jit(jax.nn.sigmoid)(x))
for argument, right, found in zip(x, expected, actual, strict=True):
    print(f"sigmoid({argument:g}): expected {right:.3g}, got {found:.3g}")
wrong = np.any((actual == 0) & (expected > 0))
print("WRONG" if wrong else "right")
sys.exit(1 if wrong else 0)
