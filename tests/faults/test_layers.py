"""Every fault of several layers is caught by the cases of the check, and named."""

from __future__ import annotations

from functools import cache, partial
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from adapters.conformance import STACKS
from adapters.conformance.checks import CHECKS, Plan, Several
from reference import PRECISIONS, LayersCase, LayersEvaluation
from reference.cells import CELLS
from reference.differentiated import differentiated
from reference.explain import explain, explain_subject
from reference.faults import OF_LAYERS, Fault, compute
from reference.mutation_score import try_once

# Wrong forwards beside the right backward: a framework that differentiates them returns the exact gradient instead.
FORWARD = (
    "reverse outputs not turned back",
    "reverse direction first",
    "reverse last state at the last step",
    "last states by direction",
    "last states in reverse order",
    "outputs in the padding",
    "reverse direction begins in the padding",
    "rows not put back in order",
    "state moves in the padding",
    "dropout after the last layer",
)


@cache
def cases_of(dtype: str, cell: str) -> list[LayersCase]:
    """Return the cases of the check in a default run."""
    (check,) = (each for each in CHECKS if isinstance(each, Several))
    found: list[LayersCase] = []
    adapter: Any = SimpleNamespace(cell=cell, nonlinearities=CELLS[cell].nonlinearities)
    check.cases(adapter, dtype, Plan(STACKS, 0), found.append)
    return found


def is_caught(subject: Any, case: LayersCase) -> bool:
    """Return whether a trial fails."""
    found = try_once(subject, case)
    return isinstance(found, str) or found.status == "fail"


def exact(fault: Fault) -> Any:
    """Return a subject with the wrong forward of a fault and the exact gradient of this forward."""
    return lambda case: differentiated(fault.subject(), case)


@pytest.mark.parametrize("dtype", ["float64", "float32"])
@pytest.mark.parametrize("cell", CELLS)
def test_the_check_catches_every_fault_and_passes_correct_code(cell: str, dtype: str) -> None:
    cases = cases_of(dtype, cell)
    assert [case.spelled for case in cases if is_caught(compute, case)] == []
    missed = {
        fault.name
        for fault in OF_LAYERS.values()
        if not any(is_caught(fault.subject(), case) for case in cases if fault.applies(case))
    }
    assert missed == set()


def test_every_fault_is_named_and_no_other() -> None:
    others = {}
    for fault in OF_LAYERS.values():
        shown = (case for case in cases_of("float32", "rnn") if fault.applies(case))
        case = next(case for case in shown if is_caught(fault.subject(), case))
        found = explain_subject(fault.subject(), case, PRECISIONS["float32"])
        if found.names != {fault.name} or f"`{fault.name}`: {fault.description}" not in str(found):
            others[fault.name] = str(found)
    assert others == {}


@pytest.mark.parametrize("name", FORWARD)
def test_a_wrong_forward_with_its_exact_gradient_is_named(name: str) -> None:
    small = partial(LayersCase.random, T=3, N=2, D=2, H=2, layers=3, directions=2, dtype="float32", dropout=0.3)
    case = next(
        case
        for case in (small(lengths=lengths, seed=seed) for seed in range(9) for lengths in (None, (1, 3)))
        if OF_LAYERS[name].applies(case) and is_caught(OF_LAYERS[name].subject(), case)
    )
    found = explain(case, exact(OF_LAYERS[name])(case), PRECISIONS["float32"])
    assert name in found.names, str(found)
    assert found.matches.is_differentiated


def test_the_exact_gradient_of_correct_code_passes() -> None:
    case = LayersCase.random(T=3, N=2, D=2, H=2, directions=2, dtype="float32", lengths=(3, 1), cell="lstm")
    assert not is_caught(lambda case: differentiated(compute, case), case)


def test_correct_code_has_no_diagnosis() -> None:
    case = LayersCase.random(dtype="float32")
    assert str(explain(case, compute(case), PRECISIONS["float32"])).startswith("No fault: ")
    with pytest.raises(ValueError, match=r"^explain: expected a case that the subject fails, got none \("):
        explain_subject(compute, case, PRECISIONS["float32"])


def test_an_unknown_mistake_is_not_named() -> None:
    def subject(case: LayersCase) -> LayersEvaluation:
        found = compute(case)
        return found.replacing(hs=np.asarray(found.hs * 1.5, found.hs.dtype))

    found = explain_subject(subject, LayersCase.random(dtype="float32"), PRECISIONS["float32"])
    assert "No diagnosis: no fault of the catalogue returns this." in str(found)
