"""``--limit``: what hangs costs its own check, and no other."""

from __future__ import annotations

import json
from pathlib import Path
from types import SimpleNamespace

import pytest

from adapters.conformance import cli, course
from adapters.conformance.choices import LIMIT
from adapters.conformance.cli import main
from adapters.conformance.guard import time_limit

# What does not hang takes a tenth of a second, on a machine that has nothing else to do.
QUICK = ("--dtype", "float32", "--examples", "2", "--limit", "3")


def judged(name: str, folder: Path, *arguments: str) -> dict[str, str]:
    """Return the status of every check of a cell."""
    own = ("--adapter", f"tests.conformance.cells:{name}", "--json", str(folder / "r.json"))
    assert main(["check", *own, *QUICK, *arguments]) == 1
    (kind,) = json.loads((folder / "r.json").read_text())["adapters"][0]["dtypes"].values()
    return {check["name"]: check["status"] for check in kind["checks"]}


def test_a_hang_costs_its_own_check(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    found = judged("hanging", tmp_path, "--only", "step", "sequence", "options")
    assert found == {"step": "pass", "sequence": "fail", "options": "unsupported"}
    told = "FAIL in sequence\nhanging float32: expected an answer within 3 s, got none\n"
    assert told in capsys.readouterr().out


def test_a_failure_is_kept_where_making_it_smaller_hangs(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    asked = ("--only", "sequence", "--reproduce", str(tmp_path))
    assert judged("hanging_once_it_is_small", tmp_path, *asked) == {"sequence": "fail"}
    out = capsys.readouterr().out
    assert "hanging_once_it_is_small float32 db[" in out
    told = "unwritten  hanging_once_it_is_small-float32-sequence: expected an answer within 3 s, got none"
    assert told in out


def limit_of(*arguments: str) -> float | None:
    """Return the limit of what the command line asks for."""
    return course.plan_for(cli.parser().parse_args(["check", *arguments]), []).limit


def test_more_examples_may_take_more_time_unless_it_is_said() -> None:
    assert limit_of() == limit_of("--examples", "1") == LIMIT
    assert limit_of("--examples", "80") == 10 * LIMIT
    assert limit_of("--examples", "80", "--limit", "7.5") == 7.5


def test_infinity_is_no_limit(monkeypatch: pytest.MonkeyPatch) -> None:
    limit = limit_of("--limit", "inf")
    monkeypatch.setattr("signal.setitimer", SimpleNamespace())  # calling it would be an error
    with time_limit(limit):
        pass
    with pytest.raises(TypeError), time_limit(7.5):
        pass


@pytest.mark.parametrize("text", ["0", "-1", "nan", "soon"])
def test_what_is_no_limit_is_told(text: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        main(["check", f"--limit={text}"])
    assert f"argument --limit: expected seconds above 0, or inf, got '{text}'" in capsys.readouterr().err
