"""Each adapter runs in its own process: if the process ends or hangs, one check fails."""

from __future__ import annotations

import json
import os
import pickle
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from adapters.conformance import discovery
from adapters.conformance.cli import main
from adapters.conformance.process import SPAWN, Ended, Worker
from reference import Case
from tests.progress import besides_progress

ROOT = Path(__file__).parents[2]
MODULE = """
import dataclasses, os, signal, sys, time, types
import numpy as np
from adapters import Adapter, ExpectedFailure
from reference import evaluate

def right(case):
    return evaluate(case).astype(case.dtype)

def wrong(case):
    return dataclasses.replace(right(case), dWh=np.array(right(case).dWh.mT))

def only_in(dtype, harm):
    def run(case):
        if case.dtype == dtype and case.sizes["T"] > 1:
            harm()
        return right(case)
    return run

class Odd(Exception):
    def __init__(self, first, second):
        self.unpicklable = lambda: first

def raise_what_cannot_be_pickled():
    raise Odd(1, 2)

def segfault():
    print("the kernel prints soething", flush=True)
    os.kill(os.getpid(), signal.SIGSEGV)

def hang():
    signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGALRM, signal.SIGTERM])  # as code that never returns to Python
    time.sleep(1000)

def hang_once_it_is_small(case):
    if case.sizes["T"] == 1 and case.K == 1:
        hang()
    return wrong(case) if case.sizes["T"] > 1 else right(case)

# Types of its own, which no other process can import or receive.
ULPS = types.MappingProxyType({"float64": 2.5, "float32": 2.5})

class Own(Adapter):
    pass

def named(name, run, **more):
    return Own(f"NAME.{name}", run, name, np.tanh, ULPS, takes_stacks=True, **more)

good = named("good", right)
bad = named("bad", wrong)
silent = named("silent", only_in("float64", lambda: os._exit(0)))
leaving = named("leaving", only_in("float64", lambda: os._exit(3)))
exiting = named("exiting", only_in("float64", lambda: sys.exit("no more")))
crashing = named("crashing", only_in("float64", segfault))
aborting = named("aborting", only_in("float64", os.abort))
odd = named("odd", only_in("float64", raise_what_cannot_be_pickled))
hanging = named("hanging", only_in("float64", hang))
never_small = named("never_small", hang_once_it_is_small)
tearing = named("tearing", only_in("float64", lambda: print("a line\\n" * 3, flush=True)))
excused = named("excused", only_in("float64", segfault),
                expected_failures={"sequence": ExpectedFailure("it crashes", "our list")})
def wait():
    open("waiting", "w").close()
    time.sleep(1000)

waiting = named("waiting", only_in("float64", wait))
judged = set()

def alone(name):
    def run(case):
        judged.add(name)
        assert judged == {name}, "another adapter was in this process"
        return right(case)
    return named(name, run)

pair = [alone("first"), alone("second")]
everybody = [good, silent, leaving, exiting, crashing, aborting, odd, excused, tearing]
"""
Run = Callable[..., tuple[int, dict[str, dict[str, dict[str, Any]]], str]]
PASS = {"step": "pass", "sequence": "pass", "trained": "pass"}


