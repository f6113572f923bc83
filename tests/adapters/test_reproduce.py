"""A failure is saved as a script that exits with 1 while the fault is there and with 0 once it is fixed."""

from __future__ import annotations

import dataclasses
import importlib
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

import adapters
from adapters import Adapter, Way
from adapters._source import REGISTRY
from adapters.conformance.reproduce import reproduce
from reference import Case

pytestmark = pytest.mark.gradients

# Code that runs the framework and transposes dWh.
FAULTY = """
import numpy as np


def transposed(*arguments):
    outputs, (weights, xs, states) = {run}(*arguments)
    places = [item for places in LAYOUTS.values() for item in places.items()]
    name = next(name for name, place in places if place[:2] == "Wh" and name in weights)
    return outputs, (weights | {{name: np.array(np.swapaxes(weights[name], -1, -2))}}, xs, states)

"""
FAULT, RIGHT = "np.swapaxes(weights[name], -1, -2)", "weights[name]"


@pytest.fixture
def faulty(adapter: Adapter, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Adapter:
    """Return the adapter with a fault, in a framework called faulty."""
    assert isinstance(adapter.run, Way)
    folder = tmp_path / "adapters"
    folder.mkdir()
    for file in Path(adapters.__file__).parent.glob("*.py"):
        shutil.copy(file, folder)
    text = (folder / f"{adapter.framework}.py").read_text("utf-8")
    fault = FAULTY.format(run=adapter.run.run.__name__)
    (folder / "faulty.py").write_text(text.replace(REGISTRY, fault + REGISTRY))
    monkeypatch.setattr(adapters, "__path__", [*adapters.__path__, str(folder)])
    monkeypatch.delitem(sys.modules, "adapters.faulty", raising=False)
    module = importlib.import_module("adapters.faulty")
    (same,) = (one for one in module.ADAPTERS if one.name == adapter.name)
    assert isinstance(same, Adapter)
    assert isinstance(same.run, Way)
    return dataclasses.replace(same, name="faulty.way", run=dataclasses.replace(same.run, run=module.transposed))


# All scripts run in one process, because importing a framework may take seconds.
RUN = """
import runpy, sys, traceback
for path in sys.stdin:
    try:
        runpy.run_path(path.strip(), run_name="__main__")
    except SystemExit as end:
        print("exit status", end.code, flush=True)
    except BaseException:
        print(traceback.format_exc() + "exit status 2", flush=True)
"""


@pytest.fixture(scope="module")
def elsewhere(tmp_path_factory: pytest.TempPathFactory) -> Iterator[subprocess.Popen[str]]:
    """Return a process outside the project that reads the paths of scripts and runs them."""
    folder = tmp_path_factory.mktemp("elsewhere")
    command = [sys.executable, "-c", RUN]
    with subprocess.Popen(command, cwd=folder, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        yield process


def printed_by(script: Path, process: subprocess.Popen[str]) -> list[str]:
    """Return the lines that a script prints in that process; the last line is its exit status."""
    assert process.stdin is not None
    assert process.stdout is not None
    print(script, file=process.stdin, flush=True)
    lines = []
    for line in process.stdout:
        lines.append(line.rstrip())
        if line.startswith("exit status "):
            return lines
    raise AssertionError(f"the process ended: {lines}")


def test_the_script_tells_whether_the_fault_is_there(
    faulty: Adapter, tmp_path: Path, elsewhere: subprocess.Popen[str]
) -> None:
    f = faulty.nonlinearities[0]
    case = Case.random(T=3, N=2, D=2, H=3, seed=1, dtype="float32", nonlinearity=f).probed()
    found, script, report = reproduce(faulty, case, {"a framework": "1.2.3"}, tmp_path / "out", "dWh")
    assert Case.load(found).sizes == {"T": 1, "N": 1, "D": 1, "H": 2}

    fixed = script.with_name("fixed.py")
    fixed.write_text(script.read_text().replace(FAULT, RIGHT))
    assert printed_by(script, elsewhere)[-2:] == ["WRONG", "exit status 1"]
    right = "right: every error is within its bound"
    assert printed_by(fixed, elsewhere)[-2:] == [right, "exit status 0"]

    text = report.read_text()
    assert f"{faulty.framework} computes `dWh` of a recurrent layer with an error" in text
    assert "a framework 1.2.3" in text
    assert f"{faulty.name} float32 dWh[" in text
    assert script.read_text() in text


def test_the_script_imports_numpy_and_the_framework_alone(faulty: Adapter, tmp_path: Path) -> None:
    f = faulty.nonlinearities[0]
    case = Case.random(T=1, N=1, D=1, H=2, seed=1, dtype="float32", nonlinearity=f)
    _, script, _ = reproduce(faulty, case, {}, tmp_path, "x")
    lines = [
        line.split()[1].split(".")[0] for line in script.read_text().splitlines() if line.startswith(("import", "from"))
    ]
    needed = adapters.packages(tmp_path / "adapters" / "faulty.py")
    assert set(lines) - set(sys.stdlib_module_names) <= {"numpy"} | needed
