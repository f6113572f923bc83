"""The certificate: hold an implementation's outputs to the bound, step by step from its own states."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray

from reference.archive import spell
from reference.blocks import bounds
from reference.case import Case
from reference.evaluation import Evaluation
from reference.precision import Precision
from reference.rounding import Bounded
from reference.sequence import evaluate_arrays, lift, unpacked
from reference.verdict import QUANTITIES, Judged, Tally, Verdict


def certify(case: Case, evaluation: Evaluation, precision: Precision) -> Verdict:
    """Judge an evaluation of a case, or of a stack, against what correct arithmetic in ``precision`` may return.

    Each step is held to one step of the oracle taken from the evaluation's own neighbouring values, so that errors
    do not pile up over time and the bound at T = 1000 is the bound of one step:

        h[t]   from h[t-1]                    A[t] from A[t+1] and h[t]      (A: the last H columns of dx, by the probe)
        dx[t], dh0 from A[t], A[0]            dWx, dWh, db from all x, h, A, in any order of summation

    If every local relation holds, the whole run is right. Without a probe, A comes from the bounded recursion over
    the steps, which is as good for T = 1 and soon says nothing for more.

    Args:
        case: one case or a stack, probed or not, of the dtype that ``precision`` names.
        evaluation: what the implementation returned for this very case; hs is needed, a gradient may be None.
        precision: the model of the arithmetic, with the implementation's accuracy of tanh.

    Returns:
        The verdict: "fail" if an element is outside its bound or not finite where the oracle is; else
        "inconclusive" if for some quantity the median bound is wider than a tenth of the value's scale, as it is
        where finite inputs lead beyond the largest number of the format; else "pass".

    Raises:
        TypeError: the case or the evaluation is of another dtype than ``precision`` names.
        ValueError: an array of the evaluation is missing or of the wrong shape, or the stack is empty.

    Source: derived in the README, section "A thousand steps, checked at the accuracy of one".
    """
    if case.dtype != precision.name:
        raise TypeError(f"certify: expected a case of dtype {precision.name}, got {case.dtype} ({spell(case.sizes)})")
    if case.K == 0:
        raise ValueError(f"certify: expected at least one case, got a stack of 0 ({spell(case.sizes)})")
    given = _expect_fields(case, evaluation)
    tallies = {name: Tally(given[field], case.K) for field, name in QUANTITIES.items() if field in given}
    for name, start, judged in _judge(case, evaluation, precision):
        tallies[name].add(judged, start)
    return Verdict(case, evaluation, precision, tallies, certify, _elements)


def _judge(case: Case, evaluation: Evaluation, precision: Precision) -> Iterator[tuple[str, int, Judged]]:
    """Give the name of a quantity, the number of a step, and the elements from that step on, block by block."""
    met = None if case.finite else _met_by_infinity(case)
    for block, want in bounds(case, evaluation, precision):
        for field, wanted in want.items():
            got = getattr(evaluation, field)
            if got is not None:
                got = got[..., block, :, :] if field.startswith(("hs", "dxs")) else got
                beside_nan = field == "dxs" and _beside_nan(case, wanted)
                untold = met is not None and _untold(met, field.removesuffix("_dot"))
                parts = got.astype(np.float64), wanted, beside_nan, untold, case.finite, case.K is not None
                yield QUANTITIES[field], block.start, Judged(*parts)


def _elements(case: Case, evaluation: Evaluation, precision: Precision) -> dict[str, Judged]:
    """Return every element of each quantity."""
    found: dict[str, list[Judged]] = {}
    for name, _, judged in _judge(case, evaluation, precision):
        found.setdefault(name, []).append(judged)
    return {name: Judged.joined(found[name]) for name in QUANTITIES.values() if name in found}


def enclose(case: Case, precision: Precision) -> Evaluation:
    """Bound what correct arithmetic may return for a whole run, from its inputs alone.

    Unlike in ``certify`` errors pile up over the steps, so that it says much for a few and little for many; but it
    needs nothing that an implementation returned.

    Args:
        case: one case or a stack, with a direction or without.
        precision: the model of the arithmetic.

    Returns:
        The evaluation, each field a ``Bounded``: the oracle's values and bounds on the distance from them.
    """
    model = precision.storing(case.sizes["T"])
    arrays = lift(case, lambda array: Bounded.exact(array, model), moves=case.direction is not None)
    with np.errstate(all="ignore"):
        return unpacked(evaluate_arrays(**arrays, f=case.nonlinearity))


def _expect_fields(case: Case, evaluation: Evaluation) -> dict[str, NDArray[Any]]:
    """Return the offered arrays by field, held to the shapes and the dtype of the case."""
    like = {"hs": case.upstream, "dxs": case.xs, "dh0": case.h0}
    like |= {f"d{name}": array for name, array in case.params.fields().items() if array is not None}
    if case.direction is not None:
        like |= {f"{name}_dot": array for name, array in like.items()}
    sizes = spell(case.sizes)
    if evaluation.hs is None:
        raise ValueError(f"certify: expected hs of shape {case.upstream.shape}, got None ({sizes})")
    got = {name: array for name, array in evaluation.fields().items() if array is not None}
    for name, array in got.items():
        if name not in like:
            why = "case without a direction" if name.endswith("_dot") else "cell without bias"
            raise ValueError(f"certify: expected no {name} for a {why}, got {np.shape(array)} ({sizes})")
        if not isinstance(array, np.ndarray) or array.dtype != case.xs.dtype:
            kind = array.dtype if isinstance(array, np.ndarray) else type(array).__name__
            raise TypeError(f"certify: expected {name} as an array of {case.dtype}, got {kind} ({sizes})")
        if array.shape != like[name].shape:
            raise ValueError(f"certify: expected {name} of shape {like[name].shape}, got {array.shape} ({sizes})")
    return got


def _met_by_infinity(case: Case) -> NDArray[np.bool_]:
    """Return which rows of the batch meet an infinity, of relu also NaN; shape (..., N).

    What becomes of one in backward is a matter of the form: (g + g * h) * (1 - h) is NaN where g * (1 - h * h) is
    infinite, and a derivative that underflows, times infinity, is infinite or NaN. Behind a relu at NaN, who multiplies
    by its derivative has NaN and who selects has 0.
    """
    loose = np.isinf if case.nonlinearity == "tanh" else lambda array: ~np.isfinite(array)
    met: NDArray[np.bool_] = np.asarray(loose(case.h0).any(axis=-1))
    for array in (case.xs, case.upstream):
        met |= loose(array).any(axis=(-3, -1))
    for name, array in case.params.fields().items():
        if array is not None:
            met |= loose(array).any(axis=-1 if name == "b" else (-2, -1))[..., None]
    return met


def _untold(met: NDArray[np.bool_], field: str) -> NDArray[np.bool_] | bool:
    """Return of which elements nothing can be told, where these rows meet an infinity; of the states all is told."""
    any_ = np.asarray(met.any(axis=-1))
    places: dict[str, NDArray[np.bool_] | bool] = {
        "hs": False,
        "dxs": met[..., None, :, None],
        "dh0": met[..., None],
        "db": any_[..., None],
    }
    return places.get(field, any_[..., None, None])


def _beside_nan(case: Case, dxs: Bounded) -> NDArray[np.bool_] | bool:
    """Return where dx may be NaN beside one: in the probe's columns of a row of A, since 0 * NaN is NaN."""
    if not case.is_probed or np.isfinite(dxs.value).all():
        return False
    A = np.arange(case.sizes["D"]) >= case.sizes["D"] - case.sizes["H"]
    broken = ~np.isfinite(dxs.value) & A
    return np.asarray(broken.any(axis=-1, keepdims=True) & A)
