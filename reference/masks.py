"""Elements that need more than a bound: NaN, infinity, and relu at sums that may underflow."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from reference.bounded import Bounded
from reference.case import Case
from reference.comparison import Flags
from reference.precision import Precision


def opened(
    case: Case, hs: NDArray[Any], A: NDArray[Any] | None, sums: Callable[[], Bounded], precision: Precision
) -> NDArray[Any]:
    """Return the outputs that the derivative of relu is computed from.

    If the accumulator is wider than storage and relu returned 0, its sum may have underflowed in storage. If a gradient
    was returned there, the unit counts as open and its whole gradient is checked. A sum of exactly zero is at relu's
    kink, where the derivative is 0. It counts as open only if one of its terms is an output that underflowed.

    Args:
        case: the case; its nonlinearity is used.
        hs: outputs; shape (..., T, N, H).
        A: gradients at the sums, the same shape; None if they were not returned.
        sums: function that returns the sums, each from the output before it.
        precision: the model of the arithmetic.
    """
    if case.nonlinearity != "relu" or not precision.is_mixed or A is None:
        return hs
    hidden = (A != 0) & (hs == 0)
    if not hidden.any():
        return hs
    a = sums().rounded()
    lost = ((hs == 0) & (a.value + a.error > 0)).any(axis=-1, keepdims=True)
    lost_before = np.concatenate([np.zeros_like(lost[..., :1, :, :]), lost[..., :-1, :, :]], axis=-3)
    near = (np.abs(a.value) < a.error + precision.underflow) & ((a.value != 0) | lost_before)
    return np.asarray(np.where(hidden & near, np.asarray(precision.floor, hs.dtype), hs))


def sure_of_zeros(seen: Bounded, zeros: Flags) -> Bounded:
    """Return observed numbers whose zeros are exact if ``zeros`` excludes an underflow."""
    return Bounded(seen.value, seen.precision, np.where((seen.value == 0) & zeros, 0.0, seen.error))


def shut(upstream: NDArray[Any], hs: NDArray[Any]) -> Flags:
    """Return the gradients at the sums that are certainly zero: no upstream gradient reaches them through open units.

    Args:
        upstream: upstream gradients; shape (..., T, N, H).
        hs: outputs of relu, as of ``opened``; the same shape.
    """
    found = np.zeros(hs.shape, np.bool_)
    reached: Any = False
    for t in reversed(range(hs.shape[-3])):
        now: Any = (upstream[..., t, :, :] != 0) | reached
        now &= hs[..., t, :, :] != 0
        found[..., t, :, :] = ~now
        reached = now.any(axis=-1, keepdims=True)
    return found


def met_by_infinity(case: Case) -> Flags:
    """Return the rows of the batch that meet an infinity, or for relu also a NaN; shape (..., N).

    Equivalent formulas differ in these rows in backward. If g * (1 - h * h) is infinite, (g + g * h) * (1 - h) is NaN.
    A derivative that underflows, times infinity, is infinite or NaN. If the argument of relu is NaN, a product with the
    derivative is NaN and a selection is 0.
    """
    loose = np.isinf if case.nonlinearity == "tanh" else lambda array: ~np.isfinite(array)
    axes = case.axes()
    met: Flags = np.zeros((*case.xs.shape[:-3], case.sizes["N"]), np.bool_)
    for name, array in case.arrays().items():
        if "N" in axes[name]:
            met |= loose(array).any(axis=(-3, -1) if "T" in axes[name] else -1)
        else:
            met |= np.asarray(loose(array).any(axis=tuple(range(-len(axes[name]), 0))))[..., None]
    return met


def undetermined(case: Case, met: Flags, field: str) -> Flags | bool:
    """Return the elements of a field that are undetermined because their row meets an infinity.

    The outputs of a vanilla cell never are: they are 1, -1 or NaN. A cell that carries a state beside them mixes gates
    that an infinity saturates with finite numbers, whose bounds the infinity has made infinite.

    Args:
        case: the case.
        met: the rows, as of ``met_by_infinity``; shape (..., N).
        field: name of a field of ``Evaluation``.
    """
    axes = case.axes()[field]
    if field[0] != "d" and not case.cell_type.carries:
        return False
    if "N" in axes:
        return met[..., None, :, None] if "T" in axes else met[..., None]
    return np.asarray(met.any(axis=-1))[(..., *(None,) * len(axes))]


def beside_nan(case: Case, dxs: Bounded) -> Flags | bool:
    """Return the probe's columns of each row of dx with a NaN in A; they may all be NaN, because 0 * NaN is NaN."""
    if case.probe is None or np.isfinite(dxs.value).all():
        return False
    A = np.isin(np.arange(case.sizes["D"]), case.probe)
    broken = ~np.isfinite(dxs.value) & A
    return np.asarray(broken.any(axis=-1, keepdims=True) & A)
