"""``rnn-oracle faults``: the suite tests itself, and a suite that catches no faults fails."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence

import pytest

from reference.cells import CELLS
from reference.faults import CATALOGUE, FAULTS
from reference.mutation_score import Catch, Row, sensitivity

Run = Callable[..., tuple[int, str, str]]


@pytest.mark.parametrize("dtype", ["float32", "float16"])
def test_every_fault_is_caught_and_correct_code_is_not(dtype: str, rnn_oracle: Run) -> None:
    status, out, _ = rnn_oracle("faults", "--cell", "rnn", "--dtype", dtype, "--seeds", "1")
    assert status == 0
    # Stacks of large shapes have fewer cases.
    assert re.search(rf"correct code in {dtype}: 0 alarms in \d[\d,]+ cases", out)
    lines = [" ".join(line.replace("│", " ").split()) for line in out.splitlines()]
    tried = {name: fault for name, fault in FAULTS.items() if dtype in fault.precisions}
    assert f"rnn: {len(tried)} of {len(tried)} caught within 50 cases, 1 seeds each; {len(FAULTS)} faults" in lines
    for name, fault in tried.items():
        row = re.compile(rf"{re.escape(f'{fault.family} {name}')} \d+ \S.*")
        assert len(list(filter(row.fullmatch, lines))) == 1, name
    for name, fault in FAULTS.items():
        if dtype in fault.hidden:
            assert " ".join(f"{name} {dtype} {fault.hidden[dtype]}".split()) in lines
    figures = sensitivity(dtype)
    line = " ".join([dtype, *(f"{figure:.1e}" for figure in figures.values())])
    assert line in lines


def test_all_precisions_run_and_hidden_faults_are_listed(rnn_oracle: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    faults = [FAULTS["one element off by 0.005"], FAULTS["db halved"]]
    tried: list[str] = []

    def scored(dtypes: Sequence[str], *arguments: object, cell: str) -> list[Row]:
        tried.extend(dtypes)
        return [Row(fault, dtype, (Catch(7, "dWh", ""),)) for fault in faults for dtype in fault.precisions]

    monkeypatch.setattr("adapters.conformance.mutation.score", scored)
    monkeypatch.setattr("adapters.conformance.mutation.false_alarms", lambda *arguments, **options: (10, 0))
    status, out, _ = rnn_oracle("faults", "--cell", "rnn")
    assert status == 0
    assert tried == ["float64", "float32", "bfloat16", "float16"]
    lines = [" ".join(line.replace("│", " ").split()) for line in out.splitlines()]
    assert "numerical one element off by 0.005 7 dWh 7 dWh - 7 dWh" in lines
    assert "one element off by 0.005 bfloat16 0.5 % is about one rounding" in lines


def test_a_fault_that_got_through_is_named(rnn_oracle: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    missed = Row(next(iter(FAULTS.values())), "float32", (None,))
    monkeypatch.setattr("adapters.conformance.mutation.score", lambda *arguments, **options: [missed])
    status, out, _ = rnn_oracle("faults", "--cell", "rnn", "--dtype", "float32", "--seeds", "1")
    assert status == 1
    assert f"missed  {missed.fault.name} in float32" in out


def test_an_alarm_at_correct_code_is_no_pass(rnn_oracle: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("adapters.conformance.mutation.score", lambda *arguments, **options: [])
    monkeypatch.setattr("adapters.conformance.mutation.false_alarms", lambda *arguments, **options: (10, 1))
    status, out, _ = rnn_oracle("faults", "--cell", "rnn", "--dtype", "float32", "--seeds", "1")
    assert status == 1
    assert "correct code in float32: 1 alarms in 10 cases" in out


def test_every_cell_has_a_score(rnn_oracle: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    tried: list[str] = []

    def scored(dtypes: Sequence[str], *arguments: object, cell: str) -> list[Row]:
        tried.append(cell)
        return [Row(next(iter(CATALOGUE[cell].values())), "float32", (Catch(7, "dWh", ""),))]

    monkeypatch.setattr("adapters.conformance.mutation.score", scored)
    monkeypatch.setattr("adapters.conformance.mutation.false_alarms", lambda *arguments, **options: (10, 0))
    status, out, _ = rnn_oracle("faults", "--dtype", "float32")
    assert (status, tried) == (0, [*CELLS])
    for cell in CELLS:
        assert f"{cell}: 1 of 1 caught within 50 cases, 5 seeds each; {len(CATALOGUE[cell])} faults" in out
