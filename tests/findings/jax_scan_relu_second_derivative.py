"""jax: under lax.scan, the derivative of jax.nn.relu at 0 is 1/2 after the scan has been differentiated once.

Needs only NumPy and JAX. Exit status: 1 while the fault is there, 0 once it is fixed.
Found with jax 0.10.2 on CPU; T=1, N=1, D=1, H=1, by the check "step" of an adapter with jvp of vjp of lax.scan.

The documentation of jax.nn.relu states that its derivative at 0 is 0, by a custom rule. If jax.vjp differentiates a
scan, the gradient keeps that rule, and the states lose it. If the states are differentiated again, they use the rule of
jax.numpy.maximum, which splits the derivative at a tie. Without the scan, the rule is kept.
"""

import sys

import jax
import jax.numpy as jnp
import numpy as np


def layer(x):
    """Return relu of every element, one by one, in a scan."""
    return jax.lax.scan(lambda carry, x_t: (carry, jax.nn.relu(x_t)), 0.0, x)[1]


def states(f, x):
    """Return the result of a function that jax.vjp returns together with the pull-back."""
    return jax.vjp(f, x)[0]


x, direction = jnp.zeros(1), jnp.ones(1)
expected = 0.0
actual = {
    "jvp of the scan": jax.jvp(layer, (x,), (direction,))[1],
    "jvp of vjp of relu": jax.jvp(lambda x: states(jax.nn.relu, x), (x,), (direction,))[1],
    "jvp of vjp of the scan": jax.jvp(lambda x: states(layer, x), (x,), (direction,))[1],
    "grad of vjp of the scan": jax.grad(lambda x: states(layer, x).sum())(x),
}
for name, array in actual.items():
    print(f"{name:24} expected {expected}, got {float(array[0])}")
wrong = any(np.asarray(array)[0] != expected for array in actual.values())
print("WRONG" if wrong else "right")
sys.exit(1 if wrong else 0)
