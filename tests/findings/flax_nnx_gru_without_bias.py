"""flax: nnx.GRUCell documents a bias b_hn inside the reset, and has none.

Needs only NumPy, JAX and Flax. Exit status: 1 while the fault is there, 0 once it is fixed.
Found with flax 0.12.8 on CPU: weights of linen.GRUCell, PyTorch or Keras have no place in nnx.GRUCell.

Its docstring has n = tanh(W_in x + b_in + r * (W_hn h + b_hn)), as linen.GRUCell computes. The step from h = 0 and
x = 0 with b_hn = 1 is (1 - 1/2) * tanh(1/2) = 0.23 there. No parameter of nnx.GRUCell can make it other than 0.
"""

import sys

import jax
import jax.numpy as jnp
from flax import linen, nnx

cell = nnx.GRUCell(1, 1, rngs=nnx.Rngs(0))
names = {".".join(map(str, path)) for path, _ in nnx.to_flat_state(nnx.state(cell, nnx.Param))}
h = x = jnp.zeros((1, 1))
params = linen.GRUCell(1).init(jax.random.key(0), h, x)["params"]
params["hn"]["bias"] = jnp.ones(1)
print(f"linen.GRUCell: b_hn = 1 gives h = {linen.GRUCell(1).apply({'params': params}, h, x)[0].item():.3f}")
print(f"nnx.GRUCell: documents b_hn: {'b_{hn}' in nnx.GRUCell.__doc__}; parameters: {sorted(names)}")
wrong = "b_{hn}" in nnx.GRUCell.__doc__ and not any("bias" in name and name != "dense_i.bias" for name in names)
print("WRONG" if wrong else "right")
sys.exit(1 if wrong else 0)
