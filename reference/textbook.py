"""The textbook layers: one step and a sequence, with the lists ``params`` and ``grads`` for an optimiser."""

from __future__ import annotations

from typing import ClassVar

import numpy as np

from reference.archive import expect_shapes, spell
from reference.cells import Array, Cell, RNNCell
from reference.layer import Layer


class Textbook:
    """The common part of the layers of one step and of a sequence: parameters, gradients, and checks of arguments."""

    Cell: ClassVar[type[Cell]]

    def __init__(self, parameters: dict[str, Array | None], nonlinearity: str) -> None:
        name = self.name
        try:
            cell = self.Cell(nonlinearity)
        except ValueError as error:
            raise ValueError(str(error).replace(self.Cell.__name__, name)) from None
        given = {key: array for key, array in parameters.items() if array is not None}
        expect_floating(name, **given)
        Wx, gates = given["Wx"], len(cell.gates)
        if Wx.ndim < 2 or Wx.shape[-1] % gates:
            raise ValueError(f"{name}: expected Wx of shape (D, {gates if gates > 1 else ''}H), got {Wx.shape}")
        *self.stack, self.D, columns = Wx.shape
        self.H = columns // gates
        shapes = {"Wh": (self.H, columns), "b": (columns,), f"b{cell.biased}": (self.H,)}
        expect_shapes(name, given, {key: (*self.stack, *shape) for key, shape in shapes.items()}, self.sizes)
        self.params = list(given.values())
        self.grads = [np.zeros_like(parameter) for parameter in self.params]
        self.layer = Layer(cell, parameters)

    @property
    def name(self) -> str:
        """Name of the class, for messages."""
        return type(self).__name__

    @property
    def sizes(self) -> str:
        """Sizes in the form that messages use."""
        return spell({"D": self.D, "H": self.H})

    def expect_input(self, name: str, array: Array, axes: str) -> None:
        """Raise an error unless an input has these axes, and its last axis has length D."""
        where = f"{self.name}.forward"
        expect_floating(where, **{name: array})
        K = len(self.stack)
        if array.ndim != K + len(axes) or array.shape != (*self.stack, *array.shape[K:-1], self.D):
            shape = ", ".join(map(str, (*self.stack, *axes[:-1], self.D)))
            raise ValueError(f"{where}: expected {name} of shape ({shape}), got {array.shape} ({self.sizes})")

    def propagate(self, name: str, upstream: Array, axes: str) -> tuple[Array, tuple[Array, ...]]:
        """Propagate a gradient back through the last forward, and write the parameter gradients in place.

        Returns:
            The gradients of the inputs and of the initial states.
        """
        where = f"{self.name}.backward"
        if self.layer.tape is None:
            raise RuntimeError(f"{where}: expected a call of forward before, got none")
        *outer, _ = self.layer.tape[0].shape
        expect_floating(where, **{name: upstream})
        shape = *self.stack, *outer[1 - len(axes) :], self.H
        expect_shapes(where, {name: upstream}, {name: shape}, self.sizes)
        dxs, first, gradients = self.layer.backward(upstream.reshape((*outer, self.H)), ())
        for grad, gradient in zip(self.grads, gradients.values(), strict=True):
            grad[...] = gradient
        return dxs, first


class RNN(Textbook):
    """Compute one step of the textbook recurrent layer, forward and backward.

        a = h_prev @ Wh + x @ Wx + b        h_next = f(a)
        A = dh_next * f'(a)                 dx = A @ Wx.T        dh_prev = A @ Wh.T
        dWx = x.T @ A                       dWh = h_prev.T @ A   db = sum of A over the batch

    ``params`` and ``grads`` are lists in the order Wx, Wh, b. The given arrays are not copied, and gradients are
    written in place, so an optimiser may keep references to both. In a stack of K independent cells, every array has
    one more leading axis. The shapes are Wx (K, D, H), Wh (K, H, H), b (K, H), x (K, N, D), h (K, N, H).

    Args:
        Wx: input weights; shape (D, H); floating.
        Wh: recurrent weights; shape (H, H); floating.
        b: bias; shape (H,); None for a cell without bias.
        nonlinearity: "tanh" or "relu"; the derivative of relu at 0 is 0.

    Raises:
        ValueError: a shape does not fit, or the nonlinearity is unknown.
        TypeError: a parameter is not a floating array.

    Source: Elman, Finding structure in time, Cognitive Science 14 (1990), with one bias. The README derives the
        gradients in the section "The equations".
    """

    Cell = RNNCell

    def __init__(self, Wx: Array, Wh: Array, b: Array | None = None, nonlinearity: str = "tanh") -> None:
        super().__init__({"Wx": Wx, "Wh": Wh, "b": b}, nonlinearity)

    def forward(self, x: Array, h_prev: Array) -> Array:
        """Compute one step, and save the arrays that ``backward`` needs.

        Args:
            x: inputs; shape (N, D); floating.
            h_prev: state before the step; shape (N, H); floating.

        Returns:
            The state after the step; shape (N, H).

        Raises:
            ValueError: a shape does not fit; a state of batch 1 is not broadcast.
            TypeError: an argument is not a floating array.
        """
        self.expect_input("x", x, "ND")
        expect_floating("RNN.forward", h_prev=h_prev)
        shapes = {"h_prev": (*x.shape[:-1], self.H)}
        expect_shapes("RNN.forward", {"h_prev": h_prev}, shapes, f"N={x.shape[-2]}, {self.sizes}")
        _, (h_next,) = self.layer.forward(x[..., None, :, :], (h_prev,))
        return h_next

    def backward(self, dh_next: Array) -> tuple[Array, Array]:
        """Propagate a gradient back through the last ``forward`` and write ``grads`` in place.

        Args:
            dh_next: gradient of the loss with respect to h_next; shape (N, H); floating.

        Returns:
            dx, shape (N, D), and dh_prev, shape (N, H).

        Raises:
            RuntimeError: ``forward`` was not called before.
            ValueError: a shape does not fit.
            TypeError: an argument is not a floating array.
        """
        dxs, (dh_prev,) = self.propagate("dh_next", dh_next, "NH")
        return dxs[..., 0, :, :], dh_prev


