"""A subject that ends its process, hangs, or raises an odd error costs its own checks, and the status is not 0."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from adapters.conformance import discovery
from adapters.conformance.cli import main
from reference import Case
from tests.progress import besides_progress

MODULE = """
import os, signal, sys
import numpy as np
from adapters import Adapter, Unsupported
from reference import evaluate

class Wordless(Exception):
    def __str__(self):
        raise RuntimeError("no words")

class WordlessUnsupported(Unsupported):
    __str__ = Wordless.__str__

class Other(BaseException):
    pass

class WordlessOther(BaseException):
    __str__ = __repr__ = Wordless.__str__

class Text(str):
    pass

def loop():
    for number in range(1, 65):
        try:
            signal.signal(number, signal.SIG_IGN)
        except (OSError, ValueError):
            pass
    while True:
        pass

def throw(error):
    raise error

def right(case):
    return evaluate(case).astype(case.dtype)

def named(name, harm):
    def run(case):
        if case.sizes["T"] > 1:
            harm()
        return right(case)
    run.__name__ = name
    return run

wordless = named("wordless", lambda: throw(Wordless()))
unsupported = named("unsupported", lambda: throw(WordlessUnsupported()))
other = named("other", lambda: throw(Other("of its own")))
wordless_other = named("wordless_other", lambda: throw(WordlessOther()))
generator = named("generator", lambda: throw(GeneratorExit()))
interrupt = named("interrupt", lambda: throw(KeyboardInterrupt()))
group = named("group", lambda: throw(BaseExceptionGroup("several", [Other()])))
wordless_exit = named("wordless_exit", lambda: sys.exit(WordlessOther()))
looping = named("looping", loop)
closing = named("closing", lambda: os.closerange(3, 100))
texts = Adapter(Text("own.texts"), right, Text("text"), np.tanh, {Text("float32"): 2.5}, takes_stacks=True)

def without_steps(case):
    if case.sizes["T"]:
        raise Unsupported("only T = 0")
    return right(case)
