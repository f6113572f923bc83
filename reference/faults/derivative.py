"""Faults of the activation's derivative: the wrong function, of the wrong number, or too coarse."""

from __future__ import annotations

import numpy as np

from reference.arithmetic import chop
from reference.cells import RNN, Array
from reference.faults.fault import HALVES, Family, Tape, hides, with_relu, with_tanh

family = Family("derivative")


class Recording(RNN):
    """A cell that remembers the arguments of f: ``a`` has those of the steps whose adjoints are still to come."""

    def __init__(self, Wx: Array, Wh: Array, b: Array | None = None, nonlinearity: str = "tanh") -> None:
        super().__init__(Wx, Wh, b, nonlinearity)
        self.a: list[Array] = []
        f = self.f

        def recorded(a: Array) -> Array:
            self.a.append(a)
            return f(a)

        self.f = recorded
        self.is_tanh = nonlinearity == "tanh"


@family.cell("derivative 1 - h", applies=with_tanh)
class Unsquared(Recording):
    """Forgets the square in 1 - h**2."""

    def adjoint(self, dh: Array, h: Array) -> Array:
        """Return dh * (1 - h)."""
        return dh * (1 - h) if self.is_tanh else super().adjoint(dh, h)


@family.cell("derivative h - h**2", applies=with_tanh)
class OfSigmoid(Recording):
    """Takes the sigmoid's derivative h * (1 - h) with the right forward."""

    def adjoint(self, dh: Array, h: Array) -> Array:
        """Return dh * h * (1 - h)."""
        return dh * h * (1 - h) if self.is_tanh else super().adjoint(dh, h)


@family.cell("derivative of a instead of h", applies=with_tanh)
class OfArgument(Recording):
    """Puts a into 1 - h**2, which is written for h = tanh(a)."""

    def adjoint(self, dh: Array, h: Array) -> Array:
        """Return dh * (1 - a**2)."""
        return dh * self.derivative(self.a.pop())


@family.cell("derivative applied twice", applies=with_tanh)
class Twice(RNN):
    """Takes 1 - h**2 of tanh(h), as where the layer before has applied tanh already."""

    def adjoint(self, dh: Array, h: Array) -> Array:
        """Return dh * f'(f(h))."""
        return dh * self.derivative(self.f(h))


@family.cell("derivative forgotten")
class Forgotten(RNN):
    """Passes the gradient of h on as that of a."""

    def adjoint(self, dh: Array, h: Array) -> Array:
        """Return dh itself."""
        return dh


@family.tape("derivative of the step before")
def step_before(xs: Array, h_prev: Array, hs: Array) -> Tape:
    """Takes f' at h[t-1] where h[t] belongs."""
    return xs, h_prev, h_prev


@family.cell("derivative rounded to 11 bits", applies=with_tanh, hidden=hides("it has no more than 11 bits", *HALVES))
class Coarse(RNN):
    """Keeps the derivative in half precision between forward and backward."""

    def adjoint(self, dh: Array, h: Array) -> Array:
        """Return dh times f' to 11 bits."""
        return dh * chop(self.derivative(h) * np.ones_like(h), 11)


@family.cell("relu'(0) = 1", applies=with_relu)
class AtZero(Recording):
    """Tests a >= 0 where the derivative of relu is taken, so that it is 1 at 0."""

    def adjoint(self, dh: Array, h: Array) -> Array:
        """Return dh where a >= 0."""
        return super().adjoint(dh, h) if self.is_tanh else dh * (self.a.pop() >= 0)


@family.cell("relu's derivative of h >= 0", applies=with_relu)
class NotNegative(Recording):
    """Tests h >= 0, which is true of every h that relu returns."""

    def adjoint(self, dh: Array, h: Array) -> Array:
        """Return dh where h >= 0."""
        return super().adjoint(dh, h) if self.is_tanh else dh * (h >= 0)
