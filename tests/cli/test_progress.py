"""The progress: what will be judged, a table that fills, bars that go away, and lines without a terminal."""

from __future__ import annotations

import io
import re
from collections.abc import Callable
from pathlib import Path

import pytest
from rich.console import Console

from adapters.conformance.report import Report, Result, Row
from adapters.conformance.reproduce import TRIES
from adapters.conformance.screen import Screen, bar, estimate
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


def plain(screen: io.StringIO) -> str:
    """Return what was sent to a terminal without its control sequences."""
    return re.sub(r"\x1b\[[\d;?]*\w|\r", "", screen.getvalue())


def test_the_table_fills_with_verdicts_and_goes_away(rnn_oracle: Run, screen: io.StringIO) -> None:
    assert rnn_oracle("check", "own:right", "--stacks", "1", "--dtype", "float32", "--only", "step", "sequence")[0] == 0
    shown = plain(screen)
    assert "own: 1 way in float32, 2 checks each: 2 verdicts, less than a minute\n" in shown.partition("adapter")[0]
    assert re.search(r" own.right .* pass +- .* 1 of 2 *\n", shown)
    # The table of the results stays.
    assert len(re.findall(r" own.right .* pass +pass .* pass ", shown.rpartition("oracle  python")[2])) == 1


def test_a_low_terminal_has_the_rows_that_still_change() -> None:
    finished, changing = Result("step", cases=1), [Result("step", cases=1), Result("long", interrupted=True)]
    rows = [Row(f"eggs.{i}", "eggs", "1", "float32", [finished]) for i in range(50)]
    rows[7].checks = changing
    console = Console(file=io.StringIO(), force_terminal=True, width=100, height=20)
    shown = Screen(console, lambda: [Report({}, rows)])
    shown.update(shown.group("eggs"))
    with console.capture() as captured:
        console.print(shown.render())
    names = re.findall(r"eggs\.\d+", captured.get())
    assert names == ["eggs.7", *(f"eggs.{i}" for i in range(38, 50))]
    assert len(captured.get().splitlines()) <= 20


def test_without_a_terminal_each_finished_row_is_a_line_of_standard_error(rnn_oracle: Run) -> None:
    _, out, err = rnn_oracle("check", "own:right", "own:wrong", "--stacks", "1", "--only", "sequence")
    assert err.splitlines() == [
        "own: 2 ways in float64 and float32, 1 check each: 4 verdicts, less than a minute",
        "own.right float64: pass, 152 cases",
        "own.right float32: pass, 152 cases",
        "own.wrong float64: fail, 76 cases",
        "own.wrong float32: fail, 76 cases",
    ]
    assert "pass, 152 cases" not in out


@pytest.mark.parametrize(
    ("verdicts", "stacks", "words"),
    [(1, 1, "less than a minute"), (154, 8, "about 4 minutes"), (154, 96, "about 26 minutes")],
)
def test_the_estimate_is_in_minutes(verdicts: int, stacks: int, words: str) -> None:
    assert estimate(verdicts, stacks) == words
