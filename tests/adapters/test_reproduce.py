"""A failure is written down as a script that exits with 1 while the fault is there, and with 0 without it."""

from __future__ import annotations

import dataclasses
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

import adapters
from adapters import Adapter
from adapters.conformance import reproduce as reproduction
from adapters.conformance.reproduce import reproduce
from reference import Case, Evaluation

pytestmark = pytest.mark.gradients

# The adapter's own script with a transposed dWh.
FAULTY = """

import numpy as np

right = compute


def compute(*arguments):
    results = right(*arguments)
    return results | {"dWh": np.swapaxes(results["dWh"], -1, -2)}
"""
FAULT, MENDED = 'np.swapaxes(results["dWh"], -1, -2)', 'results["dWh"]'


@pytest.fixture
def faulty(adapter: Adapter, monkeypatch: pytest.MonkeyPatch) -> Adapter:
    """Return the adapter with the same fault in its results and in its script."""
    source = reproduction.script_of(adapter)
    assert source is not None
    monkeypatch.setattr(reproduction, "script_of", lambda subject: source + FAULTY)

    def run(case: Case) -> Evaluation:
        found = adapter.run(case)
        return dataclasses.replace(found, dWh=np.array(np.swapaxes(found.dWh, -1, -2)))

    return dataclasses.replace(adapter, run=run)


# All scripts in one process, since a framework may take seconds to import.
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
    """Return a process away from the project that runs the scripts whose paths it reads."""
    folder = tmp_path_factory.mktemp("elsewhere")
    command = [sys.executable, "-c", RUN]
    with subprocess.Popen(command, cwd=folder, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        yield process


def printed_by(script: Path, process: subprocess.Popen[str]) -> list[str]:
    """Return the lines that a script prints in that process, the last of which is its exit status."""
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

    mended = script.with_name("mended.py")
    mended.write_text(script.read_text().replace(FAULT, MENDED))
    assert printed_by(script, elsewhere)[-2:] == ["WRONG", "exit status 1"]
    right = "right: every error is within its bound"
    assert printed_by(mended, elsewhere)[-2:] == [right, "exit status 0"]

    text = report.read_text()
    assert f"{faulty.framework} computes `dWh` of a recurrent layer with an error that rounding cannot explain." in text
    assert "a framework 1.2.3" in text
    assert f"{faulty.name} float32 dWh[" in text
    assert script.read_text() in text


def test_the_script_runs_in_bfloat16(faulty: Adapter, tmp_path: Path, elsewhere: subprocess.Popen[str]) -> None:
    if "bfloat16" not in faulty.dtypes:
        pytest.skip(f"{faulty.name} does not offer bfloat16")
    case = Case.random(T=1, N=1, D=1, H=2, seed=1, dtype="bfloat16", nonlinearity=faulty.nonlinearities[0])
    _, script, _ = reproduce(faulty, case, {}, tmp_path, "x")
    assert printed_by(script, elsewhere)[-2:] == ["WRONG", "exit status 1"]
    assert f"needs NumPy, ml_dtypes and {faulty.framework} alone" in script.read_text()


def test_the_script_imports_numpy_and_the_framework_alone(faulty: Adapter, tmp_path: Path) -> None:
    f = faulty.nonlinearities[0]
    case = Case.random(T=1, N=1, D=1, H=2, seed=1, dtype="float32", nonlinearity=f)
    _, script, _ = reproduce(faulty, case, {}, tmp_path, "x")
    lines = [
        line.split()[1].split(".")[0] for line in script.read_text().splitlines() if line.startswith(("import", "from"))
    ]
    needed = adapters.packages(Path(adapters.__file__).with_name(f"{faulty.framework}.py"))
    assert set(lines) - set(sys.stdlib_module_names) <= {"numpy"} | needed
