"""Faults of backpropagation through time: gradients that are cut, lost or counted twice between steps."""

from __future__ import annotations

import dataclasses
from typing import Any

import numpy as np

from reference.case import Case
from reference.cells import RNN, Array
from reference.evaluation import Evaluation
from reference.faults.fault import Family, Selective, compute, longer_than, piecewise
from reference.trial import Subject

family = Family("bptt")


@family.subject("BPTT truncated at 3", applies=longer_than(3))
def truncated() -> Subject:
    """Detaches the state after every third step."""
    return lambda case: piecewise(case, 3, carry=True)


@family.subject("no BPTT", applies=longer_than(1))
def untied() -> Subject:
    """Detaches the state after every step, so that no gradient goes back in time."""
    return lambda case: piecewise(case, 1, carry=True)


@family.result("h0 detached")
def h0_detached(case: Case, evaluation: Evaluation) -> Evaluation:
    """Leaves h0 out of the graph, and its gradient at zero."""
    return dataclasses.replace(evaluation, dh0=np.zeros_like(evaluation.dh0))


@family.cell("dh0 one product short")
class Short(Selective):
    """Returns A[0] as dh0 and forgets the last product with Wh.T."""

    def to_state(self, A: Array) -> Array:
        """Return A @ Wh.T, or A itself once all steps have been gone through."""
        self.T -= 1
        return super().to_state(A) if self.T else A


def kept_steps(array: Any, *kept: int) -> Any:
    """Return gradients (..., T, N, H) with all but some steps set to zero."""
    found = np.zeros_like(array)
    for t in kept:
        found[..., t, :, :] = array[..., t, :, :]
    return found


@family.case("upstream of the last step only", applies=longer_than(1))
def upstream_last(case: Case) -> Case:
    """Takes the gradient of the last state alone and ignores those of the others."""
    return dataclasses.replace(case, upstream=kept_steps(case.upstream, -1))


@family.case("upstream of the last step twice")
def upstream_twice(case: Case) -> Case:
    """Starts the recursion from the last upstream gradient and adds it once more inside the loop."""
    return dataclasses.replace(case, upstream=case.upstream + kept_steps(case.upstream, -1))


@family.case("upstream one step late", applies=longer_than(1))
def upstream_late(case: Case) -> Case:
    """Pairs the gradient of h[t] with step t + 1."""
    return dataclasses.replace(case, upstream=np.roll(case.upstream, 1, axis=-3))


@family.cell("recurrent gradient replaces upstream", applies=longer_than(1))
class Replaced(RNN):
    """Assigns the gradient that comes from the step after, where it has to be added to the upstream one."""

    later: Array | None = None

    def to_state(self, A: Array) -> Array:
        """Return A @ Wh.T and remember it."""
        self.later = super().to_state(A)
        return self.later

    def adjoint(self, dh: Array, h: Array) -> Array:
        """Return f' times what came from the step after, if there is one."""
        return super().adjoint(dh if self.later is None else self.later, h)


@family.subject("gradient stops at the first step", applies=longer_than(1))
def first_step_detached() -> Subject:
    """Computes the first step outside of the graph."""

    def subject(case: Case) -> Evaluation:
        evaluation = compute(case)
        xs, upstream = (array[..., 1:, :, :] for array in (case.xs, case.upstream))
        if not case.sizes["T"] > 1:
            return evaluation
        h0 = evaluation.hs[..., 0, :, :]
        later = compute(dataclasses.replace(case, xs=xs, upstream=upstream, h0=h0, finite=False))
        dxs = np.concatenate([np.zeros_like(evaluation.dxs[..., :1, :, :]), later.dxs], axis=-3)
        return dataclasses.replace(later, hs=evaluation.hs, dxs=dxs, dh0=np.zeros_like(later.dh0))

    return subject


@family.subject("gradients grow from call to call")
def accumulated() -> Subject:
    """Adds to the weight gradients of the call before, which were never set to zero."""
    kept: dict[tuple[int, ...], tuple[Any, Any]] = {}

    def subject(case: Case) -> Evaluation:
        evaluation = compute(case)
        dWx, dWh = kept.get(case.params.Wx.shape, (0, 0))
        kept[case.params.Wx.shape] = evaluation.dWx + dWx, evaluation.dWh + dWh
        return dataclasses.replace(evaluation, dWx=evaluation.dWx + dWx, dWh=evaluation.dWh + dWh)

    return subject
