"""Faults of the derivative, of backpropagation through time, and of the gradients of the parameters."""

from __future__ import annotations

from functools import partial
from typing import Any

import numpy as np

from reference.case import Case
from reference.cells import Array
from reference.evaluation import Evaluation
from reference.faults.fault import (
    HALVES,
    averaged,
    fault,
    given,
    last_step,
    more,
    picked,
    pieces,
    returned,
    rolled,
    weights,
    with_relu,
    with_tanh,
)
from reference.layer import Layer
from reference.precision_loss import chop
from reference.trial import Subject


def saving_argument(layer: Layer, right: Any, u: Array, v: Array, states: Any) -> Any:
    """Return the states after the step, with a = u + v saved for ``backward``."""
    return right(u, v, states)[0], (u + v,)


def saved_before(layer: Layer, hs: Array, xs: Array, before: Array, saved: Any) -> Any:
    """Return the tape with h[t-1] instead of the h[t] that each step saved."""
    steps = enumerate(saved)
    return xs, before, [layer.cell.observed(kept, before[..., t, :, :]) for t, kept in steps]


def without_first(array: Array) -> Array:
    """Return an array (..., T, N, H) with zeros at the first step."""
    return np.concatenate([np.zeros_like(array[..., :1, :, :]), array[..., 1:, :, :]], axis=-3)


def zeros_before(layer: Layer, hs: Array, xs: Array, before: Array, saved: Any) -> Any:
    """Return the tape with zeros as the state before the first step."""
    return xs, without_first(before), saved


def one_product_short(layer: Layer, right: Any, *given: Any) -> Any:
    """Return the gradients at the pre-activations, and A[0] as the gradient of h0."""
    A, A_h, first = right(*given)
    return A, A_h, (A_h[..., 0, :, :], *first[1:])


def detached(layer: Layer, right: Any, *given: Any) -> Any:
    """Return the gradients at the pre-activations, with zeros for the first step and for the initial states."""
    *each, first = right(*given)
    A, A_h = (without_first(array) for array in each)
    return A, A_h, tuple(map(np.zeros_like, first))


def accumulated(run: Subject, case: Case, kept: dict[Any, Any]) -> Evaluation:
    """Add the weight gradients of the previous call with the same shapes, if there was one."""
    evaluation = run(case)
    shape = evaluation.dWx.shape
    found = {name: array for name, array in weights(case, evaluation).items() if array.ndim > case.h0.ndim - 1}
    kept[shape] = {name: array + kept[shape][name] if shape in kept else array for name, array in found.items()}
    return evaluation.replacing(**kept[shape])


# The columns of the tables are name, description, conditions, precisions that hide the fault, and changes by hook.
# fmt: off
derivative, bptt, weight = (partial(fault, name) for name in ("derivative", "bptt", "weights"))
DERIVATIVE = (
    derivative("derivative 1 - h", "Forgets the square.", with_tanh, derivative=lambda layer, right, h: 1 - h),
    derivative("derivative h - h**2", "Takes the sigmoid's derivative h * (1 - h) with the right forward.",
               with_tanh, derivative=lambda layer, right, h: h * (1 - h)),
    derivative("derivative of a instead of h", "Computes 1 - a**2; the formula 1 - h**2 needs h = tanh(a).",
               with_tanh, forward=saving_argument),
    derivative("derivative applied twice", "Takes 1 - h**2 of tanh(h), although h is already tanh(a).",
               with_tanh, derivative=lambda layer, right, h: right(layer.cell.f(h))),
    derivative("derivative forgotten", "Uses the gradient of h as the gradient of a.", derivative=lambda *_: 1),
    derivative("derivative of the step before", "Takes f' at h[t-1] instead of h[t].", tape=saved_before),
    derivative("derivative rounded to 11 bits", "Keeps the derivative in half precision from forward to backward.",
               with_tanh, hidden=dict.fromkeys(HALVES, "it has no more than 11 bits"),
               derivative=lambda layer, right, h: chop(right(h), 11)),
    derivative("relu'(0) = 1", "Tests a >= 0 for the derivative of relu, so that it is 1 at 0.",
               with_relu, forward=saving_argument, derivative=lambda layer, right, a: a >= 0),
    derivative("relu's derivative of h >= 0", "Tests h >= 0, which is true of every h that relu returns.",
               with_relu, derivative=lambda layer, right, h: h >= 0),
)
BPTT = (
    bptt("BPTT truncated at 3", "Detaches the state after every third step.", more(T=3), calls=pieces(3, carry=True)),
    bptt("no BPTT", "Detaches the state after every step.", more(T=1), calls=pieces(1, carry=True)),
    bptt("h0 detached", "Leaves h0 out of the graph.", result=returned("dh0", np.zeros_like)),
    bptt("dh0 one product short", "Returns A[0] as dh0, not A[0] @ Wh.T.", adjoints=one_product_short),
    bptt("upstream of the last step only", "Ignores all other steps.", more(T=1), case=given("upstream", last_step)),
    bptt("upstream of the last step twice", "Starts from the last upstream gradient and adds it again in the loop.",
         case=given("upstream", lambda upstream: upstream + last_step(upstream))),
    bptt("upstream one step late", "Pairs dLoss/dh[t] with step t + 1.", more(T=1), case=given("upstream", rolled(-3))),
    bptt("recurrent gradient replaces upstream", "Assigns the gradient from the step after, without adding upstream.",
         more(T=1), adjoints=lambda layer, right, upstream, *rest: right(last_step(upstream), *rest)),
    bptt("gradient stops at the first step", "Computes the first step outside the graph.", adjoints=detached),
    bptt("gradients grow from call to call", "Adds to the weight gradients of the previous call.", calls=accumulated),
)
WEIGHTS = (
    weight("h[t] for h[t-1] in dWh", "Multiplies A[t] by the state after the step, not by the one before.",
           tape=lambda layer, hs, xs, before, saved: (xs, hs, saved)),
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
