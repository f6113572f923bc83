"""Hypothesis strategies for cases: each example is one shape and a stack of value sets.

Compilers compile for each shape, which takes up to a third of a second. A value set takes microseconds. So Hypothesis
draws, and can shrink, the shape and a seed, and a generator with that seed draws the values.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any, NamedTuple

import numpy as np
from hypothesis import strategies as st

from reference.case import Case
from reference.cells import CELLS
from reference.layer import evaluate
from reference.params import Params
from reference.precision import PRECISIONS


class Shape(NamedTuple):
    """The properties of a case other than its numbers and its dtype."""

    T: int = 3
    N: int = 2
    D: int = 2
    H: int = 3
    nonlinearity: str = "tanh"
    bias: bool = True
    probe: bool = True  # False leaves out the probe, which would hide an error that occurs only without it


# Sizes of 1 hide mistakes (a 1 x 1 matrix equals its transpose), so they are rare. So is D = H, for the same reason.
# Hypothesis shrinks towards the first entries.
LENGTHS = (1, 3, 4, 5, 6, 2, 3, 4, 5, 20)
BATCHES = (1, 2, 3, 4, 5, 1, 3, 4, 8, 17)
INPUTS = (1, 2, 3, 5, 7, 2, 3, 5, 1, 33)
UNITS = (1, 2, 4, 6, 8, 2, 4, 3, 33, 64, 33)
NORMS = (1.0, 0.5, 2.0, 3.0)
KINDS_OF_UPSTREAM = ("every", "every", "every", "last", "one")
# Integers put relu at its kink. NaN is drawn for tanh only, because the derivative of relu at NaN is a convention.
KINDS_OF_VALUES = {
    "tanh": ("plain", "plain", "wide", "wide", "wide", "nan", "nan", "nan"),
    "relu": ("plain", "plain", "wide", "integers", "integers", "integers"),
}
FINITE = ("plain", "integers", "wide", "one_sided", "unsaturated")
VALUES = (*FINITE, "nan", "zeros")
# Kinds at the limits of a format. Even cases of one step have a probe. If tanh saturates, 1 - h**2 is below the last
# digit of h, and only an observed A can be checked.
EDGES = ("saturated", "subnormal", "huge", "huge_inputs", "cancelling", "one_hot", "zeros")
# Kinds for cells with gates: gates at both ends, gates that keep the state, and large states.
GATED = ("both_ends", "remembering", "large_states")
# Largest T of cases without the probe; for more steps the bound on A is too wide.
UNPROBED = 3
# Smallest number of rows T * N for which wide, saturating and cancelling values are drawn.
MANY = 8
# Smallest number of units in all rows, N * H, for which integers are drawn with a direction.
FEW = 24
# Size of a batch whose sums are so long that a half precision loses the terms added late.
LONG = 1024
# T and N of shapes as large as real data, with more than 32 steps and rows, a usual block of kernels; and one long row.
LARGE = ((50, 33), (50, 100), (100, 64), (300, 33), (50, 1))
# Most steps of them that a half precision decides: it stores the gradients of the parameters after every step.
STORED_STEPS = 50
# D and H of the shapes without the probe: one input, fewer inputs than units, or as many.
NARROW = ((1, 2), (2, 2), (1, 4), (3, 3), (1, 3), (4, 4), (2, 6), (1, 6), (6, 6))
# D and H of gated cells in half precisions and along a direction, at most: a gate adds up two products.
WIDEST = 128
# Largest number of numbers in a stack of cases.
LARGEST_STACK = 4_000_000
# Largest T for which a gradient stays in the range of every format except float16.
NEVER_EXPLODES = 20


def shapes(
    *,
    lengths: Sequence[int] = LENGTHS,
    batches: Sequence[int] = BATCHES,
    nonlinearities: Sequence[str] = ("tanh", "relu"),
    biases: Sequence[bool] = (True, True, True, False),
) -> st.SearchStrategy[Shape]:
    """Draw shapes whose sizes distinguish right from wrong; a third of the short shapes have no probe.

    Args:
        lengths: values of T to draw from.
        batches: values of N to draw from.
        nonlinearities: nonlinearities to draw from.
        biases: values to draw from; True for a bias.

    Returns:
        A strategy for ``Shape``.
    """
    pools = (lengths, batches, INPUTS, UNITS, nonlinearities, biases, (True, True, False))
    return st.builds(Shape, *(st.sampled_from(pool) for pool in pools))


def long_sums() -> st.SearchStrategy[Shape]:
    """Draw small shapes with a batch so large that the format of the accumulator matters."""
    few, nonlinearities, biases = st.sampled_from((1, 2, 3, 4)), st.sampled_from(("tanh", "relu")), st.booleans()
    return st.builds(Shape, st.just(2), st.just(LONG), few, few, nonlinearities, biases, st.just(True))


def narrow() -> st.SearchStrategy[Shape]:
    """Draw short shapes with at most as many inputs as units. They have no probe, because it adds columns to x."""
    T, N = st.sampled_from((1, 2, 2, 3, 2)), st.sampled_from((1, 2, 3, 4, 5))
    options = st.sampled_from(("tanh", "relu")), st.sampled_from((True, True, True, False)), st.just(False)
    return st.sampled_from(NARROW).flatmap(lambda size: st.builds(Shape, T, N, *map(st.just, size), *options))


def large(most: int = sys.maxsize) -> st.SearchStrategy[Shape]:
    """Draw shapes with as many steps and rows as real data, at most ``most`` steps, and few inputs and units."""
    few, nonlinearities, biases = st.sampled_from((2, 3, 4)), st.sampled_from(("tanh", "relu")), st.booleans()
    options = few, few, nonlinearities, biases, st.just(True)
    sizes = [each for each in LARGE if each[0] <= most]
    return st.sampled_from(sizes).flatmap(lambda size: st.builds(Shape, *map(st.just, size), *options))


def kinds_of_shapes(dtype: str) -> list[Callable[[], st.SearchStrategy[Shape]]]:
    """Return a strategy for each kind of shapes; usual kinds are repeated. A half precision has some with long sums."""
    half: list[Callable[[], st.SearchStrategy[Shape]]] = [partial(large, STORED_STEPS), long_sums]
    return [*([shapes] * 5), *([narrow] * 2), *(half if PRECISIONS[dtype].is_mixed else [large])]


def shapes_for(dtype: str) -> st.SearchStrategy[Shape]:
    """Draw shapes of all kinds."""
    return st.sampled_from(kinds_of_shapes(dtype)).flatmap(lambda of: of())


@st.composite
def cases(
    draw: st.DrawFn,
    *,
    dtype: str = "float64",
    cell: str = "rnn",
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
    """Draw a stack of cases. Most stacks have the probe, with its columns at drawn places.

    Args:
        draw: supplied by Hypothesis.
        dtype: dtype of every array, as of ``Case``.
        cell: cell of every case, as of ``Case``. A cell without the drawn nonlinearity has tanh.
        shape: strategy for the shape; ``shapes_for(dtype)`` by default.
        stack: number of cases, K; reduced if the stack would have more than ``numbers`` numbers.
        numbers: largest number of numbers in a stack, so that large shapes fit in memory.
        norms: spectral norms of Wh to draw from.
        values: kinds of values to draw from, as of ``Case.random``. At least one kind has to suit every shape and
            nonlinearity, as "plain" does. ``VALUES`` includes NaN; ``EDGES`` has kinds at the limits of formats.
        assorted: whether every stack has all suitable kinds, case by case in turn; otherwise it has one kind.
        params: parameters to use in every case; D, H, bias and norm are then taken from them.
        direction: whether every case has a direction in which to differentiate.
        seed: number added to the drawn seed of the values, because Hypothesis starts with the same seed in every run.

    Returns:
        A strategy for ``Case``, xs (K, T, N, D).
    """
    drawn = sized(draw(shapes_for(dtype) if shape is None else shape), dtype, direction, cell)
    T, N, D, H, nonlinearity, bias, _ = drawn
    if params is not None:
        D, H = params.sizes.values()
    kinds = [kind for kind in suiting(drawn, dtype, direction, cell) if kind in values]
    without = not drawn.probe and bool(kinds)
    kinds = kinds or [kind for kind in suiting(drawn._replace(probe=True), dtype, direction, cell) if kind in values]
    kinds = ["one_sided"] if N >= LONG and "one_sided" in values else kinds
    # Usual kinds are repeated in the list, so those at the limits are, too.
    kinds = kinds if assorted else [draw(st.sampled_from(kinds + [kind for kind in kinds if kind in EDGES] * 2))]
    seed += draw(st.integers(0, 2**32 - 1))
    # With a direction, every row has a gradient, so that not all rows with a gradient are saturated.
    careful = "unsaturated" in kinds or (direction and "wide" in kinds)
    norm = min(
        draw(st.sampled_from(norms)), largest_norm(dtype, T, nonlinearity), 1 if careful or direction else np.inf
    )
    upstream = "every" if careful else draw(st.sampled_from(KINDS_OF_UPSTREAM))
    options: dict[str, Any] = {"dtype": dtype, "cell": cell, "nonlinearity": nonlinearity, "bias": bias}
    options |= {"norm": norm, "upstream": upstream, "values": kinds, "direction": direction, "params": params}
    case = Case.random(T, N, D, H, seed=seed, stack=fitting(stack, T, N, D, H, numbers), **options)
    return case if without else within_range(case.probed(seed))


def sized(shape: Shape, dtype: str, direction: bool, cell: str = "rnn") -> Shape:
    """Return a shape for which a verdict on this dtype can decide.

    For H = 1, XLA fuses all steps into one loop per gradient, so each gradient has its own rounding of A. So H = 1 is
    drawn only for single steps of float64 and float32. Cases of more than ``UNPROBED`` steps have the probe. In half
    precisions, so have all shapes that ``shortened`` would change, because their bounds are wider.
    """
    half, kind = PRECISIONS[dtype].is_mixed, CELLS[cell]
    if shape.nonlinearity not in kind.nonlinearities:
        shape = shape._replace(nonlinearity=kind.nonlinearities[0])
    if half and kind.carries:
        # In a few rows of few units, most gates may be closed.
        T = int(min(shape.T, longest(dtype, cell)))
        shape = shape._replace(T=T, N=max(shape.N, 4), H=max(shape.H, 4), probe=shape.probe or T > 1)
    T = shape.T
    small = not direction and (shape == shortened(shape) if half else T <= UNPROBED)
    probe = shape.probe or not small
    if direction:
        # Enclosures become wider with the number of steps and of units.
        T, shape = min(T, 4), shape._replace(N=max(shape.N, 2), H=min(max(shape.H, 3), 8))
    # If the sum of a relu unit is about zero, the row is undetermined.
    rows = 5 if shape.nonlinearity == "relu" else 3
    H, N = (max(shape.H, 2) if T > 1 or half else shape.H), shape.N
    return shape._replace(T=T, H=H, N=N if probe or not half else max(N, rows), probe=probe)


def longest(dtype: str, cell: str) -> int:
    """Return the largest number of steps for which a verdict on a cell can decide in a precision.

    In a half precision, an unseen state adds up the roundings of all steps, and a direct path those of a few.
    """
    if not PRECISIONS[dtype].is_mixed or not CELLS[cell].carries:
        return sys.maxsize
    return 1 if len(CELLS[cell].states) > 1 else 2


def longest_unprobed(dtype: str) -> int:
    """Return the largest number of steps for which a verdict can decide without the probe, if weights are small."""
    return UNPROBED if PRECISIONS[dtype].is_mixed else sys.maxsize


def widest(dtype: str, cell: str, direction: bool) -> int:
    """Return the largest D and H for which a verdict on a cell can decide in a precision, or along a direction."""
    return WIDEST if CELLS[cell].carries and (direction or PRECISIONS[dtype].is_mixed) else sys.maxsize


def shortened(shape: Shape) -> Shape:
    """Return a shape cut to what a half precision decides without the probe: two steps of relu, three of tanh."""
    T = UNPROBED - (shape.nonlinearity == "relu")
    return shape._replace(T=min(shape.T, T), D=min(shape.D, 8), H=min(shape.H, 8))


def suiting(shape: Shape, dtype: str, direction: bool, cell: str = "rnn") -> list[str]:
    """Return the kinds of values for which a verdict can decide in a shape; usual kinds are repeated."""
    if not shape.probe and PRECISIONS[dtype].is_mixed:
        return ["unsaturated"]
    # With few rows, saturation can leave every derivative below the last digit, and large terms can cancel in all sums.
    unsuited = {"wide", "saturated", "cancelling"} if shape.T * shape.N < MANY else set()
    # If tanh saturates, the gradient that a huge input multiplies is below the last digit.
    unsuited |= {"huge_inputs"} if shape.nonlinearity == "tanh" else set()
    if direction:
        # An enclosure from the inputs leaves tangents of saturated or cancelling sums undetermined. For zeros, the
        # tangent is a zero with a non-zero bound.
        unsuited |= {"saturated", "cancelling", "zeros", "one_hot", "huge_inputs"}
        # Integers cancel to zero with a non-zero bound. If there are few units, this happens in most of them.
        unsuited |= {"integers"} if shape.N * shape.H < FEW else set()
    if not shape.probe:
        # Saturated rows, or integers that cancel to zero in every row, make one case in a thousand inconclusive.
        unsuited |= {*EDGES, "nan", "poisoned", "wide", "integers"}
    kinds: tuple[str, ...] = (*KINDS_OF_VALUES[shape.nonlinearity], *EDGES, "poisoned")
    if CELLS[cell].carries:
        kinds = (*kinds, "integers", *GATED)
        # In bfloat16, a gate that is nearly closed has a slope below the last digit. In float16, it is undetermined if
        # the sigmoid has no tail. Most gates may be closed.
        closed = PRECISIONS[dtype].is_mixed or not shape.probe or direction
        unsuited |= {"saturated", "both_ends", "integers"} if closed else set()
        unsuited |= {*GATED} if not shape.probe or direction else set()
        # The enclosure of a second derivative overflows where an upstream gradient is huge.
        unsuited |= {"huge"} if direction else set()
    return [kind for kind in kinds if kind not in unsuited]


def fitting(stack: int, T: int, N: int, D: int, H: int, numbers: int = LARGEST_STACK) -> int:
    """Return ``stack``, or fewer cases if a stack of this shape would have more than ``numbers`` numbers."""
    return max(1, min(stack, numbers // (T * N * (D + 2 * H) + (D + H) * H + 1)))


def safe_peak(dtype: str) -> float:
    """Return a magnitude far below the largest number of a dtype: about its square root."""
    return float(2.0 ** np.floor(np.log2(PRECISIONS[dtype].largest) * 0.47))


def largest_norm(dtype: str, T: int, nonlinearity: str) -> float:
    """Return the largest spectral norm of Wh for which T steps cannot leave the range of a dtype.

    For tanh, the states are bounded but the gradients may explode. ``within_range`` scales such gradients down, except
    in float16, whose range is too small.
    """
    return safe_peak(dtype) ** (1 / max(T, 1)) if nonlinearity == "relu" or dtype == "float16" else np.inf


def within_range(case: Case) -> Case:
    """Scale the upstream gradient of a long case down by a power of two if its gradients would leave the format.

    A gradient that overflows cannot be certified. The oracle predicts the largest gradient in float64. In a chaotic run
    the prediction is right to the order of magnitude, which is enough.
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
