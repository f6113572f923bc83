"""The textbook's layers: one step of a cell, with ``params`` and ``grads`` as an optimiser takes them."""

from __future__ import annotations

import numpy as np

from reference.archive import expect_shapes, spell
from reference.cells import Array, Cell, GRUCell, LSTMCell, ResetBeforeCell, RNNCell
from reference.layer import Layer


class Textbook:
    """Parameters, gradients and argument checks of the layers of one step and of a sequence."""

    Cell: type[Cell]

    def __init__(self, parameters: dict[str, Array | None], nonlinearity: str) -> None:
        name = self.name
        try:
            cell = self.Cell(nonlinearity)
        except ValueError as error:
            raise ValueError(str(error).replace(self.Cell.__name__, name)) from None
        expect_floating(name, **{key: array for key, array in parameters.items() if key in ("Wx", "Wh")})
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
        """The sizes as messages show them."""
        return spell({"D": self.D, "H": self.H})

    def run(self, name: str, x: Array, axes: str, states: dict[str, Array]) -> tuple[Array, tuple[Array, ...]]:
        """Run the layer on an input of these axes, the last of them of length D; return outputs and last states.

        Args:
            name: of the input, for messages.
            x: the input.
            axes: "ND" of one step, "TND" of a sequence.
            states: before the first step, by name; each (N, H).
        """
        where, K = f"{self.name}.forward", len(self.stack)
        expect_floating(where, **{name: x}, **states)
        if x.ndim != K + len(axes) or x.shape != (*self.stack, *x.shape[K:-1], self.D):
            shape = ", ".join(map(str, (*self.stack, *axes[:-1], self.D)))
            raise ValueError(f"{where}: expected {name} of shape ({shape}), got {x.shape} ({self.sizes})")
        sizes = ", ".join([*(f"{a}={n}" for a, n in zip(axes[:-1], x.shape[K:-1], strict=True)), self.sizes])
        expect_shapes(where, states, dict.fromkeys(states, (*self.stack, x.shape[-2], self.H)), sizes)
        return self.layer.forward(x if axes == "TND" else x[..., None, :, :], tuple(states.values()))

    def propagate(self, axes: str, upstream: dict[str, Array]) -> tuple[Array, tuple[Array, ...]]:
        """Propagate gradients back through the last forward, and write those of the parameters in place.

        Args:
            axes: "NH" of one step, "TNH" of a sequence: those of the first gradient; all others are (N, H).
            upstream: gradients of the output and of the other last states, by name.

        Returns:
            The gradients of the inputs and of the initial states.
        """
        where = f"{self.name}.backward"
        if self.layer.tape is None:
            raise RuntimeError(f"{where}: expected a call of forward before, got none")
        *outer, _ = self.layer.tape[0].shape
        expect_floating(where, **upstream)
        first, *others = upstream
        shapes = dict.fromkeys(others, (*self.stack, outer[-1], self.H))
        expect_shapes(where, upstream, {first: (*self.stack, *outer[1 - len(axes) :], self.H)} | shapes, self.sizes)
        dhs = upstream[first].reshape((*outer, self.H))
        dxs, initial, gradients = self.layer.backward(dhs, [upstream[name] for name in others])
        for grad, gradient in zip(self.grads, gradients.values(), strict=True):
            grad[...] = gradient
        return dxs, initial


class RNN(Textbook):
    """Compute one step of the textbook recurrent layer, forward and backward.

        a = h_prev @ Wh + x @ Wx + b        h_next = f(a)
        A = dh_next * f'(a)                 dx = A @ Wx.T        dh_prev = A @ Wh.T
        dWx = x.T @ A                       dWh = h_prev.T @ A   db = sum of A over the batch

    ``params`` and ``grads`` are lists in the order Wx, Wh, b. The arrays given are kept, not copied, and the
    gradients are written in place, so that an optimiser may hold both. A stack of K independent cells has one
    more leading axis everywhere: Wx (K, D, H), Wh (K, H, H), b (K, H), x (K, N, D), h (K, N, H).

    Args:
        Wx: input weights; shape (D, H); floating.
        Wh: recurrent weights; shape (H, H); floating.
        b: bias; shape (H,); None for a cell without bias.
        nonlinearity: "tanh" or "relu"; the derivative of relu at 0 is 0.

    Raises:
        ValueError: a shape that does not fit, or an unknown nonlinearity.
        TypeError: a parameter that is not a floating array.

    Source: Elman, Finding structure in time, Cognitive Science 14 (1990), with one bias; gradients derived in
        reference/README.md, section "The equations".
    """

    Cell = RNNCell

    def __init__(self, Wx: Array, Wh: Array, b: Array | None = None, nonlinearity: str = "tanh") -> None:
        super().__init__({"Wx": Wx, "Wh": Wh, "b": b}, nonlinearity)

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
        _, (h_next,) = self.run("x", x, "ND", {"h_prev": h_prev})
        return h_next

    def backward(self, dh_next: Array) -> tuple[Array, Array]:
        """Propagate a gradient back through the last ``forward`` and write ``grads`` in place.

        Args:
            dh_next: gradient of the loss with respect to h_next; shape (N, H); floating.

        Returns:
            dx, shape (N, D), and dh_prev, shape (N, H).

        Raises:
            RuntimeError: no forward came before.
            ValueError: a shape that does not fit.
            TypeError: an argument that is not a floating array.
        """
        dxs, (dh_prev,) = self.propagate("NH", {"dh_next": dh_next})
        return dxs[..., 0, :, :], dh_prev