"""
IMPORTS = {
    "exiting": "import os; os._exit(0)",
    "leaving": "import sys; sys.exit(0)",
    "crashing": "import os; os.kill(os.getpid(), 11)",
    "aborting": "import os; os.abort()",
    "interrupting": "raise KeyboardInterrupt",
    "other": "class Other(BaseException): pass\nraise Other('of its own')",
    "wordless": "class Wordless(Exception):\n    def __str__(self): return 1 / 0\nraise Wordless",
    "looping": "while True: pass",
}
Run = Callable[..., tuple[int, dict[str, str], str, str]]


@pytest.fixture
def check(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Run:
    """Judge subjects in two checks; return the status, the verdicts of the rows by adapter, output and errors."""
    (tmp_path / "own.py").write_text(MODULE)
    for name, text in IMPORTS.items():
        (tmp_path / f"import_{name}.py").write_text(text)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("adapters.conformance.process.TIMEOUT", 8.0)

    def run(*words: str) -> tuple[int, Any, str, str]:
        only = () if "--only" in words else ("--only", "step", "sequence")
        asked = ("--stacks", "1", "--dtype", "float32", "--json", "r.json", *only)
        status = main(["check", *words, *asked])
        rows = json.loads(Path("r.json").read_text())["adapters"] if Path("r.json").exists() else []
        verdicts = {
            row["name"]: " ".join(each["status"] for kind in row["dtypes"].values() for each in kind["checks"])
            for row in rows
        }
        return status, verdicts, *capsys.readouterr()

    return run


NO_ANSWER = "contract: expected an Evaluation, got "
ERRORS = {
    "wordless": f"{NO_ANSWER}Wordless, whose __str__ raises an error",
    "unsupported": f"{NO_ANSWER}WordlessUnsupported, whose __str__ raises an error",
    "other": f"{NO_ANSWER}Other: of its own",
    "wordless_other": f"{NO_ANSWER}WordlessOther, whose __str__ raises an error",
    "generator": f"{NO_ANSWER}GeneratorExit",
    "interrupt": "the process ended with exit status 1; the last line it printed: KeyboardInterrupt",
    "group": f"{NO_ANSWER}BaseExceptionGroup: several (1 sub-exception)",
    "wordless_exit": f"{NO_ANSWER}SystemExit, whose __str__ raises an error",
    "closing": "the process ended with exit status 1; the last line it printed: OSError: [Errno 9] Bad file descriptor",
}


def test_an_error_of_any_kind_costs_its_own_check_in_words(check: Run) -> None:
    status, verdicts, out, _ = check(*(f"own:{name}" for name in ERRORS), "own:right")
    assert status == 1
    assert verdicts == dict.fromkeys(ERRORS, "pass fail") | {"right": "pass pass"}
    for name, words in ERRORS.items():
        assert f"\nFAIL in sequence\n{name} float32: {words}\n" in out


def test_a_loop_that_ignores_all_signals_is_killed(check: Run) -> None:
    status, verdicts, out, _ = check("own:looping", "own:right", "--timeout", "4")
    assert (status, verdicts) == (1, {"looping": "pass fail", "right": "pass pass"})
    assert "looping float32: no answer within 4 s; the process was killed" in out


ENDS = {
    "exiting": "the process ended with exit status 0",
    "crashing": "the process ended with signal 11 (Segmentation fault)",
    "aborting": "the process ended with signal 6 (Aborted)",
    "interrupting": "the process ended with exit status 1; the last line it printed: KeyboardInterrupt",
    "looping": "no answer within 8 s; the process was killed",
}


def test_an_import_that_ends_its_process_costs_its_own_row(check: Run) -> None:
    status, verdicts, out, _ = check(*(f"import_{name}:x" for name in ENDS), "own:right", "--timeout", "4")
    assert status == 1
    assert verdicts == {f"import_{name}": "fail" for name in ENDS} | {"right": "pass pass"}
    for name, words in ENDS.items():
        assert f"\nFAIL in import\nimport_{name}: {words}\n" in out


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("leaving", "sys.exit(0)"),
        ("other", "Other: of its own"),
        ("wordless", "Wordless, whose __str__ raises an error"),
    ],
)
def test_an_import_that_raises_an_error_ends_with_2_after_the_results_of_before(
    check: Run, name: str, words: str
) -> None:
    status, verdicts, out, err = check("own:right", f"import_{name}:x", "--jobs", "1")
    assert (status, verdicts) == (2, {"right": "pass pass"})
    assert " right " in out
    expected = f"expected a module that can be imported as import_{name}, got {words}"
    assert besides_progress(err) == f"rnn-oracle: check: {expected}\n"


def test_a_subject_of_nothing_but_empty_cases_is_not_judged(check: Run) -> None:
    status, verdicts, out, _ = check("own:without_steps", "--only", "step", "shapes")
    assert (status, verdicts) == (1, {"without_steps": "not judged not judged"})
    assert "\nNOT JUDGED in step, shapes\nexpected cases with numbers to be judged, got none\nIt raised Unsup" in out
    # The twin: with one step, it is judged.
    assert check("own:right", "--only", "step", "shapes")[:2] == (0, {"right": "pass pass"})


def test_weights_without_a_number_are_not_judged(check: Run) -> None:
    np.savez("w.npz", Wx=np.zeros((0, 0)), Wh=np.zeros((0, 0)), b=np.zeros(0))
    status, verdicts, _, _ = check("own:right", "--params", "w.npz")
    assert (status, verdicts) == (1, {"right": "not judged not judged"})


def test_a_subject_without_the_precision_is_reported_beside_others(check: Run) -> None:
    Path("half.py").write_text(MODULE.replace('Text("float32")', '"float16"'))
    status, verdicts, out, _ = check("own:right", "half:texts")
    assert (status, verdicts) == (1, {"right": "pass pass"})
    assert "unjudged  half: expected a precision that it offers, got float32" in out


def test_types_of_a_subject_stay_in_its_process(check: Run) -> None:
    assert check("own:texts")[:2] == (0, {"own.texts": "pass pass"})
    assert "own" not in sys.modules


def test_a_function_is_judged_in_half_precisions_on_request(check: Run, capsys: pytest.CaptureFixture[str]) -> None:
    def dtypes(*words: str) -> list[str]:
        assert main(["check", "own:right", "--stacks", "1", "--only", "step", "--json", "r.json", *words]) == 0
        return [*json.loads(Path("r.json").read_text())["adapters"][0]["dtypes"]]

    assert dtypes() == ["float64", "float32"]
    # An option that is given twice adds up.
    assert dtypes("--dtype", "bfloat16", "float16") == dtypes("--dtype", "float16", "--dtype", "bfloat16")
    assert dtypes("--dtype", "float16", "--dtype", "bfloat16", "--only", "sequence") == ["bfloat16", "float16"]
    assert [
        each["name"] for each in json.loads(Path("r.json").read_text())["adapters"][0]["dtypes"]["float16"]["checks"]
    ] == ["step", "sequence"]


@pytest.mark.parametrize(("name", "status"), [("import_exiting:x", 2), ("own:other", 1), ("own:right", 0)])
def test_explain_runs_its_subject_in_a_process_of_its_own(check: Run, name: str, status: int) -> None:
    Case.random(T=3, dtype="float32").save("case.npz")
    assert main(["explain", "case.npz", name]) == status


def test_a_plug_in_that_ends_its_process_fails_the_list(
    check: Run, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("adapters.frameworks", list)
    assert main(["list"]) == 0
    monkeypatch.setattr(discovery, "plugins", lambda: {"odd": None})
    monkeypatch.setattr(discovery, "everything", find_nothing)
    assert main(["list"]) == 1
    assert "odd: the process ended with exit status 0" in capsys.readouterr().out


def find_nothing(name: str) -> Any:
    """Stand for the import of a plug-in."""
    os._exit(0)
