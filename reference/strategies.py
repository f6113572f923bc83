"""Hypothesis strategies for cases: one shape and a stack of value sets an example.

A shape is what a compiler compiles for, and costs up to a third of a second there; a value set costs microseconds.
So the shape and a seed are drawn by Hypothesis, which can shrink them, and the values come from a generator with
that seed.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from hypothesis import strategies as st

from reference.case import Case, Params


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
    params: Params | None = None,
) -> Case:
    """Draw a stack of cases, with the probe wherever there is more than one step.

    Args:
        draw: supplied by Hypothesis.
        dtype: "float64" or "float32".
        shape: strategy for the shape; ``shapes()`` by default.
        stack: number of cases, K.
        norms: spectral norm of Wh is one of these.
        params: take these parameters in every case; D, H, bias and norm are then theirs.

    Returns:
        A strategy for ``Case``, xs (K, T, N, D).
    """
    T, N, D, H, nonlinearity, bias = draw(shapes() if shape is None else shape)
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
        params=params,
    )
    return case.probed() if T > 1 else case
