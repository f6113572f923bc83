"""keras on jax: GRU without a bias raises TypeError in half precisions, and in float32 with x64.

Needs only Keras and JAX. Exit status: 1 while the fault is there, 0 once it is fixed.
Found with keras 3.15.1 on jax 0.10.2, CPU, by drawn cases without a bias.

Its loop adds jnp.zeros(3 * hidden_size) in place of the biases. These zeros have JAX's default dtype.
"""

import os
import sys

os.environ["KERAS_BACKEND"] = "jax"

import jax
import jax.numpy as jnp
import keras

wrong = False
for dtype, x64 in (("float32", False), ("float16", False), ("bfloat16", False), ("float32", True)):
    with jax.enable_x64(x64):
        layer = keras.layers.GRU(1, use_bias=False, dtype=dtype, recurrent_initializer="zeros")
        layer.build((1, 1, 1))
        try:
            found = str(layer(jnp.zeros((1, 1, 1), dtype), initial_state=jnp.zeros((1, 1), dtype)).dtype)
        except TypeError as error:
            found = next(line for line in str(error).splitlines() if "carry" in line)
    print(f"GRU(use_bias=False, dtype={dtype!r}), x64={x64}: {found}")
    wrong |= found != dtype
print("WRONG" if wrong else "right")
sys.exit(1 if wrong else 0)
