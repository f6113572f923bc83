"""Faults of backpropagation through time: a gradient that is cut, or that passes the steps in a wrong way."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

import numpy as np

from reference.case import Case
from reference.cells import Array
from reference.evaluation import Evaluation
from reference.faults.fault import (
    Change,
    Fault,
    fault,
    given,
    last_step,
    more,
    returned,
    rolled,
    weights,
)
from reference.faults.pieces import pieces, piecewise
from reference.layer import Layer, steps
from reference.trial import Subject

# Steps whose Jacobians are multiplied one by one, which takes the square of their number.
FEW = 64


def without_first(array: Array) -> Array:
    """Return an array (..., T, N, H) with zeros at the first step."""
    return np.concatenate([np.zeros_like(array[..., :1, :, :]), array[..., 1:, :, :]], axis=-3)


def one_product_short(layer: Layer, right: Any, *given: Any) -> Any:
    """Return the gradients at the pre-activations, and A[0] as the gradient of h0."""
    A, A_h, first = right(*given)
    return A, A_h, (A_h[..., 0, :, :], *first[1:])


def outside_the_graph(kept: Callable[[Array], Array]) -> Change:
    """Return a change of ``adjoints`` that keeps A of some steps, and zeros for the others and the initial states."""

    def adjoints(layer: Layer, right: Any, *given: Any) -> Any:
        *each, first = right(*given)
        A, A_h = (kept(array) for array in each)
        return A, A_h, tuple(map(np.zeros_like, first))

    return adjoints


def slope_last(layer: Layer, right: Any, upstream: Array, d_last: Any, saved: Any) -> Any:
    """Multiply by Wh.T first and by f' then, on the way to the state before; A itself is right."""
    A: list[Array] = []
    through: Array = np.zeros_like(upstream[..., 0, :, :])
    for t, dh in reversed([*enumerate(steps(upstream))]):
        slope = layer.cell.derivative(saved[t][0])
        A.append((dh + through) * slope)
        through = layer.to_state(dh + through) * slope
    every = np.stack(A[::-1], axis=-3)
    return every, every, (through,)


def jacobians_reversed(layer: Layer, right: Any, upstream: Array, d_last: Any, saved: Any) -> Any:
    """Take the product of the steps' Jacobians from the first step to the last."""
    if len(saved) > FEW:
        return right(upstream, d_last, saved)
    slopes = [layer.cell.derivative(kept[0]) * np.ones_like(kept[0]) for kept in saved]
    found = []
    for t in range(-1, len(saved)):
        d = np.array(upstream[..., t + 1 :, :, :], copy=True).view(type(upstream))
        for j, slope in enumerate(slopes[t + 1 :]):
            d[..., j:, :, :] = layer.to_state(d[..., j:, :, :] * slope[..., None, :, :])
        found.append(d.sum(axis=-3) + (upstream[..., t, :, :] if t >= 0 else 0))
    A = np.stack([dh * slope for dh, slope in zip(found[1:], slopes, strict=True)], axis=-3)
    return A, A, (found[0],)


def windowed(period: int) -> Change:
    """Return a change of ``adjoints``: the gradient of each output reaches back through a few steps only."""

    def adjoints(layer: Layer, right: Any, upstream: Array, d_last: Any, saved: Any) -> Any:
        slopes = np.stack([layer.cell.derivative(kept[0]) for kept in saved], axis=-3)
        share = upstream * slopes
        A, first = share, layer.to_state(share[..., 0, :, :])
        for _ in range(period - 1):
            later = layer.to_state(share)[..., 1:, :, :]
            share = np.concatenate([later * slopes[..., :-1, :, :], np.zeros_like(share[..., :1, :, :])], axis=-3)
            A, first = A + share, first + layer.to_state(share[..., 0, :, :])
        return A, A, (first,)

    return adjoints


def accumulated(run: Subject, case: Case, kept: dict[Any, Any]) -> Evaluation:
    """Add the weight gradients of the previous call with the same shapes, if there was one."""
    evaluation = run(case)
    shape = evaluation.dWx.shape
    found = {name: array for name, array in weights(case, evaluation).items() if array.ndim > case.h0.ndim - 1}
    kept[shape] = {name: array + kept[shape][name] if shape in kept else array for name, array in found.items()}
    return evaluation.replacing(**kept[shape])


