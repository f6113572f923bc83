"""Faults of the activation: another function than tanh, or a cheap one that comes near it."""

from __future__ import annotations

import numpy as np

from reference.cells import NONLINEARITIES, RNN, Array
from reference.faults.fault import HALVES, Family, hides, with_relu, with_tanh

family = Family("activation")


class Approximate(RNN):
    """A cell with ``other`` for tanh and, where a subclass says so, ``other_derivative`` for its derivative."""

    def __init__(self, Wx: Array, Wh: Array, b: Array | None = None, nonlinearity: str = "tanh") -> None:
        super().__init__(Wx, Wh, b, nonlinearity)
        if nonlinearity == "tanh":
            self.f, self.derivative = self.other, self.other_derivative

    def other(self, a: Array) -> Array:
        """Return what stands for tanh(a)."""
        return np.tanh(a)

    def other_derivative(self, h: Array) -> Array:
        """Return what stands for 1 - h**2."""
        return NONLINEARITIES["tanh"][1](h)


@family.cell("relu for tanh", applies=with_tanh)
class Relu(RNN):
    """Takes the relu of another configuration, forward and backward."""

    def __init__(self, Wx: Array, Wh: Array, b: Array | None = None, nonlinearity: str = "tanh") -> None:
        super().__init__(Wx, Wh, b, "relu")


@family.cell("tanh for relu", applies=with_relu)
class Tanh(RNN):
    """Ignores the nonlinearity that was asked for and takes the default."""

    def __init__(self, Wx: Array, Wh: Array, b: Array | None = None, nonlinearity: str = "tanh") -> None:
        super().__init__(Wx, Wh, b, "tanh")


@family.cell("hard tanh", applies=with_tanh)
class HardTanh(Approximate):
    """Clips to [-1, 1] in place of tanh, as quantised kernels do, and passes gradients where it did not clip."""

    def other(self, a: Array) -> Array:
        """Return a clipped to [-1, 1]."""
        return np.clip(a, -1, 1)

    def other_derivative(self, h: Array) -> Array:
        """Return whether it did not clip."""
        return np.abs(h) < 1


@family.cell("sigmoid for tanh", applies=with_tanh)
class Sigmoid(Approximate):
    """Takes the sigmoid that the gates of an LSTM have."""

    def other(self, a: Array) -> Array:
        """Return 1 / (1 + exp(-a)), written with tanh."""
        return (1 + np.tanh(a / 2)) / 2

    def other_derivative(self, h: Array) -> Array:
        """Return h * (1 - h)."""
        return h * (1 - h)


@family.cell("activation forgotten")
class Linear(RNN):
    """Returns a itself as the next state."""

    def __init__(self, Wx: Array, Wh: Array, b: Array | None = None, nonlinearity: str = "tanh") -> None:
        super().__init__(Wx, Wh, b, nonlinearity)
        self.f = lambda a: a


@family.cell("polynomial tanh", applies=with_tanh)
class Pade(Approximate):
    """Takes the cheap rational approximation a (27 + a^2) / (27 + 9 a^2), right to 2 %."""

    def other(self, a: Array) -> Array:
        """Return the approximation, clipped to [-1, 1]."""
        return np.clip(a * (27 + a * a) / (27 + 9 * a * a), -1, 1)


@family.cell("tanh to 1e-4", applies=with_tanh, hidden=hides("1e-4 is less than one rounding", *HALVES))
class Table(Approximate):
    """Interpolates tanh in a table, which is right to 1e-4."""

    knots = np.linspace(-5, 5, 321)

    def other(self, a: Array) -> Array:
        """Return tanh interpolated between 321 knots."""
        return np.interp(a, self.knots, np.tanh(self.knots)).astype(a.dtype)


@family.cell("tanh saturated early", applies=with_tanh, hidden=hides("beyond 4 a correct tanh may be 1", *HALVES))
class Saturated(Approximate):
    """Returns exactly 1 beyond a = 4, where tanh is still 7e-4 away from it."""

    def other(self, a: Array) -> Array:
        """Return tanh(a), or its sign beyond 4."""
        return np.where(np.abs(a) > 4, np.sign(a), np.tanh(a))
