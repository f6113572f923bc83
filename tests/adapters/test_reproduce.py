"""A failure is written down as a script that exits with 1 while the fault is there and with 0 once it is mended."""

from __future__ import annotations

import importlib.util
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

import adapters
from adapters import Adapter, Idiom
from adapters.conformance.reproduce import reproduce
from reference import Case

pytestmark = pytest.mark.gradients

# A layer around the framework's own that gives a transposed dWh back.
FAULTY = """

def transposed(*arguments):
    results = list({name}(*arguments))
    results[4] = np.array(np.swapaxes(results[4], -1, -2))
    return results
"""
FAULT, MENDED = "np.swapaxes(results[4], -1, -2)", "results[4]"


@pytest.fixture
def faulty(adapter: Adapter, tmp_path: Path) -> Adapter:
    """Return the adapter with a fault in its idiom, in a file of its own."""
    assert adapter.idiom is not None
    idiom = adapter.idiom
    header = f"from typing import Any\n\nimport numpy as np\n{idiom.imports}\n\n\n"
    path = tmp_path / "faulty.py"
    path.write_text(header + idiom.source + "\n" + FAULTY.format(name=idiom.compute.__name__))
    spec = importlib.util.spec_from_file_location("faulty", path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    subject = Idiom(idiom.imports, (*idiom.parts, module.transposed))
    ours = {name: getattr(adapter, name) for name in ("nonlinearities", "takes_stacks", "max_T")}
    return Adapter.of_arrays(adapter.name, subject, adapter.describe, adapter.tanh, adapter.tanh_ulps, **ours)


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
    right = "right, to the last digit that the arithmetic can hold"
    assert printed_by(mended, elsewhere)[-2:] == [right, "exit status 0"]

    text = report.read_text()
    assert f"{faulty.framework} computes `dWh` of a recurrent layer outside of what rounding can explain." in text
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
    needed = adapters.packages(Path(adapters.__file__).with_name(f"{faulty.framework}.py"))
    assert set(lines) - set(sys.stdlib_module_names) <= {"numpy"} | needed
