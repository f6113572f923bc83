"""The certificate: compare an implementation's numbers with the oracle's, step by step from its own neighbouring values."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from reference.archive import spell
from reference.bounded import Bounded
from reference.case import Case
from reference.cells import Array
from reference.comparison import Comparison, Tally
from reference.evaluation import Evaluation
from reference.layer import Layer, evaluate_in
from reference.masks import beside_nan, met_by_infinity, opened, shut, sure_of_zeros, undetermined
from reference.precision import Precision
from reference.verdict import QUANTITIES, Verdict

# Elements of an array of a chunk: what is computed of a chunk one after the other stays in the cache of a core.
CHUNK = 2**16
# Steps over which tangents and second derivatives are enclosed; beyond that the bounds grow too wide.
LONGEST_DIRECTION = 8


def certify(case: Case, evaluation: Evaluation, precision: Precision) -> Verdict:
    """Judge an evaluation of a case, or of a stack, against what correct arithmetic in ``precision`` may return.

    Each step is compared with one step of the oracle from the evaluation's own neighbouring values, so that errors
    do not pile up over time and the bound at T = 1000 is the bound of one step:

        h[t]   from h[t-1]                    A[t] from A[t+1] and h[t]      (A: the probe's columns of dx)
        dx[t], dh0 from A[t], A[0]            dWx, dWh, db from all x, h, A, in any order of summation

    If every local relation holds, the whole run is right. Without a probe, A comes from the bounded recursion over
    the steps, which is as good for T = 1 and soon too wide to decide. A second state and a direct path, which no
    implementation returns at every step, are bounded recurrences, too. Derivatives along a direction are enclosed from
    the inputs.

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
        ValueError: an array of the evaluation is missing or of the wrong shape, the stack is empty, or a direction is
            asked of a half precision or of too many steps.

    Source: derived in the README, section "A thousand steps, checked at the accuracy of one".
    """
    if case.dtype != precision.name:
        raise TypeError(f"certify: expected a case of dtype {precision.name}, got {case.dtype} ({spell(case.sizes)})")
    if case.K == 0:
        raise ValueError(f"certify: expected at least one case, got a stack of 0 ({spell(case.sizes)})")
    given = _expect_fields(case, evaluation)
    tallies = {QUANTITIES[field]: Tally(array.size // (case.K or 1), case.K) for field, array in given.items()}
    for field, place, compared in _compare(case, given, precision):
        tallies[QUANTITIES[field]].add(compared, place.cases, place.offset(case.axes()[field], case.K is not None))
    return Verdict(case, evaluation, precision, tallies, certify, _comparisons)


def enclose(case: Case, precision: Precision) -> Evaluation:
    """Bound what correct arithmetic may return for a whole run, from its inputs alone.

    Unlike in ``certify`` errors pile up over the steps, so that the bounds are sharp for a few and wide for many; but
    they need nothing that an implementation returned.

    Args:
        case: one case or a stack, with a direction or without.
        precision: the model of the arithmetic.

    Returns:
        The evaluation, each field a ``Bounded``: the oracle's values and bounds on the distance from them.
    """
    model = precision.storing(case.sizes["T"])
    with np.errstate(all="ignore"):
        return evaluate_in(case, lambda array: Bounded.exact(array, model))


@dataclass(frozen=True)
class Chunk:
    """Some cases of a stack and some rows of their batch, which are certified at once: rows do not interact."""

    cases: slice
    rows: slice
    is_last: bool  # of these cases

    def of(self, array: NDArray[Any], axes: str, stacked: bool) -> NDArray[Any]:
        """Return the part of an array that belongs to the chunk."""
        part = array[self.cases] if stacked else array
        return part[..., self.rows, :] if "N" in axes else part

    def offset(self, axes: str, stacked: bool) -> tuple[int, ...]:
        """Return the index of the chunk's first element in the whole array."""
        start = tuple(self.rows.start if axis == "N" else 0 for axis in axes)
        return (self.cases.start, *start) if stacked else start


def chunks(case: Case) -> Iterator[Chunk]:
    """Divide a case, or a stack, into chunks whose arrays stay in the cache: whole cases, else some rows of one."""
    T, N, D, H = case.sizes.values()
    a_row = max(1, T) * max(D, H, 1)
    cases, rows = max(1, CHUNK // (a_row * max(1, N))), max(1, CHUNK // a_row)
    for k in range(0, case.K or 1, cases):
        for n in range(0, max(1, N), rows):
            yield Chunk(slice(k, min(k + cases, case.K or 1)), slice(n, min(n + rows, N)), n + rows >= N)


def _compare(
    case: Case, given: dict[str, NDArray[Any]], precision: Precision
) -> Iterator[tuple[str, Chunk, Comparison]]:
    """Give the name of a field, the place of some of its elements, and their comparison, chunk by chunk."""
    infinite = None if case.finite else met_by_infinity(case)
    axes, stacked = case.axes(), case.K is not None
    whole = Chunk(slice(0, case.K or 1), slice(0, case.sizes["N"]), True)

    def compared(field: str, chunk: Chunk, bounded: Bounded) -> tuple[str, Chunk, Comparison]:
        met = None if infinite is None else chunk.of(infinite[..., None], "N1", stacked)[..., 0]
        loose = met is not None and undetermined(met, axes[field.removesuffix("_dot")], field)
        nan = field == "dxs" and beside_nan(case, bounded)
        actual = chunk.of(given[field], axes[field], stacked).astype(np.float64)
        return field, chunk, Comparison(actual, bounded, nan, loose, case.finite, stacked)

    sums: dict[str, Bounded] = {}
    for chunk in chunks(case):
        part = {name: chunk.of(array, axes[name], stacked) for name, array in case.arrays().items()}
        seen = {name: chunk.of(array, axes[name], stacked) for name, array in given.items()}
        with np.errstate(all="ignore"):
            bounded = bound_steps(case, part, seen, precision)
            for name in [name for name in bounded if "N" not in axes[name]]:
                total = bounded.pop(name)
                sums[name] = sums[name] + total if name in sums else total
            if chunk.is_last:
                bounded |= sums
                if case.probe is not None and "dWx" in bounded:
                    # The probe's columns of x are zero: one stands for all.
                    rows = np.minimum(np.argsort([*case.inputs, *case.probe]), len(case.inputs))
                    bounded["dWx"] = bounded["dWx"][..., rows, :]
                sums = {}
            bounded = {name: array.rounded() for name, array in bounded.items() if name in given}
        for field, array in bounded.items():
            yield compared(field, chunk, array)
    if any(name.endswith("_dot") for name in given):
        for field, array in enclose(case, precision).fields().items():
            if field.endswith("_dot") and field in given:
                yield compared(field, whole, array.rounded())


def bound_steps(
    case: Case, part: dict[str, NDArray[Any]], seen: dict[str, NDArray[Any]], precision: Precision
) -> dict[str, Bounded]:
    """Bound every field of an evaluation, each step from its neighbours as they were returned.

    Args:
        case: whose cell, nonlinearity and probe it is.
        part: the arrays of a case, or of some of its rows, by name.
        seen: what an implementation returned for them, by field.
        precision: the model of its arithmetic.

    Returns:
        Bounded arrays by field; sums over rows are pending.
    """
    cell, T = case.cell_type(case.nonlinearity), case.sizes["T"]
    part = part | {"xs": part["xs"][..., case.inputs], "Wx": part["Wx"][..., case.inputs, :]}
    exact = {name: Bounded.exact(array, precision) for name, array in part.items()}
    layer = Layer(cell, {name: exact.get(name) for name in cell.parameters()})
    states = [exact[f"{state}0"] for state in cell.states]
    outputs = Bounded.observed(seen["hs"], precision)
    before: Array = np.concatenate([states[0][..., None, :, :], outputs[..., :-1, :, :]], axis=-3) if T else outputs
    last, saved, found = _forward(layer, layer.input_term(exact["xs"]), before, states)
    if not any(name[0] == "d" for name in seen):
        return found | last
    A_seen = seen["dxs"][..., list(case.probe)] if case.probe is not None and "dxs" in seen else None
    sums = lambda: layer.input_term(exact["xs"]) + layer.recurrent_term(before)  # noqa: E731
    gates = opened(case, seen["hs"], A_seen, sums, precision)
    h = Bounded.activated(gates, precision, case.nonlinearity)
    if "states" in precision.recomputes:
        h = Bounded(h.value, precision, h.error + found["hs"].error)
    d_last = [exact[f"upstream_{state}"] for state in cell.states[1:]]
    back = _Backward(layer, exact["upstream"], d_last, cell.observed(saved, h), case.finite)
    A = None if A_seen is None or not T else Bounded.observed(A_seen, precision)
    if precision.is_mixed and case.nonlinearity == "relu" and T:
        # Each zero would count as a number that underflowed, and a huge factor makes much of it.
        outputs = sure_of_zeros(outputs, (found["hs"].value == 0) & (found["hs"].error == 0))
        before = np.concatenate([states[0][..., None, :, :], outputs[..., :-1, :, :]], axis=-3)
        A = None if A is None else sure_of_zeros(A, shut(part["upstream"], gates))
    A = back.computed() if A is None else back.observed(A)
    xs = exact["xs"]
    xs = np.concatenate([xs, np.zeros((*part["xs"].shape[:-1], 1))], axis=-1) if case.is_probed else xs
    # Where the accumulator is wider than the storage, frameworks still add the steps' shares up in storage.
    over_steps = precision.storing(T)
    arrays = [array.under(over_steps) for array in (A, back.A_h, xs, before)]
    operand = layer.operands[0].under(over_steps) if layer.operands else None
    gradients = layer.to_parameters(*arrays, operand)
    dxs = layer.to_inputs(A)
    if case.probe is not None:
        dxs = np.concatenate([dxs, back.expected], axis=-1)[..., np.argsort([*case.inputs, *case.probe])]
    first = {f"d{state}0": array for state, array in zip(cell.states, back.first, strict=True)}
    return found | last | {"dxs": dxs} | first | {f"d{name}": array for name, array in gradients.items()}


def _forward(
    layer: Layer, u: Array, before: Array, states: list[Bounded]
) -> tuple[dict[str, Bounded], tuple[Array, ...], dict[str, Bounded]]:
    """Return the last of the other states, what the cell saves of all steps, and the outputs."""
    if len(states) == 1:
        (h,), saved = layer.cell.forward(u, layer.recurrent_term(before), (before,), **layer.lent)
        return {}, saved, {"hs": h}
    after, each = layer.unroll(u, states, before)
    if not after:
        return dict(zip(layer.cell.states[1:], states[1:], strict=True)), (), {"hs": before}
    saved = tuple(np.stack(parts, axis=-3) for parts in zip(*each, strict=True))
    last = dict(zip(layer.cell.states[1:], after[-1][1:], strict=True))
    return last, saved, {"hs": np.stack([now[0] for now in after], axis=-3)}


class _Backward:
    """The gradients at u and v of all steps: those that came, where they were seen, and those that are expected."""

    def __init__(
        self, layer: Layer, upstream: Bounded, d_last: list[Bounded], saved: tuple[Array, ...], finite: bool
    ) -> None:
        self.layer, self.upstream, self.d_last, self.saved, self.finite = layer, upstream, d_last, saved, finite
        self.A_h: Bounded = upstream
        self.expected: Bounded = upstream
        self.first: tuple[Bounded, ...] = ()

    def loop(self, *seen: Any) -> tuple[list[Array], list[Array], tuple[Array, ...]]:
        """Step back through time."""
        T = self.upstream.shape[-3]
        saved = [tuple(part[..., t, :, :] for part in self.saved) for t in range(T)]
        return self.layer.adjoints(self.upstream, self.d_last, saved, *seen)

    def computed(self) -> Bounded:
        """Return A from the bounded recursion over the steps."""
        A, A_h, self.first = self.loop()
        if A:
            self.expected, self.A_h = np.stack(A, axis=-3), np.stack(A_h, axis=-3)  # type: ignore[assignment]
        else:
            nothing = self.upstream[..., :1].sum(axis=-1)[..., None]  # (..., 0, N, 1)
            self.expected = self.A_h = np.concatenate([nothing] * self.layer.parameters["Wh"].shape[-1], axis=-1)  # type: ignore[assignment]
        return self.expected

    def observed(self, A: Bounded) -> Bounded:
        """Return A as it came, each step of it expected from the step after it."""
        layer, cell = self.layer, self.layer.cell
        self.A_h = cell.recurrent(A, self.saved)
        later = layer.to_state(self.A_h)
        inner = layer.inner_transposed(A) if cell.inner else None
        if cell.carries:
            computed, _, self.first = self.loop(later, inner)
            self.expected = np.stack(computed, axis=-3)  # type: ignore[assignment]
        else:
            dh = self.upstream[..., :-1, :, :] + later[..., 1:, :, :]
            dh = np.concatenate([dh, self.upstream[..., -1:, :, :]], axis=-3)
            self.expected, _ = cell.backward((dh,), self.saved)
            self.first = (later[..., 0, :, :],)
        self.expected = self.expected.rounded()
        if not self.finite:
            # The probe spreads NaN over a row, for 0 * NaN is NaN: what else is there is the expected number.
            lost = np.isnan(A.value) & np.isfinite(self.expected.value)
            value, error = (
                np.where(lost, getattr(self.expected, name), getattr(A, name)) for name in ("value", "error")
            )
            A = Bounded(value, A.precision, error)
            self.A_h = cell.recurrent(A, self.saved)
        return A


def _comparisons(case: Case, evaluation: Evaluation, precision: Precision) -> dict[str, Comparison]:
    """Return every element of each quantity."""
    given = _expect_fields(case, evaluation)
    shapes, parts = case.shapes(), dict[str, list[tuple[Chunk, Comparison]]]()
    for field, chunk, compared in _compare(case, given, precision):
        parts.setdefault(field, []).append((chunk, compared))
    return {
        QUANTITIES[field]: _joined(case, field, shapes[field], parts[field]) for field in QUANTITIES if field in parts
    }


def _joined(case: Case, field: str, shape: tuple[int, ...], parts: list[tuple[Chunk, Comparison]]) -> Comparison:
    """Return the chunks of one quantity as one."""
    first = parts[0][1]
    arrays = {name: np.zeros(shape) for name in ("actual", "value", "error", "scale")}
    flags = {name: np.zeros(shape, np.bool_) for name in ("may_be_nan", "undetermined")}
    for chunk, part in parts:
        sources = {"actual": part.actual} | {name: getattr(part.bounded, name) for name in ("value", "error", "scale")}
        sources |= {name: getattr(part, name) for name in flags}
        for name, array in (arrays | flags).items():
            chunk.of(array, case.axes()[field], case.K is not None)[...] = sources[name]
    bounded = Bounded(arrays["value"], first.bounded.precision, arrays["error"], arrays["scale"])
    return Comparison(arrays["actual"], bounded, *flags.values(), first.finite, first.stacked)


def _expect_fields(case: Case, evaluation: Evaluation) -> dict[str, NDArray[Any]]:
    """Return the offered arrays by field, of the shapes and the dtype of the case."""
    shapes, sizes = case.shapes(), spell(case.sizes)
    if evaluation.hs is None:
        raise ValueError(f"certify: expected hs of shape {shapes['hs']}, got None ({sizes})")
    given = {name: array for name, array in evaluation.fields().items() if array is not None}
    for name, array in given.items():
        if name not in shapes or (name.removesuffix("_dot") == "db" and case.params.b is None):
            why = (
                "case without a direction" if name.endswith("_dot") and case.direction is None else "cell without bias"
            )
            raise ValueError(f"certify: expected no {name} for a {why}, got {np.shape(array)} ({sizes})")
        if not isinstance(array, np.ndarray) or array.dtype != case.xs.dtype:
            kind = array.dtype if isinstance(array, np.ndarray) else type(array).__name__
            raise TypeError(f"certify: expected {name} as an array of {case.dtype}, got {kind} ({sizes})")
        if array.shape != shapes[name]:
            raise ValueError(f"certify: expected {name} of shape {shapes[name]}, got {array.shape} ({sizes})")
    if any(name.endswith("_dot") for name in given) and (case.xs.itemsize == 2 or case.sizes["T"] > LONGEST_DIRECTION):
        expected = f"a direction in float64 or float32 and T <= {LONGEST_DIRECTION}"
        raise ValueError(f"certify: expected {expected}, got one in {case.dtype} ({sizes})")
    return given
