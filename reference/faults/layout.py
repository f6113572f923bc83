"""Faults of layout: transposes, orders of axes, rows and units that are not where the code believes them."""

from __future__ import annotations

import dataclasses

import numpy as np

from reference.case import Case
from reference.cells import RNN, Array
from reference.evaluation import Evaluation
from reference.faults.fault import Family, longer_than, with_params, with_rows, with_units

family = Family("layout")


@family.case("Wh transposed", applies=with_units)
def wh_transposed(case: Case) -> Case:
    """Takes Wh as it lies in a framework that multiplies from the other side, without transposing it."""
    return with_params(case, Wh=case.params.Wh.mT)


@family.case("Wx reshaped instead of transposed", applies=with_units)
def wx_reshaped(case: Case) -> Case:
    """Turns a stored (H, D) matrix into (D, H) by reshape, which leaves the numbers in the order of the rows."""
    return with_params(case, Wx=np.ascontiguousarray(case.params.Wx.mT).reshape(case.params.Wx.shape))


@family.cell("inputs and state stacked in different orders")
class Stacked(RNN):
    """Fuses both products into one, but stacks [x, h] and [Wh, Wx]."""

    def drive(self, x: Array) -> Array:
        """Return x itself: the fused product comes in ``advance``."""
        return x

    def advance(self, drive: Array, h_prev: Array) -> Array:
        """Return f of one product of two matrices stacked in different orders."""
        Wx, Wh, *b = self.params
        a = np.concatenate([drive, h_prev], axis=-1) @ np.concatenate([Wh, Wx], axis=-2)
        return self.f(a + b[0] if b else a)


@family.case("units of Wh reversed", applies=with_units)
def rows_of_wh_reversed(case: Case) -> Case:
    """Permutes the hidden units in the rows of Wh and forgets its columns."""
    return with_params(case, Wh=case.params.Wh[..., ::-1, :])


@family.result("hidden units permuted", applies=with_units)
def units_permuted(case: Case, evaluation: Evaluation) -> Evaluation:
    """Gives the hidden units of the output in another order than those of the parameters."""
    return dataclasses.replace(evaluation, hs=np.roll(evaluation.hs, 1, axis=-1))


@family.case("upstream units reversed", applies=with_units)
def upstream_reversed(case: Case) -> Case:
    """Reads the upstream gradient with the hidden units in reverse order."""
    return dataclasses.replace(case, upstream=case.upstream[..., ::-1])


@family.case("batch first read as time first", applies=lambda case: with_rows(case) and longer_than(1)(case))
def batch_first(case: Case) -> Case:
    """Reads memory laid out (T, N, D) as if it were (N, T, D)."""
    *stack, T, N, D = case.xs.shape
    return dataclasses.replace(case, xs=case.xs.reshape(*stack, N, T, D).swapaxes(-3, -2))


@family.result("states flattened in the wrong order", applies=lambda case: with_rows(case) and longer_than(1)(case))
def states_flattened(case: Case, evaluation: Evaluation) -> Evaluation:
    """Writes the states as (N, T, H) into an output that is read as (T, N, H)."""
    return dataclasses.replace(evaluation, hs=evaluation.hs.swapaxes(-3, -2).reshape(evaluation.hs.shape))


@family.case("rows of the inputs rolled", applies=with_rows)
def inputs_rolled(case: Case) -> Case:
    """Is off by one in the batch, so that each row is given its neighbour's inputs."""
    return dataclasses.replace(case, xs=np.roll(case.xs, 1, axis=-2))


@family.cell("Wh not transposed in backward")
class NotTransposed(RNN):
    """Propagates back with A @ Wh where A @ Wh.T belongs."""

    def to_state(self, A: Array) -> Array:
        """Return A @ Wh."""
        return A @ self.params[1]


@family.cell("dx and dh_prev exchanged")
class Exchanged(RNN):
    """Splits the gradient of the fused [x, h] as if it were [h, x]."""

    def both(self, A: Array) -> Array:
        """Return the gradient of the fused [x, h]; shape (..., D + H)."""
        return np.concatenate([super().to_inputs(A), super().to_state(A)], axis=-1)

    def to_inputs(self, A: Array) -> Array:
        """Return the last D columns."""
        return self.both(A)[..., self.H :]

    def to_state(self, A: Array) -> Array:
        """Return the first H columns."""
        return self.both(A)[..., : self.H]


@family.result("dWh transposed", applies=with_units)
def dwh_transposed(case: Case, evaluation: Evaluation) -> Evaluation:
    """Returns A.T @ h_prev, the gradient in the layout of another framework."""
    return dataclasses.replace(evaluation, dWh=evaluation.dWh.mT)


@family.result("dWx reshaped instead of transposed", applies=with_units)
def dwx_reshaped(case: Case, evaluation: Evaluation) -> Evaluation:
    """Reshapes the (H, D) gradient A.T @ x to (D, H) where it has to be transposed."""
    return dataclasses.replace(evaluation, dWx=evaluation.dWx.mT.reshape(evaluation.dWx.shape))
