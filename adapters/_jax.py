"""What the frameworks on top of JAX share: how JAX differentiates a function that returns all states, and its tanh."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial, wraps
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from adapters import Adapter, Idiom


def differentiated(states: Callable[..., Any]) -> Callable[..., list[Any]]:
    """Turn a function that returns all states into one that returns gradients beside, both jitted as one."""

    @partial(jax.jit, static_argnums=0)
    def pull_back(nonlinearity: str, xs: Any, h0: Any, weights: Any, upstream: Any) -> Any:
        hs, pull = jax.vjp(partial(states, nonlinearity), xs, h0, *weights)
        return hs, pull(upstream)

    @wraps(states)
    def run(xs: Any, h0: Any, Wx: Any, Wh: Any, b: Any, upstream: Any, nonlinearity: str) -> list[Any]:
        # Without x64, JAX would turn float64 into float32 and say nothing.
        with jax.enable_x64(xs.dtype == np.float64):
            results = pull_back(nonlinearity, xs, h0, (Wx, Wh, b), upstream)
            return [np.array(array) for array in jax.tree.leaves(results)]

    return run


def tanh(array: Any) -> Any:
    """Return jnp.tanh of a NumPy array, as compiled."""
    with jax.enable_x64(array.dtype == np.float64):
        return np.array(_tanh(array))


_tanh = jax.jit(jnp.tanh)

TANH_ULPS = {"float64": 8.0, "float32": 6.0, "bfloat16": 1.0, "float16": 1.0}

IMPORTS = "from functools import partial, wraps\n\nimport jax\nimport jax.numpy as jnp"


def environment() -> dict[str, str]:
    """Return the version of JAX and the flags that decide its precision."""
    return {
        "jax": jax.__version__,
        "backend": jax.default_backend(),
        "default matmul precision": str(jax.config.jax_default_matmul_precision),
        "x64": "set for each case by its dtype",
    }


def of_states(name: str, imports: str, parts: tuple[Any, ...], describe: str, **fields: Any) -> Adapter:
    """Return the adapter of a function that is ``differentiated``, the last of the parts."""
    idiom = Idiom(f"from collections.abc import Callable\n{IMPORTS}\n{imports}", (differentiated, *parts))
    return Adapter.of_arrays(name, idiom, describe, tanh, TANH_ULPS, **fields)
