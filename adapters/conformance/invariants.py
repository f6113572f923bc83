"""Invariants of every recurrent layer, whatever its numbers: no oracle is needed to state them.

If an invariant compares two runs with different roundings, the result of one is assembled from the other and
certified, or the distance is held to the bounds of both. No tolerance is chosen. Every trial checks besides that two
equal calls return equal bits, and that inputs and earlier results stay unchanged.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from adapters import Adapter
from adapters.conformance.report import Result
from reference import Case, Evaluation, Mismatch, Precision, certify, evaluate
from reference.certify import enclose
from reference.verdict import QUANTITIES

BACKWARD = [name for name in QUANTITIES if name[0] == "d" and not name.endswith("_dot")]
# Fields of an evaluation, and of a case, with the rows on their last axis but one.
BY_ROW = ("hs", "c", "dxs", "dh0", "dc0")
BY_CASE_ROW = ("xs", "h0", "c0", "upstream", "upstream_c", "xs_dot", "h0_dot", "c0_dot")


def judge(adapter: Adapter, case: Case, precision: Precision, result: Result) -> None:
    """Hold an adapter to every invariant."""
    for invariant in INVARIANTS.values():
        invariant(adapter, case, precision)
        result.cases += 1


def rows_are_independent(adapter: Adapter, case: Case, precision: Precision) -> None:
    """A row of the batch has the same result alone, in another place, and beside a copy of itself."""
    N = case.sizes["N"]
    for order in (np.arange(N)[::-1], np.arange(N)[1:], np.zeros(N, int)) if N else ():
        answer = adapter(rows_of(case, order)).present()
        kept, back = np.unique(order, return_index=True)
        fields = {name: np.take(answer[name], back, axis=-2) for name in BY_ROW if name in answer}
        certify(rows_of(case, kept), Evaluation(**fields), precision).require(f"rows {order.tolist()}:")


def rows_of(case: Case, order: Any) -> Case:
    """Return a case with some of its rows, in some order."""
    taken = {name: array for name, array in case.present().items() if name in BY_CASE_ROW}
    return case.replacing(**{name: np.take(array, order, axis=-2) for name, array in taken.items()})


def a_sequence_may_be_cut(adapter: Adapter, case: Case, precision: Precision) -> None:
    """Two halves, chained forward by the state and backward by its gradient, are the whole."""
    T = case.sizes["T"]
    if T < 2 or case.direction is not None or {f"{state}0" for state in case.cell_type.states} & {*adapter.lacks}:
        return
    early, late = (slice_of(case, part) for part in (slice(0, T // 2), slice(T // 2, T)))
    first = adapter(early)
    second = adapter(late.replacing(h0=first.hs[..., -1, :, :], c0=first.c))
    if second.dh0 is not None:
        upstream = np.array(early.upstream)
        upstream[..., -1, :, :] += second.dh0
        first = adapter(early.replacing(upstream=upstream, upstream_c=second.dc0))
    parts = [first.present(), second.present()]
    whole: dict[str, Any] = {}
    for name in parts[0]:
        one, two = (part[name] for part in parts)
        whole[name] = np.concatenate([one, two], axis=-3) if name in ("hs", "dxs") else one + two
    whole |= {"dh0": first.dh0, "dc0": first.dc0, "c": second.c}
    certify(case, Evaluation(**whole), precision).require("cut in two:")


def slice_of(case: Case, part: slice) -> Case:
    """Return some steps of a case, with the initial state of the whole."""
    return case.replacing(xs=case.xs[..., part, :, :], upstream=case.upstream[..., part, :, :])


def above(case: Case, change: Callable[[Any], Any]) -> Case:
    """Return a case with a change of every upstream gradient."""
    names = [name for name in case.arrays() if name.startswith("upstream")]
    return case.replacing(**{name: change(getattr(case, name)) for name in names})


def no_upstream_gives_no_gradient(adapter: Adapter, case: Case, precision: Precision) -> None:
    """The pull-back of zero is zero, to the bit but for the sign."""
    answer = adapter(above(case, lambda upstream: 0 * upstream)).present()
    for name in BACKWARD:
        if name in answer and np.any(answer[name] != 0):
            largest = np.abs(answer[name].astype(float)).max()
            raise broken(case, name, "of zeros for an upstream of zeros", f"{largest:.3g}")


def the_pull_back_scales(adapter: Adapter, case: Case, precision: Precision) -> None:
    """Twice the upstream gives twice every gradient, to the bit: a power of two rounds nothing."""
    two = np.asarray(2, case.upstream.dtype)
    answers = adapter(case), adapter(above(case, lambda upstream: upstream * two))
    once, twice = (answer.astype("float64").present() for answer in answers)
    for name in BACKWARD:
        # A subnormal number may have lost its last digit.
        if name in once and np.any((2 * once[name] != twice[name]) & (np.abs(once[name]) > precision.floor)):
            raise broken(case, name, "to double with the upstream")


def the_pull_back_adds(adapter: Adapter, case: Case, precision: Precision) -> None:
    """The gradients of an upstream on the last step and of one on the others add up to those of both."""
    if not 0 < case.sizes["T"] <= 8:
        return
    last, others = np.array(case.upstream), np.array(case.upstream)
    last[..., :-1, :, :], others[..., -1, :, :] = 0, 0
    earlier = None if case.upstream_c is None else 0 * case.upstream_c
    parts = [case, case.replacing(upstream=last), case.replacing(upstream=others, upstream_c=earlier)]
    answers = [adapter(part).astype("float64").present() for part in parts]
    bounds = [enclose(part, precision) for part in parts]
    for name in BACKWARD:
        if name in answers[0]:
            whole, one, two = (answer[name] for answer in answers)
            if np.any(np.abs(whole - one - two) > sum(getattr(each, name).rounded().error for each in bounds)):
                got = "a sum that is off by more than three bounds"
                raise broken(case, name, "to add up over the steps of the upstream", got)


def small_integers_are_exact(adapter: Adapter, case: Case, precision: Precision) -> None:
    """Under relu, sums of integers that the format holds are exact in any order: every bit is the oracle's."""
    if "relu" not in adapter.nonlinearities:
        return
    # A compiler has compiled for half of the steps already.
    T, N, D, H = case.unprobed().sizes.values()
    like: dict[str, Any] = {"dtype": case.dtype, "nonlinearity": "relu", "values": "integers"}
    whole = adapter.suited(Case.random(T // 2, N, D, H, seed=1, direction=adapter.takes_direction, **like))
    whole = whole.probed() if case.is_probed else whole
    largest = max(float(np.abs(array).max()) for array in evaluate(whole.map(np.abs)).present().values())
    if largest > 1 / precision.u:
        raise ValueError(f"invariants: expected integers up to {1 / precision.u:g}, got {largest:g} ({whole.spelled})")
    answer, expected = adapter(whole).astype("float64").present(), evaluate(whole)
    for name in ("hs", *BACKWARD):
        if name in answer and not np.array_equal(answer[name], getattr(expected, name)):
            raise broken(whole, name, "of small integers to the bit")


def broken(case: Case, name: str, what: str, got: str = "another number") -> Mismatch:
    """Return the error of a field that breaks an invariant."""
    return Mismatch(f"expected {QUANTITIES[name]} {what}, got {got} ({case.spelled})")


INVARIANTS: dict[str, Callable[[Adapter, Case, Precision], None]] = {
    "rows are independent": rows_are_independent,
    "a sequence may be cut": a_sequence_may_be_cut,
    "no upstream, no gradient": no_upstream_gives_no_gradient,
    "the pull-back scales": the_pull_back_scales,
    "the pull-back adds": the_pull_back_adds,
    "small integers are exact": small_integers_are_exact,
}
