"""The cells, each as two elementwise functions under its equation; every matrix product belongs to the layer."""

from reference.cells.cell import NONLINEARITIES, Array, Cell, tanh_slope
from reference.cells.rnn import OpenedRNNCell, RNNCell

# What ``Case.cell`` may name.
CELLS: dict[str, type[Cell]] = {"rnn": RNNCell}

__all__ = ["CELLS", "NONLINEARITIES", "Array", "Cell", "OpenedRNNCell", "RNNCell", "tanh_slope"]
