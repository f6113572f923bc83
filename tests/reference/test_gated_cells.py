"""The interface supports gated cells: test cells for an LSTM and both GRUs run through layer and certificate."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from reference import PRECISIONS, Case, Evaluation, certify, evaluate
from reference.cells import CELLS, Array, Cell, tanh_slope
from reference.cells.cell import States
from reference.layer import Layer, evaluate_in

STEP = 2.0**-100  # step of the complex-step method: its square vanishes against 1, and no terms cancel


def sigmoid(a: Array) -> Array:
    """Return 1 / (1 + exp(-a)), written with tanh."""
    return 0.5 * np.tanh(0.5 * a) + 0.5


def blocks(a: Array, gates: int) -> list[Array]:
    """Return the column blocks of the gates."""
    H = a.shape[-1] // gates
    return [a[..., k * H : (k + 1) * H] for k in range(gates)]


class LSTM(Cell):
    """c = sigmoid(f) c' + sigmoid(i) tanh(g),  h = sigmoid(o) tanh(c)."""

    gates, states, carries = ("i", "f", "g", "o"), ("h", "c"), True

    def forward(self, u: Array, v: Array, states: States, **lent: Any) -> tuple[States, States]:
        """Return h and c."""
        i, f, g, o = blocks(u + v, 4)
        i, f, g, o = sigmoid(i), sigmoid(f), np.tanh(g), sigmoid(o)
        c = f * states[1] + i * g
        y = np.tanh(c)
        return (o * y, c), (i, f, g, o, states[1], y)

    def backward(self, d_states: States, saved: States, **lent: Any) -> tuple[Array, States]:
        """Return A of all gates, and the direct path of c through f."""
        (dh, dc), (i, f, g, o, c_prev, y) = d_states, saved
        dc = dh * o * tanh_slope(y) + dc
        A = [dc * g * (i * (1 - i)), dc * c_prev * (f * (1 - f)), dc * i * tanh_slope(g), dh * y * (o * (1 - o))]
        return np.concatenate(A, axis=-1), (None, dc * f)


class GRU(Cell):
    """n = tanh(u_n + r v_n),  h = (1 - z) n + z h', with the reset after the product."""

    gates, biased, carries = ("r", "z", "n"), "n", True

    def forward(self, u: Array, v: Array, states: States, **lent: Any) -> tuple[States, States]:
        """Return h."""
        (ur, uz, un), (vr, vz, vn) = blocks(u, 3), blocks(v, 3)
        r, z = sigmoid(ur + vr), sigmoid(uz + vz)
        n = np.tanh(un + r * vn)
        return ((1 - z) * n + z * states[0],), (r, z, n, vn, states[0])

    def backward(self, d_states: States, saved: States, **lent: Any) -> tuple[Array, States]:
        """Return A of all gates, and the direct path of h through z."""
        (dh,), (r, z, n, vn, h) = d_states, saved
        An = dh * (1 - z) * tanh_slope(n)
        A = [An * vn * (r * (1 - r)), dh * (h - n) * (z * (1 - z)), An]
        return np.concatenate(A, axis=-1), (dh * z,)

    def recurrent(self, A: Array, saved: States) -> Array:
        """Return A with its last block multiplied by r."""
        Ar, Az, An = blocks(A, 3)
        return np.concatenate([Ar, Az, An * saved[0]], axis=-1)


