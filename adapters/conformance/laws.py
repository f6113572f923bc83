"""Laws that need no oracle: what every recurrent layer does, whatever its numbers are.

Where a law compares two runs whose roundings differ, what the one run says is put together from the other and
certified, or their distance is held to the bounds of both: no tolerance is chosen. That two equal calls give equal bits
and leave inputs and earlier results alone is part of every trial.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from typing import Any

import numpy as np

from adapters import Adapter
from reference import Case, Evaluation, Mismatch, Precision, certify, evaluate
from reference.certify import enclose
from reference.verdict import QUANTITIES

Law = Callable[[Adapter, Case, Precision], None]

BACKWARD = ("dxs", "dh0", "dWx", "dWh", "db")
EXACT = ("hs", *BACKWARD)
BY_ROW = {"hs": -2, "dxs": -2, "dh0": -2}  # field: the axis of its rows


def rows_are_independent(adapter: Adapter, case: Case, precision: Precision) -> None:
    """A row of the batch comes out the same alone, in another place, and beside a copy of itself."""
    N = case.sizes["N"]
    if N:
        for order in (np.arange(N)[::-1], np.arange(N)[1:], np.zeros(N, int)):
            _certify_rows(adapter, case, order, precision)


def _certify_rows(adapter: Adapter, case: Case, order: Any, precision: Precision) -> None:
    """Certify, as that of the case itself, what an adapter makes of some of its rows in some order."""
    answer = adapter(rows_of(case, order))
    back = [int(np.flatnonzero(order == n)[0]) for n in np.unique(order)]
    kept = rows_of(case, np.unique(order))
    given = _given(answer)
    fields = {name: np.take(given[name], back, axis) for name, axis in BY_ROW.items() if name in given}
    certify(kept, Evaluation(**fields), precision).require(f"rows {[int(n) for n in order]}:")


def rows_of(case: Case, order: Any) -> Case:
    """Return a case with some of its rows, in some order."""
    along = case.direction
    if along is not None:
        moved = {name: np.take(getattr(along, name), order, axis=-2) for name in ("xs_dot", "h0_dot")}
        along = dataclasses.replace(along, **moved)
    fields = {name: np.take(getattr(case, name), order, axis=-2) for name in ("xs", "h0", "upstream")}
    return dataclasses.replace(case, **fields, direction=along)


def a_sequence_may_be_cut(adapter: Adapter, case: Case, precision: Precision) -> None:
    """Two halves, chained forward by the state and backward by its gradient, are the whole."""
    T = case.sizes["T"]
    if T < 2 or case.direction is not None:
        return
    early, late = (slice_of(case, part) for part in (slice(0, T // 2), slice(T // 2, T)))
    first = adapter(early)
    second = adapter(dataclasses.replace(late, h0=first.hs[..., -1, :, :]))
    if second.dh0 is not None:
        upstream = np.array(early.upstream)
        upstream[..., -1, :, :] += second.dh0
        first = adapter(dataclasses.replace(early, upstream=upstream))
    parts = _given(first), _given(second)
    whole: dict[str, Any] = {"dh0": first.dh0}
    for name in parts[0]:
        one, two = (part[name] for part in parts)
        if name in ("hs", "dxs"):
            whole[name] = np.concatenate([one, two], axis=-3)
        elif name != "dh0":
            whole[name] = one + two
    certify(case, Evaluation(**whole), precision).require("cut in two:")


def slice_of(case: Case, part: slice) -> Case:
    """Return some steps of a case, the state before them still that of the whole."""
    return dataclasses.replace(case, xs=case.xs[..., part, :, :], upstream=case.upstream[..., part, :, :])


def no_upstream_gives_no_gradient(adapter: Adapter, case: Case, precision: Precision) -> None:
    """The pull-back of zero is zero, to the bit but for the sign."""
    answer = adapter(dataclasses.replace(case, upstream=0 * case.upstream))
    for name in BACKWARD:
        array = getattr(answer, name)
        if array is not None and np.any(array != 0):
            raise Mismatch(
                f"expected {QUANTITIES[name]} of zeros for an upstream of zeros, "
                f"got {np.abs(array.astype(float)).max():.3g} ({case.spelled})"
            )


def the_pull_back_scales(adapter: Adapter, case: Case, precision: Precision) -> None:
    """Twice the upstream gives twice every gradient, to the bit: a power of two rounds nothing."""
    two = np.asarray(2, case.upstream.dtype)
    answers = adapter(case), adapter(dataclasses.replace(case, upstream=case.upstream * two))
    once, twice = (_given(answer.astype("float64")) for answer in answers)
    for name in set(once) & set(BACKWARD):
        # Below, a subnormal number may have lost its last digit.
        told = np.abs(once[name]) > precision.floor
        if np.any((2 * once[name] != twice[name]) & told):
            raise Mismatch(
                f"expected {QUANTITIES[name]} to double with the upstream, got another number ({case.spelled})"
            )


def the_pull_back_adds(adapter: Adapter, case: Case, precision: Precision) -> None:
    """The gradients of an upstream on the last step and of one on the others add up to those of both."""
    T = case.sizes["T"]
    if not 0 < T <= 8:
        return
    last, others = np.array(case.upstream), np.array(case.upstream)
    last[..., :-1, :, :], others[..., -1, :, :] = 0, 0
    parts = [dataclasses.replace(case, upstream=upstream) for upstream in (case.upstream, last, others)]
    answers, bounds = [adapter(part) for part in parts], [enclose(part, precision) for part in parts]
    for name in BACKWARD:
        if name in _given(answers[0]):
            whole, one, two = (np.asarray(getattr(answer, name), np.float64) for answer in answers)
            bound = sum(getattr(bounded, name).sealed().error for bounded in bounds)
            if np.any(np.abs(whole - one - two) > bound):
                raise Mismatch(
                    f"expected {QUANTITIES[name]} to add up over the steps of the upstream, "
                    f"got a sum that is off by more than three bounds ({case.spelled})"
                )


def small_integers_are_exact(adapter: Adapter, case: Case, precision: Precision) -> None:
    """Under relu, sums of integers that the format holds are exact in any order: every bit is the oracle's."""
    if "relu" not in adapter.nonlinearities:
        return
    like: dict[str, Any] = {"dtype": case.dtype, "nonlinearity": "relu", "values": "integers"}
    # Of a shape that was seen before: a compiler works anew for each.
    T, N, D, H = case.unprobed().sizes.values()
    whole = Case.random(T // 2, N, D, H, seed=1, direction=adapter.takes_direction, **like)
    whole = whole.probed() if case.is_probed else whole
    largest = max(float(np.abs(array).max()) for array in _given(evaluate(whole.map(np.abs))).values())
    if largest > 1 / precision.u:
        raise ValueError(f"laws: expected integers up to {1 / precision.u:g}, got {largest:g} ({whole.spelled})")
    answer, want = adapter(whole), evaluate(whole)
    for name, array in _given(answer).items():
        if name in EXACT and not np.array_equal(array.astype(np.float64), getattr(want, name)):
            raise Mismatch(
                f"expected {QUANTITIES[name]} of small integers to the bit, got another number ({whole.spelled})"
            )


def _given(answer: Evaluation) -> dict[str, Any]:
    return {name: array for name, array in answer.fields().items() if array is not None}


LAWS: dict[str, Law] = {
    "rows are independent": rows_are_independent,
    "a sequence may be cut": a_sequence_may_be_cut,
    "no upstream, no gradient": no_upstream_gives_no_gradient,
    "the pull-back scales": the_pull_back_scales,
    "the pull-back adds": the_pull_back_adds,
    "small integers are exact": small_integers_are_exact,
}
