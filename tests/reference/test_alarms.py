"""The search for false alarms: correct code raises none, and wrong code does."""

from __future__ import annotations

from typing import Any

import pytest

from reference import PRECISIONS, Case
from reference.cells import CELLS
from tests.reference import alarms
from tests.reference.conftest import ORDERS, ROUGHEST, TANHS, Array, PlainRNN


@pytest.mark.parametrize("dtype", PRECISIONS)
@pytest.mark.parametrize("cell", CELLS)
def test_correct_code_of_unusual_arithmetic_raises_none(cell: str, dtype: str) -> None:
    found = alarms.alarms(cell, dtype, 100, seed=1)
    assert found.total() >= 100
    assert found["fail"] == 0


def test_wrong_code_raises_some(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    class Wrong(PlainRNN):
        def _tanh(self, a: Array) -> Array:
            return 0.999 * super()._tanh(a)

    monkeypatch.setattr(alarms, "PlainRNN", Wrong)
    assert alarms.alarms("rnn", "float64", 300, seed=1)["fail"] > 20
    assert "rnn float64 h[" in capsys.readouterr().out


@pytest.mark.parametrize("option", [*({"summation": each} for each in ORDERS), *({"tanh": each} for each in TANHS)])
def test_each_order_and_form_has_roundings_of_its_own(option: dict[str, Any]) -> None:
    case = Case.random(T=4, N=5, D=30, H=20, dtype="float32").probed()
    others = [PlainRNN(summation=each) for each in ORDERS] + [PlainRNN(tanh=each) for each in TANHS]
    answer = PlainRNN(**option)(case).hs.tobytes()
    same = sum(other(case).hs.tobytes() == answer for other in others)
    assert same == (2 if option in ({"summation": "left"}, {"tanh": "tanh(a)"}) else 1)
    assert ROUGHEST < 10
