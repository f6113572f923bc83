"""Faults of layout, of the bias, of the activation and of the state."""

from __future__ import annotations

import dataclasses
from functools import partial
from typing import Any

import numpy as np

from reference.case import Case
from reference.cells import Array
from reference.evaluation import Evaluation
from reference.faults.fault import (
    HALVES,
    fault,
    more,
    picked,
    piecewise,
    scaled,
    with_bias,
    with_params,
    with_relu,
    with_tanh,
)
from reference.layer import Layer, spread
from reference.trial import Subject

replace = dataclasses.replace
KNOTS = np.linspace(-5, 5, 321)


def stacked_otherwise(case: Case) -> Case:
    """Return the case with the rows of Wh and Wx stacked in one order and split in the other."""
    D, both = case.sizes["D"], np.concatenate([case.params.Wh, case.params.Wx], axis=-2)
    return with_params(case, Wx=both[..., :D, :], Wh=both[..., D:, :])


def batch_first(case: Case) -> Case:
    """Return the case with the memory of its inputs read as (N, T, D)."""
    *stack, T, N, D = case.xs.shape
    return replace(case, xs=case.xs.reshape(*stack, N, T, D).swapaxes(-3, -2))


def flattened(case: Case, evaluation: Evaluation) -> Evaluation:
    """Return the evaluation with the memory of its states written as (N, T, H)."""
    return replace(evaluation, hs=evaluation.hs.swapaxes(-3, -2).reshape(evaluation.hs.shape))


def both_gradients(layer: Layer, A: Array) -> Array:
    """Return the gradient of the fused [x, h]; shape (..., D + H)."""
    product = layer.product if A.ndim == layer.Wh.ndim else layer.over_time
    return product(A, np.concatenate([layer.parameters["Wx"], layer.Wh], axis=-2).mT)


def without_bias(layer: Layer, right: Any, xs: Array) -> Array:
    """Return the input term x @ Wx."""
    return layer.over_time(xs, layer.parameters["Wx"])


def bias_after(layer: Layer, right: Any, u: Array, v: Array, states: Any) -> Any:
    """Return f(u + v) + b as the state."""
    (h, *others), saved = right(u, v, states)
    return (h + spread(layer.parameters["b"], h.ndim), *others), saved


def bias_at_even_steps(layer: Layer, right: Any, xs: Array) -> Array:
    """Return the input terms, those of odd steps without the bias."""
    u = right(xs)
    u[..., 1::2, :, :] = without_bias(layer, right, xs)[..., 1::2, :, :]
    return u


def scaled_db(share: float, case: Case, evaluation: Evaluation) -> Evaluation:
    """Return the evaluation with the gradient of the bias multiplied by ``share``."""
    return scaled(evaluation, {"db": evaluation.db}, share)


def db_of_last_step(layer: Layer, right: Any, *arrays: Any) -> dict[str, Array]:
    """Return all gradients of the parameters, but db of the last step."""
    last: dict[str, Array] = picked(np.s_[..., -1:, :, :])(layer, right, *arrays)
    return {**right(*arrays), "b": last["b"]}


def state_kept(run: Subject, case: Case, kept: dict[Any, Any]) -> Evaluation:
    """Start from the last state of the call before, where there was one of the same shape."""
    evaluation = run(replace(case, h0=kept.get(case.h0.shape, case.h0), finite=False))
    kept[case.h0.shape] = evaluation.hs[..., -1, :, :]
    return evaluation


