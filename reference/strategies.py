"""Hypothesis strategies for cases: one shape and a stack of value sets an example.

A shape is what a compiler compiles for, and costs up to a third of a second there; a value set costs microseconds.
So the shape and a seed are drawn by Hypothesis, which can shrink them, and the values come from a generator with
that seed.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from hypothesis import strategies as st

from reference.case import VALUES, Case, Params
from reference.sequence import evaluate


class Shape(NamedTuple):
    """Everything about a case but its numbers and its dtype."""

    T: int = 3
    N: int = 2
    D: int = 2
    H: int = 3
    nonlinearity: str = "tanh"
    bias: bool = True


# Ones hide mistakes (a transposed 1 x 1 matrix is itself), so they are rare; D and H seldom meet, for the same reason.
# Hypothesis shrinks towards the front.
LENGTHS = (1, 3, 4, 5, 6, 2, 3, 4, 5, 20)
BATCHES = (1, 2, 3, 4, 5, 2, 3, 4, 8, 17)
INPUTS = (1, 2, 3, 5, 7, 2, 3, 5, 1, 33)
UNITS = (1, 2, 4, 6, 8, 2, 4, 6, 3, 64)
NORMS = (1.0, 0.5, 2.0, 3.0)
KINDS_OF_UPSTREAM = ("every", "every", "every", "last", "one")
# Integers put relu at its kink. NaN is for tanh: what relu's derivative makes of it is anybody's choice.
KINDS_OF_VALUES = {
    "tanh": ("plain", "plain", "plain", "wide", "wide", "nan", "nan"),
    "relu": ("plain", "plain", "plain", "wide", "integers", "integers"),
}
# Rows, T * N, from which on wide values are drawn.
MANY = 8
FINITE = tuple(kind for kind in VALUES if kind != "nan")

# So many steps multiply a gradient by 3**20 at most; above that peak, float32's largest number is in danger.
NEVER_EXPLODES = 20
SAFE_PEAK = 2.0**60


def shapes(
    *,
    lengths: Sequence[int] = LENGTHS,
    batches: Sequence[int] = BATCHES,
    nonlinearities: Sequence[str] = ("tanh", "relu"),
    biases: Sequence[bool] = (True, True, True, False),
) -> st.SearchStrategy[Shape]:
    """Draw shapes whose sizes can tell right from wrong.

    Args:
        lengths: T is one of these.
        batches: N is one of these.
        nonlinearities: the nonlinearity is one of these.
        biases: whether there is a bias.

    Returns:
        A strategy for ``Shape``.
    """
    T, N, D, H = (st.sampled_from(sizes) for sizes in (lengths, batches, INPUTS, UNITS))
    return st.builds(Shape, T, N, D, H, st.sampled_from(nonlinearities), st.sampled_from(biases))


@st.composite
def cases(
    draw: st.DrawFn,
    *,
    dtype: str = "float64",
    shape: st.SearchStrategy[Shape] | None = None,
    stack: int = 32,
    norms: Sequence[float] = NORMS,
    values: Sequence[str] = FINITE,
    params: Params | None = None,
) -> Case:
    """Draw a stack of cases, with the probe wherever there is more than one step.

    Args:
        draw: supplied by Hypothesis.
        dtype: "float64" or "float32".
        shape: strategy for the shape; ``shapes()`` by default.
        stack: number of cases, K.
        norms: spectral norm of Wh is one of these.
        values: kinds of values, as of ``Case.random``, are among these; "plain" has to be. A trial takes
            ``VALUES``, all of them, NaN included.
        params: take these parameters in every case; D, H, bias and norm are then theirs.

    Returns:
        A strategy for ``Case``, xs (K, T, N, D).
    """
    T, N, D, H, nonlinearity, bias = draw(shapes() if shape is None else shape)
    # Of few rows, wide values may saturate most: what is left of 1 - h**2 is then below the format's last digit.
    kinds = [kind for kind in KINDS_OF_VALUES[nonlinearity] if kind in values and (kind != "wide" or T * N >= MANY)]
    case = Case.random(
        T,
        N,
        D,
        H,
        seed=draw(st.integers(0, 2**32 - 1)),
        dtype=dtype,
        nonlinearity=nonlinearity,
        bias=bias,
        stack=stack,
        norm=draw(st.sampled_from(norms)),
        upstream=draw(st.sampled_from(KINDS_OF_UPSTREAM)),
        values=draw(st.sampled_from(kinds)),
        params=params,
    )
    return within_range(case.probed()) if T > 1 else case


def within_range(case: Case) -> Case:
    """Scale the upstream of a long case down, by a power of two, if its gradients would leave the format.

    A gradient that explodes overflows, whoever computes it, and nothing can be certified beyond. What happens is
    predicted by the oracle in float64; in a chaotic run that is right to the order of magnitude, which is enough.
    """
    if case.sizes["T"] <= NEVER_EXPLODES:
        return case
    with np.errstate(all="ignore"):
        gradients = [
            array
            for name, array in evaluate(case.unprobed()).fields().items()
            if name.startswith("d") and array is not None
        ]
    peak = max(float(np.nanmax(np.abs(array), initial=0.0)) for array in gradients)
    if not np.isfinite(peak) or peak <= SAFE_PEAK:
        return case
    scale = 2.0 ** np.floor(np.log2(SAFE_PEAK / peak))
    return dataclasses.replace(case, upstream=(case.upstream * scale).astype(case.dtype))
