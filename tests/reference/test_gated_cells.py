"""The cells with gates, LSTM and both GRUs: their gradients and their certificate."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from reference import PRECISIONS, Case, Evaluation, certify, evaluate
from reference.cells import CELLS, Array
from reference.cells.cell import States
from reference.layer import Layer, evaluate_in

STEP = 2.0**-100  # of the complex step: its square vanishes beside 1, and nothing cancels


GATED = ("lstm", "gru", "gru_reset_before")
cells = pytest.mark.parametrize("cell", GATED)


def complex_step(case: Case) -> dict[str, Any]:
    """Return every gradient of sum(upstream * h) + sum(upstream_c * c) from forwards alone."""
    arrays = {name: array.astype(complex) for name, array in case.arrays().items()}
    found = {}
    for name, array in arrays.items():
        if name.startswith("upstream"):
            continue
        slopes = np.zeros(array.shape)
        for index in np.ndindex(array.shape):
            moved = np.array(array)
            moved[index] += 1j * STEP
            at = arrays | {name: moved}
            layer = Layer(case.cell_type(), {key: at[key] for key in case.cell_type.parameters()})
            hs, last = layer.forward(at["xs"], [at[f"{state}0"] for state in case.cell_type.states])
            loss = (hs * case.upstream).sum()
            for state, array_ in zip(case.cell_type.states[1:], last[1:], strict=True):
                loss = loss + (array_ * getattr(case, f"upstream_{state}")).sum()
            slopes[index] = loss.imag / STEP
        found[f"d{name}".replace("dxs", "dxs")] = slopes
    return found


@cells
def test_gradients_are_those_of_the_complex_step(cell: str) -> None:
    case = Case.random(T=3, N=2, D=2, H=3, cell=cell)
    found = evaluate(case).fields()
    for name, slopes in complex_step(case).items():
        # Each is a sum of at most a thousand terms of about one.
        assert np.abs(found[name] - slopes).max() <= 1000 * 2.0**-53, name


@cells
@pytest.mark.parametrize("dtype", ["float64", "float32"])
@pytest.mark.parametrize("T", [1, 5, 100])
def test_a_run_in_its_own_precision_is_certified_step_by_step(cell: str, dtype: str, T: int) -> None:
    case = Case.random(T=T, N=3, D=2, H=4, cell=cell, dtype=dtype, stack=6).probed(seed=T)
    answer = evaluate_in(case, lambda array: array)
    verdict = certify(case, answer, PRECISIONS[dtype])
    verdict.require()
    assert set(verdict.worst) >= {"h", "dx", "dh0", "dWx", "dWh", "db"} | ({"c", "dc0"} if cell == "lstm" else set())
    # The bound of c, and of what c and h carry, grows with the steps, and stays small.
    assert max(verdict.relative_bound.values()) < (1e-12 if dtype == "float64" else 1e-3)


@cells
@pytest.mark.parametrize("T", [1, 2])
def test_without_a_probe_a_few_steps_are_certified(cell: str, T: int) -> None:
    case = Case.random(T=T, N=3, D=2, H=4, cell=cell, dtype="float32", stack=6)
    certify(case, evaluate_in(case, lambda array: array), PRECISIONS["float32"]).require()


def one_off(answer: Evaluation, name: str) -> Evaluation:
    """Return an evaluation with one element of a field wrong by a hundredth."""
    fields = {key: np.array(array) for key, array in answer.fields().items() if array is not None}
    fields[name].flat[-1] *= 1.01
    return Evaluation(**fields)


@cells
def test_every_field_can_fail(cell: str) -> None:
    case = Case.random(T=4, N=3, D=2, H=4, cell=cell, dtype="float32").probed()
    answer = evaluate_in(case, lambda array: array)
    for name, array in answer.fields().items():
        if array is not None:
            # The last rows of dWx are those of the probe's zero inputs.
            wrong = one_off(answer, name) if name != "dWx" else one_off(answer, "dWh")
            assert certify(case, wrong, PRECISIONS["float32"]).status == "fail", name


@cells
def test_a_cut_path_is_caught(cell: str) -> None:
    class Cut(CELLS[cell]):  # type: ignore[misc, valid-type]
        def backward(self, d_states: States, saved: States, **lent: Any) -> tuple[Array, States]:
            A, direct = super().backward(d_states, saved, **lent)
            return A, tuple(None if each is None else 0 * each for each in direct)

    case = Case.random(T=4, N=3, D=2, H=4, cell=cell, dtype="float32").probed()
    wrong = evaluate_in(case, lambda array: array, cell=Cut())
    assert certify(case, wrong, PRECISIONS["float32"]).status == "fail"


@cells
def test_tangents_are_enclosed(cell: str) -> None:
    case = Case.random(T=3, N=2, D=2, H=3, cell=cell, dtype="float32", direction=True).probed()
    verdict = certify(case, evaluate_in(case, lambda array: array), PRECISIONS["float32"])
    verdict.require()
    assert {"jvp h", "hvp dx", "hvp dWh"} <= set(verdict.worst)
