"""The catalogue of faults: named, realistic mistakes that authors of recurrent cells make.

Each fault is one change to the layer of the reference, computed in the dtype of the case. The suite must catch every
fault (``reference.mutation_score``), and ``reference.explain`` compares failures with them.

    subject = FAULTS["Wh transposed"].subject()
    evaluation = subject(case)
"""

from reference.faults.backward import DERIVATIVE, WEIGHTS
from reference.faults.bptt import BPTT, PERIODIC
from reference.faults.contract import CONTRACT, CORNER
from reference.faults.fault import COMPUTED, HALVES, Fault, compute
from reference.faults.forward import ACTIVATION, BIAS, LAYOUT, STATE
from reference.faults.numerical import NUMERICAL

TABLES = (LAYOUT, BIAS, ACTIVATION, STATE, DERIVATIVE, BPTT, WEIGHTS, NUMERICAL, CONTRACT, CORNER)
FAULTS: dict[str, Fault] = {fault.name: fault for table in TABLES for fault in table}
FAMILIES: dict[str, tuple[Fault, ...]] = {table[0].family: table for table in TABLES}


def catalogue(cell: str) -> dict[str, Fault]:
    """Return the faults that authors of a cell make, by name."""
    return {name: fault for name, fault in FAULTS.items() if cell in fault.cells}


def named(name: str, cell: str = "rnn") -> Fault:
    """Return the fault of a name in a cell; a fault with a period may have any, as "BPTT truncated at 7"."""
    found = catalogue(cell)
    for (before, after), make in PERIODIC.items():
        period = name.removeprefix(before).removesuffix(after)
        if name not in found and name == f"{before}{period}{after}" and period.isdecimal():
            return make(int(period))
    return found[name]


__all__ = ["COMPUTED", "FAMILIES", "FAULTS", "HALVES", "PERIODIC", "Fault", "catalogue", "compute", "named"]
