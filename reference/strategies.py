"""Hypothesis strategies for cases: one shape and a stack of value sets an example.

A shape is what a compiler compiles for, and costs up to a third of a second there; a value set costs microseconds.
So the shape and a seed are drawn by Hypothesis, which can shrink them, and the values come from a generator with
that seed.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
from hypothesis import strategies as st

from reference.case import Case, Params
from reference.precision import PRECISIONS
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
FINITE = ("plain", "integers", "wide", "one_sided")
VALUES = (*FINITE, "nan")
# Kinds that are about the edges of a format. They come with a probe even for one step: where tanh saturates, what is
# left of 1 - h**2 is below the last digit, and only an A that is seen tells the rest.
EDGES = ("saturated", "subnormal", "huge", "huge_inputs", "cancelling", "one_hot", "zeros")
# Rows, as a rule T * N, from which on wide, saturating and cancelling values are drawn.
MANY = 8
# Rows of a batch whose sums are long enough for a half precision to lose what is added to them late, and one in how
# many shapes has them.
LONG, SELDOM = 1024, 6
# Numbers in a stack of cases at most.
LARGEST_STACK = 4_000_000
# Steps after which a gradient may have left any format but float16.
NEVER_EXPLODES = 20


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


def long_sums() -> st.SearchStrategy[Shape]:
    """Draw small shapes of a batch so large that it matters in what its sums are kept."""
    few, nonlinearities, biases = st.sampled_from((1, 2, 3, 4)), st.sampled_from(("tanh", "relu")), st.booleans()
    return st.builds(Shape, st.just(2), st.just(LONG), few, few, nonlinearities, biases)


def shapes_for(dtype: str) -> st.SearchStrategy[Shape]:
    """Draw shapes as ``shapes`` does; of a half precision also some with long sums."""
    model = PRECISIONS[dtype]
    if model.accumulator == model.storage:
        return shapes()
    return st.sampled_from([shapes] * (SELDOM - 1) + [long_sums]).flatmap(lambda of: of())


@st.composite
def cases(
    draw: st.DrawFn,
    *,
    dtype: str = "float64",
    shape: st.SearchStrategy[Shape] | None = None,
    stack: int = 32,
    numbers: int = LARGEST_STACK,
    norms: Sequence[float] = NORMS,
    values: Sequence[str] = FINITE,
    assorted: bool = False,
    params: Params | None = None,
    direction: bool = False,
    turn: int = 0,
) -> Case:
    """Draw a stack of cases, with the probe wherever there is more than one step.

    Args:
        draw: supplied by Hypothesis.
        dtype: of every array, as of ``Case``.
        shape: strategy for the shape; ``shapes_for(dtype)`` by default.
        stack: number of cases, K; fewer where they would be more than ``numbers`` numbers.
        numbers: in a stack, at most, so that large shapes do not fill the memory.
        norms: spectral norm of Wh is one of these.
        values: kinds of values, as of ``Case.random``, are among these; at least one of them has to suit every
            shape and nonlinearity, as "plain" does. ``VALUES`` has NaN too, ``EDGES`` what is at the edges of formats.
        assorted: every stack has all of the kinds that suit it, case by case in turn; else it has one.
        params: take these parameters in every case; D, H, bias and norm are then theirs.
        direction: every case has a direction in which to differentiate.
        turn: not negative; another number has another norm, upstream gradient and seed with which Hypothesis begins.

    Returns:
        A strategy for ``Case``, xs (K, T, N, D).
    """
    T, N, D, H, nonlinearity, bias = draw(shapes_for(dtype) if shape is None else shape)
    if params is not None:
        D, H = params.Wx.shape
    kinds = [kind for kind in suiting(T, N, H, nonlinearity, direction) if kind in values]
    kinds = ["one_sided"] if N >= LONG and "one_sided" in values else kinds
    kinds = kinds if assorted else [draw(st.sampled_from(kinds))]
    case = Case.random(
        T,
        N,
        D,
        H,
        seed=draw(st.integers(turn, turn + 2**32 - 1)),
        dtype=dtype,
        nonlinearity=nonlinearity,
        bias=bias,
        stack=fitting(stack, T, N, D, H, numbers),
        norm=min(draw(st.sampled_from(turned(norms, turn))), largest_norm(dtype, T, nonlinearity)),
        upstream=draw(st.sampled_from(turned(KINDS_OF_UPSTREAM, turn))),
        values=kinds,
        params=params,
        direction=direction,
    )
    # In half precisions and second derivatives, too, one step says more with the probe: A that is seen has one
    # rounding, not ten.
    # Wide inputs saturate tanh as well, and their sums may rest on the one row that does.
    telling = T > 1 or {*EDGES, "poisoned", "wide"} & set(kinds) or case.xs.itemsize == 2 or direction
    return within_range(case.probed()) if telling else case


def turned(choices: Sequence[Any], turn: int) -> Sequence[Any]:
    """Return choices from another one on, the first of which come last."""
    first = turn % len(choices)
    return (*choices[first:], *choices[:first])


def suiting(T: int, N: int, H: int, nonlinearity: str, direction: bool) -> list[str]:
    """Return the kinds of values of which a verdict can tell something in a shape, the more usual more than once."""
    # Of few rows most may saturate: what is left of 1 - h**2 is then below the format's last digit, or tanh is at a
    # jump, where a sum of large terms is about 0. Of a single unit, how the gradients move may be known over all steps
    # only: then a row of the batch counts once, not once a step.
    rows = N if direction and H == 1 else T * N
    unsuited = {"wide", "saturated", "cancelling"} if rows < MANY else set()
    # Then, too, most of what moves may be integers that cancel to zero, or belong to states that may have been flushed.
    unsuited |= {"integers", "subnormal"} if direction and H == 1 and N < MANY else set()
    # Where tanh saturates, nothing is left of the gradient that a huge input multiplies.
    unsuited |= {"huge_inputs"} if nonlinearity == "tanh" else set()
    return [kind for kind in (*KINDS_OF_VALUES[nonlinearity], *EDGES, "poisoned") if kind not in unsuited]


def fitting(stack: int, T: int, N: int, D: int, H: int, numbers: int = LARGEST_STACK) -> int:
    """Return so many cases of T, N, D and H, or fewer where they would be more than so many numbers."""
    return max(1, min(stack, numbers // (T * N * (D + 2 * H) + (D + H) * H + 1)))


def safe_peak(dtype: str) -> float:
    """Return a magnitude from which the largest number of a dtype is some way off: about its square root."""
    return float(2.0 ** np.floor(np.log2(PRECISIONS[dtype].largest) * 0.47))


def largest_norm(dtype: str, T: int, nonlinearity: str) -> float:
    """Return the spectral norm of Wh up to which T steps cannot leave the range of a dtype.

    States that tanh bounds may explode backwards: of these cases ``within_range`` scales the gradient, for which
    float16 alone has too little room.
    """
    return safe_peak(dtype) ** (1 / max(T, 1)) if nonlinearity == "relu" or dtype == "float16" else np.inf


def within_range(case: Case) -> Case:
    """Scale the upstream of a long case down, by a power of two, if its gradients would leave the format.

    A gradient that explodes overflows, whoever computes it, and nothing can be certified beyond. What happens is
    predicted by the oracle in float64; in a chaotic run that is right to the order of magnitude, which is enough.
    """
    if case.sizes["T"] <= NEVER_EXPLODES or not case.finite:
        return case
    with np.errstate(all="ignore"):
        gradients = [
            array
            for name, array in evaluate(case.unprobed()).fields().items()
            if name.startswith("d") and array is not None
        ]
    peak = max(float(np.nanmax(np.abs(array), initial=0.0)) for array in gradients)
    safe = safe_peak(case.dtype)
    if not np.isfinite(peak) or peak <= safe:
        return case
    scale = 2.0 ** np.floor(np.log2(safe / peak))
    return dataclasses.replace(case, upstream=(case.upstream.astype(np.float64) * scale).astype(case.upstream.dtype))
