"""``rnn-oracle faults``: the suite judges itself, and a suite without teeth is told apart from one that has them."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from reference.faults import FAULTS
from reference.teeth import Row

Run = Callable[..., tuple[int, str, str]]


def test_every_fault_is_caught_and_correct_code_is_not(rnn_oracle: Run, tmp_path: Path) -> None:
    status, out, _ = rnn_oracle("faults", "--dtype", "float32", "--seeds", "1", "--json", str(tmp_path / "f.json"))
    assert status == 0
    assert "correct code in float32: 0 alarms in 1,000 cases" in out
    found = json.loads((tmp_path / "f.json").read_text())
    assert {row["name"] for row in found["faults"]} == {
        name for name, fault in FAULTS.items() if "float32" in fault.precisions
    }
    assert all(row["caught"] == 1 and row["median_cases"] <= found["limit"] == 50 for row in found["faults"])


def test_a_fault_that_got_through_is_named(rnn_oracle: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    missed = Row(next(iter(FAULTS.values())), "float32", (None,))
    monkeypatch.setattr("adapters.conformance.mutation.score", lambda *arguments: [missed])
    status, out, _ = rnn_oracle("faults", "--dtype", "float32", "--seeds", "1")
    assert status == 1
    assert f"missed  {missed.fault.name} in float32" in out


def test_an_alarm_at_correct_code_is_no_pass(rnn_oracle: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("adapters.conformance.mutation.score", lambda *arguments: [])
    monkeypatch.setattr("adapters.conformance.mutation.false_alarms", lambda *arguments, **options: (10, 1))
    status, out, _ = rnn_oracle("faults", "--dtype", "float32", "--seeds", "1")
    assert status == 1
    assert "correct code in float32: 1 alarms in 10 cases" in out
