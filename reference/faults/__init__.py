"""The catalogue of faults: named, realistic mistakes that authors of recurrent cells make.

Each fault is one change to the layer of the reference, computed in the dtype of the case. The suite must catch every
fault (``reference.mutation_score``), and ``reference.explain`` compares failures with them.

    subject = FAULTS["Wh transposed"].subject()
    evaluation = subject(case)

``CATALOGUE`` has the faults of every cell, ``FAULTS`` those of the vanilla RNN, ``OF_LAYERS`` those of several layers.
"""

from dataclasses import replace

from reference.case import Case
from reference.cells import CELLS
from reference.faults.backward import DERIVATIVE, WEIGHTS
from reference.faults.bptt import BPTT, PERIODIC
from reference.faults.contract import CONTRACT
from reference.faults.corner import CORNER
from reference.faults.fault import COMPUTED, HALVES, Fault, compute
from reference.faults.forward import ACTIVATION, BIAS, LAYOUT, STATE
from reference.faults.gated import GATED, GRU, LSTM
from reference.faults.layers import FAULTS_OF_LAYERS
from reference.faults.numerical import NUMERICAL
from reference.layers import LayersCase

# Faults that a gated cell cannot have: of a square Wh, of relu, or of a cell that saves its output alone. An element
# off by 0.5 % is as large as the bounds of a gated cell in float16, and so are products in float16 in bfloat16. They
# show in one case of twenty.
PLAIN = {
    *("one element off by 0.005", "products in float16"),
    *(
        "Wh transposed",
        "Wh kept transposed",
        "Wh not transposed in backward",
        "dWh transposed",
        "dx and dh_prev exchanged",
    ),
    *("relu for tanh", "tanh for relu", "relu'(0) = 1", "relu's derivative of h >= 0", "dh0 one product short"),
    *("bias added after the nonlinearity", "derivative of a instead of h", "derivative of the step before"),
    *("Wx transposed where D = H", "BPTT in windows of 3", "f' after Wh.T", "Jacobians in the wrong order"),
    *("state added to the next", "half of the state kept", "derivative assigned", "states overwritten in backward"),
}


ROWS = dict.fromkeys(HALVES, "cases of this cell have at least 4 rows there")
LONELY = dict.fromkeys(HALVES, "cases of this cell without the probe have one step there")
# Precisions that hide a fault in a gated cell, by name of fault and by cell.
HIDDEN: dict[str, dict[str, dict[str, str]]] = {
    "polynomial tanh": {cell: {"bfloat16": "2 % is less than the roundings of a step"} for cell in GATED},
    "sums in float16": {"lstm": {"bfloat16": "11 bits are enough beside the roundings of a step"}},
    "state forgotten where D <= H": dict.fromkeys(GATED, LONELY),
    "dh0 missing where D <= H": dict.fromkeys(GATED, LONELY),
    "inputs squeezed where D = 1": dict.fromkeys(GATED, LONELY),
    "assigned where N = 1": dict.fromkeys(GATED, ROWS),
}


def everywhere(table: tuple[Fault, ...]) -> tuple[Fault, ...]:
    """Return a table with the cells of each of its faults: all, but for those in ``PLAIN``."""
    return tuple(
        fault if fault.name in PLAIN else replace(fault, cells=tuple(CELLS), hidden_by_cell=HIDDEN.get(fault.name, {}))
        for fault in table
    )


TABLES = tuple(
    map(everywhere, (LAYOUT, BIAS, ACTIVATION, STATE, DERIVATIVE, BPTT, WEIGHTS, NUMERICAL, CONTRACT, CORNER))
)
CATALOGUE: dict[str, dict[str, Fault]] = {
    cell: {fault.name: fault for table in (*TABLES, LSTM, GRU) for fault in table if cell in fault.cells}
    for cell in CELLS
}
FAULTS = CATALOGUE["rnn"]
# The faults of several layers, whatever their cell.
OF_LAYERS: dict[str, Fault] = {fault.name: fault for fault in FAULTS_OF_LAYERS}
FAMILIES: dict[str, tuple[Fault, ...]] = {table[0].family: table for table in TABLES}


def catalogue(case: Case | LayersCase) -> dict[str, Fault]:
    """Return the faults that authors of a cell, or of several layers, make, by name."""
    return OF_LAYERS if isinstance(case, LayersCase) else CATALOGUE[case.cell]


def named(name: str, case: Case | LayersCase) -> Fault:
    """Return the fault of a name for a case; a fault with a period may have any, as "BPTT truncated at 7"."""
    found = catalogue(case)
    for (before, after), make in PERIODIC.items():
        period = name.removeprefix(before).removesuffix(after)
        if name not in found and name == f"{before}{period}{after}" and period.isdecimal():
            return everywhere((make(int(period)),))[0]
    return found[name]


__all__ = [
    "CATALOGUE",
    "COMPUTED",
    "FAMILIES",
    "FAULTS",
    "HALVES",
    "OF_LAYERS",
    "PERIODIC",
    "Fault",
    "catalogue",
    "compute",
    "named",
]
