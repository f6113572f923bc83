"""Several frameworks: each in a process of its own, so that what one does to its process costs its own row."""

from __future__ import annotations

import json
import os
import re
import signal
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from adapters.conformance import processes
from adapters.conformance.cli import main
from reference.archive import DTYPES

MODULE = """
import dataclasses, os, signal, sys, time
import numpy as np
from adapters import Adapter
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

def segfault():
    print("the kernel says something", file=sys.stderr, flush=True)
    os.kill(os.getpid(), signal.SIGSEGV)

def hang():
    signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGALRM])  # as code does that never comes back to Python
    time.sleep(1000)

ULPS = {"float64": 2.5, "float32": 2.5}

def named(name, run, **more):
    return Adapter(f"NAME.{name}", run, name, np.tanh, ULPS, takes_stacks=True, **more)

good = named("good", right)
both = [good, named("vectorized", right, vectorized=True)]
bad = named("bad", wrong)
crashing = [named("crashing", only_in("float64", segfault)), good]
leaving = named("leaving", only_in("float64", lambda: os._exit(3)))
silent = named("silent", only_in("float64", lambda: os._exit(0)))
hanging = named("hanging", only_in("float64", hang))
interrupted = named("interrupted", only_in("float64", lambda: os.kill(os.getpid(), signal.SIGINT)))
"""
Run = Callable[..., tuple[int, dict[str, dict[str, dict[str, Any]]], str]]


