"""The cells. Each is two elementwise functions under its equation; the layer takes every matrix product."""

from reference.cells.cell import NONLINEARITIES, Array, Cell, sigmoid, sigmoid_slope, tanh_slope, through
from reference.cells.gru import GRUCell, ResetBeforeCell
from reference.cells.lstm import LSTMCell
from reference.cells.rnn import OpenedRNNCell, RNNCell

# The values of ``Case.cell``.
CELLS: dict[str, type[Cell]] = {
    "rnn": RNNCell,
    "lstm": LSTMCell,
    "gru": GRUCell,
    "gru_reset_before": ResetBeforeCell,
}

__all__ = [
    "CELLS",
    "NONLINEARITIES",
    "Array",
    "Cell",
    "GRUCell",
    "LSTMCell",
    "OpenedRNNCell",
    "RNNCell",
    "ResetBeforeCell",
    "sigmoid",
    "sigmoid_slope",
    "tanh_slope",
    "through",
]
