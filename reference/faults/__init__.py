"""The catalogue of faults: named, realistic mistakes that authors of recurrent cells make.

Each is written over the reference's own cell, as the one thing that is wrong in it, and computes in the case's own
dtype, so that nothing else is. Two uses: the suite must catch them all (``reference.teeth``), and a subject that
fails can be compared with them.

    subject = FAULTS["Wh transposed"].subject()
    evaluation = subject(case)
"""

from reference.faults import activation, bias, bptt, contract, derivative, layout, numerical, state, weights
from reference.faults.fault import COMPUTED, HALVES, Fault, compute

FAMILIES = tuple(
    module.family for module in (layout, bias, activation, state, derivative, bptt, weights, numerical, contract)
)
FAULTS: dict[str, Fault] = {fault.name: fault for family in FAMILIES for fault in family.faults}

__all__ = ["COMPUTED", "FAMILIES", "FAULTS", "HALVES", "Fault", "compute"]
