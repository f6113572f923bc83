"""Adapters for the tests of the command line: in a framework of this process, and in a module that can be imported."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

import adapters
import adapters.conformance.port  # before a test hides the layouts of PyTorch
from adapters.conformance.cli import main

ADAPTER_FILE = """
import dataclasses
import numpy as np
from adapters import Adapter, ExpectedFailure
from reference.faults import compute

def right(case):
    return compute(case)

def wrong(case):
    return dataclasses.replace(right(case), dWh=np.array(right(case).dWh.mT))

def crash(case):
    raise RuntimeError("the kernel died")

def environment():
    return {"numpy": np.__version__, "precision": "that of NumPy"}

ULPS = {"float64": 2.5, "float32": 2.5}
EXPECTED = {"sequence": ExpectedFailure("dWh comes transposed", "an issue of NumPy's")}
ADAPTERS = tuple(
    Adapter("numpy." + f.__name__, f, f"a subject that is {f.__name__}", np.tanh, ULPS, takes_stacks=True)
    for f in (right, wrong, crash)
) + (
    Adapter("numpy.short", right, "no step at all", np.tanh, ULPS, max_T=0),
    Adapter("numpy.faulty", wrong, "wrong as expected", np.tanh, ULPS, takes_stacks=True, expected_failures=EXPECTED),
    Adapter("numpy.fixed", right, "no longer wrong", np.tanh, ULPS, takes_stacks=True, expected_failures=EXPECTED),
)
"""
# The same adapters in a module. `check` runs each adapter in its own process, which imports it by MODULE:NAME.
OWN_FILE = f"""{ADAPTER_FILE.replace('"numpy.', '"own.')}
right, wrong, crash, short, faulty, fixed = ADAPTERS
"""


@pytest.fixture
def framework(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Make ``numpy`` the only framework of this process, in a folder with the module ``own``."""
    (tmp_path / "own.py").write_text(OWN_FILE)
    monkeypatch.chdir(tmp_path)
    monkeypatch.delitem(sys.modules, "own", raising=False)
    folder = tmp_path / "adapters"
    folder.mkdir()
    (folder / "numpy.py").write_text(ADAPTER_FILE)
    monkeypatch.setattr(adapters, "__path__", [str(folder)])
    monkeypatch.delitem(sys.modules, "adapters.numpy", raising=False)
    yield
    sys.modules.pop("adapters.numpy", None)


@pytest.fixture
def rnn_oracle(framework: None, capsys: pytest.CaptureFixture[str]) -> Callable[..., tuple[int, str, str]]:
    """Run the command line; return its exit status, standard output and standard error."""

    def run(*arguments: str) -> tuple[int, str, str]:
        try:
            status = main(arguments)
        except SystemExit as exit_:
            status = int(str(exit_.code))
        return status, *capsys.readouterr()

    return run
