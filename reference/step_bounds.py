"""The bounds of every step, computed from the neighbouring values that an implementation returned."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from reference.bounded import Bounded
from reference.case import Case
from reference.cells import Array
from reference.layer import Layer, steps
from reference.masks import opened, shut, sure_of_zeros
from reference.precision import Precision


def exact_layer(case: Case, part: dict[str, NDArray[Any]], precision: Precision) -> Layer:
    """Return the layer of a case with the exact parameters of ``part``."""
    cell = case.cell_type(case.nonlinearity)
    exact = {name: Bounded.exact(part[name], precision) for name in cell.parameters() if name in part}
    return Layer(cell, dict.fromkeys(cell.parameters()) | exact)


class StepBounds:
    """Bounds on every field of an evaluation, for some cases and rows.

    Args:
        case: the case; its cell, nonlinearity and probe are used.
        layer: the layer of the case, as of ``exact_layer``.
        part: the arrays of these cases and rows by name, without the probe.
        seen: the arrays that an implementation returned for them, by field.
        precision: the model of the implementation's arithmetic.
    """

    def __init__(
        self, case: Case, layer: Layer, part: dict[str, Any], seen: dict[str, Any], precision: Precision
    ) -> None:
        self.case, self.layer, self.seen, self.precision = case, layer, seen, precision
        self.cell, self.T = layer.cell, case.sizes["T"]
        names = part.keys() - {*self.cell.parameters()}
        self.given: dict[str, Array] = {
            name: array if isinstance(array := part[name], Bounded) else Bounded.exact(array, precision)
            for name in names
        }
        layer.operands = []

    def fields(self) -> dict[str, Bounded]:
        """Return bounded arrays by field of an ``Evaluation``; sums over rows are pending, and dWx has no probe."""
        outputs = Bounded.observed(self.seen["hs"], self.precision)
        found, saved = self._forward(outputs)
        if any(name[0] == "d" for name in self.seen):
            if "states" in self.precision.recomputes and self.cell.carries:
                # Backward has states of its own, which are rounded otherwise than the outputs. Without a direct path,
                # the derivatives of a cell depend on the state after the step alone.
                outputs = Bounded(outputs.value, self.precision, found["hs"].rounded().error)
                _, saved = self._forward(outputs)
            found |= self._backward(outputs, found["hs"], saved)
        return found

    def _before(self, after: Bounded, state: str = "h") -> Array:
        """Return a state before each step: the initial one, and those after all steps but the last."""
        first = self.given[f"{state}0"]
        return np.concatenate([first[..., None, :, :], after[..., :-1, :, :]], axis=-3) if self.T else after

    def _forward(self, outputs: Bounded) -> tuple[dict[str, Bounded], tuple[Array, ...]]:
        """Return the outputs and the value of each further state, by field, and the arrays that the cell saved.

        The output is seen at every step. If every further state is seen too, all steps are one step from what is seen.
        """
        cell, layer, u = self.cell, self.layer, self.layer.input_term(self.given["xs"])
        names = {state: f"{state}s" for state in cell.states}
        seen = {s: Bounded.observed(self.seen[name], self.precision) for s, name in names.items() if name in self.seen}
        seen["h"] = outputs
        before = {state: self._before(after, state) for state, after in seen.items()}
        states = [self.given[f"{state}0"] for state in cell.states]
        if len(seen) == len(states):
            now, saved = cell.forward(u, layer.recurrent_term(before["h"]), tuple(before.values()), **layer.lent)
            found = dict(zip(names.values(), now, strict=True))
            last = {
                s: found[names[s]][..., -1, :, :] if self.T else first for s, first in zip(seen, states, strict=True)
            }
            return found | {state: last[state] for state in cell.states[1:]}, saved
        after, each = layer.unroll(u, states, before["h"])
        last = dict(zip(cell.states[1:], (after[-1] if after else states)[1:], strict=True))
        if not after:
            return {"hs": seen["h"]} | last, ()
        saved = tuple(np.stack(parts, axis=-3) for parts in zip(*each, strict=True))
        return {"hs": np.stack([now[0] for now in after], axis=-3)} | last, saved

    def _backward(self, outputs: Bounded, hs: Bounded, saved: tuple[Array, ...]) -> dict[str, Bounded]:
        """Return the gradients by field: dx of each step from its A, the parameter gradients from A of all steps."""
        case, model, layer = self.case, self.precision, self.layer
        probe = None if case.probe is None or "dxs" not in self.seen or not self.T else list(case.probe)
        A = None if probe is None else self.seen["dxs"][..., probe]
        before = self._before(outputs)
        sums = lambda: layer.input_term(self.given["xs"]) + layer.recurrent_term(before)  # noqa: E731
        activations = opened(case, self.seen["hs"], A, sums, model)
        h = Bounded.activated(activations, model, case.nonlinearity)
        if "states" in model.recomputes:
            h = Bounded(h.value, model, h.error + hs.error)
        A = None if A is None else Bounded.observed(A, model)
        if model.is_mixed and case.nonlinearity == "relu" and self.T:
            # Otherwise each zero would count as an underflow, and a huge factor would make its error large.
            before = self._before(sure_of_zeros(outputs, (hs.value == 0) & (hs.error == 0)))
            A = None if A is None else sure_of_zeros(A, shut(self.given["upstream"].value, activations))
        saved = self.cell.observed(saved, h)
        if A is None:
            A, A_h, first = self._loop(saved)
            expected = A
        else:
            A, A_h, expected, first = self._one_step_back(A, saved)
        xs: Array = self.given["xs"]
        if case.is_probed:
            # The probe's columns of x are all zero, so one of them is computed and repeated.
            xs = np.concatenate([xs, np.zeros((*xs.shape[:-1], 1))], axis=-1)
        # Even if the accumulator is wider than storage, frameworks add the contributions of the steps in storage.
        over_steps = model.storing(self.T)
        A_over, A_h, xs, before = (array.under(over_steps) for array in (A, A_h, xs, before))
        operand = layer.operands[0].under(over_steps) if layer.operands else None
        dxs = layer.to_inputs(A)
        if case.probe is not None:
            dxs = np.concatenate([dxs, expected], axis=-1)[..., np.argsort([*case.inputs, *case.probe])]
        gradients = layer.to_parameters(A_over, A_h, xs, before, operand)
        found = {"dxs": dxs} | {f"d{state}0": array for state, array in zip(self.cell.states, first, strict=True)}
        return found | {f"d{name}": array for name, array in gradients.items()}

    def _loop(self, saved: tuple[Array, ...], *observed: Any) -> tuple[Array, Array, tuple[Array, ...]]:
        """Return A, A_h and the gradients of the initial states from the recursion over all steps."""
        each = list(zip(*(steps(part) for part in saved), strict=True))
        d_last = [self.given[f"upstream_{state}"] for state in self.cell.states[1:]]
        return self.layer.adjoints(self.given["upstream"], d_last, each, *observed)

    def _one_step_back(self, A: Array, saved: tuple[Array, ...]) -> tuple[Array, Array, Array, tuple[Array, ...]]:
        """Return A, A_h, the expected A of each step from A of the step after it, and the initial states' gradients."""
        cell, layer, upstream = self.cell, self.layer, self.given["upstream"]
        A_h = cell.recurrent(A, saved)
        later = layer.to_state(A_h)
        if cell.carries:
            inner = layer.inner_transposed(A[..., layer.Wh.shape[-1] :]) if cell.inner else None
            expected, _, first = self._loop(saved, later, inner)
        else:
            dh: Array = upstream[..., :-1, :, :] + later[..., 1:, :, :]
            dh = np.concatenate([dh, upstream[..., -1:, :, :]], axis=-3)
            expected, _ = cell.backward((dh,), saved)
            first = (later[..., 0, :, :],)
        expected = expected.rounded()
        if not self.case.finite:
            # The probe spreads NaN over a row, because 0 * NaN is NaN. Finite expected numbers replace these NaN in A.
            lost = np.isnan(A.value) & np.isfinite(expected.value)
            value, error = (np.where(lost, getattr(expected, name), getattr(A, name)) for name in ("value", "error"))
            A = Bounded(value, A.precision, error)
            A_h = cell.recurrent(A, saved)
        return A, A_h, expected, first
