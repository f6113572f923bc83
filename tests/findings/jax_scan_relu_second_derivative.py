"""jax: under lax.scan, the derivative of jax.nn.relu at 0 is 1/2 once the scan has been differentiated before.

Needs NumPy and JAX, nothing else. Exit status 1 while the fault is there, 0 once it is mended.
Found with jax 0.10.2 on CPU; T=1, N=1, D=1, H=1, by the check "step" of an adapter that takes jvp of vjp of lax.scan.

The documentation of jax.nn.relu says that its derivative at 0 is 0, by a custom rule. jax.vjp of a scan keeps that rule
for the gradient, and loses it for the states that it returns beside: differentiated again, these take the rule of
jax.numpy.maximum, which splits the derivative at a tie. Without the scan, the rule is kept.
"""

import sys

import jax
import jax.numpy as jnp
import numpy as np


def layer(x):
    """Return relu of every element, one after the other."""
    return jax.lax.scan(lambda carry, x_t: (carry, jax.nn.relu(x_t)), 0.0, x)[1]


def states(f, x):
    """Return what a function returns, as jax.vjp gives it beside the pull-back."""
    return jax.vjp(f, x)[0]


x, direction = jnp.zeros(1), jnp.ones(1)
want = 0.0
got = {
    "jvp of the scan": jax.jvp(layer, (x,), (direction,))[1],
    "jvp of vjp of relu": jax.jvp(lambda x: states(jax.nn.relu, x), (x,), (direction,))[1],
    "jvp of vjp of the scan": jax.jvp(lambda x: states(layer, x), (x,), (direction,))[1],
    "grad of vjp of the scan": jax.grad(lambda x: states(layer, x).sum())(x),
}
for name, array in got.items():
    print(f"{name:24} got {float(array[0])}, want {want}")
wrong = any(np.asarray(array)[0] != want for array in got.values())
print("WRONG" if wrong else "right")
sys.exit(1 if wrong else 0)
