"""Faults of the state: where the recurrence starts, and what it carries from step to step."""

from __future__ import annotations

import dataclasses
from typing import Any

import numpy as np

from reference.case import Case
from reference.cells import RNN, Array
from reference.evaluation import Evaluation
from reference.faults.fault import Family, compute, longer_than, piecewise, with_rows
from reference.trial import Subject

family = Family("state")


@family.case("h0 ignored")
def h0_ignored(case: Case) -> Case:
    """Starts from zeros whatever state it is given."""
    return dataclasses.replace(case, h0=np.zeros_like(case.h0))


@family.subject("state kept from the last call")
def stale() -> Subject:
    """Keeps the state from call to call, as a stateful layer does, and never resets it."""
    kept: dict[tuple[int, ...], Any] = {}

    def subject(case: Case) -> Evaluation:
        evaluation = compute(dataclasses.replace(case, h0=kept.get(case.h0.shape, case.h0), finite=False))
        kept[case.h0.shape] = evaluation.hs[..., -1, :, :]
        return evaluation

    return subject


@family.case("h0 of another row", applies=with_rows)
def h0_of_another_row(case: Case) -> Case:
    """Leaves the initial states in the old order after sorting the batch."""
    return dataclasses.replace(case, h0=case.h0[..., ::-1, :])


@family.cell("state of another row", applies=with_rows)
class AnotherRow(RNN):
    """Reads the state of the row before in the batch, at every step."""

    def advance(self, drive: Array, h_prev: Array) -> Array:
        """Return the next state from the neighbours' states."""
        return super().advance(drive, np.roll(h_prev, 1, axis=-2))


@family.case("h0 of the first row for all", applies=with_rows)
def h0_broadcast(case: Case) -> Case:
    """Broadcasts a single initial state over the batch."""
    return dataclasses.replace(case, h0=np.broadcast_to(case.h0[..., :1, :], case.h0.shape))


@family.case("time reversed", applies=longer_than(1))
def time_reversed(case: Case) -> Case:
    """Reads the inputs from the last to the first, as the second direction of a bidirectional layer does."""
    return dataclasses.replace(case, xs=case.xs[..., ::-1, :, :])


@family.case("inputs one step late", applies=longer_than(1))
def one_step_late(case: Case) -> Case:
    """Feeds x[t-1] at step t, and x[0] twice."""
    return dataclasses.replace(case, xs=np.concatenate([case.xs[..., :1, :, :], case.xs[..., :-1, :, :]], axis=-3))


@family.subject("h0 used at every step", applies=longer_than(1))
def always_h0() -> Subject:
    """Passes h0 in the loop where the last state belongs."""
    return lambda case: piecewise(case, 1, carry=False)


@family.subject("state reset after 4 steps", applies=longer_than(4))
def reset() -> Subject:
    """Cuts the sequence into windows of 4 steps and starts each of them from h0."""
    return lambda case: piecewise(case, 4, carry=False)
