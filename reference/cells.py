"""The textbook RNN cell: the one place where the formula stands.

Written with ``@``, ``.mT`` and ``sum(axis=-2)`` only, so that the same lines run on float arrays, on
``Bounded`` arrays (values with error bounds), on object arrays of interval balls, and on stacks of all three.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

# An ndarray of floats or objects, or a Bounded: whatever has the operators that the formula uses.
Array = Any

# name: (f, its derivative written in terms of h = f(a))
NONLINEARITIES: dict[str, tuple[Callable[[Array], Array], Callable[[Array], Array]]] = {
    "tanh": (np.tanh, lambda h: 1 - h * h),
    "relu": (lambda a: np.maximum(a, 0), lambda h: h > 0),
}


class RNN:
    """Compute one step of the textbook recurrent layer, forward and backward.

        a = h_prev @ Wh + x @ Wx + b        h_next = f(a)
        A = dh_next * f'(a)                 dx = A @ Wx.T        dh_prev = A @ Wh.T
        dWx = x.T @ A                       dWh = h_prev.T @ A   db = sum of A over the batch

    ``params`` and ``grads`` are lists in the order Wx, Wh, b. The arrays given are kept, not copied, and the
    gradients are written in place, so that an optimiser may hold both. A stack of K independent cells has one
    more leading axis everywhere: Wx (K, D, H), Wh (K, H, H), b (K, 1, H), x (K, N, D), h (K, N, H).

    Args:
        Wx: input weights; shape (D, H); floating.
        Wh: recurrent weights; shape (H, H); floating.
        b: bias; shape (H,); None for a cell without bias.
        nonlinearity: "tanh" or "relu"; the derivative of relu at 0 is 0.

    Raises:
        ValueError: a shape that does not fit, or an unknown nonlinearity.
        TypeError: a parameter that is not a floating array.

    Source: Elman, Finding structure in time, Cognitive Science 14 (1990), with one bias; gradients derived in
        the README, section "The equations".
    """

    def __init__(self, Wx: Array, Wh: Array, b: Array | None = None, nonlinearity: str = "tanh") -> None:
        if nonlinearity not in NONLINEARITIES:
            raise ValueError(f"RNN: expected nonlinearity to be one of {sorted(NONLINEARITIES)}, got {nonlinearity!r}")
        expect_floating("RNN", Wx=Wx, Wh=Wh, **({} if b is None else {"b": b}))
        if Wx.ndim < 2:
            raise ValueError(f"RNN: expected Wx of shape (D, H), got {Wx.shape}")
        *stack, D, H = Wx.shape
        expect_shape("RNN", "Wh", Wh, (*stack, H, H), f"D={D}, H={H}")
        if b is not None:
            expect_shape("RNN", "b", b, (*stack, 1, H) if stack else (H,), f"D={D}, H={H}")
        self.params = [Wx, Wh] if b is None else [Wx, Wh, b]
        self.grads = [np.zeros_like(parameter) for parameter in self.params]
        self.f, self.derivative = NONLINEARITIES[nonlinearity]
        self.cache: tuple[Array, Array, Array] | None = None

    @property
    def D(self) -> int:
        """Number of inputs."""
        return int(self.params[0].shape[-2])

    @property
    def H(self) -> int:
        """Number of hidden units."""
        return int(self.params[0].shape[-1])

    # The formula, forward on the left of the mind and backward on the right.

    def drive(self, x: Array) -> Array:
        """Return ``x @ Wx + b``, what the inputs contribute to a; shape (..., N, H)."""
        Wx, _, *b = self.params
        return x @ Wx + b[0] if b else x @ Wx

    def activate(self, drive: Array, h_prev: Array) -> Array:
        """Return ``a = h_prev @ Wh + drive``; shape (..., N, H)."""
        return h_prev @ self.params[1] + drive

    def advance(self, drive: Array, h_prev: Array) -> Array:
        """Return ``f(a)``, the next state; shape (..., N, H)."""
        return self.f(self.activate(drive, h_prev))

    def adjoint(self, dh: Array, h: Array) -> Array:
        """Return ``A = dh * f'(a)``, the gradient at a, with f' written in terms of h; shape (..., N, H)."""
        return dh * self.derivative(h)

    def to_inputs(self, A: Array) -> Array:
        """Return ``dx = A @ Wx.T``; shape (..., N, D)."""
        return A @ self.params[0].mT

    def to_state(self, A: Array) -> Array:
        """Return ``dh_prev = A @ Wh.T``; shape (..., N, H)."""
        return A @ self.params[1].mT

    def to_params(self, A: Array, x: Array, h_prev: Array) -> list[Array]:
        """Return ``dWx = x.T @ A``, ``dWh = h_prev.T @ A`` and, with a bias, ``db = A`` summed over the rows."""
        gradients = [x.mT @ A, h_prev.mT @ A]
        return gradients + [A.sum(axis=-2).reshape(b.shape) for b in self.params[2:]]

    # The textbook layer.

    def forward(self, x: Array, h_prev: Array) -> Array:
        """Advance one step and remember what ``backward`` needs.

        Args:
            x: inputs; shape (N, D); floating.
            h_prev: state before the step; shape (N, H); floating.

        Returns:
            The state after the step; shape (N, H).

        Raises:
            ValueError: a shape that does not fit; a state of batch 1 is not broadcast.
            TypeError: an argument that is not a floating array.
        """
        expect_floating("RNN.forward", x=x, h_prev=h_prev)
        sizes = f"D={self.D}, H={self.H}"
        stack = self.params[0].shape[:-2]
        if x.ndim != len(stack) + 2 or (*x.shape[:-2], x.shape[-1]) != (*stack, self.D):
            shape = ", ".join(map(str, (*stack, "N", self.D)))
            raise ValueError(f"RNN.forward: expected x of shape ({shape}), got {x.shape} ({sizes})")
        expect_shape("RNN.forward", "h_prev", h_prev, (*x.shape[:-1], self.H), f"N={x.shape[-2]}, {sizes}")
        h_next = self.advance(self.drive(x), h_prev)
        self.cache = x, h_prev, h_next
        return h_next

    def backward(self, dh_next: Array) -> tuple[Array, Array]:
        """Pull a gradient back through the last ``forward`` and write ``grads`` in place.

        Args:
            dh_next: gradient of the loss with respect to h_next; shape (N, H); floating.

        Returns:
            dx, shape (N, D), and dh_prev, shape (N, H).

        Raises:
            RuntimeError: no forward came before.
            ValueError: a shape that does not fit.
            TypeError: an argument that is not a floating array.
        """
        if self.cache is None:
            raise RuntimeError("RNN.backward: expected a call of forward before, got none")
        x, h_prev, h_next = self.cache
        expect_floating("RNN.backward", dh_next=dh_next)
        expect_shape("RNN.backward", "dh_next", dh_next, h_next.shape, f"D={self.D}, H={self.H}")
        A = self.adjoint(dh_next, h_next)
        for grad, gradient in zip(self.grads, self.to_params(A, x, h_prev), strict=True):
            grad[...] = gradient
        return self.to_inputs(A), self.to_state(A)


def expect_shape(where: str, name: str, array: Array, shape: tuple[int, ...], sizes: str) -> None:
    """Raise ValueError, in the house's words, unless ``array`` has exactly this shape."""
    if array.shape != shape:
        raise ValueError(f"{where}: expected {name} of shape {shape}, got {array.shape} ({sizes})")


def expect_floating(where: str, **arrays: Array) -> None:
    """Raise TypeError, in the house's words, unless every argument is an array of floats (or of exact objects)."""
    for name, array in arrays.items():
        kind = getattr(getattr(array, "dtype", None), "kind", None)
        if kind is None:
            raise TypeError(f"{where}: expected {name} to be an array, got {type(array).__name__}")
        if kind not in "fcO":
            raise TypeError(f"{where}: expected floating {name}, got {array.dtype} (shape {array.shape})")
