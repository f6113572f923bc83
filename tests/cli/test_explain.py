"""``rnn-oracle explain``: a saved case and an adapter give a diagnosis."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from reference import Case

Run = Callable[..., tuple[int, str, str]]


@pytest.fixture
def saved(tmp_path: Path) -> str:
    Case.random(T=3, N=2, D=2, H=3, seed=1, dtype="float32").probed().save(tmp_path / "case.npz")
    return str(tmp_path / "case.npz")


def test_a_wrong_subject_is_explained(rnn_oracle: Run, saved: str) -> None:
    status, out, _ = rnn_oracle("explain", saved, "own:wrong")
    assert status == 1
    assert "dWh is wrong; h, dx, dh0, dWx are right (T=1, N=1, D=1, H=2, no bias)." in out
    assert "`dWh transposed`" in out


def test_a_right_subject_has_no_fault(rnn_oracle: Run, saved: str) -> None:
    status, out, _ = rnn_oracle("explain", saved, "own:right")
    assert status == 0
    assert out == "own.right float32: no fault in this case\n"


def test_more_than_one_adapter_is_an_error(rnn_oracle: Run, saved: str) -> None:
    status, _, err = rnn_oracle("explain", saved, "own:ADAPTERS")
    assert status == 2
    assert err.startswith("rnn-oracle: explain: expected one adapter, got ['own.right', 'own.wrong'")


def test_a_file_that_is_not_there_is_named(rnn_oracle: Run) -> None:
    status, _, err = rnn_oracle("explain", "/no/case.npz", "own:right")
    assert status == 2
    assert err == "rnn-oracle: Case.load: expected an .npz file, got no file at /no/case.npz\n"
