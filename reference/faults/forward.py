"""Faults of layout, of the bias, of the activation and of the state."""

from __future__ import annotations

from functools import partial
from typing import Any

import numpy as np

from reference.case import Case
from reference.cells import Array
from reference.evaluation import Evaluation
from reference.faults.fault import (
    HALVES,
    fault,
    flipped,
    given,
    more,
    picked,
    reshaped,
    returned,
    rolled,
    times,
    transposed,
    with_bias,
    with_relu,
    with_tanh,
)
from reference.faults.pieces import pieces
from reference.layer import Layer, spread
from reference.trial import Subject

KNOTS = np.linspace(-5, 5, 321)


def stacked_otherwise(case: Case) -> Case:
    """Return the case with the rows of Wh and Wx stacked in one order and split in the opposite order."""
    D, both = case.sizes["D"], np.concatenate([case.params.Wh, case.params.Wx], axis=-2)
    return case.replacing(Wx=both[..., :D, :], Wh=both[..., D:, :])


def batch_first(case: Case) -> Case:
    """Return the case with the memory of its inputs read as (N, T, D)."""
    *stack, T, N, D = case.xs.shape
    return case.replacing(xs=case.xs.reshape(*stack, N, T, D).swapaxes(-3, -2))


def flattened(hs: Array) -> Array:
    """Return states with their memory written as (N, T, H)."""
    return hs.swapaxes(-3, -2).reshape(hs.shape)


def both_gradients(layer: Layer, A: Array) -> Array:
    """Return the gradient of the concatenation [x, h]; shape (..., D + H)."""
    return layer.times(A, np.concatenate([layer.parameters["Wx"], layer.Wh], axis=-2).mT)


def without_bias(layer: Layer, right: Any, xs: Array) -> Array:
    """Return the input term x @ Wx."""
    return layer.times(xs, layer.parameters["Wx"])


def bias_after(layer: Layer, right: Any, u: Array, v: Array, states: Any) -> Any:
    """Return f(u + v) + b as the state."""
    (h, *others), saved = right(u, v, states)
    return (h + spread(layer.parameters["b"], h.ndim), *others), saved


def residual(layer: Layer, right: Any, u: Array, v: Array, states: Any) -> Any:
    """Return f(u + v) + h_prev as the state, with the right derivative of f and no gradient of the connection."""
    (h,), saved = right(u, v, states)
    return (h + states[0],), saved


def leaky(layer: Layer, right: Any, u: Array, v: Array, states: Any) -> Any:
    """Return the mean of f(u + v) and h_prev as the state, with the derivative of f alone."""
    (h,), saved = right(u, v, states)
    half = h.dtype.type(0.5)
    return (h * half + states[0] * half,), saved


def bias_at_even_steps(layer: Layer, right: Any, xs: Array) -> Array:
    """Return the input terms; at odd steps, the bias is missing."""
    u = right(xs)
    u[..., 1::2, :, :] = without_bias(layer, right, xs)[..., 1::2, :, :]
    return u


def db_of_last_step(layer: Layer, right: Any, *arrays: Any) -> dict[str, Array]:
    """Return the gradients of the parameters, with db from the last step only."""
    last: dict[str, Array] = picked(np.s_[..., -1:, :, :])(layer, right, *arrays)
    return {**right(*arrays), "b": last["b"]}


def state_kept(run: Subject, case: Case, kept: dict[Any, Any]) -> Evaluation:
    """Start from the last state of the previous call with the same shape, if there was one."""
    evaluation = run(case.replacing(h0=kept.get(case.h0.shape, case.h0), finite=False))
    kept[case.h0.shape] = evaluation.hs[..., -1, :, :]
    return evaluation


