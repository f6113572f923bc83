"""The certificate: hold an implementation's outputs to the bound, step by step from its own states."""

from __future__ import annotations

import types
from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from reference.archive import spell
from reference.case import Case
from reference.cells import RNN, Array
from reference.evaluation import Evaluation
from reference.precision import Precision
from reference.rounding import POINTWISE, Bounded
from reference.sequence import adjoints, evaluate_arrays, lift, rows, steps, unpacked
from reference.tangent import Dual, value_of
from reference.verdict import QUANTITIES, Judged, Verdict


def certify(case: Case, evaluation: Evaluation, precision: Precision) -> Verdict:
    """Judge an evaluation of a case, or of a stack, against what correct arithmetic in ``precision`` may return.

    Each step is held to one step of the oracle taken from the evaluation's own neighbouring values, so that errors
    do not pile up over time and the bound at T = 1000 is the bound of one step:

        h[t]   from h[t-1]                    A[t] from A[t+1] and h[t]      (A: the last H columns of dx, by the probe)
        dx[t], dh0 from A[t], A[0]            dWx, dWh, db from all x, h, A, in any order of summation

    If every local relation holds, the whole run is right. Without a probe, A comes from the bounded recursion over
    the steps, which is as good for T = 1 and soon says nothing for more.

    Args:
        case: one case or a stack, probed or not, of the dtype that ``precision`` names.
        evaluation: what the implementation returned for this very case; hs is needed, a gradient may be None.
        precision: the model of the arithmetic, with the implementation's accuracy of tanh.

    Returns:
        The verdict: "fail" if an element is outside its bound or not finite where the oracle is; else
        "inconclusive" if for some quantity the median bound is wider than a tenth of the value's scale, as it is
        where finite inputs lead beyond the largest number of the format; else "pass".

    Raises:
        TypeError: the case or the evaluation is of another dtype than ``precision`` names.
        ValueError: an array of the evaluation is missing or of the wrong shape, or the stack is empty.

    Source: derived in the README, section "A thousand steps, checked at the accuracy of one".
    """
    if case.dtype != precision.name:
        raise TypeError(f"certify: expected a case of dtype {precision.name}, got {case.dtype} ({spell(case.sizes)})")
    if case.K == 0:
        raise ValueError(f"certify: expected at least one case, got a stack of 0 ({spell(case.sizes)})")
    got = _expect_fields(case, evaluation)
    want = _step_by_step(case, evaluation, precision)
    met = None if case.finite else _met_by_infinity(case)
    judged = {}
    for field, name in QUANTITIES.items():
        if field in got:
            beside_nan = field == "dxs" and _beside_nan(case, want[field])
            untold = met is not None and _untold(met, field.removesuffix("_dot"))
            judged[name] = Judged(got[field], want[field].sealed(), beside_nan, untold, case.finite, case.K is not None)
    return Verdict(case, evaluation, precision, judged, certify)


def enclose(case: Case, precision: Precision) -> Evaluation:
    """Bound what correct arithmetic may return for a whole run, from its inputs alone.

    Unlike in ``certify`` errors pile up over the steps, so that it says much for a few and little for many; but it
    needs nothing that an implementation returned.

    Args:
        case: one case or a stack, with a direction or without.
        precision: the model of the arithmetic.

    Returns:
        The evaluation, each field a ``Bounded``: the oracle's values and bounds on the distance from them.
    """
    model = precision.storing(case.sizes["T"])
    arrays = lift(case, lambda array: Bounded.exact(array, model), moves=case.direction is not None)
    with np.errstate(all="ignore"):
        return unpacked(evaluate_arrays(**arrays, f=case.nonlinearity))


def _expect_fields(case: Case, evaluation: Evaluation) -> dict[str, NDArray[np.float64]]:
    """Return the offered arrays by field, held to the shapes and the dtype of the case, in float64."""
    like = {"hs": case.upstream, "dxs": case.xs, "dh0": case.h0}
    like |= {f"d{name}": array for name, array in case.params.fields().items() if array is not None}
    if case.direction is not None:
        like |= {f"{name}_dot": array for name, array in like.items()}
    sizes = spell(case.sizes)
    if evaluation.hs is None:
        raise ValueError(f"certify: expected hs of shape {case.upstream.shape}, got None ({sizes})")
    got = {name: array for name, array in evaluation.fields().items() if array is not None}
    for name, array in got.items():
        if name not in like:
            why = "case without a direction" if name.endswith("_dot") else "cell without bias"
            raise ValueError(f"certify: expected no {name} for a {why}, got {np.shape(array)} ({sizes})")
        if not isinstance(array, np.ndarray) or array.dtype != case.xs.dtype:
            kind = array.dtype if isinstance(array, np.ndarray) else type(array).__name__
            raise TypeError(f"certify: expected {name} as an array of {case.dtype}, got {kind} ({sizes})")
        if array.shape != like[name].shape:
            raise ValueError(f"certify: expected {name} of shape {like[name].shape}, got {array.shape} ({sizes})")
    return {name: array.astype(np.float64) for name, array in got.items()}