@pytest.fixture
def check(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Run:
    """Judge adapters of two modules; give the exit status, the checks by adapter, dtype and name, and the output."""
    for name in ("one", "two"):
        (tmp_path / f"{name}.py").write_text(MODULE.replace("NAME", name))
    (tmp_path / "dying.py").write_text("import os\nos._exit(7)\n")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("PYTHONPATH", str(tmp_path), prepend=":")

    def run(*names: str, extra: tuple[str, ...] = ("--only", "step", "sequence")) -> tuple[int, Any, str]:
        asked = [word for name in names for word in ("--adapter", name)]
        status = main(["check", *asked, "--examples", "1", "--json", "r.json", *extra])
        found = json.loads(Path("r.json").read_text())["adapters"]
        rows = {
            adapter["name"]: {
                dtype: {check["name"]: check for check in kind["checks"]} for dtype, kind in adapter["dtypes"].items()
            }
            for adapter in found
        }
        return status, rows, capsys.readouterr().out

    return run


def statuses(row: dict[str, Any]) -> dict[str, str]:
    return {name: found["status"] for name, found in row.items()}


ONLY_GOOD = ("--only", "step")
PASS = {"step": "pass", "sequence": "pass"}


def test_rows_stand_in_the_order_in_which_they_were_asked_for(check: Run) -> None:
    status, rows, out = check("two:good", "one:good")
    assert status == 0
    assert list(rows) == ["two.good", "one.good"]
    assert all(statuses(row) == PASS for adapter in rows.values() for row in adapter.values())
    assert out.index("two.good") < out.index("one.good")


def test_of_several_frameworks_the_checks_of_most_cases_come_first_but_in_the_table(
    check: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    begun: list[tuple[str, ...]] = []

    def give(worker: processes.Worker, job: processes.Job, rows: Any) -> None:
        begun.append((job.origin.partition(":")[0], *(job.dtypes if job.mass is False else ("mass",))))
        given(worker, job, rows)

    given = processes.Worker.give
    monkeypatch.setattr(processes.Worker, "give", give)
    asked = ("--only", "step", "trained", "--jobs", "2", "--dtype", *PASS_DTYPES)
    status, rows, out = check("one:both", "two:both", extra=asked)
    assert status == 0
    assert begun[:2] == [("one", "mass"), ("two", "mass")]
    assert sorted(begun[2:]) == [(name, dtype) for name in ("one", "two") for dtype in sorted(PASS_DTYPES)]
    assert list(rows) == ["one.good", "one.vectorized", "two.good", "two.vectorized"]
    assert [list(row) for row in rows.values()] == [list(PASS_DTYPES)] * 4
    assert all(list(found) == ["step", "trained"] for row in rows.values() for found in row.values())
    assert out.index("one.good") < out.index("one.vectorized")


def test_a_process_goes_on_with_the_framework_that_it_has_imported(check: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    begun, jobs = list[str](), list[tuple[str, ...]]()

    def start(options: Any, job: processes.Job, *others: Any) -> processes.Worker:
        begun.append(job.origin)
        return started(options, job, *others)

    def give(worker: processes.Worker, job: processes.Job, rows: Any) -> None:
        jobs.append(job.dtypes)
        given(worker, job, rows)

    started, given = processes.start, processes.Worker.give
    monkeypatch.setattr(processes, "start", start)
    monkeypatch.setattr(processes.Worker, "give", give)
    _, rows, _ = check("one:good", extra=(*ONLY_GOOD, "--jobs", "2"))
    assert list(rows["one.good"]) == list(PASS_DTYPES)
    assert begun == ["one", "one"]
    assert jobs == [(dtype,) for dtype in DTYPES]


def test_what_comes_first_of_all_frameworks_comes_before_the_rest_of_one() -> None:
    mass, rest, others = (
        processes.Job(name, (), (), first) for name, first in (("b", True), ("a", False), ("b", False))
    )
    assert processes.following([mass, rest, others], "a") is None
    assert processes.following([rest, others], "b") == others
    assert processes.following([mass, rest, others], "b") == mass
    assert processes.following([], "a") is None


def test_one_framework_on_several_processes_gives_the_rows_of_one(check: Run) -> None:
    alone, beside = check("one:crashing", extra=ONLY_GOOD), check("one:crashing", extra=(*ONLY_GOOD, "--jobs", "2"))
    assert alone[:2] == beside[:2]
    assert list(beside[1]["one.crashing"]) == ["float64", "float32"]


def test_processes_judge_the_very_cases_that_one_process_does(check: Run) -> None:
    alone = check("one:good")[1]["one.good"]
    beside = check("one:good", "two:good")[1]["one.good"]
    assert alone == beside


def test_a_crash_costs_its_own_row_and_what_was_judged_before_is_kept(check: Run) -> None:
    status, rows, out = check("one:crashing", "two:good")
    assert status == 1
    assert statuses(rows["one.crashing"]["float64"]) == {"step": "pass", "sequence": "fail"}
    assert statuses(rows["one.crashing"]["float32"]) == PASS
    assert all(statuses(rows[name][dtype]) == PASS for name in ("one.good", "two.good") for dtype in PASS_DTYPES)
    told = r"FAIL in sequence\none.crashing float64: expected an answer, got the end of the process by signal 11 \(Seg"
    assert re.search(told, out)
    assert "(the kernel says something)" in out


PASS_DTYPES = ("float64", "float32")


def test_a_process_that_leaves_is_told_by_its_exit_status(check: Run) -> None:
    _, rows, out = check("one:leaving", "two:good")
    assert statuses(rows["one.leaving"]["float32"]) == PASS
    assert "one.leaving float64: expected an answer, got the end of the process by exit status 3" in out


@pytest.mark.parametrize(
    ("name", "how"), [("silent", "exit status 0"), ("leaving", "exit status 3"), ("crashing", "signal 11")]
)
def test_a_subject_that_is_alone_ends_no_process_but_its_own(check: Run, name: str, how: str) -> None:
    status, rows, out = check(f"one:{name}")
    assert status == 1
    assert statuses(rows[f"one.{name}"]["float64"]) == {"step": "pass", "sequence": "fail"}
    assert statuses(rows[f"one.{name}"]["float32"]) == PASS
    assert f"one.{name} float64: expected an answer, got the end of the process by {how}" in out


def test_a_module_that_ends_its_process_when_imported_has_a_row(check: Run) -> None:
    # On one core it would have one row of all dtypes.
    status, rows, out = check("dying:adapter", "two:good", extra=("--only", "step", "sequence", "--jobs", "2"))
    assert status == 1
    assert statuses(rows["dying"]["float32"]) == {"import": "fail"}
    assert statuses(rows["two.good"]["float64"]) == PASS
    assert "got the end of the process by exit status 7" in out


def test_code_that_hangs_for_good_is_ended_and_costs_its_own_row(check: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(processes, "GRACE", 1.0)
    status, rows, out = check("one:hanging", "two:good", extra=("--only", "step", "sequence", "--limit", "2"))
    assert status == 1
    assert statuses(rows["one.hanging"]["float64"]) == {"step": "pass", "sequence": "fail"}
    assert statuses(rows["one.hanging"]["float32"]) == PASS
    assert "expected an answer within 2 s, got none, and no way to stop but to end the process" in out


def test_a_failure_is_explained_and_written_down_as_in_one_process(check: Run, tmp_path: Path) -> None:
    extra = ("--only", "sequence", "--dtype", "float32", "--examples", "4", "--reproduce", str(tmp_path / "found"))
    status, rows, out = check("one:bad", "two:good", extra=extra)
    assert status == 1
    failure = rows["one.bad"]["float32"]["sequence"]["failure"]
    assert "`dWh transposed`" in failure["diagnosis"]
    assert failure["reproduction"]
    assert all(Path(path).is_file() for path in failure["reproduction"])
    assert out.count("FAIL in") == 1


def test_what_was_judged_before_an_interruption_is_kept(check: Run) -> None:
    status, rows, out = check("one:interrupted", "two:good")
    assert status == 130
    assert statuses(rows["one.interrupted"]["float64"]) == {"step": "pass", "sequence": "interrupted"}
    assert "interrupted: the table holds what was judged before" in out


@pytest.mark.skipif(not processes.CAN_WAIT, reason="interrupts cannot wait on Windows")
def test_an_interruption_while_a_process_starts_is_one(check: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    def start(*asked: Any) -> processes.Worker:
        worker = started(*asked)
        assert worker.process.pid is not None
        os.kill(worker.process.pid, signal.SIGINT)
        return worker

    started = processes.start
    monkeypatch.setattr(processes, "start", start)
    status, rows, out = check("one:good", "two:good")
    assert (status, rows) == (130, {})
    assert "interrupted: the table holds what was judged before" in out


def test_an_attribute_that_is_not_there_ends_with_status_2(check: Run, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["check", "--adapter", "one:god", "--adapter", "two:good", "--examples", "1"]) == 2
    assert "--adapter: expected an attribute of one as" in capsys.readouterr().err