class LSTM(Textbook):
    """Compute one step of the long short-term memory, forward and backward.

        a = h_prev @ Wh + x @ Wx + b                            i, f, g, o = the column blocks of a; s is the sigmoid
        c = s(f) * c_prev + s(i) * tanh(g)                      h = s(o) * tanh(c)

    ``params`` and ``grads`` are as those of ``RNN``: Wx, Wh, b, gradients written in place. ``cells.LSTMCell`` has the
    gradients. A stack of K independent cells has one more leading axis everywhere.

    Args:
        Wx: input weights; shape (D, 4H), a column block for each gate; floating.
        Wh: recurrent weights; shape (H, 4H); floating.
        b: bias; shape (4H,); None for a cell without bias.

    Raises:
        ValueError: a shape that does not fit.
        TypeError: a parameter that is not a floating array.

    Source: Hochreiter and Schmidhuber, Neural Computation 9 (1997); Gers et al., Neural Computation 12 (2000).
    """

    Cell = LSTMCell

    def __init__(self, Wx: Array, Wh: Array, b: Array | None = None) -> None:
        super().__init__({"Wx": Wx, "Wh": Wh, "b": b}, "tanh")

    def forward(self, x: Array, h_prev: Array, c_prev: Array) -> tuple[Array, Array]:
        """Advance one step and remember what ``backward`` needs.

        Args:
            x: inputs; shape (N, D); floating.
            h_prev: output before the step; shape (N, H); floating.
            c_prev: cell state before the step; shape (N, H); floating.

        Returns:
            h and c after the step; each (N, H).

        Raises:
            ValueError: a shape that does not fit; a state of batch 1 is not broadcast.
            TypeError: an argument that is not a floating array.
        """
        _, (h, c) = self.run("x", x, "ND", {"h_prev": h_prev, "c_prev": c_prev})
        return h, c

    def backward(self, dh: Array, dc: Array) -> tuple[Array, Array, Array]:
        """Propagate gradients back through the last ``forward`` and write ``grads`` in place.

        Args:
            dh: gradient of the loss with respect to h; shape (N, H); floating.
            dc: gradient of the loss with respect to c; shape (N, H); floating.

        Returns:
            dx, shape (N, D); dh_prev and dc_prev, each (N, H).

        Raises:
            RuntimeError: no forward came before.
            ValueError: a shape that does not fit.
            TypeError: an argument that is not a floating array.
        """
        dxs, (dh_prev, dc_prev) = self.propagate("NH", {"dh": dh, "dc": dc})
        return dxs[..., 0, :, :], dh_prev, dc_prev


class GRU(Textbook):
    """Compute one step of the gated recurrent unit, forward and backward.

        u = x @ Wx + b        v = h_prev @ Wh        r, z, n are the column blocks; s is the sigmoid
        r = s(u_r + v_r)      z = s(u_z + v_z)       n = tanh(u_n + r * (v_n + bn))         h = (1 - z) * n + z * h_prev

    With ``reset_before`` it is n = tanh(u_n + (r * h_prev) @ Wh_n), without bn. ``params`` and ``grads`` are as those
    of ``RNN``: Wx, Wh, b, bn, gradients written in place. ``cells.GRUCell`` has the gradients. A stack of K independent
    cells has one more leading axis everywhere.

    Args:
        Wx: input weights; shape (D, 3H), a column block for each gate; floating.
        Wh: recurrent weights; shape (H, 3H); floating.
        b: bias; shape (3H,); None for a cell without bias.
        bn: the bias of n inside of the reset; shape (H,); None for a cell without it.
        reset_before: whether the reset is before the product with Wh.

    Raises:
        ValueError: a shape that does not fit, or bn with the reset before the product.
        TypeError: a parameter that is not a floating array.

    Source: Cho et al., arXiv:1406.1078 (2014), versions 1 and 3.
    """

    def __init__(
        self,
        Wx: Array,
        Wh: Array,
        b: Array | None = None,
        bn: Array | None = None,
        *,
        reset_before: bool = False,
    ) -> None:
        self.Cell = GRUCell
        if reset_before:
            expect_no_bn(self.name, bn)
            self.Cell = ResetBeforeCell
        super().__init__({"Wx": Wx, "Wh": Wh, "b": b} | ({} if reset_before else {"bn": bn}), "tanh")

    def forward(self, x: Array, h_prev: Array) -> Array:
        """Advance one step and remember what ``backward`` needs; as ``RNN.forward``."""
        _, (h_next,) = self.run("x", x, "ND", {"h_prev": h_prev})
        return h_next

    def backward(self, dh_next: Array) -> tuple[Array, Array]:
        """Propagate a gradient back through the last ``forward`` and write ``grads`` in place; as ``RNN.backward``."""
        dxs, (dh_prev,) = self.propagate("NH", {"dh_next": dh_next})
        return dxs[..., 0, :, :], dh_prev


def expect_no_bn(where: str, bn: Array | None) -> None:
    """Raise ValueError if there is a bias inside of a reset that is before the product."""
    if bn is not None:
        raise ValueError(f"{where}: expected no bn with the reset before the product, got one of shape {bn.shape}")


def expect_floating(where: str, **arrays: Array) -> None:
    """Raise TypeError unless every argument is an array of floats or of exact objects."""
    for name, array in arrays.items():
        kind = getattr(getattr(array, "dtype", None), "kind", None)
        if kind is None:
            raise TypeError(f"{where}: expected {name} to be an array, got {type(array).__name__}")
        if kind not in "fcO":
            raise TypeError(f"{where}: expected floating {name}, got {array.dtype} (shape {array.shape})")
