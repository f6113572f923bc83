"""Faults of the derivative, and of the gradients of the parameters."""

from __future__ import annotations

from functools import partial
from typing import Any

import numpy as np

from reference.cells import Array
from reference.faults.bptt import without_first
from reference.faults.fault import HALVES, averaged, fault, more, picked, with_relu, with_tanh
from reference.layer import Layer
from reference.precision_loss import chop


def saving_argument(layer: Layer, right: Any, u: Array, v: Array, states: Any) -> Any:
    """Return the states after the step, with a = u + v saved for ``backward``."""
    return right(u, v, states)[0], (u + v,)


def saved_before(layer: Layer, hs: Array, xs: Array, before: Array, saved: Any) -> Any:
    """Return the tape with h[t-1] instead of the h[t] that each step saved."""
    steps = enumerate(saved)
    return xs, before, [layer.cell.observed(kept, before[..., t, :, :]) for t, kept in steps]


def zeros_before(layer: Layer, hs: Array, xs: Array, before: Array, saved: Any) -> Any:
    """Return the tape with zeros as the state before the first step."""
    return xs, without_first(before), saved


def overwritten(layer: Layer, right: Any, A: Array, A_h: Array, xs: Array, before: Array, *operand: Any) -> Any:
    """Return the gradients of the parameters, with A in the place of the states that backward wrote it over."""
    return right(A, A_h, xs, np.concatenate([before[..., :1, :, :], A[..., :-1, :, :]], axis=-3), *operand)


# The columns of the tables are name, description, conditions, precisions that hide the fault, and changes by hook.
# fmt: off
derivative, weight = (partial(fault, name) for name in ("derivative", "weights"))
DERIVATIVE = (
    derivative("derivative 1 - h", "Forgets the square.", with_tanh, derivative=lambda layer, right, h: 1 - h),
    derivative("derivative h - h**2", "Takes the sigmoid's derivative h * (1 - h) with the right forward.",
               with_tanh, derivative=lambda layer, right, h: h * (1 - h)),
    derivative("derivative of a instead of h", "Computes 1 - a**2; the formula 1 - h**2 needs h = tanh(a).",
               with_tanh, forward=saving_argument),
    derivative("derivative applied twice", "Takes 1 - h**2 of tanh(h), although h is already tanh(a).",
               with_tanh, derivative=lambda layer, right, h: right(layer.cell.f(h))),
    derivative("derivative forgotten", "Uses the gradient of h as the gradient of a.", derivative=lambda *_: 1),
    derivative("derivative assigned", "Assigns f' to the gradient of a, and does not multiply by the gradient of h.",
               backward=lambda layer, right, d, saved: (right((np.ones_like(d[0]),), saved)[0], (None,))),
    derivative("derivative of the step before", "Takes f' at h[t-1] instead of h[t].", tape=saved_before),
    derivative("derivative rounded to 11 bits", "Keeps the derivative in half precision from forward to backward.",
               with_tanh, hidden=dict.fromkeys(HALVES, "it has no more than 11 bits"),
               derivative=lambda layer, right, h: chop(right(h), 11)),
    derivative("relu'(0) = 1", "Tests a >= 0 for the derivative of relu, so that it is 1 at 0.",
               with_relu, forward=saving_argument, derivative=lambda layer, right, a: a >= 0),
    derivative("relu's derivative of h >= 0", "Tests h >= 0, which is true of every h that relu returns.",
               with_relu, derivative=lambda layer, right, h: h >= 0),
)
WEIGHTS = (
    weight("h[t] for h[t-1] in dWh", "Multiplies A[t] by the state after the step, not by the one before.",
           tape=lambda layer, hs, xs, before, saved: (xs, hs, saved)),
    weight("states overwritten in backward", "Writes A over the saved states, and takes dWh from them.",
           more(T=1), to_parameters=overwritten),
    weight("x[t-1] for x[t] in dWx", "Is off by one in the stored inputs.", more(T=1),
           tape=lambda layer, hs, xs, before, saved: (np.roll(xs, 1, axis=-3), before, saved)),
    weight("h0 missing in dWh", "Uses zeros as the state before the first step in dWh.", tape=zeros_before),
    weight("averaged over N", "Divides the gradients by the size of the batch.", more(N=1), result=averaged("N")),
    weight("averaged over T", "Divides the gradients by the number of steps.", more(T=1), result=averaged("T")),
    weight("last row of the batch missing", "Ends the loop over the batch one row early.",
           to_parameters=picked(np.s_[..., :, :-1, :])),
    weight("step 0 missing", "Ends the backward loop before the gradients of step 0 are added.",
           to_parameters=picked(np.s_[..., 1:, :, :])),
    weight("overwritten instead of accumulated", "Assigns the weight gradients at each step; step 0 comes last.",
           more(T=1), to_parameters=picked(np.s_[..., :1, :, :])),
    weight("last step only", "Takes the last step alone.", more(T=1), to_parameters=picked(np.s_[..., -1:, :, :])),
)