class TimeRNN(Textbook):
    """Unroll the cell over a sequence, and propagate gradients back through time.

        h[t] = f(h[t-1] @ Wh + x[t] @ Wx + b)
        A[t] = dh[t] * f'(a[t]),    dh[t] = upstream[t] + A[t+1] @ Wh.T,    dh of the initial state = A[0] @ Wh.T

    The input product of all steps is taken before the loop, and each weight gradient is one product after it.
    Time is the first axis: xs (T, N, D). A stack of K layers has one more leading axis: xs (K, T, N, D).

    ``h`` is the state after the last step. ``dh`` is the gradient with respect to the initial state. As in ``RNN``,
    ``params`` and ``grads`` are lists in the order Wx, Wh, b, and gradients are written in place.

    Args:
        Wx, Wh, b, nonlinearity: as in ``RNN``.
        stateful: whether the state is kept from one ``forward`` to the next; otherwise each starts from zeros.

    Raises:
        ValueError, TypeError: as in ``RNN``.

    Source: Werbos, Backpropagation through time, Proc. IEEE 78 (1990), section III; equations in reference/README.md.
    """

    Cell = RNNCell

    def __init__(
        self, Wx: Array, Wh: Array, b: Array | None = None, stateful: bool = False, nonlinearity: str = "tanh"
    ) -> None:
        super().__init__({"Wx": Wx, "Wh": Wh, "b": b}, nonlinearity)
        self.stateful = stateful
        self.h: Array | None = None
        self.dh: Array | None = None

    def set_state(self, h: Array) -> None:
        """Set the state that the next ``forward`` of a stateful layer starts from; shape (N, H)."""
        expect_floating("TimeRNN.set_state", h=h)
        self.h = h

    def reset_state(self) -> None:
        """Reset the state; the next ``forward`` starts from zeros."""
        self.h = None

    def forward(self, xs: Array) -> Array:
        """Compute all steps, and save the arrays that ``backward`` needs.

        Args:
            xs: inputs; shape (T, N, D); floating; T may be 0.

        Returns:
            The states after each step; shape (T, N, H).

        Raises:
            ValueError: a shape does not fit, or xs and the kept state differ in the size of the batch.
            TypeError: xs is not a floating array.
        """
        self.expect_input("xs", xs, "TND")
        T, N = xs.shape[-3:-1]
        if self.h is None or not self.stateful:
            self.h = np.zeros((*self.stack, N, self.H), dtype=self.params[1].dtype)
        shapes = {"the state": (*self.stack, N, self.H)}
        expect_shapes("TimeRNN.forward", {"the state": self.h}, shapes, f"T={T}, N={N}, {self.sizes}")
        hs, (self.h,) = self.layer.forward(xs, (self.h,))
        return hs

    def backward(self, dhs: Array) -> Array:
        """Propagate gradients of all steps back through the last ``forward``. Write ``grads`` in place, and set ``dh``.

        Args:
            dhs: upstream gradient with respect to every state; shape (T, N, H); floating.

        Returns:
            The gradient with respect to xs; shape (T, N, D).

        Raises:
            RuntimeError: ``forward`` was not called before.
            ValueError: a shape does not fit.
            TypeError: dhs is not a floating array.
        """
        dxs, (self.dh,) = self.propagate("dhs", dhs, "TNH")
        return dxs


def expect_floating(where: str, **arrays: Array) -> None:
    """Raise TypeError unless every argument is an array of floats or of exact objects."""
    for name, array in arrays.items():
        kind = getattr(getattr(array, "dtype", None), "kind", None)
        if kind is None:
            raise TypeError(f"{where}: expected {name} to be an array, got {type(array).__name__}")
        if kind not in "fcO":
            raise TypeError(f"{where}: expected floating {name}, got {array.dtype} (shape {array.shape})")
