"""Autograd (HIPS): the cell composed of ``autograd.numpy`` (Autograd ships none), in reverse and in forward mode."""

from __future__ import annotations

import importlib.metadata
from typing import Any

import autograd.numpy as anp
import numpy as np
from autograd import make_jvp, make_vjp

from adapters import Adapter, Idiom

# A composed cell has its parameters as they are.
LAYOUTS = {"vjp": {"Wx": "Wx", "Wh": "Wh", "b": "b"}}


def states(nonlinearity: str, xs: Any, h0: Any, Wx: Any, Wh: Any, *b: Any) -> Any:
    """Return all states of the composed cell."""
    hs = [h0]
    for x in xs:
        a = anp.dot(x, Wx) + anp.dot(hs[-1], Wh)
        a = a + b[0] if b else a
        # The derivative of anp.maximum(a, 0) at a tie is 1/2.
        hs.append(anp.tanh(a) if nonlinearity == "tanh" else anp.where(a <= 0, 0, a))
    return anp.stack(hs[1:])


def pull_back(xs: Any, h0: Any, Wx: Any, Wh: Any, b: Any, upstream: Any, nonlinearity: str) -> list[Any]:
    """Pull back with ``make_vjp``."""
    arrays = [array for array in (xs, h0, Wx, Wh, b) if array is not None]
    pull, hs = make_vjp(lambda arrays: states(nonlinearity, *arrays))(arrays)
    # The derivative of tanh is 1 / cosh**2 here, which is 0 where that overflows.
    with np.errstate(over="ignore"):
        return [hs, *pull(upstream)]


def push_forward(xs: Any, h0: Any, Wx: Any, Wh: Any, b: Any, upstream: Any, nonlinearity: str, *dots: Any) -> list[Any]:
    """Differentiate forwards, along a direction, with ``make_jvp``."""
    arrays, moves = ([one for one in some if one is not None] for some in ((xs, h0, Wx, Wh, b), dots))
    with np.errstate(over="ignore"):
        return list(make_jvp(lambda arrays: states(nonlinearity, *arrays))(arrays)(moves))


def tanh(array: Any) -> Any:
    """Return the tanh of ``autograd.numpy``, which is NumPy's."""
    return anp.tanh(array)


def environment() -> dict[str, str]:
    """Return the version of Autograd and what decides its precision."""
    return {"autograd": importlib.metadata.version("autograd"), "precision": "that of each array"}


TANH_ULPS = {"float64": 1.5, "float32": 2.5, "bfloat16": 1.0, "float16": 1.0}

# Of a sequence, each step costs as much as all of it, so that long ones take minutes.
LONGEST = 1000

IMPORTS = "import autograd.numpy as anp\nfrom autograd import make_jvp, make_vjp"

ADAPTERS = (
    Adapter.of_arrays(
        "autograd.vjp",
        Idiom(IMPORTS, (states, pull_back)),
        "composed cell, make_vjp",
        tanh,
        TANH_ULPS,
        max_T=LONGEST,
        unsupported=("T=0",),
    ),
    Adapter.of_arrays(
        "autograd.jvp",
        Idiom(IMPORTS, (states, push_forward)),
        "composed cell, make_jvp: forward mode",
        tanh,
        TANH_ULPS,
        max_T=LONGEST,
        unsupported=("T=0",),
        # Forward mode turns relu's derivative into float64: tests/findings has it.
        nonlinearities=("tanh",),
        offers=("h", "jvp h"),
    ),
)
