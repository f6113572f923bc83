"""Hypothesis strategies for cases: one shape and a stack of value sets an example.

A shape is what a compiler compiles for, and costs up to a third of a second there; a value set costs microseconds.
So the shape and a seed are drawn by Hypothesis, which can shrink them, and the values come from a generator with
that seed.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
from hypothesis import strategies as st

from reference.case import Case
from reference.layer import evaluate
from reference.params import Params
from reference.precision import PRECISIONS


class Shape(NamedTuple):
    """Everything about a case but its numbers and its dtype."""

    T: int = 3
    N: int = 2
    D: int = 2
    H: int = 3
    nonlinearity: str = "tanh"
    bias: bool = True
    probe: bool = True  # False: without the probe, which would hide an implementation that is wrong only there


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
FINITE = ("plain", "integers", "wide", "one_sided", "unsaturated")
VALUES = (*FINITE, "nan")
# Kinds that are about the edges of a format. They come with a probe even for one step: where tanh saturates, what is
# left of 1 - h**2 is below the last digit, and only an A that is seen tells the rest.
EDGES = ("saturated", "subnormal", "huge", "huge_inputs", "cancelling", "one_hot", "zeros")
# Steps up to which cases come without the probe, too: beyond, the bound on A grows too wide.
UNPROBED = 3
# Rows, as a rule T * N, from which on wide, saturating and cancelling values are drawn.
MANY = 8
# Units of all rows from which on integers are drawn with a direction.
FEW = 24
# Rows of a batch whose sums are long enough for a half precision to lose what is added to them late.
LONG = 1024
# D and H of the shapes without the probe: one input, as many as units, fewer.
NARROW = ((1, 2), (2, 2), (1, 4), (3, 3), (1, 3), (4, 4), (2, 6), (1, 6))
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
    """Draw shapes whose sizes can tell right from wrong; a third of the short ones come without the probe.

    Args:
        lengths: T is one of these.
        batches: N is one of these.
        nonlinearities: the nonlinearity is one of these.
        biases: whether there is a bias.

    Returns:
        A strategy for ``Shape``.
    """
    pools = (lengths, batches, INPUTS, UNITS, nonlinearities, biases, (True, True, False))
    return st.builds(Shape, *(st.sampled_from(pool) for pool in pools))


def long_sums() -> st.SearchStrategy[Shape]:
    """Draw small shapes of a batch so large that it matters in what its sums are kept."""
    few, nonlinearities, biases = st.sampled_from((1, 2, 3, 4)), st.sampled_from(("tanh", "relu")), st.booleans()
    return st.builds(Shape, st.just(2), st.just(LONG), few, few, nonlinearities, biases, st.just(True))


def narrow() -> st.SearchStrategy[Shape]:
    """Draw short shapes of no more inputs than units, without the probe, which would hide what is wrong only there."""
    T, N = st.sampled_from((1, 2, 2, 3, 2)), st.sampled_from((1, 2, 3, 4, 5))
    options = st.sampled_from(("tanh", "relu")), st.sampled_from((True, True, True, False)), st.just(False)
    return st.sampled_from(NARROW).flatmap(lambda size: st.builds(Shape, T, N, *map(st.just, size), *options))


def shapes_for(dtype: str) -> st.SearchStrategy[Shape]:
    """Draw shapes as ``shapes`` does; of a half precision also some with long sums."""
    kinds = [shapes] * 5 + [narrow] * 2 + [long_sums] * PRECISIONS[dtype].is_mixed
    return st.sampled_from(kinds).flatmap(lambda of: of())


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
    seed: int = 0,
) -> Case:
    """Draw a stack of cases, most of them with the probe, whose columns stand at drawn places.

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
        seed: added to the drawn seed of the values, since Hypothesis begins with the same one in every run.

    Returns:
        A strategy for ``Case``, xs (K, T, N, D).
    """
    drawn = sized(draw(shapes_for(dtype) if shape is None else shape), dtype, direction)
    T, N, D, H, nonlinearity, bias, _ = drawn
    if params is not None:
        D, H = params.sizes.values()
    kinds = [kind for kind in suiting(drawn, dtype, direction) if kind in values]
    without = not drawn.probe and bool(kinds)
    kinds = kinds or [kind for kind in suiting(drawn._replace(probe=True), dtype, direction) if kind in values]
    kinds = ["one_sided"] if N >= LONG and "one_sided" in values else kinds
    kinds = kinds if assorted else [draw(st.sampled_from(kinds))]
    seed += draw(st.integers(0, 2**32 - 1))
    # With a direction, the only row that has a gradient must not be a saturated one.
    careful = "unsaturated" in kinds or (direction and "wide" in kinds)
    norm = min(
        draw(st.sampled_from(norms)), largest_norm(dtype, T, nonlinearity), 1 if careful or direction else np.inf
    )
    upstream = "every" if careful else draw(st.sampled_from(KINDS_OF_UPSTREAM))
    options: dict[str, Any] = {"dtype": dtype, "nonlinearity": nonlinearity, "bias": bias, "params": params}
    options |= {"norm": norm, "upstream": upstream, "values": kinds, "direction": direction}
    case = Case.random(T, N, D, H, seed=seed, stack=fitting(stack, T, N, D, H, numbers), **options)
    return case if without else within_range(case.probed(seed))


def sized(shape: Shape, dtype: str, direction: bool) -> Shape:
    """Return a shape for which a verdict on this dtype can decide.

    With one unit, the product with Wh is a factor, and XLA fuses all steps into one loop a gradient, each with its own
    rounding of A. So H = 1 comes in single steps of float64 and float32 alone. Cases of more than ``UNPROBED`` steps
    have the probe; those of a half precision all but the shapes of ``shortened``.
    """
    T, half = shape.T, PRECISIONS[dtype].is_mixed
    small = not direction and (shape == shortened(shape) if half else T <= UNPROBED)
    probe = shape.probe or not small
    if direction:
        # Enclosures grow with the steps and the units.
        T, shape = min(T, 4), shape._replace(N=max(shape.N, 2), H=min(max(shape.H, 3), 8))
    # A unit of relu whose sum is about zero leaves its row undetermined.
    rows = 5 if shape.nonlinearity == "relu" else 2
    H, N = (max(shape.H, 2) if T > 1 or half else shape.H), shape.N
    return shape._replace(T=T, H=H, N=N if probe or not half else max(N, rows), probe=probe)


def shortened(shape: Shape) -> Shape:
    """Return a shape cut to what a half precision decides without the probe: two steps of relu, three of tanh."""
    T = UNPROBED - (shape.nonlinearity == "relu")
    return shape._replace(T=min(shape.T, T), D=min(shape.D, 8), H=min(shape.H, 8))


def suiting(shape: Shape, dtype: str, direction: bool) -> list[str]:
    """Return the kinds of values for which a verdict can decide in a shape, the more usual more than once."""
    if not shape.probe and PRECISIONS[dtype].is_mixed:
        return ["unsaturated"]
    # With few rows, saturation can leave every derivative below the last digit, or a sum of large terms is about 0.
    unsuited = {"wide", "saturated", "cancelling"} if shape.T * shape.N < MANY else set()
    # Where tanh saturates, nothing is left of the gradient that a huge input multiplies.
    unsuited |= {"huge_inputs"} if shape.nonlinearity == "tanh" else set()
    if direction:
        # Enclosed from the inputs, a tangent through saturated or cancelling sums is undetermined, and one of zeros
        # is a zero beside its bound.
        unsuited |= {"saturated", "cancelling", "zeros", "one_hot", "huge_inputs"}
        # Integers cancel to zero, which is beside its bound, too, in most units of few.
        unsuited |= {"integers"} if shape.N * shape.H < FEW else set()
    if not shape.probe:
        # Rows that saturate, or integers that cancel to zero in every row, leave one case in a thousand undecided.
        unsuited |= {*EDGES, "nan", "poisoned", "wide", "integers"}
    return [kind for kind in (*KINDS_OF_VALUES[shape.nonlinearity], *EDGES, "poisoned") if kind not in unsuited]


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
        found = evaluate(case.unprobed()).present().items()
    peak = max(float(np.nanmax(np.abs(array), initial=0.0)) for name, array in found if name[0] == "d")
    safe = safe_peak(case.dtype)
    if not np.isfinite(peak) or peak <= safe:
        return case
    scale = 2.0 ** np.floor(np.log2(safe / peak))
    return case.replacing(upstream=(case.upstream.astype(np.float64) * scale).astype(case.upstream.dtype))
