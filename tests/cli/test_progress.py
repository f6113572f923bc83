"""The progress bar counts every trial of a search, up to the limit, and is removed from the screen."""

from __future__ import annotations

import io
import re
from collections.abc import Callable
from pathlib import Path

import pytest
from rich.console import Console

from adapters.conformance.reproduce import TRIES
from adapters.conformance.run import bar
from reference import Case

Run = Callable[..., tuple[int, str, str]]


@pytest.fixture
def screen(monkeypatch: pytest.MonkeyPatch) -> io.StringIO:
    """Return the characters that the command line sends to a terminal."""
    sent = io.StringIO()
    console = Console(file=sent, force_terminal=True, width=120)
    monkeypatch.setattr("adapters.conformance.commands.wide_console", lambda: console)
    return sent


def counts(screen: io.StringIO, total: int) -> set[int]:
    """Return the numbers that were shown before a total."""
    return {int(done) for done in re.findall(rf"(\d+)/{total}\b", re.sub(r"\x1b\[[\d;?]*\w", "", screen.getvalue()))}


def test_a_bar_shows_what_is_done_and_goes_away() -> None:
    screen = io.StringIO()
    with bar(Console(file=screen, force_terminal=True, width=120), 5, "eggs") as update:
        update(advance=1)
        update(advance=1, description="spam")
    assert counts(screen, 5) >= {2}
    assert "spam" in screen.getvalue()
    assert screen.getvalue().endswith("\x1b[1A\x1b[2K")


def test_a_file_has_nothing_of_a_bar() -> None:
    file = io.StringIO()
    with bar(Console(file=file, width=120), 5, "eggs") as update:
        update(advance=1, description="spam")
    assert file.getvalue() == ""


def test_explain_counts_the_trials(rnn_oracle: Run, screen: io.StringIO, tmp_path: Path) -> None:
    Case.random(T=3, N=2, D=2, H=3, seed=1, dtype="float32").probed().save(tmp_path / "case.npz")
    assert rnn_oracle("explain", str(tmp_path / "case.npz"), "own:wrong")[0] == 1
    assert 0 < max(counts(screen, TRIES)) <= TRIES
    assert "smallest case, and its faults" in screen.getvalue()


def test_check_counts_the_checks_of_each_subject(rnn_oracle: Run, screen: io.StringIO) -> None:
    assert rnn_oracle("check", "own:right", "--stacks", "1", "--dtype", "float32", "--only", "step", "sequence")[0] == 0
    assert counts(screen, 2) >= {2}
    assert "own.right float32 sequence" in screen.getvalue()