def uncleared(run: Subject, case: Case, kept: dict[Any, Any]) -> Evaluation:
    """Start backward from dh of the first step of the previous call with the same shapes, if there was one."""
    upstream, shape = np.array(case.upstream), case.upstream.shape
    if shape in kept:
        upstream[..., -1, :, :] += kept[shape]
    evaluation = run(case.replacing(upstream=upstream, finite=False))
    kept[shape] = evaluation.dh0
    return evaluation


# fmt: off
bptt = partial(fault, "bptt")


def truncated(period: int) -> Fault:
    """Return the fault of truncated backpropagation with a period."""
    return bptt(f"BPTT truncated at {period}", f"Detaches the state after every {ordinal(period)} step.",
                more(T=period), calls=pieces(period, carry=True))


def truncated_from_h0(period: int) -> Fault:
    """Return the fault of truncated backpropagation that detaches h0, too."""
    return bptt(f"BPTT truncated at {period}, h0 included", f"Detaches h0, and the state after every {ordinal(period)} "
                "step.", calls=pieces(period, carry=True), result=returned("dh0", np.zeros_like))


def in_windows(period: int) -> Fault:
    """Return the fault of truncated backpropagation in windows."""
    return bptt(f"BPTT in windows of {period}", f"Lets the gradient of each output reach back through {period} steps.",
                adjoints=windowed(period))


# Faults with a period, by what comes before the number and after it in their names.
PERIODIC: dict[tuple[str, str], Callable[[int], Fault]] = {
    ("BPTT truncated at ", ""): truncated,
    ("BPTT truncated at ", ", h0 included"): truncated_from_h0,
    ("BPTT in windows of ", ""): in_windows,
}


def ordinal(number: int) -> str:
    """Return a number as in "every third step"."""
    return {2: "second", 3: "third"}.get(number, f"{number}th")


def cut(starts: Callable[[int], Sequence[int]]) -> Change:
    """Return a change of ``calls`` that detaches the state before some steps, given T."""
    return lambda run, case, kept: piecewise(run, case, starts(case.sizes["T"]), carry=True)


# The columns of the table are name, description, conditions, and changes by hook.
BPTT = (
    truncated(3), truncated_from_h0(3), in_windows(3),
    bptt("no BPTT", "Detaches the state after every step.", more(T=1), calls=pieces(1, carry=True)),
    bptt("recurrent path detached", "Detaches the state before its product with Wh, at every step.",
         to_state=lambda layer, right, A: np.zeros_like(right(A))),
    bptt("detached after the first step", "Detaches the state after the first step alone.", more(T=1),
         calls=cut(lambda T: sorted({0, min(1, T - 1)}))),
    bptt("detached before the last step", "Detaches the state before the last step alone.", more(T=1),
         calls=cut(lambda T: sorted({0, T - 1}))),
    bptt("h0 detached", "Leaves h0 out of the graph.", result=returned("dh0", np.zeros_like)),
    bptt("dh0 one product short", "Returns A[0] as dh0, not A[0] @ Wh.T.", adjoints=one_product_short),
    bptt("f' after Wh.T", "Multiplies the gradient by Wh.T first and by f' then, on its way to the state before.",
         adjoints=slope_last),
    bptt("Jacobians in the wrong order", "Multiplies the steps' Jacobians from the first to the last.",
         adjoints=jacobians_reversed),
    bptt("upstream of the last step only", "Ignores all other steps.", more(T=1), case=given("upstream", last_step)),
    bptt("upstream of the last step twice", "Starts from the last upstream gradient and adds it again in the loop.",
         case=given("upstream", lambda upstream: upstream + last_step(upstream))),
    bptt("upstream one step late", "Pairs dLoss/dh[t] with step t + 1.", more(T=1), case=given("upstream", rolled(-3))),
    bptt("recurrent gradient replaces upstream", "Assigns the gradient from the step after, without adding upstream.",
         more(T=1), adjoints=lambda layer, right, upstream, *rest: right(last_step(upstream), *rest)),
    bptt("gradient stops at the first step", "Computes the first step outside the graph.",
         adjoints=outside_the_graph(without_first)),
    bptt("gradient of the last step alone", "Computes all steps but the last outside the graph.",
         adjoints=outside_the_graph(last_step)),
    bptt("gradients grow from call to call", "Adds to the weight gradients of the previous call.", calls=accumulated),
    bptt("dh kept from the last call", "Does not clear the buffer of the recurrent gradient.", calls=uncleared),
)
