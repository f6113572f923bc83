"""The catalogue of faults: named, realistic mistakes that authors of recurrent cells make.

Each is one change to the reference's own layer, computed in the case's own dtype. The suite must catch all of them
(``reference.mutation_score``), and ``reference.explain`` compares a failure with them.

    subject = FAULTS["Wh transposed"].subject()
    evaluation = subject(case)
"""

from reference.faults.backward import BPTT, DERIVATIVE, WEIGHTS
from reference.faults.contract import CONTRACT, CORNER
from reference.faults.fault import COMPUTED, HALVES, Fault, compute
from reference.faults.forward import ACTIVATION, BIAS, LAYOUT, STATE
from reference.faults.numerical import NUMERICAL

TABLES = (LAYOUT, BIAS, ACTIVATION, STATE, DERIVATIVE, BPTT, WEIGHTS, NUMERICAL, CONTRACT, CORNER)
FAULTS: dict[str, Fault] = {fault.name: fault for table in TABLES for fault in table}
FAMILIES: dict[str, tuple[Fault, ...]] = {table[0].family: table for table in TABLES}

__all__ = ["COMPUTED", "FAMILIES", "FAULTS", "HALVES", "Fault", "compute"]