# Tables: a row has the name, the description, the conditions, the precisions that hide it, and the change by hook.
# fmt: off
layout, bias, activation, state = (partial(fault, name) for name in ("layout", "bias", "activation", "state"))
LAYOUT = (
    layout("Wh transposed", "Takes Wh from a framework that multiplies from the other side, as it lies.",
           more(H=1), case=lambda case: with_params(case, Wh=case.params.Wh.mT)),
    layout("Wx reshaped instead of transposed", "Turns a stored (H, D) into (D, H) by reshape, which moves no number.",
           more(H=1), case=lambda case: with_params(case, Wx=case.params.Wx.mT.reshape(case.params.Wx.shape))),
    layout("inputs and state stacked in different orders", "Stacks [x, h], but [Wh, Wx].", case=stacked_otherwise),
    layout("units of Wh reversed", "Permutes the hidden units in the rows of Wh and forgets its columns.",
           more(H=1), case=lambda case: with_params(case, Wh=case.params.Wh[..., ::-1, :])),
    layout("hidden units permuted", "Orders the hidden units of the output otherwise than those of the parameters.",
           more(H=1), result=lambda case, found: replace(found, hs=np.roll(found.hs, 1, axis=-1))),
    layout("upstream units reversed", "Reads the upstream gradient with the hidden units in reverse order.",
           more(H=1), case=lambda case: replace(case, upstream=case.upstream[..., ::-1])),
    layout("batch first read as time first", "Reads memory laid out (T, N, D) as if it were (N, T, D).",
           more(N=1, T=1), case=batch_first),
    layout("states flattened in the wrong order", "Writes the states as (N, T, H) into an output of (T, N, H).",
           more(N=1, T=1), result=flattened),
    layout("rows of the inputs rolled", "Is off by one in the batch: each row is given its neighbour's inputs.",
           more(N=1), case=lambda case: replace(case, xs=np.roll(case.xs, 1, axis=-2))),
    layout("Wh not transposed in backward", "Propagates back with A @ Wh where A @ Wh.T belongs.",
           more(H=1), to_state=lambda layer, right, A: layer.product(A, layer.Wh)),
    layout("dx and dh_prev exchanged", "Splits the gradient of the fused [x, h] as if it were [h, x].",
           to_inputs=lambda layer, right, A: both_gradients(layer, A)[..., layer.H :],
           to_state=lambda layer, right, A: both_gradients(layer, A)[..., : layer.H]),
    layout("dWh transposed", "Returns A.T @ h_prev, the gradient in the layout of another framework.",
           more(H=1), result=lambda case, found: replace(found, dWh=found.dWh.mT)),
    layout("dWx reshaped instead of transposed", "Reshapes the (H, D) gradient A.T @ x to (D, H) without transposing.",
           more(H=1), result=lambda case, found: replace(found, dWx=found.dWx.mT.reshape(found.dWx.shape))),
)
BIAS = (
    bias("bias dropped", "Forgets to add the bias.",
         with_bias, case=lambda case: with_params(case, b=np.zeros_like(case.params.b))),
    bias("bias doubled", "Copies the one bias into both biases of a framework that adds two.",
         with_bias, case=lambda case: with_params(case, b=case.params.b + case.params.b)),
    bias("bias of another unit", "Is off by one in the bias, so that each unit is given its neighbour's.",
         with_bias, more(H=1), case=lambda case: with_params(case, b=np.roll(case.params.b, 1, axis=-1))),
    bias("bias added after the nonlinearity", "Adds the bias to the output of the nonlinearity, not to its argument.",
         with_bias, input_term=without_bias, forward=bias_after),
    bias("bias added at every second step", "Adds the bias in one half of a loop unrolled by two.",
         with_bias, more(T=1), input_term=bias_at_even_steps),
    bias("db missing", "Leaves the gradient of the bias at zero.", with_bias, result=partial(scaled_db, 0)),
    bias("db halved", "Shares the gradient out between two biases, though each of them has all of it.",
         with_bias, result=partial(scaled_db, 0.5)),
    bias("db summed twice", "Adds the gradients of two biases up where there is one bias.",
         with_bias, result=partial(scaled_db, 2)),
    bias("db averaged over N", "Takes the mean over the batch where the sum belongs.",
         with_bias, more(N=1), result=lambda case, found: scaled_db(1 / case.sizes["N"], case, found)),
    bias("db of the last step only", "Sums the bias gradient over the batch of the last step and forgets the others.",
         with_bias, more(T=1), to_parameters=db_of_last_step),
)
ACTIVATION = (
    activation("relu for tanh", "Takes the relu of another configuration, forward and backward.",
               with_tanh, case=lambda case: replace(case, nonlinearity="relu")),
    activation("tanh for relu", "Ignores the nonlinearity of the configuration and takes the default.",
               with_relu, case=lambda case: replace(case, nonlinearity="tanh")),
    activation("hard tanh", "Clips to [-1, 1], as quantised kernels do, and passes gradients unless it clipped.",
               with_tanh, f=lambda layer, right, a: np.clip(a, -1, 1),
               derivative=lambda layer, right, h: np.abs(h) < 1),
    activation("sigmoid for tanh", "Takes the sigmoid that the gates of an LSTM have.",
               with_tanh, f=lambda layer, right, a: (1 + right(a / 2)) / 2,
               derivative=lambda layer, right, h: h * (1 - h)),
    activation("activation forgotten", "Returns a itself as the next state.", f=lambda layer, right, a: a),
    activation("polynomial tanh", "Takes the rational function a (27 + a^2) / (27 + 9 a^2), right to 2 %.",
               with_tanh, f=lambda layer, right, a: np.clip(a * (27 + a * a) / (27 + 9 * a * a), -1, 1)),
    activation("tanh to 1e-4", "Interpolates tanh in a table, which is right to 1e-4.",
               with_tanh, hidden=dict.fromkeys(HALVES, "1e-4 is less than one rounding"),
               f=lambda layer, right, a: np.interp(a, KNOTS, np.tanh(KNOTS)).astype(a.dtype)),
    activation("tanh saturated early", "Returns exactly 1 beyond a = 4, where tanh is still 7e-4 away from it.",
               with_tanh, hidden=dict.fromkeys(HALVES, "beyond 4 a correct tanh may be 1"),
               f=lambda layer, right, a: np.where(np.abs(a) > 4, np.sign(a), right(a))),
)
STATE = (
    state("h0 ignored", "Starts from zeros whatever state it is given.",
          case=lambda case: replace(case, h0=np.zeros_like(case.h0))),
    state("state kept from the last call", "Keeps the state, as a stateful layer does.", calls=state_kept),
    state("h0 of another row", "Leaves the initial states in the old order after sorting the batch.",
          more(N=1), case=lambda case: replace(case, h0=case.h0[..., ::-1, :])),
    state("state of another row", "Reads the state of the row before in the batch, at every step.",
          more(N=1), recurrent_term=lambda layer, right, h: right(np.roll(h, 1, axis=-2))),
    state("h0 of the first row for all", "Broadcasts a single initial state over the batch.",
          more(N=1), case=lambda case: replace(case, h0=np.broadcast_to(case.h0[..., :1, :], case.h0.shape))),
    state("time reversed", "Reads the inputs from the last to the first, as a bidirectional layer also does.",
          more(T=1), case=lambda case: replace(case, xs=case.xs[..., ::-1, :, :])),
    state("inputs one step late", "Feeds x[t-1] at step t, and x[0] twice.", more(T=1), case=lambda case: replace(
        case, xs=case.xs[..., np.maximum(np.arange(case.sizes["T"]) - 1, 0), :, :])),
    state("h0 used at every step", "Passes h0 in the loop where the last state belongs.",
          more(T=1), calls=lambda run, case, kept: piecewise(run, case, 1, carry=False)),
    state("state reset after 4 steps", "Cuts the sequence into windows of 4 steps and starts each of them from h0.",
          more(T=4), calls=lambda run, case, kept: piecewise(run, case, 4, carry=False)),
)
