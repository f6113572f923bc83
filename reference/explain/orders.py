"""Hidden units in another order: of what, and in which, would explain what was seen."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from reference.case import Case
from reference.cells import NONLINEARITIES
from reference.evaluation import Evaluation
from reference.explain.likeness import Make
from reference.explain.observed import Observed
from reference.faults import compute
from reference.faults.fault import unaware, with_params
from reference.sequence import evaluate, rows
from reference.verdict import QUANTITIES


def orders(seen: Observed) -> Iterator[tuple[str, tuple[int, ...]]]:
    """Give the orders of hidden units that would explain what was seen: of what, and which.

    Each unit is assigned to the one that comes nearest to it, the nearest first.
    """
    if not seen.case.finite or seen.case.sizes["H"] < 2:
        return
    for what, distance in distances(seen.case, seen.evaluations[-1]):
        order = assigned(distance)
        if order != tuple(range(len(order))):
            yield what, order


def distances(case: Case, evaluation: Evaluation) -> Iterator[tuple[str, NDArray[Any]]]:
    """Give, for all that could have its units in another order, how far unit j is from what unit k would be."""
    truth = evaluate(case)
    for field, name in QUANTITIES.items():
        got, want = getattr(evaluation, field), getattr(truth, field)
        if field != "dxs" and got is not None:
            yield name, apart(columns(got), columns(want)[:, None, :])
    f, derivative = NONLINEARITIES[case.nonlinearity]
    wide, hs = case.unprobed().astype("float64"), evaluation.hs.astype("float64")
    before = np.concatenate([wide.h0[None], hs])[:-1]
    b = np.zeros(wide.sizes["H"]) if wide.params.b is None else wide.params.b
    parts = {"Wh": rows(before) @ wide.params.Wh, "Wx": rows(wide.xs) @ wide.params.Wx, "b": 0 * rows(hs) + b}
    for name, part in parts.items():
        rest = sum(parts.values()) - part
        yield name, apart(columns(hs), f(rest[:, :, None] + part[:, None, :]))
    if case.is_probed and evaluation.dxs is not None:
        A = evaluation.dxs[..., -case.sizes["H"] :].astype("float64")
        later = np.concatenate([A[1:] @ wide.params.Wh.T, 0 * A[:1]])
        dh = rows(wide.upstream)[:, None, :] + rows(later)[:, :, None]
        yield "upstream", apart(rows(A), dh * derivative(rows(hs))[:, :, None])


def columns(array: NDArray[Any]) -> NDArray[Any]:
    """Return an array as a matrix with a column for each unit."""
    return array.reshape(-1, array.shape[-1])


def apart(got: NDArray[Any], units: NDArray[Any]) -> NDArray[Any]:
    """Return the largest distance, over rows, of column j of ``got`` from ``units[:, j, k]``; shape (H, H)."""
    with np.errstate(all="ignore"):
        return np.asarray(np.abs(got[:, :, None] - units).max(axis=0, initial=0))


def assigned(distance: NDArray[Any]) -> tuple[int, ...]:
    """Return which k each j is assigned to, the nearest pair first, each of them once."""
    left, order = np.where(np.isnan(distance), np.inf, distance), np.zeros(len(distance), int)
    taken = np.zeros(distance.shape, bool)
    for _ in order:
        j, k = np.unravel_index(np.argmin(np.where(taken, np.inf, left)), left.shape)
        order[j] = k
        taken[j], taken[:, k] = True, True
    return tuple(int(k) for k in order)


def partial_order(what: str, order: tuple[int, ...]) -> Make:
    """Return what makes a subject that has the hidden units of ``what`` in another order."""

    def subject(case: Case) -> Evaluation:
        unit = list(order)
        if what == "upstream":
            return compute(replace(unaware(case), upstream=case.upstream[..., unit]))
        if what in ("Wx", "Wh", "b"):
            return compute(with_params(unaware(case), **{what: getattr(case.params, what)[..., unit]}))
        field = next(field for field, name in QUANTITIES.items() if name == what)
        evaluation = compute(case)
        return replace(evaluation, **{field: getattr(evaluation, field)[..., unit]})

    return lambda: subject
