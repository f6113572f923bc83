"""Faults of the weight gradients: the wrong factor, the wrong rows, the wrong scale."""

from __future__ import annotations

import dataclasses
from typing import Any

import numpy as np

from reference.case import Case
from reference.cells import Array
from reference.evaluation import Evaluation
from reference.faults.fault import Family, Selective, Tape, longer_than, scaled, with_rows

family = Family("weights")


@family.tape("h[t] for h[t-1] in dWh")
def wrong_state(xs: Array, h_prev: Array, hs: Array) -> Tape:
    """Multiplies A[t] by the state after the step where the one before belongs."""
    return xs, hs, hs


@family.tape("x[t-1] for x[t] in dWx", applies=longer_than(1))
def wrong_input(xs: Array, h_prev: Array, hs: Array) -> Tape:
    """Is off by one in the inputs that it kept for backward."""
    return np.roll(xs, 1, axis=-3), h_prev, hs


@family.tape("h0 missing in dWh")
def without_h0(xs: Array, h_prev: Array, hs: Array) -> Tape:
    """Takes zeros for the state before the first step in dWh."""
    return xs, np.concatenate([np.zeros_like(h_prev[..., :1, :, :]), h_prev[..., 1:, :, :]], axis=-3), hs


def scale_all(evaluation: Evaluation, share: float) -> Evaluation:
    """Return the evaluation with all weight gradients multiplied by ``share``."""
    gradients = {name: getattr(evaluation, name) for name in ("dWx", "dWh", "db")}
    shares = {name: scaled(array, share) for name, array in gradients.items() if array is not None}
    return dataclasses.replace(evaluation, **shares)


@family.result("averaged over N", applies=with_rows)
def over_rows(case: Case, evaluation: Evaluation) -> Evaluation:
    """Divides the weight gradients by the size of the batch."""
    return scale_all(evaluation, 1 / case.sizes["N"])


@family.result("averaged over T", applies=longer_than(1))
def over_steps(case: Case, evaluation: Evaluation) -> Evaluation:
    """Divides the weight gradients by the number of steps."""
    return scale_all(evaluation, 1 / case.sizes["T"])


class Partial(Selective):
    """A cell whose weight gradients are those of some steps or rows alone."""

    picked: Any = np.s_[...]

    def to_params(self, A: Array, x: Array, h_prev: Array) -> list[Array]:
        """Return the weight gradients of the steps and rows picked."""
        return super().to_params(*self.select(self.picked, A, x, h_prev))


@family.cell("last row of the batch missing")
class RowMissing(Partial):
    """Ends the loop over the batch one row early."""

    picked = np.s_[..., :, :-1, :]


@family.cell("step 0 missing")
class FirstMissing(Partial):
    """Ends the backward loop one step early, before the gradients of step 0 are added."""

    picked = np.s_[..., 1:, :, :]


@family.cell("overwritten instead of accumulated", applies=longer_than(1))
class Overwritten(Partial):
    """Assigns the weight gradients at every step of the loop, so that those of step 0 are all that is left."""

    picked = np.s_[..., :1, :, :]


@family.cell("last step only", applies=longer_than(1))
class LastOnly(Partial):
    """Takes the weight gradients from the last step alone."""

    picked = np.s_[..., -1:, :, :]
