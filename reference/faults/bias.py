"""Faults of the bias and of its gradient."""

from __future__ import annotations

import dataclasses

import numpy as np

from reference.case import Case
from reference.cells import RNN, Array
from reference.evaluation import Evaluation
from reference.faults.fault import Family, Selective, longer_than, scaled, with_bias, with_params, with_rows, with_units

family = Family("bias")


@family.case("bias dropped", applies=with_bias)
def dropped(case: Case) -> Case:
    """Forgets to add the bias."""
    return with_params(case, b=None if case.params.b is None else np.zeros_like(case.params.b))


@family.case("bias doubled", applies=with_bias)
def doubled(case: Case) -> Case:
    """Copies the one bias into both biases of a framework that adds two."""
    return with_params(case, b=None if case.params.b is None else 2 * case.params.b)


@family.case("bias of another unit", applies=lambda case: with_bias(case) and with_units(case))
def rolled(case: Case) -> Case:
    """Is off by one in the bias, so that each unit is given its neighbour's."""
    return with_params(case, b=None if case.params.b is None else np.roll(case.params.b, 1, axis=-1))


@family.cell("bias added after the nonlinearity", applies=with_bias)
class After(RNN):
    """Adds the bias to the output of the nonlinearity rather than to its argument."""

    def drive(self, x: Array) -> Array:
        """Return x @ Wx."""
        return x @ self.params[0]

    def advance(self, drive: Array, h_prev: Array) -> Array:
        """Return f(h_prev @ Wh + x @ Wx) + b."""
        h = super().advance(drive, h_prev)
        return sum(self.params[2:], start=h)


@family.cell("bias added at every second step", applies=lambda case: with_bias(case) and longer_than(1)(case))
class EverySecond(RNN):
    """Adds the bias in one half of a loop unrolled by two."""

    step = 0

    def advance(self, drive: Array, h_prev: Array) -> Array:
        """Return the next state, of odd steps without the bias."""
        self.step += 1
        bias = self.params[2:] if self.step % 2 == 0 else []
        return super().advance(drive - sum(bias), h_prev)


def scale_db(evaluation: Evaluation, share: float) -> Evaluation:
    """Return the evaluation with the gradient of the bias, if there is one, multiplied by ``share``."""
    return evaluation if evaluation.db is None else dataclasses.replace(evaluation, db=scaled(evaluation.db, share))


@family.result("db missing", applies=with_bias)
def db_missing(case: Case, evaluation: Evaluation) -> Evaluation:
    """Leaves the gradient of the bias at zero."""
    return scale_db(evaluation, 0)


@family.result("db halved", applies=with_bias)
def db_halved(case: Case, evaluation: Evaluation) -> Evaluation:
    """Shares the gradient out between two biases, though each of them has all of it."""
    return scale_db(evaluation, 0.5)


@family.result("db summed twice", applies=with_bias)
def db_doubled(case: Case, evaluation: Evaluation) -> Evaluation:
    """Adds the gradients of two biases up where there is one bias."""
    return scale_db(evaluation, 2)


@family.result("db averaged over N", applies=lambda case: with_bias(case) and with_rows(case))
def db_averaged(case: Case, evaluation: Evaluation) -> Evaluation:
    """Takes the mean over the batch where the sum belongs."""
    return scale_db(evaluation, 1 / case.sizes["N"])


@family.cell("db of the last step only", applies=lambda case: with_bias(case) and longer_than(1)(case))
class LastStep(Selective):
    """Sums the bias gradient over the batch of the last step and forgets the other steps."""

    def to_params(self, A: Array, x: Array, h_prev: Array) -> list[Array]:
        """Return all of dWx and dWh, and db of the last step."""
        dWx, dWh, *_ = super().to_params(A, x, h_prev)
        _, _, *db = super().to_params(*self.select(np.s_[..., -1:, :, :], A, x, h_prev))
        return [dWx, dWh, *db]
