"""Correct gated cells in another arithmetic stay within the bounds, in every order and form; wrong ones do not."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from reference import PRECISIONS, Case, Precision, certify, evaluate
from reference.cells import CELLS
from tests.reference.conftest import ORDERS
from tests.reference.plain_gated import PlainGated

GATED = [name for name in CELLS if name != "rnn"]
TANH = "(1+tanh(a/2))/2"
WAYS = st.fixed_dictionaries(
    {
        "summation": st.sampled_from(ORDERS),
        "fused": st.booleans(),
        "flush": st.booleans(),
        "sigmoid": st.sampled_from(["1/(1+exp(-a))", "exp(a)/(1+exp(a))", TANH]),
        "update": st.sampled_from(["(1-z)*n+z*h", "n+z*(h-n)"]),
        "complement": st.booleans(),
        "slope": st.sampled_from(["s*(1-s)", "s-s*s"]),
        "again": st.booleans(),
        "every_state": st.booleans(),
        "seed": st.integers(0, 2**32 - 1),
    }
)
SHAPES = st.fixed_dictionaries(
    {
        "T": st.sampled_from([1, 2, 3, 6, 12]),
        "N": st.sampled_from([1, 2, 5]),
        "D": st.sampled_from([1, 3, 4]),
        "H": st.sampled_from([2, 3, 5]),
        "bias": st.booleans(),
        "norm": st.sampled_from([0.5, 1.0, 3.0]),
        "seed": st.integers(0, 2**32 - 1),
        "values": st.sampled_from(
            ["plain", "wide", "integers", "saturated", "subnormal", "cancelling", "one_hot", "zeros", "huge"]
        ),
    }
)


def model_of(dtype: str, way: dict[str, Any]) -> Precision:
    """Return the model of a way: with tanh, or as a complement, small values of the sigmoid have no digits."""
    return PRECISIONS[dtype].with_sigmoid(4.0, 4.0 if way["sigmoid"] == TANH or way["complement"] else 0.0)


@pytest.mark.parametrize("cell", GATED)
@pytest.mark.parametrize("dtype", PRECISIONS)
@given(shape=SHAPES, way=WAYS, probed=st.booleans())
def test_correct_code_is_within_the_bounds(
    cell: str, dtype: str, shape: dict[str, Any], way: dict[str, Any], probed: bool
) -> None:
    # Without the probe, the bounds of a gated cell suffice for one step.
    case = Case.random(**(shape if probed else shape | {"T": 1}), cell=cell, dtype=dtype, stack=8)
    case = case.probed(shape["seed"]) if probed else case
    verdict = certify(case, PlainGated(**way)(case), model_of(dtype, way))
    assert verdict.status != "fail", str(verdict)


@pytest.mark.parametrize("cell", GATED)
@pytest.mark.parametrize("dtype", ["float64", "float32"])
def test_plain_values_are_decided_with_room(cell: str, dtype: str) -> None:
    case = Case.random(T=10, N=4, D=3, H=5, cell=cell, dtype=dtype, stack=16).probed()
    verdict = certify(case, PlainGated("tree")(case), PRECISIONS[dtype])
    verdict.require()
    assert max(verdict.relative_bound.values()) < (1e-4 if dtype == "float32" else 2e-13)
    assert max(worst.ratio for worst in verdict.worst.values()) > 0.05


def test_states_that_backward_recomputes_are_within_the_bounds_if_declared() -> None:
    case = Case.random(T=20, N=4, D=3, H=5, cell="gru_reset_before", dtype="float32", stack=64, seed=1).probed()
    found, model = PlainGated("tree", recomputed=True)(case), PRECISIONS["float32"]
    assert "fail" in certify(case, found, model).statuses
    certify(case, found, model.recomputing("states")).require()
    wrong = replace(found, dxs=found.dxs * np.float32(1.001))
    assert certify(case, wrong, model.recomputing("states")).statuses == ["fail"] * 64


@pytest.mark.parametrize("dtype", ["float32", "float16"])
def test_a_second_state_that_is_returned_at_every_step_is_held_to_it(dtype: str) -> None:
    case = Case.random(T=12, N=4, D=3, H=5, cell="lstm", dtype=dtype, stack=8, norm=0.5)
    b = np.array(case.params.b)
    b[:, 5:10] += 2  # forget gates near 1 keep the errors of all steps
    case = replace(case, params=replace(case.params, b=b)).probed()
    found = PlainGated(every_state=True)(case)
    verdict = certify(case, found, PRECISIONS[dtype])
    assert verdict.wrong == ()
    # Each step is bounded from the state before it, and not from all steps.
    of_all = certify(case, replace(found, cs=None), PRECISIONS[dtype])
    assert verdict.relative_bound["c"] < of_all.relative_bound["c"] / 2
    wrong = found.cs.copy()
    wrong[:, 3, 1, 2] *= found.cs.dtype.type(1.1)
    verdict = certify(case, replace(found, cs=wrong), PRECISIONS[dtype])
    assert "cs" in verdict.wrong
    assert verdict.worst["cs"].index[1:] == (3, 1, 2)
    assert certify(case[0], replace(found[0], cs=wrong[0]), PRECISIONS[dtype]).status == "fail"


def test_only_a_cell_with_a_second_state_may_return_it_at_every_step() -> None:
    case = Case.random(cell="gru")
    with pytest.raises(ValueError, match=r"certify: expected no cs for a cell .*, got \(5, 4, 6\)"):
        certify(case, replace(evaluate(case), cs=np.zeros((5, 4, 6))), PRECISIONS["float64"])
    none = Case.random(T=0, cell="lstm")
    certify(none, replace(evaluate(none), cs=np.zeros((0, 4, 6))), PRECISIONS["float64"]).require()


ROUNDED_AT_1 = [(cell, {"sigmoid": TANH}) for cell in GATED] + [(cell, {"complement": True}) for cell in GATED[1:]]


@pytest.mark.parametrize(("cell", "way"), ROUNDED_AT_1)
@pytest.mark.parametrize("dtype", ["float64", "float32"])
def test_a_sigmoid_that_is_accurate_in_units_of_1_alone_is_caught_unless_declared(
    cell: str, way: dict[str, Any], dtype: str
) -> None:
    case = Case.random(T=6, N=4, D=3, H=5, cell=cell, dtype=dtype, stack=16, values="saturated").probed()
    found = PlainGated(**way)(case)
    assert certify(case, found, PRECISIONS[dtype]).status == "fail"
    model = PRECISIONS[dtype].with_sigmoid(4.0, 4.0)
    # Closed gates have no digits, and the bound decides all the same.
    certify(case, found, model).require()
    wrong = replace(found, dh0=found.dh0 + found.dh0.dtype.type(100 * model.u))
    assert certify(case, wrong, model).statuses == ["fail"] * 16


@pytest.mark.parametrize("cell", GATED)
@pytest.mark.parametrize("dtype", ["float64", "float32"])
def test_an_exchange_of_two_gates_is_caught(cell: str, dtype: str) -> None:
    case = Case.random(T=2, N=2, D=2, H=3, cell=cell, dtype=dtype).probed()
    H, gates = case.sizes["H"], CELLS[cell].gates
    columns = np.arange(len(gates) * H).reshape(len(gates), H)
    for one in range(len(gates)):
        for other in range(one):
            order = columns.copy()
            order[[one, other]] = columns[[other, one]]
            parts = {name: getattr(case.params, name)[..., order.ravel()] for name in ("Wx", "Wh", "b")}
            wrong = replace(case, params=replace(case.params, **parts), probe=None)
            assert certify(case, PlainGated()(wrong), PRECISIONS[dtype]).status == "fail", (gates[one], gates[other])


@pytest.mark.parametrize("cell", GATED)
@pytest.mark.parametrize("T", [1000, 10_000])
def test_thousands_of_steps_are_certified_at_the_accuracy_of_one(cell: str, T: int) -> None:
    case = Case.random(T=T, N=2, D=2, H=3, cell=cell, dtype="float32", norm=0.9).probed()
    verdict = certify(case, PlainGated(summation="blas")(case), PRECISIONS["float32"])
    verdict.require()
    assert verdict.relative_bound["h"] < 1e-4


def held_open(cell: str) -> Case:
    """Return a case of a thousand steps whose second gate is 0.9999."""
    case = Case.random(T=1000, N=2, D=2, H=3, cell=cell, dtype="float32", norm=0.9)
    b = np.array(case.params.b)
    b[3:6] = 9.2
    return replace(case, params=replace(case.params, b=b, Wx=case.params.Wx / 64, Wh=case.params.Wh / 64)).probed()


@pytest.mark.parametrize("cell", GATED)
@pytest.mark.parametrize("absolute", [0.0, 4.0])
def test_the_relative_bound_of_what_a_gate_keeps_is_relative_to_it_after_a_thousand_steps(
    cell: str, absolute: float
) -> None:
    case = held_open(cell)
    compared = certify(case, PlainGated()(case), PRECISIONS["float32"].with_sigmoid(4.0, absolute)).compared
    for part in [compared[name] for name in (("c", "dc0") if cell == "lstm" else ("dh0",))]:
        relative = part.bound / (np.abs(part.expected) + part.bound)
        assert np.median(relative) / 16 < np.median(part.relative_bound) < 4 * np.median(relative)


def test_a_forget_gate_near_1_is_still_decided_after_a_thousand_steps() -> None:
    case = held_open("lstm")
    found = PlainGated(summation="blas")(case)
    certify(case, found, PRECISIONS["float32"]).require()
    assert certify(case, replace(found, c=found.c * np.float32(1.2)), PRECISIONS["float32"]).status == "fail"
