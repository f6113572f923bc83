"""Outputs are opened before anything is judged, an input is never overwritten, and numbers have a limit."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from adapters.conformance import commands
from tests.progress import besides_progress

Run = Callable[..., tuple[int, str, str]]
QUICK = ("own:right", "--stacks", "1", "--dtype", "float32", "--only", "step")


@pytest.fixture
def unjudged(monkeypatch: pytest.MonkeyPatch) -> None:
    """Fail if anything is judged."""

    def judge_all(*arguments: Any) -> None:
        raise AssertionError("something was judged")

    monkeypatch.setattr(commands, "judge_all", judge_all)


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--json", "folder"], "--json: expected a file that can be written, got folder (Is a directory)"),
        (["--html", "sealed"], "--html: expected a file that can be written, got sealed (Permission denied)"),
        (["--json", "r", "--html", "./r"], "--html: expected a file other than --json, got r"),
        (["--params", "w.npz", "--json", "w.npz"], "--json: expected a file other than the input w.npz, got w.npz"),
        (["--params", "w.npz", "--json", "link"], "--json: expected a file other than the input w.npz, got link"),
        (["--json", "w.npz", "--html", "link"], "--html: expected a file other than --json, got link"),
        (["--markdown", "own.py"], "--markdown: expected a file other than the module own, got own.py"),
        (["--reproduce", "w.npz"], "--reproduce: expected a folder that can be written to, got w.npz"),
        (["--reproduce", "w.npz/new"], "--reproduce: expected a folder that can be written to, got w.npz/new"),
    ],
)
def test_an_output_that_cannot_be_written_is_an_error_before_anything_is_judged(
    rnn_oracle: Run, unjudged: None, words: list[str], message: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    np.savez("w.npz", Wx=np.ones((2, 3)), Wh=np.ones((3, 3)))
    Path("link").hardlink_to("w.npz")
    Path("folder").mkdir()
    own, weights = Path("own.py").read_bytes(), Path("w.npz").read_bytes()

    open_path = Path.open

    def opened(path: Path, *modes: Any, **options: Any) -> Any:
        if path.name == "sealed":  # permissions do not hold for root
            raise PermissionError(13, "Permission denied")
        return open_path(path, *modes, **options)

    with monkeypatch.context() as patch:
        patch.setattr(Path, "open", opened)
        assert rnn_oracle("check", *QUICK, *words) == (2, "", f"rnn-oracle: {message}\n")
    assert (Path("own.py").read_bytes(), Path("w.npz").read_bytes()) == (own, weights)
    assert not Path("r").exists()


def test_no_file_is_left_by_an_error_in_the_names(rnn_oracle: Run) -> None:
    assert rnn_oracle("check", "caffe", "--json", "r.json")[0] == 2
    assert not Path("r.json").exists()


def test_the_results_of_a_report_and_the_model_of_a_port_are_inputs(rnn_oracle: Run) -> None:
    assert rnn_oracle("check", *QUICK, "--json", "r.json")[0] == 0
    before = Path("r.json").read_bytes()
    status, _, err = rnn_oracle("report", "r.json", "-o", "r.json")
    assert (status, err) == (2, "rnn-oracle: --output: expected a file other than the input r.json, got r.json\n")
    np.savez("w.npz", Wx=np.ones((2, 3)), Wh=np.ones((3, 3)))
    status, _, err = rnn_oracle("port", "w.npz", "--from", "torch", "--to", "flax", "-o", "w.npz")
    assert (status, err) == (2, "rnn-oracle: --output: expected a file other than the input w.npz, got w.npz\n")
    assert Path("r.json").read_bytes() == before


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="only Linux has a device that is always full")
def test_a_full_disk_costs_its_file_and_not_the_table(rnn_oracle: Run) -> None:
    status, out, err = rnn_oracle("check", *QUICK, "--json", "/dev/full", "--markdown", "t.md")
    assert status == 2
    assert besides_progress(err) == "rnn-oracle: --json: /dev/full was not written: No space left on device\n"
    assert " own.right  float32 " in out
    assert "own.right" in Path("t.md").read_text()


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--stacks", "100000001"], "--stacks: expected a whole number of at most 100000000, got 100000001"),
        (["--seed", "9" * 5000], "--seed: expected a whole number of at most 9007199254740992, got one of 5000 digits"),
        (["--jobs", "1" * 20], "--jobs: expected a whole number of at most 100000000, got 11111111111111111111"),
    ],
)
def test_a_number_that_is_too_large_is_a_sentence(rnn_oracle: Run, words: list[str], message: str) -> None:
    status, _, err = rnn_oracle("check", *QUICK, *words)
    assert status == 2
    assert err.splitlines()[-1] == f"rnn-oracle check: error: argument {message}"