class GRUResetBefore(Cell):
    """n = tanh(u_n + (r h') Wh_n),  h = (1 - z) n + z h', with the reset before the product."""

    gates, inner, carries = ("r", "z", "n"), ("n",), True

    def forward(self, u: Array, v: Array, states: States, **lent: Any) -> tuple[States, States]:
        """Return h."""
        (ur, uz, un), (vr, vz), h = blocks(u, 3), blocks(v, 2), states[0]
        r, z = sigmoid(ur + vr), sigmoid(uz + vz)
        n = np.tanh(un + lent["product"](r * h))
        return ((1 - z) * n + z * h,), (r, z, n, h)

    def backward(self, d_states: States, saved: States, **lent: Any) -> tuple[Array, States]:
        """Return A of all gates, and the direct path of h through z and through r of the inner product."""
        (dh,), (r, z, n, h) = d_states, saved
        An = dh * (1 - z) * tanh_slope(n)
        A = np.concatenate([0 * An, dh * (h - n) * (z * (1 - z)), An], axis=-1)
        d_rh = lent["transposed"](A)
        Ar = d_rh * h * (r * (1 - r))
        H = r.shape[-1]
        return np.concatenate([Ar, A[..., H:]], axis=-1), (d_rh * r + dh * z,)

    def recurrent(self, A: Array, saved: States) -> Array:
        """Return A without the inner gate."""
        return A[..., : 2 * A.shape[-1] // 3]


DOUBLES: dict[str, type[Cell]] = {"lstm": LSTM, "gru": GRU, "gru_reset_before": GRUResetBefore}


@pytest.fixture(params=DOUBLES, autouse=True)
def cell(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    name = str(request.param)
    monkeypatch.setitem(CELLS, name, DOUBLES[name])
    return name


def complex_step(case: Case) -> dict[str, Any]:
    """Return every gradient of sum(upstream * h) + sum(upstream_c * c), computed from forwards only."""
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


def test_gradients_are_those_of_the_complex_step(cell: str) -> None:
    case = Case.random(T=3, N=2, D=2, H=3, cell=cell)
    found = evaluate(case).fields()
    for name, slopes in complex_step(case).items():
        # Each gradient is a sum of at most a thousand terms of about 1.
        assert np.abs(found[name] - slopes).max() <= 1000 * 2.0**-53, name


@pytest.mark.parametrize("dtype", ["float64", "float32"])
@pytest.mark.parametrize("T", [1, 5, 100])
def test_a_run_in_its_own_precision_is_certified_step_by_step(cell: str, dtype: str, T: int) -> None:
    case = Case.random(T=T, N=3, D=2, H=4, cell=cell, dtype=dtype, stack=6).probed(seed=T)
    answer = evaluate_in(case, lambda array: array)
    verdict = certify(case, answer, PRECISIONS[dtype])
    verdict.require()
    assert set(verdict.worst) >= {"h", "dx", "dh0", "dWx", "dWh", "db"} | ({"c", "dc0"} if cell == "lstm" else set())
    # The bounds of c, and of the direct paths of c and h, grow with the steps and stay small.
    assert max(verdict.relative_bound.values()) < (1e-12 if dtype == "float64" else 1e-3)


@pytest.mark.parametrize("T", [1, 2])
def test_without_a_probe_a_few_steps_are_certified(cell: str, T: int) -> None:
    case = Case.random(T=T, N=3, D=2, H=4, cell=cell, dtype="float32", stack=6)
    certify(case, evaluate_in(case, lambda array: array), PRECISIONS["float32"]).require()


def one_off(answer: Evaluation, name: str) -> Evaluation:
    """Return an evaluation with one element of a field wrong by a hundredth."""
    fields = {key: np.array(array) for key, array in answer.fields().items() if array is not None}
    fields[name].flat[-1] *= 1.01
    return Evaluation(**fields)


def test_every_field_can_fail(cell: str) -> None:
    case = Case.random(T=4, N=3, D=2, H=4, cell=cell, dtype="float32").probed()
    answer = evaluate_in(case, lambda array: array)
    for name, array in answer.fields().items():
        if array is not None:
            # The last rows of dWx belong to the zero inputs of the probe.
            wrong = one_off(answer, name) if name != "dWx" else one_off(answer, "dWh")
            assert certify(case, wrong, PRECISIONS["float32"]).status == "fail", name


def test_a_cut_path_is_caught(cell: str) -> None:
    class Cut(DOUBLES[cell]):  # type: ignore[misc, valid-type]
        def backward(self, d_states: States, saved: States, **lent: Any) -> tuple[Array, States]:
            A, direct = super().backward(d_states, saved, **lent)
            return A, tuple(None if each is None else 0 * each for each in direct)

    case = Case.random(T=4, N=3, D=2, H=4, cell=cell, dtype="float32").probed()
    wrong = evaluate_in(case, lambda array: array, cell=Cut())
    assert certify(case, wrong, PRECISIONS["float32"]).status == "fail"


def test_tangents_are_enclosed(cell: str) -> None:
    case = Case.random(T=3, N=2, D=2, H=3, cell=cell, dtype="float32", direction=True).probed()
    verdict = certify(case, evaluate_in(case, lambda array: array), PRECISIONS["float32"])
    verdict.require()
    assert {"jvp h", "hvp dx", "hvp dWh"} <= set(verdict.worst)
