"""LSTM, GRU and their layers over a sequence: the textbook's interface, and the numbers of the oracle."""

from __future__ import annotations

import re
from typing import Any

import numpy as np
import pytest

from reference import GRU, LSTM, Case, TimeGRU, TimeLSTM, evaluate

Z = np.zeros
GRUS: dict[str, Any] = {"gru": {}, "gru_reset_before": {"reset_before": True}}


def weights(case: Case) -> list[Any]:
    return [array for array in case.params.fields().values() if array is not None]


@pytest.mark.parametrize("bias", [True, False])
def test_a_step_of_the_lstm_is_the_oracle(bias: bool) -> None:
    case = Case.random(T=1, cell="lstm", bias=bias)
    truth, cell = evaluate(case), LSTM(*weights(case))
    h, c = cell.forward(case.xs[0], case.h0, case.c0)
    dx, dh_prev, dc_prev = cell.backward(case.upstream[0], case.upstream_c)
    found = (h, c, dx, dh_prev, dc_prev, *cell.grads)
    gradients = [truth.fields()[f"d{name}"] for name in ("Wx", "Wh", "b") if bias or name != "b"]
    for one, other in zip(found, (truth.hs[0], truth.c, truth.dxs[0], truth.dh0, truth.dc0, *gradients), strict=True):
        np.testing.assert_array_equal(one, other)


@pytest.mark.parametrize("cell", GRUS)
@pytest.mark.parametrize("bias", [True, False])
def test_a_step_of_the_gru_is_the_oracle(cell: str, bias: bool) -> None:
    case = Case.random(T=1, cell=cell, bias=bias)
    truth, layer = evaluate(case), GRU(*weights(case), **GRUS[cell])
    h = layer.forward(case.xs[0], case.h0)
    dx, dh_prev = layer.backward(case.upstream[0])
    gradients = [array for name in ("dWx", "dWh", "db", "dbn") if (array := truth.fields().get(name)) is not None]
    for one, other in zip(
        (h, dx, dh_prev, *layer.grads), (truth.hs[0], truth.dxs[0], truth.dh0, *gradients), strict=True
    ):
        np.testing.assert_array_equal(one, other)
    assert len(layer.params) == 2 + bias * (2 if cell == "gru" else 1)


def test_the_layers_over_a_sequence_are_the_oracle() -> None:
    case = Case.random(cell="lstm")
    (Wx, Wh, b), truth = weights(case), evaluate(case)
    layer = TimeLSTM(Wx, Wh, b, stateful=True)
    layer.set_state(case.h0, case.c0)
    np.testing.assert_array_equal(layer.forward(case.xs), truth.hs)
    np.testing.assert_array_equal(layer.backward(case.upstream, case.upstream_c), truth.dxs)
    for one, other in ((layer.c, truth.c), (layer.dh, truth.dh0), (layer.dc, truth.dc0), (layer.grads[1], truth.dWh)):
        np.testing.assert_array_equal(one, other)
    for cell, options in GRUS.items():
        case = Case.random(cell=cell)
        truth, gru = evaluate(case), TimeGRU(*weights(case), stateful=True, **options)
        gru.set_state(case.h0)
        np.testing.assert_array_equal(gru.forward(case.xs), truth.hs)
        np.testing.assert_array_equal(gru.backward(case.upstream), truth.dxs)
        np.testing.assert_array_equal(gru.dh, truth.dh0)


def test_without_a_gradient_of_c_it_is_zero() -> None:
    case = Case.random(cell="lstm")
    one, other = TimeLSTM(*weights(case)), TimeLSTM(*weights(case))
    for layer in (one, other):
        layer.forward(case.xs)
    np.testing.assert_array_equal(one.backward(case.upstream), other.backward(case.upstream, Z((4, 6))))


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: LSTM(Z((3, 7)), Z((2, 8))), "LSTM: expected Wx of shape (D, 4H), got (3, 7)"),
        (lambda: LSTM(Z((3, 8)), Z((2, 6))), "LSTM: expected Wh of shape (2, 8), got (2, 6) (D=3, H=2)"),
        (lambda: GRU(Z((3, 6)), Z((2, 6)), Z(6), Z(3)), "GRU: expected bn of shape (2,), got (3,) (D=3, H=2)"),
        (
            lambda: GRU(Z((3, 6)), Z((2, 6)), Z(6), Z(2), reset_before=True),
            "GRU: expected no bn with the reset before the product, got one of shape (2,)",
        ),
        (
            lambda: LSTM(Z((3, 8)), Z((2, 8))).forward(Z((4, 3)), Z((4, 2)), Z((1, 2))),
            "LSTM.forward: expected c_prev of shape (4, 2), got (1, 2) (N=4, D=3, H=2)",
        ),
        (
            lambda: TimeLSTM(Z((3, 8)), Z((2, 8))).set_state(Z((4, 2)), Z((4, 2))),
            "TimeLSTM.set_state: expected a stateful layer, got stateful=False (D=3, H=2)",
        ),
    ],
)
def test_arguments_that_do_not_fit_raise(call: Any, message: str) -> None:
    with pytest.raises(ValueError, match=f"^{re.escape(message)}$"):
        call()


@pytest.mark.parametrize("layer", [LSTM(Z((3, 8)), Z((2, 8))), TimeLSTM(Z((3, 8)), Z((2, 8)))])
def test_backward_before_forward_raises(layer: Any) -> None:
    with pytest.raises(RuntimeError, match=r"LSTM\.backward: expected a call of forward before, got none$"):
        layer.backward(Z((4, 2)), Z((4, 2)))


def test_a_gradient_of_c_of_another_batch_raises() -> None:
    layer = LSTM(Z((3, 8)), Z((2, 8)))
    layer.forward(Z((4, 3)), Z((4, 2)), Z((4, 2)))
    message = r"^LSTM\.backward: expected dc of shape \(4, 2\), got \(1, 2\) \(D=3, H=2\)$"
    with pytest.raises(ValueError, match=message):
        layer.backward(Z((4, 2)), Z((1, 2)))