def _step_by_step(case: Case, evaluation: Evaluation, precision: Precision) -> dict[str, Bounded]:
    """Return each quantity with its bound, from the evaluation's own states: all T * N rows are one batch."""
    with np.errstate(all="ignore"):
        want = _forward(case.unprobed(), evaluation, precision)
        if any(name.startswith("d") and array is not None for name, array in evaluation.fields().items()):
            want |= _backward(case, evaluation, precision, want)
    return want


def _forward(case: Case, evaluation: Evaluation, precision: Precision) -> dict[str, Bounded]:
    """Return the states, and how they move, each from the ones before it."""
    T, N = case.sizes["T"], case.sizes["N"]
    moves = evaluation.hs_dot is not None
    # The sum that moves has twice the products.
    model = precision.storing(2) if moves else precision
    exact = lift(case, lambda array: Bounded.exact(array, model), moves=moves)
    cell = RNN(exact["Wx"], exact["Wh"], exact["b"], case.nonlinearity)
    a = cell.activate(cell.drive(rows(exact["xs"])), rows(_before(exact["h0"], evaluation, precision)))
    want = {"hs": steps(cell.f(value_of(a)), T, N)}
    if moves:
        h = Bounded.activated(rows(evaluation.hs), precision, case.nonlinearity)
        want["hs_dot"] = steps(cell.adjoint(a.tangent, h), T, N)
    return want


def _before(
    h0: Array, evaluation: Evaluation, precision: Precision, want: Mapping[str, Bounded] = types.MappingProxyType({})
) -> Array:
    """Return the state before each step, as observed: h0 and all states but the last."""
    hs: Array = _seen_state("hs", evaluation, precision, want)
    if isinstance(h0, Dual):
        hs = Dual(hs, _seen_state("hs_dot", evaluation, precision, want))
    return np.concatenate([h0[..., None, :, :], hs], axis=-3)[..., :-1, :, :]


def _seen_state(name: str, evaluation: Evaluation, precision: Precision, want: Mapping[str, Bounded]) -> Bounded:
    """Return states, or how they move, as observed; where just zero is wanted, it is that: a closed relu's."""
    seen = Bounded.observed(getattr(evaluation, name), precision)
    if name in want:
        seen.error = np.where((want[name].value == 0) & (want[name].error == 0), 0.0, seen.error)
    return seen


def _backward(
    case: Case, evaluation: Evaluation, precision: Precision, forward: dict[str, Bounded]
) -> dict[str, Bounded]:
    """Return the gradients, and how they move, each from A of the step after it."""
    T, N, D = (case.unprobed().sizes[name] for name in "TND")
    hs_dot = forward.get("hs_dot")
    moves = hs_dot is not None and evaluation.dxs_dot is not None
    plain = lift(case.unprobed(), lambda array: Bounded.exact(array, precision), moves=moves)
    cell = RNN(plain["Wx"], plain["Wh"], plain["b"], case.nonlinearity)
    h: Array = Bounded.activated(evaluation.hs, precision, case.nonlinearity)
    if hs_dot is not None and moves:
        h = _moving(h, evaluation, hs_dot, case.nonlinearity)
    upstream = plain["upstream"]
    if case.is_probed and evaluation.dxs is not None:
        A: Array = _adjoints_seen(case, evaluation.hs, evaluation.dxs[..., D:], precision)
        if moves:
            A = Dual(A, _adjoints_seen(case, evaluation.hs, evaluation.dxs_dot[..., D:], precision))
            # A second derivative may be taken anew wherever it is used, and cancels: it is known to its own bound.
            A = Dual(A.value, A.tangent.known_to(_one_step_back(cell, A, h, upstream).tangent))
        probe = [_one_step_back(cell, A, h, upstream)]
    else:
        A, probe = adjoints(cell, h, upstream), []
    dxs = np.concatenate([steps(cell.to_inputs(rows(A)), T, N), *probe], axis=-1)
    dh0 = cell.to_state(A[..., 0, :, :]) if T else np.zeros_like(plain["h0"])
    # Where the accumulator is wider than the storage, frameworks still add the steps' shares up in storage.
    model = precision.storing(2 * T if moves else T)
    h_prev = _before(plain["h0"], evaluation, precision, forward)
    # The probe's columns of x are zero, and its rows of dWx are held to exactly that.
    xs = np.concatenate([plain["xs"], np.zeros_like(upstream)], axis=-1) if case.is_probed else plain["xs"]
    arrays = (rows(array).under(model) for array in (A, xs, h_prev))
    dWx, dWh, *db = cell.to_params(*arrays)
    flat = [gradient.reshape(case.h0.shape[:-2] + case.h0.shape[-1:]) for gradient in db]
    gradients = unpacked(Evaluation(None, dxs, dh0, dWx, dWh, *flat)).fields()
    return {name: array for name, array in gradients.items() if array is not None}


