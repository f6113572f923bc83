"""The catalogue of gated cells: every fault is caught, correct code never is, and what is hidden is not caught."""

from __future__ import annotations

import pytest

from reference import Case
from reference.cells import CELLS
from reference.faults import CATALOGUE, COMPUTED, compute
from reference.mutation_score import LIMIT, catch, false_alarms, score

GATED = [name for name in CELLS if name != "rnn"]
IN_EACH = pytest.mark.parametrize("cell", GATED)
IN_ALL = pytest.mark.parametrize("dtype", COMPUTED)


@IN_EACH
@IN_ALL
def test_every_fault_is_caught(cell: str, dtype: str) -> None:
    rows = score([dtype], seeds=[0, 1], cell=cell)
    assert rows
    missed = [row.fault.name for row in rows if row.caught < 1]
    assert not missed, f"{missed} got through {LIMIT} cases of {cell} in {dtype}"


@IN_EACH
def test_a_fault_that_a_precision_hides_is_not_caught_in_it(cell: str) -> None:
    hidden = [(fault, dtype) for fault in CATALOGUE[cell].values() for dtype in fault.hidden_in(cell)]
    assert hidden
    assert [(fault.name, dtype) for fault, dtype in hidden if catch(fault, dtype, 0, cell=cell)] == []


@IN_EACH
@IN_ALL
def test_correct_code_raises_no_alarm(cell: str, dtype: str) -> None:
    assert false_alarms(dtype, 20, cell=cell) == (20 * 32, 0)


@IN_EACH
def test_there_are_many_and_each_has_one_sentence(cell: str) -> None:
    assert len(CATALOGUE[cell]) >= {"lstm": 140, "gru": 110}.get(cell, 100)
    own = [fault for fault in CATALOGUE[cell].values() if "rnn" not in fault.cells]
    assert len(own) >= {"lstm": 60}.get(cell, 30)
    wrong = [one.name for one in own if not one.description[0].isupper() or one.description.rstrip(".").count(". ")]
    assert wrong == []


@IN_EACH
def test_a_fault_of_another_cell_does_not_apply(cell: str) -> None:
    case = Case.random(T=3, cell=cell)
    truth = compute(case)
    others = [fault for name in CELLS for fault in CATALOGUE[name].values() if cell not in fault.cells]
    assert others
    for fault in others:
        assert not fault.applies(case)
        assert fault.subject()(case).hs.tobytes() == truth.hs.tobytes()
