"""The layer: unroll any cell over time, forward and backward, with every matrix product, in any arithmetic.

    u[t] = x[t] @ Wx + b                                v[t] = h[t-1] @ Wh
    dx = A @ Wx.T     dWx = sum of x.T @ A              dh[t-1] = A_h[t] @ Wh.T + the direct path of step t
    db = sum of A     dWh = sum of h[t-1].T @ A_h       A = dLoss/du, A_h = dLoss/dv

The product with the inputs of all steps is taken before the loop. Each parameter gradient is one product after it.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

import numpy as np

from reference.case import Case
from reference.cells import Array, Cell
from reference.dual import Dual, value_of
from reference.evaluation import Evaluation
from reference.kinds import expect_kinds


class Layer:
    """One layer of a cell, with its parameters in any arithmetic.

    Args:
        cell: the cell.
        parameters: arrays by name, as in ``cell.parameters()``: Wx (D, G H), Wh (H, G H), b (G H,) or None, and a
            second bias (H,) if the cell has one. A stack has one more leading axis.
    """

    def __init__(self, cell: Cell, parameters: dict[str, Array]) -> None:
        self.cell, self.parameters = cell, parameters
        Wh = parameters["Wh"]
        self.H = Wh.shape[-2]
        outer = (len(cell.gates) - len(cell.inner)) * self.H
        self.Wh, self.inner = Wh[..., :outer], Wh[..., outer:]
        self.Wh_T = self.Wh.mT
        self.operands: list[Array] = []  # operands of the inner products, one for each step
        self.tape: Any = None
        self.after: list[tuple[Array, ...]] = []  # the states after each step
        self.lent = {"product": self.inner_product} if cell.inner else {}
        self.lent_back = {"transposed": self.inner_transposed} if cell.inner else {}

    # Products. Each of them calls ``product``, with matrices whose rows are (..., R, F).
    product: Callable[[Array, Array], Array] = staticmethod(np.matmul)

    def times(self, p: Array, q: Array) -> Array:
        """Return p @ q for a matrix q; p has one step, (..., N, F), or all steps, (..., T, N, F)."""
        return self.product(p, q) if p.ndim == q.ndim else split(self.product(merged(p), q), *p.shape[-3:-1])

    def input_term(self, xs: Array) -> Array:
        """Return u = x @ Wx + b; shape (..., T, N, G H)."""
        u, b = self.times(xs, self.parameters["Wx"]), self.parameters["b"]
        return u if b is None else u + spread(b, u.ndim)

    def recurrent_term(self, h: Array) -> Array:
        """Return v = h @ Wh, plus the second bias if the cell has one; shape (..., N, G H) or (..., T, N, G H)."""
        v, biased = self.times(h, self.Wh), self.cell.biased
        b = None if biased is None else self.parameters[f"b{biased}"]
        if b is None:
            return v
        place = self.cell.gates.index(biased)
        blocks = [np.zeros_like(b)] * len(self.cell.gates)
        blocks[place] = b
        return v + spread(np.concatenate(blocks, axis=-1), v.ndim)

    def inner_product(self, operand: Array) -> Array:
        """Return operand @ Wh[:, inner] for an operand that the cell computes inside the step."""
        self.operands.append(operand)
        return self.times(operand, self.inner)

    def inner_transposed(self, A: Array) -> Array:
        """Return the gradient at the operand of ``inner_product`` from A of the inner gates."""
        return self.times(A, self.inner.mT)

    def to_state(self, A_h: Array) -> Array:
        """Return A_h @ Wh.T, the gradient that reaches the previous state through the product; shape (..., N, H)."""
        return self.times(A_h, self.Wh_T)

    def to_inputs(self, A: Array) -> Array:
        """Return dx = A @ Wx.T; shape (..., T, N, D)."""
        return self.times(A, self.parameters["Wx"].mT)

    def to_parameters(
        self, A: Array, A_h: Array, xs: Array, h_prev: Array, operand: Array | None = None
    ) -> dict[str, Array]:
        """Return the gradients of the parameters by name, sums over all steps and rows.

        Args:
            A: gradients at u; shape (..., T, N, G H).
            A_h: gradients at v; the same shape.
            xs: inputs; shape (..., T, N, D).
            h_prev: states before each step; shape (..., T, N, H).
            operand: operand of the inner product at every step; shape (..., T, N, H); None for a cell without one.
        """
        A_rows, A_h = merged(A), merged(A_h)
        dWh = self.product(merged(h_prev).mT, A_h)
        if operand is not None:
            inner = self.product(merged(operand).mT, A_rows[..., self.Wh.shape[-1] :])
            dWh = np.concatenate([dWh, inner], axis=-1)
        found = {"Wx": self.product(merged(xs).mT, A_rows), "Wh": dWh}
        if self.parameters["b"] is not None:
            found["b"] = A_rows.sum(axis=-2)
        if self.cell.biased is not None and self.parameters[f"b{self.cell.biased}"] is not None:
            start = self.cell.gates.index(self.cell.biased) * self.H
            found[f"b{self.cell.biased}"] = A_h[..., start : start + self.H].sum(axis=-2)
        return found

    # Loops.

    def unroll(
        self, u: Array, states: Sequence[Array], before: Array | None = None
    ) -> tuple[list[tuple[Array, ...]], list[tuple[Array, ...]]]:
        """Step forward through time.

        Args:
            u: input terms; shape (..., T, N, G H).
            states: initial states; each (..., N, H).
            before: outputs before each step, shape (..., T, N, H), to use instead of the computed ones.

        Returns:
            The states after each step, and the arrays that the cell saved at each step.
        """
        now, after, saved = tuple(states), list[tuple[Array, ...]](), list[tuple[Array, ...]]()
        forward, lent, bounded = self.cell.forward, self.lent, hasattr(u, "passed")
        given = None if before is None else (steps(before), steps(self.recurrent_term(before)))
        for t, u_t in enumerate(steps(u)):
            if given is None:
                v_t = self.recurrent_term(now[0])
            else:
                now, v_t = (given[0][t], *now[1:]), given[1][t]
            now, kept = forward(u_t, v_t, now, **lent)
            now = passed(now) if bounded else now
            after.append(now)
            saved.append(kept)
        return after, saved

    def adjoints(
        self,
        upstream: Array,
        d_last: Sequence[Array],
        saved: Sequence[tuple[Array, ...]],
        later: Array | None = None,
        operand: Array | None = None,
    ) -> tuple[Array, Array, tuple[Array, ...]]:
        """Step backward through time.

        Args:
            upstream: gradients with respect to each output; shape (..., T, N, H).
            d_last: gradients with respect to the final value of each state after h; each (..., N, H).
            saved: arrays that the cell saved at each step.
            later: A_h @ Wh.T of each step, shape (..., T, N, H), to use instead of the computed one.
            operand: gradient at the operand of the inner product of each step, shape (..., T, N, H), to use likewise.

        Returns:
            A, (..., T, N, G H); A_h, the same without the columns of the inner gates; the gradients with respect to
            the initial states.
        """
        A, A_h, upstreams = list[Array](), list[Array](), steps(upstream)
        backward, lent, bounded = self.cell.backward, self.lent_back, hasattr(upstream, "passed")
        through: Array | None = None  # the gradient that reaches the output of the step before
        others = tuple(d_last)
        for t in reversed(range(len(upstreams))):
            dh = upstreams[t] if through is None else upstreams[t] + through
            if operand is not None:
                lent = {"transposed": partial(at, operand, t)}
            A_t, direct = backward((dh, *others), saved[t], **lent)
            A.append(A_t)
            A_h.append(self.cell.recurrent(A_t, saved[t]))
            direct = passed(direct) if bounded else direct
            through = self.to_state(A_h[-1]) if later is None else later[..., t, :, :]
            through, others = through if direct[0] is None else through + direct[0], direct[1:]
        # With T = 0, every gradient is zero.
        first = upstream.sum(axis=-3) if through is None else through
        every = np.stack(A[::-1], axis=-3) if A else np.concatenate([upstream] * len(self.cell.gates), axis=-1)
        is_same = not A or A_h[0] is A[0]
        return every, every[..., : self.Wh.shape[-1]] if is_same else np.stack(A_h[::-1], axis=-3), (first, *others)

    # Whole layer.

    def forward(self, xs: Array, states: Sequence[Array]) -> tuple[Array, tuple[Array, ...]]:
        """Run all steps. Keep a tape for ``backward``: inputs, outputs before each step, and the arrays the cell saved.

        Args:
            xs: inputs; shape (..., T, N, D); T may be 0.
            states: initial states; each (..., N, H).

        Returns:
            The outputs, (..., T, N, H), and the states after the last step.
        """
        self.operands = []
        after, saved = self.unroll(self.input_term(xs), states)
        self.after = after
        outputs = np.stack([states[0], *(now[0] for now in after)], axis=-3)
        self.tape = xs, outputs[..., :-1, :, :], saved
        return outputs[..., 1:, :, :], after[-1] if after else tuple(states)

    def backward(self, upstream: Array, d_last: Sequence[Array]) -> tuple[Array, tuple[Array, ...], dict[str, Array]]:
        """Propagate gradients back through the last ``forward``.

        Args:
            upstream: gradients with respect to each output; shape (..., T, N, H).
            d_last: gradients with respect to the final value of each state after h; each (..., N, H).

        Returns:
            dx, (..., T, N, D); the gradients of the initial states; the gradients of the parameters by name.
        """
        xs, before, saved = self.tape
        A, A_h, first = self.adjoints(upstream, d_last, saved)
        # Without steps, no product was taken, and the sum over them is zero.
        operand = np.stack(self.operands, axis=-3) if self.operands else before if self.cell.inner else None
        return self.to_inputs(A), first, self.to_parameters(A, A_h, xs, before, operand)


def merged(array: Array) -> Array:
    """Merge the axes of time and rows: (..., T, N, F) to (..., T * N, F)."""
    *stack, T, N, F = array.shape
    return array.reshape((*stack, T * N, F))


def split(array: Array, T: int, N: int) -> Array:
    """Undo ``merged``: (..., T * N, F) to (..., T, N, F)."""
    *stack, _, F = array.shape
    return array.reshape((*stack, T, N, F))


def spread(b: Array, ndim: int) -> Array:
    """Return a bias, (G H,) or (K, G H), in a shape that broadcasts to an array of ``ndim`` axes."""
    stack = b.ndim - 1
    return b[(slice(None),) * stack + (None,) * (ndim - 1 - stack)] if stack else b


def at(array: Array, t: int, _: Array) -> Array:
    """Return step t of an array (..., T, N, F); the last argument is ignored."""
    return array[..., t, :, :]


def steps(array: Array) -> list[Array]:
    """Return the steps of an array (..., T, N, F) one by one."""
    if isinstance(array, np.ndarray):
        return list(array if array.ndim == 3 else array.swapaxes(0, 1))
    return [array[..., t, :, :] for t in range(array.shape[-3])]


def passed(states: tuple[Array, ...]) -> tuple[Array, ...]:
    """Return what a step passes on to the next; an arithmetic may have a rule for this."""
    return tuple(state.passed() if hasattr(state, "passed") else state for state in states)


def evaluate(case: Case) -> Evaluation:
    """Compute the outputs and all gradients of a case in float64.

    Args:
        case: one case or a stack; its numbers are taken as exact in every dtype.

    Returns:
        The evaluation, float64: hs (T, N, H), the last value of a second state (N, H), and the gradients dxs (T, N, D),
        dh0 (N, H), dWx (D, G H), dWh (H, G H), db (G H,) or None without a bias. If the case has a direction, the
        derivatives along it are included. If the case is a stack, every array has its leading axis.

    Source: the equations of this module and of the cell.
    """
    expect_kinds("evaluate", {"case": Case}, {"case": case})
    return evaluate_in(case, lambda array: np.asarray(array, np.float64))


def evaluate_in(
    case: Case,
    into: Callable[[Array], Array],
    Layer: Callable[..., Any] = Layer,
    cell: Cell | None = None,
    *,
    every_state: bool = False,
) -> Evaluation:
    """Compute the same results as ``evaluate`` in another arithmetic.

    Args:
        case: one case or a stack.
        into: function that converts an array to that arithmetic.
        Layer: class of the layer; the catalogue of faults passes a changed one.
        cell: the cell; by default the one of the case.
        every_state: whether the evaluation has every state at every step, as ``cs`` of an LSTM.

    Returns:
        The evaluation, in the arithmetic of ``into``.
    """
    arrays = lift(case, into)
    cell = cell or case.cell_type(case.nonlinearity)
    layer = Layer(cell, {name: arrays[name] for name in cell.parameters()})
    hs, last = layer.forward(arrays["xs"], [arrays[f"{state}0"] for state in cell.states])
    d_last = [arrays[f"upstream_{state}"] for state in cell.states[1:]]
    dxs, first, gradients = layer.backward(arrays["upstream"], d_last)
    found = {"hs": hs} | dict(zip(cell.states[1:], last[1:], strict=True)) | {"dxs": dxs}
    found |= {f"d{state}0": gradient for state, gradient in zip(cell.states, first, strict=True)}
    found |= {f"d{name}": gradient for name, gradient in gradients.items()}
    tangents = {f"{name}_dot": array.tangent for name, array in found.items() if isinstance(array, Dual)}
    if every_state:
        every = {f"{state}s": [now[k] for now in layer.after] for k, state in enumerate(cell.states) if k}
        found |= {name: np.stack(each, axis=-3) if each else hs for name, each in every.items()}
    return Evaluation(**{name: value_of(array) for name, array in found.items()} | tangents)


def lift(case: Case, into: Callable[[Array], Array]) -> dict[str, Any]:
    """Return the arrays of a case by name in another arithmetic, as dual arrays if the case has a direction.

    Args:
        case: one case or a stack.
        into: function that converts an array to that arithmetic.
    """
    lifted = {name: into(array) for name, array in case.arrays().items()}
    if case.direction is not None:
        tangents = case.direction.fields()
        for name, array in lifted.items():
            tangent = tangents.get(f"{name}_dot")
            lifted[name] = Dual(array, np.zeros_like(array) if tangent is None else into(tangent))
    return dict.fromkeys(case.cell_type.parameters()) | lifted
