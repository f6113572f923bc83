"""The cells. Each is two elementwise functions under its equation; the layer takes every matrix product."""

from reference.cells.cell import NONLINEARITIES, Array, Cell, tanh_slope
from reference.cells.rnn import OpenedRNNCell, RNNCell

# The values of ``Case.cell``.
CELLS: dict[str, type[Cell]] = {"rnn": RNNCell}

__all__ = ["CELLS", "NONLINEARITIES", "Array", "Cell", "OpenedRNNCell", "RNNCell", "tanh_slope"]