# The columns of the tables are name, description, conditions, precisions that hide the fault, and changes by hook.
# fmt: off
layout, bias, activation, state = (partial(fault, name) for name in ("layout", "bias", "activation", "state"))
LAYOUT = (
    layout("Wh transposed", "Uses an (out, in) Wh without transposing.", more(H=1), case=given("Wh", transposed)),
    layout("Wh kept transposed", "Takes Wh and returns dWh in the layout (out, in).",
           more(H=1), case=given("Wh", transposed), result=returned("dWh", transposed)),
    layout("Wx reshaped instead of transposed", "Reshapes (H, D) to (D, H).", more(H=1), case=given("Wx", reshaped)),
    layout("inputs and state stacked in different orders", "Stacks [x, h], but [Wh, Wx].", case=stacked_otherwise),
    layout("units of Wh reversed", "Permutes the rows of Wh alone.", more(H=1), case=given("Wh", flipped(-2))),
    layout("hidden units permuted", "Returns units in another order.", more(H=1), result=returned("hs", rolled(-1))),
    layout("upstream units reversed", "Reads the units in reverse.", more(H=1), case=given("upstream", flipped(-1))),
    layout("batch first read as time first", "Reads (T, N, D) as (N, T, D).", more(N=1, T=1), case=batch_first),
    layout("upstream read as contiguous", "Reads the memory of a transposed upstream gradient as (T, N, H).",
           more(N=1, T=1), case=lambda case: case.replacing(upstream=flattened(case.upstream))),
    layout("states flattened in the wrong order", "Writes the states as (N, T, H) into an output of (T, N, H).",
           more(N=1, T=1), result=returned("hs", flattened)),
    layout("rows of the inputs rolled", "Is off by one in the batch.", more(N=1), case=given("xs", rolled(-2))),
    layout("Wh not transposed in backward", "Propagates back with A @ Wh where A @ Wh.T belongs.",
           more(H=1), to_state=lambda layer, right, A: layer.product(A, layer.Wh)),
    layout("dx and dh_prev exchanged", "Splits the gradient of the concatenation [x, h] as if it were [h, x].",
           to_inputs=lambda layer, right, A: both_gradients(layer, A)[..., layer.H :],
           to_state=lambda layer, right, A: both_gradients(layer, A)[..., : layer.H]),
    layout("dWh transposed", "Returns A.T @ h_prev, the gradient in the layout of another framework.",
           more(H=1), result=returned("dWh", transposed)),
    layout("dWx reshaped instead of transposed", "Reshapes A.T @ x.", more(H=1), result=returned("dWx", reshaped)),
)
BIAS = (
    bias("bias dropped", "Forgets to add the bias.", with_bias, case=given("b", np.zeros_like)),
    bias("bias doubled", "Copies the bias into both biases.", with_bias, case=given("b", lambda b: b + b)),
    bias("bias of another unit", "Is off by one in the bias.", with_bias, more(H=1), case=given("b", rolled(-1))),
    bias("bias added after the nonlinearity", "Adds the bias to the output of the nonlinearity, not to its argument.",
         with_bias, input_term=without_bias, forward=bias_after),
    bias("bias added at every second step", "Adds the bias in one half of a loop unrolled by two.",
         with_bias, more(T=1), input_term=bias_at_even_steps),
    bias("db missing", "Leaves the gradient of the bias at zero.", with_bias, result=returned("db", times(0))),
    bias("db halved", "Splits the gradient between two biases.", with_bias, result=returned("db", times(0.5))),
    bias("db summed twice", "Adds up the gradients of two biases.", with_bias, result=returned("db", times(2))),
    bias("db averaged over N", "Takes the mean over the batch instead of the sum.", with_bias, more(N=1),
         result=lambda case, found: found.replacing(db=times(1 / case.sizes["N"])(found.db))),
    bias("db of the last step only", "Ignores other steps.", with_bias, more(T=1), to_parameters=db_of_last_step),
)
ACTIVATION = (
    activation("relu for tanh", "Uses another nonlinearity.", with_tanh, case=given("nonlinearity", lambda _: "relu")),
    activation("tanh for relu", "Uses the default.", with_relu, case=given("nonlinearity", lambda _: "tanh")),
    activation("hard tanh", "Clips to [-1, 1], and passes the gradient of every unit that is not clipped.", with_tanh,
               f=lambda layer, right, a: np.clip(a, -1, 1), derivative=lambda layer, right, h: np.abs(h) < 1),
    activation("sigmoid for tanh", "Uses the sigmoid, as the gates of an LSTM do.", with_tanh,
               f=lambda layer, right, a: (1 + right(a / 2)) / 2, derivative=lambda layer, right, h: h * (1 - h)),
    activation("activation twice", "Applies the nonlinearity to its own result.", with_tanh,
               f=lambda layer, right, a: right(right(a))),
    activation("softsign for tanh", "Uses a / (1 + |a|).", with_tanh,
               f=lambda layer, right, a: a / (1 + np.abs(a)), derivative=lambda layer, right, h: (1 - np.abs(h)) ** 2),
    activation("activation forgotten", "Returns a itself as the next state.", f=lambda layer, right, a: a),
    activation("polynomial tanh", "Uses the rational function a (27 + a^2) / (27 + 9 a^2), right to 2 %.",
               with_tanh, f=lambda layer, right, a: np.clip(a * (27 + a * a) / (27 + 9 * a * a), -1, 1)),
    activation("tanh to 1e-4", "Interpolates tanh in a table with an error of 1e-4.",
               with_tanh, hidden=dict.fromkeys(HALVES, "1e-4 is less than one rounding"),
               f=lambda layer, right, a: np.interp(a, KNOTS, np.tanh(KNOTS)).astype(a.dtype)),
    activation("tanh saturated early", "Returns exactly 1 beyond a = 4, although 1 - tanh(4) is 7e-4.",
               with_tanh, hidden=dict.fromkeys(HALVES, "a correct tanh may be 1 beyond 4"),
               f=lambda layer, right, a: np.where(np.abs(a) > 4, np.sign(a), right(a))),
)
STATE = (
    state("h0 ignored", "Starts from zeros for every h0.", case=given("h0", np.zeros_like)),
    state("state kept from the last call", "Keeps the state, as a stateful layer does.", calls=state_kept),
    state("h0 of another row", "Sorts the batch, but not h0.", more(N=1), case=given("h0", flipped(-2))),
    state("state of another row", "Reads the state of the previous row of the batch, at every step.",
          more(N=1), recurrent_term=lambda layer, right, h: right(np.roll(h, 1, axis=-2))),
    state("h0 of the first row for all", "Broadcasts a single initial state over the batch.",
          more(N=1), case=given("h0", lambda h0: np.broadcast_to(h0[..., :1, :], h0.shape))),
    state("time reversed", "Reads the inputs from the last to the first.", more(T=1), case=given("xs", flipped(-3))),
    state("inputs one step late", "Feeds x[t-1] at step t, and x[0] twice.",
          more(T=1), case=given("xs", lambda xs: np.concatenate([xs[..., :1, :, :], xs[..., :-1, :, :]], axis=-3))),
    state("h0 used at every step", "Passes h0 instead of the last state.", more(T=1), calls=pieces(1, carry=False)),
    state("state before the step returned", "Returns the state before each step, h0 first.",
          result=lambda case, found: found.replacing(
              hs=np.concatenate([case.h0[..., None, :, :], found.hs[..., :-1, :, :]], axis=-3))),
    state("state added to the next", "Has a residual connection: h[t] = h[t-1] + f(a).", forward=residual),
    state("half of the state kept", "Returns the mean of h[t-1] and f(a), as a leaky unit does.", forward=leaky),
    state("state reset after 4 steps", "Starts every 4 steps from h0.", more(T=4), calls=pieces(4, carry=False)),
)