@pytest.fixture
def modules(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Change to a folder with two modules of adapters, and a module that ends its process when it is imported."""
    for name in ("one", "two"):
        (tmp_path / f"{name}.py").write_text(MODULE.replace("NAME", name))
    (tmp_path / "dying.py").write_text("import os\nos._exit(7)\n")
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.fixture
def check(modules: Path, capsys: pytest.CaptureFixture[str]) -> Run:
    """Judge adapters; return the exit status, the checks by adapter, dtype and name, and the output."""

    def run(*words: str) -> tuple[int, Any, str]:
        quick = ("--stacks", "1", "--json", "r.json", *(() if "--only" in words else ("--only", *PASS)))
        status = main(["check", *words, *quick])
        return status, results(modules / "r.json"), capsys.readouterr().out

    return run


def results(path: Path) -> dict[str, Any]:
    """Return the checks in a results file by adapter, dtype and name."""
    return {
        adapter["name"]: {
            dtype: {check["name"]: check for check in kind["checks"]} for dtype, kind in adapter["dtypes"].items()
        }
        for adapter in json.loads(path.read_text())["adapters"]
    }


def statuses(row: dict[str, Any]) -> dict[str, str]:
    return {name: found["status"] for name, found in row.items()}


def test_every_adapter_has_a_new_process(check: Run) -> None:
    status, rows, _ = check("one:pair")
    assert (status, [*rows]) == (0, ["one.first", "one.second"])


ENDS = {
    "silent": "the process ended with exit status 0",
    "leaving": "the process ended with exit status 3",
    "exiting": "contract: expected an Evaluation, got sys.exit('no more')",
    "crashing": "the process ended with signal 11 (Segmentation fault); the last line it printed: the kernel prints so",
    "aborting": "the process ended with signal 6 (Aborted)",
    "odd": "raised Odd: (1, 2) (T=",
}


def test_the_end_of_a_process_fails_only_its_own_checks_and_is_described(check: Run) -> None:
    status, rows, out = check("one:everybody", "two:good")
    assert status == 1
    for name, how in ENDS.items():
        assert statuses(rows[f"one.{name}"]["float64"]) == PASS | dict.fromkeys(("sequence", "trained"), "fail")
        assert statuses(rows[f"one.{name}"]["float32"]) == PASS
        message = rows[f"one.{name}"]["float64"]["sequence"]["failure"]["message"]
        assert message.startswith(f"one.{name} float64: {how}")
        assert message in out
    # An expected crash is an xfail. Each check needs its own expected failure.
    assert statuses(rows["one.excused"]["float64"]) == PASS | {"sequence": "xfail", "trained": "fail"}
    for name in ("one.good", "one.tearing", "two.good"):
        assert [statuses(rows[name][dtype]) for dtype in ("float64", "float32")] == [PASS, PASS]
    # The rows are in the order of the names, and the output of a subject is not among them.
    assert list(rows) == [*(f"one.{name}" for name in ("good", *ENDS, "excused", "tearing")), "two.good"]
    assert "a line" not in out.split("printed  one: ")[0]
    assert "printed  one: " in out


@pytest.mark.parametrize("name", ["silent", "crashing"])
def test_a_subject_that_is_alone_ends_no_process_but_its_own(check: Run, name: str) -> None:
    status, rows, out = check(f"one:{name}", "--dtype", "float64")
    assert status == 1
    assert statuses(rows[f"one.{name}"]["float64"]) == PASS | dict.fromkeys(("sequence", "trained"), "fail")
    assert f"one.{name} float64: {ENDS[name]}" in out
    # The advice also runs in its own process.
    assert out.startswith(f"one.{name} float64, one small case: {ENDS[name]}")


def test_a_module_that_ends_its_process_when_it_is_imported_has_a_row(check: Run) -> None:
    status, rows, out = check("dying:adapter", "two:good", "--dtype", "float32")
    assert status == 1
    assert statuses(rows["dying"]["float32"]) == {"import": "fail"}
    assert statuses(rows["two.good"]["float32"]) == PASS
    assert "dying: the process ended with exit status 7" in out


def test_code_that_hangs_is_killed_and_costs_its_own_check(check: Run, tmp_path: Path) -> None:
    asked = ("--timeout", "6", "--reproduce", str(tmp_path / "new"), "--only", "step", "sequence", "--jobs", "2")
    status, rows, out = check("one:hanging", "two:never_small", *asked)
    assert status == 1
    assert statuses(rows["one.hanging"]["float64"]) == {"step": "pass", "sequence": "fail"}
    assert statuses(rows["one.hanging"]["float32"]) == {"step": "pass", "sequence": "pass"}
    late = "no answer within 6 s; the process was killed"
    assert f"one.hanging float64: {late}" in out
    # If shrinking a failure hangs, the failure is kept.
    failure = rows["two.never_small"]["float64"]["sequence"]["failure"]
    assert failure["message"].startswith("two.never_small float64 dWh[")
    assert f"undiagnosed  two.never_small-float64-sequence: {late}" in out
    assert f"unwritten  two.never_small-float64-sequence: {late}" in out


def test_an_interrupt_prints_the_results_so_far_and_ends_with_130(modules: Path) -> None:
    code = "import sys; from adapters.conformance.cli import main; sys.exit(main(sys.argv[1:]))"
    words = ("check", "one:waiting", "--only", *PASS, "--stacks", "1", "--json", "r.json", "--timeout", "inf")
    process = subprocess.Popen(
        [sys.executable, "-c", code, *words],
        cwd=modules,
        env=os.environ | {"PYTHONPATH": str(ROOT)},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
        # In the background of a shell, interrupts are ignored.
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.default_int_handler),
    )
    while process.poll() is None and not (modules / "waiting").exists():
        time.sleep(0.1)
    # A terminal also sends the interrupt to every process of the group.
    os.killpg(process.pid, signal.SIGINT)
    out, err = process.communicate(timeout=60)
    assert (process.returncode, besides_progress(err)) == (130, "")
    assert " interrupted, 1 of 3 " in out
    assert "not begun  one.waiting in float32\n\none.waiting is unfinished.\n" in out
    assert statuses(results(modules / "r.json")["one.waiting"]["float64"]) == {
        "step": "pass",
        "sequence": "interrupted",
        "trained": "interrupted",
    }


def test_an_attribute_that_is_not_there_ends_with_status_2(modules: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["check", "one:god", "two:good", "--stacks", "1"]) == 2
    assert "check: expected an attribute of one among" in capsys.readouterr().err


def test_a_worker_describes_its_adapters_and_is_replaced_once_it_has_ended(modules: Path) -> None:
    worker = Worker(["one:both", "one:good"], find=only_good)
    try:
        ((adapter, facts),) = worker.start()
        assert (adapter.name, adapter.dtypes, facts) == ("one.good", ("float64", "float32"), {"one": "-"})
        # Its functions stay in its process: another one cannot import them.
        with pytest.raises(NotImplementedError):
            adapter.run(Case.random())
        assert worker.call(describe, "one.good", 3) == "one.good 3"
        with pytest.raises(Ended, match=r"^the process ended with exit status 5$"):
            worker.call(leave, "one.good")
        with pytest.raises(
            Ended, match=r"^the process ended with exit status 1; the last line it printed: KeyError: 'x'$"
        ):
            worker.call(fail, "one.good")
        assert worker.call(describe, "one.good", 4) == "one.good 4"
    finally:
        worker.close()


def test_a_process_that_cannot_start_is_an_error_of_the_system(
    modules: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(self: Any) -> None:
        raise OSError(11, "Resource temporarily unavailable")

    monkeypatch.setattr(SPAWN.Process, "start", full)
    assert main(["check", "one:good", "--stacks", "1"]) == 2
    assert capsys.readouterr().err.startswith("rnn-oracle: [Errno 11] Resource temporarily unavailable")


def only_good(name: str) -> Any:
    return discovery.find("one:good")


def describe(adapter: Any, number: int) -> str:
    return f"{adapter.name} {number}"


def leave(adapter: Any) -> None:
    os._exit(5)


def fail(adapter: Any) -> None:
    raise KeyError("x")


def test_an_array_of_bfloat16_is_read_by_a_process_that_has_not_met_one() -> None:
    script = "import io, sys\nfrom adapters.conformance.process import Reader\nassert 'ml_dtypes' not in sys.modules\n"
    script += "print(Reader(io.BytesIO(sys.stdin.buffer.read())).load().dtype)"
    sent = pickle.dumps(Case.random(dtype="bfloat16"))
    ran = subprocess.run([sys.executable, "-c", script], input=sent, capture_output=True, check=True)
    assert ran.stdout.decode().split() == ["bfloat16"]
