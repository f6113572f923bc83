"""The cell unrolled over time: the textbook's TimeRNN, and the evaluation of a whole case in float64."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from reference.case import Case
from reference.cells import RNN, Array, expect_floating, expect_shape
from reference.evaluation import Evaluation
from reference.tangent import Dual, value_of


class TimeRNN:
    """Unroll the cell over a sequence and propagate back through time.

        h[t] = f(h[t-1] @ Wh + x[t] @ Wx + b)
        A[t] = dh[t] * f'(a[t]),    dh[t] = upstream[t] + A[t+1] @ Wh.T,    dh of the state before = A[0] @ Wh.T

    The input product of all steps is taken before the loop, and each weight gradient is one product after it.
    Time is the first axis: xs (T, N, D). A stack of K layers has one more leading axis: xs (K, T, N, D).

    ``h`` is the state after the last step, ``dh`` the gradient with respect to the state before the first.
    ``params`` and ``grads`` are those of the cell: Wx, Wh, b, gradients written in place.

    Args:
        Wx, Wh, b, nonlinearity: as in ``RNN``.
        stateful: keep the state from one ``forward`` to the next; otherwise each starts from zeros.

    Raises:
        ValueError, TypeError: as in ``RNN``.

    Source: Werbos, Backpropagation through time, Proc. IEEE 78 (1990), section III; equations in the README.
    """

    Cell: type[RNN] = RNN

    def __init__(
        self, Wx: Array, Wh: Array, b: Array | None = None, stateful: bool = False, nonlinearity: str = "tanh"
    ) -> None:
        self.cell = self.Cell(Wx, Wh, b, nonlinearity)
        self.params, self.grads = self.cell.params, self.cell.grads
        self.stateful = stateful
        self.h: Array | None = None
        self.dh: Array | None = None
        self._tape: tuple[Array, Array, Array] | None = None

    def set_state(self, h: Array) -> None:
        """Set the state that the next ``forward`` of a stateful layer starts from; shape (N, H)."""
        expect_floating("TimeRNN.set_state", h=h)
        self.h = h

    def reset_state(self) -> None:
        """Forget the state: the next ``forward`` starts from zeros."""
        self.h = None

    def forward(self, xs: Array) -> Array:
        """Run all steps and remember what ``backward`` needs.

        Args:
            xs: inputs; shape (T, N, D); floating; T may be 0.

        Returns:
            The states after each step; shape (T, N, H).

        Raises:
            ValueError: a shape that does not fit, the kept state's batch included.
            TypeError: xs is not a floating array.
        """
        expect_floating("TimeRNN.forward", xs=xs)
        cell, sizes = self.cell, f"D={self.cell.D}, H={self.cell.H}"
        stack = cell.params[0].shape[:-2]
        if xs.ndim != len(stack) + 3 or (*xs.shape[:-3], xs.shape[-1]) != (*stack, cell.D):
            shape = ", ".join(map(str, (*stack, "T", "N", cell.D)))
            raise ValueError(f"TimeRNN.forward: expected xs of shape ({shape}), got {xs.shape} ({sizes})")
        T, N = xs.shape[-3:-1]
        if self.h is None or not self.stateful:
            self.h = np.zeros((*stack, N, cell.H), dtype=cell.params[1].dtype)
        expect_shape("TimeRNN.forward", "the state", self.h, (*stack, N, cell.H), f"T={T}, N={N}, {sizes}")
        drive = steps(cell.drive(rows(xs)), T, N)
        trail = [self.h]
        for t in range(T):
            trail.append(cell.advance(drive[..., t, :, :], trail[-1]))
        self.h = trail[-1]
        states: Array = np.stack(trail, axis=-3)
        h_prev, hs = states[..., :-1, :, :], states[..., 1:, :, :]
        self._tape = xs, h_prev, hs
        return hs

    def backward(self, dhs: Array) -> Array:
        """Pull gradients of all steps back through the last ``forward``; write ``grads`` in place and set ``dh``.

        Args:
            dhs: upstream gradient with respect to every state; shape (T, N, H); floating.

        Returns:
            The gradient with respect to xs; shape (T, N, D).

        Raises:
            RuntimeError: no forward came before.
            ValueError: a shape that does not fit.
            TypeError: dhs is not a floating array.
        """
        if self._tape is None:
            raise RuntimeError("TimeRNN.backward: expected a call of forward before, got none")
        xs, h_prev, hs = self._tape
        (T, N), cell = hs.shape[-3:-1], self.cell
        expect_floating("TimeRNN.backward", dhs=dhs)
        expect_shape("TimeRNN.backward", "dhs", dhs, hs.shape, f"D={cell.D}, H={cell.H}")
        A = adjoints(cell, hs, dhs)
        self.dh = cell.to_state(A[..., 0, :, :]) if T else np.zeros_like(self.h)
        for grad, gradient in zip(self.grads, cell.to_params(rows(A), rows(xs), rows(h_prev)), strict=True):
            grad[...] = gradient
        return steps(cell.to_inputs(rows(A)), T, N)


def adjoints(cell: RNN, hs: Array, upstream: Array) -> Array:
    """Return the gradients at the pre-activations, from the last step back to the first.

        A[t] = dh[t] * f'(a[t]),    dh[t] = upstream[t] + A[t+1] @ Wh.T

    Args:
        cell: the cell whose Wh and nonlinearity they are.
        hs: states after each step; shape (T, N, H).
        upstream: gradients of the loss with respect to each state; shape (T, N, H).

    Returns:
        A; shape (T, N, H).
    """
    A: list[Array] = []
    for t in reversed(range(hs.shape[-3])):
        dh = upstream[..., t, :, :] + cell.to_state(A[-1]) if A else upstream[..., t, :, :]
        A.append(cell.adjoint(dh, hs[..., t, :, :]))
    return np.stack(A[::-1], axis=-3) if A else upstream


def rows(array: Array) -> Array:
    """Merge the axes of time and batch: (..., T, N, F) to (..., T * N, F)."""
    *stack, T, N, F = array.shape
    return array.reshape((*stack, T * N, F))


def steps(array: Array, T: int, N: int) -> Array:
    """Undo ``rows``: (..., T * N, F) to (..., T, N, F)."""
    *stack, _, F = array.shape
    return array.reshape((*stack, T, N, F))


def evaluate(case: Case) -> Evaluation:
    """Compute the forward outputs and all gradients of a case in float64.

    Args:
        case: one case or a stack; its numbers are taken as they are, exactly, whatever their dtype.

    Returns:
        The evaluation, float64: hs (T, N, H), dxs (T, N, D), dh0 (N, H), dWx (D, H), dWh (H, H), db (H,) or
        None without a bias; if the case has a direction, the derivatives of all these along it too; all with the
        case's leading stack axis if it has one.

    Source: the equations of ``TimeRNN``.
    """
    arrays = lift(case, lambda array: np.asarray(array, np.float64), moves=case.direction is not None)
    return unpacked(evaluate_arrays(**arrays, f=case.nonlinearity))


# The arrays of a case, as ``evaluate_arrays`` takes them.
ARRAYS = ("xs", "h0", "Wx", "Wh", "b", "upstream")


def lift(
    case: Case,
    into: Callable[[Array], Array],
    *,
    moves: bool = False,
    only: Sequence[str] = ARRAYS,
    of: slice = slice(None),
) -> dict[str, Any]:
    """Return the arrays of a case in another arithmetic, the bias as the cell takes it.

    Args:
        case: one case or a stack.
        into: what takes an array there.
        moves: make them dual, each with its derivative along the case's direction.
        only: names of arrays.
        of: the steps whose inputs and upstream are taken.

    Returns:
        xs, h0, Wx, Wh, b (or None) and upstream by name.
    """
    Wx, Wh, b = case.params.for_cell()
    cut = {name: array[..., of, :, :] for name, array in (("xs", case.xs), ("upstream", case.upstream))}
    arrays = {"h0": case.h0, "Wx": Wx, "Wh": Wh, "b": b} | cut
    lifted = {name: None if arrays[name] is None else into(arrays[name]) for name in only}
    if not moves or case.direction is None:
        return lifted
    tangents = case.direction.fields() | {"upstream_dot": np.zeros_like(cut["upstream"])}
    tangents["xs_dot"] = tangents["xs_dot"][..., of, :, :]
    return {
        name: None if array is None else Dual(array, into(tangents[f"{name}_dot"]).reshape(array.shape))
        for name, array in lifted.items()
    }


def unpacked(evaluation: Evaluation) -> Evaluation:
    """Return an evaluation of dual arrays with its values and its derivatives in fields of their own."""
    fields = {name: array for name, array in evaluation.fields().items() if array is not None}
    values = {name: value_of(array) for name, array in fields.items()}
    tangents = {f"{name}_dot": array.tangent for name, array in fields.items() if isinstance(array, Dual)}
    return Evaluation(**({"hs": None} | values | tangents))


def evaluate_arrays(
    xs: Array,
    h0: Array,
    Wx: Array,
    Wh: Array,
    b: Array | None,
    *,
    upstream: Array,
    f: str,
    Layer: type[TimeRNN] = TimeRNN,
) -> Evaluation:
    """Compute the same as ``evaluate`` in whatever arithmetic the arrays carry.

    Args:
        xs: inputs; shape (T, N, D).
        h0: state before the first step; shape (N, H).
        Wx: input weights; shape (D, H).
        Wh: recurrent weights; shape (H, H).
        b: bias; shape (H,), of a stack (K, 1, H); or None.
        upstream: gradient with respect to every state; shape (T, N, H).
        f: the nonlinearity's name.
        Layer: the layer to evaluate; another than ``TimeRNN`` only to see what a mistake in it does.

    Returns:
        The evaluation, in the arithmetic of the arguments.
    """
    layer = Layer(Wx, Wh, b, stateful=True, nonlinearity=f)
    layer.set_state(h0)
    hs = layer.forward(xs)
    dxs = layer.backward(upstream)
    dWx, dWh, *db = layer.grads
    flat = [gradient.reshape(h0.shape[:-2] + h0.shape[-1:]) for gradient in db]
    return Evaluation(hs, dxs, layer.dh, dWx, dWh, *flat)