def _one_step_back(cell: RNN, A: Array, h: Array, upstream: Array) -> Array:
    """Return what A is by one step back from the A of the step after it."""
    T, N = upstream.shape[-3:-1]
    later = steps(cell.to_state(rows(A[..., 1:, :, :])), max(T - 1, 0), N)
    dh = np.concatenate([upstream[..., :-1, :, :] + later, upstream[..., -1:, :, :]], axis=-3)
    return cell.adjoint(dh, h)


def _moving(h: Bounded, evaluation: Evaluation, hs_dot: Bounded, nonlinearity: str) -> Dual:
    """Return the states with how they move, as second derivatives see them.

    Whoever differentiates twice may take the derivative of a state anew, as well as one that was returned. And tanh's
    slope in its form (1 - h) * (1 + h) moves by (1 - h) * h_dot - (1 + h) * h_dot, two terms that cancel: their seven
    roundings are relative to 2 * h_dot, as an h that is off by so many makes it, not to 2 * h * h_dot.
    """
    model = h.precision
    moved = Bounded.observed(evaluation.hs_dot, model)
    slope = h if nonlinearity == "relu" else Bounded(h.value, model, h.error + (POINTWISE + 1) * model.u, 1.0)
    return Dual(slope, moved.known_to(hs_dot))


def _adjoints_seen(case: Case, hs: NDArray[Any], A: NDArray[Any], precision: Precision) -> Bounded:
    """Return the gradients at a as observed.

    What no upstream gradient reaches, or relu does not let through, is zero, and not a number that underflowed.
    """
    seen = Bounded.observed(A, precision)
    open_ = (hs != 0) | (case.nonlinearity != "relu")
    own = (case.upstream != 0) & open_
    # On its way back, the gradient of a row gets as far as the next step at which no unit of it is open.
    reached = _next(own.any(axis=-1, keepdims=True)) < _next(~open_.any(axis=-1, keepdims=True))
    # A later step's gradient reaches all units, a step's own the units it is for.
    later = np.concatenate([reached[..., 1:, :, :], np.zeros_like(reached[..., :1, :, :])], axis=-3)
    seen.error = np.where((own | later) & open_, seen.error, 0.0)
    return seen


def _next(flags: NDArray[np.bool_]) -> NDArray[np.intp]:
    """Return, for every step, the first from it on that has the flag, T if none has; flags (..., T, N, 1)."""
    T = flags.shape[-3]
    found = np.where(flags, np.arange(T)[:, None, None], T)
    return np.minimum.accumulate(found[..., ::-1, :, :], axis=-3)[..., ::-1, :, :]


def _met_by_infinity(case: Case) -> NDArray[np.bool_]:
    """Return which rows of the batch meet an infinity, of relu also NaN; shape (..., N).

    What becomes of one in backward is a matter of the form: (g + g * h) * (1 - h) is NaN where g * (1 - h * h) is
    infinite, and a derivative that underflows, times infinity, is infinite or NaN. Behind a relu at NaN, who multiplies
    by its derivative has NaN and who selects has 0.
    """
    loose = np.isinf if case.nonlinearity == "tanh" else lambda array: ~np.isfinite(array)
    met: NDArray[np.bool_] = np.asarray(loose(case.h0).any(axis=-1))
    for array in (case.xs, case.upstream):
        met |= loose(array).any(axis=(-3, -1))
    for name, array in case.params.fields().items():
        if array is not None:
            met |= loose(array).any(axis=-1 if name == "b" else (-2, -1))[..., None]
    return met


def _untold(met: NDArray[np.bool_], field: str) -> NDArray[np.bool_] | bool:
    """Return of which elements nothing can be told, where these rows meet an infinity; of the states all is told."""
    any_ = np.asarray(met.any(axis=-1))
    places: dict[str, NDArray[np.bool_] | bool] = {
        "hs": False,
        "dxs": met[..., None, :, None],
        "dh0": met[..., None],
        "db": any_[..., None],
    }
    return places.get(field, any_[..., None, None])


def _beside_nan(case: Case, dxs: Bounded) -> NDArray[np.bool_]:
    """Return where dx may be NaN beside one: in the probe's columns of a row of A, since 0 * NaN is NaN."""
    A = np.arange(case.sizes["D"]) >= case.unprobed().sizes["D"]
    broken = ~np.isfinite(dxs.value) & A
    return np.asarray(broken.any(axis=-1, keepdims=True) & A)
