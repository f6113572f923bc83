"""The check of several layers: what it says of a wrong subject, of a broken contract, and what it writes."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from adapters import Adapter, LayersWay, Unsupported
from adapters.conformance import check
from adapters.conformance.checks import Plan
from adapters.conformance.commands import diagnosed, saved_case
from adapters.conformance.discovery import as_adapter
from adapters.conformance.judge import subject_of
from adapters.conformance.report import Report
from adapters.conformance.reproduce import reproduce
from adapters.conformance.run import diagnose, judge_check
from reference import Case, LayersCase, LayersEvaluation, evaluate_layers
from reference.faults import OF_LAYERS, compute


def subject(layers: Any) -> Adapter:
    """Return correct NumPy code of one layer, with a function of several."""
    return replace(as_adapter(compute), layers=layers)


def judged(layers: Any) -> Report:
    """Return the report of the check in float32."""
    return check(subject(layers), dtypes=["float32"], only=["layers"], on_fail="report")


def test_correct_code_passes() -> None:
    report = judged(compute)
    ((row,), (result,)) = report.rows, report.rows[0].checks
    assert (row.status, result.cases) == ("pass", 16 * 2), str(report)


@pytest.mark.parametrize("lengths", [True, False])
def test_a_mistake_of_three_layers_in_both_directions_alone_is_caught_without_masks(lengths: bool) -> None:
    def run(case: LayersCase) -> LayersEvaluation:
        if case.masks is not None:
            raise Unsupported("it draws its own masks")
        right = compute(case)
        is_wrong = (case.layers, case.directions, case.lengths is not None) == (3, 2, lengths)
        return replace(right, hs=2 * right.hs) if is_wrong else right

    assert judged(run).rows[0].status == "fail"


def test_a_fault_fails_and_is_named() -> None:
    adapter = subject(OF_LAYERS["reverse direction first"].subject())
    result = judge_check(adapter, "float32", "layers", Plan(4, 0))
    assert result.status == "fail"
    assert result.failure is not None
    assert " float32 h[" in result.failure.message
    assert "2 directions" in result.failure.message
    assert "`reverse direction first`" in (diagnose(adapter, "float32", result) or "")


def bent(**fields: Any) -> Any:
    """Return correct code of several layers that returns other fields."""
    return lambda case: replace(evaluate_layers(case).astype(case.dtype), **fields)


@pytest.mark.parametrize(
    ("layers", "message"),
    [
        (lambda case: None, "expected a LayersEvaluation, got None"),
        (bent(hs=None), "expected hs as an array of float32 of shape (1, 2, 4), got None"),
        (bent(hn=np.zeros(2, "float32")), "hn as an array of float32 of shape (2, 2, 2), got an array of float32 of"),
        (evaluate_layers, "expected hs as an array of float32 of shape (1, 2, 4), got an array of float64 of"),
        (bent(dh0=None), "expected dh0 as an array of float32 of shape (2, 2, 2), got None"),
        (bent(gradients={}), "expected dWx_l0 as an array of float32 of shape (3, 2), got None"),
        (bent(gradients={"dWx_l9": np.zeros(1, "float32")}), "expected no dWx_l9, got an array of float32 of shape"),
    ],
    ids=["None", "hs is None", "shape", "dtype", "dh0 is None", "no gradients", "name"],
)
def test_a_broken_contract_is_a_sentence(layers: Any, message: str) -> None:
    report = judged(layers)
    assert [row.status for row in report.rows] == ["fail"]
    assert message in str(report)
    assert "1 layer, 2 directions" in str(report)


def test_a_subject_without_gradients_offers_the_outputs_alone() -> None:
    def states(case: LayersCase) -> LayersEvaluation:
        found = compute(case)
        return LayersEvaluation(found.hs, hn=found.hn)

    report = check(replace(subject(states), offers=("h",)), dtypes=["float32"], only=["layers"], on_fail="report")
    assert [row.status for row in report.rows] == ["pass"], str(report)


def test_the_gradient_of_a_bias_that_a_case_does_not_have_is_left_out() -> None:
    def run(cell: str, weights: Any, xs: Any, states: Any, upstream: Any, case: LayersCase) -> Any:
        return (case.upstream, *states), (weights, xs, states)

    way = LayersWay({"rnn": {"W": "Wx", "R": "Wh", "B": "b or 0"}}, run, "rnn")
    for has_bias in (True, False):
        case = LayersCase.random(bias=has_bias)
        expected = {f"d{name}" for name in case.arrays() if name.startswith(("Wx", "Wh", "b"))}
        assert way(case).gradients.keys() == expected
        assert any(name.startswith("db") for name in expected) == has_bias


def test_a_subject_of_one_layer_is_unsupported() -> None:
    assert [result.status for row in judged(None).rows for result in row.checks] == ["unsupported"]
    with pytest.raises(Unsupported, match="expected a case of one layer, got one of several"):
        subject_of(subject(None), LayersCase.random())


def test_a_failing_case_is_written_and_read_again(tmp_path: Path) -> None:
    name = "last states in reverse order"
    adapter, case = subject(OF_LAYERS[name].subject()), LayersCase.random(dtype="float32", cell="rnn", lengths=True)
    saved, report = reproduce(adapter, case, {}, tmp_path, "layers", "the account")
    assert "(T=1, N=1, D=1, H=2, 2 layers, 1 direction) shows the failure:\n\n```\nthe account" in report.read_text()
    again = saved_case(str(saved))
    assert isinstance(again, LayersCase)
    assert again.arrays().keys() == case.arrays().keys()
    assert f"`{name}`" in diagnosed(adapter, again, lambda: None)
    Case.random().save(tmp_path / "one.npz")
    assert isinstance(saved_case(str(tmp_path / "one.npz")), Case)
    (tmp_path / "no.npz").write_bytes(b"no")
    with pytest.raises(ValueError, match=r"^Case\.load: "):
        saved_case(str(tmp_path / "no.npz"))
