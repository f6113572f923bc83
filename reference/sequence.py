"""The textbook's layers over a sequence, time first: each cell unrolled, and back-propagation through time."""

from __future__ import annotations

import numpy as np

from reference.cells import Array, GRUCell, LSTMCell, ResetBeforeCell, RNNCell
from reference.textbook import Textbook, expect_floating, expect_no_bn


class Sequence(Textbook):
    """A cell unrolled over a sequence, with the states that a stateful layer keeps from call to call."""

    def __init__(self, parameters: dict[str, Array | None], nonlinearity: str, stateful: bool) -> None:
        super().__init__(parameters, nonlinearity)
        self.stateful = stateful
        self.states: tuple[Array, ...] | None = None  # after the last step
        self.gradients: tuple[Array, ...] | None = None  # with respect to the states before the first

    @property
    def h(self) -> Array | None:
        """State after the last step; shape (N, H); None before the first ``forward``."""
        return None if self.states is None else self.states[0]

    @property
    def dh(self) -> Array | None:
        """Gradient with respect to the state before the first step; shape (N, H); None before ``backward``."""
        return None if self.gradients is None else self.gradients[0]

    def keep(self, **states: Array) -> None:
        """Keep states for the next ``forward``."""
        where = f"{self.name}.set_state"
        if not self.stateful:
            raise ValueError(f"{where}: expected a stateful layer, got stateful=False ({self.sizes})")
        expect_floating(where, **states)
        self.states = tuple(states.values())

    def set_state(self, h: Array) -> None:
        """Set the state that the next ``forward`` of a stateful layer starts from; shape (N, H).

        Raises:
            ValueError: the layer is not stateful.
            TypeError: the state is not a floating array.
        """
        self.keep(h=h)

    def reset_state(self) -> None:
        """Forget the states: the next ``forward`` starts from zeros."""
        self.states = None

    def forward(self, xs: Array) -> Array:
        """Run all steps and remember what ``backward`` needs.

        Args:
            xs: inputs; shape (T, N, D); floating; T may be 0.

        Returns:
            The outputs after each step; shape (T, N, H).

        Raises:
            ValueError: a shape that does not fit, the kept state's batch included.
            TypeError: xs is not a floating array.
        """
        names, states = self.layer.cell.states, self.states
        if states is None or not self.stateful:
            expect_floating(f"{self.name}.forward", xs=xs)
            zeros = np.zeros((*self.stack, *xs.shape[-2:-1], self.H), dtype=self.params[1].dtype)
            states = (zeros,) * len(names)
        hs, self.states = self.run("xs", xs, "TND", dict(zip(names, states, strict=True)))
        return hs

    def backward(self, dhs: Array) -> Array:
        """Propagate gradients of all steps back through the last ``forward``; write ``grads`` in place and set ``dh``.

        Args:
            dhs: upstream gradient with respect to every output; shape (T, N, H); floating.

        Returns:
            The gradient with respect to xs; shape (T, N, D).

        Raises:
            RuntimeError: no forward came before.
            ValueError: a shape that does not fit.
            TypeError: dhs is not a floating array.
        """
        dxs, self.gradients = self.propagate("TNH", {"dhs": dhs})
        return dxs


class TimeRNN(Sequence):
    """Unroll the textbook cell over a sequence and propagate back through time.

        h[t] = f(h[t-1] @ Wh + x[t] @ Wx + b)
        A[t] = dh[t] * f'(a[t]),    dh[t] = upstream[t] + A[t+1] @ Wh.T,    dh of the state before = A[0] @ Wh.T

    The input product of all steps is taken before the loop, and each weight gradient is one product after it.
    Time is the first axis: xs (T, N, D). A stack of K layers has one more leading axis: xs (K, T, N, D).

    ``h`` is the state after the last step, ``dh`` the gradient with respect to the state before the first.
    ``params`` and ``grads`` are as those of ``RNN``: Wx, Wh, b, gradients written in place.

    Args:
        Wx, Wh, b, nonlinearity: as in ``RNN``.
        stateful: keep the state from one ``forward`` to the next; otherwise each starts from zeros.

    Raises:
        ValueError, TypeError: as in ``RNN``.

    Source: Werbos, Backpropagation through time, Proc. IEEE 78 (1990), section III; equations in reference/README.md.
    """

    Cell = RNNCell

    def __init__(
        self, Wx: Array, Wh: Array, b: Array | None = None, stateful: bool = False, nonlinearity: str = "tanh"
    ) -> None:
        super().__init__({"Wx": Wx, "Wh": Wh, "b": b}, nonlinearity, stateful)


class TimeLSTM(Sequence):
    """Unroll ``LSTM`` over a sequence and propagate back through time.

    ``h`` and ``c`` are the states after the last step, ``dh`` and ``dc`` the gradients with respect to those before the
    first.

    Args:
        Wx, Wh, b: as in ``LSTM``.
        stateful: as in ``TimeRNN``.

    Raises:
        ValueError, TypeError: as in ``LSTM``.
    """

    Cell = LSTMCell

    def __init__(self, Wx: Array, Wh: Array, b: Array | None = None, stateful: bool = False) -> None:
        super().__init__({"Wx": Wx, "Wh": Wh, "b": b}, "tanh", stateful)

    @property
    def c(self) -> Array | None:
        """Cell state after the last step; shape (N, H); None before the first ``forward``."""
        return None if self.states is None else self.states[1]

    @property
    def dc(self) -> Array | None:
        """Gradient with respect to the cell state before the first step; shape (N, H); None before ``backward``."""
        return None if self.gradients is None else self.gradients[1]

    def set_state(self, h: Array, c: Array) -> None:  # type: ignore[override]
        """Set the states that the next ``forward`` of a stateful layer starts from; each (N, H).

        Raises:
            ValueError: the layer is not stateful.
            TypeError: a state is not a floating array.
        """
        self.keep(h=h, c=c)

    def backward(self, dhs: Array, dc: Array | None = None) -> Array:
        """Propagate gradients back through the last ``forward``; write ``grads`` in place and set ``dh`` and ``dc``.

        Args:
            dhs: upstream gradient with respect to every output; shape (T, N, H); floating.
            dc: upstream gradient with respect to the last cell state; shape (N, H); None for zeros.

        Returns:
            The gradient with respect to xs; shape (T, N, D).

        Raises:
            RuntimeError, ValueError, TypeError: as in ``TimeRNN.backward``.
        """
        if dc is None and self.states is not None:
            dc = np.zeros_like(self.states[1])
        dxs, self.gradients = self.propagate("TNH", {"dhs": dhs, "dc": dc})
        return dxs


class TimeGRU(Sequence):
    """Unroll ``GRU`` over a sequence and propagate back through time.

    Args:
        Wx, Wh, b, bn, reset_before: as in ``GRU``.
        stateful: as in ``TimeRNN``.

    Raises:
        ValueError, TypeError: as in ``GRU``.
    """

    def __init__(
        self,
        Wx: Array,
        Wh: Array,
        b: Array | None = None,
        bn: Array | None = None,
        *,
        stateful: bool = False,
        reset_before: bool = False,
    ) -> None:
        self.Cell = GRUCell
        if reset_before:
            expect_no_bn(self.name, bn)
            self.Cell = ResetBeforeCell
        super().__init__({"Wx": Wx, "Wh": Wh, "b": b} | ({} if reset_before else {"bn": bn}), "tanh", stateful)
